"""Presigned downloads: a file of an export, for a quarter of an hour."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from functions.api.uploads import Uploads

DOWNLOAD_TIME = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class PresignedDownload:
    """Where a file is fetched from, and until when."""

    url: str
    expires_at: datetime


def presign_download(store: Uploads, key: str, name: str, now: datetime) -> PresignedDownload:
    """The file under `key`, which a browser saves as `name`. Nothing is sent: the signature is made here."""
    seconds = int(DOWNLOAD_TIME.total_seconds())
    params = {
        "Bucket": store.bucket,
        "Key": key,
        "ResponseContentDisposition": f'attachment; filename="{name}"',
        # Of somebody's books no copy is to stay on the way.
        "ResponseCacheControl": "private, no-store",
    }
    url = store.s3.generate_presigned_url("get_object", Params=params, ExpiresIn=seconds, HttpMethod="GET")
    return PresignedDownload(url, now + DOWNLOAD_TIME)
