"""Real feeds of third parties, with exact counts. They are no part of the repository: without them this is skipped."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.feeds import prepare_file, real_feeds

pytestmark = [
    pytest.mark.feeds,
    pytest.mark.skipif(not real_feeds().is_dir(), reason=f"the real feeds are not at {real_feeds()}"),
]

WINDOWS_TABS = {"type": "tsv", "encoding": "windows-1252", "header": False}


def by(layout: dict[str, Any], key: Any, entity: str = "product") -> dict[str, Any]:
    return {"format": layout, "entities": [{"entity": entity, "key": key}]}


BY_IMAGE = {
    "format": {"type": "json"},
    "entities": [
        {"entity": "product", "key": "image", "attributes": {"category": {"keys_of": "category"}, "*": "*"}},
        {"entity": "category", "path": {"from": "categories"}},
    ],
}
SHOPIFY, MERCHANT, AKENEO = ({"preset": name} for name in ("shopify", "google_merchant", "akeneo"))

FEEDS: list[tuple[str, dict[str, Any], dict[str, int], int]] = [
    ("shopify/kaizoku_products_export.csv", SHOPIFY, {"product": 32, "variant": 37, "category": 45}, 0),
    ("shopify/shopifypartners_apparel.csv", SHOPIFY, {"product": 20, "variant": 22, "category": 0}, 0),
    ("shopify/shopifypartners_home-and-garden.csv", SHOPIFY, {"product": 20, "variant": 21, "category": 2}, 0),
    ("shopify/shopifypartners_jewelery.csv", SHOPIFY, {"product": 20, "variant": 23, "category": 3}, 0),
    ("woocommerce/sample_products.csv", {"preset": "woocommerce"}, {"product": 15, "variant": 9, "category": 6}, 0),
    (
        "magento2/configurable_products.csv",
        {"preset": "magento"},
        {"product": 1_994, "store_view": 0, "category": 29},
        0,
    ),
    ("akeneo_icecat/camcorders.csv", AKENEO, {"product": 440, "category": 13}, 0),
    ("akeneo_icecat/loudspeakers.csv", AKENEO, {"product": 500, "category": 50}, 0),
    ("akeneo_icecat/tablets.csv", AKENEO, {"product": 25, "category": 5}, 0),
    ("akeneo_icecat/categories.csv", by({"type": "csv"}, "code", "category"), {"category": 108}, 0),
    ("google_merchant/sooq_masr_feed.xml", MERCHANT, {"product": 860, "category": 6}, 158),
    ("google_merchant/chitralhive_feed.xml", MERCHANT, {"product": 100, "category": 1}, 0),
    ("json/typesense_bestbuy_ecommerce.json", BY_IMAGE, {"product": 3_291, "category": 67}, 0),
    ("json/bestbuy_categories.json", by({"type": "json"}, "id", "category"), {"category": 4_584}, 0),
    ("json/m5zoon_products.json", by({"type": "json"}, "id"), {"product": 263}, 0),
    ("json/pcpart_memory.jsonl", by({"type": "jsonl"}, "*"), {"product": 12_596}, 957),
    (
        "bmecat/weidmueller_1122770000_bmecat2005.xml",
        by({"type": "xml", "items": "BMECAT/T_NEW_CATALOG/PRODUCT"}, "SUPPLIER_PID"),
        {"product": 1},
        0,
    ),
    (
        "bmecat/bmecatconverter_category_tree_dtd.xml",
        by({"type": "xml", "items": "CATALOG_STRUCTURE"}, "GROUP_ID", "category"),
        {"category": 1_660},
        0,
    ),
    (
        "bmecat/bmecatconverter_category_tree_dtd.xml",
        by({"type": "xml", "items": "ARTICLE"}, "SUPPLIER_AID"),
        {"product": 1},
        0,
    ),
    ("prestashop/products_import.csv", by({"type": "csv"}, "Product ID"), {"product": 7}, 0),
    ("prestashop/categories_import.csv", by({"type": "csv"}, "Category ID", "category"), {"category": 3}, 0),
]


@pytest.mark.parametrize(("path", "definition", "records", "duplicates"), FEEDS)
def test_a_real_feed_gives_exactly(
    path: str, definition: dict[str, Any], records: dict[str, int], duplicates: int
) -> None:
    prepared = prepare_file(real_feeds() / path, definition)
    assert {entity: counts.records for entity, counts in prepared.feed.by_entity.items()} == records
    assert (prepared.feed.duplicates, prepared.rejections) == (duplicates, [])


PAIRS = [
    (
        "pair_bdpm_drugs/CIS_CIP_bdpm",
        ("v1_2016-07-18.txt", "v2_2016-10-08.txt"),
        by(WINDOWS_TABS, "2"),
        19_841,
        207,
        1_212,
    ),
    ("pair_bdpm_drugs/CIS_bdpm", ("v1_2016-07-18.txt", "v2_2016-10-08.txt"), by(WINDOWS_TABS, "1"), 14_088, 118, 360),
    (
        "pair_refurb_us_macs/macs",
        ("v1_2026-07-20.json", "v2_2026-07-23.json"),
        by({"type": "json"}, "model"),
        235,
        60,
        0,
    ),
]


@pytest.mark.parametrize(("name", "versions", "definition", "first", "added", "changed"), PAIRS)
def test_two_versions_of_a_real_feed_differ_by_exactly(
    name: str, versions: tuple[str, str], definition: dict[str, Any], first: int, added: int, changed: int
) -> None:
    before, after = (prepare_file(real_feeds() / f"{name}.{version}", definition).of("product") for version in versions)
    assert len(before) == first
    assert len(after.keys() - before.keys()) == added
    assert sum(before[key] != after[key] for key in before.keys() & after.keys()) == changed


def test_later_values_win_in_a_real_feed() -> None:
    prepared = prepare_file(real_feeds() / "google_merchant/sooq_masr_feed.xml", MERCHANT)
    assert prepared.feed.rows_read == 1_018
    assert prepared.of("category").keys() >= {"Health & Beauty", "Health & Beauty > Personal Care"}
