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
from shared.ids import time_of
from shared.usage.counting import RECOUNTABLE, UsageCounter
from shared.usage.store import SoFar, UsageStore, midnight, month_name
from shared.usage.tally import COUNTS, Dimension, Figures, tally

_NAMES = (*COUNTS, "drawn")
_LEFT_IN = "left in "
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
        payers: dict[str, str] = {}
        found += self._check_dimensions(workspace_id, month, last, payers)
        return Checked((*found, *self._check_payers(workspace_id, payers)), repaired)

    def check_so_far(self, workspace_id: str, now: datetime) -> Checked:
        """Compares what was counted of a workspace in all its life with the figures of its months.

        Both are written in one transaction and only ever rise, so what is read between two readings of the months lies
        between them. Raises StoreUnavailable and errors of botocore.
        """
        found: list[Difference] = []
        for _ in range(_ATTEMPTS):
            low = self._all_months(workspace_id, now)
            so_far = _lives_of(self.store.so_far(workspace_id))
            high = self._all_months(workspace_id, now)
            found = list(_strays(low, so_far, high))
            if not found:
                break
        return Checked(tuple(found))

    def _all_months(self, workspace_id: str, now: datetime) -> dict[str, int]:
        """What the months come to, named as `_lives_of` names it."""
        # Up to tomorrow's month: the clock of whoever wrote an entry may be ahead of this one.
        first, last = time_of(workspace_id).astimezone(UTC).date(), (now + timedelta(days=1)).astimezone(UTC).date()
        sums = _lives_of(SoFar())
        for day, _, figures in self.store.figures(workspace_id, Dimension.TOTAL, first, _last_of(last)):
            for name, number in (
                ("operations", figures.operations),
                ("credits", figures.credits),
                (_LEFT_IN + month_name(day), figures.left),
            ):
                sums[name] = sums.get(name, 0) + number
        return sums

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

    def _check_dimensions(self, workspace_id: str, first: date, last: date, payers: dict[str, str]) -> list[Difference]:
        """Whatever figures are grouped by, they add up to the total. Notes in `payers` which grants have paid, each
        with the first place that says so.
        """
        found: list[Difference] = []
        for _ in range(_ATTEMPTS):
            before = self._by_day(workspace_id, Dimension.TOTAL, first, last)
            grouped: dict[Dimension, dict[str, Sums]] = {
                dimension: self._by_day(workspace_id, dimension, first, last, payers)
                for dimension in Dimension
                if dimension is not Dimension.TOTAL
            }
            after = self._by_day(workspace_id, Dimension.TOTAL, first, last, payers)
            found = list(_misfits(before, grouped, after))
            if not found:
                break
        return found

    def _check_payers(self, workspace_id: str, payers: Mapping[str, str]) -> Iterable[Difference]:
        """Figures tell of money by the grants that paid. Grants are read after them: a grant is written before anything
        is drawn on it.
        """
        if not payers:
            return
        given = {grant.grant_id for grant in self.books.grants(workspace_id)[0]}
        for grant_id in sorted(payers.keys() - given):
            yield Difference("usage figures name grants that were given", "a grant", grant_id, payers[grant_id])

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

    def _by_day(
        self, workspace_id: str, dimension: Dimension, first: date, last: date, payers: dict[str, str] | None = None
    ) -> dict[str, Sums]:
        """What all values of a dimension come to on each day that has any. Notes in `payers` which grants have paid."""
        days: dict[str, list[Figures]] = {}
        for day, value, figures in self.store.figures(workspace_id, dimension, first, last):
            days.setdefault(f"{day}", []).append(figures)
            if payers is not None:
                for grant_id in figures.drawn:
                    payers.setdefault(grant_id, f"{day}, {dimension} {value}")
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


def _lives_of(so_far: SoFar) -> dict[str, int]:
    """What was counted in all, by name: `operations`, `credits`, and `left in 2026-11` for each month."""
    months = {_LEFT_IN + month: credits for month, credits in so_far.left.items()}
    return {"operations": so_far.operations, "credits": so_far.credits} | months


def _strays(low: Mapping[str, int], so_far: Mapping[str, int], high: Mapping[str, int]) -> Iterable[Difference]:
    for name in sorted(so_far.keys() | high.keys()):
        if not low.get(name, 0) <= so_far.get(name, 0) <= high.get(name, 0):
            rule = "usage figures in all are what the months come to"
            yield Difference(rule, f"{name} {high.get(name, 0)}", f"{name} {so_far.get(name, 0)}", "the workspace")


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
