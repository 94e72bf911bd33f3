"""Presigned uploads. Signing needs no network."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest

from functions.api.uploads import Uploads

NOW = datetime(2026, 11, 22, 8, tzinfo=UTC)


def presigned(content_length: int | None) -> tuple[str, str, dict[str, list[str]], dict[str, str], datetime]:
    uploads = Uploads.connected("data-bucket")
    upload = uploads.presign("ws_1", "main", "up_1", content_length=content_length, now=NOW)
    url = urlsplit(upload.url)
    return url.netloc, url.path, parse_qs(url.query), upload.headers, upload.expires_at


def test_on_aws_the_bucket_is_part_of_the_regional_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    host, path, query, _, expires_at = presigned(1234)
    assert host == "data-bucket.s3.eu-central-1.amazonaws.com"
    assert path == "/uploads/ws_1/main/up_1"
    assert query["X-Amz-Algorithm"] == ["AWS4-HMAC-SHA256"]
    assert query["X-Amz-Expires"] == ["3600"]
    assert expires_at == NOW + timedelta(hours=1)


def test_behind_an_endpoint_of_its_own_the_bucket_is_part_of_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:4566")
    host, path, *_ = presigned(1234)
    assert (host, path) == ("127.0.0.1:4566", "/data-bucket/uploads/ws_1/main/up_1")


@pytest.mark.parametrize(
    ("size", "signed", "sent"),
    [
        (None, "host", {}),
        (0, "content-length;host", {"Content-Length": "0"}),
        (1234, "content-length;host", {"Content-Length": "1234"}),
    ],
)
def test_a_size_that_is_known_is_signed(size: int | None, signed: str, sent: dict[str, str]) -> None:
    _, _, query, headers, _ = presigned(size)
    assert query["X-Amz-SignedHeaders"] == [signed]
    assert headers == sent
