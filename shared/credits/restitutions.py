"""Credits that a correction adds: a grant of its own, and an entry in the log that says why.

A correction that takes credits is a `shared.credits.withdrawals.Withdrawal`. The two share their references, so that
one reference never does both.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from shared import keys
from shared.channels import Channel
from shared.credits.model import DRAWING_PRIORITY, Grant, GrantKind, Operation, OperationKind
from shared.credits.plan import ClientCall, OperationIdReused, Replayed, UnknownWorkspace
from shared.ids import fingerprint, grant_id, operation_id
from shared.months import Month
from shared.times import to_rfc3339

_NO_TIME = datetime.fromtimestamp(0, UTC)
"""The time in the grant's identifier: always the same, so that a reference names the same grant at every retry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Restitution:
    """Credits to add, and why. `reference` is the operator's own name for it: the same is done once. `unit_price` is
    per credit. `actor` is the operator's key; `corrects` is the month (UTC) whose books it corrects, where it names
    one.
    """

    workspace_id: str
    credits: int
    unit_price: Decimal
    currency: str
    reference: str
    reason: str
    at: datetime
    expires_at: datetime | None = None
    actor: str | None = None
    corrects: Month | None = None

    @property
    def grant(self) -> Grant:
        """What becomes of it in the account."""
        return Grant(
            grant_id=grant_id(_NO_TIME, self.workspace_id, OperationKind.CORRECTION, self.reference),
            workspace_id=self.workspace_id,
            kind=GrantKind.CORRECTION,
            credits=self.credits,
            unit_price=self.unit_price,
            currency=self.currency,
            priority=DRAWING_PRIORITY[GrantKind.CORRECTION],
            granted_at=self.at,
            expires_at=self.expires_at,
            reference=self.reference,
            corrects=self.corrects,
        )

    @property
    def operation(self) -> Operation:
        """Its entry in the log. It consumes nothing and takes nothing."""
        return Operation(
            operation_id=operation_id(self.at, self.workspace_id, OperationKind.CORRECTION, self.reference),
            workspace_id=self.workspace_id,
            kind=OperationKind.CORRECTION,
            channel=Channel.API,
            at=self.at,
            credits=0,
            fingerprint=self._fingerprint(),
            actions={},
            description=self.reason,
            actor=self.actor,
            reference=self.reference,
            corrects=self.corrects,
        )

    def call(self, answer: str) -> ClientCall:
        """How it is recognised when it comes again."""
        key = keys.call(self.workspace_id, OperationKind.CORRECTION, self.reference)
        return ClientCall(key, self._fingerprint(), answer)

    def _fingerprint(self) -> str:
        # 0.010 and 0.01 are one price.
        price = format(self.unit_price.normalize(), "f")
        until = "" if self.expires_at is None else to_rfc3339(self.expires_at)
        month = () if self.corrects is None else (str(self.corrects),)
        return fingerprint(
            OperationKind.CORRECTION, "grant", str(self.credits), price, self.currency, until, self.reason, *month
        )


@dataclass(frozen=True, slots=True)
class Restored:
    """The credits are there; `settled` of them paid a debt at once."""

    operation: Operation
    grant: Grant
    settled: int


RestitutionOutcome = Restored | Replayed | OperationIdReused | UnknownWorkspace
