"""That what changes reaches the rules of the deployed template, and that what rules leave for later reaches their
worker: by stream, doorbell and queue, with the rights that their roles give.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from shared import keys
from shared.catalog import CatalogStore, Record
from shared.ids import new_pass_id
from shared.rules.backlog import BacklogStore
from shared.rules.definition import RuleDefinition
from shared.rules.model import Change, Rule
from shared.rules.passes.model import PassState, RulePass
from shared.rules.passes.store import PassStore, put_new_pass
from shared.rules.store import RuleStore
from shared.times import utc_now
from tests.support.api import Caller, law_4, top_up
from tests.support.waiting import until

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from tests.support.stack import Tables

pytestmark = pytest.mark.stack

DOUBLED = {"set": "double", "to": {"expression": "price * 2"}}


@pytest.fixture
def rules(dynamodb: DynamoDBClient, tables: Tables) -> RuleStore:
    return RuleStore(dynamodb, tables.work)


@pytest.fixture
def backlog(dynamodb: DynamoDBClient, tables: Tables) -> BacklogStore:
    return BacklogStore(dynamodb, tables.work)


@pytest.fixture
def record_of(dynamodb: DynamoDBClient, tables: Tables) -> Callable[[Caller, str], Record | None]:
    catalog = CatalogStore(dynamodb, tables.catalog)
    return lambda customer, key: catalog.get(customer.workspace_id, "product", key)


def put_rule(rules: RuleStore, customer: Caller, *triggers: str) -> Rule:
    definition = RuleDefinition.model_validate(
        {"entity": "product", "trigger": {"on": list(triggers)}, "actions": [DOUBLED]}
    )
    rule = rules.put(customer.workspace_id, "double", definition, utc_now(), seen=None)
    assert rule is not None
    return rule


def change_of(record: Record) -> Change:
    return Change(
        workspace_id=record.workspace_id,
        entity=record.entity,
        key=record.key,
        created_at=record.created_at,
        version=record.version,
        appeared=True,
    )


def test_a_record_that_is_written_reaches_the_rules(
    customer: Caller,
    rules: RuleStore,
    add_record: Callable[[Caller, str, dict[str, Any]], None],
    record_of: Callable[[Caller, str], Record | None],
) -> None:
    rule = put_rule(rules, customer, "created")
    before = law_4(customer)["available"]
    add_record(customer, "A-1", {"price": 21})
    until(lambda: (record := record_of(customer, "A-1")) is not None and record.version == 2)
    record = record_of(customer, "A-1")
    assert record is not None
    assert record.attributes == {"price": 21, "double": 42}
    assert record.marks[rule.rule_id].operation_id == record.operation_id
    assert law_4(customer)["available"] == before - 2


def test_changes_that_wait_go_on_when_a_top_up_makes_two_credits_of_one(
    customer: Caller,
    operator: Caller,
    rules: RuleStore,
    backlog: BacklogStore,
    spend: Callable[[Caller, int], None],
    add_record: Callable[[Caller, str, dict[str, Any]], None],
    record_of: Callable[[Caller, str], Record | None],
) -> None:
    """The balance never was at zero: the guard hears of the top-up all the same, and rings."""
    put_rule(rules, customer, "created")
    spend(customer, 5_000 - 1)
    add_record(customer, "A-1", {"price": 21})
    until(lambda: backlog.get(customer.workspace_id) is not None)
    top_up(operator, customer, 1)
    until(lambda: backlog.get(customer.workspace_id) is None)
    record = record_of(customer, "A-1")
    assert record is not None
    assert record.attributes["double"] == 42
    assert law_4(customer)["available"] == 0


def test_the_doorbell_of_a_backlog_reaches_the_worker(
    customer: Caller,
    rules: RuleStore,
    backlog: BacklogStore,
    add_record: Callable[[Caller, str, dict[str, Any]], None],
    record_of: Callable[[Caller, str], Record | None],
) -> None:
    add_record(customer, "A-1", {"price": 21})
    put_rule(rules, customer, "created")
    record = record_of(customer, "A-1")
    assert record is not None
    backlog.add(customer.workspace_id, [change_of(record)], utc_now(), ring=True)
    until(lambda: backlog.get(customer.workspace_id) is None)
    after = record_of(customer, "A-1")
    assert after is not None
    assert after.attributes["double"] == 42


def test_the_doorbell_of_a_pass_reaches_the_worker(
    customer: Caller,
    rules: RuleStore,
    dynamodb: DynamoDBClient,
    tables: Tables,
    add_record: Callable[[Caller, str, dict[str, Any]], None],
    record_of: Callable[[Caller, str], Record | None],
) -> None:
    add_record(customer, "A-1", {"price": 21})
    rule, now = put_rule(rules, customer, "schedule"), utc_now()
    begun = RulePass(
        pass_id=new_pass_id(now),
        workspace_id=customer.workspace_id,
        rule_id=rule.rule_id,
        rule_version=rule.version,
        entity="product",
        schedule_id="nightly",
        state=PassState.RUNNING,
        created_at=now,
        updated_at=now,
        step_at=now,
    )
    dynamodb.put_item(**put_new_pass(tables.work, begun).request["Put"])
    passes = PassStore(dynamodb, tables.work)

    def now_is() -> RulePass:
        found = passes.get(customer.workspace_id, begun.pass_id)
        assert found is not None
        return found

    until(lambda: now_is().state.is_over)
    assert (now_is().state, now_is().counts.fired, now_is().counts.credits) == (PassState.FINISHED, 1, 2)
    record = record_of(customer, "A-1")
    assert record is not None
    assert record.attributes["double"] == 42


def test_the_doorbell_of_a_suspension_reaches_the_worker_which_tells_of_it(
    customer: Caller, rules: RuleStore, dynamodb: DynamoDBClient, tables: Tables
) -> None:
    rule = put_rule(rules, customer, "created")
    assert rules.suspend(rule, utc_now())
    key = keys.rule(customer.workspace_id, rule.rule_id).attributes()
    until(lambda: "doorbell" not in dynamodb.get_item(TableName=tables.work, Key=key, ConsistentRead=True)["Item"])
