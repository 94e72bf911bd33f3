"""Holds the usage figures against the log, and brings them up to it.

They are counted from the log some seconds later, so they may be behind; and ahead of what an audit has read some time
ago. What they may never be is less than what was read, once that was offered to be counted again, or more than what the
log has afterwards.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from shared.audits.reading import BooksReader
from shared.credits import Operation
from shared.credits.audit import Difference
from shared.usage.counting import RECOUNTABLE, UsageCounter
from shared.usage.store import UsageStore, midnight
from shared.usage.tally import COUNTS, Dimension, Figures, tally

_NAMES = (*COUNTS, "drawn")
_ATTEMPTS = 3
"""How often figures are read that do not fit each other: a reader may see one part of what is being counted."""

Sums = list[int]
"""One number for each of the figures, by `_NAMES`."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What does not fit, and how many operations had not been counted and are now."""

    differences: tuple[Difference, ...] = ()
    repaired: int = 0


@dataclass(frozen=True, slots=True)
class UsageBooks:
    """The usage figures of all workspaces, beside the log that they are counted from."""

    store: UsageStore
    counter: UsageCounter
    books: BooksReader

    def sums_of(self, entry: Operation) -> Sums:
        """What one entry adds to the figures of its day."""
        return _sums(figures for place, figures in tally(entry).items() if place.dimension is Dimension.TOTAL)

    def check(self, workspace_id: str, month: date, logged: Mapping[str, Sequence[int]], now: datetime) -> Checked:
        """Compares a month's figures with what the log came to when it was read, by day (`2026-11-22`).

        Raises StoreUnavailable and errors of botocore.
        """
        last = _last_of(month)
        total = self._by_day(workspace_id, Dimension.TOTAL, month, last)
        found: list[Difference] = []
        repaired = 0
        for day in sorted(logged.keys() | total.keys()):
            read = list(logged.get(day, _sums(())))
            if total.get(day, _sums(())) == read:
                continue
            checked = self._check_day(workspace_id, date.fromisoformat(day), read, now)
            repaired += checked.repaired
            found += checked.differences
        return Checked((*found, *self._check_dimensions(workspace_id, month, last)), repaired)

    def _check_day(self, workspace_id: str, day: date, read: Sums, now: datetime) -> Checked:
        """Counts what was not counted, and says whether the figures then lie where the log says."""
        repaired = 0
        current = self._day(workspace_id, day)
        if not _within(read, current, current) and midnight(day) > now - RECOUNTABLE:
            repaired = self._count_again(workspace_id, day)
            current = self._day(workspace_id, day)
        afterwards = self._log_of(workspace_id, day)
        if _within(read, current, afterwards):
            return Checked((), repaired)
        expected, found = _words(afterwards, current), _words(current, afterwards)
        return Checked((Difference("usage figures are what the log comes to", expected, found, f"{day}"),), repaired)

    def _check_dimensions(self, workspace_id: str, first: date, last: date) -> list[Difference]:
        """Whatever figures are grouped by, they add up to the total."""
        found: list[Difference] = []
        for _ in range(_ATTEMPTS):
            before = self._by_day(workspace_id, Dimension.TOTAL, first, last)
            grouped: dict[Dimension, dict[str, Sums]] = {
                dimension: self._by_day(workspace_id, dimension, first, last)
                for dimension in Dimension
                if dimension is not Dimension.TOTAL
            }
            after = self._by_day(workspace_id, Dimension.TOTAL, first, last)
            found = list(_misfits(before, grouped, after))
            if not found:
                break
        return found

    def _count_again(self, workspace_id: str, day: date) -> int:
        """Offers all entries of a day to be counted; markers let each count once."""
        return sum(self.counter.count(page).new for page in self._pages(workspace_id, day))

    def _log_of(self, workspace_id: str, day: date) -> Sums:
        sums = _sums(())
        for page in self._pages(workspace_id, day):
            for entry in page:
                sums = [a + b for a, b in zip(sums, self.sums_of(entry), strict=True)]
        return sums

    def _pages(self, workspace_id: str, day: date) -> Iterable[tuple[Operation, ...]]:
        after = None
        while True:
            page = self.books.entries(workspace_id, midnight(day), after)
            yield page.entries
            after = page.after
            if after is None:
                return

    def _day(self, workspace_id: str, day: date) -> Sums:
        return self._by_day(workspace_id, Dimension.TOTAL, day, day).get(f"{day}", _sums(()))

    def _by_day(self, workspace_id: str, dimension: Dimension, first: date, last: date) -> dict[str, Sums]:
        """What all values of a dimension come to on each day that has any."""
        days: dict[str, list[Figures]] = {}
        for day, _, figures in self.store.figures(workspace_id, dimension, first, last):
            days.setdefault(f"{day}", []).append(figures)
        return {day: _sums(figures) for day, figures in days.items()}


def months_between(first: datetime, last: datetime) -> list[date]:
    """The first days of the months (UTC) from one moment to another."""
    month, end = first.astimezone(UTC).date().replace(day=1), last.astimezone(UTC).date()
    found = []
    while month <= end:
        found.append(month)
        month = _last_of(month) + timedelta(days=1)
    return found


def _misfits(
    before: Mapping[str, Sums], grouped: Mapping[Dimension, Mapping[str, Sums]], after: Mapping[str, Sums]
) -> Iterable[Difference]:
    none = _sums(())
    for dimension, days in grouped.items():
        for day in sorted(days.keys() | before.keys()):
            sums, low, high = days.get(day, none), before.get(day, none), after.get(day, none)
            if not _within(low, sums, high):
                rule = f"usage figures by {dimension} add up to the total"
                yield Difference(rule, _words(high, sums), _words(sums, high), day)


def _sums(figures: Iterable[Figures]) -> Sums:
    sums = [0] * len(_NAMES)
    for each in figures:
        numbers = (*each.counts().values(), sum(each.drawn.values()))
        sums = [a + b for a, b in zip(sums, numbers, strict=True)]
    return sums


def _within(low: Sequence[int], sums: Sequence[int], high: Sequence[int]) -> bool:
    return all(a <= b <= c for a, b, c in zip(low, sums, high, strict=True))


def _words(sums: Sequence[int], other: Sequence[int]) -> str:
    """Those of the figures in which the two differ."""
    return ", ".join(f"{name} {one}" for name, one, two in zip(_NAMES, sums, other, strict=True) if one != two)


def _last_of(month: date) -> date:
    return (month.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)
