"""Shopify: product CSVs, as exported ("Handle, Title, Body (HTML), …") and by the newer template ("URL handle, …")."""

from __future__ import annotations

from shared.feeds.presets.preset import Preset

# The newer template's names, for columns that mean the same.
_RENAMED = {
    "URL handle": "Handle",
    "Description": "Body (HTML)",
    "Product category": "Product Category",
    "Published on online store": "Published",
    **{f"Option{number} name": f"Option{number} Name" for number in (1, 2, 3)},
    **{f"Option{number} value": f"Option{number} Value" for number in (1, 2, 3)},
    "SKU": "Variant SKU",
    "Barcode": "Variant Barcode",
    "Price": "Variant Price",
    "Compare-at price": "Variant Compare At Price",
    "Charge tax": "Variant Taxable",
    "Tax code": "Variant Tax Code",
    "Inventory tracker": "Variant Inventory Tracker",
    "Inventory quantity": "Variant Inventory Qty",
    "Continue selling when out of stock": "Variant Inventory Policy",
    "Weight value (grams)": "Variant Grams",
    "Weight unit for display": "Variant Weight Unit",
    "Requires shipping": "Variant Requires Shipping",
    "Fulfillment service": "Variant Fulfillment Service",
    "Variant image URL": "Variant Image",
    "Product image URL": "Image Src",
    "Image position": "Image Position",
    "Image alt text": "Image Alt Text",
    "Gift card": "Gift Card",
    "SEO title": "SEO Title",
    "SEO description": "SEO Description",
}

_OF_VARIANTS = [
    "Variant *",
    "Cost per item",
    "Unit price *",
    "Price / *",
    "Compare At Price / *",
    "Option? Linked To",
]

PRESET = Preset(
    description=(
        "Shopify product CSV: products by handle, variants by handle and option values, and the nodes of Product "
        "Category (of Type, where the file has no such column)."
    ),
    definition={
        "format": {"type": ["csv", "xlsx"], "rename": _RENAMED},
        "entities": [
            {
                "entity": "product",
                "key": "Handle",
                # A product goes on over as many rows as it has variants and images.
                "spans_rows": True,
                "attributes": {
                    "handle": "Handle",
                    "title": "Title",
                    "body_html": "Body (HTML)",
                    "vendor": "Vendor",
                    "type": "Type",
                    "tags": {"from": "Tags", "type": "list", "separator": ","},
                    "published": "Published",
                    "status": "Status",
                    "gift_card": "Gift Card",
                    "seo_title": "SEO Title",
                    "seo_description": "SEO Description",
                    "images": {
                        "fields": {"src": "Image Src", "position": "Image Position", "alt": "Image Alt Text"},
                        "collect": True,
                    },
                    **{f"option{number}_name": f"Option{number} Name" for number in (1, 2, 3)},
                    "category": {"keys_of": "category"},
                    "*": "*",
                },
                "exclude": ["Product Category", "Option? Value", *_OF_VARIANTS],
                "missing_columns": "ignore",
            },
            {
                "entity": "variant",
                # As the shop itself matches it: SKUs may be missing or shared.
                "key": {
                    "columns": ["Handle", "Option1 Value", "Option2 Value", "Option3 Value"],
                    "optional": ["Option1 Value", "Option2 Value", "Option3 Value"],
                },
                # A row of images only has none of them.
                "when": [{"column": ["Option1 Value", "Variant SKU", "Variant Price"], "present": True}],
                "attributes": {
                    "product": "Handle",
                    "option1": "Option1 Value",
                    "option2": "Option2 Value",
                    "option3": "Option3 Value",
                    "sku": "Variant SKU",
                    "barcode": "Variant Barcode",
                    "price": "Variant Price",
                    "compare_at_price": "Variant Compare At Price",
                    "inventory_quantity": "Variant Inventory Qty",
                    "inventory_policy": "Variant Inventory Policy",
                    "inventory_tracker": "Variant Inventory Tracker",
                    "fulfillment_service": "Variant Fulfillment Service",
                    "requires_shipping": "Variant Requires Shipping",
                    "taxable": "Variant Taxable",
                    "tax_code": "Variant Tax Code",
                    "grams": "Variant Grams",
                    "weight_unit": "Variant Weight Unit",
                    "image": "Variant Image",
                    "cost_per_item": "Cost per item",
                    "*": "*",
                },
                "include": _OF_VARIANTS,
                "missing_columns": "ignore",
            },
            {
                "entity": "category",
                "path": {"from": "Product Category", "separator": ">"},
                "missing_columns": "ignore",
            },
            {
                "entity": "category",
                "when": [{"column": "Product Category", "in_file": False}],
                "path": {"from": "Type", "separator": None},
                "missing_columns": "ignore",
            },
        ],
    },
)
