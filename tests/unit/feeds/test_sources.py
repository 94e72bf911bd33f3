"""Sources in definitions: what may be written, and how it is told what may not."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from shared.feeds import FeedDefinition, problems


def defined(source: Any) -> FeedDefinition:
    return FeedDefinition.model_validate({"preset": "shopify", "source": source})


@pytest.mark.parametrize(
    ("source", "pulls"),
    [
        (None, False),
        ({"type": "upload"}, False),
        ({"type": "s3", "bucket": "feeds", "key": "ws_1/stock.csv"}, True),
        ({"type": "http", "url": "https://shop.example/feed.csv?token=a%20b"}, True),
        ({"type": "http", "url": "http://ünï.example:8080/ä"}, True),
    ],
)
def test_a_source_is_kept_as_it_was_sent(source: Any, pulls: bool) -> None:
    definition = defined(source)
    assert definition.pulls == pulls
    assert definition.to_json()["source"] == source
    assert FeedDefinition.model_validate_json(definition.model_dump_json()) == definition


def test_without_a_source_a_feed_is_uploaded() -> None:
    definition = FeedDefinition.model_validate({"preset": "shopify"})
    assert not definition.pulls
    assert "source" not in definition.to_json()


@pytest.mark.parametrize(
    ("source", "field"),
    [
        ({"type": "ftp", "url": "ftp://shop.example/"}, "source"),
        ({}, "source"),
        ("https://shop.example/", "source"),
        ({"type": "http"}, "source.url"),
        ({"type": "http", "url": "https://shop.example/", "user": "a"}, "source.user"),
        ({"type": "http", "url": "https://shop.example/" + "a" * 2000}, "source.url"),
        *(
            ({"type": "http", "url": url}, "source.url")
            for url in (
                *(
                    "ftp://shop.example/",
                    "file:///etc/passwd",
                    "//shop.example/",
                    "shop.example",
                    "",
                    "https://",
                    "http:///x",
                ),
                *("https://a:b@shop.example/", "https://@shop.example/", "https://shop.example/#part", "https://a/#"),
                *(
                    "https://shop.example:99999/",
                    "https://shop.example:0/",
                    "https://[::1/",
                    "https://a b/",
                    "https://a\\@b/",
                ),
                *("https://shop.example/\r\nHost: b", "https://shop.example/\x00", " https://shop.example/"),
            )
        ),
        ({"type": "s3", "bucket": "Feeds", "key": "a"}, "source.bucket"),
        ({"type": "s3", "bucket": "feeds", "key": ""}, "source.key"),
    ],
)
def test_what_is_wrong_is_named_by_its_field(source: Any, field: str) -> None:
    with pytest.raises(ValidationError) as caught:
        defined(source)
    (problem,) = problems(caught.value)
    assert problem.field == field
    assert problem.message
