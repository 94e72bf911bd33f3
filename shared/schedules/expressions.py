"""When a schedule fires: `rate(…)`, `cron(…)` and `at(…)` as EventBridge Scheduler writes them.

EventBridge Scheduler does the firing. This says beforehand what it will do, so that a mistake is told when it is made,
and an owner sees the next firings and their price. Nothing here looks at a clock; all moments are aware.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from functools import lru_cache
from itertools import count as counting
from itertools import islice, product
from typing import assert_never
from zoneinfo import ZoneInfo

from shared.schedules.cron import FIRST_YEAR, LAST_YEAR, BadExpression, Cron, DayRule, days_of, parse_cron, suggestion

MAX_LENGTH = 256
"""Characters that EventBridge Scheduler takes (API Reference, ScheduleExpression)."""

MONTH_DAYS = 30
"""Days of what is called a month where costs are expected."""

_YEAR_DAYS = 365
_MINUTES = {"minute": 1, "hour": 60, "day": 24 * 60}
_LONGEST_RATE = timedelta(days=3660)

_CYCLE_YEARS = range(2001, 2029)
"""After 28 years days of the week fall on the same days again, leap years included: an average that does not depend on
the day on which it is asked for.
"""


@dataclass(frozen=True, slots=True)
class Rate:
    """Every so many minutes, hours or days, counted from when the schedule was last put."""

    value: int
    unit: str

    def __str__(self) -> str:
        return f"rate({self.value} {self.unit}{'s' if self.value != 1 else ''})"

    @property
    def period(self) -> timedelta:
        return timedelta(minutes=self.value * _MINUTES[self.unit])


@dataclass(frozen=True, slots=True)
class At:
    """Once, at this time of the schedule's zone."""

    local: datetime

    def __str__(self) -> str:
        return f"at({self.local:%Y-%m-%dT%H:%M:%S})"


Expression = Rate | Cron | At


def parse(text: str) -> Expression:
    """Reads an expression; `str` of it is how it is saved. Raises BadExpression, whose message is for its owner."""
    found = re.fullmatch(r"\s*(rate|cron|at)\s*\(([^()]*)\)\s*", text, re.IGNORECASE)
    if found is None:
        meant = suggestion(text.upper().split())
        hint = (
            f"did you mean {meant}?" if meant else "such as rate(1 day), cron(0 6 * * ? *) or at(2027-01-31T08:00:00)"
        )
        raise BadExpression(f"write rate(…), cron(…) or at(…): {hint}")
    kind, inside = found[1].lower(), found[2].strip()
    if kind == "rate":
        return _parse_rate(inside)
    return parse_cron(inside) if kind == "cron" else _parse_at(inside)


def _parse_rate(text: str) -> Rate:
    found = re.fullmatch(r"([0-9]{1,9})\s+([A-Za-z]+)", text)
    unit = found[2].lower().removesuffix("s") if found else ""
    if found is None or unit not in _MINUTES:
        raise BadExpression("rate has a whole number and minutes, hours or days, such as rate(15 minutes)")
    value = int(found[1])
    if value == 0:
        raise BadExpression("rate: the number must be 1 or more")
    rate = Rate(value, unit)
    if found[2].lower() != str(rate)[:-1].rpartition(" ")[2]:
        raise BadExpression(f"rate: write {rate}")
    if value * _MINUTES[unit] > _LONGEST_RATE // timedelta(minutes=1):
        raise BadExpression("rate: more than ten years")
    return rate


def _parse_at(text: str) -> At:
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}", text, re.ASCII):
        zone = (
            " without an offset (the time zone is a field of its own)"
            if re.search(r"(Z|[+-]\d\d:?\d\d)$", text)
            else ""
        )
        raise BadExpression(f"at has one time{zone}, such as at(2027-01-31T08:00:00)")
    try:
        local = datetime.strptime(text, "%Y-%m-%dT%H:%M:%S")  # noqa: DTZ007  local on purpose
    except ValueError as error:
        raise BadExpression(f"at: there is no such time as {text}") from error
    if not FIRST_YEAR <= local.year <= LAST_YEAR:
        raise BadExpression(f"at: the year is not {FIRST_YEAR} to {LAST_YEAR}")
    return At(local)


def check_that_it_fires(expression: Expression, zone: ZoneInfo, now: datetime) -> None:
    """Raises BadExpression when nothing would ever come of the expression from `now` on."""
    if next_firings(expression, zone, now, count=1, anchor=now):
        return
    match expression:
        case At(local) if _moment(local, zone) is None:
            problem = f"{local:%Y-%m-%dT%H:%M:%S} is skipped in {zone.key}: the clock is put forward over it"
        case At(local):
            problem = f"{local:%Y-%m-%dT%H:%M:%S} in {zone.key} is past"
        case Cron(years=years) if years[-1] < now.astimezone(zone).year:
            problem = f"never fires: the year {years[-1]} is past"
        case _:
            problem = "never fires: no day to come matches all of its fields"
    raise BadExpression(f"{expression}: {problem}")


def next_firings(
    expression: Expression, zone: ZoneInfo, after: datetime, *, count: int = 5, anchor: datetime
) -> list[datetime]:
    """The next `count` moments after `after` at which it fires, in UTC; fewer where it ends.

    A rate is counted from `anchor`, which is when the schedule was last put. Of the local times that a change of the
    clock skips none fires; those that it repeats fire the first time (User Guide, "Daylight savings time").
    """
    return list(islice(_firings(expression, zone, after, anchor), count))


def runs_per_day(expression: Expression, zone: ZoneInfo, now: datetime) -> Fraction:
    """How often it fires a day, on average, exactly. Changes of the clock do not count.

    A cron expression is averaged over the calendar; one that names years over the 365 days from `now` on. A time that
    is due within 30 days counts as one in 30 days, and any other as none.
    """
    match expression:
        case Rate():
            return Fraction(timedelta(days=1) // timedelta(minutes=1), expression.period // timedelta(minutes=1))
        case Cron() if expression.is_every_year:
            return expression.times_a_day * _share_of_days(expression.days, expression.months)
        case Cron():
            today = now.astimezone(zone).date()
            ahead = _count_until(expression.dates(today), today + timedelta(days=_YEAR_DAYS))
            return Fraction(expression.times_a_day * ahead, _YEAR_DAYS)
        case At(local):
            at = _moment(local, zone)
            is_due = at is not None and now < at <= now + timedelta(days=MONTH_DAYS)
            return Fraction(1, MONTH_DAYS) if is_due else Fraction(0)
        case _:
            assert_never(expression)


def _firings(expression: Expression, zone: ZoneInfo, after: datetime, anchor: datetime) -> Iterator[datetime]:
    match expression:
        case Rate():
            # The minute is all that EventBridge Scheduler promises.
            start = anchor.astimezone(UTC).replace(second=0, microsecond=0)
            passed = max((after - start) // expression.period + 1, 0)
            return (start + (passed + further) * expression.period for further in counting())
        case Cron():
            return _cron_firings(expression, zone, after)
        case At(local):
            at = _moment(local, zone)
            return iter([at] if at is not None and at > after else [])
        case _:
            assert_never(expression)


def _cron_firings(cron: Cron, zone: ZoneInfo, after: datetime) -> Iterator[datetime]:
    for day in cron.dates(after.astimezone(zone).date()):
        for hour, minute in product(cron.hours, cron.minutes):
            at = _moment(datetime(day.year, day.month, day.day, hour, minute), zone)  # noqa: DTZ001  local on purpose
            if at is not None and at > after:
                yield at


def _moment(local: datetime, zone: ZoneInfo) -> datetime | None:
    """The moment, in UTC, of a local time: the first of two that it may be, None where the clock skips it."""
    at = local.replace(tzinfo=zone).astimezone(UTC)
    return at if at.astimezone(zone).replace(tzinfo=None) == local else None


def _count_until(dates: Iterator[date], end: date) -> int:
    count = 0
    for day in dates:
        if day >= end:
            break
        count += 1
    return count


@lru_cache(maxsize=1024)
def _share_of_days(days: DayRule, months: tuple[int, ...]) -> Fraction:
    """The part of all days on which it fires."""
    firing = sum(len(days_of(days, year, month)) for year in _CYCLE_YEARS for month in months)
    return Fraction(firing, (date(_CYCLE_YEARS.stop, 1, 1) - date(_CYCLE_YEARS.start, 1, 1)).days)
