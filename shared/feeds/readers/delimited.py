"""CSV, TSV and their relatives, with the warts of real exports: newlines in cells, stray quotes, no header."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from shared.feeds.errors import FeedUnreadable, shortened
from shared.feeds.formats import FileType, FormatDefinition
from shared.feeds.limits import Limits
from shared.feeds.readers.base import BadRow, Beat, Row, silent
from shared.feeds.readers.columns import name_columns
from shared.feeds.readers.text import LineTooLong, NotThisEncoding, choose_encoding, lines

# The csv module's own bound on a cell is one for the whole process, and below what real exports hold. Rows are bounded
# here, by Limits.max_row_characters.
csv.field_size_limit(2**31 - 1)

_STATED = re.compile(r"\ufeff?sep=([^\w\s\"]|\t)", re.IGNORECASE)
DELIMITERS = (",", ";", "\t", "|")
_SENTINEL = "\x00end of file\x00"


class DelimitedReader:
    """Reads delimited text. The header is read when the reader is made."""

    def __init__(
        self, source: Path, kind: FileType, layout: FormatDefinition, limits: Limits, beat: Beat = silent
    ) -> None:
        self._layout = layout
        self._limits = limits
        self._file = source.open("rb")
        self._number = 0
        self._pending: list[str] = []
        self._pending_characters = 0
        self._names: tuple[str, ...] = ()
        try:
            encoding = choose_encoding(self._file, layout.encoding)
            self._lines = lines(self._file, encoding, limits.max_row_characters, beat)
            self._delimiter = self._choose_delimiter(kind)
            self._cells = self._read_cells()
            self._first = self._first_cells()
            self._names = name_columns(self._first, layout, limits)
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns, by the header, by `format.header`, or by number."""
        return self._names

    def rows(self) -> Iterator[Row | BadRow]:
        """The data rows. Blank ones are left out; a row number counts them."""
        names = self._names
        width = len(names)
        if self._layout.header is not True:
            yield from self._to_row(self._first)
        strip = self._layout.trim
        for cells in self._cells:
            if len(cells) > width:
                yield from self._to_row(cells)
                continue
            if strip:
                values: dict[str, Any] = {
                    name: text for name, cell in zip(names, cells, strict=False) if (text := cell.strip())
                }
            else:
                values = {name: cell for name, cell in zip(names, cells, strict=False) if cell and not cell.isspace()}
            if values:
                yield Row(self._number, values, self._pending_characters)

    def _to_row(self, cells: list[str]) -> Iterator[Row | BadRow]:
        """A row that may be wider than the header: blank cells beyond it are stray delimiters, others are a mistake."""
        width = len(self._names)
        for number, cell in enumerate(cells[width:], start=width + 1):
            if cell.strip():
                reason = f"the row has {len(cells)} cells and the header {width}; cell {number} is {shortened(cell)}"
                yield BadRow(self._number, f"{reason}. Is a {_spelled(self._delimiter)} inside a cell not quoted?")
                return
        trimmed = (
            (name, cell.strip() if self._layout.trim else cell) for name, cell in zip(self._names, cells, strict=False)
        )
        values = {name: cell for name, cell in trimmed if cell.strip()}
        if values:
            yield Row(self._number, values, self._pending_characters)

    def _first_cells(self) -> list[str]:
        for cells in self._cells:
            if any(map(str.strip, cells)):
                return cells
        raise FeedUnreadable("empty_file", "the file holds nothing but blanks")

    def _read_cells(self) -> Iterator[list[str]]:
        """Cells of each row. `_number` is the row's number and `_pending` its lines while the consumer holds it."""
        reader = csv.reader(
            self._counted_lines(),
            delimiter=self._delimiter,
            quotechar=self._layout.quote,
            quoting=csv.QUOTE_NONE if self._layout.quote is None else csv.QUOTE_MINIMAL,
            strict=True,
        )
        while True:
            self._pending.clear()
            self._pending_characters = 0
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error:
                cells = self._mended()
            except NotThisEncoding as problem:
                before = "".join(self._pending) + problem.before
                raise problem.as_unreadable(self._number + 1, self._last_column(before)) from problem
            except LineTooLong as problem:
                raise self._too_long() from problem
            self._number += 1
            yield cells

    def _counted_lines(self) -> Iterator[str]:
        for line in self._lines:
            self._pending.append(line)
            self._pending_characters += len(line)
            if self._pending_characters > self._limits.max_row_characters:
                raise self._too_long()
            yield line

    def _mended(self) -> list[str]:
        """A row in which text follows a closing quote.

        Within one line that is a quote which was not doubled, as in `"6" nails",5`: it is taken as it stands. Over
        several lines it is a quote that was never closed and met the next one: what lies between cannot be told apart.
        """
        cells = self._parse_loosely(self._pending[0]) if len(self._pending) == 1 else None
        if cells is None:
            raise self._never_closed()
        return cells

    def _parse_loosely(self, line: str) -> list[str] | None:
        """The cells of a line, or None if a quote in it is still open at the end."""
        end = "" if line.endswith(("\n", "\r")) else "\n"
        rows = list(csv.reader([line + end, _SENTINEL], delimiter=self._delimiter, quotechar=self._layout.quote))
        return rows[0] if rows[-1] == [_SENTINEL] else None

    def _last_column(self, text: str) -> str | None:
        """The name of the column in which a row's unfinished text ends."""
        unfinished = io.StringIO(text, newline="")
        rows = list(csv.reader(unfinished, delimiter=self._delimiter, quotechar=self._layout.quote or '"'))
        place = len(rows[-1]) - 1 if rows else 0
        return self._names[place] if 0 <= place < len(self._names) else None

    def _too_long(self) -> FeedUnreadable:
        if len(self._pending) > 1 and self._layout.quote is not None:
            return self._never_closed()
        row = self._number + 1
        limit = f"{self._limits.max_row_characters:,}"
        hint = "check format.delimiter and whether this is a table at all"
        return FeedUnreadable("row_too_long", f"row {row} has no end within {limit} characters; {hint}", row)

    def _never_closed(self) -> FeedUnreadable:
        row = self._number + 1
        # It is in the row's last line that the quote is found to be open: the cell begins before.
        column = self._last_column("".join(self._pending[:-1] or self._pending))
        place = f"row {row}" + (f", column {column}" if column else "")
        opened = shortened("".join(self._pending[:1]).strip())
        hint = "double a quote inside a cell, or set format.quote to null if the file does not quote"
        detail = f"{place}: a quote is opened and never closed (the row begins {opened}); {hint}"
        return FeedUnreadable("unclosed_quote", detail, row, column)

    def _choose_delimiter(self, kind: FileType) -> str:
        if self._layout.delimiter != "auto":
            return self._layout.delimiter
        if kind == "tsv":
            return "\t"
        first = self._peek_line()
        stated = _STATED.fullmatch(first.strip("\r\n"))
        if stated:  # Excel's own line, which it does not show either
            next(self._lines)
            return stated.group(1)
        quote = self._layout.quote
        outside = "".join(first.split(quote)[::2]) if quote else first
        best = max(DELIMITERS, key=outside.count)
        return best if outside.count(best) else ","

    def _peek_line(self) -> str:
        """The first line that is not blank; it and those before it are put back."""
        seen: list[str] = []
        try:
            for line in self._lines:
                seen.append(line)
                if line.strip() or len(seen) == 1_000:
                    break
        except NotThisEncoding as problem:
            raise problem.as_unreadable(len(seen) + 1, None) from problem
        except LineTooLong as problem:
            raise self._too_long() from problem
        self._lines = _chained(seen, self._lines)
        return seen[-1] if seen else ""


def _chained(seen: list[str], rest: Iterator[str]) -> Iterator[str]:
    yield from seen
    yield from rest


def _spelled(delimiter: str) -> str:
    return {"\t": "tab", ",": "comma", ";": "semicolon"}.get(delimiter, repr(delimiter))
