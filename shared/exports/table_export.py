"""The files of a month from an exported credit table, for audits that must not touch the live one.

They are made by what makes those of the API's exports, from the same lines in the same order, and so are the same byte
for byte; only the manifest says when it was made, and of which export.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from pathlib import Path

from shared.exports.books import Books, Standing, Sums, books_of
from shared.exports.focus import Account
from shared.exports.formats import LINES_PER_PART, MANIFEST, Format, file_name
from shared.exports.lines import Line
from shared.exports.manifest import manifest_bytes, report_of
from shared.exports.model import ExportFile
from shared.exports.parts import PartWriter, fill
from shared.exports.sources import BooksDamaged, Source, sources_of
from shared.exports.table_copy import TableCopy
from shared.exports.table_files import TableExport, TableExportUnreadable
from shared.ids import pattern_of, time_of
from shared.months import Month

_AT_ONCE = 1_000
"""Lines that are summed at once, of a month that is not written."""


@dataclass(frozen=True, slots=True)
class MonthWritten:
    """A month of a workspace as files; `disagreements` is empty when its books balance."""

    workspace_id: str
    month: Month
    folder: Path
    lines: int
    books: Books
    disagreements: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to write: one workspace or (None) all, one month or (None) all until the table was exported."""

    workspace_id: str | None = None
    month: Month | None = None
    lines_per_part: int = LINES_PER_PART


def write_all(source: Path, target: Path, scratch: Path, wanted: Wanted) -> Iterator[MonthWritten]:
    """Writes the files of an export that lies in `source` to `target/{workspace}/{month}/`, month by month.

    `scratch` is a folder for a file of about the size of the unpacked table. Raises TableExportUnreadable, also when
    there is no such workspace; OSError when files cannot be written.
    """
    export = TableExport.open(source)
    with TableCopy(scratch / "table.sqlite") as copy:
        copy.fill(export, wanted.workspace_id)
        workspaces = copy.workspaces()
        if not workspaces:
            raise TableExportUnreadable(f"{source}: no account of {wanted.workspace_id or 'any workspace'}")
        for workspace_id in workspaces:
            try:
                yield from _workspace(copy, workspace_id, export.exported_at, target, wanted)
            except BooksDamaged as damage:
                raise TableExportUnreadable(f"{workspace_id}: {damage}") from damage
            except (TypeError, ValueError, AttributeError, ArithmeticError) as error:
                # An item that reads like one of ours and holds a text for a number, or money that nobody agreed on.
                raise TableExportUnreadable(
                    f"{workspace_id}: an item is not as this system writes it ({error!r})"
                ) from error


def _workspace(
    copy: TableCopy, workspace_id: str, exported_at: datetime, target: Path, wanted: Wanted
) -> Iterator[MonthWritten]:
    """Goes through all months from the first: where one ends the next begins."""
    grants = copy.grants(workspace_id)
    if not grants:
        raise TableExportUnreadable(f"{workspace_id}: an account to which nothing was ever given")
    month, last = _first_month(workspace_id), Month.of(exported_at)
    standing = Standing(0, 0)
    while month <= last:
        sources = sources_of(copy, grants, workspace_id, month, month.end, None)
        is_wanted = wanted.month in (None, month)
        folder = target / workspace_id / str(month)
        account = Account.of(workspace_id, month, grants)
        sums, files = _written(sources, account, folder, wanted) if is_wanted else (_summed(sources), [])
        books = books_of(standing, sums)
        standing = books.closing
        if is_wanted:
            balance = copy.balance(workspace_id) if month == last else None
            now = None if balance is None else Standing(balance.available, balance.owed)
            report = report_of(books, now, exported_at)
            (folder / MANIFEST).write_bytes(manifest_bytes(workspace_id, month, files, sums, report))
            yield MonthWritten(workspace_id, month, folder, sums.lines, books, tuple(report["disagreements"]))
        month = month.next


def _first_month(workspace_id: str) -> Month:
    """The month in which it was opened. The identifier becomes the name of a folder, so it must be a real one."""
    if not re.fullmatch(pattern_of("ws"), workspace_id):
        raise TableExportUnreadable(f"{workspace_id!r}: no workspace has this identifier")
    return Month.of(time_of(workspace_id))


def _written(
    sources: Iterator[Source], account: Account, folder: Path, wanted: Wanted
) -> tuple[Sums, list[ExportFile]]:
    """Writes all parts; the first is there also when nothing happened."""
    folder.mkdir(parents=True, exist_ok=True)
    sums = Sums()
    files: list[ExportFile] = []
    left: Source | None = None
    is_last = False
    while not is_last:
        part = len(files) // len(Format) + 1
        with ExitStack() as opened:
            paths = {form: folder / file_name(form, part) for form in Format}
            sinks = {form: opened.enter_context(path.open("wb")) for form, path in paths.items()}
            writer = PartWriter(sinks, account)
            left = fill(writer, chain([left] if left else [], sources), wanted.lines_per_part).left
            files += [made.of_part(part, paths[made.format].name) for made in writer.close()]
        sums += writer.sums
        is_last = left is None
    return sums, files


def _summed(sources: Iterator[Source]) -> Sums:
    sums = Sums()
    lines: list[Line] = []
    for source in sources:
        lines += source.lines
        if len(lines) >= _AT_ONCE:
            sums.add(lines)
            lines.clear()
    sums.add(lines)
    return sums
