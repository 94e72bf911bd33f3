"""JSON documents: the items of an array in them, one at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import ijson

from shared.feeds.errors import FeedUnreadable, RowRejected, abridged, shortened
from shared.feeds.exact_numbers import MAX_DIGITS
from shared.feeds.formats import FormatDefinition
from shared.feeds.json_values import tidy_item
from shared.feeds.limits import Limits
from shared.feeds.readers.base import BadRow, Beat, Row, silent
from shared.feeds.readers.half_characters import MarkingHalves, refuse_marked
from shared.feeds.readers.text import NotThisEncoding, open_utf8

_BLOCK = 64 * 1024
_LARGE_NUMBER = 200
"""Bytes in memory. Numbers that could be kept take less; others are read before they are refused."""
_TOP = "the top of the document"


class _Watched:
    """A file whose reading stops when the parser swallows a lot without finding anything: one endless text."""

    def __init__(self, file: MarkingHalves, reader: JsonReader, limit: int, beat: Beat) -> None:
        self._file = file
        self._beat = beat
        self._reader = reader
        self._limit = limit
        self._events = -1
        self._silent = 0

    def read(self, size: int) -> bytes:
        self._beat()
        if self._events == self._reader.events:
            self._silent += size
            if self._silent > self._limit:
                row = self._reader.row
                detail = f"item {row} holds a value that has no end within {self._limit:,} bytes"
                raise FeedUnreadable("row_too_long", detail, row)
        else:
            self._events, self._silent = self._reader.events, 0
        return self._file.read(size)


class _Builder:
    """Puts the events of one value together."""

    def __init__(self, max_depth: int) -> None:
        self._max_depth = max_depth
        self._names: list[str] = [""]
        self.open: list[Any] = [[]]
        """The open containers; the first holds the value itself."""
        self.characters = 0
        self.too_deep = False

    def take(self, event: str, value: Any) -> None:
        """One event; a container that is too deep is read and dropped."""
        if event == "map_key":
            self._names[-1] = value
            self.characters += len(value)
        elif event in {"start_map", "start_array"}:
            new: Any = {} if event == "start_map" else []
            if len(self.open) > self._max_depth:
                self.too_deep = True
            else:
                self._put(new)
            self.open.append(new)
            self._names.append("")
        elif event in {"end_map", "end_array"}:
            self.open.pop()
            self._names.pop()
        else:
            if event == "string":
                self.characters += len(value)
            elif event == "number" and (size := value.__sizeof__()) > _LARGE_NUMBER:
                self.characters += size
            self._put(value)

    def _put(self, value: Any) -> None:
        container = self.open[-1]
        if container.__class__ is list:
            container.append(value)
        else:
            container[self._names[-1]] = value


class JsonReader:
    """Reads the items at `format.items` (by default: of the array that the document is). Rows are items, from 1."""

    columns = None

    def __init__(self, source: Path, layout: FormatDefinition, limits: Limits, beat: Beat = silent) -> None:
        self._limits = limits
        items = layout.items or ""
        self._paths = tuple(
            tuple(path.split(".")) if path else () for path in ([items] if isinstance(items, str) else items)
        )
        self.events = 0
        self.row = 1
        self._beat = beat
        utf8, self._file = open_utf8(source, layout.encoding)
        self._utf8 = MarkingHalves(utf8)
        self._found = False
        self._other_arrays: list[str] = []
        self._top = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def rows(self) -> Iterator[Row | BadRow]:
        """The items. A broken or cut document ends in FeedUnreadable."""
        watched = _Watched(self._utf8, self, self._limits.max_row_characters, self._beat)
        events = ijson.basic_parse(watched, buf_size=_BLOCK, use_float=False)
        try:
            yield from self._walk(events)
        except ijson.JSONError as problem:
            raise self._broken(str(problem)) from problem
        except NotThisEncoding as problem:
            raise problem.as_unreadable(self.row, None) from problem
        except UnicodeDecodeError as problem:
            raise self._broken("invalid bytes in UTF8 string") from problem
        except ArithmeticError as problem:  # of Decimal
            raise self._number_beyond(f"item {self.row}", "a number whose exponent is beyond all range") from problem
        except ValueError as problem:
            # Python refuses to read such a number, and the parser drops what it had found before it in its block.
            place = f"item {self.row} or one soon after it"
            raise self._number_beyond(place, "a whole number of more than 4,300 digits") from problem
        if not self._found:
            raise self._not_found()

    def _walk(self, events: Iterator[tuple[str, Any]]) -> Iterator[Row | BadRow]:
        """Follows the path of names down to the items; arrays on the way are walked through."""
        path: list[str] = []
        # For each open object or array: whether it is an array, and whether it is one that holds the items.
        open_values: list[tuple[bool, bool]] = []
        for event, value in events:
            self.events += 1
            if open_values and open_values[-1][1] and event != "end_array":
                yield self._item(event, value, events)
                self.row += 1
                continue
            if event == "map_key":
                path[-1] = value
            elif event == "start_map":
                self._top = self._top or "an object"
                open_values.append((False, False))
                path.append("")
            elif event == "start_array":
                self._top = self._top or "an array"
                holds = tuple(path) in self._paths
                self._found = self._found or holds
                if not holds and 0 < len(path) <= 3 and len(self._other_arrays) < 10:
                    self._other_arrays.append(".".join(path))
                open_values.append((True, holds))
            elif event == "end_map":
                open_values.pop()
                path.pop()
            elif event == "end_array":
                open_values.pop()
            if len(open_values) > 1000:
                raise FeedUnreadable("malformed", "the document is nested more than 1,000 deep", self.row)

    def _item(self, event: str, value: Any, events: Iterator[tuple[str, Any]]) -> Row | BadRow:
        size_before = self.events
        try:
            item, characters = self._build(event, value, events)
        except RowRejected as problem:
            return BadRow(self.row, problem.reason)
        if not isinstance(item, dict):
            return BadRow(self.row, f"expected an object, found {shortened(str(item))}")
        try:
            if self._utf8.found:
                refuse_marked(item)
            return Row(self.row, tidy_item(item, self._limits), characters + 8 * (self.events - size_before))
        except RowRejected as problem:
            return BadRow(self.row, problem.reason, problem.column)

    def _build(self, event: str, value: Any, events: Iterator[tuple[str, Any]]) -> tuple[Any, int]:
        """The value that begins with this event, and its size. Reads on to its end whatever is wrong with it."""
        limits = self._limits
        builder = _Builder(limits.max_depth)
        count = 0
        while True:
            builder.take(event, value)
            count += 1
            if count > limits.max_item_values or builder.characters > limits.max_row_characters:
                raise self._too_large()
            if len(builder.open) == 1:
                break
            event, value = next(events)
            self.events += 1
        if builder.too_deep:
            raise RowRejected(f"the item is nested more than {limits.max_depth} deep")
        return builder.open[0][0], builder.characters

    def _number_beyond(self, place: str, number: str) -> FeedUnreadable:
        hint = f"at most {MAX_DIGITS} digits can be kept. JSON Lines ('jsonl') are read on after such a number"
        return FeedUnreadable("malformed", f"{place} holds {number}; {hint}", self.row)

    def _too_large(self) -> FeedUnreadable:
        limits = self._limits
        bounds = f"{limits.max_item_values:,} values and {limits.max_row_characters:,} characters"
        hint = "check that format.items leads to the products themselves"
        return FeedUnreadable("row_too_long", f"item {self.row} goes beyond {bounds}; {hint}", self.row)

    def _broken(self, message: str) -> FeedUnreadable:
        first = message.strip().splitlines()[0] if message.strip() else "not JSON"
        place = f"item {self.row}"
        if "UTF8" in message or "UTF-8" in message:
            hint = "if the file has another encoding, such as windows-1252, set format.encoding"
            return FeedUnreadable("wrong_encoding", f"{place} is not UTF-8; {hint}", self.row)
        if "premature EOF" in message or "ncomplete" in message:
            return FeedUnreadable(
                "truncated", f"the document ends in the middle, at {place}; send the whole file", self.row
            )
        if "trailing garbage" in message or "dditional data" in message:
            hint = "if each line is an object of its own, set format.type to 'jsonl'"
            return FeedUnreadable("malformed", f"more follows after the end of the document; {hint}", self.row)
        return FeedUnreadable("malformed", f"{place} is not JSON: {first}", self.row)

    def _not_found(self) -> FeedUnreadable:
        wanted = " or ".join(".".join(path) or _TOP for path in self._paths)
        others = abridged(", ".join(dict.fromkeys(map(abridged, self._other_arrays))), 500)
        found = (
            f"arrays are at: {others}" if others else f"the document is {self._top or 'a single value'} without arrays"
        )
        detail = f"no array of items at {wanted}; {found}"
        return FeedUnreadable("item_path_not_found", f"{detail}. Set format.items to where the items are")
