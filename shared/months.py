"""Months of the calendar (UTC): what an export is about, and what a correction corrects."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

MONTH_PATTERN = r"^[2-9][0-9]{3}-(0[1-9]|1[0-2])$"
"""How a month is spelled: `2026-11`."""

_LAST_YEAR = 9998
"""The calendar has to have a month after each."""


@dataclass(frozen=True, slots=True, order=True)
class Month:
    """One month of UTC."""

    year: int
    number: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Reads `2026-11`. Raises ValueError for what is no month of the years 2000 to 9998."""
        if not re.fullmatch(MONTH_PATTERN, text) or int(text[:4]) > _LAST_YEAR:
            raise ValueError(f"{text!r} is no month such as 2026-11")
        return cls(int(text[:4]), int(text[5:]))

    @classmethod
    def of(cls, at: datetime) -> Self:
        """The month that `at` lies in."""
        at = at.astimezone(UTC)
        return cls(at.year, at.month)

    @property
    def start(self) -> datetime:
        """Its first moment."""
        return datetime(self.year, self.number, 1, tzinfo=UTC)

    @property
    def end(self) -> datetime:
        """The first moment after it."""
        return self.next.start

    @property
    def next(self) -> Month:
        return Month(self.year + self.number // 12, self.number % 12 + 1)

    @property
    def previous(self) -> Month:
        return Month(self.year - (self.number == 1), (self.number - 2) % 12 + 1)

    def __str__(self) -> str:
        return f"{self.year:04d}-{self.number:02d}"


def optional_month(text: str | None) -> Month | None:
    """Reads `2026-11`, or nothing. Raises ValueError for what is no month."""
    return None if text is None else Month.parse(text)


def month_text(month: Month | None) -> str | None:
    """How the month is spelled, or nothing."""
    return None if month is None else str(month)
