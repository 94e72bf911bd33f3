"""The client: retries that cannot charge twice, uploads that stream, names of this machine."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from productsync.answers import Upload
from productsync.client import Client
from productsync.client.feeds import CHUNK
from productsync.failures import ApiProblem, NotConnected, Unreachable, UploadFailed
from productsync.settings import Connection, Secret
from productsync.transport import Backoff, LoopbackTransport, Repeat
from tests.unit.cli.conftest import ENDPOINT, FakeApi, make_credits, make_run

NOW = datetime(2026, 11, 22, 8, 0, 0, tzinfo=UTC)
CONNECTION = Connection(ENDPOINT, Secret("psk_w", "a test"), Secret("psk_o", "a test"), None)


@pytest.fixture
def client(api: FakeApi, waits: list[float]) -> Iterator[Client]:
    backoff = Backoff(sleep=waits.append, draw=lambda: 1.0, now=lambda: NOW)
    with Client(CONNECTION, transport=api.transport, backoff=backoff) as client:
        yield client


def failing(error: type[httpx.TransportError]) -> Callable[[httpx.Request], httpx.Response]:
    def fail(_request: httpx.Request) -> httpx.Response:
        raise error("no")

    return fail


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_what_is_free_to_repeat_is_repeated(client: Client, api: FakeApi, waits: list[float], status: int) -> None:
    api.on("GET", "/credits", httpx.Response(status), failing(httpx.ReadTimeout), make_credits())
    assert client.credits.get().body["available"] == 4939
    assert waits == [0.2, 0.4]


def test_waits_double_up_to_a_limit_and_then_the_answer_stands(
    client: Client, api: FakeApi, waits: list[float]
) -> None:
    api.on("GET", "/credits", httpx.Response(503))
    with pytest.raises(ApiProblem) as caught:
        client.credits.get()
    assert caught.value.status == 503
    assert waits == [0.2, 0.4, 0.8, 1.6, 3.2]


@given(draws=st.lists(st.floats(0, 1, exclude_max=True), min_size=5, max_size=5))
def test_jitter_is_full(draws: list[float]) -> None:
    waits: list[float] = []
    remaining = iter(draws)
    backoff = Backoff(sleep=waits.append, draw=lambda: next(remaining))
    backoff.send(lambda: httpx.Response(503), Repeat.ALWAYS)
    limits = [0.2, 0.4, 0.8, 1.6, 3.2]
    assert waits == [pytest.approx(draw * limit) for draw, limit in zip(draws, limits, strict=True)]


@pytest.mark.parametrize(
    ("header", "wait"),
    [
        ("3", 3.2),
        ("Sun, 22 Nov 2026 08:00:10 GMT", 10.2),
        ("Sun, 22 Nov 2026 07:00:00 GMT", 0.2),
        ("soon", 0.2),
    ],
)
def test_retry_after_is_waited_for(client: Client, api: FakeApi, waits: list[float], header: str, wait: float) -> None:
    api.on("GET", "/credits", httpx.Response(429, headers={"Retry-After": header}), make_credits())
    client.credits.get()
    assert waits == [pytest.approx(wait)]


def test_a_retry_after_beyond_patience_is_the_answer(client: Client, api: FakeApi, waits: list[float]) -> None:
    api.on("GET", "/credits", httpx.Response(429, headers={"Retry-After": "3600"}))
    with pytest.raises(ApiProblem):
        client.credits.get()
    assert waits == []


@pytest.mark.parametrize(
    ("answer", "is_repeated"),
    [
        (failing(httpx.ConnectError), True),
        (httpx.Response(429), True),
        (failing(httpx.ReadTimeout), False),
        (failing(httpx.RemoteProtocolError), False),
        (httpx.Response(502), False),
        (httpx.Response(503), False),
        (httpx.Response(504), False),
    ],
    ids=["not connected", "429", "answer lost", "cut off", "502", "503", "504"],
)
def test_a_call_that_may_have_been_charged_is_not_repeated(
    client: Client, api: FakeApi, answer: httpx.Response, is_repeated: bool
) -> None:
    page: dict[str, Any] = {"items": [], "next_cursor": None}
    api.on("GET", "/records/product", answer, page)
    if is_repeated:
        assert client.records.list("product", limit=1).body == page
    else:
        with pytest.raises((ApiProblem, Unreachable)):
            client.records.list("product", limit=1)
    assert len(api.requests) == (2 if is_repeated else 1)


def test_a_repeated_start_of_a_run_is_the_same_start(client: Client, api: FakeApi) -> None:
    api.on("POST", "/feeds/f/runs", failing(httpx.ReadTimeout), httpx.Response(503), make_run(), status=202)
    client.runs.start("f", "up_1")
    client.runs.start("f", "up_1")
    keys = [request.headers["Idempotency-Key"] for request in api.requests]
    assert keys[0] == keys[1] == keys[2] != keys[3]
    assert len({request.content for request in api.requests}) == 1


def test_problems_that_trying_again_cannot_mend_are_final(client: Client, api: FakeApi, waits: list[float]) -> None:
    for status in (400, 401, 402, 403, 404, 409, 413, 422, 500):
        api.on("GET", "/credits", httpx.Response(status, json={"title": "No", "status": status}))
        with pytest.raises(ApiProblem):
            client.credits.get()
    assert waits == []


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("a/b c", b"a%2Fb%20c"),
        ("Ä?#%", b"%C3%84%3F%23%25"),
        ("A > B", b"A%20%3E%20B"),
        ("..", b"%2E%2E"),
        (".", b"%2E"),
    ],
)
def test_any_key_is_one_segment_of_the_path(client: Client, api: FakeApi, key: str, path: bytes) -> None:
    with pytest.raises(ApiProblem):
        client.records.get("product", key)
    assert api.requests[0].url.raw_path == b"/v1/records/product/" + path


def test_what_needs_a_key_says_so_before_it_calls(api: FakeApi) -> None:
    with Client(Connection(ENDPOINT, None, None, None), transport=api.transport) as client:
        with pytest.raises(NotConnected, match="API key of a workspace"):
            client.credits.get()
        with pytest.raises(NotConnected, match="operator key"):
            client.workspaces.create("x")
    assert not api.requests


def make_upload() -> Upload:
    return {
        "upload_id": "u",
        "method": "PUT",
        "url": "http://b.localhost:4566/x?sig=1",
        "headers": {},
        "expires_at": "2026-11-22T09:00:00.000Z",
        "max_bytes": 10**9,
    }


def test_an_upload_is_sent_in_pieces_and_tells_how_far_it_is(tmp_path: Path) -> None:
    file = tmp_path / "feed.csv"
    file.write_bytes(b"x" * (2 * CHUNK + 5))
    pieces: list[int] = []

    class Bucket(httpx.BaseTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            assert isinstance(request.stream, httpx.SyncByteStream)
            pieces.extend(len(piece) for piece in request.stream)
            assert request.headers["Content-Length"] == str(2 * CHUNK + 5)
            assert request.headers["Host"] == "b.localhost:4566"
            assert request.url.host == "127.0.0.1"
            return httpx.Response(200)

    progress: list[int] = []
    with Client(CONNECTION, transport=Bucket()) as client:
        client.feeds.send(make_upload(), file, progress=progress.append)
    assert pieces == [CHUNK, CHUNK, 5]
    assert progress == [CHUNK, 2 * CHUNK, 2 * CHUNK + 5]


def test_a_cut_off_upload_begins_again(client: Client, api: FakeApi, tmp_path: Path) -> None:
    file = tmp_path / "feed.csv"
    file.write_bytes(b"abc")
    api.on("PUT", "/x", failing(httpx.WriteError), httpx.Response(503), httpx.Response(200))
    client.feeds.send(make_upload(), file)
    assert [request.content for request in api.requests] == [b"abc"] * 3


@pytest.mark.parametrize("meanwhile", [b"", b"ab", b"abcd"], ids=["emptied", "shorter", "longer"])
def test_a_file_that_changes_while_it_is_sent_is_not_taken_for_whole(
    client: Client, api: FakeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, meanwhile: bytes
) -> None:
    file = tmp_path / "feed.csv"
    file.write_bytes(meanwhile)
    monkeypatch.setattr("productsync.client.feeds._size", lambda _file: 3)
    api.on("PUT", "/x", httpx.Response(200))
    with pytest.raises(UploadFailed, match="changed while it was being sent"):
        client.feeds.send(make_upload(), file)


def test_an_empty_file_is_sent_as_such(client: Client, api: FakeApi, tmp_path: Path) -> None:
    file = tmp_path / "feed.csv"
    file.touch()
    api.on("PUT", "/x", httpx.Response(200))
    client.feeds.send(make_upload(), file)
    assert api.requests[0].headers["Content-Length"] == "0"


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://abc.execute-api.localhost:4566/v1", "127.0.0.1"),
        ("http://localhost:4566/v1", "localhost"),
        ("https://abc.localhost/v1", "abc.localhost"),
        ("http://notlocalhost/v1", "notlocalhost"),
    ],
)
def test_names_of_this_machine_need_no_resolver(url: str, host: str) -> None:
    seen: list[httpx.Request] = []

    def take(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200)

    with httpx.Client(transport=LoopbackTransport(httpx.MockTransport(take))) as client:
        client.get(url)
    assert seen[0].url.host == host
    assert seen[0].headers["Host"] == httpx.URL(url).netloc.decode()
