r"""Halves of surrogate pairs in JSON documents: "\ud83d" alone, which JSON can spell and UTF-8 cannot.

The parser of documents puts "?" in their place without a word, so that different texts, and different names, become
one. They are looked for in the bytes on their way to it, and marked: the item that holds one is then rejected.
"""

from __future__ import annotations

import json
import re
from typing import Any, BinaryIO

from shared.feeds.errors import RowRejected
from shared.feeds.json_values import HALF_CHARACTER

_MARK = "\ufdd0\uffff\ufdd1"
"""Three code points that are no characters and stand in no text."""
_SPELLED_MARK = json.dumps(_MARK).strip('"').encode("ascii")
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
# A whole pair; a half; any other escape; a backslash whose escape is yet to come.
_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.|\Z)", re.DOTALL
)
_PAIR_BYTES = 12


class MarkingHalves:
    """A JSON document to be read, with a mark in the place of each half of a pair."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._held = b""
        """The beginning of an escape whose end is in the next block; what is given always ends between two escapes."""
        self.found = False
        """Whether there has been one so far."""

    def read(self, size: int) -> bytes:
        """About `size` bytes; b"" at the end."""
        while True:
            block = self._file.read(size)
            data = self._held + block
            end = _end_of_escapes(data) if block else len(data)
            self._held = data[end:]
            if end or not block:
                return self._marked(data[:end])

    def _marked(self, data: bytes) -> bytes:
        if _SURROGATE.search(data) is None:
            return data

        def mark(escape: re.Match[bytes]) -> bytes:
            if escape[1] is None:
                return escape[0]
            self.found = True
            return _SPELLED_MARK

        return _ESCAPE.sub(mark, data)


def _end_of_escapes(data: bytes) -> int:
    """How much of the data can be given: up to an escape that may go on beyond its end."""
    # From so far before the end, what is found first may be the second half of a pair: it ends where the pair does.
    start = data.find(b"\\", max(0, len(data) - 2 * _PAIR_BYTES + 1))
    if start < 0:
        return len(data)
    # The first backslash of several is the one that escapes.
    while start and data[start - 1 : start] == b"\\":
        start -= 1
    for escape in _ESCAPE.finditer(data, start):
        if escape.start() > len(data) - _PAIR_BYTES:
            return escape.start()
    return len(data)


def refuse_marked(item: Any) -> None:
    """Raises RowRejected for an item that holds a mark."""
    if _MARK in json.dumps(item, ensure_ascii=False, default=str):
        raise RowRejected(HALF_CHARACTER)
