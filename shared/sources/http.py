"""Fetching a file from an address on the web, from servers that may be broken, slow, or hostile.

A host is looked up and checked where the connection is made, and the connection goes to the address that was checked:
so the check holds for every redirect and every retry, and no second look-up can answer otherwise. TLS goes by the name
all the same.
"""

from __future__ import annotations

import ssl
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpcore
import httpx

from shared.sources.addresses import is_host, resolve, spelled
from shared.sources.credentials import Secret, origin_of
from shared.sources.errors import SourceFailed
from shared.sources.fetching import (
    Deadline,
    Fetched,
    FetchOutcome,
    Pace,
    Patience,
    Unmodified,
    Validators,
    too_large,
    too_slow,
    write_bounded,
)

MAX_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MAX_VALIDATOR = 1024
"""Characters of an ETag or a date that are kept; with more it is taken for none."""

_WEB_PAGES = (b"<!doctype html", b"<html")
_HEAD_BYTES = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """A file to be fetched. `known` are the validators of the file that is there already, if it may be left at that.

    Credentials go to the origin that they are for, and to no other. `named_hosts` may be in private networks.
    """

    url: str
    limit: int
    named_hosts: Collection[str]
    known: Validators | None = None
    secret: Secret | None = None
    reads_markup: bool = False
    """Whether a file that begins with `<` is what the feed expects."""


def fetch_http(
    request: HttpRequest, target: Path, patience: Patience, tls: ssl.SSLContext | None = None
) -> FetchOutcome:
    """Fetches the file into `target`, in bounded memory. Raises SourceFailed."""
    try:
        address = httpx.URL(request.url)
    except (httpx.InvalidURL, ValueError) as error:
        raise SourceFailed("source_unreachable", f"the address cannot be read: {error}") from error
    _check_credentials(request, address)
    deadline = patience.begin()
    backend = _CheckedNetwork(request.named_hosts, deadline, patience)
    # Proxies of the environment, cookies and connections kept open have no place here.
    with httpcore.ConnectionPool(ssl_context=tls, network_backend=backend, max_keepalive_connections=0) as pool:
        fetching = _Fetching(request, address, pool, patience, deadline)
        return patience.tried(lambda: fetching.fetch(target), deadline)


def _check_credentials(request: HttpRequest, address: httpx.URL) -> None:
    if request.secret is None:
        return
    if origin_of(request.url) != request.secret.origin:
        detail = (
            f"the credentials were given for {request.secret.origin}, and the feed's source is elsewhere now; "
            "give them again, or delete them"
        )
        raise SourceFailed("source_credentials", detail)
    if address.scheme != "https" and spelled(_host(address)) not in request.named_hosts:
        raise SourceFailed("source_credentials", "credentials are only sent to an https:// address")


@dataclass(frozen=True, slots=True)
class _Fetching:
    """One request with all its redirects and retries."""

    request: HttpRequest
    address: httpx.URL
    pool: httpcore.ConnectionPool
    patience: Patience
    deadline: Deadline

    def fetch(self, target: Path) -> FetchOutcome:
        url = self.address
        for _ in range(MAX_REDIRECTS + 1):
            with _failures_of(_host(url), self.deadline), self._asked(url) as response:
                if response.status not in _REDIRECTS:
                    return self._taken(url, response, target)
                url = _redirected(url, response)
        raise SourceFailed("source_redirects", f"the address leads on more than {MAX_REDIRECTS} times")

    @contextmanager
    def _asked(self, url: httpx.URL) -> Iterator[httpcore.Response]:
        headers = {
            "User-Agent": "ProductSync",
            "Accept": "*/*",
            # What is sent is what is counted: nothing unpacks to more than it seemed.
            "Accept-Encoding": "identity",
            "Connection": "close",
        }
        known, secret = self.request.known, self.request.secret
        if known is not None and known.etag:
            headers["If-None-Match"] = known.etag
        if known is not None and known.last_modified:
            headers["If-Modified-Since"] = known.last_modified
        if secret is not None and _origin(url) == _origin(self.address):
            name, value = secret.credentials.header()
            headers[name] = value
        timeouts = {"connect": self.patience.connect, "read": self.patience.read, "write": self.patience.read}
        address = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
        encoded = [(name.encode("ascii"), value.encode("utf-8")) for name, value in headers.items()]
        with self.pool.stream("GET", address, headers=encoded, extensions={"timeout": timeouts}) as response:
            yield response

    def _taken(self, url: httpx.URL, response: httpcore.Response, target: Path) -> FetchOutcome:
        """What the last answer gives."""
        known = self.request.known
        if response.status == HTTPStatus.NOT_MODIFIED and known is not None:
            return Unmodified()
        if response.status != HTTPStatus.OK:
            raise _refused(_host(url), response.status)
        headers = _headers(response)
        if headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
            detail = f"{_host(url)} sent the file encoded, although it was asked not to; let it send the file as it is"
            raise SourceFailed("source_encoded", detail)
        validators = Validators(_validator(headers.get("etag")), _validator(headers.get("last-modified")))
        if known is not None and known.etag and known.etag == validators.etag and not known.etag.startswith("W/"):
            # It does not go by conditions, and says all the same that nothing has changed.
            return Unmodified()
        declared = headers.get("content-length", "")
        if declared.isdigit() and int(declared) > self.request.limit:
            raise too_large(f"{int(declared):,}", self.request.limit)
        write_bounded(response.iter_stream(), target, self.request.limit, self.deadline)
        self._refuse_web_page(_host(url), headers.get("content-type", ""), target)
        return Fetched(validators)

    def _refuse_web_page(self, host: str, content_type: str, target: Path) -> None:
        """A page for people in the file's stead: where to sign in, or that the file has moved."""
        with target.open("rb") as file:
            head = file.read(_HEAD_BYTES).removeprefix(b"\xef\xbb\xbf").lstrip().lower()
        says_page = content_type.partition(";")[0].strip().lower() in ("text/html", "application/xhtml+xml")
        # A type alone proves little: many scripts that send a table call it a page.
        is_page = head.startswith(_WEB_PAGES) or (says_page and head.startswith(b"<") and not self.request.reads_markup)
        if is_page:
            detail = f"{host} answered with a web page (HTML) instead of the feed: perhaps one to sign in on"
            raise SourceFailed("source_web_page", detail)


def _redirected(url: httpx.URL, response: httpcore.Response) -> httpx.URL:
    """Where the answer leads. Raises SourceFailed where that is nowhere to go."""
    location = _headers(response).get("location", "")
    try:
        following = url.join(location)
    except (httpx.InvalidURL, ValueError):
        following = httpx.URL()
    is_address = following.scheme in ("http", "https") and not following.userinfo and is_host(_host(following))
    if not location or not is_address:
        raise SourceFailed("source_redirects", f"{_host(url)} leads on to no address that could be fetched from")
    if url.scheme == "https" and following.scheme == "http":
        detail = f"{_host(url)} leads from https:// on to http://, which is not followed"
        raise SourceFailed("source_redirects", detail)
    return following


def _refused(host: str, status: int) -> SourceFailed:
    """What a status means that gives no file."""
    said = f"{host} answered {status}"
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.PROXY_AUTHENTICATION_REQUIRED):
        detail = f"{said}: it wants credentials, or other ones (PUT /v1/feeds/…/credentials)"
        return SourceFailed("source_unauthorized", detail)
    if status in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE):
        return SourceFailed("source_missing", f"{said}: there is no such file")
    passing = status in (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS)
    if passing or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return SourceFailed("source_unavailable", f"{said}; try again later", passing=True)
    return SourceFailed("source_refused", f"{said}, and no file")


@contextmanager
def _failures_of(host: str, deadline: Deadline) -> Iterator[None]:
    """Says in our words what the network and HTTP say in theirs."""
    try:
        yield
    except httpcore.TimeoutException as error:
        deadline.check()
        raise too_slow(f"{host} did not answer, or stopped sending, for too long") from error
    except (httpcore.NetworkError, httpcore.ProtocolError) as error:
        if isinstance(error, httpcore.ConnectError):
            raise SourceFailed("source_unreachable", f"{host} cannot be connected to", passing=True) from error
        detail = f"{host} closed the connection, or sent what is no HTTP, before the file was complete"
        raise SourceFailed("source_broken_off", detail, passing=True) from error


def _headers(response: httpcore.Response) -> dict[str, str]:
    """The answer's headers by their names in lower case; of one that is repeated, the last."""
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}


def _host(url: httpx.URL) -> str:
    """The host as it is looked up. `url.host` decodes an international name, and fails where that is none."""
    return url.raw_host.decode("ascii")


def _origin(url: httpx.URL) -> tuple[str, bytes, int]:
    """Scheme, host and port, as the address is read when it is connected to."""
    return url.scheme, url.raw_host, url.port or (443 if url.scheme == "https" else 80)


def _validator(text: str | None) -> str:
    if text is None or len(text) > _MAX_VALIDATOR or not text.isascii() or not text.isprintable():
        return ""
    return text.strip()


class _CheckedNetwork(httpcore.NetworkBackend):
    """Connects to addresses that were checked, and lets nothing go on for longer, or more slowly, than patience
    allows.
    """

    def __init__(self, named_hosts: Collection[str], deadline: Deadline, patience: Patience) -> None:
        self._named_hosts = named_hosts
        self._deadline = deadline
        self._patience = patience
        self._network = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        addresses = resolve(host, port, self._named_hosts)
        for number, address in enumerate(addresses, 1):
            try:
                stream = self._network.connect_tcp(
                    address, port, _bounded(timeout, self._deadline), local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if number == len(addresses):
                    raise
            else:
                return _BoundedStream(stream, self._deadline, self._patience.pace())
        raise AssertionError("a host that was resolved has an address")


class _BoundedStream(httpcore.NetworkStream):
    """A connection whose every wait ends with the deadline: one that sends a byte now and then is never over else.
    Its pace is taken here, where no part of an answer goes uncounted: a headline may trickle as a file may.
    """

    def __init__(self, stream: httpcore.NetworkStream, deadline: Deadline, pace: Pace) -> None:
        self._stream = stream
        self._deadline = deadline
        self._pace = pace

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        received = self._stream.read(max_bytes, _bounded(timeout, self._deadline))
        if received:
            self._pace.came(len(received))
        return received

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _bounded(timeout, self._deadline))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        try:
            secured = self._stream.start_tls(ssl_context, server_hostname, _bounded(timeout, self._deadline))
        except httpcore.ConnectError as error:
            if isinstance(error.__cause__, ssl.SSLCertVerificationError):
                detail = f"the certificate of {server_hostname} is not good: {error.__cause__.verify_message}"
                raise SourceFailed("source_unreachable", detail) from error
            raise
        return _BoundedStream(secured, self._deadline, self._pace)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _bounded(timeout: float | None, deadline: Deadline) -> float:
    """The seconds that one wait may take. Raises SourceFailed when there are none left."""
    deadline.check()
    left = deadline.left()
    return left if timeout is None else min(timeout, left)
