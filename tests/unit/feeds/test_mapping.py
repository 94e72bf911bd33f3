"""Mapping: keys, attributes and their types, conditions, nodes; and rows that cannot be mapped."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.feeds.nodes import path_key, path_nodes, split_paths
from shared.feeds.row_keys import join_key
from tests.support.feeds import Prepared, prepare_content


def read(content: str, *entities: dict[str, Any], **layout: Any) -> Prepared:
    return prepare_content(content, {"format": {"type": "csv", **layout}, "entities": list(entities)})


def product(key: Any = "sku", **rest: Any) -> dict[str, Any]:
    return {"entity": "product", "key": key, **rest}


# Keys


@pytest.mark.parametrize(
    ("key", "row", "expected"),
    [
        ("sku", "A1,,", "A1"),
        (["sku", "size"], "A1,L,", "A1|L"),
        (["sku", "size"], "A|1,L\\,", "A\\|1|L\\\\"),
        ({"columns": ["sku", "size"], "separator": "/"}, "A/1,L,", "A\\/1/L"),
        ({"columns": ["sku", "size", "id"], "optional": ["size", "id"]}, "A1,,", "A1"),
        ({"columns": ["sku", "size", "id"], "optional": ["size", "id"]}, "A1,,7", "A1||7"),
        ({"columns": ["sku", "colour"], "optional": ["colour"]}, "A1,,", "A1"),
        ({"first_of": ["sku", "id"]}, ",,7", "7"),
        ({"first_of": ["sku", {"column": "id", "prefix": "id:"}]}, ",,7", "id:7"),
        ({"first_of": ["ean", "id"]}, ",,7", "7"),
        ({"first_of": ["sku", {"columns": ["size", "id"]}]}, ",L,7", "L|7"),
    ],
)
def test_keys(key: Any, row: str, expected: str) -> None:
    prepared = read(f"sku,size,id\n{row}\n", product(key))
    assert list(prepared.of("product")) == [expected]


@pytest.mark.parametrize(
    ("key", "reason", "column"),
    [
        ("sku", "no key: sku is blank", "sku"),
        (["id", "sku"], "no key: id + sku is blank", "id"),
        ({"first_of": ["sku", {"columns": ["sku", "id"]}]}, "no key: sku or sku + id is blank", "sku"),
    ],
)
def test_a_row_without_key_is_rejected_whole(key: Any, reason: str, column: str) -> None:
    category = {"entity": "category", "path": {"from": "path"}}
    prepared = read("sku,id,path\n ,7,A > B\nx,8,C\n", product(key), category)
    assert prepared.rejections == [
        {"row": 2, "column": column, "entity": "product", "key": None, "reason": reason},
    ]
    assert list(prepared.of("category")) == ["C"], "a rejected row yields nothing at all"
    assert prepared.counts() == {"product": (1, 0, 1), "category": (1, 0, 0)}


def test_nodes_of_a_rejected_row_come_with_the_next_row_that_names_them() -> None:
    category = {"entity": "category", "path": {"from": "path"}}
    prepared = read("sku,path\n,A\nx,A\ny,A\n", product(), category)
    assert [(entity, row) for entity, _, _, row in prepared.records] == [
        ("category", 3),
        ("product", 3),
        ("product", 4),
    ]


parts = st.lists(st.text("ab|\\", max_size=4), min_size=3, max_size=3)


@given(parts, parts)
def test_joined_keys_are_equal_only_where_their_parts_are(one: list[str], other: list[str]) -> None:
    assert (join_key(one, "|") == join_key(other, "|")) is (one == other)


# Attributes


TYPES = [
    ("decimal", {}, "12.50", Decimal("12.50")),
    ("decimal", {}, "-1,234,567.8", Decimal("-1234567.8")),
    ("decimal", {}, "1 234.5", Decimal("1234.5")),
    ("decimal", {"decimal_mark": ","}, "44,38", Decimal("44.38")),
    ("decimal", {"decimal_mark": ","}, "1.165,33", Decimal("1165.33")),
    ("decimal", {"decimal_mark": ","}, "1.165", Decimal(1165)),
    ("decimal", {"decimal_mark": ","}, "1\u202f165,5", Decimal("1165.5")),
    ("decimal", {}, "1e3", Decimal(1000)),
    ("integer", {}, "42", 42),
    ("integer", {}, "42.0", 42),
    ("integer", {}, "1,000", 1000),
    ("boolean", {}, "Yes", True),
    ("boolean", {}, "0", False),
    ("text", {}, "007", "007"),
    ("list", {}, "a, b,,c\\,d", ["a", "b", "c,d"]),
    ("list", {"separator": "|"}, "a|b", ["a", "b"]),
    ("json", {}, '{"a": [1, 0.5, null]}', {"a": [1, Decimal("0.5"), None]}),
]


@pytest.mark.parametrize(("kind", "options", "text", "expected"), TYPES)
def test_types(kind: str, options: dict[str, str], text: str, expected: Any) -> None:
    quoted = '"' + text.replace('"', '""') + '"'
    attributes = {"v": {"from": "v", "type": kind, **options}}
    found = read(f"sku,v\nA,{quoted}\nB,\n", product(attributes=attributes)).of("product")
    assert found == {"A": {"v": expected}, "B": {}}
    # A whole Decimal is written as a whole number.
    assert isinstance(found["A"]["v"], (int, Decimal) if kind == "decimal" else type(expected))


@pytest.mark.parametrize(
    ("kind", "options", "text", "reason"),
    [
        ("decimal", {}, "12.50 EUR", "v: expected a number, found '12.50 EUR'"),
        ("decimal", {}, "44,38", "v: expected a number, found '44,38'"),
        ("decimal", {"decimal_mark": ","}, "44.38", "v: expected a number with a decimal comma, found '44.38'"),
        ("decimal", {"decimal_mark": ","}, "1,165,33", "v: expected a number with a decimal comma, found '1,165,33'"),
        ("decimal", {}, "NaN", "v: expected a number, found 'NaN' (NaN is not a number that can be kept)"),
        ("decimal", {}, "1_000", "v: expected a number, found '1_000'"),
        ("decimal", {}, "1" * 39, "at most 38 can be kept exactly"),
        ("integer", {}, "4.5", "v: expected a whole number, found '4.5'"),
        ("boolean", {}, "maybe", "v: expected true or false (or yes, no, 1, 0), found 'maybe'"),
        ("json", {}, "{", "v: expected JSON:"),
        ("json", {}, "[" * 40 + "]" * 40, "v: is nested too deeply"),
    ],
)
def test_a_value_that_is_not_of_its_type_rejects_its_row(
    kind: str, options: dict[str, str], text: str, reason: str
) -> None:
    attributes = {"v": {"from": "w", "type": kind, **options}}
    prepared = read(f'sku,w\nA,"{text}"\nB,\n', product(attributes=attributes))
    assert list(prepared.of("product")) == ["B"]
    [rejection] = prepared.rejections
    assert (rejection["row"], rejection["column"], rejection["key"]) == (2, "w", "A")
    assert reason in rejection["reason"]


def test_attributes_are_chosen_named_and_filled() -> None:
    attributes = {
        "name": {"from": ["title", "name"]},
        "currency": {"default": "EUR"},
        "stock": {"from": "stock", "type": "integer", "default": 0},
        "size": {"fields": {"width": "w", "height": "h"}},
        "gone": {"from": "missing", "optional": True},
        "*": "*",
    }
    prepared = read(
        "sku,title,name,stock,w,h,Meta: a,Meta: b,x\nA,,n,3,1,2,3,4,5\nB,t,n,,,2,,,\n",
        product(attributes=attributes, exclude=["Meta: *"]),
    )
    assert prepared.of("product") == {
        "A": {"sku": "A", "name": "n", "currency": "EUR", "stock": 3, "size": {"width": "1", "height": "2"}, "x": "5"},
        "B": {"sku": "B", "name": "t", "currency": "EUR", "stock": 0},
    }
    assert prepared.feed.mapped == {"product": ("currency", "name", "size", "sku", "stock", "x")}


def test_only_what_include_names_is_taken() -> None:
    prepared = read("sku,a1,a2,b\nS,1,2,3\n", product(include=["a*"]))
    assert prepared.of("product") == {"S": {"a1": "1", "a2": "2"}}
    assert prepared.feed.mapped == {"product": ("a1", "a2")}


def test_documents_map_the_names_that_their_items_have_and_those_that_the_feed_owns() -> None:
    definition = {
        "format": {"type": "json"},
        "entities": [
            {
                "entity": "product",
                "key": "id",
                "attributes": {"label": {"from": "x.name"}, "*": "*"},
                "exclude": ["_*"],
                "owns": ["sale"],
            }
        ],
    }
    content = '[{"id": 1, "_v": 3, "a": 1}, {"id": 2, "b": 1, "x": {"name": "n"}}]'
    prepared = prepare_content(content, definition)
    assert prepared.of("product") == {"1": {"id": 1, "a": 1}, "2": {"id": 2, "b": 1, "x": {"name": "n"}, "label": "n"}}
    assert prepared.feed.mapped == {"product": ("a", "b", "id", "label", "sale", "x")}


# Conditions


@pytest.mark.parametrize(
    ("condition", "keys"),
    [
        ({"column": "type", "present": True}, "abc"),
        ({"column": "type", "present": False}, "d"),
        ({"column": ["type", "other"], "present": True}, "abcd"),
        ({"column": ["type", "other"], "present": False}, ""),
        ({"column": "type", "equals": "SIMPLE"}, "a"),
        ({"column": "type", "equals": ["simple", "variation"]}, "ac"),
        ({"column": "type", "not_equals": "simple"}, "bcd"),
        ({"column": "type", "contains": "simple"}, "ab"),
        ({"column": "type", "not_contains": "simple"}, "cd"),
        ({"column": "nothing", "present": False}, "abcd"),
        ({"column": "nothing", "present": True}, ""),
        ({"column": "nothing", "equals": "x"}, ""),
        ({"column": "nothing", "not_equals": "x"}, "abcd"),
        ({"column": "nothing", "not_contains": "x"}, "abcd"),
        ({"column": "nothing", "in_file": False}, "abcd"),
        ({"column": "type", "in_file": True}, "abcd"),
        ({"column": "type", "in_file": False}, ""),
    ],
)
def test_conditions(condition: dict[str, Any], keys: str) -> None:
    content = 'sku,type,other\na,simple,\nb,"Simple, virtual",\nc,variation,\nd,,x\n'
    prepared = read(content, product(when=[condition], missing_columns="ignore"))
    assert "".join(prepared.of("product")) == keys
    assert prepared.feed.rejected == 0
    assert prepared.feed.rows_read == 4


# Nodes


@pytest.mark.parametrize(
    ("cell", "path", "expected"),
    [
        ("A > B>C", {}, {"A": None, "A > B": "A", "A > B > C": "A > B"}),
        (" A > > B ", {}, {"A": None, "A > B": "A"}),
        ("A > B, A > C, D", {"multiple": ","}, {"A": None, "A > B": "A", "A > C": "A", "D": None}),
        ("R/A\\/B,R/C > D", {"separator": "/", "multiple": ","}, {"R": None, "R > A/B": "R", "R > C \\> D": "R"}),
        ("A\\, B > C,D", {"multiple": ","}, {"A, B": None, "A, B > C": "A, B", "D": None}),
        ("A > B", {"separator": None}, {"A \\> B": None}),
        (" > ", {}, {}),
    ],
)
def test_paths_become_nodes_that_know_their_parents(cell: str, path: dict[str, Any], expected: dict[str, Any]) -> None:
    prepared = read(f'sku,path\nx,"{cell}"\ny,"{cell}"\n', {"entity": "category", "path": {"from": "path", **path}})
    nodes = prepared.of("category")
    assert {key: attributes.get("parent") for key, attributes in nodes.items()} == expected
    for key, attributes in nodes.items():
        assert path_key(attributes["path"]) == key
        assert (attributes["level"], attributes["name"]) == (len(attributes["path"]), attributes["path"][-1])
    assert prepared.feed.duplicates == 0
    assert prepared.feed.mapped == {"category": ("level", "name", "parent", "path")}


def test_products_refer_to_their_nodes() -> None:
    def references(path: dict[str, Any], cell: str) -> Any:
        attributes = {"category": {"keys_of": "category"}}
        node = {"entity": "category", **path}
        return read(f'sku,c\nx,"{cell}"\ny,\n', product(attributes=attributes), node).of("product")

    assert references({"path": {"from": "c"}}, "A > B") == {"x": {"category": "A > B"}, "y": {}}
    assert references({"path": {"from": "c", "multiple": ","}}, "A > B,A") == {
        "x": {"category": ["A > B", "A"]},
        "y": {},
    }
    assert references({"codes": {"from": "c"}}, "a, b,a") == {"x": {"category": ["a", "b"]}, "y": {}}


def test_lists_in_items_are_one_path_or_several() -> None:
    def nodes(holds: str) -> list[str]:
        path = {"from": "c", "list_holds": holds}
        definition = {"format": {"type": "json"}, "entities": [{"entity": "category", "path": path}]}
        return list(prepare_content('[{"c": ["A > B", "C"]}, {"c": "D > E"}]', definition).of("category"))

    assert nodes("paths") == ["A", "A > B", "C", "D", "D > E"]
    assert nodes("parts") == ["A \\> B", "A \\> B > C", "D", "D > E"]


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("A > " * 300 + "A", "the key takes"),
        (",".join(f"c{n}" for n in range(1_500)), "more than 1,000 nodes in path"),
    ],
)
def test_a_row_that_names_too_much_is_rejected(cell: str, reason: str) -> None:
    category = {"entity": "category", "path": {"from": "path", "multiple": ","}}
    prepared = read(f'sku,path\nx,"{cell}"\ny,A\n', product(), category)
    assert prepared.counts() == {"product": (1, 0, 0), "category": (1, 0, 1)}
    [rejection] = prepared.rejections
    assert (rejection["row"], rejection["column"], rejection["entity"]) == (2, "path", "category")
    assert reason in rejection["reason"]


names = st.lists(st.text("ab>\\ ", min_size=1, max_size=4).map(str.strip).filter(bool), min_size=1, max_size=4)


@given(names, names)
def test_different_paths_have_different_keys(one: list[str], other: list[str]) -> None:
    assert (path_key(one) == path_key(other)) is (one == other)


@given(
    st.lists(st.lists(st.text("abc &,/", min_size=1, max_size=5).map(str.strip).filter(bool), min_size=1), min_size=1)
)
def test_paths_come_back_from_a_cell_that_escapes_what_it_must(paths: list[list[str]]) -> None:
    cell = ",".join("/".join(name.replace("/", "\\/").replace(",", "\\,") for name in path) for path in paths)
    assert split_paths(cell, ",", "/") == paths
    for path in paths:
        keys = [key for key, _ in path_nodes(path)]
        assert [attributes.get("parent") for _, attributes in path_nodes(path)] == [None, *keys[:-1]]
