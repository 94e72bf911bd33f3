"""The files of exports in the data bucket.

    exports/{workspace}/{month}/{export}/{attempt}/lines-00001.csv    what a worker wrote
    exports/{workspace}/{month}/{export}/manifest.json
    published/parquet/month={month}/workspace_id={workspace}/lines-00001.parquet    the newest export of each month
    published/focus/month={month}/workspace_id={workspace}/focus-00001.csv

Each attempt at a part has files of its own: one that is late, or doubled, must not change what the export says of the
files of another. What no export names is taken away when the export is ready.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePath
from typing import IO, TYPE_CHECKING

from shared.exports.formats import MANIFEST, Format
from shared.exports.model import Export

if TYPE_CHECKING:
    from boto3.s3.transfer import TransferConfig
    from mypy_boto3_s3 import S3Client

PUBLISHED = {Format.PARQUET: "parquet", Format.FOCUS: "focus"}
"""In which folder which format is published."""

CONTENT_TYPES = {
    ".csv": "text/csv; charset=utf-8",
    ".json": "application/json",
    ".parquet": "application/vnd.apache.parquet",
}
"""What a file says of itself, by the end of its name."""

_DELETED_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class ExportBucket:
    """Writes, publishes and removes files. Raises botocore's errors. `transfer` says how files are sent and copied;
    large ones go in pieces, several at once, unless it says otherwise.
    """

    s3: S3Client
    bucket: str
    transfer: TransferConfig | None = None

    def put_part(self, export: Export, attempt: str, name: str, file: IO[bytes]) -> str:
        """Sends one file of a part, from its beginning, and says under which key it lies. It may close the file."""
        key = f"{_folder(export)}{attempt}/{name}"
        kind = {"ContentType": CONTENT_TYPES[PurePath(name).suffix]}
        file.seek(0)
        self.s3.upload_fileobj(file, self.bucket, key, ExtraArgs=kind, Config=self.transfer)
        return key

    def put_manifest(self, export: Export, body: bytes) -> None:
        """Writes the manifest; the same export always has the same one."""
        self.s3.put_object(Bucket=self.bucket, Key=manifest_key(export), Body=body, ContentType=CONTENT_TYPES[".json"])

    def publish(self, export: Export) -> None:
        """Puts the files where queries look for the month, in the place of those of the export before. Repeats do no
        harm.
        """
        for published_format, folder in PUBLISHED.items():
            place = f"published/{folder}/month={export.month}/workspace_id={export.workspace_id}/"
            files = [file for file in export.files if file.format == published_format]
            for file in files:
                source = {"Bucket": self.bucket, "Key": file.key}
                self.s3.copy(source, self.bucket, place + file.name, Config=self.transfer)  # type: ignore[arg-type]  # a plain dict will do
            # The export before has more parts if its workers were shorter of time.
            self._delete(self._keys(place), keep={place + file.name for file in files})

    def tidy(self, export: Export) -> None:
        """Takes away what workers have left behind that were killed, or were not the first."""
        self._delete(self._keys(_folder(export)), keep={manifest_key(export), *(file.key for file in export.files)})

    def _keys(self, prefix: str) -> Iterator[str]:
        for page in self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix):
            yield from (entry["Key"] for entry in page.get("Contents", []))

    def _delete(self, found: Iterable[str], keep: set[str]) -> None:
        surplus = [key for key in found if key not in keep]
        for first in range(0, len(surplus), _DELETED_AT_ONCE):
            some = surplus[first : first + _DELETED_AT_ONCE]
            self.s3.delete_objects(
                Bucket=self.bucket, Delete={"Objects": [{"Key": key} for key in some], "Quiet": True}
            )


def manifest_key(export: Export) -> str:
    return f"{_folder(export)}{MANIFEST}"


def download_name(export: Export, name: str) -> str:
    """What a file is called where it is saved: downloads of several months lie in one folder."""
    return f"{export.month}-{name}"


def _folder(export: Export) -> str:
    return f"exports/{export.workspace_id}/{export.month}/{export.export_id}/"
