"""DynamoDB's exports of a table to S3, of the documented shape: no embedded AWS writes them.

See "DynamoDB table export output format" in AWS's documentation.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from shared.keys import Item
from shared.times import to_rfc3339

_PREFIX = "AWSDynamoDB/01791234567890-0a1b2c3d"


def write_table_export(
    folder: Path, items: Sequence[Item], exported_at: datetime, *, files: int = 3, **summary: Any
) -> Path:
    """Writes an export of these items into `folder`; `summary` replaces fields of its summary."""
    (folder / "data").mkdir(parents=True)
    rows: list[dict[str, Any]] = []
    for number in range(files):
        part = items[number::files]
        name = f"{number:026}.json.gz"
        content = "".join(json.dumps({"Item": item}) + "\n" for item in part).encode()
        rows.append(write_data_file(folder / "data" / name, gzip.compress(content), len(part)))
    write_file_manifest(folder, rows)
    values = {
        "version": "2020-06-30",
        "exportArn": "arn:aws:dynamodb:eu-central-1:123456789012:table/credits/export/01791234567890-0a1b2c3d",
        "exportTime": to_rfc3339(exported_at),
        "itemCount": len(items),
        "outputFormat": "DYNAMODB_JSON",
        "exportType": "FULL_EXPORT",
        "manifestFilesS3Key": f"{_PREFIX}/manifest-files.json",
    }
    _with_checksum(folder, "manifest-summary", json.dumps(values | summary).encode())
    return folder


def write_data_file(path: Path, packed: bytes, items: int) -> dict[str, Any]:
    """Writes a data file; returns what the manifest says of it."""
    path.write_bytes(packed)
    digest = hashlib.md5(packed, usedforsecurity=False).digest()
    return {
        "itemCount": items,
        "md5Checksum": base64.b64encode(digest).decode(),
        "etag": hashlib.md5(digest, usedforsecurity=False).hexdigest() + "-1",
        "dataFileS3Key": f"{_PREFIX}/data/{path.name}",
    }


def write_file_manifest(folder: Path, rows: Sequence[dict[str, Any]]) -> None:
    _with_checksum(folder, "manifest-files", "".join(json.dumps(row) + "\n" for row in rows).encode())


def _with_checksum(folder: Path, name: str, content: bytes) -> None:
    (folder / f"{name}.json").write_bytes(content)
    checksum = base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest())
    (folder / f"{name}.checksum").write_bytes(checksum)
