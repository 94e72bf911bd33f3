"""Schedules that fire on the deployed template: called as EventBridge Scheduler calls, and by EventBridge Scheduler."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.api import CSV, DEFINITION, Caller, expect, law_4, wait
from tests.support.supplier import Asked, Line, Supplier, says
from tests.support.waiting import PATIENCE_SECONDS, until

if TYPE_CHECKING:
    from productsync.stack import EmbeddedStack

pytestmark = pytest.mark.stack

NEVER = "cron(0 6 1 1 ? 2198)"
"""Far off: these schedules are called by hand."""


@dataclass
class Shop:
    """A supplier's server that holds its answer back for as long as it is told to."""

    supplier: Supplier
    open: threading.Event = field(default_factory=threading.Event)

    def answer(self, asked: Asked, line: Line) -> None:
        while not self.open.wait(0.05):
            if line.closing.is_set():
                return
        says(200, CSV)(asked, line)


@pytest.fixture
def shop() -> Iterator[Shop]:
    with Supplier() as supplier:
        shop = Shop(supplier)
        supplier.answers.append(shop.answer)
        yield shop


@dataclass(frozen=True)
class Schedule:
    """A customer's schedule, and the function that its copy in EventBridge Scheduler calls."""

    stack: EmbeddedStack
    customer: Caller

    def fire(self, scheduled_time: str) -> dict[str, str]:
        """Calls the function with the input that the copy holds, and says when it was due."""
        name = f"{self.customer.workspace_id}.hourly"
        copy = self.stack.aws.scheduler().get_schedule(GroupName=self.stack.outputs["ScheduleGroup"], Name=name)
        sent = json.loads(copy["Target"]["Input"]) | {"scheduled_time": scheduled_time}
        answer = self.stack.aws.lambda_().invoke(FunctionName=copy["Target"]["Arn"], Payload=json.dumps(sent).encode())
        told = answer["Payload"].read()
        assert not answer.get("FunctionError"), told
        outcome: dict[str, str] = json.loads(told)
        return outcome

    def runs(self) -> list[dict[str, Any]]:
        return list(self.customer.get("/feeds/supplier/runs")["items"])


@pytest.fixture
def hourly(stack: EmbeddedStack, customer: Caller, shop: Shop) -> Schedule:
    source = {"type": "http", "url": shop.supplier.url()}
    expect(customer("PUT", "/feeds/supplier", DEFINITION | {"source": source}), 201)
    expect(customer("PUT", "/schedules/hourly", {"feed_id": "supplier", "expression": NEVER}), 201)
    return Schedule(stack, customer)


def test_firings_are_started_skipped_and_refused_and_the_log_says_so(
    hourly: Schedule, customer: Caller, shop: Shop, spend: Callable[[Caller, int], None]
) -> None:
    started = hourly.fire("2026-11-22T08:00:00Z")
    assert started["outcome"] == "started"
    assert hourly.fire("2026-11-22T08:00:00Z") == {"outcome": "repeated", "operation_id": started["operation_id"]}

    skipped = hourly.fire("2026-11-22T09:00:00Z")
    assert (skipped["outcome"], skipped["run_id"]) == ("skipped", started["run_id"])

    shop.open.set()
    run = wait(customer, started["run_id"])
    assert (run["state"], run["schedule_id"], run["created"], run["credits"]) == ("finished", "hourly", 3, 3)
    assert customer.available() == 5000 - 2 - 3

    spend(customer, customer.available())
    refused = hourly.fire("2026-11-22T10:00:00Z")
    assert (refused["outcome"], refused["reason"]) == ("refused", "out_of_credits")
    assert [run["run_id"] for run in hourly.runs()] == [started["run_id"]]

    entries = [customer.get(f"/operations/{each['operation_id']}") for each in (started, skipped, refused)]
    assert [(entry["kind"], entry["channel"], entry["job_id"], entry["credits"]) for entry in entries] == [
        ("scheduled_job", "schedule", "hourly", 1),
        ("scheduled_job", "schedule", "hourly", 1),
        ("scheduled_job", "schedule", "hourly", 0),
    ]
    assert [entry["refused"] for entry in entries] == [None, None, "out_of_credits"]
    law_4(customer)


def test_a_schedule_shows_what_it_has_cost(hourly: Schedule, customer: Caller, shop: Shop) -> None:
    # Due now: only the last 30 days are shown.
    now = expect(customer("GET", "/schedules/hourly"), 200).json()["updated_at"]
    shop.open.set()
    run = wait(customer, hourly.fire(now)["run_id"])
    cost = customer.get("/schedules/hourly")["cost"]
    assert cost["credits"] == 1 + run["credits"] == 4


def test_a_run_of_a_feed_that_was_deleted_is_refused(hourly: Schedule, stack: EmbeddedStack, customer: Caller) -> None:
    # The API refuses to delete a feed that schedules run; so somebody was faster than the schedule.
    key = {"pk": {"S": f"W#{customer.workspace_id}#FEEDS"}, "sk": {"S": "supplier"}}
    stack.aws.dynamodb().delete_item(TableName=stack.outputs["WorkTable"], Key=key)
    refused = hourly.fire("2026-11-22T08:00:00Z")
    assert (refused["outcome"], refused["reason"]) == ("refused", "feed_deleted")
    assert customer.available() == 5000


CLEARANCE: dict[str, Any] = {
    "entity": "product",
    "trigger": {"on": ["schedule"]},
    "condition": "stock > 0",
    "actions": [{"set": "label", "to": {"value": "clearance"}}],
}


@pytest.fixture
def of_rule(
    stack: EmbeddedStack, customer: Caller, add_record: Callable[[Caller, str, dict[str, Any]], None]
) -> Schedule:
    """A schedule of a rule that has four of six products to label, of which one is labelled already."""
    for number in range(6):
        labelled = {"label": "clearance"} if number == 5 else {}
        add_record(customer, f"p{number}", {"stock": max(number - 1, 0)} | labelled)
    expect(customer("PUT", "/rules/clearance", CLEARANCE), 201)
    expect(customer("PUT", "/schedules/hourly", {"rule_id": "clearance", "expression": NEVER}), 201)
    return Schedule(stack, customer)


def test_a_schedule_of_a_rule_goes_through_all_records_and_pays_for_what_it_changes(
    of_rule: Schedule, customer: Caller, spend: Callable[[Caller, int], None]
) -> None:
    # Due now: only the last 30 days are shown.
    now = expect(customer("GET", "/schedules/hourly"), 200).json()["updated_at"]
    started = of_rule.fire(now)
    assert started["outcome"] == "started"
    until(lambda: customer.get("/schedules/hourly")["cost"]["unchanged"] == 1)
    assert customer.available() == 5000 - 1 - 3 * 2

    shown = customer.get("/schedules/hourly")
    assert (shown["feed_id"], shown["rule_id"], shown["last_run_id"]) == (None, "clearance", started["run_id"])
    cost = shown["cost"]
    assert (cost["credits"], cost["trigger_credits"], cost["record_credits"]) == (7, 1, 6)
    assert (cost["started"], cost["runs"], cost["updated"]) == (1, 1, 3)
    assert shown["expected"]["per_day"]["records"] == "6"
    records = customer.get("/records/product")["items"]
    assert sorted(record["key"] for record in records if record["attributes"].get("label")) == ["p2", "p3", "p4", "p5"]
    (written,) = {record["operation_id"] for record in records if "clearance" in record["rules"]}
    paid = customer.get(f"/operations/{written}")
    assert (paid["kind"], paid["job_id"], paid["run_id"], paid["credits"]) == (
        "rule",
        "clearance",
        started["run_id"],
        6,
    )
    fired = customer.get(f"/operations/{started['operation_id']}")
    assert (fired["kind"], fired["job_id"], fired["credits"]) == ("scheduled_job", "hourly", 1)

    assert of_rule.fire(now) == {"outcome": "repeated", "operation_id": started["operation_id"]}
    spend(customer, customer.available())
    refused = of_rule.fire("2026-11-22T10:00:00Z")
    assert (refused["outcome"], refused["reason"]) == ("refused", "out_of_credits")
    law_4(customer)


@pytest.mark.slow
def test_eventbridge_scheduler_fires_by_itself(hourly: Schedule, customer: Caller, shop: Shop) -> None:
    shop.open.set()
    every_minute = {"feed_id": "supplier", "expression": "rate(1 minute)"}
    expect(customer("PUT", "/schedules/every-minute", every_minute), 201)
    # The embedded one looks every ten seconds what is due.
    until(hourly.runs, patience=60 + 10 + PATIENCE_SECONDS)
    expect(customer("DELETE", "/schedules/every-minute"), 204)
    run = wait(customer, hourly.runs()[-1]["run_id"])
    assert (run["state"], run["schedule_id"], run["created"]) == ("finished", "every-minute", 3)
    law_4(customer)
