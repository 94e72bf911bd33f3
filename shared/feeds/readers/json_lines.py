"""JSON Lines: one object on each line. A line that is none is rejected by itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from shared.feeds.errors import FeedUnreadable, RowRejected, shortened
from shared.feeds.formats import FormatDefinition
from shared.feeds.json_values import parse_json, tidy_item
from shared.feeds.limits import Limits
from shared.feeds.readers.base import BadRow, Beat, Row, silent
from shared.feeds.readers.text import LineTooLong, NotThisEncoding, choose_encoding, lines

_TRIES = 20
"""If so many lines from the first on are all no JSON, the file is none."""


class JsonLinesReader:
    """Reads JSON Lines. Row numbers are line numbers, from 1."""

    columns = None

    def __init__(self, source: Path, layout: FormatDefinition, limits: Limits, beat: Beat = silent) -> None:
        self._limits = limits
        self._file = source.open("rb")
        encoding = choose_encoding(self._file, layout.encoding)
        self._lines = lines(self._file, encoding, limits.max_row_characters, beat)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def rows(self) -> Iterator[Row | BadRow]:
        """The lines that hold an object; a blank line is left out."""
        number = 0
        failures: list[BadRow] = []
        hopeful = True
        try:
            for number, line in enumerate(self._lines, start=1):
                if not line.strip():
                    continue
                found = self._read(number, line)
                if hopeful and isinstance(found, BadRow):
                    failures.append(found)
                    if len(failures) == _TRIES:
                        raise self._not_json_lines(failures)
                    continue
                hopeful = False
                yield from failures
                failures.clear()
                yield found
        except NotThisEncoding as problem:
            raise problem.as_unreadable(number + 1, None) from problem
        except LineTooLong as problem:
            row = number + 1
            detail = f"line {row} has no end within {self._limits.max_row_characters:,} characters"
            raise FeedUnreadable("row_too_long", f"{detail}; JSON Lines has one object on each line", row) from problem
        if len(failures) > 1:
            raise self._not_json_lines(failures)
        yield from failures

    def _read(self, number: int, line: str) -> Row | BadRow:
        try:
            item = parse_json(line)
            if not isinstance(item, dict):
                return BadRow(number, f"expected an object, found {shortened(line.strip())}")
            return Row(number, tidy_item(item, self._limits), len(line))
        except RowRejected as problem:
            return BadRow(number, problem.reason, problem.column)

    @staticmethod
    def _not_json_lines(failures: list[BadRow]) -> FeedUnreadable:
        first = failures[0]
        hint = "check format.type (a document over several lines is 'json')"
        detail = f"none of the first {len(failures)} lines is a JSON object (line {first.number}: {first.reason})"
        return FeedUnreadable("wrong_format", f"{detail}; {hint}", first.number)
