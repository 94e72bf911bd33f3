"""Where credits went in a period: the figures by job, kind, actor, entity, day or month, with their money.

Money is not kept in the figures: they count the credits drawn on each grant, and a grant has one price. So it is exact,
whatever currencies and prices there are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, localcontext
from enum import StrEnum
from itertools import islice

from shared.credits.ledger import Ledger
from shared.credits.model import EXACT, GIVEN_AWAY, Balance, Grant
from shared.ids import time_of
from shared.usage.store import SoFar, UsageStore, month_name
from shared.usage.tally import Dimension, Figures

MOST_DAYS = 366
"""Days of a period at most: a leap year."""

MOST_FIGURES = 50_000
"""Figures that one report reads at most, one for each value and day: some 13 pages of 1 MB, and a third of the time
that the API's function has (docs/measurements.md).
"""

MOST_GROUPS = 5_000
"""Groups of one report at most: 500 to 600 bytes each in an answer that may have 6 MB."""


class Grouping(StrEnum):
    """What figures are grouped by."""

    JOB = "job"
    KIND = "kind"
    ACTOR = "actor"
    ENTITY = "entity"
    DAY = "day"
    MONTH = "month"


_DIMENSIONS = {
    Grouping.JOB: Dimension.JOB,
    Grouping.KIND: Dimension.KIND,
    Grouping.ACTOR: Dimension.ACTOR,
    Grouping.ENTITY: Dimension.ENTITY,
    Grouping.DAY: Dimension.TOTAL,
    Grouping.MONTH: Dimension.TOTAL,
}


@dataclass(frozen=True, slots=True)
class Period:
    """Days (UTC), both included."""

    first: date
    last: date

    def days(self) -> list[date]:
        return [self.first + timedelta(days=number) for number in range((self.last - self.first).days + 1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """What one value comes to. `figures.drawn` was paid by grants that were given away (`free_credits`) and by all
    others (`paid_credits`). What these were worth is `free_value` and `cost`, by currency: together the money of the
    log.

    By day also: `granted` credits came on it, and `available` were there at its end.
    """

    value: str
    figures: Figures
    free_credits: int
    paid_credits: int
    free_value: Mapping[str, Decimal]
    cost: Mapping[str, Decimal]
    granted: int | None = None
    available: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageReport:
    """Groups that add up to `total`. `pending_credits` were consumed and may not be in them yet: 0 says that all that
    was ever charged is counted.
    """

    period: Period
    grouping: Grouping
    groups: tuple[Group, ...]
    total: Group
    pending_credits: int


@dataclass(frozen=True, slots=True)
class TooMuchUsage:
    """The period has more of what is `counted` (`figures`, one for each value and day, or `groups`) than one report
    holds, which is `most`. A part of it can be reported.
    """

    counted: str
    most: int


class UnknownGrant(Exception):
    """Figures name a grant that the ledger does not know. They are damaged, and their money cannot be told."""


@dataclass(frozen=True, slots=True)
class UsageRoom:
    """What it takes to report usage."""

    store: UsageStore
    ledger: Ledger


def usage_of(
    room: UsageRoom, workspace_id: str, period: Period, grouping: Grouping, now: datetime
) -> UsageReport | TooMuchUsage | None:
    """Reads what it takes: the account, its grants, and one query for each month, or for each MB of it. None when there
    is no such workspace. Raises UnknownGrant, StoreUnavailable and botocore's errors.

    What was counted is read first and what was consumed last, so that nothing is missing in between without being told
    as pending. Grants are written before anything is drawn on them.
    """
    seen = _seen(period, workspace_id, now)
    so_far = room.store.so_far(workspace_id)
    # What was there at the end of a day follows from the month up to it.
    first = seen.first.replace(day=1) if grouping is Grouping.DAY else seen.first
    figures = room.store.figures(workspace_id, _DIMENSIONS[grouping], first, seen.last)
    rows = list(islice(figures, MOST_FIGURES + 1))
    if len(rows) > MOST_FIGURES:
        return TooMuchUsage("figures", MOST_FIGURES)
    grants = room.ledger.grants(workspace_id)
    balance = room.ledger.balance(workspace_id)
    if balance is None:
        return None
    report = usage_report(period, seen, grouping, rows, grants, so_far, balance)
    return report if len(report.groups) <= MOST_GROUPS else TooMuchUsage("groups", MOST_GROUPS)


def usage_report(
    period: Period,
    seen: Period,
    grouping: Grouping,
    rows: Sequence[tuple[date, str, Figures]],
    grants: Sequence[Grant],
    so_far: SoFar,
    balance: Balance,
) -> UsageReport:
    """`rows` are the figures of the grouping's dimension within what can be `seen` of the period, and for days from the
    first of the month on. Raises UnknownGrant.
    """
    by_value: dict[str, Figures] = {}
    if grouping is Grouping.DAY:
        by_value = {day.isoformat(): Figures() for day in seen.days()}
    elif grouping is Grouping.MONTH:
        by_value = {month_name(day): Figures() for day in seen.days()}
    for day, value, figures in rows:
        if seen.first <= day <= seen.last:
            name = {Grouping.DAY: day.isoformat(), Grouping.MONTH: month_name(day)}.get(grouping, value)
            by_value[name] = by_value.get(name, Figures()) + figures
    priced = _Prices(grants)
    groups = [priced.group(value, figures) for value, figures in by_value.items()]
    if grouping is Grouping.DAY:
        groups = _with_what_was_there(groups, seen, rows, grants, so_far)
    elif grouping is not Grouping.MONTH:
        groups.sort(key=lambda group: (-group.figures.credits, group.value))
    return UsageReport(
        period=period,
        grouping=grouping,
        groups=tuple(groups),
        total=priced.group("total", Figures.total(by_value.values())),
        pending_credits=max(0, balance.consumed - so_far.credits),
    )


def _seen(period: Period, workspace_id: str, now: datetime) -> Period:
    """The part of the period in which there can be anything; it is empty (upside down) before the workspace."""
    opened = time_of(workspace_id).date()
    return Period(max(period.first, opened), min(period.last, now.astimezone(UTC).date()))


class _Prices:
    """What grants are worth."""

    def __init__(self, grants: Iterable[Grant]) -> None:
        self._grants = {grant.grant_id: grant for grant in grants}

    def group(self, value: str, figures: Figures) -> Group:
        free, paid = _Worth(), _Worth()
        for grant_id, credits in figures.drawn.items():
            grant = self._grants.get(grant_id)
            if grant is None:
                raise UnknownGrant(f"{grant_id}, which paid for {credits} credits of {value!r} by the usage figures")
            (free if grant.kind in GIVEN_AWAY else paid).add(credits, grant)
        return Group(
            value=value,
            figures=figures,
            free_credits=free.credits,
            paid_credits=paid.credits,
            free_value=free.money,
            cost=paid.money,
        )


@dataclass(slots=True)
class _Worth:
    """Credits, and their money by currency; what has no price has none."""

    credits: int = 0
    money: dict[str, Decimal] = field(default_factory=dict)

    def add(self, credits: int, grant: Grant) -> None:
        self.credits += credits
        if grant.unit_price:
            with localcontext(EXACT):
                before = self.money.get(grant.currency, Decimal(0))
                self.money[grant.currency] = before + credits * grant.unit_price


def _with_what_was_there(
    groups: Sequence[Group],
    seen: Period,
    rows: Sequence[tuple[date, str, Figures]],
    grants: Sequence[Grant],
    so_far: SoFar,
) -> list[Group]:
    """The days with what was granted on them and what was there at their ends.

    It is reckoned forward, from what was granted and what has left the account: so a day is right as soon as what
    happened on it and before is counted, whatever is still to be counted of later days.
    """
    granted: dict[date, int] = {}
    for grant in grants:
        day = grant.granted_at.astimezone(UTC).date()
        granted[day] = granted.get(day, 0) + grant.credits
    left = {day: figures.left for day, _, figures in rows}
    month = seen.first.replace(day=1)
    there = sum(credits for day, credits in granted.items() if day < month)
    there -= sum(credits for name, credits in so_far.left.items() if name < month_name(month))
    told = []
    by_day = {group.value: group for group in groups}
    for day in Period(month, seen.last).days():
        there += granted.get(day, 0) - left.get(day, 0)
        if group := by_day.get(day.isoformat()):
            # Entries are dated by their triggers: one that was interrupted may have drawn on what was granted later.
            told.append(replace(group, granted=granted.get(day, 0), available=max(0, there)))
    return told
