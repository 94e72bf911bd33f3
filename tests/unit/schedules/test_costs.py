"""What schedules have cost, and what is expected of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.credits import PriceList
from shared.schedules.costs import Costs, costs_of, first_day, rounded
from shared.schedules.expressions import parse
from shared.schedules.history import DayTally

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


def costs(*days: DayTally, expression: str = "rate(1 day)", made_at: datetime = LONG_AGO, prices: str = "{}") -> Costs:
    return costs_of(
        days, parse(expression), ZoneInfo("UTC"), made_at=made_at, prices=PriceList.from_json(prices), now=NOW
    )


def test_thirty_days_count_today_among_them() -> None:
    assert first_day(NOW) == datetime(2026, 10, 24, tzinfo=UTC)
    assert first_day(datetime(2026, 11, 22, tzinfo=UTC)) == datetime(2026, 10, 24, tzinfo=UTC)


def test_the_past_is_the_sum_of_its_days() -> None:
    past = costs(
        DayTally(
            day=date(2026, 11, 20),
            started=90,
            skipped=6,
            trigger_credits=96,
            runs=90,
            created=5,
            updated=7,
            unchanged=30,
            record_credits=12,
        ),
        DayTally(day=date(2026, 11, 21), started=4, refused=92, trigger_credits=4, runs=4, updated=8, record_credits=8),
    ).past
    assert (past.credits, past.trigger_credits, past.record_credits) == (120, 100, 20)
    assert (past.started, past.skipped, past.refused, past.runs) == (94, 6, 92, 94)
    assert (past.created, past.updated, past.unchanged) == (5, 15, 30)


def test_a_quarter_of_an_hour_costs_96_times_the_triggers_of_daily_and_the_same_records() -> None:
    day = DayTally(day=date(2026, 11, 21), started=1, runs=1, trigger_credits=1, updated=59, record_credits=59)
    answer = costs(day)
    quarters, hourly, daily = (expected for _, expected in answer.frequencies)
    assert [str(rate) for rate, _ in answer.frequencies] == ["rate(15 minutes)", "rate(1 hour)", "rate(1 day)"]
    assert [each.runs for each in (quarters, hourly, daily)] == [96, 24, 1]
    assert quarters.triggers == 96 * daily.triggers == 4 * hourly.triggers
    assert quarters.records == hourly.records == daily.records == Fraction(59 * 2, 59)
    assert quarters.total == 98
    assert daily.total == 3
    assert answer.expected == daily


@dataclass(frozen=True)
class Done:
    """What a pass of a rule has done: three firings on as many records."""

    created: int = 1
    updated: int = 2
    unchanged: int = 4
    credits: int = 6


def test_a_pass_of_a_rule_counts_as_a_run_with_what_its_firings_cost() -> None:
    day = DayTally(day=date(2026, 11, 21), started=2, trigger_credits=2).with_run(Done()).with_run(Done())
    answer = costs(day, made_at=NOW - timedelta(days=2))
    assert (answer.past.runs, answer.past.created, answer.past.updated, answer.past.unchanged) == (2, 2, 4, 8)
    assert (answer.past.trigger_credits, answer.past.record_credits, answer.past.credits) == (2, 12, 14)
    assert answer.expected.records == 6
    assert answer.expected.total == 7


def test_a_schedule_that_was_made_lately_is_averaged_over_its_own_time() -> None:
    day = DayTally(day=date(2026, 11, 21), started=1, runs=1, updated=6, record_credits=6)
    assert costs(day, made_at=NOW - timedelta(hours=36)).expected.records == Fraction(4)
    assert costs(day, made_at=NOW - timedelta(hours=60)).expected.records == Fraction(6 * 24, 60)


def test_less_than_a_day_counts_as_one() -> None:
    today = DayTally(day=date(2026, 11, 22), started=1, runs=1, created=6, record_credits=6)
    assert costs(today, made_at=NOW - timedelta(minutes=1)).expected.records == 6


def test_without_a_run_nothing_is_expected_of_the_records() -> None:
    expected = costs(DayTally(day=date(2026, 11, 21), skipped=1, refused=3, trigger_credits=1)).expected
    assert [expected.triggers, expected.records, expected.total] == [1, None, None]
    unchanged = costs(DayTally(day=date(2026, 11, 21), started=1, trigger_credits=1, runs=1)).expected
    assert [unchanged.triggers, unchanged.records, unchanged.total] == [1, 0, 1]


def test_what_a_deleted_schedule_of_the_same_name_did_is_cost_and_no_forecast() -> None:
    before = DayTally(day=date(2026, 11, 1), started=1, runs=1, created=1000, record_credits=1000)
    answer = costs(before, made_at=datetime(2026, 11, 20, tzinfo=UTC))
    assert answer.past.credits == 1000
    assert answer.expected.records is None


def test_triggers_cost_what_the_deployment_says() -> None:
    assert costs(expression="rate(15 minutes)", prices='{"scheduled_job": 3}').expected.triggers == 288
    assert costs(expression="rate(15 minutes)", prices='{"scheduled_job": 0}').expected.triggers == 0


@pytest.mark.parametrize(
    ("exact", "shown"),
    [
        (Fraction(0), "0"),
        (Fraction(96), "96"),
        (Fraction(1000), "1000"),
        (Fraction(1, 7), "0.1429"),
        (Fraction(30, 7), "4.2857"),
        (Fraction(1, 2), "0.5"),
        (Fraction(5, 100_000), "0.0001"),
        (Fraction(49, 1_000_000), "0"),
        (Fraction(12_345_678_901_234), "12345678901234"),
    ],
)
def test_a_figure_is_rounded_once_to_four_places(exact: Fraction, shown: str) -> None:
    assert format(rounded(exact), "f") == shown


@given(st.fractions(min_value=0, max_value=10**12))
def test_a_rounded_figure_is_never_further_off_than_half_its_last_place(exact: Fraction) -> None:
    assert abs(Fraction(rounded(exact)) - exact) <= Fraction(1, 20_000)
    assert rounded(exact) == rounded(exact).quantize(Decimal("0.0001"))
