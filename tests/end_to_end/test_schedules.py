"""Schedules through API Gateway on the deployed template, and their copies in EventBridge Scheduler itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from shared.schedules.history import DayTally, add_to_day
from shared.times import utc_now
from tests.support.api import DEFINITION, Caller, define, expect, fields, refusal

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_scheduler import EventBridgeSchedulerClient
    from mypy_boto3_scheduler.type_defs import GetScheduleOutputTypeDef

    from productsync.stack import EmbeddedStack
    from tests.support.stack import Tables

    CopyOf = Callable[[Caller, str], GetScheduleOutputTypeDef | None]

# Far off, so that nothing fires while a test looks.
NIGHTLY = {"feed_id": "supplier", "expression": "cron(0 6 1 1 ? *)", "time_zone": "Europe/Berlin"}


@pytest.fixture
def supplier(customer: Caller) -> Caller:
    """A customer with a feed that can be pulled."""
    source = {"type": "http", "url": "http://localhost:9/stock.csv"}
    expect(customer("PUT", "/feeds/supplier", DEFINITION | {"source": source}), 201)
    return customer


@pytest.fixture(scope="session")
def scheduler(stack: EmbeddedStack) -> EventBridgeSchedulerClient:
    return stack.aws.scheduler()


@pytest.fixture
def copy_of(stack: EmbeddedStack, scheduler: EventBridgeSchedulerClient) -> CopyOf:
    """What EventBridge Scheduler holds of a customer's schedule."""

    def get(customer: Caller, schedule_id: str) -> GetScheduleOutputTypeDef | None:
        name = f"{customer.workspace_id}.{schedule_id}"
        try:
            return scheduler.get_schedule(GroupName=stack.outputs["ScheduleGroup"], Name=name)
        except scheduler.exceptions.ResourceNotFoundException:
            return None

    return get


def put(customer: Caller, schedule_id: str = "nightly", status: int = 201, **changed: Any) -> dict[str, Any]:
    return dict(expect(customer("PUT", f"/schedules/{schedule_id}", NIGHTLY | changed), status).json())


def test_a_schedule_is_set_shown_and_carried_over(supplier: Caller, copy_of: CopyOf) -> None:
    made = put(supplier, expression="cron(0 6 1 1 ? 2100-2104)", description="before the shop opens")
    assert made == supplier.get("/schedules/nightly") | {"cost": made["cost"]}
    assert (made["schedule_id"], made["feed_id"], made["state"], made["enabled"]) == (
        "nightly",
        "supplier",
        "enabled",
        True,
    )
    assert made["next_firings"] == [f"{year}-01-01T05:00:00.000Z" for year in range(2100, 2105)]
    assert made["runs_per_day"] == "0"
    assert made["cost"]["credits"] == 0
    assert made["expected"]["per_month"] == {"triggers": "0", "records": None, "total": None}
    triggers = {each["expression"]: each["per_month"]["triggers"] for each in made["frequencies"]}
    assert triggers == {"rate(15 minutes)": "2880", "rate(1 hour)": "720", "rate(1 day)": "30"}
    assert supplier.available() == 5000

    copy = copy_of(supplier, "nightly")
    assert copy is not None
    assert (copy["State"], copy["Description"]) == ("ENABLED", "before the shop opens")
    assert (copy["ScheduleExpression"], copy["ScheduleExpressionTimezone"]) == (
        "cron(0 6 1 1 ? 2100-2104)",
        "Europe/Berlin",
    )
    assert json.loads(copy["Target"]["Input"]) == {
        "workspace_id": supplier.workspace_id,
        "schedule_id": "nightly",
        "version": made["version"],
        "scheduled_time": "<aws.scheduler.scheduled-time>",
    }


def test_a_schedule_shows_what_it_did_and_what_that_leads_to_expect(
    supplier: Caller, dynamodb: DynamoDBClient, tables: Tables
) -> None:
    put(supplier)
    did = DayTally(
        day=utc_now().date(), started=3, skipped=1, refused=2, trigger_credits=4, runs=3, created=10, record_credits=10
    )
    before = replace(did, day=did.day - timedelta(days=29), created=0, record_credits=0)
    too_old = replace(did, day=did.day - timedelta(days=32))
    for day in (did, before, too_old):
        # None of our own transactions: what a firing adds is added here by itself.
        update = add_to_day(tables.work, supplier.workspace_id, "nightly", day).request["Update"]
        dynamodb.update_item(**{name: value for name, value in update.items() if not name.startswith("Return")})
    shown = supplier.get("/schedules/nightly")
    cost = shown["cost"]
    assert (cost["credits"], cost["trigger_credits"], cost["record_credits"]) == (18, 8, 10)
    assert (cost["started"], cost["skipped"], cost["refused"], cost["created"]) == (6, 2, 4, 10)
    assert shown["expected"]["per_day"]["records"] == "10"
    assert [each["per_day"]["total"] for each in shown["frequencies"]] == ["106", "34", "11"]


def test_a_schedule_is_replaced_as_a_whole(supplier: Caller, copy_of: CopyOf) -> None:
    first = put(supplier, description="old")
    second = put(supplier, status=200, expression="CRON( 30 7 ? * mon-fri * )", time_zone="America/New_York")
    assert second["version"] > first["version"]
    assert (second["created_at"], second["description"]) == (first["created_at"], "")
    assert (second["expression"], second["time_zone"]) == ("cron(30 7 ? * MON-FRI *)", "America/New_York")
    copy = copy_of(supplier, "nightly")
    assert copy is not None
    assert (copy["ScheduleExpression"], copy["ScheduleExpressionTimezone"]) == (
        "cron(30 7 ? * MON-FRI *)",
        "America/New_York",
    )
    assert json.loads(copy["Target"]["Input"])["version"] == second["version"]


def test_a_schedule_runs_a_rule_that_is_there_and_scheduled(supplier: Caller, copy_of: CopyOf) -> None:
    of_rule = {"feed_id": None, "rule_id": "clearance"}
    rule = {"entity": "product", "trigger": {"on": ["updated"]}, "actions": [{"clear": "old_price"}]}

    def refused(wanted: dict[str, Any]) -> tuple[str, str]:
        (error,) = expect(supplier("PUT", "/schedules/nightly", NIGHTLY | wanted), 422).json()["errors"]
        return error["field"], error["message"]

    assert refused(of_rule) == ("rule_id", "there is no rule clearance")
    expect(supplier("PUT", "/rules/clearance", rule), 201)
    field, message = refused(of_rule)
    assert (field, message.startswith("the rule clearance listens to changes")) == ("rule_id", True)
    field, message = refused({"rule_id": "clearance"})
    assert (field, message.endswith("name one of the two")) == ("body", True)
    field, message = refused({"feed_id": None})
    assert (field, message.startswith("name the feed")) == ("body", True)
    assert copy_of(supplier, "nightly") is None

    expect(supplier("PUT", "/rules/clearance", rule | {"trigger": {"on": ["schedule"]}}), 200)
    made = expect(supplier("PUT", "/schedules/nightly", NIGHTLY | of_rule), 201).json()
    assert (made["feed_id"], made["rule_id"], made["state"]) == (None, "clearance", "enabled")
    assert [each["rule_id"] for each in supplier.get("/schedules")["items"]] == ["clearance"]
    assert copy_of(supplier, "nightly") is not None
    assert refusal(supplier("DELETE", "/rules/clearance"), 409) == "rule-in-use"

    assert put(supplier, status=200)["rule_id"] is None
    expect(supplier("DELETE", "/rules/clearance"), 204)


def test_a_disabled_schedule_is_disabled_in_the_scheduler_and_comes_back(supplier: Caller, copy_of: CopyOf) -> None:
    off = put(supplier, enabled=False)
    assert (off["state"], off["next_firings"]) == ("disabled", [])
    copy = copy_of(supplier, "nightly")
    assert copy is not None
    assert copy["State"] == "DISABLED"
    assert put(supplier, status=200)["state"] == "enabled"
    copy = copy_of(supplier, "nightly")
    assert copy is not None
    assert copy["State"] == "ENABLED"


def test_out_of_credits_a_schedule_is_paused_and_still_wanted(
    supplier: Caller,
    spend: Callable[[Caller, int], None],
    copy_of: CopyOf,
) -> None:
    spend(supplier, 5000)
    made = put(supplier)
    assert (made["enabled"], made["state"], len(made["next_firings"])) == (True, "paused", 5)
    (listed,) = supplier.get("/schedules")["items"]
    assert listed["state"] == "paused"
    copy = copy_of(supplier, "nightly")
    assert copy is not None
    assert copy["State"] == "DISABLED"


def test_a_deleted_schedule_is_gone_from_the_scheduler_too(supplier: Caller, copy_of: CopyOf) -> None:
    put(supplier)
    assert refusal(supplier("DELETE", "/feeds/supplier"), 409) == "feed-in-use"
    assert expect(supplier("DELETE", "/schedules/nightly"), 204).content == b""
    assert copy_of(supplier, "nightly") is None
    assert refusal(supplier("GET", "/schedules/nightly"), 404) == "not-found"
    assert refusal(supplier("DELETE", "/schedules/nightly"), 404) == "not-found"
    expect(supplier("DELETE", "/feeds/supplier"), 204)


def test_a_feed_in_use_names_the_schedules(supplier: Caller) -> None:
    put(supplier, "nightly")
    put(supplier, "weekly")
    problem = expect(supplier("DELETE", "/feeds/supplier"), 409).json()
    assert problem["detail"] == "Schedules pull it: nightly, weekly. Delete them first."


def test_schedules_are_listed_page_by_page_without_their_costs(supplier: Caller) -> None:
    for name in ("c", "a", "b"):
        put(supplier, name)
    first = supplier.get("/schedules?limit=2")
    assert [each["schedule_id"] for each in first["items"]] == ["a", "b"]
    rest = supplier.get(f"/schedules?limit=2&cursor={first['next_cursor']}")
    assert [each["schedule_id"] for each in rest["items"]] == ["c"]
    assert rest["next_cursor"] is None
    assert "cost" not in first["items"][0]
    assert fields(supplier("GET", "/schedules?limit=0")) == ["limit"]
    assert fields(supplier("GET", "/schedules?cursor=_")) == ["cursor"]


@pytest.mark.parametrize(
    ("changed", "field", "told"),
    [
        ({"expression": "rate(1 minutes)"}, "expression", "write rate(1 minute)"),
        ({"expression": "0 6 * * *"}, "expression", "did you mean cron(0 6 * * ? *)?"),
        ({"expression": "cron(0 6 31 2 ? *)"}, "expression", "never fires"),
        ({"expression": "cron(0 6 1 1 ? 2020)"}, "expression", "the year 2020 is past"),
        ({"expression": "at(2020-01-01T00:00:00)"}, "expression", "is past"),
        ({"time_zone": "Europe/Berln"}, "time_zone", "did you mean Europe/Berlin?"),
        ({"time_zone": "Mars/Olympus"}, "time_zone", "there is no time zone"),
        ({"feed_id": "other"}, "feed_id", "there is no feed other"),
        ({"feed_id": "main"}, "feed_id", "no source to pull from"),
        ({"enabled": 1}, "enabled", "boolean"),
        ({"rate": "hourly"}, "rate", "not permitted"),
        ({"description": "x" * 513}, "description", "512"),
    ],
)
def test_a_mistake_is_told_and_nothing_is_saved(
    supplier: Caller, changed: dict[str, Any], field: str, told: str
) -> None:
    define(supplier, "main")
    problem = expect(supplier("PUT", "/schedules/nightly", NIGHTLY | changed), 422).json()
    assert [error["field"] for error in problem["errors"]] == [field]
    assert told in problem["errors"][0]["message"]
    assert supplier.get("/schedules")["items"] == []


@pytest.mark.parametrize("name", ["Nightly", "-nightly", "x" * 35, "a.b", "a b"])
def test_a_name_that_the_scheduler_has_no_room_for_is_refused(supplier: Caller, name: str) -> None:
    assert fields(supplier("PUT", f"/schedules/{name}", NIGHTLY)) == ["schedule_id"]


@pytest.mark.parametrize("name", ["Nightly", "-nightly", "x" * 35, "a.b", "a%20b", "%C3%BC", "a%2Fb"])
def test_what_cannot_be_is_not_there_to_delete(supplier: Caller, name: str) -> None:
    assert refusal(supplier("DELETE", f"/schedules/{name}"), 404) == "not-found"
    assert refusal(supplier("GET", f"/schedules/{name}"), 404) == "not-found"


def test_the_longest_name_there_is_room_for(supplier: Caller, copy_of: CopyOf) -> None:
    put(supplier, "x" * 34)
    assert copy_of(supplier, "x" * 34) is not None


def test_a_time_to_come_fires_once(supplier: Caller) -> None:
    at = datetime.now(UTC).replace(microsecond=0, tzinfo=None) + timedelta(days=3)
    made = put(supplier, expression=f"at({at.isoformat()})", time_zone="UTC")
    assert made["next_firings"] == [f"{at.isoformat()}.000Z"]
    assert made["expected"]["per_month"]["triggers"] == "1"


def test_another_workspaces_schedules_are_not_there(supplier: Caller, new_customer: Callable[[], Caller]) -> None:
    put(supplier)
    stranger = new_customer()
    assert stranger.get("/schedules")["items"] == []
    assert refusal(stranger("GET", "/schedules/nightly"), 404) == "not-found"
    assert refusal(stranger("DELETE", "/schedules/nightly"), 404) == "not-found"


def test_an_operator_has_no_schedules(operator: Caller) -> None:
    assert refusal(operator("GET", "/schedules"), 403) == "forbidden"
    assert refusal(operator("PUT", "/schedules/nightly", NIGHTLY), 403) == "forbidden"
