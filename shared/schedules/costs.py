"""What a schedule costs: what it has cost, and what is to be expected of it.

"15 minutes or daily?": the records cost the same, for a supplier changes so many a day however often he is asked; the
triggers do not. All figures are credits and exact fractions. They are rounded once, where they are shown (`rounded`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from zoneinfo import ZoneInfo

from shared.credits import Action, PriceList
from shared.schedules.expressions import Expression, Rate, runs_per_day
from shared.schedules.history import DayTally, day_of

LOOK_BACK_DAYS = 30
"""Days of history that count, today among them."""

COMPARED = (Rate(15, "minute"), Rate(1, "hour"), Rate(1, "day"))
"""The frequencies that every schedule is compared with."""

_DAY = timedelta(days=1)
_SHOWN = Decimal("0.0001")


@dataclass(frozen=True, slots=True, kw_only=True)
class PastCost:
    """What a schedule did from the day of `since` on, and the credits for it. Firings are either started, skipped or
    refused; `runs` are those that were started, with their records.
    """

    since: datetime
    started: int
    skipped: int
    refused: int
    runs: int
    created: int
    updated: int
    unchanged: int
    trigger_credits: int
    record_credits: int

    @property
    def credits(self) -> int:
        return self.trigger_credits + self.record_credits


@dataclass(frozen=True, slots=True)
class DailyCost:
    """Credits a day, on average. `records` is None while there is no history to tell it from."""

    runs: Fraction
    triggers: Fraction
    records: Fraction | None

    @property
    def total(self) -> Fraction | None:
        return None if self.records is None else self.triggers + self.records


@dataclass(frozen=True, slots=True)
class Costs:
    """The whole answer. `frequencies` are what the same schedule would cost if it fired as often as these."""

    past: PastCost
    expected: DailyCost
    frequencies: tuple[tuple[Rate, DailyCost], ...]


def first_day(now: datetime) -> datetime:
    """The beginning of the days (UTC) that count at `now`."""
    return datetime.combine(day_of(now), time(), UTC) - (LOOK_BACK_DAYS - 1) * _DAY


def costs_of(
    days: Sequence[DayTally],
    expression: Expression,
    zone: ZoneInfo,
    *,
    made_at: datetime,
    prices: PriceList,
    now: datetime,
) -> Costs:
    """What the schedule has cost, and what it and others like it are expected to cost. `days` are those from
    `first_day(now)` on; `made_at` is when the schedule was made.
    """
    records = _records_per_day(days, made_at, now)
    price = prices.price(Action.SCHEDULED_JOB)

    def expected(compared: Expression) -> DailyCost:
        runs = runs_per_day(compared, zone, now)
        return DailyCost(runs, runs * price, records)

    return Costs(
        past=_past(days, first_day(now)),
        expected=expected(expression),
        frequencies=tuple((compared, expected(compared)) for compared in COMPARED),
    )


def rounded(exact: Fraction) -> Decimal:
    """As it is shown: to four decimal places, half up, without zeros at the end."""
    nearest = (Decimal(exact.numerator) / Decimal(exact.denominator)).quantize(_SHOWN, ROUND_HALF_UP)
    return nearest.normalize() if nearest else Decimal(0)


def _past(days: Sequence[DayTally], since: datetime) -> PastCost:
    return PastCost(
        since=since,
        started=sum(day.started for day in days),
        skipped=sum(day.skipped for day in days),
        refused=sum(day.refused for day in days),
        runs=sum(day.runs for day in days),
        created=sum(day.created for day in days),
        updated=sum(day.updated for day in days),
        unchanged=sum(day.unchanged for day in days),
        trigger_credits=sum(day.trigger_credits for day in days),
        record_credits=sum(day.record_credits for day in days),
    )


def _records_per_day(days: Sequence[DayTally], made_at: datetime, now: datetime) -> Fraction | None:
    """The average over the time since the schedule was made, or over the days that count, whichever is less. None
    when nothing has run in it. Less than a day counts as one.
    """
    since = max(made_at, first_day(now))
    own = [day for day in days if day.day >= day_of(since)]
    if not any(day.runs for day in own):
        return None
    elapsed = max(now - since, _DAY)
    return Fraction(sum(day.record_credits for day in own)) / Fraction(
        elapsed // timedelta(milliseconds=1), _DAY // timedelta(milliseconds=1)
    )
