"""Akeneo PIM: product exports (CSV or XLSX)."""

from __future__ import annotations

from shared.feeds.presets.preset import Preset

PRESET = Preset(
    description="Akeneo product export (CSV or XLSX): products by SKU, identifier or UUID, and category codes.",
    definition={
        "format": {"type": ["csv", "xlsx"]},
        "entities": [
            {
                "entity": "product",
                # Exports of newer versions have a uuid, and may have no sku at all.
                "key": {"first_of": ["sku", "identifier", "uuid"]},
                "attributes": {"categories": {"keys_of": "category"}, "*": "*"},
            },
            {
                "entity": "category",
                "codes": {"from": "categories", "separator": ","},
                "missing_columns": "ignore",
            },
        ],
    },
)
