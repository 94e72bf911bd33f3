"""Accounts that are charged and topped up, as automation and operators do it."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from itertools import count
from typing import TYPE_CHECKING

from shared.credits import Action, Channel, Committed, Granted, GrantKind, Ledger, OperationKind, Plan
from shared.ids import operation_id
from shared.times import utc_now
from shared.workspaces.expiries import Expiries, ExpirySettings
from shared.workspaces.store import Opened, WorkspaceStore
from shared.workspaces.top_ups import TopUp, top_up

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_dynamodb import DynamoDBClient

_NOTHING_EXPIRES = Expiries(ExpirySettings(group="", function_arn="", role_arn="", dead_letters_arn=""))


@dataclass(frozen=True)
class Accounts:
    """The accounts in one pair of tables. Safe to share between threads."""

    client: DynamoDBClient
    credit_table: str
    work_table: str
    _numbers: Iterator[int] = field(default_factory=count)

    def open(self, credits: int) -> str:
        """The identifier of a new workspace with so many credits."""
        store = WorkspaceStore(self.client, self.work_table, self.credit_table)
        opened = store.open("bench", credits, "EUR", idempotency_key=None, now=utc_now())
        assert isinstance(opened, Opened)
        return opened.workspace.workspace_id

    def ledger(self) -> Ledger:
        """One that remembers nothing yet: a function that starts cold."""
        return Ledger(self.client, self.credit_table)

    def charge(self, ledger: Ledger, workspace_id: str, credits: int) -> None:
        now = utc_now()
        plan = Plan(
            operation_id=operation_id(now, workspace_id, str(next(self._numbers))),
            workspace_id=workspace_id,
            kind=OperationKind.API_CALL,
            channel=Channel.API,
            at=now,
            credits=credits,
            fingerprint="bench",
            actions={Action.API_CALL: credits},
        )
        outcome = ledger.commit(plan)
        assert isinstance(outcome, Committed), outcome

    def top_up(self, workspace_id: str, credits: int) -> None:
        now = utc_now()
        wanted = TopUp(
            workspace_id=workspace_id,
            kind=GrantKind.PAID,
            credits=credits,
            unit_price=Decimal("0.01"),
            currency="EUR",
            reference=str(next(self._numbers)),
        )
        outcome = top_up(self.ledger(), _NOTHING_EXPIRES, wanted, now)
        assert isinstance(outcome, Granted), outcome
