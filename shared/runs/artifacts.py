"""The files of a run, in the data bucket: what was uploaded, what was prepared of it, and what was rejected.

They lie beside the tables because they are large and written once. A run never depends on a file that is written after
the table says that it is there.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import simplejson
from botocore.exceptions import ClientError

from shared.ids import fingerprint
from shared.runs.model import Cursor, Run

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_BLOCK_BYTES = 4 * 1024 * 1024
"""Read at a time: an import that is slowed down must not hold a connection open that nobody reads from."""


@dataclass(frozen=True, slots=True)
class PreparedRecord:
    """One record as the feed has it. `end` is the cursor of a run that has just done this record."""

    entity: str
    key: str
    attributes: Mapping[str, Any]
    row: int
    end: Cursor


@dataclass(frozen=True, slots=True)
class Manifest:
    """What the worker must know of the feed: which attributes it owns, per entity, and whether it skips what is
    unchanged.
    """

    mapped: Mapping[str, tuple[str, ...]]
    skip_unchanged: bool


@dataclass(frozen=True, slots=True)
class Rejection:
    """A row, or a record of it, that cannot be written, and why."""

    row: int
    column: str | None
    entity: str | None
    key: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class RejectionPage:
    """Rejections in the order of their rows; with a `cursor` there are more."""

    rejections: tuple[Rejection, ...]
    cursor: str | None


class ArtifactMissing(Exception):
    """A file of a run is not there: the bucket's lifecycle took it, long after the run was last worked on."""


class UploadReplaced(Exception):
    """Another file lies where the upload was that a run was started on."""


@dataclass(frozen=True, slots=True)
class Upload:
    """An uploaded file: its size in bytes, and the tag by which the store tells it from another."""

    size: int
    etag: str


def upload_key(workspace_id: str, feed_id: str, upload_id: str) -> str:
    """Where an upload lies in the bucket."""
    return f"uploads/{workspace_id}/{feed_id}/{upload_id}"


class RunArtifacts:
    """Reads and writes the files of runs in one bucket."""

    def __init__(self, s3: S3Client, bucket: str) -> None:
        self._s3 = s3
        self._bucket = bucket

    def upload(self, workspace_id: str, feed_id: str, upload_id: str) -> Upload | None:
        """What was uploaded, None when it never came."""
        try:
            answer = self._s3.head_object(Bucket=self._bucket, Key=upload_key(workspace_id, feed_id, upload_id))
        except ClientError as error:
            if _is_missing(error):
                return None
            raise
        return Upload(answer["ContentLength"], answer["ETag"])

    def upload_etag(self, run: Run) -> str | None:
        """The tag of the run's upload; None while there is none."""
        upload = self.upload(run.workspace_id, run.feed_id, run.upload_id)
        return None if upload is None else upload.etag

    def keep_upload(self, run: Run, file: Path) -> str | None:
        """Keeps a local file as the run's upload and gives its tag; None when there is one already, which stays.

        One request whatever its size: the file is there as a whole, or not at all.
        """
        key = upload_key(run.workspace_id, run.feed_id, run.upload_id)
        try:
            with file.open("rb") as body:
                return self._s3.put_object(Bucket=self._bucket, Key=key, Body=body, IfNoneMatch="*")["ETag"]
        except ClientError as error:
            if _is_replaced(error):
                return None
            raise

    def download_upload(self, run: Run, target: Path) -> None:
        """Copies the run's upload into a local file.

        Raises ArtifactMissing when it is gone, UploadReplaced when it is not the file that the run was started on: what
        was checked then, its size and whatever a dry run said of it, holds for no other.
        """
        key = upload_key(run.workspace_id, run.feed_id, run.upload_id)
        try:
            answer = self._s3.get_object(Bucket=self._bucket, Key=key, IfMatch=run.upload_etag)
        except ClientError as error:
            if _is_replaced(error):
                raise UploadReplaced(key) from error
            raise _missing(error, key) from error
        with target.open("wb") as file, answer["Body"] as body:
            shutil.copyfileobj(body, file, _BLOCK_BYTES)

    def put_definition(self, run: Run, definition: str) -> None:
        """Keeps the feed's definition as it is when the run is asked for: a later edit of the feed is not this
        run's.
        """
        self._s3.put_object(Bucket=self._bucket, Key=_key(run, "definition.json"), Body=definition.encode())

    def definition(self, run: Run) -> str:
        return self._read(_key(run, "definition.json")).decode()

    def put_prepared(self, run: Run, records: Path, rejections: Path, manifest: Manifest) -> None:
        """Keeps what a preparation made, under the name that `run` gives it.

        Each preparation has files of its own: one that is late, or doubled, must not change what a worker reads by its
        bytes.
        """
        self._s3.upload_file(str(records), self._bucket, _prepared_key(run, "records.jsonl"))
        self._s3.upload_file(str(rejections), self._bucket, _prepared_key(run, "rejections.jsonl"))
        body = simplejson.dumps({"mapped": manifest.mapped, "skip_unchanged": manifest.skip_unchanged})
        self._s3.put_object(Bucket=self._bucket, Key=_prepared_key(run, "manifest.json"), Body=body.encode())

    def manifest(self, run: Run) -> Manifest:
        values = simplejson.loads(self._read(_prepared_key(run, "manifest.json")))
        mapped = {entity: tuple(names) for entity, names in values["mapped"].items()}
        return Manifest(mapped, values["skip_unchanged"])

    def records(self, run: Run) -> Iterator[PreparedRecord]:
        """The prepared records that the run has still to do, from its cursor on."""
        position, offset = run.cursor.position, run.cursor.offset
        for line in self._lines(_prepared_key(run, "records.jsonl"), offset):
            position, offset = position + 1, offset + len(line)
            entity, key, attributes, row = simplejson.loads(line, use_decimal=True)
            yield PreparedRecord(entity, key, attributes, row, Cursor(position, offset))

    def put_late_rejection(self, run: Run, rejection: Rejection) -> None:
        """Keeps a record that a step rejects, under its row: a step that is tried again writes the same file again."""
        line = simplejson.dumps(asdict(rejection)) + "\n"
        key = _key(
            run, f"rejections/row-{rejection.row:012}-{fingerprint(rejection.entity or '', rejection.key or '')}.jsonl"
        )
        self._s3.put_object(Bucket=self._bucket, Key=key, Body=line.encode())

    def rejections(self, run: Run, limit: int, cursor: str | None = None) -> RejectionPage:
        """Up to `limit` rejections: those of the preparation, then those of the steps.

        A cursor names a file and the byte to go on from. None are left of a run whose files have expired. Raises
        ValueError when it is not one that a page gave.
        """
        name, _, offset_text = (cursor or ":0").partition(":")
        offset = int(offset_text)
        if offset < 0:
            raise ValueError("the cursor is not one that a listing gave")
        found: list[Rejection] = []
        try:
            for file in self._rejection_files(run):
                if file < name:
                    continue
                start = offset if file == name else 0
                for line in self._lines(_key(run, file), start):
                    if len(found) == limit:
                        return RejectionPage(tuple(found), f"{file}:{start}")
                    found.append(Rejection(**simplejson.loads(line)))
                    start += len(line)
        except ArtifactMissing:
            # The bucket keeps the files of a run for about a year; what they held is then no longer told.
            return RejectionPage((), None)
        return RejectionPage(tuple(found), None)

    def _rejection_files(self, run: Run) -> Iterator[str]:
        """The names of the run's files of rejections, sorted; none before it is prepared."""
        if not run.preparation:
            return
        yield _prepared_key(run, "rejections.jsonl").removeprefix(_key(run, ""))
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=_key(run, "rejections/"))
        for page in pages:
            yield from (entry["Key"].removeprefix(_key(run, "")) for entry in page.get("Contents", []))

    def _lines(self, key: str, offset: int) -> Iterator[bytes]:
        """The lines of a file from byte `offset` on, each with its newline, read block by block."""
        rest = b""
        while True:
            last = offset + _BLOCK_BYTES - 1
            try:
                answer = self._s3.get_object(Bucket=self._bucket, Key=key, Range=f"bytes={offset}-{last}")
            except ClientError as error:
                if error.response["Error"]["Code"] in ("InvalidRange", "416"):
                    return
                raise _missing(error, key) from error
            block = answer["Body"].read()
            *lines, rest = (rest + block).split(b"\n")
            yield from (line + b"\n" for line in lines)
            if len(block) < _BLOCK_BYTES:
                return
            offset += len(block)

    def _read(self, key: str) -> bytes:
        try:
            return self._s3.get_object(Bucket=self._bucket, Key=key)["Body"].read()
        except ClientError as error:
            raise _missing(error, key) from error


def _missing(error: ClientError, key: str) -> Exception:
    return ArtifactMissing(key) if _is_missing(error) else error


def _is_replaced(error: ClientError) -> bool:
    return error.response["Error"]["Code"] in ("PreconditionFailed", "412")


def _is_missing(error: ClientError) -> bool:
    # A HEAD has no body to name the error in, so botocore gives its status.
    return error.response["Error"]["Code"] in ("NoSuchKey", "404", "NotFound")


def _key(run: Run, name: str) -> str:
    return f"runs/{run.workspace_id}/{run.run_id}/{name}"


def _prepared_key(run: Run, name: str) -> str:
    return _key(run, f"prepared/{run.preparation}/{name}")
