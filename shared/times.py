"""Points in time: always aware, always UTC, and one textual form that sorts as it orders."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""Returns the present moment, aware and in UTC. Handlers pass `utc_now`, tests pass their own."""


def utc_now() -> datetime:
    """The present moment in UTC, cut to milliseconds, which is the precision of everything stored."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


def to_rfc3339(at: datetime) -> str:
    """`2026-11-22T08:00:00.123Z`: fixed width, so that DynamoDB may compare the texts instead of the times."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def parse_rfc3339(text: str) -> datetime:
    """Reads any RFC 3339 time. Raises ValueError for text that is none, or no time in the UTC calendar."""
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError(f"{text!r} has no offset from UTC; end it with Z or +00:00")
    try:
        return at.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(f"{text!r} is outside the years 1 to 9999") from error


def optional_rfc3339(text: str | None) -> datetime | None:
    return None if text is None else parse_rfc3339(text)
