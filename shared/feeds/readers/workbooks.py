"""Workbooks opened with care: each part that openpyxl reads is looked through first, block by block.

A workbook is a zip of XML documents. openpyxl builds a row, and some parts as a whole, before anybody can look at them;
so what it reads goes through a parser that builds nothing and counts.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from typing import IO, Any, BinaryIO, NoReturn
from xml.parsers import expat

from openpyxl.reader.excel import ExcelReader
from openpyxl.xml.constants import SHEET_MAIN_NS

from shared.feeds.errors import FeedUnreadable, abridged
from shared.feeds.limits import Limits
from shared.feeds.readers.base import Beat

_MAX_CELLS = 16_384
"""Columns of a sheet in Excel. A row with more cells is made up."""
_MAX_DEPTH = 100
_MAX_NAMES = 10_000
"""Different names of elements and attributes in a part: Excel knows some hundred."""
_MAX_TOKEN = 1024 * 1024
"""Bytes of a tag or a comment. Excel's longest texts stand between tags."""
_MAX_LOOSE_ELEMENTS = 500_000
"""Elements beside rows and shared strings: styles, merged cells, names."""
_ROW = f"{SHEET_MAIN_NS} row"
_UNITS = frozenset({_ROW, f"{SHEET_MAIN_NS} si"})
"""Rows and shared strings: openpyxl lets go of one before it reads the next."""
_CELL = f"{SHEET_MAIN_NS} c"

# The end of a zip: its own record, and the one of archives beyond 4 GiB that stands before it (PKWARE's APPNOTE, 4.3).
_END = b"PK\x05\x06"
_END_BYTES = 22
_LOCATOR = b"PK\x06\x07"
_LARGE_END = b"PK\x06\x06"
_LOCATOR_BYTES, _LARGE_END_BYTES = 20, 56


def open_workbook(archive: GuardedArchive) -> Any:
    """The workbook that the archive holds. Raises what openpyxl raises, and what the archive's reading does."""
    reader = ExcelReader(archive.file, read_only=True, data_only=True, keep_links=False)
    reader.archive = archive
    reader.read()
    return reader.wb


def check_directory(file: BinaryIO, limits: Limits) -> None:
    """Refuses an archive that lists so many files that the list itself takes the memory."""
    file.seek(0, io.SEEK_END)
    file.seek(max(0, file.tell() - _END_BYTES - 0xFFFF))
    tail = file.read()
    # Where zipfile looks: at the very end, or else for the last one before a comment.
    end = len(tail) - _END_BYTES
    if not (end >= 0 and tail.startswith(_END, end) and tail.endswith(b"\x00\x00")):
        end = tail.rfind(_END)
    if end < 0:
        return  # no zip at all, which opening it will say
    size = int.from_bytes(tail[end + 12 : end + 16], "little")
    locator = end - _LOCATOR_BYTES
    large = locator - _LARGE_END_BYTES
    if large >= 0 and tail.startswith(_LOCATOR, locator) and tail.startswith(_LARGE_END, large):
        size = int.from_bytes(tail[large + 40 : large + 48], "little")
    if size > limits.max_xlsx_directory_bytes:
        detail = f"the workbook's zip archive lists too many files (in {size:,} bytes); save the sheet as CSV"
        raise FeedUnreadable("zip_bomb", detail)


class GuardedArchive(zipfile.ZipFile):
    """A workbook's archive whose parts are looked through while they are read, under whatever name.

    Reading raises FeedUnreadable: xml_entities, malformed, row_too_long, zip_bomb.
    """

    def __init__(self, file: BinaryIO, limits: Limits, beat: Beat) -> None:
        check_directory(file, limits)
        self.file = file
        self._limits = limits
        self._beat = beat
        self._unpacked = 0
        super().__init__(file)

    def open(self, name: str | zipfile.ZipInfo, *_mode: Any, **_options: Any) -> IO[bytes]:
        """A part, as a stream to be read: rows and shared strings one at a time."""
        part = name if isinstance(name, zipfile.ZipInfo) else self.getinfo(name)
        check_entry(part, self._limits)
        return _GuardedPart(super().open(part), _Guard(part.filename, self._limits), self._count)  # type: ignore[return-value]

    def read(self, name: str | zipfile.ZipInfo, *_password: Any) -> bytes:
        """A part as a whole."""
        with self.open(name) as stream:
            return stream.read()

    def _count(self, size: int) -> None:
        self._beat()
        self._unpacked += size
        if self._unpacked > self._limits.max_xlsx_unpacked_bytes:
            detail = f"the workbook unpacks to more than {self._limits.max_xlsx_unpacked_bytes:,} bytes"
            raise FeedUnreadable("zip_bomb", f"{detail}; save the sheet as CSV")


def check_entry(entry: zipfile.ZipInfo, limits: Limits) -> None:
    """Refuses a part that unpacks to more than a workbook of products needs, by what the archive says of it."""
    name = entry.filename
    if name.startswith("xl/worksheets/"):
        bound = limits.max_xlsx_sheet_bytes
    elif name == "xl/sharedStrings.xml":
        bound = limits.max_xlsx_strings_bytes
    else:
        bound = limits.max_xlsx_part_bytes
    suspicious = entry.file_size > 8 * 1024 * 1024 and entry.file_size > limits.max_xlsx_ratio * max(
        entry.compress_size, 1
    )
    if entry.file_size > bound or suspicious:
        unpacks = f"{abridged(name)} unpacks from {entry.compress_size:,} to {entry.file_size:,} bytes"
        raise FeedUnreadable("zip_bomb", f"{unpacks} (at most {bound:,} are read); save the sheet as CSV")


class _GuardedPart(io.RawIOBase):
    """A part of the archive. What is given has been looked through."""

    def __init__(self, part: IO[bytes], guard: _Guard, count: Callable[[int], None]) -> None:
        super().__init__()
        self._part = part
        self._guard = guard
        self._count = count

    def readable(self) -> bool:
        """Always."""
        return True

    def read(self, size: int | None = -1) -> bytes:
        """At most `size` bytes, by default all."""
        if size is None or size < 0:
            size = self._guard.limits.max_xlsx_part_bytes + 1
            whole = self._part.read(size)
            if len(whole) == size:
                self._guard.refuse_size()
            self._look_at(whole)
            return whole
        block = self._part.read(size)
        self._look_at(block)
        return block

    def close(self) -> None:
        """Closes the part, not the archive."""
        self._part.close()
        super().close()

    def _look_at(self, block: bytes) -> None:
        self._count(len(block))
        for start in range(0, len(block), _MAX_TOKEN):
            self._guard.look_at(block[start : start + _MAX_TOKEN])


class _Guard:
    """Looks through one part. What it holds is bounded by what a tag may hold."""

    def __init__(self, name: str, limits: Limits) -> None:
        self.limits = limits
        self._name = abridged(name)
        self._row = 0
        self._depth = 0
        self._unit_depth = 0
        """Where the row or shared string that is open began; 0 outside."""
        self._elements = self._cells = self._characters = 0
        """Of that row or string."""
        self._strings = 0
        self._loose = self._loose_characters = 0
        """Elements and characters beside rows and strings."""
        self._events = 0
        self._silent = 0
        self._parser = expat.ParserCreate(namespace_separator=" ")
        if hasattr(self._parser, "SetReparseDeferralEnabled"):
            # Newer versions of expat put off what is not complete, and would then see a part later than openpyxl does.
            # They do so against endless tags, which are refused here by their size.
            self._parser.SetReparseDeferralEnabled(False)
        self._parser.buffer_text = True
        self._parser.ordered_attributes = True
        self._parser.StartDoctypeDeclHandler = self._doctype
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._text

    def look_at(self, block: bytes) -> None:
        """The part's next bytes. Raises FeedUnreadable."""
        events = self._events
        try:
            self._parser.Parse(block, False)
        except expat.ExpatError as problem:
            detail = f"{self._name} in the workbook is damaged: it is not well-formed XML in line {problem.lineno}"
            hint = "save the workbook again, or as CSV"
            raise FeedUnreadable("malformed", f"{detail}; {hint}", self._place()) from problem
        self._silent = self._silent + len(block) if events == self._events else 0
        if self._silent > _MAX_TOKEN:
            self._refuse(f"a tag or comment of more than {_MAX_TOKEN:,} bytes")
        if len(self._parser.intern) > _MAX_NAMES:
            self._refuse(f"more than {_MAX_NAMES:,} different names")

    def refuse_size(self) -> NoReturn:
        """Raises FeedUnreadable for a part that is too large to be read as a whole."""
        detail = f"{self._name} in the workbook unpacks to more than {self.limits.max_xlsx_part_bytes:,} bytes"
        raise FeedUnreadable("zip_bomb", f"{detail}; save the sheet as CSV")

    def _refuse(self, found: str, code: str = "malformed") -> NoReturn:
        row = self._place()
        place = f"row {row} of " if row else ""
        detail = f"{place}{self._name} in the workbook has {found}, and Excel writes none such; save the sheet as CSV"
        raise FeedUnreadable(code, detail, row)

    def _place(self) -> int | None:
        return self._row or None

    def _doctype(self, *_: object) -> NoReturn:
        detail = f"{self._name} in the workbook has a document type, which no workbook needs"
        raise FeedUnreadable("xml_entities", detail)

    def _start(self, name: str, attributes: list[str]) -> None:
        self._events += 1
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            self._refuse(f"elements nested more than {_MAX_DEPTH} deep")
        if not self._unit_depth and name in _UNITS:
            self._begin(name, attributes)
        if self._unit_depth:
            self._count_in_unit(name, 1 + len(attributes) // 2)
        else:
            self._loose += 1 + len(attributes) // 2
            if self._loose > _MAX_LOOSE_ELEMENTS:
                self._refuse(f"more than {_MAX_LOOSE_ELEMENTS:,} elements and attributes beside its rows")
        if attributes:
            self._count_characters(sum(map(len, attributes)))

    def _begin(self, name: str, attributes: list[str]) -> None:
        """A row or a shared string."""
        self._unit_depth = self._depth
        self._elements = self._cells = self._characters = 0
        if name == _ROW:
            self._row = _stated_number(attributes) or self._row + 1
            return
        self._strings += 1
        if self._strings > self.limits.max_xlsx_strings:
            detail = f"the workbook has more than {self.limits.max_xlsx_strings:,} different texts"
            raise FeedUnreadable("zip_bomb", f"{detail}; save the sheet as CSV")

    def _count_in_unit(self, name: str, count: int) -> None:
        self._elements += count
        if self._elements > self.limits.max_item_values:
            self._refuse(f"more than {self.limits.max_item_values:,} elements and attributes in one place")
        if name == _CELL:
            self._cells += 1
            if self._cells > _MAX_CELLS:
                self._refuse(f"more than {_MAX_CELLS:,} cells in a row")

    def _end(self, _name: str) -> None:
        self._events += 1
        if self._depth == self._unit_depth:
            self._unit_depth = 0
        self._depth -= 1

    def _text(self, text: str) -> None:
        self._events += 1
        self._count_characters(len(text))

    def _count_characters(self, count: int) -> None:
        if self._unit_depth:
            self._characters += count
            if self._characters > self.limits.max_row_characters:
                self._refuse(f"a row of more than {self.limits.max_row_characters:,} characters", "row_too_long")
        else:
            self._loose_characters += count
            if self._loose_characters > self.limits.max_xlsx_part_bytes:
                self._refuse(f"more than {self.limits.max_xlsx_part_bytes:,} characters beside its rows")


def _stated_number(attributes: list[str]) -> int | None:
    """The number that a row says it has: rows without cells may be left out."""
    for name, value in zip(attributes[::2], attributes[1::2], strict=True):
        if name == "r" and len(value) < 10 and value.isascii() and value.isdigit():
            return int(value)
    return None
