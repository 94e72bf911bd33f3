"""That each call reaches the credit guard, with the rights that it needs: by doorbell, by stream, by sweep."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from shared.schedules.model import ScheduleDefinition
from shared.schedules.store import ScheduleStore
from shared.times import parse_rfc3339, utc_now
from tests.support.api import Caller, expect
from tests.support.waiting import until

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_scheduler import EventBridgeSchedulerClient

    from productsync.stack import EmbeddedStack
    from tests.support.stack import Tables

DAILY = ScheduleDefinition(
    feed_id="stock", expression="rate(1 day)", time_zone="Europe/Berlin", enabled=True, description="Stock, daily"
)


@dataclass(frozen=True)
class Copies:
    """What EventBridge Scheduler holds of one workspace."""

    client: EventBridgeSchedulerClient
    group: str
    workspace_id: str

    def name(self, schedule_id: str) -> str:
        return f"{self.workspace_id}.{schedule_id}"

    def states(self) -> dict[str, str]:
        listed = self.client.list_schedules(GroupName=self.group, NamePrefix=self.name(""))["Schedules"]
        return {one["Name"].removeprefix(self.name("")): one["State"] for one in listed}

    def get(self, schedule_id: str) -> Any:
        return self.client.get_schedule(GroupName=self.group, Name=self.name(schedule_id))


@pytest.fixture
def copies(stack: EmbeddedStack, customer: Caller) -> Copies:
    return Copies(stack.aws.scheduler(), stack.outputs["ScheduleGroup"], customer.workspace_id)


@pytest.fixture
def schedules(dynamodb: DynamoDBClient, tables: Tables) -> ScheduleStore:
    return ScheduleStore(dynamodb, tables.work)


def sweep(stack: EmbeddedStack) -> None:
    answer = stack.aws.lambda_().invoke(FunctionName=stack.outputs["CreditSweep"], Payload=b"{}")
    said = answer["Payload"].read().decode()
    assert answer.get("FunctionError") is None, said
    assert json.loads(said)["sent"] >= 1


def test_the_change_of_a_row_reaches_the_scheduler(
    stack: EmbeddedStack, customer: Caller, copies: Copies, schedules: ScheduleStore
) -> None:
    schedules.put(customer.workspace_id, "stock", DAILY, utc_now())
    until(lambda: copies.states() == {"stock": "ENABLED"})
    target = copies.get("stock")["Target"]
    assert target["Arn"].endswith(f":function:{stack.outputs['ScheduleRunner']}")
    assert json.loads(target["Input"])["workspace_id"] == customer.workspace_id
    schedules.delete(customer.workspace_id, "stock")
    # A row that goes rings no doorbell: whoever deletes it deletes the copy, and the sweep what was left.
    sweep(stack)
    until(lambda: copies.states() == {})


def test_a_balance_that_reaches_zero_pauses_and_a_top_up_resumes(
    operator: Caller,
    customer: Caller,
    copies: Copies,
    schedules: ScheduleStore,
    spend: Callable[[Caller, int], None],
) -> None:
    for schedule_id in ("one", "two"):
        schedules.put(customer.workspace_id, schedule_id, DAILY, utc_now())
    schedules.put(customer.workspace_id, "off", replace(DAILY, enabled=False), utc_now())
    until(lambda: copies.states() == {"one": "ENABLED", "two": "ENABLED", "off": "DISABLED"})
    before = copies.get("one")
    view = customer.get("/credits")
    assert (view["state"], view["paused"]) == ("active", None)

    spend(customer, 4_999)
    spend(customer, 1)
    until(lambda: copies.states() == {"one": "DISABLED", "two": "DISABLED", "off": "DISABLED"})
    view = customer.get("/credits")
    assert view["state"] == "paused"
    assert view["paused"]["reason"] == "out_of_credits"
    assert parse_rfc3339(view["paused"]["since"]) <= utc_now()
    assert view["paused"]["waiting"] == {"schedules": 2, "runs": 0}

    wish = {"credits": 10, "unit_price": "0.01", "currency": "EUR", "reference": uuid4().hex}
    expect(operator("POST", f"/workspaces/{customer.workspace_id}/top-ups", wish), 201)
    until(lambda: copies.states() == {"one": "ENABLED", "two": "ENABLED", "off": "DISABLED"})
    assert customer.get("/credits")["paused"] is None
    after = copies.get("one")
    for changing in ("ResponseMetadata", "LastModificationDate"):
        del before[changing], after[changing]
    assert after == before


def test_the_sweep_repairs_a_copy_that_is_not_what_it_should_be(
    stack: EmbeddedStack, customer: Caller, copies: Copies, schedules: ScheduleStore
) -> None:
    schedules.put(customer.workspace_id, "stock", DAILY, utc_now())
    until(lambda: copies.states() == {"stock": "ENABLED"})
    found = copies.get("stock")
    for read_only in ("ResponseMetadata", "Arn", "CreationDate", "LastModificationDate"):
        del found[read_only]
    copies.client.update_schedule(**found | {"State": "DISABLED"})
    sweep(stack)
    until(lambda: copies.states() == {"stock": "ENABLED"})
