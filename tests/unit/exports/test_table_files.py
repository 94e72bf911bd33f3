"""Exported tables: whatever does not fit is refused, with the file and the row, and nothing hostile gets far."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shared.exports.table_export import Wanted, write_all
from shared.exports.table_files import MAX_ROW_BYTES, TableExport, TableExportUnreadable
from shared.months import Month
from tests.support.export_lines import START
from tests.support.table_exports import write_data_file, write_file_manifest, write_table_export

ITEMS = [{"pk": {"S": f"W#{number}"}, "sk": {"S": "x"}, "n": {"N": str(number)}} for number in range(7)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_table_export(tmp_path / "export", ITEMS, START)


def test_all_items_are_read_with_their_place(folder: Path) -> None:
    export = TableExport.open(folder)
    rows = list(export.rows())
    assert (export.exported_at, export.items) == (START, 7)
    assert sorted(json.dumps(row.item) for row in rows) == sorted(map(json.dumps, ITEMS))
    assert rows[1].where == "00000000000000000000000000.json.gz, row 2"


def with_data(packed: bytes, items: int) -> Callable[[Path], None]:
    """Damage: another first file, for which the manifest is right."""

    def damage(folder: Path) -> None:
        write_file_manifest(folder, [write_data_file(folder / "data" / "x.json.gz", packed, items)])

    return damage


def with_row(**values: Any) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        row = write_data_file(folder / "data" / "x.json.gz", gzip.compress(b'{"Item": {}}\n'), 1)
        write_file_manifest(folder, [row | values])

    return damage


def gone(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def other(name: str) -> Callable[[Path], None]:
    """Damage: one byte more."""

    def damage(folder: Path) -> None:
        (folder / name).write_bytes((folder / name).read_bytes() + b" ")

    return damage


def again(**summary: Any) -> Callable[[Path], None]:
    """Damage: a summary that says something else."""

    def damage(folder: Path) -> None:
        write_table_export(folder / "again", ITEMS, START, **summary)
        for path in (folder / "again").glob("manifest-summary.*"):
            path.replace(folder / path.name)

    return damage


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (gone("manifest-summary.json"), "manifest-summary.json: No such file"),
        (gone("manifest-files.json"), "manifest-files.json: No such file"),
        (gone("data/00000000000000000000000001.json.gz"), "01.json.gz: No such file"),
        (other("manifest-summary.json"), "manifest-summary.json: its checksum"),
        (other("manifest-files.json"), "manifest-files.json: its checksum"),
        (other("data/00000000000000000000000002.json.gz"), "02.json.gz: its checksum"),
        (again(outputFormat="ION"), "export the table as DynamoDB JSON"),
        (again(exportType="INCREMENTAL_EXPORT"), "export the whole table"),
        (again(exportTime="yesterday"), "no exportTime"),
        (again(itemCount=8), "its files have 7 items, and the export 8"),
        (with_row(dataFileS3Key="../../../../etc/passwd"), "passwd: No such file"),
        (with_row(itemCount="many"), "row 1: .* is missing or odd"),
        (with_row(md5Checksum="AAAA"), "its checksum is not the one"),
        (with_data(b"not packed at all", 1), "row 1: cannot be unpacked"),
        (with_data(gzip.compress(b'{"Item": {}}\n' * 3)[:-9], 3), "cannot be unpacked"),
        (with_data(gzip.compress(b'{"Item": {}}\n{"Item": \n'), 2), "row 2: no JSON"),
        (with_data(gzip.compress(b"[" * 100_000), 1), "row 1: no JSON"),
        (with_data(gzip.compress(b'["Item"]\n'), 1), "row 1: no JSON object"),
        (with_data(gzip.compress(b'{"Item": 3}\n'), 1), "row 1: no Item"),
        (with_data(gzip.compress(b'{"Item": {}}\n' * 2), 1), "more than the 1 rows"),
        (with_data(gzip.compress(b'{"Item": {}}\n'), 2), "1 rows, and it is to have 2"),
        (with_data(gzip.compress(b" " * (MAX_ROW_BYTES * 50)), 1), "row 1: longer than any item"),
        (with_data(gzip.compress(b"\n" * 1_000_000), 1), "row 1: no JSON"),
    ],
)
def test_what_does_not_fit_is_refused(folder: Path, damage: Callable[[Path], None], message: str) -> None:
    damage(folder)
    with pytest.raises(TableExportUnreadable, match=message):
        list(TableExport.open(folder).rows())


def test_a_table_without_accounts_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(TableExportUnreadable, match="no account of any workspace"):
        list(write_all(folder, tmp_path / "to", tmp_path, Wanted(month=Month(2026, 11))))
