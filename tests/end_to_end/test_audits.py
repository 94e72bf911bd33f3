"""Audits through the API, on the deployed template: asked for, made by their own function, and told."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from shared import keys
from shared.pace import REPORT_PACE, PaceLimits, PaceStore
from shared.times import utc_now
from shared.workspaces.directory import WorkspaceDirectory
from tests.support.api import Caller, define, expect, fields, refusal, top_up, upload, wait
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_boto3_dynamodb import DynamoDBClient

    from tests.support.stack import Tables

pytestmark = pytest.mark.stack


def audited(customer: Caller) -> Any:
    """The report of an audit from now on."""
    asked = expect(customer("POST", "/audits"), 202).json()
    return over(customer, asked["audit_id"])


def over(customer: Caller, audit_id: str) -> Any:
    found: list[Any] = []

    def is_over() -> bool:
        found.append(customer.get(f"/audits/{audit_id}"))
        return bool(found[-1]["state"] != "running")

    until(is_over)
    return found[-1]


@pytest.fixture
def busy(customer: Caller, operator: Caller) -> Caller:
    """A customer with some of everything in the log: an import in steps, calls of a key, a top-up."""
    define(customer)
    rows = "".join(f"p{number},Product {number}\n" for number in range(150))
    upload_id = upload(customer, f"sku,title\n{rows}".encode())
    run = expect(customer("POST", "/feeds/main/runs", {"upload_id": upload_id}), 202).json()
    assert wait(customer, run["run_id"])["created"] == 150
    expect(customer("PUT", "/records/product/by-key", {"attributes": {"title": "by key"}}), 201)
    expect(customer("PATCH", "/records/product/p7", {"attributes": {"title": "by key"}}), 200)
    expect(customer("DELETE", "/records/product/by-key"), 204)
    expect(customer("GET", "/records/product"), 200)
    top_up(operator, customer, 100)
    return customer


def test_the_books_of_a_busy_workspace_balance(busy: Caller) -> None:
    report = audited(busy)
    assert report["differences"] == []
    assert (report["state"], report["balanced"], report["exact"]) == ("finished", True, True)
    log = busy.get("/operations?limit=100")["items"]
    assert report["operations"] == len(log)
    # Two steps of the import, and the three calls that wrote.
    assert report["traced"] == 5
    assert report["records"] == 150
    assert busy.get("/audits")["items"] == [report]


def test_a_damage_is_named(busy: Caller, dynamodb: DynamoDBClient, tables: Tables) -> None:
    (entry, *_) = [one for one in busy.get("/operations?kind=api_call&limit=100")["items"] if one["credits"]]
    dynamodb.delete_item(
        TableName=tables.credit, Key=keys.operation(busy.workspace_id, entry["operation_id"]).attributes()
    )
    report = audited(busy)
    assert report["balanced"] is False
    assert report["difference_count"] >= len(report["differences"]) > 0
    assert {difference["rule"] for difference in report["differences"]} >= {"consumed"}
    (consumed,) = (one for one in report["differences"] if one["rule"] == "consumed")
    assert int(consumed["found"]) - int(consumed["expected"]) == entry["credits"]


def test_a_new_workspace_is_one_that_the_daily_audits_find(
    new_customer: Callable[[], Caller], dynamodb: DynamoDBClient, tables: Tables
) -> None:
    customer = new_customer()
    # The function that asks for all of them would keep the queue from everybody else here.
    assert customer.workspace_id in set(WorkspaceDirectory(dynamodb, tables.work).all())
    assert audited(customer)["balanced"] is True


def test_an_audit_is_asked_for_once_for_each_idempotency_key(customer: Caller) -> None:
    first = expect(customer("POST", "/audits", Idempotency_Key="monday"), 202).json()
    over(customer, first["audit_id"])
    again = expect(customer("POST", "/audits", Idempotency_Key="monday"), 202).json()
    assert again["audit_id"] == first["audit_id"]
    assert len(customer.get("/audits")["items"]) == 1


def test_what_is_no_audit_is_not_found(customer: Caller) -> None:
    expect(customer("GET", "/audits/audit_01KAN2QJ9V3X5Z7B1D4F6H8K0M"), 404)
    expect(customer("GET", "/audits?cursor=nonsense"), 422)


def test_an_audit_takes_no_wishes(customer: Caller) -> None:
    assert fields(customer("POST", "/audits", {"x": 1})) == ["x"]
    assert fields(customer("POST", "/audits", {"x": 1}, Idempotency_Key="odd")) == ["x"]
    assert refusal(customer("POST", "/audits", b"{"), 400) == "malformed-request"
    assert fields(customer("POST", "/audits", b"[]")) == ["body"]
    assert customer.get("/audits")["items"] == []
    asked = expect(customer("POST", "/audits", {}), 202).json()
    assert over(customer, asked["audit_id"])["state"] == "finished"


def test_audits_are_begun_only_so_often_for_those_who_ask(
    customer: Caller, dynamodb: DynamoDBClient, tables: Tables
) -> None:
    last, now = audited(customer), utc_now()
    pace = PaceStore(dynamodb, tables.work, PaceLimits(per_hour=1_000, per_day=1_000))
    for at in (now, now + timedelta(hours=1)):
        # As if the others had been begun already, also if the next hour or day begins meanwhile.
        assert pace.count_on(keys.audits_asked_on_day(customer.workspace_id, at), REPORT_PACE.per_hour, at) is None
    refused = customer("POST", "/audits", Idempotency_Key="too many")
    assert refusal(refused, 429) == "too-many-requests"
    assert 0 < int(refused.headers["Retry-After"]) <= 3_600
    assert refused.json()["detail"].startswith(
        "Audits of a workspace, which are free, are begun 12 times within an hour"
    )
    # Nothing else has to wait for it: what was made is read, and exports are begun.
    assert customer.get("/audits")["items"] == [last]
    expect(customer("POST", "/exports", {}), 202)
