"""Times as people type them, and as the API wants them."""

from datetime import UTC, datetime

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
