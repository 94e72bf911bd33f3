"""What every reader gives: rows with a number, and the columns where the file names them beforehand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Protocol

Beat = Callable[[], None]
"""What a reader calls for each block of its file, rows or not; what it raises ends the reading."""


def silent() -> None:
    """For readers that nobody watches."""


class Row(NamedTuple):
    """One row that could be read.

    `number` counts as a person would: in a table as a spreadsheet does (a header is row 1), in JSON Lines by line, in
    JSON and XML by item from 1. `values` holds what is there: a blank cell or a missing element has no name in it.
    `size` is about how many characters the row holds.
    """

    number: int
    values: dict[str, Any]
    size: int


class BadRow(NamedTuple):
    """One row that could not be read, while those after it can."""

    number: int
    reason: str
    column: str | None = None


class Reader(Protocol):
    """Reads one file, once, holding little more than one row at a time. Raises FeedUnreadable."""

    @property
    def columns(self) -> tuple[str, ...] | None:
        """The names of the columns, or None where only the items themselves tell (JSON and XML)."""

    def rows(self) -> Iterator[Row | BadRow]:
        """The rows, in the file's order, without those that are blank from end to end."""
