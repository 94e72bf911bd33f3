"""Where the file of a feed comes from: an upload, an object in S3, or an address on the web."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import Discriminator, Field, Tag, field_validator

from shared.feeds.fields import Part

MAX_URL_CHARACTERS = 2000
BUCKET_PATTERN = "^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$"


class UploadSource(Part):
    """Files are uploaded for each run."""

    type: Literal["upload"]


class S3Source(Part):
    """An object in a bucket that the deployment names for this."""

    # Which buckets: `shared.sources.rules`.
    type: Literal["s3"]
    bucket: Annotated[str, Field(pattern=BUCKET_PATTERN)]
    key: Annotated[str, Field(min_length=1, max_length=1024)]


class HttpSource(Part):
    """An address on the web. Which hosts may be asked is seen when they are asked."""

    # How: `shared.sources.addresses`.
    type: Literal["http"]
    url: Annotated[str, Field(max_length=MAX_URL_CHARACTERS)]

    @field_validator("url")
    @classmethod
    def _is_an_address(cls, url: str) -> str:
        if any(character <= " " or character in '\\"<>^`{|}\x7f' for character in url):
            raise ValueError("an address holds no blanks and no such characters; write them percent-encoded")
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https"):
            raise ValueError("the address begins with https:// or http://")
        if not parts.hostname:
            raise ValueError("the address names no host")
        if parts.username is not None or parts.password is not None:
            raise ValueError("credentials are no part of an address: give them to the feed with PUT …/credentials")
        if parts.fragment or url.endswith("#"):
            raise ValueError("leave out what follows the #: it is never sent")
        if parts.port == 0:
            raise ValueError("no host listens on port 0")
        return url


PulledSource = S3Source | HttpSource
"""What a run can fetch by itself."""


def _tag(value: Any) -> str | None:
    kind = value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
    return f"<{kind}>" if kind in ("upload", "s3", "http") else None


# The tags are in brackets, which errors leave out of a field's name: it is `source.url`, as the sender wrote it.
Source = Annotated[
    Annotated[UploadSource, Tag("<upload>")] | Annotated[S3Source, Tag("<s3>")] | Annotated[HttpSource, Tag("<http>")],
    Discriminator(
        _tag,
        custom_error_type="wrong_kind",
        custom_error_message='Input should be an object whose "type" is "upload", "s3" or "http"',
    ),
]
