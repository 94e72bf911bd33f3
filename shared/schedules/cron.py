"""Cron expressions in the dialect of EventBridge Scheduler (its User Guide, "Schedule types"): six fields, days of the
week from 1 for Sunday, and `?` for the day field that does not matter.

Pure calendar: which days, and which times of day. Time zones come in with `shared.schedules.expressions`. What the
guide does not write down (ranges that wrap around, `LW`, `L-3`) is refused: a schedule that was saved here and refused
there would never fire.
"""

from __future__ import annotations

import re
from calendar import SATURDAY, SUNDAY, monthrange, weekday
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import assert_never

MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
FIRST_YEAR, LAST_YEAR = 1970, 2199
FIELDS = "minutes hours day-of-month month day-of-week year"


class BadExpression(ValueError):
    """An expression that EventBridge Scheduler would refuse, or that would never fire. The message is for its owner."""


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    lowest: int
    highest: int
    names: Mapping[str, int]
    step: int
    """The widest step; 0 where there are none."""


_MINUTES = _Field("minutes", 0, 59, {}, 59)
_HOURS = _Field("hours", 0, 23, {}, 23)
_DAY_OF_MONTH = _Field("day of month", 1, 31, {}, 31)
_MONTH = _Field("month", 1, 12, {name: place for place, name in enumerate(MONTHS, 1)}, 12)
_DAY_OF_WEEK = _Field("day of week", 1, 7, {name: place for place, name in enumerate(DAYS, 1)}, 0)
_YEAR = _Field("year", FIRST_YEAR, LAST_YEAR, {}, LAST_YEAR - FIRST_YEAR)


@dataclass(frozen=True, slots=True)
class DaysOfMonth:
    """These days of the month, where it has them."""

    days: frozenset[int]


@dataclass(frozen=True, slots=True)
class LastDay:
    """The last day of the month: `L`."""


@dataclass(frozen=True, slots=True)
class NearestWeekday:
    """The day from Monday to Friday that is nearest to this day, in the same month: `15W`. None where the month has no
    such day.
    """

    day: int


@dataclass(frozen=True, slots=True)
class DaysOfWeek:
    """These days of the week, 1 for Sunday to 7 for Saturday."""

    days: frozenset[int]


@dataclass(frozen=True, slots=True)
class LastDayOfWeek:
    """The last of the month: `6L` is its last Friday."""

    day: int


@dataclass(frozen=True, slots=True)
class NthDayOfWeek:
    """One of the month: `3#2` is its second Tuesday. None where the month has no fifth."""

    day: int
    number: int


DayRule = DaysOfMonth | LastDay | NearestWeekday | DaysOfWeek | LastDayOfWeek | NthDayOfWeek


@dataclass(frozen=True, slots=True)
class Cron:
    """A cron expression. `text` is how it is written, in capitals; the values of its fields are in order."""

    text: str
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: DayRule
    months: tuple[int, ...]
    years: tuple[int, ...]

    def __str__(self) -> str:
        return f"cron({self.text})"

    @property
    def times_a_day(self) -> int:
        """Firings on a day on which it fires."""
        return len(self.minutes) * len(self.hours)

    @property
    def is_every_year(self) -> bool:
        return len(self.years) == LAST_YEAR - FIRST_YEAR + 1

    def dates(self, first: date) -> Iterator[date]:
        """The days on which it fires, from `first` on, in order, until its years end."""
        for year in self.years:
            if year < first.year:
                continue
            for month in self.months:
                if (year, month) < (first.year, first.month):
                    continue
                for day in days_of(self.days, year, month):
                    if (at := date(year, month, day)) >= first:
                        yield at


def parse_cron(fields: str) -> Cron:
    """Reads what stands between the brackets. Raises BadExpression."""
    parts = fields.upper().split()
    if len(parts) != 6:
        raise BadExpression(f"cron has 6 fields, {FIELDS}; you gave {len(parts)}{_did_you_mean(parts)}")
    minutes, hours, day_of_month, month, day_of_week, year = parts
    if (day_of_month == "?") == (day_of_week == "?"):
        problem = "day-of-month and day-of-week cannot both be given: write ? for the one that does not matter"
        if day_of_month == "?":
            problem = "day-of-month and day-of-week cannot both be ?: write * for one of them to fire every day"
        raise BadExpression(f"cron: {problem}{_did_you_mean(parts)}")
    return Cron(
        text=" ".join(parts),
        minutes=_values(_MINUTES, minutes),
        hours=_values(_HOURS, hours),
        days=_days_of_month(day_of_month) if day_of_week == "?" else _days_of_week(day_of_week),
        months=_values(_MONTH, month),
        years=_values(_YEAR, year),
    )


@lru_cache(maxsize=4096)
def days_of(rule: DayRule, year: int, month: int) -> tuple[int, ...]:
    """The days of one month that the rule means, in order."""
    first_weekday, last = monthrange(year, month)
    match rule:
        case DaysOfMonth(days):
            return tuple(sorted(day for day in days if day <= last))
        case LastDay():
            return (last,)
        case NearestWeekday(day):
            return (_nearest_weekday(year, month, day, last),) if day <= last else ()
        case DaysOfWeek(days):
            return tuple(day for day in range(1, last + 1) if _day_of_week(first_weekday, day) in days)
        case LastDayOfWeek(wanted):
            return tuple(day for day in range(last - 6, last + 1) if _day_of_week(first_weekday, day) == wanted)
        case NthDayOfWeek(wanted, number):
            week = range(7 * number - 6, min(7 * number, last) + 1)
            return tuple(day for day in week if _day_of_week(first_weekday, day) == wanted)
        case _:
            assert_never(rule)


def _day_of_week(first_weekday: int, day: int) -> int:
    """1 for Sunday, of a day in a month whose first day is `first_weekday`, 0 for Monday."""
    return (first_weekday + day) % 7 + 1


def _nearest_weekday(year: int, month: int, day: int, last: int) -> int:
    at = weekday(year, month, day)
    if at == SATURDAY:
        return day - 1 if day > 1 else day + 2
    if at == SUNDAY:
        return day + 1 if day < last else day - 2
    return day


def _days_of_month(text: str) -> DayRule:
    if text == "L":
        return LastDay()
    if found := re.fullmatch(r"(\w+)W", text):
        return NearestWeekday(_value(_DAY_OF_MONTH, found[1]))
    return DaysOfMonth(frozenset(_values(_DAY_OF_MONTH, text)))


def _days_of_week(text: str) -> DayRule:
    if text == "L":
        return DaysOfWeek(frozenset({7}))
    if found := re.fullmatch(r"(\w+)L", text):
        return LastDayOfWeek(_value(_DAY_OF_WEEK, found[1]))
    if "#" in text:
        found = re.fullmatch(r"(\w+)#([1-5])", text)
        if found is None:
            raise BadExpression(
                f"cron: day of week: {text} is not one day and its number in the month from 1 to 5, such as TUE#2"
            )
        return NthDayOfWeek(_value(_DAY_OF_WEEK, found[1]), int(found[2]))
    return DaysOfWeek(frozenset(_values(_DAY_OF_WEEK, text)))


def _values(field: _Field, text: str) -> tuple[int, ...]:
    """What a list of values, ranges and steps means, in order."""
    found: set[int] = set()
    for part in text.split(","):
        found.update(_part(field, part))
    return tuple(sorted(found))


def _part(field: _Field, text: str) -> range:
    span, slash, step = text.partition("/")
    if slash and not field.step:
        raise BadExpression(f"cron: {field.name}: {text} has a step, which only other fields have; list the days")
    if span == "*":
        lowest, highest = field.lowest, field.highest
    elif "-" in span:
        lowest, highest = (_value(field, end) for end in span.split("-", 1))
        if lowest > highest:
            start, end = span.split("-", 1)
            ends = f"{start}-{_spelled(field, field.highest)},{_spelled(field, field.lowest)}-{end}"
            raise BadExpression(f"cron: {field.name}: the range {span} runs backwards; write {ends}")
    else:
        lowest = _value(field, span)
        # With a step, the value is where it begins.
        highest = field.highest if slash else lowest
    if not slash:
        return range(lowest, highest + 1)
    if not _is_number(step) or not 1 <= int(step) <= field.step:
        raise BadExpression(f"cron: {field.name}: the step of {text} is not a number from 1 to {field.step}")
    return range(lowest, highest + 1, int(step))


def _value(field: _Field, text: str) -> int:
    if text in field.names:
        return field.names[text]
    if _is_number(text) and field.lowest <= int(text) <= field.highest:
        return int(text)
    names = list(field.names)
    known = f" or a name from {names[0]} to {names[-1]}" if names else ""
    raise BadExpression(f"cron: {field.name}: {text or 'nothing'} is not {field.lowest} to {field.highest}{known}")


def _is_number(text: str) -> bool:
    return bool(re.fullmatch(r"[0-9]{1,4}", text))


def _spelled(field: _Field, value: int) -> str:
    return next((name for name, known in field.names.items() if known == value), str(value))


def suggestion(parts: list[str]) -> str | None:
    """What five fields of Unix cron, or six with the wrong `?`, may have meant, if that can be told."""
    if len(parts) == 5:
        parts = [*parts[:4], _unix_day_of_week(parts[4]), "*"]
    if len(parts) != 6:
        return None
    match parts[2], parts[4]:
        case ("?", _) | (_, "?") if parts[2] != parts[4]:
            pass
        case "?", _:
            parts[2] = "*"
        case _, "*":
            parts[4] = "?"
        case "*", _:
            parts[2] = "?"
        case _:
            return None
    try:
        return str(parse_cron(" ".join(parts)))
    except BadExpression:
        return None


def _unix_day_of_week(text: str) -> str:
    """Unix counts the days of the week from 0 or 7 for Sunday; names mean the same in both."""
    return re.sub(r"(?<![\w#/])[0-7](?![\w#])", lambda found: DAYS[int(found[0]) % 7], text)


def _did_you_mean(parts: list[str]) -> str:
    meant = suggestion(list(parts))
    return f". Did you mean {meant}?" if meant else ""
