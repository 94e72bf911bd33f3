"""JSON, JSON Lines, XML and XLSX: what their items become."""

from __future__ import annotations

import datetime as dt
import io
import json
import re
from decimal import Decimal
from typing import Any
from xml.sax.saxutils import escape

import openpyxl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.feeds.json_values import canonical, tidy_item
from shared.feeds.readers.half_characters import MarkingHalves
from tests.support.feeds import Prepared, prepare_content


def read(content: str | bytes, kind: str, key: Any = "id", **layout: Any) -> Prepared:
    definition = {"format": {"type": kind, **layout}, "entities": [{"entity": "product", "key": key}]}
    return prepare_content(content, definition)


def items(content: str | bytes, kind: str, key: Any = "id", **layout: Any) -> dict[str, dict[str, Any]]:
    return read(content, kind, key, **layout).of("product")


# JSON and JSON Lines


@pytest.mark.parametrize("kind", ["json", "jsonl"])
def test_items_keep_their_values_exactly(kind: str) -> None:
    item = (
        '{"id": 7, "price": 19.90, "big": 12345678901234567890123456789012345678, "flag": true, "none": null,'
        ' "blank": " ", "text": " kept ", "list": [1, null, "x", []], "map": {"a": null, "b": {"c": 0.1}}, "empty": {}}'
    )
    content = f"[{item}]" if kind == "json" else item
    assert items(content, kind) == {
        "7": {
            "id": 7,
            "price": Decimal("19.90"),
            "big": 12345678901234567890123456789012345678,
            "flag": True,
            "text": " kept ",
            "list": [1, None, "x", []],
            "map": {"b": {"c": Decimal("0.1")}},
            "empty": {},
        }
    }


@pytest.mark.parametrize(
    ("content", "path"),
    [
        ('[{"id": 1}, {"id": 2}]', None),
        ('{"meta": {"n": [1, 2]}, "products": [{"id": 1}, {"id": 2}], "more": [3]}', "products"),
        ('{"data": {"items": [{"id": 1}, {"id": 2}]}}', "data.items"),
        ('{"pages": [{"items": [{"id": 1}]}, {"items": [{"id": 2}]}]}', "pages.items"),
        ('{"a": [{"id": 1}], "b": [{"id": 2}]}', ["a", "b"]),
    ],
)
def test_items_are_found_where_the_path_leads(content: str, path: Any) -> None:
    prepared = read(content, "json", **({"items": path} if path else {}))
    assert [(key, row) for _, key, _, row in prepared.records] == [("1", 1), ("2", 2)]


def test_an_empty_array_is_an_empty_list() -> None:
    assert read("[]", "json").feed.rows_read == 0
    assert read('{"products": []}', "json", items="products").feed.rows_read == 0


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "windows-1252"])
def test_json_of_other_encodings(encoding: str) -> None:
    content = '[{"id": "é"}]'.encode(encoding)
    assert list(items(content, "json", **({"encoding": encoding} if encoding == "windows-1252" else {}))) == ["é"]


REJECTED_ITEMS = {
    "a number": ("5", "expected an object"),
    "a list": ("[1]", "expected an object"),
    "too many digits": ('{"id": 1, "n": 123456789012345678901234567890123456789}', "'n' holds a number of 39 digits"),
    "too small": ('{"id": 1, "n": 1e-131}', "beyond the range"),
    "too large": ('{"id": 1, "deep": {"n": 1e126}}', "'deep' holds a number beyond the range"),
    "a name that is blank": ('{"id": 1, "": 2}', "an attribute has no name"),
    "a name inside that is blank": ('{"id": 1, "a": {" ": 2}}', "'a' holds an attribute without a name"),
    "a long name": ('{"id": 1, "' + "n" * 1_025 + '": 2}', "an attribute has a name of 1,025 characters"),
    "a long name inside": (
        '{"id": 1, "a": [{"' + "n" * 70_000 + '": 2}]}',
        "'a' holds an attribute with a name of 70,000",
    ),
    "half of a pair": ('{"id": 1, "t": "x \\ud83d y"}', "half of a surrogate pair"),
    "the other half": ('{"id": 1, "t": ["\\udE00"]}', "half of a surrogate pair"),
    "half of a pair in a name": ('{"id": 1, "\\ud83d": 1, "\\ud83c": 2}', "half of a surrogate pair"),
    "half of a pair in a key": ('{"id": "\\ud83d"}', "half of a surrogate pair"),
    "too deep": ('{"id": 1, "a": ' + "[" * 30 + "]" * 30 + "}", "nested"),
    "no key": ('{"name": "x"}', "no key: id is blank"),
    "a key that is a list": ('{"id": [1]}', "no key: id holds '[1]'"),
    "a long key": ('{"id": "' + "é" * 451 + '"}', "the key takes 902 bytes, at most 900"),
}


@pytest.mark.parametrize("kind", ["json", "jsonl"])
@pytest.mark.parametrize(("item", "reason"), REJECTED_ITEMS.values(), ids=REJECTED_ITEMS.keys())
def test_an_item_that_cannot_be_kept_is_rejected_and_the_others_go_on(kind: str, item: str, reason: str) -> None:
    rows = ['{"id": "a"}', item, '{"id": "b"}']
    prepared = read("[" + ",".join(rows) + "]" if kind == "json" else "\n".join(rows), kind)
    assert list(prepared.of("product")) == ["a", "b"]
    [rejection] = prepared.rejections
    assert rejection["row"] == 2
    assert rejection["entity"] == "product"
    assert reason in rejection["reason"]
    assert prepared.counts() == {"product": (2, 0, 1)}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("oops", "expected JSON: Expecting value at character 1 ('oops')"),
        ('{"id": 1', "expected JSON: Expecting ',' delimiter"),
        ('{"id": 1, "n": NaN}', "NaN is not a number that can be kept"),
        ('{"id": 1, "n": -Infinity}', "-Infinity is not a number"),
        ('{"id": 1, "n": 1e99999999999999999999}', "a number has an exponent beyond all range"),
        ('{"id": 1, "t": "\\u0041", "n": ' + "[" * 950 + "]" * 950 + "}", "nested"),
        ('{"id": ' + "1" * 5000 + "}", "expected JSON that can be read"),
        ('{"id": ' + "1" * 5000 + "}", "a whole number has more than 4,300 digits"),
        ("[" * 100_000, "expected JSON that can be read: it is nested too deeply"),
    ],
)
def test_a_line_that_is_no_json_is_rejected_by_itself(line: str, reason: str) -> None:
    prepared = read('{"id": "a"}\n\n' + line + '\n{"id": "b"}\n', "jsonl")
    assert list(prepared.of("product")) == ["a", "b"]
    [rejection] = prepared.rejections
    assert rejection["row"] == 3
    assert reason in rejection["reason"]


def test_a_single_bad_line_is_a_rejection_even_if_it_is_the_first() -> None:
    prepared = read('{"id": \n{"id": "b"}\n', "jsonl")
    assert [rejection["row"] for rejection in prepared.rejections] == [1]
    assert list(prepared.of("product")) == ["b"]


def test_whole_pairs_and_what_looks_like_halves_are_kept() -> None:
    content = r'[{"id": "h\ud83d"}, {"id": "a", "t": "\ud83d\ude00"}, {"id": "b", "t": "\\ud83d \\\\\ud83d\udE00"}]'
    prepared = read(content, "json")
    assert prepared.of("product") == {"a": {"id": "a", "t": "😀"}, "b": {"id": "b", "t": "\\ud83d \\\\😀"}}
    assert [rejection["row"] for rejection in prepared.rejections] == [1]


@given(
    st.lists(st.sampled_from(["\ud83d", "\ude00", "😀", "\\", "u", "x", '"', "é", "\n"]), max_size=30),
    st.integers(1, 40),
)
def test_halves_are_marked_wherever_a_block_ends(texts: list[str], size: int) -> None:
    text = "".join(texts)
    document = json.dumps([text])
    marking = MarkingHalves(io.BytesIO(document.encode()))
    found = b"".join(iter(lambda: marking.read(size), b""))
    # Two halves that stand together are a pair: that is how JSON spells it.
    [read_by_python] = json.loads(document)
    halves = re.compile("[\ud800-\udfff]")
    assert json.loads(found) == [halves.sub("\ufdd0\uffff\ufdd1", read_by_python)]
    assert marking.found is bool(halves.search(read_by_python))


@pytest.mark.parametrize("zero", ["0e999999999", "0e99999999999999999", "-0e126", "0.0e-200", "0." + "0" * 200])
@pytest.mark.parametrize("kind", ["json", "jsonl", "csv"])
def test_a_zero_is_a_zero_whatever_its_exponent(kind: str, zero: str) -> None:
    if kind == "csv":
        attributes = {"n": {"from": "n", "type": "decimal"}}
        definition = {"format": {"type": "csv"}, "entities": [{"entity": "p", "key": "id", "attributes": attributes}]}
        found = prepare_content(f"id,n\n1,{zero}\n", definition).of("p")["1"]["n"]
    else:
        found = items(f'[{{"id": 1, "n": {zero}}}]' if kind == "json" else f'{{"id": 1, "n": {zero}}}', kind)["1"]["n"]
    assert str(found) == "0"


@pytest.mark.parametrize("kind", ["integer", "decimal", "json"])
@pytest.mark.parametrize("number", ["1e99999999999999999999", "1e400", "1" * 5_000])
def test_a_number_that_cannot_be_kept_rejects_its_row(kind: str, number: str) -> None:
    entity = {"entity": "product", "key": "id", "attributes": {"n": {"from": "n", "type": kind}}}
    prepared = prepare_content(f"id,n\n1,{number}\n2,3\n", {"format": {"type": "csv"}, "entities": [entity]})
    assert list(prepared.of("product")) == ["2"]
    [rejection] = prepared.rejections
    assert (rejection["row"], rejection["column"]) == (2, "n")
    assert "set_int_max" not in rejection["reason"]


def test_names_inside_the_json_of_a_cell_are_checked_too() -> None:
    entity = {"entity": "product", "key": "id", "attributes": {"n": {"from": "n", "type": "json"}}}
    content = 'id;n\n1;{"": 1}\n2;{"' + "n" * 2_000 + '": 1}\n3;{"m": 1}\n'
    prepared = prepare_content(content, {"format": {"type": "csv", "quote": None}, "entities": [entity]})
    assert prepared.of("product") == {"3": {"n": {"m": 1}}}
    assert len(prepared.rejections) == 2


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**37), 10**37) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abcé", min_size=1), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=40)
@given(st.lists(st.dictionaries(st.text("xyzü", min_size=1, max_size=5), json_values, max_size=5), max_size=5))
def test_a_document_and_its_lines_are_the_same_items(rows: list[dict[str, Any]]) -> None:
    rows = [{**row, "id": f"k{number}"} for number, row in enumerate(rows)]
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    document = read("[" + ", ".join(lines) + "]", "json")
    assert document.of("product") == {row["id"]: tidy_item(row) for row in rows}
    if rows:
        assert read("\n".join(lines), "jsonl").records == document.records


def test_a_key_of_the_whole_row_knows_equal_rows() -> None:
    content = '[{"a": 1.50, "b": "x"}, {"b": "x", "a": 1.5, "c": null}, {"a": 1.5, "b": "X"}]'
    prepared = read(content, "json", key="*")
    assert prepared.counts() == {"product": (2, 1, 0)}
    assert all(len(key) == 64 for key in prepared.of("product"))


@given(json_values, json_values)
def test_canonical_texts_are_equal_where_values_are(one: Any, other: Any) -> None:
    # Python holds True and 1 for equal; a catalogue does not.
    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (canonical(one) == canonical(other)) is same


# XML


def test_xml_items_become_values() -> None:
    content = """<?xml version="1.0"?>
    <shop:feed xmlns:shop="urn:shop" xmlns="urn:other"><shop:meta><shop:id>no</shop:id></shop:meta>
      <shop:product sku=" S1 " shop:kind="new">
        <id> 1 </id><name><![CDATA[ <b>A & B</b> ]]></name><price currency="EUR">5</price>
        <tag>x</tag><tag>y</tag><tag/><size><w>1</w><h>2</h></size><blank>  </blank><empty/>
        <text>a<br/>b &amp; c</text><!-- no --><title>t</title><shop:title>u</shop:title>
      </shop:product>
    </shop:feed>"""
    for path in ("product", "feed/product", "/feed/product"):
        assert items(content, "xml", items=path) == {
            "1": {
                "@sku": " S1 ",
                "@kind": "new",
                "id": "1",
                "name": "<b>A & B</b>",
                "price": {"@currency": "EUR", "#text": "5"},
                "tag": ["x", "y"],
                "size": {"w": "1", "h": "2"},
                "text": "ab & c",
                "title": "t",
                "shop:title": "u",
            }
        }


def test_xml_keys_and_columns_may_be_attributes_and_lie_deeper() -> None:
    content = "<f><p id='7'><price c='EUR'>5</price><o><k>a</k></o><o><k>b</k></o></p></f>"
    definition = {
        "format": {"type": "xml", "items": "p"},
        "entities": [
            {
                "entity": "product",
                "key": "@id",
                "attributes": {
                    "price": {"from": "price", "type": "decimal"},
                    "currency": "price.@c",
                    "first": "o.0.k",
                    "all": "o.k",
                    "none": {"from": ["o.9.k", "x.y"]},
                },
            }
        ],
    }
    assert prepare_content(content, definition).of("product") == {
        "7": {"price": Decimal(5), "currency": "EUR", "first": "a", "all": ["a", "b"]}
    }


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "iso-8859-1", "windows-1252", "shift_jis", "gbk"])
def test_xml_says_its_encoding_itself(encoding: str) -> None:
    name = "日本" if encoding in {"shift_jis", "gbk"} else "Müller"
    content = f'<?xml version="1.0" encoding="{encoding}"?><p><product><id>{name}</id></product></p>'
    assert list(items(content.encode(encoding), "xml", items="product")) == [name]


def test_an_encoding_that_is_stated_goes_before_the_documents_own() -> None:
    content = '<?xml version="1.0" encoding="utf-8"?><p><product><id>é</id></product></p>'.encode("cp1252")
    assert list(items(content, "xml", items="product", encoding="windows-1252")) == ["é"]


@pytest.mark.parametrize(
    ("content", "path"),
    [
        ("<products/>", "product"),
        ("<products></products>", "products/product"),
        ("<rss><channel><title>x</title></channel></rss>", "rss/channel/item"),
    ],
)
def test_a_document_whose_list_is_empty_is_an_empty_list(content: str, path: str) -> None:
    assert read(content, "xml", items=path).feed.rows_read == 0


def test_a_document_type_without_entities_is_harmless() -> None:
    kinds = '<!ENTITY % kind "(a|b)"><!ELEMENT p ANY>'
    for doctype in ('<!DOCTYPE p SYSTEM "p.dtd">', "<!DOCTYPE p>", f'<!DOCTYPE p PUBLIC "x" "p.dtd" [{kinds}]>'):
        assert list(items(f"{doctype}<p><product><id>1</id></product></p>", "xml", items="product")) == ["1"]


def test_an_xml_item_that_is_too_deep_is_rejected_and_one_within_an_item_is_a_value() -> None:
    deep = "<a>" * 31 + "</a>" * 31
    content = f"<f><i><id>1</id>{deep}</i><i><id>2</id><i><id>3</id></i></i></f>"
    prepared = read(content, "xml", items="i")
    assert prepared.of("product") == {"2": {"id": "2", "i": {"id": "3"}}}
    assert [rejection["row"] for rejection in prepared.rejections] == [1]


def test_attributes_that_only_the_document_type_gives_are_none_of_the_feeds() -> None:
    content = '<!DOCTYPE p [<!ATTLIST product kind CDATA "vvv">]><p><product><id>1</id></product></p>'
    assert items(content, "xml", items="product") == {"1": {"id": "1"}}


@pytest.mark.parametrize(
    ("inner", "reason"),
    [
        (f"<{'n' * 2_000}>1</{'n' * 2_000}>", "a name of 2,000 characters"),
        (f"<a><b {'n' * 70_000}='1'/></a>", "a name of 70,000 characters"),
        ("<x:>1</x:>", "'x:' is no name"),
        ("<a x:='1'/>", "'x:' is no name"),
    ],
)
def test_an_xml_name_that_cannot_be_kept_rejects_its_item(inner: str, reason: str) -> None:
    content = f"<p><product><id>1</id>{inner}</product><product><id>2</id></product></p>"
    prepared = read(content, "xml", items="product")
    assert list(prepared.of("product")) == ["2"]
    [rejection] = prepared.rejections
    assert rejection["row"] == 1
    assert reason in rejection["reason"]


xml_text = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"), max_size=20)


@settings(max_examples=40)
@given(st.lists(xml_text, max_size=6))
def test_any_text_comes_through_xml(texts: list[str]) -> None:
    rows = "".join(f"<product><id>{n}</id><t>{escape(text)}</t></product>" for n, text in enumerate(texts))
    found = items(f"<p>{rows}</p>", "xml", items="product", trim=False)
    for number, text in enumerate(texts):
        assert found[str(number)].get("t", "") == (text if text.strip() else "")


# XLSX


def workbook(*sheets: list[list[Any]]) -> bytes:
    book = openpyxl.Workbook()
    book.remove(book.worksheets[0])
    for number, rows in enumerate(sheets, start=1):
        sheet = book.create_sheet(f"Sheet {number}")
        for row in rows:
            sheet.append(row)
    written = io.BytesIO()
    book.save(written)
    return written.getvalue()


CELLS: list[list[Any]] = [
    ["sku", "price", "stock", "sold", "on", "at", "note", None],
    [1001, 0.1, 5.0, True, dt.date(2026, 11, 22), dt.datetime(2026, 11, 22, 8, 30), " x ", None],  # noqa: DTZ001 (cells have no zone)
    [None, None, None, None, None, None, " ", None],
    ["A2", 1e20, None, False, None, None, "y", None],
]


def test_cells_of_a_sheet_keep_their_kinds() -> None:
    prepared = read(workbook(CELLS), "xlsx", key="sku")
    assert prepared.of("product") == {
        "1001": {
            "sku": 1001,
            "price": Decimal("0.1"),
            "stock": 5,
            "sold": True,
            "on": "2026-11-22",
            "at": "2026-11-22T08:30:00",
            "note": "x",
        },
        "A2": {"sku": "A2", "price": Decimal("1e20"), "sold": False, "note": "y"},
    }
    assert [row for *_, row in prepared.records] == [2, 4]
    assert prepared.feed.mapped["product"] == ("at", "note", "on", "price", "sku", "sold", "stock")


def test_a_sheet_by_name_or_number_with_or_without_header() -> None:
    content = workbook([["x"]], [["A1", "n"], ["A2", "m", "surplus"]])
    for sheet in ("Sheet 2", 2):
        prepared = read(content, "xlsx", key="1", sheet=sheet, header=False)
        assert prepared.of("product") == {"A1": {"1": "A1", "2": "n"}}
        [rejection] = prepared.rejections
        assert "beyond the header's 2 columns: 'surplus'" in rejection["reason"]
    assert items(content, "xlsx", key="sku", sheet=2, header=["sku", "name", "more"])["A2"]["more"] == "surplus"


def test_presets_read_workbooks_too() -> None:
    content = workbook([["sku", "categories", "name"], [7, "a,b", "x"]])
    assert prepare_content(content, {"preset": "akeneo"}).counts() == {"product": (1, 0, 0), "category": (2, 0, 0)}
