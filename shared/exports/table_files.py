"""Reads what DynamoDB exports of a table to S3 (a full export, as DynamoDB JSON), from a folder that it was copied to.

Nothing in the folder is trusted: what does not fit the manifests is refused, with the file and the row, and whatever a
file unpacks to, one row of it is in memory.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import IO, Any

from shared.keys import Item
from shared.times import parse_rfc3339

_SUMMARY = "manifest-summary"
_FILES = "manifest-files"

MAX_ROW_BYTES = 4 * 1024 * 1024
"""An item has 400 KB at most; JSON spells some characters with six."""

_MAX_SUMMARY_BYTES = 64 * 1024
_CHUNK = 1024 * 1024


class TableExportUnreadable(Exception):
    """The folder is no export of a table, or not as it was written. The message says what and where."""


@dataclass(frozen=True, slots=True)
class Row:
    """One item, and where it stands."""

    where: str
    item: Item


@dataclass(frozen=True, slots=True)
class _DataFile:
    path: Path
    items: int
    md5: str


@dataclass(frozen=True, slots=True)
class TableExport:
    """A folder with an export in it: the one that holds `manifest-summary.json`. `exported_at` is the moment at which
    the table was as the export says.
    """

    folder: Path
    exported_at: datetime
    items: int

    @classmethod
    def open(cls, folder: Path) -> TableExport:
        """Raises TableExportUnreadable for what is no export, or none of a kind that is read."""
        path = folder / f"{_SUMMARY}.json"
        summary = _json(path.name, _small(path))
        _check(folder, _SUMMARY)
        if summary.get("outputFormat") != "DYNAMODB_JSON":
            raise TableExportUnreadable(
                f"{path.name}: the output format is {summary.get('outputFormat')!r}; export the table as DynamoDB JSON"
            )
        if summary.get("exportType", "FULL_EXPORT") != "FULL_EXPORT":
            raise TableExportUnreadable(f"{path.name}: it holds changes only; export the whole table")
        try:
            return cls(folder, parse_rfc3339(summary["exportTime"]), int(summary["itemCount"]))
        except (KeyError, TypeError, ValueError) as error:
            raise TableExportUnreadable(f"{path.name}: no exportTime and itemCount ({error})") from error

    def rows(self) -> Iterator[Row]:
        """All items, in no meaningful order. Raises TableExportUnreadable at whatever does not fit."""
        _check(self.folder, _FILES)
        items = 0
        for file in self._data_files():
            yield from _rows(file)
            items += file.items
        if items != self.items:
            raise TableExportUnreadable(f"{_FILES}.json: its files have {items} items, and the export {self.items}")

    def _data_files(self) -> Iterator[_DataFile]:
        name = f"{_FILES}.json"
        with _opened(self.folder / name) as manifest:
            for number, line in enumerate(_lines(manifest, name), start=1):
                values = _json(f"{name}, row {number}", line)
                try:
                    key, items, md5 = str(values["dataFileS3Key"]), int(values["itemCount"]), str(values["md5Checksum"])
                except (KeyError, TypeError, ValueError) as error:
                    raise TableExportUnreadable(f"{name}, row {number}: {error} is missing or odd") from error
                # The name alone: the folder may lie anywhere, and a key must not lead out of it.
                yield _DataFile(self.folder / "data" / PurePosixPath(key).name, items, md5)


def _rows(file: _DataFile) -> Iterator[Row]:
    if _md5(file.path) != file.md5:
        raise TableExportUnreadable(f"{file.path.name}: its checksum is not the one in {_FILES}.json")
    number = 0
    with _opened(file.path) as packed, gzip.open(packed) as data:
        for number, line in enumerate(_lines(data, file.path.name), start=1):
            if number > file.items:
                raise TableExportUnreadable(f"{file.path.name}: more than the {file.items} rows that it is to have")
            where = f"{file.path.name}, row {number}"
            item = _json(where, line).get("Item")
            if not isinstance(item, dict):
                raise TableExportUnreadable(f"{where}: no Item")
            yield Row(where, item)
    if number < file.items:
        raise TableExportUnreadable(f"{file.path.name}: {number} rows, and it is to have {file.items}")


def _lines(file: IO[bytes] | gzip.GzipFile, name: str) -> Iterator[bytes]:
    number = 1
    try:
        while line := file.readline(MAX_ROW_BYTES + 1):
            if len(line) > MAX_ROW_BYTES:
                raise TableExportUnreadable(f"{name}, row {number}: longer than any item")
            yield line
            number += 1
    except (OSError, EOFError, zlib.error) as error:
        raise TableExportUnreadable(f"{name}, row {number}: cannot be unpacked ({error})") from error


def _check(folder: Path, name: str) -> None:
    """Holds a manifest against the checksum beside it."""
    expected = _small(folder / f"{name}.checksum").decode("ascii", "replace").strip()
    if _md5(folder / f"{name}.json") != expected:
        raise TableExportUnreadable(f"{name}.json: its checksum is not the one in {name}.checksum")


def _md5(path: Path) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    with _opened(path) as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return base64.b64encode(digest.digest()).decode()


def _small(path: Path) -> bytes:
    with _opened(path) as file:
        content = file.read(_MAX_SUMMARY_BYTES + 1)
    if len(content) > _MAX_SUMMARY_BYTES:
        raise TableExportUnreadable(f"{path.name}: far too long")
    return content


def _opened(path: Path) -> IO[bytes]:
    try:
        return path.open("rb")
    except OSError as error:
        raise TableExportUnreadable(f"{path.name}: {error.strerror}") from error


def _json(where: str, text: bytes) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise TableExportUnreadable(f"{where}: no JSON ({error})") from error
    if not isinstance(value, dict):
        raise TableExportUnreadable(f"{where}: no JSON object")
    return value
