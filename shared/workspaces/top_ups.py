"""Topping a workspace up with credits, once per reference."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from shared.credits import (
    DRAWING_PRIORITY,
    Grant,
    Granted,
    GrantKind,
    GrantReferenceReused,
    GrantReplayed,
    Ledger,
    UnknownWorkspace,
)
from shared.ids import grant_id
from shared.workspaces.expiries import ExpiresInThePast, Expiries, prepare

_NO_TIME = datetime.fromtimestamp(0, UTC)
"""The time in a top-up's identifier: always the same, so that a reference names the same grant at every retry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TopUp:
    """Credits to add. `reference` is the operator's own name for it, such as an invoice; `unit_price` is per credit.
    Of several grants the one with the lowest `priority` is drawn first; None for that of its kind. `actor` is the
    operator's key.
    """

    workspace_id: str
    kind: GrantKind
    credits: int
    unit_price: Decimal
    currency: str
    reference: str
    priority: int | None = None
    expires_at: datetime | None = None
    actor: str | None = None


TopUpOutcome = Granted | GrantReplayed | GrantReferenceReused | UnknownWorkspace | ExpiresInThePast


def top_up(ledger: Ledger, expiries: Expiries, wanted: TopUp, now: datetime) -> TopUpOutcome:
    """Adds the credits, once. A replay is recognised first, even after the credits have expired.

    Raises StoreUnavailable and botocore's errors.
    """
    grant = Grant(
        grant_id=grant_id(_NO_TIME, wanted.workspace_id, wanted.reference),
        workspace_id=wanted.workspace_id,
        kind=wanted.kind,
        credits=wanted.credits,
        unit_price=wanted.unit_price,
        currency=wanted.currency,
        priority=DRAWING_PRIORITY[wanted.kind] if wanted.priority is None else wanted.priority,
        granted_at=now,
        expires_at=wanted.expires_at,
        reference=wanted.reference,
    )
    told = None if grant.expires_at is None else ledger.given(grant)
    return told or prepare(ledger, expiries, grant, now) or ledger.grant(grant, actor=wanted.actor)
