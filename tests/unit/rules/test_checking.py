"""What a definition is refused for, and warned of, once the attributes of its entity are known."""

from __future__ import annotations

from typing import Any

import pytest

from shared.rules.checking import RuleRefused, check
from shared.rules.definition import RuleDefinition
from shared.rules.expressions import Kind

KINDS = {"price": Kind.NUMBER, "name": Kind.TEXT, "tags": Kind.LIST, "sold": Kind.BOOLEAN, "odd": Kind.UNKNOWN}


def rule(*actions: dict[str, Any], **parts: Any) -> RuleDefinition:
    least = {"entity": "product", "trigger": {"on": ["updated"]}, "actions": list(actions) or [{"clear": "old"}]}
    return RuleDefinition.model_validate(least | parts)


def setting(**value: Any) -> dict[str, Any]:
    return {"set": "a", "to": value}


def creating(**parts: Any) -> dict[str, Any]:
    return {"create": {"entity": "category", "key": {"value": "x"}} | parts}


@pytest.mark.parametrize(
    ("definition", "place", "position", "said"),
    [
        (rule(condition='price > "abc"'), "condition", 9, "cannot be compared"),
        (rule(condition="price >"), "condition", 8, "something is missing"),
        (rule(condition="1 / 0 > 1"), "condition", 5, "divided by 0"),
        (rule(condition="(" * 1000 + "true" + ")" * 996), "condition", 51, "brackets"),
        (rule(condition=" or ".join(["sold"] * 150)), "condition", None, "in one chain"),
        (rule(condition="price"), "condition", 1, "a condition is true or false, and this is a number"),
        (rule(condition="price + 1"), "condition", 1, "this is a number"),
        (rule(setting(expression="name * 2")), "actions.0.to.expression", 1, "name is a text"),
        (rule({"clear": "b"}, setting(expression="1 +")), "actions.1.to.expression", 4, "missing"),
        (rule(setting(expression="name", decimals=2)), "actions.0.to.expression", 1, "only numbers have decimals"),
        (rule(setting(lookup={"of": "tags", "table": {"a": 1}})), "actions.0.to.lookup.of", 1, "what is looked up"),
        (rule(setting(lookup={"of": "na me", "table": {"a": 1}})), "actions.0.to.lookup.of", 4, "not expected"),
        (rule(creating(key={"expression": "tags"})), "actions.0.create.key.expression", 1, "a key is a text"),
        (rule(creating(key={"attribute": "tags"})), "actions.0.create.key.attribute", None, "this is a list"),
        (
            rule(creating(attributes={"n": {"expression": "-name"}})),
            "actions.0.create.attributes.n.expression",
            2,
            "name is a text",
        ),
    ],
)
def test_what_is_refused(definition: RuleDefinition, place: str, position: int | None, said: str) -> None:
    with pytest.raises(RuleRefused) as caught:
        check(definition, KINDS)
    assert caught.value.place == place
    assert said in caught.value.reason
    if position is not None:
        assert caught.value.position == position
        assert str(caught.value).endswith(f" (character {position})")


def test_what_fits_is_taken_in_silence() -> None:
    definition = rule(
        setting(expression="price * 1.2", decimals=2),
        {"set": "label", "to": {"expression": 'name + " " + (odd ?? "")'}},
        {"set": "group", "to": {"lookup": {"of": "name", "table": {"x": 1}}}},
        {"set": "odd_price", "to": {"expression": "odd", "decimals": 1}},
        creating(key={"attribute": "name"}, attributes={"from": {"expression": "key"}}),
        condition="odd",
    )
    assert check(definition, KINDS) == []


def test_unknown_names_are_warned_of_once_where_they_are_read_first() -> None:
    definition = rule(
        setting(expression="prise * 2 + b"),
        {"set": "b", "to": {"attribute": "colour"}},
        {"set": "c", "to": {"lookup": {"of": 'attributes["Body (HTML)"]', "table": {"x": 1}}}},
        creating(key={"expression": "prise.to_str"}),
        trigger={"on": ["updated"], "attributes": ["nmae"]},
        condition="prise > 1 and price > 1",
    )
    assert [str(warning) for warning in check(definition, KINDS)] == [
        "trigger.attributes.0: no record and no feed has an attribute nmae yet; is name meant?",
        "condition: no record and no feed has an attribute prise yet; is price meant?",
        "actions.1.to.attribute: no record and no feed has an attribute colour yet",
        "actions.2.to.lookup.of: no record and no feed has an attribute Body (HTML) yet",
    ]


def test_nothing_is_known_of_an_entity_without_records() -> None:
    assert len(check(rule(condition="price > name and sold"), {})) == 3


def test_looking_for_what_was_meant_is_bounded() -> None:
    """There may be a hundred thousand names, and long ones; and hundreds that are none of them."""
    odd = rule(setting(expression="prise + nmae"), condition="x" * 200 + " > 0")
    few = check(odd, KINDS)
    many = check(odd, dict.fromkeys((f"name_{number}" for number in range(100_000)), Kind.UNKNOWN) | KINDS)
    assert len(many) == len(few) == 3
    assert not any("meant" in warning.reason for warning in many)
    assert ["meant" in warning.reason for warning in few] == [False, True, True]
