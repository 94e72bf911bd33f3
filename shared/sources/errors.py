"""The one way in which fetching from a source goes wrong."""

from __future__ import annotations


class SourceFailed(Exception):
    """The source did not give a file. The run that wanted it fails; nothing of it is imported or charged.

    `code` is a stable word for programs (listed in docs/feeds.md), `detail` says what happened, in words for the one
    who owns the feed; it never holds a credential. A `passing` failure is worth another try in a moment.
    """

    def __init__(self, code: str, detail: str, *, passing: bool = False) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.passing = passing
