"""What a schedule's definition says of a time."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from shared.schedules.model import ScheduleDefinition


def definition(expression: str, zone: str = "Europe/Berlin") -> ScheduleDefinition:
    return ScheduleDefinition(feed_id="stock", expression=expression, time_zone=zone, enabled=True, description="")


@pytest.mark.parametrize(
    ("expression", "at", "is_due"),
    [
        ("cron(0 6 * * ? *)", datetime(2026, 11, 22, 5, tzinfo=UTC), True),
        ("cron(0 6 * * ? *)", datetime(2026, 11, 22, 5, 0, 41, tzinfo=UTC), True),
        ("cron(0 6 * * ? *)", datetime(2026, 11, 22, 5, 1, tzinfo=UTC), False),
        ("cron(0 6 * * ? *)", datetime(2026, 11, 22, 6, tzinfo=UTC), False),
        ("at(2026-11-22T06:00:00)", datetime(2026, 11, 22, 5, tzinfo=UTC), True),
        ("at(2026-11-22T06:00:30)", datetime(2026, 11, 22, 5, tzinfo=UTC), True),
        ("at(2026-11-22T06:00:00)", datetime(2026, 11, 23, 5, tzinfo=UTC), False),
        # Counted from when it was put: no time is its own.
        ("rate(1 minute)", datetime(2026, 11, 22, 5, tzinfo=UTC), False),
    ],
)
def test_whether_a_time_is_one_of_the_expression(expression: str, at: datetime, *, is_due: bool) -> None:
    assert definition(expression).is_due_at(at) is is_due


@pytest.mark.parametrize("named", [{}, {"feed_id": "stock", "rule_id": "sale"}])
def test_a_schedule_has_one_thing_to_do(named: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="a feed or a rule"):
        ScheduleDefinition(**named, expression="rate(1 day)", time_zone="UTC", enabled=True, description="")


def test_what_is_over_fires_no_more() -> None:
    once = definition("at(2026-11-22T06:00:00)")
    assert once.fires_again(datetime(2026, 11, 22, 4, 59, tzinfo=UTC))
    assert not once.fires_again(datetime(2026, 11, 22, 5, tzinfo=UTC))
    assert definition("rate(1 day)").fires_again(datetime(2026, 11, 22, tzinfo=UTC))
