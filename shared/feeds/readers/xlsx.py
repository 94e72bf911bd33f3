"""Excel workbooks: one sheet, row by row. What openpyxl reads of them is looked through first (workbooks.py)."""

from __future__ import annotations

import datetime as dt
import lzma
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from openpyxl.utils.exceptions import InvalidFileException
from openpyxl.worksheet._read_only import ReadOnlyWorksheet

from shared.feeds.errors import FeedUnreadable, shortened
from shared.feeds.exact_numbers import NotANumberHere, as_text, checked
from shared.feeds.formats import FormatDefinition
from shared.feeds.limits import Limits
from shared.feeds.readers.base import BadRow, Beat, Row, silent
from shared.feeds.readers.columns import name_columns
from shared.feeds.readers.workbooks import GuardedArchive, open_workbook

_LARGEST_WHOLE = 1e15
"""Floats up to here hold every whole number; Excel keeps 15 digits."""
_MAX_ROWS = 1_048_576
"""Of a sheet in Excel. A row number beyond it is made up."""

_BEAT_EVERY = 5_000

_CUT = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError)
# What openpyxl raises for a workbook that is not made as the format says, beside the zip's own errors.
_BROKEN = (
    *_CUT,
    InvalidFileException,
    SyntaxError,  # the parsers of XML raise kinds of it
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
    ArithmeticError,
    AssertionError,
    RuntimeError,  # of zipfile: the archive is encrypted, or packed in a way that it does not know
    OSError,  # openpyxl's, for an archive without a workbook
    struct.error,
)


class XlsxReader:
    """Reads one sheet. Numbers stay numbers, dates become ISO 8601 text. Row numbers are the sheet's."""

    def __init__(self, source: Path, layout: FormatDefinition, limits: Limits, beat: Beat = silent) -> None:
        self._layout = layout
        self._limits = limits
        self._number = 0
        self._beat = beat
        # Opened here: an archive lets go of its file only after the last part, which openpyxl leaves open.
        self._file = source.open("rb")
        try:
            self._book = self._open_book()
            self._cells = self._read_cells(self._choose_sheet())
            self._first = next(self._cells, None)
            header = [_as_name(cell) for cell in self._first or ()]
            self._names = name_columns(_without_blank_end(header), layout, limits)
        except BaseException:
            self._close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def _close(self) -> None:
        self._file.close()

    def _open_book(self) -> Any:
        try:
            archive = GuardedArchive(self._file, self._limits, self._beat)
            if "xl/workbook.xml" not in archive.namelist():
                detail = "the file is a zip archive and no Excel workbook (XLSX); unpack it"
                raise FeedUnreadable("wrong_format", detail)
            return open_workbook(archive)
        except _BROKEN as problem:
            raise _broken(problem, None) from problem

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns, by the header, by `format.header`, or by number."""
        return self._names

    def rows(self) -> Iterator[Row | BadRow]:
        """The data rows, without blank ones."""
        if self._layout.header is not True and self._first is not None:
            yield self._to_row(self._first)
        for cells in self._cells:
            yield self._to_row(cells)

    def _to_row(self, cells: Sequence[Any]) -> Row | BadRow:
        width = len(self._names)
        size = 0
        values: dict[str, Any] = {}
        for number, cell in enumerate(cells):
            if cell is None or (isinstance(cell, str) and not cell.strip()):
                continue
            if number >= width:
                reason = f"the row has a cell beyond the header's {width} columns: {shortened(str(cell))}"
                return BadRow(self._number, reason)
            try:
                value = _value(cell, trim=self._layout.trim)
            except NotANumberHere as problem:
                return BadRow(self._number, f"{self._names[number]} holds {problem}", self._names[number])
            size += len(value) if isinstance(value, str) else 8
            values[self._names[number]] = value
        return Row(self._number, values, size)

    def _choose_sheet(self) -> Any:
        names = self._book.sheetnames
        wanted = self._layout.sheet
        name = names[0] if wanted is None and names else wanted
        if isinstance(wanted, int):
            name = names[wanted - 1] if wanted <= len(names) else None
        sheet = self._book[name] if isinstance(name, str) and name in names else None
        if not isinstance(sheet, ReadOnlyWorksheet):
            found = ", ".join(map(shortened, names[:20])) or "none"
            raise FeedUnreadable("sheet_not_found", f"no sheet {wanted or 'with cells'}; the workbook has: {found}")
        return sheet

    def _read_cells(self, sheet: Any) -> Iterator[tuple[Any, ...]]:
        """The rows that are not blank. `_number` is the row's number while the consumer holds it."""
        # The size that a sheet states is often wrong, and would fill each row up with blanks.
        sheet.reset_dimensions()
        try:
            for number, cells in enumerate(sheet.iter_rows(values_only=True), start=1):
                if number > _MAX_ROWS:
                    raise FeedUnreadable("malformed", f"the sheet numbers its rows beyond {_MAX_ROWS:,}", number)
                self._number = number
                # Rows that are left out in the sheet come from nowhere, and none of the file is read.
                if number % _BEAT_EVERY == 0:
                    self._beat()
                if any(cell is not None and cell != "" for cell in cells):
                    yield cells
        except _BROKEN as problem:
            raise _broken(problem, self._number + 1) from problem


def _value(cell: Any, *, trim: bool) -> Any:
    if isinstance(cell, str):
        return cell.strip() if trim else cell
    if isinstance(cell, bool) or (isinstance(cell, int) and checked(cell) == cell):
        return cell
    if isinstance(cell, float):
        # The shortest decimal that is this float is what the sheet shows: 0.1, not 0.1000000000000000055.
        exact = Decimal(repr(cell))
        return int(exact) if cell.is_integer() and abs(cell) < _LARGEST_WHOLE else checked(exact)
    if isinstance(cell, dt.datetime) and cell.time() == dt.time():
        return cell.date().isoformat()
    return cell.isoformat() if isinstance(cell, (dt.date, dt.time)) else str(cell)


def _as_name(cell: Any) -> str:
    if isinstance(cell, float):
        return as_text(Decimal(repr(cell)))
    return "" if cell is None else str(cell)


def _without_blank_end(header: list[str]) -> list[str]:
    while header and not header[-1].strip():
        header.pop()
    return header


def _broken(problem: Exception, row: int | None) -> FeedUnreadable:
    """In words of our own: openpyxl's speak of its code and of files on this machine."""
    place = f" at row {row}" if row else ""
    if isinstance(problem, _CUT):
        detail = f"the workbook's zip archive is damaged or cut{place}; send the whole file"
        return FeedUnreadable("truncated", detail, row)
    detail = f"the workbook is damaged{place}: it is not made as Excel makes them; save it again, or as CSV"
    return FeedUnreadable("malformed", detail, row)
