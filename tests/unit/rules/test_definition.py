"""Rule definitions: what may be said, what is refused and in which field."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
import simplejson
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from shared.feeds.definition import problems
from shared.rules.definition import MAX_ACTIONS, MAX_TABLE, MAX_TEXT, RuleDefinition

FULL: dict[str, Any] = {
    "entity": "product",
    "trigger": {"on": ["created", "updated"], "attributes": ["price", "brand"]},
    "condition": 'price > 10 and attributes["Body (HTML)"] != null',
    "actions": [
        {"set": "price_gross", "to": {"expression": "price * rate", "decimals": 2}},
        {"set": "label", "to": {"attribute": "name"}},
        {"set": "margin", "to": {"value": Decimal("0.35")}},
        {"set": "note", "to": {"value": None}},
        {"set": "facts", "to": {"value": {"a": [1, True, None, "x"]}}},
        {"set": "group", "to": {"lookup": {"of": "brand", "table": {"Acme": "Tools", "Bolt": 7}, "default": None}}},
        {"clear": "old_price"},
        {
            "create": {
                "entity": "category",
                "key": {"expression": "group"},
                "attributes": {"name": {"attribute": "type"}},
            }
        },
    ],
    "enabled": False,
    "description": "Prices with tax.",
    "max_firings_per_hour": 500,
}


def rule(**parts: Any) -> dict[str, Any]:
    least = {"entity": "product", "trigger": {"on": ["updated"]}, "actions": [{"clear": "old"}]}
    return least | parts


def setting(**value: Any) -> dict[str, Any]:
    return rule(actions=[{"set": "a", "to": value}])


def texts(characters: int) -> dict[str, Any]:
    """A rule whose expressions have as many in all: of the condition, of a value, of a look-up and of a key."""
    actions = [
        {"set": "a", "to": {"expression": "1" * 1_000}},
        {"set": "b", "to": {"lookup": {"of": "1" * 1_000, "table": {"1": 1}}}},
        {"create": {"entity": "category", "key": {"expression": "1" * 1_000}}},
    ]
    return rule(actions=actions, condition="1" * (characters - 3_000))


def creating(**parts: Any) -> dict[str, Any]:
    return rule(actions=[{"create": {"entity": "category", "key": {"value": "x"}} | parts}])


def test_a_definition_is_stored_as_it_was_sent() -> None:
    definition = RuleDefinition.model_validate(FULL)
    assert definition.to_json() == FULL
    stored = simplejson.dumps(definition.to_json(), use_decimal=True)
    again = RuleDefinition.model_validate(json.loads(stored, parse_float=Decimal))
    assert again == definition
    assert again.to_json() == FULL
    assert RuleDefinition.model_validate(rule()).to_json() == rule()


def test_what_a_definition_reads_and_writes() -> None:
    definition = RuleDefinition.model_validate(FULL)
    assert definition.reads == {"price", "Body (HTML)", "rate", "name", "brand", "group", "type"}
    assert definition.writes == {"price_gross", "label", "margin", "note", "facts", "group", "old_price"}
    assert definition.creates == {"category"}
    assert [place for place, _ in definition.values()][-2:] == [
        "actions.7.create.key",
        "actions.7.create.attributes.name",
    ]


def test_what_does_not_parse_reads_nothing() -> None:
    assert RuleDefinition.model_validate(rule(condition="price >")).reads == frozenset()


@pytest.mark.parametrize(
    ("trigger", "hears"),
    [
        ({"on": ["updated"]}, {"price", "name"}),
        ({"on": ["created", "updated"], "attributes": ["price"]}, {"price"}),
        ({"on": ["created"]}, set()),
        ({"on": ["schedule"]}, set()),
    ],
)
def test_what_a_rule_listens_to(trigger: dict[str, Any], hears: set[str]) -> None:
    definition = RuleDefinition.model_validate(rule(trigger=trigger))
    assert {name for name in ("price", "name") if definition.listens_to(name)} == hears
    assert definition.trigger.is_scheduled == (trigger["on"] == ["schedule"])


@pytest.mark.parametrize(
    ("sent", "field", "said"),
    [
        (rule(entity="Product"), "entity", "pattern"),
        (rule(when="x"), "when", "Extra inputs"),
        ({"entity": "product", "trigger": {"on": ["updated"]}}, "actions", "required"),
        (rule(actions=[]), "actions", "at least 1"),
        (rule(actions=[{"clear": f"a{n}"} for n in range(MAX_ACTIONS + 1)]), "actions", "at most 20"),
        (rule(condition=""), "condition", "at least 1"),
        (rule(condition="a" * 2001), "condition", "at most 2000"),
        (rule(condition=True), "condition", "string"),
        (rule(condition="\ud800"), "condition", "unicode"),
        (rule(description="\ud800"), "description", "unicode"),
        (rule(actions=[{"clear": "\ud800"}]), "actions.0.clear", "unicode"),
        (rule(description="x" * 1001), "description", "at most 1000"),
        (rule(max_firings_per_hour=0), "max_firings_per_hour", "greater than or equal to 1"),
        (rule(max_firings_per_hour="5"), "max_firings_per_hour", "integer"),
        (rule(trigger={"on": []}), "trigger.on", "at least 1"),
        (rule(trigger={"on": ["deleted"]}), "trigger.on.0", "'created', 'updated' or 'schedule'"),
        (rule(trigger={"on": ["schedule", "created"]}), "on", "either run by schedules"),
        (rule(trigger={"on": ["updated", "created", "updated"]}), "on", "named once only"),
        (rule(trigger={"on": ["schedule", "schedule"]}), "on", "named once only"),
        (rule(enabled=1), "enabled", "boolean"),
        (rule(enabled="yes"), "enabled", "boolean"),
        (rule(enabled=None), "enabled", "boolean"),
        (texts(MAX_TEXT + 1), "actions", "4,001 characters; a rule has at most 4,000"),
        (rule(trigger={"on": ["created"], "attributes": ["a"]}), "attributes", 'only "updated"'),
        (rule(trigger={"on": ["schedule"], "attributes": ["a"]}), "attributes", 'only "updated"'),
        (rule(trigger={"on": ["updated"], "attributes": []}), "trigger.attributes", "at least 1"),
        (rule(trigger={"on": ["updated"], "attributes": ["key"]}), "attributes", "never changes"),
        (rule(trigger={"on": ["updated"], "attributes": [" "]}), "trigger.attributes.0", "not blank"),
        (rule(actions=[{}]), "actions.0", "exactly one of set, clear or create"),
        (rule(actions=["x"]), "actions.0", "exactly one of set, clear or create"),
        (rule(actions=[{"set": "a", "clear": "b"}]), "actions.0", "exactly one of set, clear or create"),
        (rule(actions=[{"set": "a"}]), "actions.0.to", "required"),
        (rule(actions=[{"clear": ""}]), "actions.0.clear", "at least 1"),
        (rule(actions=[{"clear": "  "}]), "actions.0.clear", "not blank"),
        (rule(actions=[{"clear": "a" * 1025}]), "actions.0.clear", "at most 1024"),
        (rule(actions=[{"clear": "key"}]), "actions.0.clear", "a record's key never changes"),
        (rule(actions=[{"set": "key", "to": {"value": 1}}]), "actions.0.set", "a record's key never changes"),
        (rule(actions=[{"clear": "a"}, {"set": "a", "to": {"value": 1}}]), "actions.1.set", "by actions.0 already"),
        (rule(actions=[{"clear": "a"}, {"clear": "a"}]), "actions.1.clear", "by actions.0 already"),
        (setting(), "actions.0.to", "exactly one of value, attribute, expression or lookup"),
        (setting(value=1, attribute="b"), "actions.0.to", "exactly one of value, attribute, expression or lookup"),
        (setting(value=1, decimals=2), "actions.0.to.decimals", "Extra inputs"),
        (setting(value=0.5), "actions.0.to.value", "never float"),
        (setting(value=[{"a": 0.5}]), "actions.0.to.value", "never float"),
        (setting(value=int("1" * 39)), "actions.0.to.value", "digits"),
        (setting(value={"a": {"": 1}}), "actions.0.to.value", "without a name (at a)"),
        (setting(value="\ud800"), "actions.0.to.value", "surrogate"),
        (setting(attribute="key"), "actions.0.to.attribute", '{"expression": "key"}'),
        (setting(expression="1", decimals=-1), "actions.0.to.decimals", "greater than or equal to 0"),
        (setting(expression="1", decimals=21), "actions.0.to.decimals", "less than or equal to 20"),
        (setting(expression="1", decimals="2"), "actions.0.to.decimals", "integer"),
        (setting(lookup={"of": "a", "table": {}}), "actions.0.to.lookup.table", "at least 1"),
        (
            setting(lookup={"of": "a", "table": {str(n): 1 for n in range(MAX_TABLE + 1)}}),
            "actions.0.to.lookup.table",
            "at most 1000",
        ),
        (setting(lookup={"of": "a", "table": {"x": 1.5}}), "actions.0.to.lookup.table.x", "never float"),
        (
            setting(lookup={"of": "a", "table": {"\ud800": 1}}),
            "actions.0.to.lookup.table.\ufffd\ufffd\ufffd.[key]",
            "unicode",
        ),
        (creating(entity="product"), "actions.0.create.entity", "not of its own"),
        (creating(key={"value": ""}), "actions.0.create.key", "1 to 1,024 bytes"),
        (creating(key={"value": "é" * 513}), "actions.0.create.key", "1 to 1,024 bytes"),
        (creating(key={"value": None}), "actions.0.create.key", "a text or a number"),
        (creating(key={"value": True}), "actions.0.create.key", "a text or a number"),
        (creating(attributes={"key": {"value": 1}}), "actions.0.create.attributes", "beside its attributes"),
        (creating(attributes={" ": {"value": 1}}), "actions.0.create.attributes. .[key]", "not blank"),
        (setting(value="x" * 33_000), "", "has 33,"),
    ],
)
def test_what_is_refused_and_in_which_field(sent: dict[str, Any], field: str, said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        RuleDefinition.model_validate(sent)
    (problem,) = problems(caught.value)
    assert problem.field == field
    assert said in problem.message


def test_expressions_have_room_for_so_many_characters() -> None:
    assert RuleDefinition.model_validate(texts(MAX_TEXT)).text_size == MAX_TEXT
    assert RuleDefinition.model_validate(rule()).text_size == len("true")


@pytest.mark.parametrize("name", ["entity", "version", "created_at", "updated_at", "attributes"])
def test_other_words_of_a_record_are_names_like_any(name: str) -> None:
    assert RuleDefinition.model_validate(rule(actions=[{"clear": name}])).writes == {name}


def test_literals_keep_their_numbers() -> None:
    definition = RuleDefinition.model_validate(setting(value=[Decimal("1.10"), 7, True]))
    assert [repr(one) for one in definition.to_json()["actions"][0]["to"]["value"]] == ["Decimal('1.10')", "7", "True"]


LITERALS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.decimals(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@given(st.one_of(LITERALS, st.fixed_dictionaries({"set": LITERALS, "to": LITERALS}), st.just({"set": "a"})), LITERALS)
def test_any_json_is_a_definition_or_refused(action: Any, condition: Any) -> None:
    sent = rule(actions=[action], condition=condition)
    try:
        definition = RuleDefinition.model_validate(sent)
    except ValidationError as refused:
        found = problems(refused)
    else:
        found = []
        assert RuleDefinition.model_validate(definition.to_json()) == definition
    assert found or condition
