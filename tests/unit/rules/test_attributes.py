"""What attributes an entity has, as feeds, records and rules tell."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from shared.catalog import Record
from shared.feeds.definition import preset_names
from shared.feeds.store import StoredFeed
from shared.rules.attributes import known_attributes, plausible_kinds
from shared.rules.definition import RuleDefinition
from shared.rules.expressions import Kind
from shared.rules.model import Rule

NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)


def feed(*entities: Mapping[str, Any], file: str | list[str] = "json", **parts: Any) -> StoredFeed:
    definition = {"format": {"type": file}, "entities": list(entities)} | parts
    return StoredFeed(feed_id="f", version=1, created_at=NOW, updated_at=NOW, definition=json.dumps(definition))


def product(attributes: Any, **parts: Any) -> dict[str, Any]:
    return {"entity": "product", "key": "sku", "attributes": attributes} | parts


def record(**attributes: Any) -> Record:
    return Record(
        workspace_id="ws_1",
        entity="product",
        key="sku-1",
        attributes=attributes,
        version=1,
        created_at=NOW,
        updated_at=NOW,
        operation_id=None,
    )


def rule(*actions: Mapping[str, Any], entity: str = "product", condition: str = "true") -> Rule:
    given = {"entity": entity, "trigger": {"on": ["updated"]}, "condition": condition, "actions": list(actions)}
    definition = RuleDefinition.model_validate(given)
    return Rule(workspace_id="ws_1", rule_id="r", definition=definition, version=1, created_at=NOW, updated_at=NOW)


def known(
    feeds: Sequence[StoredFeed] = (), records: Sequence[Record] = (), rules: Sequence[Rule] = ()
) -> dict[str, Kind]:
    return known_attributes("product", feeds, records, rules)


def test_the_types_of_feeds() -> None:
    types = {"text": "t", "integer": "i", "decimal": "d", "boolean": "b", "list": "l", "json": "j"}
    attributes: dict[str, Any] = {name: {"from": name, "type": kind} for kind, name in types.items()}
    attributes |= {
        "plain": "x",
        "gathered": {"from": "y", "collect": True},
        "together": {"fields": {"w": "width", "h": "height"}},
        "always": {"default": "Acme"},
        "flag": {"default": True},
        "or_nothing": {"from": "n", "type": "integer", "default": 0},
        "or_text": {"from": "n", "type": "integer", "default": "none"},
    }
    assert known([feed(product(attributes))]) == {
        "t": Kind.TEXT,
        "i": Kind.NUMBER,
        "d": Kind.NUMBER,
        "b": Kind.BOOLEAN,
        "l": Kind.LIST,
        "j": Kind.UNKNOWN,
        "plain": Kind.UNKNOWN,
        "gathered": Kind.LIST,
        "together": Kind.MAP,
        "always": Kind.TEXT,
        "flag": Kind.BOOLEAN,
        "or_nothing": Kind.NUMBER,
        "or_text": Kind.UNKNOWN,
    }


@pytest.mark.parametrize(
    ("file", "kind"), [("csv", Kind.TEXT), (["csv", "tsv"], Kind.TEXT), (["csv", "xlsx"], Kind.UNKNOWN)]
)
def test_columns_of_delimited_files_are_texts(file: str | list[str], kind: Kind) -> None:
    assert known([feed(product({"price": "Price"}), file=file)]) == {"price": kind}


@pytest.mark.parametrize(
    ("nodes", "kind"),
    [
        ({"path": {"from": "c"}}, Kind.TEXT),
        ({"path": {"from": "c", "multiple": "|"}}, Kind.LIST),
        ({"path": {"from": "c", "list_holds": "paths"}}, Kind.LIST),
        ({"codes": {"from": "c"}}, Kind.LIST),
    ],
)
def test_references_are_texts_or_lists(nodes: Mapping[str, Any], kind: Kind) -> None:
    entities = [product({"category": {"keys_of": "category"}}), {"entity": "category", **nodes}]
    assert known([feed(*entities)]) == {"category": kind}


def test_nodes_have_attributes_of_their_own() -> None:
    entities = [
        product("*"),
        {"entity": "category", "path": {"from": "c"}},
        {"entity": "brand", "codes": {"from": "b"}},
    ]
    one = feed(*entities)
    assert known([one]) == {}
    assert known_attributes("category", [one], [], []) == {
        "level": Kind.NUMBER,
        "name": Kind.TEXT,
        "parent": Kind.TEXT,
        "path": Kind.LIST,
    }
    assert known_attributes("brand", [one], [], []) == {"code": Kind.TEXT}


def test_what_a_feed_owns_is_known_by_name() -> None:
    assert known([feed(product("*", owns=["old"]))]) == {"old": Kind.UNKNOWN}


@pytest.mark.parametrize("preset", preset_names())
def test_every_preset_can_be_read(preset: str) -> None:
    stored = StoredFeed(
        feed_id="f", version=1, created_at=NOW, updated_at=NOW, definition=json.dumps({"preset": preset})
    )
    assert isinstance(known([stored]), dict)


def test_records_tell_what_they_have() -> None:
    records = [
        record(a=1, b="x", c=True, d=[1], e={"f": 1}, g=None, h=Decimal("1.5")),
        record(a=Decimal("1.5"), b=1, c=False, g="x"),
    ]
    assert known(records=records) == {
        "a": Kind.NUMBER,
        "b": Kind.UNKNOWN,
        "c": Kind.BOOLEAN,
        "d": Kind.LIST,
        "e": Kind.MAP,
        "g": Kind.TEXT,
        "h": Kind.NUMBER,
    }


def test_a_kind_stands_against_silence_and_falls_by_contradiction() -> None:
    typed = feed(product({"price": {"from": "p", "type": "decimal"}}))
    untyped = feed(product({"price": "p"}))
    texts = feed(product({"price": "p"}), file="csv")
    assert known([typed, untyped]) == {"price": Kind.NUMBER}
    assert known([untyped], [record(price=1)]) == {"price": Kind.NUMBER}
    assert known([typed], [record(price=None)]) == {"price": Kind.NUMBER}
    assert known([typed, texts]) == {"price": Kind.UNKNOWN}
    assert known([typed], [record(price="12")]) == {"price": Kind.UNKNOWN}


def test_rules_tell_what_they_set() -> None:
    setting = rule(
        {"set": "literal", "to": {"value": "x"}},
        {"set": "nothing", "to": {"value": None}},
        {"set": "copy", "to": {"attribute": "price"}},
        {"set": "sum", "to": {"expression": "price * 1.2"}},
        {"set": "rounded", "to": {"expression": "whatever", "decimals": 2}},
        {"set": "category", "to": {"lookup": {"of": "brand", "table": {"Acme": "Tools"}}}},
        {"set": "mixed", "to": {"lookup": {"of": "brand", "table": {"Acme": "Tools"}, "default": 0}}},
        {"clear": "gone"},
    )
    assert known(records=[record(price=1)], rules=[setting]) == {
        "literal": Kind.TEXT,
        "nothing": Kind.UNKNOWN,
        "copy": Kind.NUMBER,
        "sum": Kind.NUMBER,
        "rounded": Kind.NUMBER,
        "category": Kind.TEXT,
        "mixed": Kind.UNKNOWN,
        "price": Kind.NUMBER,
    }


def test_rules_tell_what_they_create_records_with() -> None:
    attributes = {"name": {"value": "x"}, "copy": {"attribute": "price"}}
    creating = rule(
        {"create": {"entity": "product", "key": {"expression": "key"}, "attributes": attributes}}, entity="offer"
    )
    # The price of an offer is not that of a product.
    assert known(records=[record(price=1)], rules=[creating]) == {
        "name": Kind.TEXT,
        "copy": Kind.UNKNOWN,
        "price": Kind.NUMBER,
    }
    assert known(rules=[rule({"set": "x", "to": {"value": 1}}, entity="offer")]) == {}


def test_a_rule_that_does_not_fit_any_more_tells_a_name() -> None:
    setting = rule({"set": "x", "to": {"expression": "price - 2"}})
    assert known(records=[record(price="a")], rules=[setting]) == {"price": Kind.TEXT, "x": Kind.UNKNOWN}


def test_plausible_kinds_are_those_that_the_expressions_take() -> None:
    rules = [
        rule({"set": "price", "to": {"expression": "cost + 1"}}, condition='name.length > 3 and name != "x"'),
        rule({"set": "copy", "to": {"attribute": "tags"}}, {"clear": "old"}, condition="not done"),
    ]
    found = plausible_kinds(rules, {"tags": Kind.LIST})
    assert found["cost"] is Kind.NUMBER
    assert found["price"] is Kind.NUMBER
    assert found["name"] is Kind.TEXT
    assert found["tags"] is Kind.LIST
    assert found["copy"] is Kind.LIST
    assert found["old"] is Kind.UNKNOWN
    assert set(found) == {"cost", "price", "name", "tags", "copy", "old", "done"}


# What it may take


def setting(name: str, expression: str) -> dict[str, Any]:
    return {"set": name, "to": {"expression": expression}}


def test_only_what_is_asked_for_is_read() -> None:
    rules = [rule(setting("x", "1 + 1"), setting("y", "1 + 1"))]
    assert known_attributes("product", [], [], rules, {"x"}) == {"x": Kind.NUMBER, "y": Kind.UNKNOWN}
    # What nobody asks for contradicts nobody.
    assert known_attributes("product", [], [record(y="a")], rules, {"x"}) == {"x": Kind.NUMBER, "y": Kind.TEXT}


def test_what_time_was_too_short_for_is_unknown() -> None:
    rules = [rule(setting("x", "1 + 1")), rule(setting("y", "1 + 1"), {"set": "z", "to": {"value": 1}})]
    seen = iter([False, True])
    found = known_attributes("product", [], [record(x=1, y=1)], rules, out_of_time=lambda: next(seen))
    assert found == {"x": Kind.NUMBER, "y": Kind.UNKNOWN, "z": Kind.NUMBER}


def test_guesses_end_with_time() -> None:
    rules = [rule(setting("x", "y + 1"))]
    assert plausible_kinds(rules, {}) == {"x": Kind.NUMBER, "y": Kind.NUMBER}
    assert plausible_kinds(rules, {}, lambda: True) == {}
    for looks in range(1, 6):
        seen = iter([False] * looks)
        found = plausible_kinds(rules, {"y": Kind.NUMBER}, lambda: next(seen, True))  # noqa: B023 - called at once
        assert found["y"] is Kind.NUMBER
