"""Preparing a feed: any file becomes one normalized form, before anything is charged or written (design, section 6)."""

from __future__ import annotations

import errno
import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from shared.feeds.definition import FeedDefinition, resolve
from shared.feeds.entities import EntityDefinition
from shared.feeds.errors import RowRejected, too_much_data
from shared.feeds.folding import Folder, FoldingRule
from shared.feeds.limits import DEFAULT_LIMITS, Limits
from shared.feeds.mapping import RowMapper
from shared.feeds.readers.base import BadRow, Reader
from shared.feeds.readers.opening import open_reader

PROGRESS_EVERY = 5_000
_DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@dataclass(frozen=True, slots=True)
class EntityCounts:
    """What became of one entity's rows: records, rows folded into others, rows that were refused."""

    records: int = 0
    duplicates: int = 0
    rejected: int = 0


@dataclass(frozen=True, slots=True)
class PreparedFeed:
    """A feed in its normalized form.

    `records_path` holds one line for each record, in the order of first appearance, ended by a newline byte: a JSON
    array `[entity, key, {attributes}, row]`, so that a worker can go on from a byte offset. Split it at newline bytes
    only: texts may hold other line separators. Numbers are exact; read them as int and Decimal. Lists may hold null.
    `rejections_path` holds one line for each rejection: `{"row", "column", "entity", "key", "reason"}`. Of a great many
    only the first are there (`Limits.max_rejections`); `rejected` counts all.
    `mapped` names, for each entity, the attributes that the feed maps: one that a record lacks here is to be removed
    from the catalogue's record; what is not named is to be left alone.
    The counts of `by_entity` add up to the totals.
    """

    records_path: Path
    rejections_path: Path
    rows_read: int
    records: int
    duplicates: int
    rejected: int
    by_entity: Mapping[str, EntityCounts]
    mapped: Mapping[str, tuple[str, ...]]


def prepare(
    source: Path,
    definition: FeedDefinition,
    workdir: Path,
    *,
    limits: Limits = DEFAULT_LIMITS,
    progress: Callable[[int], None] | None = None,
) -> PreparedFeed:
    """Reads `source` and writes `records.jsonl` and `rejections.jsonl` into `workdir`, in bounded memory.

    `progress` is called now and then with the rows read so far, also where a file is long and has no rows; what it
    raises ends the preparation. Raises FeedUnreadable when the file as a whole cannot be read, or when what it holds
    does not fit; then neither file is left behind.
    """
    resolved = resolve(definition)
    rules = [_folding_rule(entity) for entity in resolved.entities]
    records_path = workdir / "records.jsonl"
    rejections_path = workdir / "rejections.jsonl"
    pulse = _Pulse(progress)
    try:
        with (
            open_reader(source, resolved.format, limits, pulse.beat) as reader,
            _Rejections(rejections_path, resolved.entities[0].entity, limits) as rejections,
        ):
            mapper = RowMapper(resolved.entities, reader.columns, limits)
            with Folder(records_path, rules, limits) as folder:
                _fold_rows(reader, mapper, folder, rejections, pulse)
                too_large = folder.finish(rejections.add, pulse.beat)
    except BaseException as problem:
        for path in (records_path, rejections_path):
            path.unlink(missing_ok=True)
        if pulse.stopped is not None and problem is not pulse.stopped:
            # A reader took it for something about its file.
            raise pulse.stopped from None
        if _is_full(problem):
            raise too_much_data("the space that there is for them") from problem
        raise
    pulse.beat()
    by_entity = _counts(rules, folder, too_large, rejections.by_entity)
    return PreparedFeed(
        records_path=records_path,
        rejections_path=rejections_path,
        rows_read=pulse.rows_read,
        records=sum(counts.records for counts in by_entity.values()),
        duplicates=sum(counts.duplicates for counts in by_entity.values()),
        rejected=sum(counts.rejected for counts in by_entity.values()),
        by_entity=by_entity,
        mapped=mapper.mapped(),
    )


def _is_full(problem: BaseException) -> bool:
    """Whether the working directory's disk is full: the file holds more than fits, and will tomorrow."""
    if isinstance(problem, sqlite3.Error):
        return getattr(problem, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
    return isinstance(problem, OSError) and problem.errno in _DISK_FULL


class _Pulse:
    """The rows read so far, and who is told of them: a file that takes too long is stopped wherever the time goes."""

    def __init__(self, progress: Callable[[int], None] | None) -> None:
        self._progress = progress
        self.rows_read = 0
        self.stopped: BaseException | None = None
        """What it raised, to end the preparation."""

    def beat(self) -> None:
        if self._progress is None:
            return
        try:
            self._progress(self.rows_read)
        except BaseException as problem:
            self.stopped = problem
            raise


def _folding_rule(entity: EntityDefinition) -> FoldingRule:
    return FoldingRule(
        entity.entity,
        counts_duplicates=entity.key is not None and not entity.spans_rows,
        collects=any(attribute.collect for attribute in entity.named_attributes.values()),
    )


def _fold_rows(
    reader: Reader,
    mapper: RowMapper,
    folder: Folder,
    rejections: _Rejections,
    pulse: _Pulse,
) -> None:
    for row in reader.rows():
        pulse.rows_read += 1
        if pulse.rows_read % PROGRESS_EVERY == 0:
            pulse.beat()
        if isinstance(row, BadRow):
            rejections.add(row=row.number, column=row.column, entity=None, key=None, reason=row.reason)
            continue
        try:
            emissions = mapper.map(row.values, row.size)
        except RowRejected as problem:
            rejections.add(
                row=row.number, column=problem.column, entity=problem.entity, key=problem.key, reason=problem.reason
            )
            continue
        for place, key, attributes in emissions:
            folder.add(place, key, attributes, row.number)
        mapper.accept()
        folder.end_of_row(row.size)
    pulse.beat()


class _Rejections:
    """Writes rejections. What no entity is to blame for counts for the definition's first, so that the counts of the
    entities add up. Of a great many only the first are written; all are counted."""

    def __init__(self, path: Path, first_entity: str, limits: Limits) -> None:
        self._limits = limits
        self._written = 0
        self._bytes = 0
        self._file = path.open("w", encoding="utf-8", newline="\n")
        self._first_entity = first_entity
        self.by_entity: dict[str, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def add(self, *, row: int, column: str | None, entity: str | None, key: str | None, reason: str) -> None:
        entity = entity or self._first_entity
        self.by_entity[entity] = self.by_entity.get(entity, 0) + 1
        if self._written >= self._limits.max_rejections or self._bytes >= self._limits.max_rejections_bytes:
            return
        line = {"row": row, "column": column, "entity": entity, "key": key, "reason": reason}
        # As ASCII: a reason may quote whatever the file holds.
        self._bytes += self._file.write(json.dumps(line) + "\n")
        self._written += 1


def _counts(
    rules: Sequence[FoldingRule], folder: Folder, too_large: Sequence[int], rejected: Mapping[str, int]
) -> dict[str, EntityCounts]:
    counts: dict[str, EntityCounts] = {}
    for rule, yielded, distinct, large in zip(rules, folder.yielded, folder.distinct, too_large, strict=True):
        before = counts.get(rule.entity, EntityCounts(rejected=rejected.get(rule.entity, 0)))
        counts[rule.entity] = EntityCounts(
            records=before.records + distinct - large,
            duplicates=before.duplicates + (yielded - distinct if rule.counts_duplicates else 0),
            rejected=before.rejected,
        )
    return counts
