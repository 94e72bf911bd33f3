"""Writes an export: part by part, each from where the one before ended.

A part is written into files of this machine, sent to the bucket when it is whole, and named in the export's item. Only
then it is a part of the export. So a worker may be killed anywhere, and two may be at it: one of them moves the export,
and the files of the other are nobody's. When all parts are there the books are closed, and nothing about the export
changes any more but that its files are published and it becomes ready; that may be repeated as often as need be.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import IO, Any
from uuid import uuid4

from shared.credits import Grant, Ledger, OperationLog
from shared.exports.books import Standing, Sums, books_of
from shared.exports.bucket import ExportBucket
from shared.exports.focus import Account
from shared.exports.formats import LINES_PER_PART, Format, file_name
from shared.exports.manifest import manifest_of, report_of
from shared.exports.model import Export, ExportFile, failed, ready, rung_again
from shared.exports.parts import FileSummary, PartWriter, fill
from shared.exports.sources import BooksDamaged, sources_of
from shared.exports.store import ExportStore
from shared.ids import time_of
from shared.times import Clock, utc_now
from shared.usage import Dimension, Figures, UsageStore

PART_BYTES = 3 * 1024**3
"""What the files of a part may take of this machine, all together; one ends there, however few lines it has."""

_CLOCKS = timedelta(minutes=1)
"""How far the clock of whoever wrote an entry may be ahead of this one."""

_UNREADABLE = (ValueError, KeyError, TypeError, AttributeError, ArithmeticError)
"""What reading an item raises that is no entry or grant of ours."""

OutOfTime = Callable[[], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportRoom:
    """What it takes to write exports."""

    exports: ExportStore
    log: OperationLog
    ledger: Ledger
    usage: UsageStore
    bucket: ExportBucket
    clock: Clock = utc_now
    lines_per_part: int = LINES_PER_PART
    part_bytes: int = PART_BYTES


def work(room: ExportRoom, workspace_id: str, export_id: str, out_of_time: OutOfTime, leg: int) -> Export | None:
    """Works on the export until it is over, or time is, or somebody else works on it; returns it as it is then.

    `leg` is the one that the worker was called for: a late message of an earlier one calls for nothing. None when there
    is no such export. Raises StoreUnavailable and botocore's errors, after which it may be called again.
    """
    export = room.exports.get(workspace_id, export_id)
    if export is None or export.is_over or leg < export.leg:
        return export
    while export.report is None:
        after = _advanced(room, export, out_of_time)
        hands_over = not after.is_over and after.report is None and out_of_time()
        if hands_over:
            after = rung_again(after, room.clock())
        if not room.exports.move(export, after, rings=hands_over):
            return room.exports.get(workspace_id, export_id)
        if after.is_over or hands_over:
            return after
        export = after
    return _published(room, export)


def give_up(room: ExportRoom, workspace_id: str, export_id: str, leg: int, error: Exception) -> Export | None:
    """Fails an export that broke off at the last try of this leg, so that another may be asked for; returns it as it is
    then, and None when there is none. One that is over, or that another worker was called to, is left alone.

    Of `error` only the kind is told: its text may hold anything. Raises StoreUnavailable and botocore's errors.
    """
    export = room.exports.get(workspace_id, export_id)
    if export is None or export.is_over or export.leg != leg:
        return export
    reason = f"The export broke off at the last of its tries, with {type(error).__name__}. The operators are told."
    after = failed(export, reason, room.clock())
    return after if room.exports.move(export, after) else room.exports.get(workspace_id, export_id)


def disagrees(export: Export) -> bool:
    """Whether the books of a month that was over when it was exported are wrong.

    In a month that goes on, entries may be committed between the last line and the look at the account.
    """
    return bool(export.report and export.report["disagreements"] and export.month.end <= export.requested_at)


def _advanced(room: ExportRoom, export: Export, out_of_time: OutOfTime) -> Export:
    """The export with its next part, and with its report if that was the last."""
    grants = room.ledger.grants(export.workspace_id)
    until = room.clock() + _CLOCKS
    try:
        after, is_last = _with_next_part(room, export, grants, until, out_of_time)
    except (BooksDamaged, *_UNREADABLE) as damage:
        # Not exact in some format, or an entry that nobody can read: it will be the same at every try.
        return failed(export, f"the log cannot be exported: {type(damage).__name__}: {damage}", room.clock())
    if not is_last:
        return after
    return replace(after, report=_report(room, after, grants))


def _with_next_part(
    room: ExportRoom, export: Export, grants: list[Grant], until: datetime, out_of_time: OutOfTime
) -> tuple[Export, bool]:
    """The export with one more part, and whether nothing is left after it. The first is there also when it is empty."""
    sources = sources_of(room.log, grants, export.workspace_id, export.month, until, export.position)
    account = Account.of(export.workspace_id, export.month, grants)
    part = export.parts + 1
    with ExitStack() as files:
        # Without names: Lambda leaves the disk as it is when it ends a worker whose time is over, and those of several
        # parts do not fit on it.
        sinks = {form: files.enter_context(tempfile.TemporaryFile()) for form in Format}
        writer = PartWriter(sinks, account)
        files.callback(writer.abandon)

        def must_end() -> bool:
            return sum(sink.tell() for sink in sinks.values()) > room.part_bytes or out_of_time()

        filled = fill(writer, sources, room.lines_per_part, must_end)
        position, is_last = filled.end or export.position, filled.left is None
        if not writer.lines and export.parts:
            # The part before ended just where the month does.
            return replace(export, position=position, updated_at=room.clock()), is_last
        summaries = writer.close()
        written = _send(room, export, part, sinks, summaries)
    after = replace(
        export,
        position=position,
        parts=part,
        lines=export.lines + writer.lines,
        files=(*export.files, *written),
        sums=(Sums.from_values(export.sums) + writer.sums).to_values(),
        updated_at=room.clock(),
    )
    return after, is_last


def _send(
    room: ExportRoom, export: Export, part: int, files: Mapping[Format, IO[bytes]], summaries: tuple[FileSummary, ...]
) -> list[ExportFile]:
    attempt = uuid4().hex
    return [
        summary.of_part(
            part, room.bucket.put_part(export, attempt, file_name(summary.format, part), files[summary.format])
        )
        for summary in summaries
    ]


def _report(room: ExportRoom, export: Export, grants: list[Grant]) -> dict[str, Any]:
    """What the books say in the end, and what the account says: in the month that goes on itself, after the last line
    was read; of an earlier month's end the figures of usage know, which are counted apart from the lines.
    """
    books = books_of(_standing(room, export, grants, export.month.start), Sums.from_values(export.sums))
    now = room.clock()
    if now >= export.month.end:
        return report_of(books, _standing(room, export, grants, export.month.end), now)
    balance = room.ledger.balance(export.workspace_id)
    return report_of(books, None if balance is None else Standing(balance.available, balance.owed), now)


def _standing(room: ExportRoom, export: Export, grants: list[Grant], at: datetime) -> Standing:
    """What was there when a month began: what had come, less what had left by the figures of usage.

    They are counted from the log and audited against it, and reading them takes a query for each month before; the log
    itself would have to be read from the beginning.
    """
    opened = time_of(export.workspace_id).astimezone(UTC)
    if at <= opened:
        return Standing(0, 0)
    last_day = (at - timedelta(days=1)).date()
    before = room.usage.figures(export.workspace_id, Dimension.TOTAL, opened.date(), last_day)
    figures = Figures.total(each for _, _, each in before)
    came = sum(grant.credits for grant in grants if grant.granted_at < at)
    return Standing(available=came - figures.left, owed=figures.owed - figures.settled)


def _published(room: ExportRoom, export: Export) -> Export:
    """Everything that comes after the last part. What is done twice is the same as what is done once."""
    room.bucket.put_manifest(export, manifest_of(export))
    known = room.exports.get(export.workspace_id, export.export_id) or export
    if known.is_over:
        # Somebody else has done it, and a newer export of the month may have been published since.
        return known
    room.bucket.publish(export)
    room.bucket.tidy(export)
    done = ready(known, room.clock())
    if room.exports.move(known, done):
        return done
    return room.exports.get(export.workspace_id, export.export_id) or export
