"""How the cells of a CSV file are written, and read back.

A spreadsheet runs a cell that begins with `=`, `+`, `-` or `@` as a formula, also behind blanks and quotes. Programs
that split at semicolons, tabs or line ends see a cell begin there as well, wherever we see it: so does a spreadsheet
in a country whose decimal sign is the comma. Before each such place an apostrophe is put, which spreadsheets read as
"this is text". Nothing is lost: whatever the text was, one apostrophe before such a place was put there.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache

_BEGINS = r"(?:^|(?<=[;\t\r\n]))"
"""Where somebody's cell may begin."""

_RUNS = "(?=[\\s\"']*[=+\\-@\uff1d\uff0b\uff0d\uff20])"
"""What makes it a formula: a sign, behind nothing but blanks and quotes. The last four are the wide forms of the signs,
which some spreadsheets run too.
"""

_VANISHES = "(?=[\\s\"']*[\t\r\n])"
"""What a spreadsheet may drop at the beginning of a cell, and then run what follows."""

_FORMULA = re.compile(rf"{_BEGINS}{_RUNS}|^{_VANISHES}")


@lru_cache(maxsize=65_536)
def neutralized(text: str) -> str:
    """The text so that no spreadsheet runs it."""
    return _FORMULA.sub("'", text)


def plain(amount: Decimal) -> str:
    """All digits of a decimal as it was agreed, without an exponent: `0.010` stays `0.010`."""
    text = str(amount)
    return format(amount, "f") if "E" in text else text


def to_second(at: datetime) -> str:
    """A time as FOCUS has it, `2026-11-22T08:00:00Z`: what is below a second is cut off."""
    return at.astimezone(UTC).isoformat(timespec="seconds").removesuffix("+00:00") + "Z"
