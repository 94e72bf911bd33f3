"""In which forms an export comes, and what its files are called."""

from __future__ import annotations

from enum import StrEnum


class Format(StrEnum):
    """The same lines in the same order: as a table for people, as one for machines, and as FOCUS cost and usage."""

    CSV = "csv"
    PARQUET = "parquet"
    FOCUS = "focus"


MANIFEST = "manifest.json"
"""The file that says what the others hold."""

LINES_PER_PART = 1_000_000
"""Lines of one file at most: a spreadsheet takes 1,048,576 rows."""

_NAMES = {
    Format.CSV: ("lines", "csv"),
    Format.PARQUET: ("lines", "parquet"),
    Format.FOCUS: ("focus", "csv"),
}


def file_name(form: Format, part: int) -> str:
    """`lines-00001.csv`: parts count from 1."""
    stem, ending = _NAMES[form]
    return f"{stem}-{part:05d}.{ending}"
