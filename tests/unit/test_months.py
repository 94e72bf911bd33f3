"""Months of the calendar."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.months import Month

MONTHS = st.builds(Month, st.integers(2000, 9998), st.integers(1, 12))


@given(MONTHS)
def test_months_follow_each_other_without_a_gap(month: Month) -> None:
    assert Month.parse(str(month)) == month
    assert month.next.previous == month
    assert month.end == month.next.start
    assert Month.of(month.start) == Month.of(month.end - timedelta(milliseconds=1)) == month
    assert month < month.next


def test_a_moment_lies_in_its_month_of_utc() -> None:
    east = timezone(timedelta(hours=2))
    assert Month.of(datetime(2026, 12, 1, 1, tzinfo=east)) == Month(2026, 11)
    assert Month.of(datetime(2026, 12, 1, 2, tzinfo=east)) == Month(2026, 12)
    assert Month(2026, 12).start == datetime(2026, 12, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "text", ["", "2026", "2026-13", "2026-00", "2026-1", "1999-12", "9999-01", "2026-11\n", "२०२६-११"]
)
def test_what_is_no_month_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no month"):
        Month.parse(text)
