"""Fetching a file from S3: from the buckets that a deployment names for it."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    IncompleteReadError,
    ReadTimeoutError,
    ResponseStreamingError,
)

from shared.sources.errors import SourceFailed
from shared.sources.fetching import (
    Deadline,
    Fetched,
    FetchOutcome,
    Patience,
    Unmodified,
    Validators,
    too_large,
    write_bounded,
)

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_BLOCK_BYTES = 1024 * 1024
_BROKEN_OFF = (
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    IncompleteReadError,
    ReadTimeoutError,
    ResponseStreamingError,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Request:
    """An object to be fetched. `known` are the validators of the one that is there already, if it may be left at
    that.
    """

    bucket: str
    key: str
    limit: int
    known: Validators | None = None


def fetch_s3(s3: S3Client, request: S3Request, target: Path, patience: Patience) -> FetchOutcome:
    """Fetches the object into `target`, in bounded memory. Raises SourceFailed, and botocore's errors of outages."""
    deadline = patience.begin()
    return patience.tried(lambda: _fetch(s3, request, target, deadline), deadline)


def _fetch(s3: S3Client, request: S3Request, target: Path, deadline: Deadline) -> FetchOutcome:
    condition: dict[str, Any] = {}
    if request.known is not None and request.known.etag:
        condition["IfNoneMatch"] = request.known.etag
    try:
        answer = s3.get_object(Bucket=request.bucket, Key=request.key, **condition)
        with closing(answer["Body"]) as body:
            if answer["ContentLength"] > request.limit:
                raise too_large(f"{answer['ContentLength']:,}", request.limit)
            write_bounded(body.iter_chunks(_BLOCK_BYTES), target, request.limit, deadline)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] == 304:
            return Unmodified()
        raise _refused(request, error) from error
    except _BROKEN_OFF as error:
        detail = f"the object {request.key} of {request.bucket} could not be read to its end"
        raise SourceFailed("source_broken_off", detail, passing=True) from error
    return Fetched(Validators(etag=answer["ETag"]))


def _refused(request: S3Request, error: ClientError) -> Exception:
    status = error.response["ResponseMetadata"]["HTTPStatusCode"]
    if status == 404:
        return SourceFailed("source_missing", f"there is no object {request.key} in {request.bucket}")
    if status == 403:
        # S3 answers so as well where the deployment has no right to list the bucket, and the object is missing.
        code = error.response["Error"]["Code"]
        if code == "InvalidObjectState":
            return SourceFailed("source_refused", f"the object {request.key} is archived; restore it first")
        detail = f"the object {request.key} of {request.bucket} is not there, or may not be read"
        return SourceFailed("source_unauthorized", detail)
    if status >= 500 or status == 429:
        return SourceFailed("source_unavailable", f"S3 answered {status}; try again later", passing=True)
    return error
