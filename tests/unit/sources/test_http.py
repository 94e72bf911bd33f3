"""Fetching from servers on loopback that do what servers do, and what they should not."""

from __future__ import annotations

import gzip
import logging
import socket
import ssl
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpcore
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from shared.sources.credentials import (
    BasicCredentials,
    BearerCredentials,
    Credentials,
    HeaderCredentials,
    Secret,
    origin_of,
)
from shared.sources.errors import SourceFailed
from shared.sources.fetching import Fetched, FetchOutcome, Patience, Unmodified, Validators
from shared.sources.http import MAX_REDIRECTS, HttpRequest, fetch_http
from tests.support.supplier import Answer, Asked, Line, Supplier, head, says

CSV = b"sku,title\na,Drill\n"
LIMIT = 200_000
ONCE = Patience(connect=5, read=5, total=20, attempts=1)
SHORT = Patience(connect=5, read=0.2, total=0.5, attempts=1)
"""For those that never answer: a time-out has to pass, and nothing is said of how long that took."""

REPEATED = Patience(connect=5, read=5, total=20, attempts=3, sleep=lambda _seconds: None)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "file"


def fetch(url: str, target: Path, patience: Patience = ONCE, **more: Any) -> FetchOutcome:
    request: dict[str, Any] = {"limit": LIMIT, "named_hosts": {"localhost"}, **more}
    return fetch_http(HttpRequest(url=url, **request), target, patience)


def failure(url: str, target: Path, patience: Patience = ONCE, **more: Any) -> SourceFailed:
    with pytest.raises(SourceFailed) as caught:
        fetch(url, target, patience, **more)
    return caught.value


def test_a_file_is_fetched_with_what_tells_it_from_the_next(target: Path) -> None:
    with Supplier(says(200, CSV, ETag='"one"', Last_Modified="Sun, 22 Nov 2026 08:00:00 GMT")) as supplier:
        outcome = fetch(supplier.url("/feed.csv?shop=a%20b"), target)
    assert outcome == Fetched(Validators('"one"', "Sun, 22 Nov 2026 08:00:00 GMT"))
    assert target.read_bytes() == CSV
    (asked,) = supplier.asked
    assert asked.path == "/feed.csv?shop=a%20b"
    assert asked.headers["accept-encoding"] == "identity"
    assert asked.headers["host"] == f"localhost:{supplier.port}"
    assert not {"authorization", "cookie", "if-none-match", "if-modified-since"} & asked.headers.keys()


def test_a_file_may_come_in_chunks_or_until_the_connection_ends(target: Path) -> None:
    def in_chunks(_asked: Asked, line: Line) -> None:
        line.send(head(200, Transfer_Encoding="chunked"))
        for piece in (CSV[:5], CSV[5:]):
            line.send(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
        line.send(b"0\r\n\r\n")

    def until_the_end(_asked: Asked, line: Line) -> None:
        line.send(head(200) + CSV)

    for answer in (in_chunks, until_the_end):
        with Supplier(answer) as supplier:
            assert fetch(supplier.url(), target) == Fetched(Validators())
        assert target.read_bytes() == CSV


# --- unmodified ---


def test_what_is_known_is_asked_for_and_304_means_unmodified(target: Path) -> None:
    known = Validators('W/"one"', "Sun, 22 Nov 2026 08:00:00 GMT")
    with Supplier(says(304)) as supplier:
        assert fetch(supplier.url(), target, known=known) == Unmodified()
    assert supplier.asked[0].headers["if-none-match"] == known.etag
    assert supplier.asked[0].headers["if-modified-since"] == known.last_modified
    assert not target.exists()


def test_a_server_that_ignores_the_condition_and_names_the_same_tag_is_not_read(target: Path) -> None:
    with Supplier(says(200, CSV, ETag='"one"')) as supplier:
        assert fetch(supplier.url(), target, known=Validators('"one"')) == Unmodified()
        assert isinstance(fetch(supplier.url(), target, known=Validators('"other"')), Fetched)
    with Supplier(says(200, CSV, ETag='W/"one"')) as supplier:
        assert isinstance(fetch(supplier.url(), target, known=Validators('W/"one"')), Fetched)


def test_304_to_somebody_who_knows_nothing_is_a_failure(target: Path) -> None:
    with Supplier(says(304)) as supplier:
        assert failure(supplier.url(), target).code == "source_refused"


@pytest.mark.parametrize("etag", ['"' + "a" * 2000 + '"', '"\xe9"'])
def test_a_tag_that_could_not_be_sent_back_is_not_kept(target: Path, etag: str) -> None:
    with Supplier(says(200, CSV, ETag=etag)) as supplier:
        assert fetch(supplier.url(), target) == Fetched(Validators())


# --- statuses ---


@pytest.mark.parametrize(
    ("status", "code", "passing"),
    [
        (401, "source_unauthorized", False),
        (403, "source_unauthorized", False),
        (404, "source_missing", False),
        (410, "source_missing", False),
        (400, "source_refused", False),
        (418, "source_refused", False),
        (204, "source_refused", False),
        (206, "source_refused", False),
        (429, "source_unavailable", True),
        (500, "source_unavailable", True),
        (503, "source_unavailable", True),
    ],
)
def test_each_status_has_its_failure_and_only_what_may_pass_is_tried_again(
    target: Path, status: int, code: str, passing: bool
) -> None:
    with Supplier(says(status, b"no")) as supplier:
        problem = failure(supplier.url(), target, REPEATED)
    assert (problem.code, problem.passing) == (code, passing)
    assert str(status) in problem.detail
    assert len(supplier.asked) == (3 if passing else 1)


def test_a_server_that_recovers_is_read(target: Path) -> None:
    with Supplier(says(503), says(500), says(200, CSV)) as supplier:
        assert isinstance(fetch(supplier.url(), target, REPEATED), Fetched)
    assert target.read_bytes() == CSV


def test_pauses_between_tries_end_with_the_time_that_is_left(target: Path) -> None:
    slept: list[float] = []
    patience = Patience(total=5, attempts=50, pause=1e9, sleep=slept.append)
    with Supplier(says(503)) as supplier:
        assert failure(supplier.url(), target, patience).code == "source_unavailable"
    assert sum(slept) < 5
    assert len(supplier.asked) <= 2


# --- what should not be sent ---


def sends_forever(_asked: Asked, line: Line) -> None:
    line.send(head(200))
    while not line.closing.is_set():
        line.send(b"sku,title\n" * 1000)


def sends_nothing(_asked: Asked, line: Line) -> None:
    line.closing.wait()


def stops_midway(_asked: Asked, line: Line) -> None:
    line.send(head(200, Content_Length="1000") + CSV)
    line.closing.wait()


def closes_midway(_asked: Asked, line: Line) -> None:
    line.send(head(200, Content_Length="1000") + CSV)


def closes_midway_in_chunks(_asked: Asked, line: Line) -> None:
    line.send(head(200, Transfer_Encoding="chunked") + b"ff\r\n" + CSV)


def closes_at_once(_asked: Asked, line: Line) -> None:
    line.socket.shutdown(socket.SHUT_RDWR)


def drips(first: bytes) -> Answer:
    """A byte now and then: no single wait is long."""

    def answer(_asked: Asked, line: Line) -> None:
        line.send(first)
        while not line.closing.wait(0.02):
            line.send(b"a")

    return answer


def continues_forever(_asked: Asked, line: Line) -> None:
    while not line.closing.is_set():
        line.send(b"HTTP/1.1 100 Continue\r\n\r\n" * 100)


def is_no_http(_asked: Asked, line: Line) -> None:
    line.send(b"220 ftp.shop.example ready\r\n")


def says_two_lengths(_asked: Asked, line: Line) -> None:
    line.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef")


IMPATIENT = Patience(connect=5, read=5, total=60, grace=0.2, attempts=3, sleep=lambda _seconds: None)
"""For those that send far less than the least rate; `total` is what they would hold a preparer for else."""


@pytest.mark.parametrize("first", [head(200, Content_Length="1000"), head(200), b"HTTP/1.1 200 OK\r\nX-Slow: "])
def test_a_server_that_trickles_is_left_and_not_asked_again(target: Path, first: bytes) -> None:
    with Supplier(drips(first)) as supplier:
        problem = failure(supplier.url(), target, IMPATIENT)
    assert problem.code == "source_slow"
    assert "10,000 a second" in problem.detail
    assert len(supplier.asked) == 1


def test_the_pace_is_an_average_from_the_first_byte_on(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("shared.sources.fetching.time.monotonic", lambda: now)
    pace = Patience().pace()
    now = 1025.0  # What it takes a server to begin does not count.
    pace.came(1)
    now = 1055.0
    pace.came(1)
    now = 1065.0
    pace.came(399_998)
    now = 1065.1
    with pytest.raises(SourceFailed, match="400,001 bytes came in 40 seconds"):
        pace.came(1)


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (sends_forever, "source_too_large"),
        (says(200, b"", Content_Length=str(LIMIT + 1)), "source_too_large"),
        (sends_nothing, "source_timeout"),
        (stops_midway, "source_timeout"),
        (drips(head(200, Content_Length="1000")), "source_timeout"),
        (drips(b"HTTP/1.1 200 OK\r\nX-Slow: "), "source_timeout"),
        (continues_forever, "source_timeout"),
        (closes_midway, "source_broken_off"),
        (closes_midway_in_chunks, "source_broken_off"),
        (closes_at_once, "source_broken_off"),
        (is_no_http, "source_broken_off"),
        (says_two_lengths, "source_broken_off"),
        (says(200, gzip.compress(b"0" * 50_000_000), Content_Encoding="gzip"), "source_encoded"),
        (says(200, CSV, Content_Encoding="br"), "source_encoded"),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_a_server_that_misbehaves_is_left(target: Path, answer: Answer, code: str) -> None:
    with Supplier(answer) as supplier:
        problem = failure(supplier.url(), target, SHORT)
    assert problem.code == code
    assert problem.detail
    assert not target.exists() or target.stat().st_size <= LIMIT


def test_exactly_the_limit_is_taken(target: Path) -> None:
    with Supplier(says(200, b"a" * LIMIT), says(200, b"a" * (LIMIT + 1))) as supplier:
        assert isinstance(fetch(supplier.url(), target), Fetched)
        assert failure(supplier.url(), target).code == "source_too_large"


def test_a_file_that_breaks_off_is_fetched_from_its_beginning_again(target: Path) -> None:
    with Supplier(closes_midway, says(200, CSV)) as supplier:
        assert isinstance(fetch(supplier.url(), target, REPEATED), Fetched)
    assert target.read_bytes() == CSV


@pytest.mark.parametrize(
    ("body", "content_type", "reads_markup", "is_refused"),
    [
        (b"<!DOCTYPE html><html>Sign in</html>", "text/html; charset=utf-8", False, True),
        (b"\xef\xbb\xbf \n<HTML>Sign in</HTML>", "text/csv", False, True),
        (b"<!doctype html>", "application/octet-stream", True, True),
        (b"<div>Sign in</div>", "text/html", False, True),
        (b"<rss></rss>", "text/html", True, False),
        (CSV, "text/html", False, False),
        (b"", "text/html", False, False),
    ],
)
def test_a_web_page_is_no_feed(
    target: Path, body: bytes, content_type: str, reads_markup: bool, is_refused: bool
) -> None:
    with Supplier(says(200, body, Content_Type=content_type)) as supplier:
        if is_refused:
            assert failure(supplier.url(), target, reads_markup=reads_markup).code == "source_web_page"
        else:
            assert isinstance(fetch(supplier.url(), target, reads_markup=reads_markup), Fetched)


def test_nobody_listens(target: Path) -> None:
    with Supplier(says(200)) as supplier:
        url = supplier.url()
    assert failure(url, target, REPEATED).code == "source_unreachable"


# --- private addresses, and redirects ---


def leads_to(location: str, status: int = 302) -> Answer:
    return says(status, b"elsewhere", Location=location)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.1", "2130706433", "0x7f000001"])
def test_an_address_inside_is_never_connected_to(target: Path, host: str) -> None:
    with Supplier(says(200, CSV)) as supplier:
        problem = failure(supplier.url(host=host), target, REPEATED, named_hosts=())
    assert problem.code in ("source_address_refused", "source_unreachable")
    assert supplier.connections == 0


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1", "2130706433"])
def test_a_redirect_inside_is_not_followed(target: Path, host: str) -> None:
    with Supplier(says(200, CSV)) as inside, Supplier(leads_to(inside.url(host=host))) as supplier:
        problem = failure(supplier.url(), target, REPEATED)
    assert problem.code in ("source_address_refused", "source_unreachable")
    assert inside.connections == 0
    assert len(supplier.asked) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_followed(target: Path, status: int) -> None:
    with Supplier(leads_to("../other.csv?a=1", status), says(200, CSV)) as supplier:
        assert isinstance(fetch(supplier.url("/feeds/one.csv"), target), Fetched)
    assert [asked.path for asked in supplier.asked] == ["/feeds/one.csv", "/other.csv?a=1"]


def test_redirects_come_to_an_end(target: Path) -> None:
    with Supplier(leads_to("/again")) as supplier:
        assert failure(supplier.url(), target, REPEATED).code == "source_redirects"
    assert len(supplier.asked) == MAX_REDIRECTS + 1


@pytest.mark.parametrize(
    "location", ["", "ftp://shop.example/", "file:///etc/passwd", "http://", "http://a:b@localhost/", "http://[::1"]
)
def test_a_redirect_to_nowhere(target: Path, location: str) -> None:
    with Supplier(leads_to(location)) as supplier:
        assert failure(supplier.url(), target).code == "source_redirects"


def test_a_name_is_looked_up_once_for_each_connection_and_the_connection_goes_where_it_was_checked(
    target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that answers otherwise the second time gains nothing: nobody asks a second time."""
    looked_up: list[str] = []
    connected: list[str] = []

    def getaddrinfo(host: str, port: int, **_: Any) -> list[Any]:
        looked_up.append(host)
        address = "93.184.216.34" if len(looked_up) == 1 else "127.0.0.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    def connect_tcp(_self: Any, host: str, *_: Any, **__: Any) -> Any:
        connected.append(host)
        raise httpcore.ConnectError

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    monkeypatch.setattr(httpcore.SyncBackend, "connect_tcp", connect_tcp)
    assert failure("http://shop.example/", target, REPEATED).code == "source_address_refused"
    assert (looked_up, connected) == (["shop.example"] * 2, ["93.184.216.34"])


@pytest.mark.parametrize(
    "host", ["xn--", "xn--a", "xn--zz--zz99999.shop.example", "shop.xn--", "a." * 130 + "example", "[::1", ""]
)
def test_a_redirect_to_no_possible_host_is_refused(target: Path, host: str) -> None:
    with Supplier(leads_to(f"http://{host}/feed.csv")) as supplier:
        problem = failure(supplier.url(), target, REPEATED)
    assert problem.code == "source_redirects"
    assert len(problem.detail) < 200


@pytest.mark.parametrize("host", ["xn--", "xn--a", "a." * 130 + "example"])
def test_no_possible_host_is_a_failure_and_no_error_of_ours(target: Path, host: str) -> None:
    secret = Secret(BearerCredentials(token=SECRET), f"http://{host}:80", "1")
    assert failure(f"http://{host}/", target).code == "source_unreachable"
    assert failure(f"http://{host}/", target, secret=secret).code == "source_credentials"


# --- TLS ---


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for localhost, signed by itself, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path_factory.mktemp("tls") / "localhost.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(made.public_bytes(serialization.Encoding.PEM) + private)
    return file


@pytest.fixture
def secured(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def test_a_certificate_has_to_be_trusted_and_of_the_name_that_was_asked(
    target: Path, certificate: Path, secured: ssl.SSLContext
) -> None:
    trusting = ssl.create_default_context(cafile=str(certificate))
    with Supplier(says(200, CSV), tls=secured) as supplier:
        request = HttpRequest(url=supplier.url(), limit=LIMIT, named_hosts={"localhost", "127.0.0.1"})
        assert isinstance(fetch_http(request, target, ONCE, trusting), Fetched)
        problem = failure(supplier.url(), target)
        assert problem.code == "source_unreachable"
        assert "certificate" in problem.detail
        other_name = HttpRequest(url=supplier.url(host="127.0.0.1"), limit=LIMIT, named_hosts={"127.0.0.1"})
        with pytest.raises(SourceFailed, match="certificate"):
            fetch_http(other_name, target, ONCE, trusting)
    assert len(supplier.asked) == 1


def test_https_never_leads_on_to_http(target: Path, certificate: Path, secured: ssl.SSLContext) -> None:
    trusting = ssl.create_default_context(cafile=str(certificate))
    with Supplier(says(200, CSV)) as plain, Supplier(leads_to(plain.url()), tls=secured) as supplier:
        request = HttpRequest(url=supplier.url(), limit=LIMIT, named_hosts={"localhost"})
        with pytest.raises(SourceFailed) as caught:
            fetch_http(request, target, ONCE, trusting)
    assert caught.value.code == "source_redirects"
    assert plain.connections == 0


# --- credentials ---

SECRET = "open-sesame-42"
ALL_CREDENTIALS = [
    (BasicCredentials(username="shop", password=SECRET), "authorization", "Basic c2hvcDpvcGVuLXNlc2FtZS00Mg=="),
    (BearerCredentials(token=SECRET), "authorization", f"Bearer {SECRET}"),
    (HeaderCredentials(name="X-Api-Key", value=SECRET), "x-api-key", SECRET),
]


@pytest.mark.parametrize(("credentials", "header", "value"), ALL_CREDENTIALS)
def test_credentials_go_to_the_source_and_to_nobody_it_leads_to(
    target: Path, credentials: Credentials, header: str, value: str
) -> None:
    with Supplier(says(200, CSV)) as elsewhere, Supplier(leads_to("/here"), leads_to(elsewhere.url())) as supplier:
        secret = Secret(credentials, origin_of(supplier.url()), "1")
        assert isinstance(fetch(supplier.url(), target, secret=secret), Fetched)
    assert [asked.headers.get(header) for asked in supplier.asked] == [value, value]
    assert header not in elsewhere.asked[0].headers
    assert SECRET not in str(elsewhere.asked)


def test_credentials_are_not_sent_where_a_feed_was_pointed_since(target: Path) -> None:
    secret = Secret(BearerCredentials(token=SECRET), "https://shop.example:443", "1")
    with Supplier(says(200, CSV)) as supplier:
        assert failure(supplier.url(), target, secret=secret).code == "source_credentials"
    assert supplier.connections == 0


def test_credentials_are_not_sent_in_clear(target: Path) -> None:
    secret = Secret(BearerCredentials(token=SECRET), "http://shop.example:80", "1")
    assert failure("http://shop.example/", target, secret=secret).code == "source_credentials"


@pytest.mark.parametrize("answer", [says(401), says(500), closes_midway, sends_nothing, leads_to("ftp://a/")])
def test_credentials_are_in_no_failure_and_in_no_log(
    target: Path, answer: Answer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with Supplier(answer) as supplier:
        secret = Secret(BasicCredentials(username="shop", password=SECRET), origin_of(supplier.url()), "1")
        problem = failure(supplier.url(), target, SHORT, secret=secret)
    chain: list[BaseException] = []
    error: BaseException | None = problem
    while error is not None:
        chain.append(error)
        error = error.__cause__ or error.__context__
    told = caplog.text + repr(chain) + problem.detail + repr(secret)
    assert SECRET not in told
    assert "c2hvcDpv" not in told


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://Shop.Example/feed", "https://shop.example:443"),
        ("https://shop.example.:443/", "https://shop.example:443"),
        ("http://shop.example:8080/a?b", "http://shop.example:8080"),
        ("http://[2001:db8::1]/", "http://[2001:db8::1]:80"),
    ],
)
def test_an_origin_is_scheme_host_and_port(url: str, origin: str) -> None:
    assert origin_of(url) == origin


def test_proxies_of_the_environment_are_not_asked(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Supplier(says(200, CSV)) as supplier, Supplier(says(502)) as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url("/"))
        assert isinstance(fetch(supplier.url(), target), Fetched)
    assert proxy.connections == 0


def test_many_fetch_at_once(tmp_path: Path) -> None:
    with Supplier(says(200, CSV)) as supplier:
        done: list[FetchOutcome] = []
        fetches: list[Callable[[], None]] = [
            lambda number=number: done.append(fetch(supplier.url(), tmp_path / str(number)))  # type: ignore[misc]
            for number in range(8)
        ]
        threads = [threading.Thread(target=each) for each in fetches]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert done == [Fetched(Validators())] * 8
