"""Magento 2 and Adobe Commerce: product exports (CSV)."""

from __future__ import annotations

from shared.feeds.presets.preset import Preset

PRESET = Preset(
    description=(
        "Magento 2 / Adobe Commerce product export (CSV): products by SKU, category nodes, and what store views say "
        "otherwise."
    ),
    definition={
        "format": {"type": ["csv", "xlsx"]},
        "entities": [
            {
                "entity": "product",
                "key": "sku",
                # A row with a store view holds that view's texts only: it is no product, and overrides none.
                "when": [{"column": "store_view_code", "present": False}],
                "attributes": {
                    "categories": {"keys_of": "category"},
                    "additional_images": {"from": "additional_images", "type": "list", "separator": ","},
                    "*": "*",
                },
                "missing_columns": "ignore",
            },
            {
                "entity": "store_view",
                "key": ["sku", "store_view_code"],
                "when": [{"column": "store_view_code", "present": True}],
                "attributes": {"product": "sku", "*": "*"},
                "missing_columns": "ignore",
            },
            {
                "entity": "category",
                "path": {"from": "categories", "separator": "/", "multiple": ","},
                "missing_columns": "ignore",
            },
        ],
    },
)
