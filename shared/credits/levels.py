"""How low a balance is, in steps that are told: under 50, 20 and 5 % of the last grant. Pure.

The balance carries its level, and the charge that makes it fall lower moves the level in the same transaction. So each
threshold is crossed by exactly one charge, which the table's stream can be filtered by, and nobody has to look at the
charges that cross none.
"""

from __future__ import annotations

FULL = 100
"""The level of a balance that is under no threshold."""

THRESHOLDS = (50, 20, 5)
"""Percent of the last grant, highest first. A balance has the level of the lowest one that it is under."""


def level_of(available: int, base: int) -> int:
    """The level of a balance of `available` credits, of which the last grant was `base`."""
    return min((threshold for threshold in THRESHOLDS if available < _limit(threshold, base)), default=FULL)


def least_at(level: int, base: int) -> int:
    """The fewest credits that a balance can have at `level`: with one fewer it is under the next threshold."""
    return max((_limit(threshold, base) for threshold in THRESHOLDS if threshold < level), default=0)


def crossed(before: int, after: int) -> tuple[int, ...]:
    """The thresholds that a balance fell under on its way from one level to a lower one, highest first."""
    return tuple(threshold for threshold in THRESHOLDS if after <= threshold < before)


def _limit(threshold: int, base: int) -> int:
    """The fewest credits that are not under the threshold."""
    return -(-threshold * base // 100)
