"""The calls themselves: from a method, a path and a body to an answer, or to the exception that says why not."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Generic, TypeVar
from urllib.parse import quote
from uuid import uuid4

import httpx
import simplejson

from productsync.failures import ApiProblem, EmptyName, NotConnected, Unreachable
from productsync.settings import API_KEY_VARIABLE, OPERATOR_KEY_VARIABLE, Connection, Secret
from productsync.transport import TIMEOUT, UPLOAD_TIMEOUT, Backoff, LoopbackTransport, Repeat, loopback_mounts

MAX_PAGE = 100
"""Items that the API gives in one page at most."""

Body = TypeVar("Body")

Query = Mapping[str, str | int | None]


@dataclass(frozen=True)
class Answer(Generic[Body]):
    """An answer's JSON, and what its headers say: None where they are silent.

    A replayed answer was given before: nothing was charged for this call, and the operation is the earlier one. `etag`
    is the version of a record as HTTP spells it; `request_id` is what to quote when asking about the call.
    """

    body: Body
    charged: int | None
    available: int | None
    operation_id: str | None
    replayed: bool
    etag: str | None
    request_id: str | None


class Calls:
    """Sends calls with the keys of one connection, and repeats them where that cannot charge twice."""

    def __init__(self, connection: Connection, *, transport: httpx.BaseTransport | None, backoff: Backoff) -> None:
        self._connection = connection
        self._backoff = backoff
        # What is on this machine bypasses any proxy of the environment; a given transport takes everything.
        mounts = None if transport else loopback_mounts()
        self._http = httpx.Client(
            base_url=f"{connection.endpoint}/v1/",
            transport=transport and LoopbackTransport(transport),
            mounts=mounts,
            headers={"Accept": "application/json", "User-Agent": "productsync"},
            timeout=TIMEOUT,
        )
        # Uploads go to another host under a signed URL: that host must never see the API key.
        self._uploads = httpx.Client(
            transport=transport and LoopbackTransport(transport), mounts=mounts, timeout=UPLOAD_TIMEOUT
        )

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()
        self._uploads.close()

    def get(self, path: str, query: Query | None = None, *, operator: bool = False) -> Answer[Any]:
        """A question that is free, and so may be asked as often as it takes."""
        return self._call("GET", path, query=query, operator=operator, repeat=Repeat.ALWAYS)

    def get_charged(self, path: str, query: Query | None = None) -> Answer[Any]:
        """A question that costs: it has no identity of its own, so it is only repeated when it was surely refused."""
        return self._call("GET", path, query=query, repeat=Repeat.IF_REFUSED)

    def ask(self, path: str, body: Mapping[str, Any]) -> Answer[Any]:
        """A question that is free and takes a body."""
        return self._call("POST", path, body=body, repeat=Repeat.ALWAYS)

    def write(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        idempotency_key: str | None,
        headers: Mapping[str, str] | None = None,
        operator: bool = False,
    ) -> Answer[Any]:
        """A write. Its key makes a repetition the same write: done and charged once, answered as the first was."""
        key = {"Idempotency-Key": uuid4().hex if idempotency_key is None else idempotency_key}
        return self._call(
            method, path, body=body, headers={**(headers or {}), **key}, operator=operator, repeat=Repeat.ALWAYS
        )

    def send_elsewhere(self, request: Callable[[httpx.Client], httpx.Response]) -> httpx.Response:
        """Makes a request of another host than the API's, which never sees its key, as often as it takes.

        Raises httpx.TransportError when there is no answer.
        """
        return self._backoff.send(lambda: request(self._uploads), Repeat.ALWAYS)

    def _call(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        operator: bool = False,
        repeat: Repeat,
    ) -> Answer[Any]:
        key = self._key(operator=operator)
        request = self._http.build_request(
            method,
            path,
            params={name: value for name, value in (query or {}).items() if value is not None},
            content=None if body is None else as_json(body),
            headers={
                "Authorization": f"Bearer {key.value}",
                **({} if body is None else {"Content-Type": "application/json"}),
                **(headers or {}),
            },
        )
        try:
            response = self._backoff.send(lambda: self._http.send(request), repeat)
        except httpx.TransportError as error:
            raise Unreachable(
                f"No answer from {self._connection.endpoint}", reason(error), hint=_unreachable_hint(self._connection)
            ) from error
        if not response.is_success:
            raise _problem(response, key)
        return Answer(
            body=_parse(response),
            charged=_count(response, "X-Credits-Charged"),
            available=_count(response, "X-Credits-Available"),
            operation_id=response.headers.get("X-Operation-Id"),
            replayed=response.headers.get("Idempotency-Replayed") == "true",
            etag=response.headers.get("ETag"),
            request_id=response.headers.get("X-Request-Id"),
        )

    def _key(self, *, operator: bool) -> Secret:
        key = self._connection.operator_key if operator else self._connection.api_key
        if key is not None:
            return key
        if operator:
            raise NotConnected(
                "This needs an operator key",
                hint=f"Give --operator-key, or {OPERATOR_KEY_VARIABLE} in the environment.",
            )
        raise NotConnected(
            "This needs the API key of a workspace",
            hint="Create one with `productsync workspaces create NAME`, "
            f"or give --api-key, or {API_KEY_VARIABLE} in the environment; or sign in with `productsync login EMAIL`.",
        )


def path_of(*segments: str) -> str:
    """A path below /v1. A segment may hold anything, slashes too; a lone dot would be taken for a step in the path.

    Raises EmptyName, which is a ValueError, for a segment of no text.
    """
    return "/".join(_segment(segment, segments) for segment in segments)


def as_json(value: Any) -> str:
    """The text that is sent: every number with the digits that it has."""
    return simplejson.dumps(value, use_decimal=True)


def reason(error: httpx.TransportError) -> str:
    """Why no answer came, in the words of the transport or by the name of the error."""
    return str(error) or type(error).__name__


def _segment(text: str, path: tuple[str, ...]) -> str:
    if not text:
        place = "/".join(segment or "''" for segment in path)
        raise EmptyName("A name is empty", f"nothing is called '' ({place})")
    quoted = quote(text, safe="")
    return quoted.replace(".", "%2E") if quoted in {".", ".."} else quoted


def _parse(response: httpx.Response) -> Any:
    """An answer's JSON with every number exact: decimals stay decimals, however many digits they have."""
    if response.status_code == HTTPStatus.NO_CONTENT or not response.content:
        return {}
    try:
        return simplejson.loads(response.text, use_decimal=True)
    except ValueError as error:
        raise Unreachable(
            f"The answer of {response.request.url} is not JSON",
            response.text[:200],
            hint="Is this the address of a ProductSync API?",
        ) from error


def _count(response: httpx.Response, header: str) -> int | None:
    text = response.headers.get(header, "")
    return int(text) if text.removeprefix("-").isdigit() else None


def _problem(response: httpx.Response, key: Secret) -> ApiProblem:
    """The API's problem details; what a gateway or proxy in between says in its own words is put into that shape."""
    try:
        document = simplejson.loads(response.text)
    except ValueError:
        document = {"detail": response.text[:500]} if response.text else {}
    if not isinstance(document, dict):
        document = {"detail": str(document)}
    if "title" not in document:
        phrase = response.reason_phrase or f"HTTP {response.status_code}"
        document = {"type": "about:blank", "title": phrase, "detail": document.get("message"), **document}
    hint = None
    if response.status_code == HTTPStatus.UNAUTHORIZED:
        hint = f"The key came from {key.origin}."
    elif response.status_code == HTTPStatus.FORBIDDEN:
        hint = f"The key came from {key.origin}; it may not be allowed to do this."
    return ApiProblem(response.status_code, document, hint=hint)


def _unreachable_hint(connection: Connection) -> str:
    if connection.stack is not None:
        return "The embedded stack may have stopped: `productsync down`, then `productsync up`."
    return "Check the endpoint and the network."
