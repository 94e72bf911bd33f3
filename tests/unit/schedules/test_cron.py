"""Cron expressions in the dialect of EventBridge Scheduler, held against a plain matcher of the documentation."""

from __future__ import annotations

from calendar import monthrange
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.schedules.cron import DAYS, MONTHS, BadExpression, parse_cron
from shared.schedules.expressions import next_firings

# --- a second reading of the documentation, slow and plain ---

LIMITS = {
    "minutes": (0, 59),
    "hours": (0, 23),
    "day": (1, 31),
    "month": (1, 12),
    "weekday": (1, 7),
    "year": (1970, 2199),
}
NAMES = {"month": MONTHS, "weekday": DAYS}


def number(field: str, text: str) -> int:
    names = NAMES.get(field, ())
    return names.index(text) + 1 if text in names else int(text)


def matches_list(field: str, text: str, value: int) -> bool:
    lowest, highest = LIMITS[field]
    for part in text.split(","):
        span, _, step = part.partition("/")
        if span == "*":
            start, end = lowest, highest
        elif "-" in span:
            start, end = (number(field, one) for one in span.split("-"))
        else:
            start = number(field, span)
            end = highest if step else start
        if start <= value <= end and (value - start) % int(step or 1) == 0:
            return True
    return False


def weekday_of(day: date) -> int:
    return (day.isoweekday() % 7) + 1


def matches_day(text: str, day: date) -> bool:
    last = monthrange(day.year, day.month)[1]
    if text == "L":
        return day.day == last
    if text.endswith("W"):
        wanted = int(text[:-1])
        if wanted > last:
            return False
        weekdays = [each for each in range(1, last + 1) if date(day.year, day.month, each).isoweekday() <= 5]
        return day.day == min(weekdays, key=lambda each: abs(each - wanted))
    return matches_list("day", text, day.day)


def matches_weekday(text: str, day: date) -> bool:
    if text == "L":
        return weekday_of(day) == 7
    if text.endswith("L"):
        return weekday_of(day) == number("weekday", text[:-1]) and (day + timedelta(days=7)).month != day.month
    if "#" in text:
        wanted, _, nth = text.partition("#")
        return weekday_of(day) == number("weekday", wanted) and (day.day - 1) // 7 + 1 == int(nth)
    return matches_list("weekday", text, weekday_of(day))


def matches(fields: list[str], day: date) -> bool:
    _, _, day_of_month, month, day_of_week, year = fields
    return (
        (day_of_month == "?" or matches_day(day_of_month, day))
        and (day_of_week == "?" or matches_weekday(day_of_week, day))
        and matches_list("month", month, day.month)
        and matches_list("year", year, day.year)
    )


# --- what may be written ---


def spelled(field: str) -> st.SearchStrategy[str]:
    lowest, highest = LIMITS[field]
    values = st.integers(lowest, highest)
    if field in NAMES:
        return values.flatmap(lambda value: st.sampled_from([str(value), NAMES[field][value - 1]]))
    return values.map(str)


def spans(field: str) -> st.SearchStrategy[str]:
    return (
        st.tuples(spelled(field), spelled(field))
        .filter(lambda ends: number(field, ends[0]) <= number(field, ends[1]))
        .map("-".join)
    )


def parts(field: str) -> st.SearchStrategy[str]:
    whole = st.one_of(st.just("*"), spelled(field), spans(field))
    if field == "weekday":
        return whole
    step = st.integers(1, {"minutes": 59, "hours": 23, "day": 31, "month": 12, "year": 229}[field]).map(str)
    return st.one_of(whole, st.tuples(whole, step).map("/".join))


def lists(field: str) -> st.SearchStrategy[str]:
    return st.lists(parts(field), min_size=1, max_size=3).map(",".join)


DAYS_OF_MONTH = st.one_of(lists("day"), st.just("L"), st.integers(1, 31).map("{}W".format))
DAYS_OF_WEEK = st.one_of(
    lists("weekday"),
    st.just("L"),
    spelled("weekday").map("{}L".format),
    st.tuples(spelled("weekday"), st.integers(1, 5).map(str)).map("#".join),
)
DAY_FIELDS = st.one_of(
    st.tuples(DAYS_OF_MONTH, st.just("?")),
    st.tuples(st.just("?"), DAYS_OF_WEEK),
)
EXPRESSIONS = st.builds(
    lambda minutes, hours, days, month, year: [minutes, hours, days[0], month, days[1], year],
    lists("minutes"),
    lists("hours"),
    DAY_FIELDS,
    lists("month"),
    st.one_of(st.just("*"), lists("year")),
)


@given(EXPRESSIONS, st.dates(date(1970, 1, 1), date(2199, 12, 31)))
@example(["0", "9", "1W", "*", "?", "*"], date(2026, 8, 1))
@example(["0", "9", "31W", "*", "?", "*"], date(2026, 5, 1))
@example(["0", "9", "?", "*", "FRI#5", "*"], date(2026, 1, 1))
def test_it_fires_on_the_days_that_the_documentation_says_and_no_other(fields: list[str], first: date) -> None:
    cron = parse_cron(" ".join(fields))
    period = [
        first + timedelta(days=ahead) for ahead in range(70) if first + timedelta(days=ahead) <= date(2199, 12, 31)
    ]
    found = []
    for day in cron.dates(first):
        if day > period[-1]:
            break
        found.append(day)
    assert found == [day for day in period if matches(fields, day)]
    assert cron.minutes == tuple(value for value in range(60) if matches_list("minutes", fields[0], value))
    assert cron.hours == tuple(value for value in range(24) if matches_list("hours", fields[1], value))


ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "America/Sao_Paulo"]


@given(
    EXPRESSIONS.map(lambda fields: [*fields[:5], "*"]),
    st.sampled_from(ZONES).map(ZoneInfo),
    st.integers(0, 40 * 365 * 24 * 60).map(
        lambda minutes: datetime(1995, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
    ),
)
@example(["30", "2", "*", "*", "?", "*"], ZoneInfo("Europe/Berlin"), datetime(2026, 3, 28, 12, tzinfo=UTC))
@example(["30", "2", "*", "*", "?", "*"], ZoneInfo("Europe/Berlin"), datetime(2026, 10, 25, 0, 40, tzinfo=UTC))
@example(["*/10", "*", "*", "*", "?", "*"], ZoneInfo("Australia/Lord_Howe"), datetime(2026, 4, 4, 14, tzinfo=UTC))
@example(["0", "12", "*", "*", "?", "*"], ZoneInfo("Pacific/Apia"), datetime(2011, 12, 29, tzinfo=UTC))
def test_each_minute_of_the_clock_on_the_wall_fires_once_if_it_comes(
    fields: list[str], zone: ZoneInfo, after: datetime
) -> None:
    """Minute by minute through three days, which is where a change of the clock is looked for."""
    expected = []
    seen = set()
    minute = after.replace(second=0, microsecond=0) - timedelta(hours=3)
    for _ in range((3 * 24 + 3) * 60):
        minute += timedelta(minutes=1)
        local = minute.astimezone(zone).replace(tzinfo=None)
        is_first = local not in seen
        seen.add(local)
        is_due = matches_list("minutes", fields[0], local.minute) and matches_list("hours", fields[1], local.hour)
        if is_first and minute > after and is_due and matches(fields, local.date()):
            expected.append(minute)
    cron = parse_cron(" ".join(fields))
    found = next_firings(cron, zone, after, count=len(expected) + 1, anchor=after)
    assert found[: len(expected)] == expected
    assert all(at > minute for at in found[len(expected) :])


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("0 9 ? * mon-fri *", "0 9 ? * MON-FRI *"),
        ("  0   9 1 jan,Jul ?  2027 ", "0 9 1 JAN,JUL ? 2027"),
    ],
)
def test_it_is_saved_in_capitals_and_single_spaces(text: str, meant: str) -> None:
    assert str(parse_cron(text)) == f"cron({meant})"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "cron has 6 fields, .*; you gave 0$"),
        ("0 12 * * *", r"you gave 5. Did you mean cron\(0 12 \* \* \? \*\)\?$"),
        ("0 12 * * 1-5", r"Did you mean cron\(0 12 \? \* MON-FRI \*\)\?$"),
        ("*/5 8-18 * * 0,6", r"Did you mean cron\(\*/5 8-18 \? \* SUN,SAT \*\)\?$"),
        ("0 12 1 * 1", r"you gave 5$"),
        ("0 0 12 * * ? *", "you gave 7$"),
        ("0 12 * * * *", r"cannot both be given: write \?.* Did you mean cron\(0 12 \* \* \? \*\)\?$"),
        ("0 12 * * MON *", r"Did you mean cron\(0 12 \? \* MON \*\)\?$"),
        ("0 12 1 * MON *", r"cannot both be given: write \? for the one that does not matter$"),
        ("0 12 ? * ? *", r"cannot both be \?.* Did you mean cron\(0 12 \* \* \? \*\)\?$"),
        ("? 12 * * ? *", r"minutes: \? is not 0 to 59$"),
        ("? 12 * * * *", "cannot both be given"),
        ("60 12 * * ? *", "minutes: 60 is not 0 to 59$"),
        ("0 24 * * ? *", "hours: 24 is not 0 to 23$"),
        ("0 12 0 * ? *", "day of month: 0 is not 1 to 31$"),
        ("0 12 32 * ? *", "day of month: 32 is not 1 to 31$"),
        ("0 12 * 13 ? *", "month: 13 is not 1 to 12 or a name from JAN to DEC$"),
        ("0 12 * JUNE ? *", "month: JUNE is not 1 to 12"),
        ("0 12 ? * 0 *", "day of week: 0 is not 1 to 7 or a name from SUN to SAT$"),
        ("0 12 ? * 8 *", "day of week: 8 is not 1 to 7"),
        ("0 12 * * ? 1969", "year: 1969 is not 1970 to 2199$"),
        ("0 12 * * ? 2200", "year: 2200 is not 1970 to 2199$"),
        ("-1 12 * * ? *", "minutes: nothing is not 0 to 59$"),
        ("1, 12 * * ? *", "minutes: nothing is not 0 to 59$"),
        ("0.5 12 * * ? *", "minutes: 0.5 is not 0 to 59$"),
        ("٣ 12 * * ? *", "minutes: ٣ is not 0 to 59$"),
        ("0 22-6 * * ? *", "hours: the range 22-6 runs backwards; write 22-23,0-6$"),
        ("0 12 ? * FRI-MON *", "day of week: the range FRI-MON runs backwards; write FRI-SAT,SUN-MON$"),
        ("0/0 12 * * ? *", "minutes: the step of 0/0 is not a number from 1 to 59$"),
        ("0/60 12 * * ? *", "minutes: the step of 0/60 is not a number from 1 to 59$"),
        ("*/ 12 * * ? *", r"minutes: the step of \*/ is not a number"),
        ("0 12 ? * 2/2 *", "day of week: 2/2 has a step"),
        ("0 12 LW * ? *", "day of month: L is not 1 to 31$"),
        ("0 12 L-3 * ? *", "day of month: L is not 1 to 31$"),
        ("0 12 1,L * ? *", "day of month: L is not 1 to 31$"),
        ("0 12 32W * ? *", "day of month: 32 is not 1 to 31$"),
        ("0 12 ? * MON#6 *", "day of week: MON#6 is not one day and its number"),
        ("0 12 ? * 3#1,6#3 *", "day of week: 3#1,6#3 is not one day and its number"),
        ("0 12 ? * 8L *", "day of week: 8 is not 1 to 7"),
        ("0 12 L * ? * *", "you gave 7$"),
        ("L 12 * * ? *", "minutes: L is not 0 to 59$"),
        ("0 12 15# * ? *", "day of month: 15# is not 1 to 31$"),
    ],
)
def test_what_the_guide_does_not_allow_is_refused_in_words(text: str, told: str) -> None:
    with pytest.raises(BadExpression, match=told):
        parse_cron(text)


@given(st.text(alphabet="0123456789*?/-,#LW MONFRIJA\t.", max_size=40))
def test_nothing_that_is_written_breaks_the_reader(text: str) -> None:
    try:
        cron = parse_cron(text)
    except BadExpression:
        return
    assert parse_cron(cron.text) == cron
