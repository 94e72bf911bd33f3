"""Who calls the deployed API: an operator, customers, and what happens to their credits meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from shared.catalog import Record, put_record
from shared.credits import Action, Channel, Committed, Ledger, OperationKind, Plan
from shared.ids import operation_id
from shared.times import utc_now
from tests.support.api import Caller, expect
from tests.support.command import Command

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from productsync.stack import EmbeddedStack
    from tests.support.stack import Tables


@pytest.fixture(scope="session")
def operator(stack: EmbeddedStack) -> Caller:
    return Caller(stack.endpoint, stack.operator_key)


@pytest.fixture
def new_customer(operator: Caller) -> Callable[[], Caller]:
    """Opens a workspace with 5,000 credits."""

    def open_workspace() -> Caller:
        opened = expect(operator("POST", "/workspaces", {"name": "Acme"}), 201).json()
        return Caller(operator.endpoint, opened["api_key"]["secret"], opened["workspace_id"])

    return open_workspace


@pytest.fixture
def customer(new_customer: Callable[[], Caller]) -> Caller:
    return new_customer()


@pytest.fixture
def command(customer: Caller, tmp_path: Path) -> Command:
    """Runs commands as the customer."""
    return Command(customer, tmp_path / "home")


@pytest.fixture
def spend(dynamodb: DynamoDBClient, tables: Tables) -> Callable[[Caller, int], None]:
    """Charges a customer's account as automation would; what is not there is owed."""

    def charge(customer: Caller, credits: int) -> None:
        now = utc_now()
        plan = Plan(
            operation_id=operation_id(now, customer.workspace_id, uuid4().hex),
            workspace_id=customer.workspace_id,
            kind=OperationKind.API_CALL,
            channel=Channel.API,
            at=now,
            credits=credits,
            fingerprint="spent",
            actions={Action.API_CALL: credits},
            owe_up_to=1_000,
        )
        assert isinstance(Ledger(dynamodb, tables.credit).commit(plan), Committed)

    return charge


@pytest.fixture
def add_record(dynamodb: DynamoDBClient, tables: Tables) -> Callable[[Caller, str, dict[str, Any]], None]:
    """Writes a record, free, as a person would."""

    def write(customer: Caller, key: str, attributes: dict[str, Any]) -> None:
        now = utc_now()
        record = Record(
            workspace_id=customer.workspace_id,
            entity="product",
            key=key,
            attributes=attributes,
            version=1,
            created_at=now,
            updated_at=now,
            operation_id=None,
        )
        dynamodb.put_item(**put_record(tables.catalog, record, None).request["Put"])

    return write
