"""The credit account, as it is shown."""

from collections.abc import Iterable
from datetime import datetime
from typing import Literal, Self

from functions.api.models.common import View, decimal_text, time_text
from shared.credits import Balance, Grant
from shared.times import to_rfc3339


class GrantView(View):
    """A grant, and what is left of it: nothing once it has expired."""

    grant_id: str
    kind: str
    credits: int
    remaining: int
    unit_price: str
    currency: str
    priority: int
    reference: str | None
    granted_at: str
    expires_at: str | None

    @classmethod
    def of(cls, grant: Grant, remaining: int) -> Self:
        return cls(
            grant_id=grant.grant_id,
            kind=grant.kind.value,
            credits=grant.credits,
            remaining=remaining,
            unit_price=decimal_text(grant.unit_price),
            currency=grant.currency,
            priority=grant.priority,
            reference=grant.reference,
            granted_at=to_rfc3339(grant.granted_at),
            expires_at=time_text(grant.expires_at),
        )


class CreditsView(View):
    """A workspace's account: `granted - expired - void = available + consumed - owed` (design section 4, law 4)."""

    workspace_id: str
    state: Literal["active", "exhausted"]
    available: int
    owed: int
    granted: int
    consumed: int
    expired: int
    void: int
    currency: str
    grants: list[GrantView]

    @classmethod
    def of(cls, balance: Balance, grants: Iterable[Grant], currency: str, now: datetime) -> Self:
        """The account at `now`: what has lapsed since anybody booked it counts as expired."""
        available = balance.spendable(now)
        left = {grant.grant_id: grant.remaining for grant in balance.grants if grant.is_live(now)}
        return cls(
            workspace_id=balance.workspace_id,
            state="active" if available > 0 else "exhausted",
            available=available,
            owed=balance.owed,
            granted=balance.granted,
            consumed=balance.consumed,
            expired=balance.expired + balance.lapsed(now),
            void=balance.void,
            currency=currency,
            grants=[GrantView.of(grant, left.get(grant.grant_id, 0)) for grant in grants],
        )
