"""Which grants pay: by priority, then soonest expiry, then oldest (design section 2). Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from shared.credits.levels import level_of
from shared.credits.model import Balance, Draw, OpenGrant

MAX_GRANTS_DRAWN = 40
"""Grants that one charge draws on at most, or one withdrawal takes from: DynamoDB takes expressions of up to 4 KB. A
run then takes smaller steps.
"""

_NEVER = datetime.max.replace(tzinfo=UTC)


def drawing_order(grants: Iterable[OpenGrant]) -> list[OpenGrant]:
    """The order in which grants pay. The identifier comes last, so that the order is total."""
    return sorted(
        grants, key=lambda grant: (grant.priority, grant.expires_at or _NEVER, grant.granted_at, grant.grant_id)
    )


def drawable(balance: Balance, now: datetime) -> int:
    """The most credits that one charge can draw."""
    return sum(grant.remaining for grant in _payers(balance, now))


def draw(balance: Balance, credits: int, now: datetime) -> tuple[Draw, ...] | None:
    """What each grant pays of `credits`, or None when they are not all there. Nothing is drawn for nothing."""
    draws: list[Draw] = []
    missing = credits
    for grant in _payers(balance, now):
        if missing == 0:
            break
        part = min(missing, grant.remaining)
        draws.append(Draw(grant.grant_id, part, grant.unit_price, grant.currency, expires=grant.expires_at is not None))
        missing -= part
    return tuple(draws) if missing == 0 else None


def lapsed(balance: Balance, now: datetime) -> tuple[Draw, ...]:
    """What has lapsed by `now` and is still in the account; of many grants the first few."""
    over = [grant for grant in drawing_order(balance.grants) if grant.remaining and not grant.is_live(now)]
    return tuple(_part(grant, grant.remaining) for grant in over[:MAX_GRANTS_DRAWN])


def withdrawal(balance: Balance, grant_id: str | None, credits: int | None, now: datetime) -> tuple[Draw, ...] | None:
    """Which grants `credits` are taken from that shall leave the account: from one grant, or from those that would pay
    next; None for all that is left. Answers None where they are not there.
    """
    live = _payers(balance, now, grant_id)
    missing = sum(grant.remaining for grant in live) if credits is None else credits
    draws: list[Draw] = []
    for grant in live:
        part = min(missing, grant.remaining)
        if part:
            draws.append(_part(grant, part))
        missing -= part
    return tuple(draws) if draws and missing == 0 else None


def withdrawable(balance: Balance, grant_id: str | None, now: datetime) -> int:
    """The most credits that one withdrawal can take, from one grant or from those that would pay next."""
    return sum(grant.remaining for grant in _payers(balance, now, grant_id))


def _part(grant: OpenGrant, credits: int) -> Draw:
    return Draw(grant.grant_id, credits, grant.unit_price, grant.currency)


def _payers(balance: Balance, now: datetime, grant_id: str | None = None) -> list[OpenGrant]:
    """The grants that the next charge may draw on, in their order; or only the one that is named."""
    live = (
        grant
        for grant in balance.grants
        if grant.remaining > 0 and grant.is_live(now) and grant_id in {None, grant.grant_id}
    )
    return drawing_order(live)[:MAX_GRANTS_DRAWN]


@dataclass(frozen=True, slots=True)
class Payment:
    """How an operation is paid: drawn from grants, or owed when they do not reach."""

    draws: tuple[Draw, ...]
    owed: int = 0

    @property
    def drawn(self) -> int:
        return sum(draw.credits for draw in self.draws)


def pay(balance: Balance, credits: int, owe_up_to: int, now: datetime) -> Payment | None:
    """How `credits` are paid from `balance`, or None when they cannot be. A debt may reach `owe_up_to` credits in
    all.
    """
    draws = draw(balance, credits, now)
    if draws is not None:
        return Payment(draws)
    if balance.spendable(now) >= credits:
        # They are there, only spread over more grants than one charge can name: a refusal, never a debt.
        return None
    return Payment((), credits) if balance.owed + credits <= owe_up_to else None


def after(balance: Balance, payment: Payment) -> Balance:
    """What the payment leaves of the balance."""
    taken = {draw.grant_id: draw.credits for draw in payment.draws}
    available = balance.available - payment.drawn
    return replace(
        balance,
        available=available,
        level=min(balance.level, level_of(available, balance.base)),
        consumed=balance.consumed + payment.drawn + payment.owed,
        owed=balance.owed + payment.owed,
        grants=tuple(
            replace(grant, remaining=grant.remaining - taken.get(grant.grant_id, 0)) for grant in balance.grants
        ),
    )
