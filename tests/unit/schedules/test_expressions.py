"""Schedule expressions: what may be written, when it fires next, and how often."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from fractions import Fraction
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.schedules.cron import BadExpression
from shared.schedules.expressions import check_that_it_fires, next_firings, parse, runs_per_day
from shared.schedules.zones import UnknownZone, zone_named

NOW = datetime(2026, 11, 22, 11, 30, 15, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")
ZONE = ZoneInfo("UTC")


def firings(text: str, zone: ZoneInfo = ZONE, after: datetime = NOW, count: int = 3) -> list[str]:
    found = next_firings(parse(text), zone, after, count=count, anchor=NOW)
    return [f"{at:%Y-%m-%dT%H:%M:%S%z}".removesuffix("+0000") for at in found]


@pytest.mark.parametrize(
    ("text", "saved"),
    [
        ("rate(1 minute)", "rate(1 minute)"),
        ("rate(15 minutes)", "rate(15 minutes)"),
        (" RATE( 2  Hours ) ", "rate(2 hours)"),
        ("rate(1 day)", "rate(1 day)"),
        ("rate(007 days)", "rate(7 days)"),
        ("cron( 0 6 * * ? * )", "cron(0 6 * * ? *)"),
        ("at(2027-01-31T08:00:00)", "at(2027-01-31T08:00:00)"),
    ],
)
def test_an_expression_is_saved_as_the_guide_writes_it(text: str, saved: str) -> None:
    assert str(parse(text)) == saved
    assert parse(saved) == parse(text)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", r"write rate\(…\), cron\(…\) or at\(…\): such as"),
        ("daily", "such as"),
        ("0 6 * * *", r"did you mean cron\(0 6 \* \* \? \*\)\?$"),
        ("0 6 * * ? *", r"did you mean cron\(0 6 \* \* \? \*\)\?$"),
        ("rate(15 minutes", "such as"),
        ("rate(1 minute) rate(1 day)", "such as"),
        ("rate()", "rate has a whole number and minutes, hours or days"),
        ("rate(15)", "rate has a whole number"),
        ("rate(minutes)", "rate has a whole number"),
        ("rate(1.5 hours)", "rate has a whole number"),
        ("rate(-1 hours)", "rate has a whole number"),
        ("rate(1 week)", "rate has a whole number and minutes, hours or days"),
        ("rate(30 seconds)", "rate has a whole number and minutes, hours or days"),
        ("rate(٣ hours)", "rate has a whole number"),
        ("rate(1 minutes)", r"^rate: write rate\(1 minute\)$"),
        ("rate(5 minute)", r"^rate: write rate\(5 minutes\)$"),
        ("rate(0 minutes)", "^rate: the number must be 1 or more$"),
        ("rate(999999999 days)", "more than ten years"),
        ("at(2027-01-31)", "at has one time, such as"),
        ("at(2027-01-31T08:00:00Z)", "without an offset"),
        ("at(2027-01-31T08:00:00+01:00)", "without an offset"),
        ("at(2027-02-30T08:00:00)", "there is no such time as 2027-02-30T08:00:00"),
        ("at(2027-01-31T24:00:00)", "there is no such time"),
        ("at(2200-01-01T00:00:00)", "the year is not 1970 to 2199"),
        ("at(1969-12-31T00:00:00)", "the year is not 1970 to 2199"),
        ("at(0000-01-01T00:00:00)", "there is no such time"),
    ],
)
def test_a_mistake_is_told_so_that_its_owner_can_mend_it(text: str, told: str) -> None:
    with pytest.raises(BadExpression, match=told):
        parse(text)


@given(st.text(max_size=60) | st.from_regex(r"(rate|cron|at)\([ -~]{0,40}\)", fullmatch=True))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        expression = parse(text)
    except BadExpression:
        return
    assert str(parse(str(expression))) == str(expression)


@pytest.mark.parametrize(
    ("text", "zone", "told"),
    [
        ("cron(0 0 31 2 ? *)", ZONE, r"^cron\(0 0 31 2 \? \*\): never fires: no day to come"),
        ("cron(0 0 31 APR,JUN ? *)", ZONE, "never fires: no day to come"),
        ("cron(0 0 29 2 ? 2027)", ZONE, "never fires: no day to come"),
        ("cron(0 0 * * ? 2020-2025)", ZONE, "never fires: the year 2025 is past"),
        ("cron(0 11 22 11 ? 2026)", ZONE, "never fires: no day to come"),
        ("cron(30 2 ? 3 1L *)", BERLIN, "never fires: no day to come"),
        ("at(2026-11-22T11:30:00)", ZONE, r"^at\(2026-11-22T11:30:00\): 2026-11-22T11:30:00 in UTC is past$"),
        ("at(2026-11-22T12:00:00)", BERLIN, "2026-11-22T12:00:00 in Europe/Berlin is past$"),
        ("at(2027-03-28T02:30:00)", BERLIN, "is skipped in Europe/Berlin: the clock is put forward"),
    ],
)
def test_what_would_never_fire_is_refused(text: str, zone: ZoneInfo, told: str) -> None:
    with pytest.raises(BadExpression, match=told):
        check_that_it_fires(parse(text), zone, NOW)


@pytest.mark.parametrize(
    ("text", "zone"),
    [
        ("cron(0 0 29 2 ? *)", ZONE),
        ("cron(0 0 ? 2 5#5 *)", ZONE),
        ("cron(30 2 ? 3 1L *)", ZONE),
        ("cron(59 23 31 12 ? 2199)", ZONE),
        ("at(2026-11-22T12:31:00)", BERLIN),
        ("at(2027-10-31T02:30:00)", BERLIN),
        ("rate(3660 days)", ZONE),
    ],
)
def test_what_fires_once_in_a_long_while_is_taken(text: str, zone: ZoneInfo) -> None:
    check_that_it_fires(parse(text), zone, NOW)


def test_a_rate_goes_on_from_when_the_schedule_was_put() -> None:
    later = NOW + timedelta(minutes=40)
    assert firings("rate(15 minutes)") == ["2026-11-22T11:45:00", "2026-11-22T12:00:00", "2026-11-22T12:15:00"]
    assert firings("rate(15 minutes)", after=later, count=1) == ["2026-11-22T12:15:00"]
    assert firings("rate(1 day)", after=datetime(2026, 11, 24, 11, 30, tzinfo=UTC), count=1) == ["2026-11-25T11:30:00"]


def test_days_of_a_rate_are_24_hours_whatever_the_clock_does() -> None:
    after = datetime(2027, 3, 27, 12, tzinfo=UTC)
    assert firings("rate(1 day)", BERLIN, after, 2) == ["2027-03-28T11:30:00", "2027-03-29T11:30:00"]


def test_a_cron_expression_keeps_to_the_clock_on_the_wall() -> None:
    after = datetime(2027, 3, 26, 23, tzinfo=UTC)
    assert firings("cron(0 6 * * ? *)", BERLIN, after) == [
        "2027-03-27T05:00:00",
        "2027-03-28T04:00:00",
        "2027-03-29T04:00:00",
    ]


def test_a_time_that_the_clock_skips_does_not_fire_and_one_that_it_repeats_fires_once() -> None:
    spring = datetime(2027, 3, 26, 23, tzinfo=UTC)
    assert firings("cron(30 2 * * ? *)", BERLIN, spring) == [
        "2027-03-27T01:30:00",
        "2027-03-29T00:30:00",
        "2027-03-30T00:30:00",
    ]
    autumn = datetime(2026, 10, 24, 23, tzinfo=UTC)
    assert firings("cron(30 2 * * ? *)", BERLIN, autumn, 2) == ["2026-10-25T00:30:00", "2026-10-26T01:30:00"]
    assert firings("at(2027-10-31T02:30:00)", BERLIN) == ["2027-10-31T00:30:00"]


def test_a_schedule_that_ends_has_fewer_firings() -> None:
    assert firings("cron(0 12 22,23 11 ? 2026)", count=5) == ["2026-11-22T12:00:00", "2026-11-23T12:00:00"]
    assert firings("at(2026-12-01T08:00:00)", count=5) == ["2026-12-01T08:00:00"]
    assert firings("at(2026-11-01T08:00:00)", count=5) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("rate(1 minute)", Fraction(1440)),
        ("rate(15 minutes)", Fraction(96)),
        ("rate(7 minutes)", Fraction(1440, 7)),
        ("rate(1 hour)", Fraction(24)),
        ("rate(1 day)", Fraction(1)),
        ("rate(7 days)", Fraction(1, 7)),
        ("cron(0 6 * * ? *)", Fraction(1)),
        ("cron(0/15 * * * ? *)", Fraction(96)),
        ("cron(0/15 * ? * * *)", Fraction(96)),
        ("cron(0,30 8-17 ? * MON-FRI *)", Fraction(20 * 5, 7)),
        ("cron(0 6 ? * SUN *)", Fraction(1, 7)),
        ("cron(0 6 1 * ? *)", Fraction(48, 1461)),
        ("cron(0 6 L * ? *)", Fraction(48, 1461)),
        ("cron(0 6 29 2 ? *)", Fraction(1, 1461)),
        ("cron(0 6 * * ? 2027)", Fraction(365 - 40, 365)),
        ("cron(0 6,18 1 1 ? 2027)", Fraction(2, 365)),
        ("cron(0 6 1 1 ? 2030)", Fraction(0)),
        ("at(2026-12-01T08:00:00)", Fraction(1, 30)),
        ("at(2027-12-01T08:00:00)", Fraction(0)),
        ("at(2026-11-01T08:00:00)", Fraction(0)),
    ],
)
def test_how_often_it_fires_is_exact(text: str, expected: Fraction) -> None:
    assert runs_per_day(parse(text), ZONE, NOW) == expected


def test_every_quarter_of_an_hour_is_96_times_daily() -> None:
    assert runs_per_day(parse("rate(15 minutes)"), ZONE, NOW) == 96 * runs_per_day(parse("rate(1 day)"), ZONE, NOW)


@pytest.mark.parametrize("name", ["UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Etc/GMT+2"])
def test_a_zone_of_the_iana_list_is_known(name: str) -> None:
    assert zone_named(name).key == name


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("europe/berlin", "did you mean Europe/Berlin"),
        ("Berlin", "did you mean Europe/Berlin"),
        ("New York", "did you mean America/New_York"),
        ("Europe/Berln", "did you mean Europe/Berlin"),
        ("GMT+2", "use a name of the IANA list"),
        ("Mars/Olympus", "use a name of the IANA list"),
        ("", "use a name of the IANA list"),
        ("../../etc/passwd", "use a name of the IANA list"),
        ("localtime", "there is no time zone"),
        ("Europe/Berlin\0", "there is no time zone"),
        ("x" * 10_000, "there is no time zone"),
    ],
)
def test_an_unknown_zone_is_named_with_the_nearest_there_is(name: str, told: str) -> None:
    with pytest.raises(UnknownZone, match=told):
        zone_named(name)
