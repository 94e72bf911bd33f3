"""What an export is made of: the entries of a month's log and the grants that came in it, in the order of their times.

Everything is read consistently, the log page by page, so that memory stays bounded however much happened.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from shared.credits import Grant, GrantKind, Operation
from shared.exports.lines import Line, line_of_grant, lines_of
from shared.exports.model import Position
from shared.ids import time_of
from shared.months import Month


class BooksDamaged(Exception):
    """An entry of the log cannot be read, or names a grant that there is none of. No later try will find it whole."""


class EntriesByTime(Protocol):
    """A log that can be read forward: the live one (`OperationLog`), or that of an exported table (`TableCopy`)."""

    def forward(self, workspace_id: str, since: datetime, until: datetime) -> Iterator[Operation]:
        """Every operation triggered from `since` on and before `until`, oldest first."""
        ...


@dataclass(frozen=True, slots=True)
class Source:
    """One entry, or one grant, and the lines that it becomes; `end` is the place behind it."""

    end: Position
    lines: tuple[Line, ...]


def sources_of(
    log: EntriesByTime,
    grants: Sequence[Grant],
    workspace_id: str,
    month: Month,
    until: datetime,
    after: Position | None,
) -> Iterator[Source]:
    """What a month consists of, from behind `after`, until before `until` if that is in the month. `grants` are all
    that the workspace was ever given.

    An entry is of the month in which it was triggered. Raises BooksDamaged, and botocore's errors.
    """
    kinds = {grant.grant_id: grant.kind for grant in grants}
    # Nothing is older than its workspace: a month before has no days to look through.
    since = max(month.start, time_of(workspace_id), *([after.at] if after else []))
    until = min(month.end, until)
    given = (grant for grant in grants if month.start <= grant.granted_at < until)
    entries: Iterator[Grant | Operation] = log.forward(workspace_id, since, until)
    came: list[Grant | Operation] = sorted(given, key=_place)
    for what in heapq.merge(came, entries, key=_place):
        place = _place(what)
        if after is None or place > (after.at, after.identifier):
            yield Source(Position(*place), _lines(what, kinds))


def _place(what: Grant | Operation) -> tuple[datetime, str]:
    return (what.granted_at, what.grant_id) if isinstance(what, Grant) else (what.at, what.operation_id)


def _lines(what: Grant | Operation, kinds: Mapping[str, GrantKind]) -> tuple[Line, ...]:
    if isinstance(what, Grant):
        return (line_of_grant(what),)
    try:
        return tuple(lines_of(what, kinds))
    except KeyError as error:
        raise BooksDamaged(f"the entry {what.operation_id} names a grant that was never given: {error}") from error
