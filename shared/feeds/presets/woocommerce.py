"""WooCommerce: the product CSV of its own exporter."""

from __future__ import annotations

from shared.feeds.presets.preset import Preset

# The exporter's own reference to a product without a SKU, in the columns Parent, Upsells and the like: "id:741".
_KEY = {"first_of": ["SKU", {"column": "ID", "prefix": "id:"}]}

_LISTS = {
    "images": {"from": "Images", "type": "list", "separator": ","},
    "tags": {"from": "Tags", "type": "list", "separator": ","},
}
_TEXTS = {
    "id": "ID",
    "type": "Type",
    "sku": "SKU",
    "name": "Name",
    "published": "Published",
    "short_description": "Short description",
    "description": "Description",
    "in_stock": "In stock?",
    "stock": "Stock",
    "regular_price": "Regular price",
    "sale_price": "Sale price",
}

PRESET = Preset(
    description="WooCommerce product CSV: products and variations by SKU (or else by ID), and category nodes.",
    definition={
        "format": {"type": ["csv", "xlsx"]},
        "entities": [
            {
                "entity": "product",
                "key": _KEY,
                "when": [{"column": "Type", "not_contains": "variation"}],
                "attributes": {**_TEXTS, **_LISTS, "categories": {"keys_of": "category"}, "*": "*"},
                "exclude": ["Categories", "Parent"],
                "missing_columns": "ignore",
            },
            {
                "entity": "variant",
                "key": _KEY,
                "when": [{"column": "Type", "contains": "variation"}],
                "attributes": {"parent": "Parent", **_TEXTS, **_LISTS, "*": "*"},
                "exclude": ["Categories"],
                "missing_columns": "ignore",
            },
            {
                "entity": "category",
                "path": {"from": "Categories", "separator": ">", "multiple": ","},
                "missing_columns": "ignore",
            },
        ],
    },
)
