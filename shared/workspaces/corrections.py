"""Corrections of a workspace's credits, once per reference: some are taken back, or some are added. Nothing that was
given or spent is ever changed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from shared.credits import Ledger, OperationKind
from shared.credits.restitutions import Restitution, RestitutionOutcome, Restored
from shared.credits.withdrawals import Withdrawal, WithdrawalOutcome, Withdrawn
from shared.months import Month
from shared.workspaces.expiries import ExpiresInThePast, Expiries, prepare

Render = Callable[[Withdrawn | Restored], str]
"""Gives the answer that a retry of the reference is given again."""

CorrectionOutcome = WithdrawalOutcome | RestitutionOutcome | ExpiresInThePast


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """Credits to add, or below zero to take. `reference` is the operator's own name for it, and `actor` their key.
    Price, currency and expiry are of credits that are added. `corrects` is the month (UTC) whose books it corrects.
    """

    workspace_id: str
    credits: int
    reference: str
    reason: str
    unit_price: Decimal
    currency: str
    expires_at: datetime | None = None
    actor: str | None = None
    corrects: Month | None = None


def correct(ledger: Ledger, expiries: Expiries, wanted: Correction, render: Render, now: datetime) -> CorrectionOutcome:
    """Adds the credits as a grant of their own, or takes them from the grants that would pay next.

    A replay is recognised first, even after its credits have expired. Raises StoreUnavailable and botocore's errors.
    """
    if wanted.credits < 0:
        withdrawal = Withdrawal(
            workspace_id=wanted.workspace_id,
            kind=OperationKind.CORRECTION,
            reference=wanted.reference,
            reason=wanted.reason,
            at=now,
            credits=-wanted.credits,
            actor=wanted.actor,
            corrects=wanted.corrects,
        )
        return ledger.withdraw(withdrawal, lambda operation: render(Withdrawn(operation)))
    restitution = Restitution(
        workspace_id=wanted.workspace_id,
        credits=wanted.credits,
        unit_price=wanted.unit_price,
        currency=wanted.currency,
        reference=wanted.reference,
        reason=wanted.reason,
        at=now,
        expires_at=wanted.expires_at,
        actor=wanted.actor,
        corrects=wanted.corrects,
    )
    told = ledger.look(wanted.workspace_id, call=restitution.call(""), balance=False).told
    return told or prepare(ledger, expiries, restitution.grant, now) or ledger.restore(restitution, render)
