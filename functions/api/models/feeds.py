"""Feeds, presets and uploads."""

import json
from typing import Annotated, Any, Self

from pydantic import Field, StrictInt

from functions.api.models.common import Request, View
from functions.api.models.texts import Name, Time, UploadId, Version, told
from functions.api.uploads import PresignedUpload
from shared.feeds.definition import PresetDescription
from shared.feeds.store import StoredFeed
from shared.times import to_rfc3339


class FeedView(View):
    """A feed: its definition as it was sent, and how often it was changed."""

    feed_id: Name
    version: Version
    created_at: Time
    updated_at: Time
    definition: Annotated[dict[str, Any], told({"preset": "shopify"})]

    @classmethod
    def of(cls, feed: StoredFeed) -> Self:
        return cls(
            feed_id=feed.feed_id,
            version=feed.version,
            created_at=to_rfc3339(feed.created_at),
            updated_at=to_rfc3339(feed.updated_at),
            definition=json.loads(feed.definition),
        )


class PresetView(View):
    """A preset: the file types that it reads, and the entities that it makes."""

    name: Annotated[str, told("shopify")]
    description: Annotated[str, told("The product export of a Shopify shop.")]
    formats: Annotated[list[str], told(["csv"])]
    entities: Annotated[list[str], told(["product", "variant"])]

    @classmethod
    def of(cls, preset: PresetDescription) -> Self:
        return cls(
            name=preset.name,
            description=preset.description,
            formats=list(preset.formats),
            entities=list(preset.entities),
        )


class PresetDefinitionView(PresetView):
    """A preset in full: `definition` is one that could be sent for a feed."""

    definition: Annotated[
        dict[str, Any],
        told({"format": {"type": "csv"}, "entities": [{"entity": "product", "key": "Handle", "spans_rows": True}]}),
    ]


class UploadRequest(Request):
    """A file to send."""

    content_length: Annotated[
        StrictInt | None, Field(ge=0, description="Bytes. When given, a file of exactly this size is taken.")
    ] = None
    file_name: Annotated[str | None, Field(max_length=255, description="For your own logs; it is not kept.")] = None


class UploadView(View):
    """Where to send the file: one request, with this method and these headers, before `expires_at`."""

    upload_id: UploadId
    method: Annotated[str, told("PUT", const="PUT")]
    url: Annotated[str, told("https://bucket.s3.eu-central-1.amazonaws.com/uploads/…?X-Amz-Signature=…")]
    headers: Annotated[dict[str, str], told({"Content-Length": "48213"})]
    expires_at: Time
    max_bytes: Annotated[int, Field(description="What a file may have."), told(2147483648, minimum=1)]

    @classmethod
    def of(cls, upload_id: str, upload: PresignedUpload, max_bytes: int) -> Self:
        return cls(
            upload_id=upload_id,
            method="PUT",
            url=upload.url,
            headers=upload.headers,
            expires_at=to_rfc3339(upload.expires_at),
            max_bytes=max_bytes,
        )
