"""The two ways in which a feed goes wrong.

FeedUnreadable   the file as a whole cannot be read: nothing of it is imported
RowRejected      one row cannot become records: it is reported, the others go on
"""

from __future__ import annotations


class FeedUnreadable(Exception):
    """The file as a whole cannot be read (design, section 6): the run fails before anything is written or charged.

    `code` is a stable word for programs (listed in docs/feeds.md), `detail` says what was found, what was expected and
    how to mend it. `row` counts as a person would in a spreadsheet or a list; `column` is the name of the column.
    """

    def __init__(self, code: str, detail: str, row: int | None = None, column: str | None = None) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.row = row
        self.column = column


def too_much_data(bound: str) -> FeedUnreadable:
    """A file whose records take more than is kept of one feed."""
    return FeedUnreadable("too_much_data", f"the file's records take more than {bound}; split it and import its parts")


class RowRejected(Exception):
    """One row cannot become records. Raised while mapping a row, caught where rows are counted."""

    def __init__(self, reason: str, column: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.column = column
        self.entity: str | None = None
        self.key: str | None = None


def abridged(text: str, length: int = 60) -> str:
    """The text for a message, cut where it would drown the message."""
    return text if len(text) <= length else text[: length - 1] + "…"


def shortened(text: str, length: int = 60) -> str:
    """The text quoted for a message, cut where it would drown the message."""
    return repr(abridged(text, length))
