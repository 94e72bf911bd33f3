"""That the change of a schedule's row reaches EventBridge Scheduler, by doorbell or by sweep.

That the end of credits and their return do is told in test_credit_guard.py.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from shared.schedules.model import ScheduleDefinition
from shared.schedules.store import ScheduleStore
from shared.times import utc_now
from tests.support.api import Caller
from tests.support.copies import Copies
from tests.support.waiting import until

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from productsync.stack import EmbeddedStack
    from tests.support.stack import Tables

DAILY = ScheduleDefinition(
    feed_id="stock", expression="rate(1 day)", time_zone="Europe/Berlin", enabled=True, description="Stock, daily"
)


@pytest.fixture
def copies(stack: EmbeddedStack, customer: Caller) -> Copies:
    return Copies.of(stack, customer.workspace_id)


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
    schedules.put(customer.workspace_id, "stock", DAILY, utc_now(), seen=schedules.get(customer.workspace_id, "stock"))
    until(lambda: copies.states() == {"stock": "ENABLED"})
    target = copies.get("stock")["Target"]
    assert target["Arn"].endswith(f":function:{stack.outputs['ScheduleRunner']}")
    assert json.loads(target["Input"])["workspace_id"] == customer.workspace_id
    schedules.delete(customer.workspace_id, "stock")
    # A row that goes rings no doorbell: whoever deletes it deletes the copy, and the sweep what was left.
    sweep(stack)
    until(lambda: copies.states() == {})
