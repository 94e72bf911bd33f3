"""Bytes to text, block by block: byte order marks, encodings, and lines of any length up to a bound."""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from shared.feeds.errors import FeedUnreadable
from shared.feeds.readers.base import Beat, silent
from shared.feeds.readers.sniffing import byte_order_mark

BLOCK_BYTES = 256 * 1024


class NotThisEncoding(Exception):
    """Bytes that the encoding does not know. `before` is the text of the line up to them."""

    def __init__(self, encoding: str, offset: int, byte: int, before: str) -> None:
        super().__init__(f"byte 0x{byte:02X} at offset {offset} is not {encoding}")
        self.encoding = encoding
        self.offset = offset
        self.byte = byte
        self.before = before

    def as_unreadable(self, row: int, column: str | None) -> FeedUnreadable:
        """The same for a reader's user, who thinks in rows and columns."""
        name = "UTF-8" if self.encoding == "utf-8" else self.encoding
        place = f", column {column}" if column else ""
        found = f"row {row}{place} is not {name} (byte 0x{self.byte:02X} at offset {self.offset:,} of the file)"
        other = "windows-1252" if self.encoding == "utf-8" else "utf-8"
        hint = (
            f"if the file is {'Windows-1252' if other == 'windows-1252' else 'UTF-8'}, set format.encoding to '{other}'"
        )
        return FeedUnreadable("wrong_encoding", f"{found}; {hint}", row, column)


class LineTooLong(Exception):
    """A line beyond the bound."""


def choose_encoding(file: BinaryIO, stated: str | None) -> str:
    """The encoding of an open file, which is left just behind its byte order mark. A mark is believed first."""
    mark = byte_order_mark(file.read(4))
    encoding, length = mark if mark is not None else (stated or "utf-8", 0)
    file.seek(length)
    return codecs.lookup(encoding).name


def decoded_blocks(file: BinaryIO, encoding: str, beat: Beat = silent) -> Iterator[str]:
    """The file's text in blocks, with a beat before each. Raises NotThisEncoding, after all text before the bad byte
    has been given."""
    decoder = codecs.getincrementaldecoder(encoding)()
    consumed = file.tell()
    ended = False
    while not ended:
        beat()
        block = file.read(BLOCK_BYTES)
        ended = not block
        try:
            text = decoder.decode(block, final=ended)
        except UnicodeDecodeError as problem:
            good = problem.object[: problem.start].decode(encoding, errors="ignore")
            if good:
                yield good
            # The decoder may have held back the beginning of a character of the block before.
            offset = consumed - (len(problem.object) - len(block)) + problem.start
            byte = problem.object[problem.start]
            raise NotThisEncoding(encoding, offset, byte, good[good.rfind("\n") + 1 :]) from problem
        consumed += len(block)
        if text:
            yield text


def lines(file: BinaryIO, encoding: str, max_characters: int, beat: Beat = silent) -> Iterator[str]:
    r"""The lines, each with its own end ("\n", "\r\n" or "\r") kept: a quoted cell keeps the ends that it has.

    Raises NotThisEncoding and LineTooLong.
    """
    rest = ""
    try:
        for block in decoded_blocks(file, encoding, beat):
            text = rest + block
            # A "\r" at the end of a block may be half of "\r\n".
            end = text.rfind("\n") + 1 or text.rfind("\r", 0, len(text) - 1) + 1
            if end:
                yield from io.StringIO(text[:end], newline="")
            rest = text[end:]
            if len(rest) > max_characters:
                raise LineTooLong
    except NotThisEncoding as problem:
        problem.before = rest
        raise
    if rest:
        yield from io.StringIO(rest, newline="")


class AsUtf8(io.RawIOBase):
    """A file of another encoding, read as UTF-8: for parsers that know nothing else."""

    def __init__(self, file: BinaryIO, encoding: str) -> None:
        super().__init__()
        self._blocks = decoded_blocks(file, encoding)
        self._rest = b""

    def readable(self) -> bool:
        """Always."""
        return True

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes; b"" at the end."""
        while not self._rest:
            block = next(self._blocks, None)
            if block is None:
                return b""
            self._rest = block.encode()
        size = len(self._rest) if size < 0 else size
        taken, self._rest = self._rest[:size], self._rest[size:]
        return taken


def open_utf8(source: Path, stated: str | None) -> tuple[BinaryIO, BinaryIO]:
    """A file to read as UTF-8, and the open file below it, which is to be closed."""
    file = source.open("rb")
    encoding = choose_encoding(file, stated)
    return (file if encoding in {"utf-8", "ascii"} else AsUtf8(file, encoding)), file  # type: ignore[return-value]
