"""The presets, on small files with the habits of real exports: fewer columns, more columns, blanks, other spellings."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest

from shared.feeds import FeedDefinition, describe_presets, preset_definition, preset_names, resolve
from tests.support.feeds import Prepared, prepare_content


def table(*rows: dict[str, str]) -> str:
    written = io.StringIO(newline="")
    columns = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(written, columns)
    writer.writeheader()
    writer.writerows(rows)
    return written.getvalue()


def read(preset: str, content: str, **layout: Any) -> Prepared:
    return prepare_content(content, {"preset": preset} | ({"format": layout} if layout else {}))


def test_presets_are_described_and_given_in_full() -> None:
    described = {preset.name: preset for preset in describe_presets()}
    assert list(described) == preset_names()
    for name, preset in described.items():
        definition = preset_definition(name)
        resolved = resolve(FeedDefinition.model_validate(definition))
        assert resolved.format.types == preset.formats
        assert {entity.entity for entity in resolved.entities} == set(preset.entities)
        assert resolve(FeedDefinition(preset=name)).entities == resolved.entities
        assert preset.description
    assert described["shopify"].entities == ("product", "variant", "category")
    assert described["google_merchant"].formats == ("xml", "csv", "xlsx")


# Shopify

TEE = {
    "Handle": "tee",
    "Title": "Tee",
    "Tags": "a, b",
    "Option1 Name": "Size",
    "Option1 Value": "S",
    "Variant Price": "5",
}


def test_shopify_products_span_their_rows() -> None:
    prepared = read(
        "shopify",
        table(
            TEE | {"Product Category": "Apparel > Tops", "Image Src": "1.jpg", "Image Alt Text": "front"},
            {"Handle": "tee", "Option1 Value": "M", "Variant Price": "6", "Variant SKU": "T-M"},
            {"Handle": "tee", "Image Src": "2.jpg"},
        ),
    )
    assert prepared.counts() == {"product": (1, 0, 0), "variant": (2, 0, 0), "category": (2, 0, 0)}
    assert prepared.of("product")["tee"] == {
        "handle": "tee",
        "title": "Tee",
        "tags": ["a", "b"],
        "option1_name": "Size",
        "images": [{"src": "1.jpg", "alt": "front"}, {"src": "2.jpg"}],
        "category": "Apparel > Tops",
    }
    assert prepared.of("variant") == {
        "tee|S": {"product": "tee", "option1": "S", "price": "5"},
        "tee|M": {"product": "tee", "option1": "M", "price": "6", "sku": "T-M"},
    }


def test_shopify_variants_of_several_options_and_of_none() -> None:
    prepared = read(
        "shopify",
        table(
            {"Handle": "a", "Option1 Value": "S", "Option2 Value": "Red", "Option3 Value": "X|Y"},
            {"Handle": "b", "Option1 Value": "", "Option2 Value": "", "Variant Price": "5"},
            {"Handle": "c", "Option1 Value": "Default Title"},
        ),
    )
    assert list(prepared.of("variant")) == ["a|S|Red|X\\|Y", "b", "c|Default Title"]


def test_shopify_type_is_the_category_only_of_a_file_without_product_category() -> None:
    old = table(TEE | {"Type": "Shirts > Short"}, {"Handle": "cap", "Type": "Hats"}, {"Handle": "bag", "Type": ""})
    assert list(read("shopify", old).of("category")) == ["Shirts \\> Short", "Hats"]
    assert read("shopify", old).of("product")["cap"]["category"] == "Hats"
    new = table(TEE | {"Type": "Shirts", "Product Category": ""}, {"Handle": "cap", "Product Category": "Hats"})
    assert list(read("shopify", new).of("category")) == ["Hats"]


def test_shopify_newer_template() -> None:
    prepared = read(
        "shopify",
        table(
            {
                "Title": "Tee",
                "URL handle": "tee",
                "Description": "<p>x</p>",
                "Product category": "Apparel",
                "SKU": "T-S",
                "Option1 name": "Size",
                "Option1 value": "S",
                "Price": "5",
                "Product image URL": "1.jpg",
                "Color (product.metafields.shopify.color-pattern)": "red",
            }
        ),
    )
    assert prepared.counts() == {"product": (1, 0, 0), "variant": (1, 0, 0), "category": (1, 0, 0)}
    assert prepared.of("product")["tee"] == {
        "handle": "tee",
        "title": "Tee",
        "body_html": "<p>x</p>",
        "option1_name": "Size",
        "images": [{"src": "1.jpg"}],
        "category": "Apparel",
        "Color (product.metafields.shopify.color-pattern)": "red",
    }
    assert prepared.of("variant")["tee|S"]["sku"] == "T-S"


def test_shopify_maps_only_what_the_file_has() -> None:
    prices = read("shopify", table({"Handle": "tee", "Option1 Value": "S", "Variant Price": "7"}))
    assert prices.feed.mapped == {
        "product": ("handle",),
        "variant": ("option1", "price", "product"),
        "category": (),
    }


def test_shopify_without_handle_is_rejected_row_by_row() -> None:
    prepared = read("shopify", table(TEE, {"Title": "No handle", "Option1 Value": "S"}))
    assert prepared.counts() == {"product": (1, 0, 1), "variant": (1, 0, 0), "category": (0, 0, 0)}


# WooCommerce


def test_woocommerce_products_and_variations() -> None:
    prepared = read(
        "woocommerce",
        table(
            {"ID": "1", "Type": "variable", "SKU": "tee", "Categories": "A > B, C\\, D", "Images": "1.jpg, 2.jpg"},
            {"ID": "2", "Type": "variation, virtual", "SKU": "tee-s", "Parent": "tee", "Meta: x": "y"},
            {"ID": "3", "Type": "simple, downloadable, virtual", "SKU": "", "Tags": "new"},
            {"ID": "4", "Type": "variation", "SKU": "", "Parent": "id:3"},
        ),
    )
    assert prepared.of("product") == {
        "tee": {
            "id": "1",
            "type": "variable",
            "sku": "tee",
            "images": ["1.jpg", "2.jpg"],
            "categories": ["A > B", "C, D"],
        },
        "id:3": {"id": "3", "type": "simple, downloadable, virtual", "tags": ["new"]},
    }
    assert prepared.of("variant") == {
        "tee-s": {"id": "2", "type": "variation, virtual", "sku": "tee-s", "parent": "tee", "Meta: x": "y"},
        "id:4": {"id": "4", "type": "variation", "parent": "id:3"},
    }
    assert list(prepared.of("category")) == ["A", "A > B", "C, D"]


def test_woocommerce_with_few_columns() -> None:
    prepared = read("woocommerce", table({"SKU": "a", "Regular price": "5"}))
    assert prepared.of("product") == {"a": {"sku": "a", "regular_price": "5"}}
    assert prepared.feed.mapped["product"] == ("regular_price", "sku")


# Google Merchant

RSS = """<rss version="2.0" xmlns:g="http://base.google.com/ns/1.0"><channel><title>Shop</title>{}</channel></rss>"""
ATOM = (
    """<feed xmlns="http://www.w3.org/2005/Atom" xmlns:g="http://base.google.com/ns/1.0"><title>Shop</title>{}</feed>"""
)
ITEM = "<{0}><g:id>1</g:id><title>Lamp</title><g:price>5 EUR</g:price><g:product_type>A &gt; B</g:product_type></{0}>"
LAMP = {"id": "1", "title": "Lamp", "price": "5 EUR", "product_type": "A > B", "category": ["A > B"]}


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(RSS.format(ITEM.format("item")), id="rss"),
        pytest.param(ATOM.format(ITEM.format("entry")), id="atom"),
        pytest.param("id\ttitle\tprice\tproduct_type\n1\tLamp\t5 EUR\tA > B\n", id="tsv"),
        pytest.param("ID,Title,g:price,product type\n1,Lamp,5 EUR,A > B\n", id="csv, spelled otherwise"),
    ],
)
def test_google_merchant_in_every_form(content: str) -> None:
    prepared = read("google_merchant", content)
    assert prepared.of("product") == {"1": LAMP}
    assert list(prepared.of("category")) == ["A", "A > B"]


def test_google_merchant_owns_its_specification_in_xml_and_the_header_in_tables() -> None:
    xml = read("google_merchant", RSS.format(ITEM.format("item"))).feed.mapped["product"]
    assert {"sale_price", "category", "title"} <= set(xml)
    assert read("google_merchant", "id,title\n1,x\n").feed.mapped["product"] == ("id", "title")


def test_google_merchant_prefers_its_own_names_and_the_shops_own_category() -> None:
    entry = (
        "<entry><id>https://shop/1</id><g:id>1</g:id><title>plain</title><g:title>own</g:title>"
        '<link href="https://shop/1"/><g:link>https://shop/lamp</g:link>'
        "<g:google_product_category>1604</g:google_product_category></entry>"
        "<entry><g:id>2</g:id><g:google_product_category>X &gt; Y</g:google_product_category>"
        "<g:product_type>P</g:product_type><g:product_type>Q &gt; R</g:product_type>"
        "<g:shipping><g:country>DE</g:country></g:shipping><g:shipping><g:country>FR</g:country></g:shipping></entry>"
    )
    prepared = read("google_merchant", ATOM.format(entry))
    one, two = prepared.of("product")["1"], prepared.of("product")["2"]
    assert (one["title"], one["link"], one["category"]) == ("own", "https://shop/lamp", ["1604"])
    assert two["category"] == ["P", "Q > R"]
    assert two["shipping"] == [{"country": "DE"}, {"country": "FR"}]
    assert list(prepared.of("category")) == ["1604", "P", "Q", "Q > R"]


def test_google_merchant_without_items() -> None:
    assert read("google_merchant", RSS.format("")).feed.rows_read == 0
    assert read("google_merchant", ATOM.format("")).feed.rows_read == 0


# Akeneo


@pytest.mark.parametrize("key", ["sku", "identifier", "uuid"])
def test_akeneo_by_whichever_key_it_has(key: str) -> None:
    prepared = read("akeneo", f"{key};categories;family;name-en_US\nx;a,b;lamps;\ny;b;;Lamp\n")
    assert prepared.of("product")["x"] == {key: "x", "categories": ["a", "b"], "family": "lamps"}
    assert prepared.of("category") == {"a": {"code": "a"}, "b": {"code": "b"}}


# Magento


def test_magento_store_views_do_not_override_their_products() -> None:
    prepared = read(
        "magento",
        table(
            {"sku": "x", "store_view_code": "", "name": "Lamp", "categories": "Root/A,Root/B\\/C", "price": "5"},
            {"sku": "x", "store_view_code": "de", "name": "Lampe", "categories": "", "price": ""},
        ),
    )
    assert prepared.of("product") == {
        "x": {"sku": "x", "name": "Lamp", "price": "5", "categories": ["Root > A", "Root > B/C"]}
    }
    assert prepared.of("store_view") == {"x|de": {"product": "x", "store_view_code": "de", "name": "Lampe"}}
    assert list(prepared.of("category")) == ["Root", "Root > A", "Root > B/C"]
    assert prepared.feed.duplicates == 0


def test_magento_with_few_columns() -> None:
    prepared = read("magento", "sku,qty\nx,5\n")
    assert prepared.of("product") == {"x": {"sku": "x", "qty": "5"}}
    assert prepared.feed.mapped["product"] == ("qty", "sku")
