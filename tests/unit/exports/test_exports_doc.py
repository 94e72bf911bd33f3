"""docs/exports.md tells of the columns that there are."""

from __future__ import annotations

from pathlib import Path

from shared.exports.columns import COLUMNS, Column
from shared.exports.focus import FOCUS_COLUMNS
from shared.exports.parts import SCHEMA

TEXT = (Path(__file__).parents[3] / "docs" / "exports.md").read_text(encoding="utf-8")


def rows(heading: str) -> list[list[str]]:
    """The cells of the table with this heading."""
    table = TEXT.partition(heading + "\n")[2].partition("\n\n")[0]
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in table.splitlines()[1:]]


def meanings(columns: tuple[Column, ...]) -> list[tuple[str, str]]:
    return [(f"`{column.name}`", column.meaning) for column in columns]


def test_columns_of_lines_are_documented() -> None:
    found = rows("| Column | Type in Parquet | What it says |")
    assert [(row[0], row[-1]) for row in found] == meanings(COLUMNS)
    told = {"string": "string", "int64": "int64", "decimal128(38, 12)": "decimal(38, 12)"}
    types = [told.get(str(field.type), "timestamp(ms, UTC)") for field in SCHEMA]
    assert [row[1] for row in found] == types


def test_columns_of_focus_are_documented() -> None:
    assert [(row[0], row[-1]) for row in rows("| Column | What it says |")] == meanings(FOCUS_COLUMNS)
