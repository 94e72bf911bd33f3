"""The operation log through API Gateway: who had it done, what became of it, and down to the records."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import jwt
import pytest

from shared.pace import PaceLimits, PaceStore
from shared.times import utc_now
from tests.support.api import Caller, define, expect, fields, refusal, upload, wait
from tests.support.people import person_of

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from productsync.stack import EmbeddedStack
    from tests.support.stack import Tables

FEED = b"sku,title\na,one\nb,two\nc,three\n"
CHANGED = b"sku,title\na,one\nb,TWO\nc,three\nd,four\n"


def run_of(customer: Caller, content: bytes) -> str:
    """A run of the feed on this file, at its end."""
    started = expect(customer("POST", "/feeds/main/runs", {"upload_id": upload(customer, content)}), 202)
    run_id: str = started.json()["run_id"]
    assert wait(customer, run_id)["state"] == "finished"
    return run_id


def test_an_import_is_followed_down_to_its_records_page_by_page(customer: Caller) -> None:
    define(customer)
    first = run_of(customer, FEED)
    (step,) = customer.get(f"/operations?run_id={first}")["items"]
    assert step["records"] == {"product": {"created": 3, "updated": 0, "unchanged": 0, "deleted": 0, "credits": 3}}
    page = customer.get(f"/operations/{step['operation_id']}/records?limit=2")
    rest = customer.get(f"/operations/{step['operation_id']}/records?limit=2&cursor={page['next_cursor']}")
    assert [(each["key"], each["current"]) for each in page["items"] + rest["items"]] == [
        ("a", True),
        ("b", True),
        ("c", True),
    ]
    assert rest["next_cursor"] is None

    second = run_of(customer, CHANGED)
    expect(customer("DELETE", "/records/product/c"), 204)
    (change,) = customer.get(f"/operations?run_id={second}")["items"]
    assert change["actor"] == step["actor"]
    assert change["records"] == {"product": {"created": 1, "updated": 1, "unchanged": 2, "deleted": 0, "credits": 2}}
    now = customer.get(f"/operations/{step['operation_id']}/records")["items"]
    assert {each["key"]: each["current"] for each in now} == {"a": True, "b": False, "c": None}

    third = run_of(customer, FEED.replace(b"two", b"TWO").replace(b"c,three\n", b""))
    (note,) = customer.get(f"/operations?run_id={third}")["items"]
    assert (note["credits"], note["records"]["product"]["unchanged"]) == (0, 2)
    assert customer.get(f"/operations/{note['operation_id']}/records") == {"items": [], "next_cursor": None}


def test_it_is_asked_by_who_had_it_done_and_what_became_of_it(customer: Caller) -> None:
    expect(customer("PUT", "/records/product/a", {"attributes": {"title": "A"}}), 201)
    expect(customer("GET", "/records/product/a"), 200)
    (read, write) = customer.get("/operations?outcome=charged")["items"]
    assert read["actor"] == write["actor"]
    assert write["actor"].startswith("key_")
    assert write["records"]["product"]["created"] == 1
    assert read["records"] == {}
    assert customer.get(f"/operations?actor={write['actor']}")["items"] == [read, write]
    assert customer.get("/operations?actor=nobody")["items"] == []
    assert customer.get("/operations?outcome=refused")["items"] == []
    assert customer.get("/operations?outcome=free")["items"] == []
    assert fields(customer("GET", "/operations?outcome=lost")) == ["outcome"]


def test_records_that_nobody_can_name_any_more_are_still_counted(customer: Caller, stack: EmbeddedStack) -> None:
    define(customer)
    (step,) = customer.get(f"/operations?run_id={run_of(customer, FEED)}")["items"]
    path = f"/operations/{step['operation_id']}/records"
    s3, bucket = stack.aws.s3(), stack.outputs["DataBucket"]
    # What the bucket's lifecycle does in about a year.
    listed = s3.list_objects_v2(Bucket=bucket, Prefix=f"runs/{customer.workspace_id}/")
    for entry in listed["Contents"]:
        s3.delete_object(Bucket=bucket, Key=entry["Key"])
    gone = customer("GET", path)
    assert refusal(gone, 410) == "records-forgotten"
    assert gone.json()["records"] == step["records"]
    assert refusal(customer("GET", "/operations/op_none/records"), 404) == "not-found"
    assert fields(customer("GET", f"{path}?limit=0")) == ["limit"]


def test_a_period_that_cannot_be_meant_is_refused_with_the_reason(customer: Caller) -> None:
    told = {
        "from=9000-01-01T00:00:00Z": "Input should not be in the future",
        "from=2026-02-02T00:00:00Z&to=2026-02-01T00:00:00Z": "Input should not be after to",
    }
    for query, message in told.items():
        refused = customer("GET", f"/operations?{query}")
        assert refusal(refused, 422) == "validation"
        assert refused.json()["errors"] == [{"field": "from", "message": message}]


def test_a_cursor_of_another_listing_is_refused(customer: Caller) -> None:
    define(customer)
    (step,) = customer.get(f"/operations?run_id={run_of(customer, FEED)}")["items"]
    for cursor in ("bTg", "OTk", "LTE"):
        assert fields(customer("GET", f"/operations/{step['operation_id']}/records?cursor={cursor}")) == ["cursor"]


@pytest.mark.parametrize("by_hand", [True, False])
def test_the_records_of_an_operation_are_free_and_asked_for_no_faster_than_a_hand_could(
    stack: EmbeddedStack,
    operator: Caller,
    customer: Caller,
    dynamodb: DynamoDBClient,
    tables: Tables,
    *,
    by_hand: bool,
) -> None:
    made = expect(customer("PUT", "/records/product/a", {"attributes": {"title": "A"}}), 201)
    path = f"/operations/{made.headers['X-Operation-Id']}/records"
    entry = customer.get(f"/operations/{made.headers['X-Operation-Id']}")
    caller, name = customer, entry["actor"]
    if by_hand:
        caller = person_of(stack, operator, customer.workspace_id)
        name = f"person_{jwt.decode(caller.key, options={'verify_signature': False})['sub']}"
    assert [each["key"] for each in caller.get(path)["items"]] == ["a"]
    # All calls of this hour, and of the next: the clock may turn meanwhile.
    others = PaceStore(dynamodb, tables.work, PaceLimits(per_hour=10**9, per_day=10**9))
    for at in (utc_now(), utc_now() + timedelta(hours=1)):
        others.count(customer.workspace_id, name, 3_600, at)
    refused = caller("GET", path)
    assert refusal(refused, 429) == "too-many-requests"
    assert "3,600" in refused.json()["detail"]
    assert 0 < int(refused.headers["Retry-After"]) <= 3_600
    # Nobody else waits for that, and nothing else does.
    assert caller.get("/operations")["items"] == [entry]
    other = customer if by_hand else person_of(stack, operator, customer.workspace_id)
    assert [each["key"] for each in other.get(path)["items"]] == ["a"]
    if not by_hand:
        expect(customer("GET", "/records/product/a"), 200)
