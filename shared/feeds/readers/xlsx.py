"""Excel workbooks: one sheet, row by row. What the zip says that it holds is checked before anything is unpacked."""

from __future__ import annotations

import datetime as dt
import zipfile
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import openpyxl
from openpyxl.utils.exceptions import InvalidFileException
from openpyxl.worksheet._read_only import ReadOnlyWorksheet

from shared.feeds.errors import FeedUnreadable, shortened
from shared.feeds.exact_numbers import NotANumberHere, as_text, checked
from shared.feeds.formats import FormatDefinition
from shared.feeds.limits import Limits
from shared.feeds.readers.base import BadRow, Row
from shared.feeds.readers.columns import name_columns

_LARGEST_WHOLE = 1e15
"""Floats up to here hold every whole number; Excel keeps 15 digits."""
_MAX_ROWS = 1_048_576
"""Of a sheet in Excel. A row number beyond it is made up."""

# What openpyxl raises for a workbook that is not made as the format says, beside the zip's own errors.
_BROKEN = (
    zipfile.BadZipFile,
    InvalidFileException,
    SyntaxError,  # the parsers of XML raise kinds of it
    KeyError,
    ValueError,
    TypeError,
    AttributeError,
    IndexError,
    EOFError,
)


class XlsxReader:
    """Reads one sheet. Numbers stay numbers, dates become ISO 8601 text. Row numbers are the sheet's."""

    def __init__(self, source: Path, layout: FormatDefinition, limits: Limits) -> None:
        self._layout = layout
        self._limits = limits
        self._number = 0
        _check_archive(source, limits)
        # Opened here: openpyxl refuses a path without a known ending.
        self._file = source.open("rb")
        try:
            self._book = openpyxl.load_workbook(self._file, read_only=True, data_only=True, keep_links=False)
        except _BROKEN as problem:
            self._file.close()
            raise _broken(problem) from problem
        try:
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
        self._book.close()
        self._file.close()

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
                if any(cell is not None and cell != "" for cell in cells):
                    yield cells
        except _BROKEN as problem:
            raise _broken(problem) from problem


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


def _broken(problem: BaseException) -> FeedUnreadable:
    return FeedUnreadable("malformed", f"the workbook is damaged or cut ({problem}); save it again, or as CSV")


def _check_archive(source: Path, limits: Limits) -> None:
    """Refuses what unpacks to more than a workbook of products needs, and documents that declare entities."""
    try:
        with zipfile.ZipFile(source) as archive:
            entries = archive.infolist()
            if "xl/workbook.xml" not in archive.namelist():
                raise FeedUnreadable(
                    "wrong_format", "the file is a zip archive and no Excel workbook (XLSX); unpack it"
                )
            for entry in entries:
                _check_entry(entry, limits)
            for entry in entries:
                if entry.filename.endswith((".xml", ".rels")):
                    with archive.open(entry) as file:
                        head = file.read(65536).replace(b"\x00", b"")
                    if b"<!DOCTYPE" in head or b"<!ENTITY" in head:
                        detail = f"{entry.filename} in the workbook has a document type, which no workbook needs"
                        raise FeedUnreadable("xml_entities", detail)
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, zipfile.zlib.error) as problem:  # type: ignore[attr-defined]
        raise FeedUnreadable(
            "truncated", f"the workbook's zip archive is damaged or cut ({problem}); send the whole file"
        ) from problem


def _check_entry(entry: zipfile.ZipInfo, limits: Limits) -> None:
    name = entry.filename
    if name.startswith("xl/worksheets/"):
        bound = limits.max_xlsx_sheet_bytes
    elif name == "xl/sharedStrings.xml":
        bound = limits.max_xlsx_strings_bytes
    elif name.endswith((".xml", ".rels")):
        bound = limits.max_xlsx_part_bytes
    else:
        return  # pictures and the like are never unpacked
    suspicious = entry.file_size > 8 * 1024 * 1024 and entry.file_size > limits.max_xlsx_ratio * max(
        entry.compress_size, 1
    )
    if entry.file_size > bound or suspicious:
        sizes = f"{name} unpacks from {entry.compress_size:,} to {entry.file_size:,} bytes (at most {bound:,} are read)"
        raise FeedUnreadable("zip_bomb", f"{sizes}; save the sheet as CSV")
