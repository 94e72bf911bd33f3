"""Definitions: what is accepted, how problems are named, and how a preset is merged in."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from shared.feeds import FeedDefinition, Problem, preset_names, problems, resolve

PRODUCT = {"entity": "product", "key": "sku"}


def whole(**changes: Any) -> dict[str, Any]:
    return {"format": {"type": "csv"}, "entities": [PRODUCT]} | changes


def product(**changes: Any) -> dict[str, Any]:
    return whole(entities=[PRODUCT | changes])


WRONG = {
    "nothing": ({}, "format", "a definition without a preset says how the file is read"),
    "no entities": ({"format": {"type": "csv"}}, "entities", "a definition without a preset says what its rows become"),
    "unknown preset": (
        {"preset": "shopfy"},
        "preset",
        "unknown preset 'shopfy'; known are akeneo, google_merchant, magento, shopify, woocommerce",
    ),
    "unknown field": ({"preset": "shopify", "skip": True}, "skip", "Extra inputs are not permitted"),
    "unknown field inside": (product(keys="x"), "entities.0.keys", "Extra inputs are not permitted"),
    "no type": (whole(format={}), "format.type", "say what the file is: csv, tsv, json, jsonl, xml or xlsx"),
    "unknown type": (whole(format={"type": "xls"}), "format.type", "Input should be 'csv'"),
    "unknown type among several": (whole(format={"type": ["csv", "xls"]}), "format.type.1", "Input should be 'csv'"),
    "unknown encoding": (
        whole(format={"type": "csv", "encoding": "rot13"}),
        "format.encoding",
        "unknown encoding 'rot13'",
    ),
    "long delimiter": (
        whole(format={"type": "csv", "delimiter": ";;"}),
        "format.delimiter",
        "the delimiter is one character",
    ),
    "long quote": (whole(format={"type": "csv", "quote": "''"}), "format.quote", "the quote is one character"),
    "header of no names": (
        whole(format={"type": "csv", "header": "x"}),
        "format.header",
        "Input should be true or false or a list",
    ),
    "header twice": (whole(format={"type": "csv", "header": ["a", "a"]}), "format.header", "names that stand twice: a"),
    "items of a table": (
        whole(format={"type": "csv", "items": "x"}),
        "format.items",
        "items is known for json, xml, not for csv",
    ),
    "sheet of a document": (
        whole(format={"type": "json", "sheet": 1}),
        "format.sheet",
        "sheet is known for xlsx, not for json",
    ),
    "xml without items": (whole(format={"type": "xml"}), "format.items", "say which element is an item"),
    "sheet zero": (
        whole(format={"type": "xlsx", "sheet": 0}),
        "format.sheet",
        "Input should be greater than or equal to 1",
    ),
    "entity's name": (product(entity="Product"), "entities.0.entity", "String should match pattern"),
    "no kind": (whole(entities=[{"entity": "p"}]), "entities.0", "an entity has exactly one of key, path, codes"),
    "two kinds": (product(path={"from": "c"}), "entities.0", "an entity has exactly one of key, path, codes"),
    "key of no kind": (product(key=5), "entities.0.key", "Input should be a column, a list of columns"),
    "key of no columns": (product(key=[]), "entities.0.key", "List should have at least 1 item"),
    "key with a blank column": (product(key=["a", ""]), "entities.0.key.1", "String should have at least 1 character"),
    "key's optional column": (
        product(key={"columns": ["a"], "optional": ["b"]}),
        "entities.0.key",
        "optional names columns that are not in columns: b",
    ),
    "key all optional": (
        product(key={"columns": ["a"], "optional": ["a"]}),
        "entities.0.key",
        "at least one column of a key is not optional",
    ),
    "alternative of a key": (
        product(key={"first_of": ["a", 5]}),
        "entities.0.key.first_of.1",
        "Input should be a column's name",
    ),
    "attribute of no kind": (
        product(attributes={"a": 5}),
        "entities.0.attributes.a",
        "Input should be text or an object",
    ),
    "attributes of no kind": (product(attributes=[]), "entities.0.attributes", "Input should be text or an object"),
    "attribute's type": (
        product(attributes={"a": {"from": "a", "type": "float"}}),
        "entities.0.attributes.a.type",
        "Input should be 'text', 'integer'",
    ),
    "attribute without source": (
        product(attributes={"a": {"type": "text"}}),
        "entities.0.attributes.a",
        "an attribute has exactly one of from, fields, keys_of",
    ),
    "separator without list": (
        product(attributes={"a": {"from": "a", "separator": ","}}),
        "entities.0.attributes.a",
        'separator goes with "type": "list"',
    ),
    "decimal mark without number": (
        product(attributes={"a": {"from": "a", "decimal_mark": ","}}),
        "entities.0.attributes.a",
        "decimal_mark goes with",
    ),
    "star that is no star": (product(attributes={"*": "x"}), "entities.0", '{"*": "*"}'),
    "exclude without star": (
        product(attributes={"a": "a"}, exclude=["b"]),
        "entities.0",
        "include and exclude choose among the columns",
    ),
    "attributes of a path": (
        whole(entities=[{"entity": "category", "path": {"from": "c"}, "attributes": {"a": "a"}}]),
        "entities.0",
        "attributes: only an entity with a key has it",
    ),
    "separators alike": (
        whole(entities=[{"entity": "category", "path": {"from": "c", "separator": ",", "multiple": ","}}]),
        "entities.0.path",
        "separator and multiple are the same",
    ),
    "reference to nothing": (
        product(attributes={"c": {"keys_of": "category"}}),
        "entities.0.attributes.c.keys_of",
        "no entity 'category' with a path or codes (known: none)",
    ),
    "same name twice": (whole(entities=[PRODUCT, PRODUCT]), "entities.0.entity", "two entities with a key are called"),
    "same name of two kinds": (
        whole(entities=[PRODUCT, {"entity": "product", "codes": {"from": "c"}}]),
        "entities.0.entity",
        "'product' has a key here and comes from a path or codes elsewhere",
    ),
    "condition without test": (
        product(when=[{"column": "a"}]),
        "entities.0.when.0",
        "a condition has exactly one of present, equals",
    ),
    "columns of a document": (
        whole(format={"type": "json"}, entities=[PRODUCT | {"when": [{"column": "a", "in_file": True}]}]),
        "entities.0.when.0.in_file",
        "only tables (csv, tsv, xlsx) have columns of a file",
    ),
    "too many entities": (whole(entities=[PRODUCT] * 9), "entities", "List should have at most 8 items"),
    "type beside a preset": (
        {"preset": "google_merchant", "format": {"type": "csv", "items": "x"}},
        "format.items",
        "items is known for json, xml, not for csv",
    ),
}


@pytest.mark.parametrize(("definition", "field", "message"), WRONG.values(), ids=WRONG.keys())
def test_a_problem_is_named_by_its_field(definition: dict[str, Any], field: str, message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        FeedDefinition.model_validate(definition)
    [problem] = problems(caught.value)
    assert problem.field == field
    assert message in problem.message


def test_every_problem_is_named() -> None:
    definition = {"format": {"type": "x", "y": 1}, "entities": [{"entity": "A", "key": 1}], "z": 1}
    with pytest.raises(ValidationError) as caught:
        FeedDefinition.model_validate(definition)
    found = problems(caught.value)
    assert [problem.field for problem in found] == [
        "format.type",
        "format.y",
        "entities.0.entity",
        "entities.0.key",
        "z",
    ]
    assert found[0] == Problem("format.type", "Input should be 'csv', 'tsv', 'json', 'jsonl', 'xml' or 'xlsx'")


def test_a_preset_is_a_whole_definition() -> None:
    for name in preset_names():
        resolved = resolve(FeedDefinition.model_validate({"preset": name, "skip_unchanged": False}))
        assert (resolved.preset, resolved.skip_unchanged) == (name, False)
        assert resolve(FeedDefinition(preset=name)).skip_unchanged is True


def test_fields_beside_a_preset_go_before_its_own() -> None:
    definition = FeedDefinition.model_validate(
        {"preset": "google_merchant", "format": {"type": "tsv", "encoding": "windows-1252"}, "entities": [PRODUCT]}
    )
    resolved = resolve(definition)
    assert resolved.format.types == ("tsv",)
    assert (resolved.format.encoding, resolved.format.column_names) == ("windows-1252", "snake_case")
    assert [entity.entity for entity in resolved.entities] == ["product"]


@pytest.mark.parametrize(
    "definition",
    [
        {"preset": "shopify"},
        {"preset": "shopify", "skip_unchanged": True, "description": "Spring"},
        whole(format={"type": ["csv", "xlsx"], "header": ["sku", "name"], "sheet": 2, "rename": {"a": "b"}}),
        product(key={"first_of": ["sku", {"column": "id", "prefix": "id:"}, {"columns": ["a", "b"]}]}),
        product(attributes={"a": "b", "c": {"from": ["d", "e"], "type": "list"}, "f": {"default": False}, "*": "*"}),
    ],
)
def test_a_definition_is_shown_as_it_was_sent(definition: dict[str, Any]) -> None:
    parsed = FeedDefinition.model_validate(definition)
    assert parsed.to_json() == definition
    assert FeedDefinition.model_validate(parsed.to_json()) == parsed
