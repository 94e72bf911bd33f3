"""Presigned uploads: a place in the data bucket that one file may be sent to, once, within one hour."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

import boto3
from botocore.config import Config

from shared.runs.artifacts import upload_key

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

UPLOAD_TIME = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class PresignedUpload:
    """Where a file goes, with which headers, and until when."""

    url: str
    headers: dict[str, str]
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Uploads:
    """Signs uploads. Nothing is sent: the signature is made here."""

    s3: S3Client
    bucket: str

    @classmethod
    def connected(cls, bucket: str) -> Uploads:
        """With the credentials and the endpoint of the environment."""
        # The name of a regional bucket is part of its host; behind an endpoint of its own there is no such host.
        style: Literal["path", "virtual"] = "path" if os.environ.get("AWS_ENDPOINT_URL") else "virtual"
        config = Config(
            signature_version="s3v4",
            s3={"addressing_style": style},
            # A checksum of a body that is not here yet cannot be signed.
            request_checksum_calculation="when_required",
            connect_timeout=3,
            read_timeout=10,
            retries={"mode": "standard", "total_max_attempts": 3},
        )
        return cls(boto3.client("s3", config=config), bucket)

    def presign(
        self, workspace_id: str, feed_id: str, upload_id: str, *, content_length: int | None, now: datetime
    ) -> PresignedUpload:
        """Takes a file; one of exactly `content_length` bytes, if that is known, for the size is then signed.

        A file that is sent there again replaces the first. That does no harm to runs: each keeps to the file that was
        there when it was started, and fails when it is gone (see `shared.runs.artifacts`).
        """
        params: dict[str, Any] = {
            "Bucket": self.bucket,
            "Key": upload_key(workspace_id, feed_id, upload_id),
        }
        headers: dict[str, str] = {}
        if content_length is not None:
            params["ContentLength"] = content_length
            headers["Content-Length"] = str(content_length)
        seconds = int(UPLOAD_TIME.total_seconds())
        url = self.s3.generate_presigned_url("put_object", Params=params, ExpiresIn=seconds, HttpMethod="PUT")
        return PresignedUpload(url, headers, now + UPLOAD_TIME)
