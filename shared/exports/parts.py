"""Writes one part of an export: the same lines as CSV, as Parquet and as FOCUS, at once and in bounded memory."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa
from pyarrow import parquet

from shared.exports.books import Sums
from shared.exports.columns import COLUMNS, Column, Kind, cells_of, values_of
from shared.exports.focus import FOCUS_COLUMNS, Account, charge_of
from shared.exports.formats import Format, file_name
from shared.exports.lines import Line
from shared.exports.model import ExportFile, Position
from shared.exports.sources import Source

_BATCH = 5_000
"""Lines that are turned into cells at once: what is in memory as Python's own objects."""

_ROW_GROUP = 100_000
"""Lines of a row group, what a reader of Parquet takes at once. Until it is written it is in memory, packed."""

_BYTE_ORDER_MARK = "\ufeff"
"""Without it a spreadsheet that opens a CSV file takes it for Windows-1252."""

MONEY = pa.decimal128(38, 12)
"""A price has up to 12 digits before and 12 behind its point, and an operation less than 10^14 credits."""

_ARROW_TYPES = {
    Kind.NAME: pa.string(),
    Kind.TEXT: pa.string(),
    Kind.WHOLE: pa.int64(),
    Kind.MONEY: MONEY,
    Kind.TIME: pa.timestamp("ms", tz="UTC"),
}

SCHEMA = pa.schema([pa.field(column.name, _ARROW_TYPES[column.kind]) for column in COLUMNS])
"""What a Parquet file says of itself."""


class Sink(Protocol):
    """What takes the bytes of a file. Whoever opened it closes it."""

    def write(self, data: bytes, /) -> Any: ...


@dataclass(frozen=True, slots=True)
class FileSummary:
    """What was written into one file; `sha256` in hexadecimal digits."""

    format: Format
    lines: int
    bytes: int
    sha256: str

    def of_part(self, part: int, key: str) -> ExportFile:
        """The file as one of an export; `key` is where it lies."""
        name = file_name(self.format, part)
        return ExportFile(name, self.format.value, part, self.lines, self.bytes, self.sha256, key)


class PartWriter:
    """Takes lines one by one, and writes them to a sink for each format.

    `lines` is how many it was given, and `sums` what those that are written add up to: all of them, once it is closed.
    Raises whatever the sinks raise, and ValueError for an amount of money that Parquet's decimals cannot hold exactly.
    A part that was not closed is worth nothing.
    """

    def __init__(self, sinks: Mapping[Format, Sink], account: Account) -> None:
        self.lines = 0
        self.sums = Sums()
        self._account = account
        self._waiting: list[Line] = []
        self._counted = {form: _Counted(sinks[form]) for form in Format}
        self._csv = _CsvFile(self._counted[Format.CSV], COLUMNS, mark=_BYTE_ORDER_MARK)
        # FOCUS is read by programs, which are not all prepared for a mark.
        self._focus = _CsvFile(self._counted[Format.FOCUS], FOCUS_COLUMNS, mark="")
        self._parquet = _ParquetFile(self._counted[Format.PARQUET])

    def write(self, line: Line) -> None:
        self._waiting.append(line)
        self.lines += 1
        if len(self._waiting) >= _BATCH:
            self._flush()

    def close(self) -> tuple[FileSummary, ...]:
        """Writes what is left, and tells of each file what it holds."""
        self._flush()
        self._parquet.close()
        return tuple(
            FileSummary(form, self.lines, counted.bytes, counted.sha256.hexdigest())
            for form, counted in self._counted.items()
        )

    def abandon(self) -> None:
        """Lets go of the sinks, after which they may be closed; what a part that was not closed has written is worth
        nothing. Nothing happens to one that was.
        """
        self._parquet.abandon()

    def _flush(self) -> None:
        lines, self._waiting = self._waiting, []
        if not lines:
            return
        self.sums.add(lines)
        values = values_of(COLUMNS, lines)
        self._csv.write(values)
        self._parquet.write(values)
        self._focus.write(values_of(FOCUS_COLUMNS, [charge_of(line, self._account) for line in lines]))


@dataclass(frozen=True, slots=True)
class Filled:
    """How far a part goes: the place behind its last source (None when it has none), and the first of the next part,
    which was taken from the sources already; None when there are no more.
    """

    end: Position | None
    left: Source | None


def fill(
    writer: PartWriter, sources: Iterator[Source], lines: int, must_end: Callable[[], bool] = lambda: False
) -> Filled:
    """Writes sources until the part has as many lines as it may, or must end for another reason.

    What belongs together stays in one file. A part has at least one source, however long that is, so that whoever goes
    on part by part gets on.
    """
    end = None
    for source in sources:
        if writer.lines > 0 and (writer.lines + len(source.lines) > lines or must_end()):
            return Filled(end, source)
        for line in source.lines:
            writer.write(line)
        end = source.end
    return Filled(end, None)


class _Counted(io.RawIOBase):
    """Hands bytes on to a sink, and remembers how many they were and their checksum."""

    def __init__(self, sink: Sink) -> None:
        super().__init__()
        self._sink = sink
        self.bytes = 0
        self.sha256 = hashlib.sha256()

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        data = bytes(data)
        self._sink.write(data)
        self.bytes += len(data)
        self.sha256.update(data)
        return len(data)

    def tell(self) -> int:
        return self.bytes


class _CsvFile:
    """RFC 4180 in UTF-8, with a line of names."""

    def __init__(self, to: _Counted, columns: Sequence[Column], *, mark: str) -> None:
        self._to = to
        self._columns = columns
        self._write([[column.name] for column in columns], mark)

    def write(self, values: Sequence[Sequence[Any]]) -> None:
        self._write([cells_of(column.kind, part) for column, part in zip(self._columns, values, strict=True)], "")

    def _write(self, cells: Sequence[Iterable[Any]], mark: str) -> None:
        text = io.StringIO(mark, newline="")
        text.seek(0, io.SEEK_END)
        csv.writer(text).writerows(zip(*cells, strict=True))
        self._to.write(text.getvalue().encode())


class _ParquetFile:
    """Row groups of equal size; an empty file has none."""

    def __init__(self, to: _Counted) -> None:
        self._writer = parquet.ParquetWriter(to, SCHEMA, compression="zstd")
        self._batches: list[Any] = []
        self._rows = 0

    def write(self, values: Sequence[Sequence[Any]]) -> None:
        try:
            arrays = [pa.array(part, field.type) for part, field in zip(values, SCHEMA, strict=True)]
        except pa.ArrowInvalid as error:
            raise ValueError(f"not exact in Parquet: {error}") from error
        self._batches.append(pa.record_batch(arrays, SCHEMA))
        self._rows += len(values[0])
        if self._rows >= _ROW_GROUP:
            self._write_group()

    def close(self) -> None:
        if self._rows:
            self._write_group()
        self._writer.close()

    def abandon(self) -> None:
        # Left alone it would write the end of its file whenever it is collected, to a sink that is closed by then.
        self._writer.close()

    def __del__(self) -> None:
        # A writer that was abandoned would write its end to a sink that is closed by now, and complain.
        self._writer.is_open = False

    def _write_group(self) -> None:
        table = pa.Table.from_batches(self._batches, SCHEMA)
        self._writer.write_table(table, row_group_size=self._rows)
        self._batches, self._rows = [], 0
