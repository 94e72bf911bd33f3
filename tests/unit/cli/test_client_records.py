"""The client's calls of records: versions, batches of any number, listings over pages, conflicts that pass."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from productsync import ApiProblem, Client, NotConnected, every
from productsync.answers import RecordChange
from productsync.client import MAX_BATCH, batches
from productsync.client.records import MAX_BODY_BYTES
from productsync.transport import Backoff
from tests.unit.cli.conftest import ENDPOINT, FakeApi, problem

BATCH = {"items": [], "created": 0, "updated": 0, "unchanged": 0, "deleted": 0, "refused": 0}


@pytest.fixture
def client(api: FakeApi, waits: list[float]) -> Iterator[Client]:
    backoff = Backoff(sleep=waits.append, draw=lambda: 1.0)
    with Client.at(ENDPOINT, api_key="psk_w", transport=api.transport, backoff=backoff) as client:
        yield client


def changes_of(keys: str) -> list[RecordChange]:
    return [{"key": key, "attributes": {}} for key in keys]


@pytest.mark.parametrize(
    ("write", "headers"),
    [
        (lambda records: records.put("product", "a", {}, if_version=0), {"if-none-match": "*"}),
        (lambda records: records.put("product", "a", {}, if_version=7), {"if-match": '"7"'}),
        (lambda records: records.put("product", "a", {}), {}),
        (lambda records: records.patch("product", "a", {}, if_version=7), {"if-match": '"7"'}),
        (lambda records: records.delete("product", "a", if_version=7), {"if-match": '"7"'}),
    ],
    ids=["put new", "put", "put any", "patch", "delete"],
)
def test_a_version_is_a_condition(
    client: Client, api: FakeApi, write: Callable[[Any], object], headers: dict[str, str]
) -> None:
    for method in ("PUT", "PATCH", "DELETE"):
        api.on(method, "/records/product/a", httpx.Response(200, json={}))
    write(client.records)
    sent = {name: value for name, value in api.requests[0].headers.items() if name.startswith("if-")}
    assert sent == headers


@pytest.mark.parametrize(
    "call",
    [
        lambda client: client.records.get("product", ""),
        lambda client: client.records.list(""),
        lambda client: client.records.push("", changes_of("a")),
        lambda client: client.feeds.get(""),
        lambda client: client.keys.revoke(""),
    ],
    ids=["get record", "list", "push", "get feed", "revoke"],
)
def test_an_empty_name_is_never_taken_for_the_listing(
    client: Client, api: FakeApi, call: Callable[[Client], object]
) -> None:
    with pytest.raises(ValueError, match="A name is empty"):
        call(client)
    assert not api.requests


def test_an_answer_says_what_its_headers_say(client: Client, api: FakeApi) -> None:
    headers = {"ETag": '"4"', "X-Request-Id": "req-1", "X-Credits-Charged": "2", "X-Credits-Available": "98"}
    api.on("PUT", "/records/product/a", httpx.Response(200, json={}, headers=headers))
    answer = client.records.put("product", "a", {})
    assert (answer.etag, answer.request_id, answer.charged, answer.available) == ('"4"', "req-1", 2, 98)
    assert answer.operation_id is None
    assert not answer.replayed


def test_a_key_of_the_callers_own_is_sent_as_it_is(client: Client, api: FakeApi) -> None:
    api.on("DELETE", "/records/product/a", httpx.Response(204))
    client.records.delete("product", "a", idempotency_key="mine")
    client.records.delete("product", "a")
    client.records.delete("product", "a")
    keys = [request.headers["Idempotency-Key"] for request in api.requests]
    assert keys[0] == "mine"
    assert len(set(keys)) == 3


def test_a_write_that_still_runs_is_waited_for(client: Client, api: FakeApi, waits: list[float]) -> None:
    running = problem(409, "Request in progress", "The first is still running.")
    running.headers["Retry-After"] = "2"
    api.on("PUT", "/records/product/a", running, {"version": 1})
    assert client.records.put("product", "a", {}).body["version"] == 1
    assert waits == [2.2]
    assert len({request.headers["Idempotency-Key"] for request in api.requests}) == 1


def test_a_conflict_that_stands_is_told(client: Client, api: FakeApi, waits: list[float]) -> None:
    api.on("PUT", "/records/product/a", problem(409, "Idempotency key reused", "It was used before."))
    with pytest.raises(ApiProblem) as caught:
        client.records.put("product", "a", {}, idempotency_key="k")
    assert caught.value.status == 409
    assert waits == []


def test_all_records_are_listed_page_after_page(client: Client, api: FakeApi) -> None:
    pages: list[dict[str, Any]] = [
        {"items": [{"key": "a"}, {"key": "b"}], "next_cursor": "c1"},
        {"items": [], "next_cursor": "c2"},
        {"items": [{"key": "c"}], "next_cursor": None},
    ]
    api.on("GET", "/records/product", *pages)
    since = datetime(2026, 11, 22, 8, tzinfo=UTC)
    found = client.records.all("product", updated_since=since, key_prefix="M")
    assert not api.requests
    assert [record["key"] for record in found] == ["a", "b", "c"]
    asked = [dict(request.url.params) for request in api.requests]
    filters = {"updated_since": "2026-11-22T08:00:00+00:00", "key_prefix": "M", "limit": "100"}
    assert asked == [filters, filters | {"cursor": "c1"}, filters | {"cursor": "c2"}]


def test_a_listing_is_read_no_further_than_it_is_wanted(client: Client, api: FakeApi) -> None:
    api.on("GET", "/feeds", {"items": [{"feed_id": "a"}, {"feed_id": "b"}], "next_cursor": "more"})
    assert next(every(client.feeds.list))["feed_id"] == "a"
    assert len(api.requests) == 1


def test_any_number_of_records_is_pushed_in_batches(client: Client, api: FakeApi) -> None:
    api.on("POST", "/records/product/batch", BATCH)
    changes: list[RecordChange] = [{"key": str(place), "attributes": {}} for place in range(2 * MAX_BATCH + 1)]
    answers = client.records.push_all("product", iter(changes), idempotency_key="night")
    assert not api.requests
    assert len(list(answers)) == 3
    sent = [json.loads(request.content)["records"] for request in api.requests]
    assert [one for batch in sent for one in batch] == changes
    assert [request.headers["Idempotency-Key"] for request in api.requests] == ["night-0", "night-1", "night-2"]


def test_batches_without_a_key_have_keys_of_their_own(client: Client, api: FakeApi) -> None:
    api.on("POST", "/records/product/batch", BATCH)
    for _ in range(2):
        assert len(list(client.records.push_all("product", changes_of("aba")))) == 2
    assert len({request.headers["Idempotency-Key"] for request in api.requests}) == 4


def test_a_batch_names_no_key_twice() -> None:
    assert [[one["key"] for one in batch] for batch in batches(changes_of("abcabbd"))] == [
        ["a", "b", "c"],
        ["a", "b"],
        ["b", "d"],
    ]


@given(
    changes=st.lists(
        st.fixed_dictionaries(
            {
                "key": st.text(max_size=3),
                "attributes": st.builds(
                    lambda text, times: {"text": text * times}, st.text(min_size=1, max_size=2), st.integers(0, 40_000)
                ),
            }
        ),
        max_size=20,
    )
)
def test_batches_are_such_as_the_api_takes(changes: list[Any]) -> None:
    made = list(batches(changes))
    assert [change for batch in made for change in batch] == changes
    for batch in made:
        assert len({change["key"] for change in batch}) == len(batch) <= MAX_BATCH
        assert len(batch) == 1 or len(json.dumps({"records": batch}).encode()) <= MAX_BODY_BYTES


def test_a_batch_is_as_full_as_it_may_be() -> None:
    """Of 40,000 bytes each, six fit into 256 KB, and seven do not."""
    changes: list[RecordChange] = [{"key": str(place), "attributes": {"text": "x" * 40_000}} for place in range(7)]
    assert [len(batch) for batch in batches(changes)] == [6, 1]


@pytest.mark.parametrize("endpoint", ["http://api.example.com", "api.example.com", ""])
def test_no_key_is_given_to_the_network(endpoint: str) -> None:
    with pytest.raises(NotConnected):
        Client.at(endpoint, api_key="psk_w")


@pytest.mark.parametrize(
    ("document", "kind"),
    [({"type": "/problems/out-of-credits"}, "out-of-credits"), ({"type": "about:blank"}, ""), ({}, "")],
)
def test_a_problem_names_its_kind(document: dict[str, Any], kind: str) -> None:
    assert ApiProblem(402, document).kind == kind
