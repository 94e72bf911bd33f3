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

_NO_TIME = datetime.fromtimestamp(0, UTC)
"""The time in a top-up's identifier: always the same, so that a reference names the same grant at every retry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TopUp:
    """Credits to add. `reference` is the operator's own name for it, such as an invoice; `unit_price` is per credit."""

    workspace_id: str
    kind: GrantKind
    credits: int
    unit_price: Decimal
    currency: str
    reference: str
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ExpiresInThePast:
    """The credits would be gone before they came. Nothing was added."""

    expires_at: datetime


TopUpOutcome = Granted | GrantReplayed | GrantReferenceReused | UnknownWorkspace | ExpiresInThePast


def top_up(ledger: Ledger, wanted: TopUp, now: datetime) -> TopUpOutcome:
    """Adds the credits, once. A replay is recognised even after the credits have expired."""
    grant = Grant(
        grant_id=grant_id(_NO_TIME, wanted.workspace_id, wanted.reference),
        workspace_id=wanted.workspace_id,
        kind=wanted.kind,
        credits=wanted.credits,
        unit_price=wanted.unit_price,
        currency=wanted.currency,
        priority=DRAWING_PRIORITY[wanted.kind],
        granted_at=now,
        expires_at=wanted.expires_at,
        reference=wanted.reference,
    )
    if grant.expires_at is None or grant.expires_at > now:
        return ledger.grant(grant)
    return ledger.given(grant) or ExpiresInThePast(grant.expires_at)
