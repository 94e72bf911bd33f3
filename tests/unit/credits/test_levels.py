"""How low a balance is, in steps."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.credits.levels import FULL, THRESHOLDS, crossed, least_at, level_of

CREDITS = st.integers(0, 10**9)


@pytest.mark.parametrize(
    ("available", "level"),
    [(100, 100), (51, 100), (50, 100), (49, 50), (20, 50), (19, 20), (5, 20), (4, 5), (0, 5), (5000, 100)],
)
def test_a_level_is_the_lowest_threshold_that_a_balance_is_under(available: int, level: int) -> None:
    assert level_of(available, 100) == level


def test_a_part_of_a_credit_counts_as_being_under() -> None:
    # 5 % of 30 are 1.5 credits: 1 is under that, 2 is not.
    assert (level_of(1, 30), level_of(2, 30)) == (5, 20)


def test_nothing_given_is_under_nothing() -> None:
    assert level_of(0, 0) == FULL


@given(CREDITS, CREDITS)
def test_one_credit_fewer_than_the_least_is_another_level(available: int, base: int) -> None:
    level = level_of(available, base)
    least = least_at(level, base)
    assert least <= available
    assert level_of(least, base) == level
    if least:
        assert level_of(least - 1, base) < level


@given(st.lists(CREDITS, min_size=2, max_size=20), CREDITS)
def test_on_its_way_down_a_balance_crosses_each_threshold_once(stops: list[int], base: int) -> None:
    levels = [level_of(available, base) for available in sorted(stops, reverse=True)]
    steps = [threshold for before, after in pairwise(levels) for threshold in crossed(before, after)]
    assert steps == [threshold for threshold in THRESHOLDS if levels[-1] <= threshold < levels[0]]
