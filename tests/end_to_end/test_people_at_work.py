"""What people do by hand beside automation: it is free where the hand is, never in automation's way nor automation in
its, and no way to run automation for nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import jwt
import pytest

from shared.pace import RUN_START_WEIGHT, PaceLimits, PaceStore
from shared.times import utc_now
from tests.support.api import Caller, define, expect, law_4, refusal, top_up, upload, wait
from tests.support.books import Books
from tests.support.people import person_of
from tests.support.waiting import until

if TYPE_CHECKING:
    import httpx
    from mypy_boto3_dynamodb import DynamoDBClient

    from productsync.stack import EmbeddedStack
    from tests.support.stack import Tables

    AddRecord = Callable[[Caller, str, dict[str, Any]], None]
    Spend = Callable[[Caller, int], None]
    Check = Callable[[httpx.Response], None]  # looks at a record when all is over

PER_HOUR, PER_DAY = 3_600, 10_000
"""The template's own limits."""


@pytest.fixture
def person(stack: EmbeddedStack, operator: Caller, customer: Caller) -> Caller:
    return person_of(stack, operator, customer.workspace_id)


@pytest.fixture
def books(customer: Caller, dynamodb: DynamoDBClient, tables: Tables) -> Books:
    return Books(customer.workspace_id, dynamodb, tables)


# --- imports by hand ---


def test_the_example_import_started_by_hand_costs_exactly_2000(customer: Caller, person: Caller, books: Books) -> None:
    definition = {
        "format": {"type": "csv"},
        "entities": [
            {"entity": "category", "key": "category", "attributes": {"title": "category"}},
            {"entity": "product", "key": "sku", "attributes": {"title": "title", "category": "category"}},
        ],
    }
    expect(person("PUT", "/feeds/main", definition), 201)
    rows = "".join(f"p{n},Title {n},c{n}\n" for n in range(1_000))
    upload_id = upload(person, f"sku,title,category\n{rows}".encode())
    assert customer.available() == 5_000
    started = expect(person("POST", "/feeds/main/runs", {"upload_id": upload_id}), 202)
    run = wait(customer, started.json()["run_id"])
    assert (run["state"], run["channel"], run["created"], run["credits"]) == ("finished", "person", 2_000, 2_000)
    assert (books.records("product"), books.records("category")) == (1_000, 1_000)
    assert customer.available() == 3_000
    assert law_4(customer)["consumed"] == 2_000
    books.audit()


# --- edits beside automation ---


def is_now(attributes: dict[str, Any], version: int) -> Check:
    def check(found: httpx.Response) -> None:
        record = expect(found, 200).json()
        assert (record["attributes"], record["version"]) == (attributes, version)

    return check


def is_gone(found: httpx.Response) -> None:
    assert refusal(found, 404) == "not-found"


def note(person: Caller, path: str, title: str) -> Check:
    """An attribute that the feed knows nothing of stays, whoever comes first."""
    expect(person("PATCH", path, {"attributes": {"note": "by hand"}}), 200)
    return is_now({"title": title, "note": "by hand"}, 3)


def retitle(person: Caller, path: str, title: str) -> Check:
    """An attribute of the feed's is as whoever came later has written it. Which that is, the version tells: the record
    was made at 1, and each of the two moves it once.
    """
    version = expect(person("PATCH", path, {"attributes": {"title": "by hand"}}), 200).json()["version"]
    return is_now({"title": {2: title, 3: "by hand"}[version]}, 3)


def replace(person: Caller, path: str, title: str) -> Check:
    written = {"title": "by hand", "note": "by hand"}
    version = expect(person("PUT", path, {"attributes": written}), 200).json()["version"]
    return is_now(written | {"title": {2: title, 3: "by hand"}[version]}, 3)


def delete(person: Caller, path: str, title: str) -> Check:
    """Deleted before the feed came by, a record is made anew; deleted after it, it is gone."""
    before = person("DELETE", path, If_Match='"1"')
    if before.status_code == 204:
        return is_now({"title": title}, 1)
    assert refusal(before, 412) == "precondition-failed"
    expect(person("DELETE", path, If_Match='"2"'), 204)
    return is_gone


EDITS = (note, retitle, replace, delete)


def begin(customer: Caller, keys: list[str]) -> str:
    """An import that gives each of the records its title."""
    define(customer)
    rows = "".join(f"{key},Title {key}\n" for key in keys)
    body = {"upload_id": upload(customer, f"sku,title\n{rows}".encode())}
    return str(expect(customer("POST", "/feeds/main/runs", body), 202).json()["run_id"])


def edit_all(person: Caller, keys: list[str]) -> dict[str, Check]:
    def edit(numbered: tuple[int, str]) -> tuple[str, Check]:
        number, key = numbered
        path = f"/records/product/{key}"
        return path, EDITS[number % len(EDITS)](person, path, f"Title {key}")

    with ThreadPoolExecutor(4) as pool:
        return dict(pool.map(edit, enumerate(keys)))


def check_all(person: Caller, run: dict[str, Any], checks: dict[str, Check], books: Books) -> None:
    """That no change of anybody's is lost, and that the run alone was charged, for each record that it wrote."""
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda path: person("GET", path), checks))
    for check, record in zip(checks.values(), found, strict=True):
        check(record)
    made_anew = sum(record.json().get("version") == 1 for record in found)
    assert (run["state"], run["created"]) == ("finished", made_anew)
    assert run["credits"] == run["created"] + run["updated"]
    assert books.credits_of(run["run_id"]) == run["credits"]
    books.audit()


def test_edits_and_an_import_of_the_same_records_at_the_same_time(
    customer: Caller, person: Caller, books: Books, add_record: AddRecord
) -> None:
    keys = [f"p{n}" for n in range(300)]
    for key in keys:
        add_record(customer, key, {"title": "before"})
    run_id = begin(customer, keys)
    # From both ends of the file, so that some come before the import and some after it.
    backwards = keys[::-1]
    checks = edit_all(person, [key for at in range(0, 40, 4) for key in keys[at : at + 4] + backwards[at : at + 4]])
    run = wait(customer, run_id)
    check_all(person, run, checks, books)
    assert run["created"] + run["updated"] == len(keys)
    assert law_4(customer)["consumed"] == 1 + len(keys)


def test_edits_while_the_import_of_the_same_records_waits_for_credits(
    operator: Caller, customer: Caller, person: Caller, books: Books, add_record: AddRecord, spend: Spend
) -> None:
    keys = [f"p{n}" for n in range(40)]
    for key in keys:
        add_record(customer, key, {"title": "before"})
    spend(customer, 5_000 - 21)
    run_id = begin(customer, keys)
    paused = wait(customer, run_id)
    # One for the start, and here it stands: with the first half written, and the second not.
    assert (paused["state"], paused["updated"], customer.available()) == ("paused", 20, 0)
    written = [person.get(f"/records/product/{key}")["version"] for key in keys]
    assert sorted(written) == [1] * 20 + [2] * 20

    # Each kind of edit meets both orders.
    checks = edit_all(person, keys)
    created = expect(person("PUT", "/records/product/own", {"attributes": {"n": 1}}), 201).json()
    assert created["operation_id"] is None
    assert refusal(customer("PUT", "/records/product/own", {"attributes": {"n": 2}}), 402) == "out-of-credits"
    assert law_4(customer)["consumed"] == 5_000

    top_up(operator, customer, 100)
    until(lambda: customer.get(f"/runs/{run_id}")["state"] == "finished")
    run = customer.get(f"/runs/{run_id}")
    check_all(person, run, checks, books)
    assert (run["created"] > 0, run["credits"]) == (True, 40)
    assert law_4(customer)["consumed"] == 5_020


# --- batches by hand ---


def batch(*changes: tuple[str, dict[str, Any] | None]) -> dict[str, Any]:
    """Puts records, or deletes those without attributes."""
    return {
        "records": [
            {"key": key, "method": "DELETE"} if attributes is None else {"key": key, "attributes": attributes}
            for key, attributes in changes
        ]
    }


def test_a_batch_by_hand_costs_its_records_and_not_its_call(customer: Caller, person: Caller, books: Books) -> None:
    path = "/records/product/batch"
    ten = batch(*((f"p{n}", {"n": n}) for n in range(10)))
    first = expect(person("POST", path, ten, Idempotency_Key="k"), 200).json()
    assert (first["created"], law_4(customer)["consumed"]) == (10, 10)
    again = expect(person("POST", path, ten, Idempotency_Key="k"), 200)
    assert (again.json(), again.headers["Idempotency-Replayed"]) == (first, "true")
    assert expect(person("POST", path, ten), 200).json()["unchanged"] == 10
    changed = batch(("p0", {"n": 100}), ("p1", None), ("p2", {"n": 2}), ("new", {"n": 1}))
    told = expect(person("POST", path, changed), 200).json()
    assert (told["updated"], told["deleted"], told["unchanged"], told["created"]) == (1, 1, 1, 1)
    assert law_4(customer)["consumed"] == 12
    # The same by key: the call as well.
    by_key = expect(customer("POST", path, batch(("p0", {"n": 0}), ("p2", {"n": 2}))), 200)
    assert by_key.headers["X-Credits-Charged"] == "2"
    books.audit()


def test_out_of_credits_a_batch_by_hand_waits_and_a_single_edit_does_not(
    customer: Caller, person: Caller, spend: Spend, books: Books
) -> None:
    path = "/records/product/batch"
    spend(customer, 4_999)
    problem = expect(person("POST", path, batch(("a", {"n": 1}), ("b", {"n": 2}))), 402).json()
    assert (problem["needed"], problem["available"]) == (2, 1)
    assert books.records("product") == 0
    spend(customer, 1)
    for key in ("a", "b"):
        expect(person("PUT", f"/records/product/{key}", {"attributes": {"n": 1}}), 201)
    assert refusal(person("POST", path, batch(("a", {"n": 2}))), 402) == "out-of-credits"
    assert person.get("/records/product/a")["attributes"] == {"n": 1}
    assert law_4(customer)["consumed"] == 5_000


# --- the pace of a hand ---


@pytest.fixture
def did(dynamodb: DynamoDBClient, tables: Tables) -> Callable[[Caller, int, timedelta], None]:
    """Counts calls that a person has made, in this hour or day and in the next: the clock may turn meanwhile."""
    unlimited = PaceStore(dynamodb, tables.work, PaceLimits(per_hour=10**9, per_day=10**9))

    def count(person: Caller, calls: int, period: timedelta) -> None:
        person_id = f"person_{jwt.decode(person.key, options={'verify_signature': False})['sub']}"
        for at in (utc_now(), utc_now() + period):
            assert unlimited.count(person.workspace_id, person_id, calls, at) is None

    return count


HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.mark.parametrize(("limit", "period"), [(PER_HOUR, HOUR), (PER_DAY, DAY)])
def test_a_person_does_not_do_what_no_hand_can(
    stack: EmbeddedStack,
    operator: Caller,
    customer: Caller,
    person: Caller,
    did: Callable[..., None],
    limit: int,
    period: timedelta,
) -> None:
    path, body = "/records/product/a", {"attributes": {"n": 1}}
    expect(person("PUT", path, body), 201)
    did(person, limit, period)
    for method, where, sent in (
        ("PUT", path, {"attributes": {"n": 2}}),
        ("PATCH", path, {"attributes": {"n": 2}}),
        ("DELETE", path, None),
        ("GET", path, None),
        ("GET", "/records/product", None),
        ("POST", "/records/product/batch", batch(("b", {"n": 1}))),
    ):
        refused = person(method, where, sent)
        assert refusal(refused, 429) == "too-many-requests", (method, where)
        assert f"{limit:,}" in refused.json()["detail"]
        assert 0 < int(refused.headers["Retry-After"]) <= period.total_seconds()
    # What asks, or configures, goes on; and so do keys, and everybody else.
    assert person.available() == 5_000
    define(person)
    expect(customer("GET", path), 200)
    colleague = person_of(stack, operator, customer.workspace_id)
    assert colleague.get(path)["attributes"] == {"n": 1}
    assert law_4(customer)["consumed"] == 1


def test_the_start_of_a_run_counts_for_many_calls(customer: Caller, person: Caller, did: Callable[..., None]) -> None:
    define(person)
    body = {"upload_id": upload(person), "dry_run": True}
    did(person, PER_HOUR - RUN_START_WEIGHT + 1, HOUR)
    assert refusal(person("POST", "/feeds/main/runs", body), 429) == "too-many-requests"
    # What was refused counted for nothing.
    expect(person("PUT", "/records/product/a", {"attributes": {}}), 201)
    expect(customer("POST", "/feeds/main/runs", body), 202)
    assert len(customer.get("/feeds/main/runs")["items"]) == 1
