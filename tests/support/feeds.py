"""Feeds for tests and benches: made-up ones of any size, and the real ones where they are at hand."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from shared.feeds import DEFAULT_LIMITS, FeedDefinition, Limits
from shared.feeds.preparing import PreparedFeed, prepare

ROOT = Path(__file__).resolve().parents[2]

COLUMNS = ("sku", "name", "description", "brand", "price", "stock", "category", "image")
_WORDS = ["drill", "hammer", "lamp", "cable", "switch", "socket", "relay", "sensor", "motor", "valve", "pump", "filter"]
_TEXT = " ".join(f"{word} for workshops and building sites" for word in _WORDS)
_TEXT += ", delivered assembled and packed without plastic, with spare parts for ten years and a guarantee of five"


def real_feeds() -> Path:
    """The folder of real feeds, which are no part of the repository: `PRODUCTSYNC_FEEDS`, or beside the checkout."""
    stated = os.environ.get("PRODUCTSYNC_FEEDS")
    return Path(stated) if stated else ROOT.parent / "shared" / "feeds"


def real_feed(name: str) -> Path:
    """One of the real files; skips the test where they are absent."""
    file = real_feeds() / name
    if not file.exists():
        pytest.skip(f"the real feeds are not here ({file})")
    return file


def drugs(key: str) -> dict[str, Any]:
    """The French drug register: Windows-1252, tabs, no header."""
    return {
        "format": {"type": "csv", "delimiter": "\t", "encoding": "windows-1252", "header": False},
        "entities": [{"entity": "product", "key": key, "attributes": "*"}],
        "skip_unchanged": True,
    }


def make_feed(path: Path, rows: int, *, changed: int = 0, categories: int = 40, start: int = 0) -> Path:
    """Writes a CSV of `rows` products, about 0.7 KB each, in `categories` categories (two levels, `Tools > relay 7`).

    The same arguments always give the same bytes. The first `changed` products have another price, as in the next
    version of a supplier's feed; `start` shifts the SKUs.
    """
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(",".join(COLUMNS) + "\r\n")
        for number in range(start, start + rows):
            word = _WORDS[number % len(_WORDS)]
            cents = number * 37 % 100_000 + (1 if number - start < changed else 0)
            kind = number % categories
            file.write(
                f"SKU-{number:08d},{word.title()} {number},"
                f'"<p>{number:,} {_TEXT}</p>",Brand {number % 97},'
                f"{cents // 100}.{cents % 100:02d},{number % 500},Tools > {_WORDS[kind % len(_WORDS)]} {kind},"
                f"https://images.example.com/products/{number:08d}/large.jpg\r\n"
            )
    return path


def made_feed_definition(*, nodes: bool = True) -> dict[str, object]:
    """The definition that fits `make_feed`: products and, if asked for, the nodes of their categories."""
    product = {
        "entity": "product",
        "key": "sku",
        "attributes": {"price": {"from": "price", "type": "decimal"}, "*": "*"},
    }
    category = {"entity": "category", "path": {"from": "category"}}
    return {"format": {"type": "csv"}, "entities": [product, category] if nodes else [product]}


@dataclass(frozen=True)
class Prepared:
    """A prepared feed with its files read."""

    feed: PreparedFeed
    records: list[tuple[str, str, dict[str, Any], int]]
    rejections: list[dict[str, Any]]

    def of(self, entity: str) -> dict[str, dict[str, Any]]:
        """The attributes of an entity's records, by key."""
        return {key: attributes for found, key, attributes, _ in self.records if found == entity}

    def counts(self) -> dict[str, tuple[int, int, int]]:
        """Records, duplicates and rejected of each entity."""
        return {name: (c.records, c.duplicates, c.rejected) for name, c in self.feed.by_entity.items()}


def prepare_file(source: Path, definition: Mapping[str, Any], limits: Limits = DEFAULT_LIMITS) -> Prepared:
    """Prepares a file beside which there is nothing else to keep."""
    with tempfile.TemporaryDirectory() as folder:
        feed = prepare(source, FeedDefinition.model_validate(definition), Path(folder), limits=limits)
        load = json.JSONDecoder(parse_float=Decimal).decode
        records = [tuple(load(line)) for line in feed.records_path.read_bytes().decode().split("\n")[:-1]]
        rejections = [json.loads(line) for line in feed.rejections_path.read_text().splitlines()]
        left = {path.name for path in Path(folder).iterdir()}
    assert left == {"records.jsonl", "rejections.jsonl"}
    return Prepared(feed, records, rejections)


def prepare_content(content: str | bytes, definition: Mapping[str, Any], limits: Limits = DEFAULT_LIMITS) -> Prepared:
    """Prepares what a file would hold."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "feed"
        source.write_bytes(content if isinstance(content, bytes) else content.encode())
        return prepare_file(source, definition, limits)
