"""Google Merchant Center: product feeds as RSS 2.0, Atom, TSV, CSV or XLSX."""

from __future__ import annotations

from shared.feeds.presets.preset import Preset

# The Merchant product data specification: https://support.google.com/merchants/answer/7052112
# An XML feed has no header, so these are what it owns even in a file where no item has them.
_SPECIFICATION = """
    id title description structured_title structured_description short_title link mobile_link canonical_link
    image_link additional_image_link lifestyle_image_link virtual_model_link video_link availability availability_date
    cost_of_goods_sold expiration_date price sale_price sale_price_effective_date auto_pricing_min_price
    maximum_retail_price unit_pricing_measure unit_pricing_base_measure installment subscription_cost loyalty_points
    loyalty_program google_product_category product_type brand gtin mpn identifier_exists condition adult multipack
    is_bundle certification energy_efficiency_class min_energy_efficiency_class max_energy_efficiency_class age_group
    color gender material pattern size size_type size_system item_group_id product_length product_width product_height
    product_weight product_detail product_highlight ads_redirect ads_grouping ads_labels custom_label_0 custom_label_1
    custom_label_2 custom_label_3 custom_label_4 promotion_id excluded_destination included_destination
    shopping_ads_excluded_country pause shipping carrier_shipping shipping_label shipping_weight shipping_length
    shipping_width shipping_height ships_from_country max_handling_time min_handling_time transit_time_label
    shipping_handling_business_days shipping_transit_business_days free_shipping_threshold minimum_order_value tax
    tax_category external_seller_id quantity sell_on_google_quantity
""".split()

PRESET = Preset(
    description="Google Merchant product feed (RSS 2.0, Atom, TSV, CSV or XLSX): products by id, and category nodes.",
    definition={
        "format": {"type": ["xml", "csv", "xlsx"], "items": ["item", "entry"], "column_names": "snake_case"},
        "entities": [
            {
                "entity": "product",
                # An Atom entry has an id, title and link of its own beside Google's: Google's are meant.
                "key": {"first_of": ["g:id", "id"]},
                "attributes": {
                    "id": {"from": ["g:id", "id"]},
                    "title": {"from": ["g:title", "title"]},
                    "description": {"from": ["g:description", "description", "summary"]},
                    "link": {"from": ["g:link", "link"]},
                    "category": {"keys_of": "category"},
                    "*": "*",
                },
                "owns": _SPECIFICATION,
                "missing_columns": "ignore",
            },
            {
                "entity": "category",
                # A repeated product_type is several paths. Names hold commas, so a cell is always one path.
                "path": {
                    "from": ["product_type", "google_product_category"],
                    "separator": ">",
                    "list_holds": "paths",
                },
                "missing_columns": "ignore",
            },
        ],
    },
)
