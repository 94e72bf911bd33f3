"""Times as people type them, and as the API wants them."""

from calendar import monthrange
from datetime import UTC, date, datetime

import typer


def rfc3339(text: str | None) -> str | None:
    """A time in UTC as the API spells it. A date means its first moment, and a time without an offset means UTC.

    Raises typer.BadParameter when the text is no time.
    """
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is not a time, such as 2026-11-22 or 2026-11-22T08:00:00Z") from error
    utc = at.replace(tzinfo=at.tzinfo or UTC).astimezone(UTC)
    return f"{utc:%Y-%m-%dT%H:%M:%S}.{utc.microsecond // 1000:03d}Z"


def day(text: str | None) -> str | None:
    """A day of the calendar, such as 2026-11-22. Raises typer.BadParameter when the text is none."""
    if text is None:
        return None
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is not a day, such as 2026-11-22") from error


def month(text: str | None) -> str | None:
    """A month, such as 2026-11. Raises typer.BadParameter when the text is none."""
    if text is None:
        return None
    try:
        first = date.fromisoformat(f"{text}-01")
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is not a month, such as 2026-11") from error
    return first.isoformat()[: len("2026-11")]


def days_of(month: str) -> tuple[str, str]:
    """The first and the last day of a month."""
    first = date.fromisoformat(f"{month}-01")
    return first.isoformat(), first.replace(day=monthrange(first.year, first.month)[1]).isoformat()


def today() -> date:
    """The day that it is (UTC)."""
    return datetime.now(UTC).date()
