"""What a rule comes to on one record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.catalog import Record, record_size, same
from shared.dynamo.values import MAX_ITEM_BYTES, to_item
from shared.rules import evaluation
from shared.rules.definition import RuleDefinition
from shared.rules.evaluation import compile_rule, examiner_of
from shared.rules.expressions import MAX_ELEMENTS, ExpressionRefused
from shared.rules.model import Creation, Effect, Examined, Failed, NoChange, NoMatch, Rule

NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)


def a_rule(*actions: dict[str, Any], condition: str = "true", version: int = 1, rule_id: str = "r") -> Rule:
    definition = RuleDefinition.model_validate(
        {"entity": "product", "trigger": {"on": ["updated"]}, "condition": condition, "actions": list(actions)}
    )
    return Rule(
        workspace_id="ws", rule_id=rule_id, definition=definition, version=version, created_at=NOW, updated_at=NOW
    )


def a_record(**attributes: Any) -> Record:
    return Record(
        workspace_id="ws",
        entity="product",
        key="sku-1",
        attributes=attributes,
        version=3,
        created_at=NOW,
        updated_at=NOW,
        operation_id=None,
    )


def setting(name: str, **value: Any) -> dict[str, Any]:
    return {"set": name, "to": value}


def creating(key: Mapping[str, Any], **attributes: Any) -> dict[str, Any]:
    return {"create": {"entity": "category", "key": key, "attributes": attributes}}


def examined(*actions: dict[str, Any], condition: str = "true", **attributes: Any) -> Examined:
    return compile_rule(a_rule(*actions, condition=condition)).examine(a_record(**attributes))


def after(*actions: dict[str, Any], **attributes: Any) -> Mapping[str, Any]:
    effect = examined(*actions, **attributes)
    assert isinstance(effect, Effect)
    assert effect.attributes is not None
    return effect.attributes


def reason(*actions: dict[str, Any], condition: str = "true", **attributes: Any) -> str:
    failed = examined(*actions, condition=condition, **attributes)
    assert isinstance(failed, Failed)
    return failed.reason


@pytest.mark.parametrize(
    ("condition", "attributes", "matches"),
    [
        ("price > 10", {"price": 11}, True),
        ("price > 10", {"price": 10}, False),
        ("price > 10", {}, False),
        ("price > 10", {"price": None}, False),
        ("not (price > 10)", {}, False),
        ("(price ?? 0) < 10", {}, True),
        ("sold", {"sold": True}, True),
        ("sold", {}, False),
        ("not sold", {}, True),
        ('attributes["a b"].length > 1', {}, False),
        ("price == null", {}, True),
    ],
)
def test_whether_the_condition_holds(condition: str, attributes: dict[str, Any], matches: bool) -> None:
    outcome = examined(setting("done", value=True), condition=condition, **attributes)
    assert outcome == (Effect({**attributes, "done": True}) if matches else NoMatch())


@pytest.mark.parametrize(
    ("condition", "attributes", "said"),
    [
        ("price > 10", {"price": "12"}, "the condition cannot be computed: price is a text and 10 a number here"),
        ("price", {"price": 12}, "the condition is a number here, and not true or false"),
        ("1 / price > 1", {"price": 0}, "price is 0 here"),
        ("price > 10 and name.length > 2", {"price": 12, "name": 5}, "name is a number here"),
    ],
)
def test_a_condition_that_cannot_be_computed(condition: str, attributes: dict[str, Any], said: str) -> None:
    assert said in reason(setting("done", value=True), condition=condition, **attributes)


def test_all_actions_see_the_record_as_it_was() -> None:
    swapped = after(setting("a", attribute="b"), setting("b", attribute="a"), a=1, b=2)
    assert swapped == {"a": 2, "b": 1}


def test_what_actions_come_to() -> None:
    result = after(
        setting("gross", expression="price * 1.19", decimals=2),
        setting("label", expression='name + " (" + key + ")"'),
        setting("copy", attribute="tags"),
        setting("facts", value={"a": [1, None]}),
        setting("group", lookup={"of": "brand", "table": {"Acme": "Tools"}, "default": "Other"}),
        setting("grade", lookup={"of": "level", "table": {"2": "second", "2.5": "between"}}),
        setting("absent", attribute="nowhere"),
        {"clear": "old"},
        price=Decimal("9.99"),
        name="Saw",
        tags=["x"],
        brand="Acme",
        level=Decimal("2.50"),
        old=1,
        absent="there",
    )
    assert result == {
        "price": Decimal("9.99"),
        "name": "Saw",
        "tags": ["x"],
        "brand": "Acme",
        "level": Decimal("2.50"),
        "gross": Decimal("11.89"),
        "label": "Saw (sku-1)",
        "copy": ["x"],
        "facts": {"a": [1, None]},
        "group": "Tools",
        "grade": "between",
    }
    to_item(result)


@pytest.mark.parametrize(
    ("number", "decimals", "rounded"),
    [
        ("1.005", 2, "1.01"),
        ("1.004", 2, "1.00"),
        ("-1.005", 2, "-1.01"),
        ("2.5", 0, "3"),
        ("0.5", 0, "1"),
        ("7", 2, "7.00"),
    ],
)
def test_halves_are_rounded_away_from_zero(number: str, decimals: int, rounded: str) -> None:
    result = after(setting("x", expression="n", decimals=decimals), n=Decimal(number))["x"]
    assert result == Decimal(rounded)
    assert isinstance(result, int) == (decimals == 0)


def test_what_would_change_nothing() -> None:
    unchanged = (setting("a", expression="b * 2"), setting("c", value=1), {"clear": "gone"}, setting("d", value=None))
    assert examined(*unchanged, a=Decimal("4.0"), b=2, c=1) == NoChange()
    assert examined(*unchanged, a=Decimal("4.0"), b=2, c=True) != NoChange()
    # A null that is stored is cleared, which is a change.
    assert after({"clear": "a"}, a=None) == {}


def test_what_is_looked_up_and_not_there() -> None:
    table = {"of": "brand", "table": {"Acme": "Tools"}}
    assert after(setting("group", lookup=table), brand="Bolt", group="old") == {"brand": "Bolt"}
    assert after(setting("group", lookup=table | {"default": "Other"}), group="old") == {"group": "Other"}
    assert "what is looked up is a list here" in reason(setting("group", lookup=table), brand=["Acme"])
    assert "what is looked up is true or false here" in reason(setting("group", lookup=table), brand=True)


@pytest.mark.parametrize(
    ("action", "attributes", "said"),
    [
        (setting("x", expression="price * 2"), {}, "x cannot be set: price is missing"),
        (setting("x", expression="price * 2"), {"price": "9"}, "x cannot be set: price is a text here"),
        (setting("x", expression="1 / price"), {"price": 0}, "x cannot be set: price is 0 here"),
        (setting("x", expression="price", decimals=1), {"price": "9"}, "it is a text here, and only numbers"),
        (setting("x", expression="price", decimals=9), {"price": 10**37}, "more than 38 digits"),
        (setting("x", expression="price * 10"), {"price": Decimal("9E125")}, "beyond the numbers"),
        (creating({"attribute": "brand"}), {}, "a category record cannot be created, for its key: it is null"),
        (creating({"attribute": "brand"}), {"brand": ""}, "for its key: it is empty"),
        (creating({"attribute": "brand"}), {"brand": ["x"]}, "it is a list, and neither a text nor a number"),
        (creating({"attribute": "brand"}), {"brand": "é" * 513}, "it has 1,026 bytes"),
        (creating({"expression": "brand + brand"}), {}, "for its key: brand is missing"),
        (creating({"value": "k"}, n={"expression": "-n"}), {}, "n of a category record cannot be set: n is missing"),
    ],
)
def test_an_action_that_cannot_be_carried_out(action: dict[str, Any], attributes: dict[str, Any], said: str) -> None:
    assert said in reason(action, setting("other", value=1), **attributes)


def test_a_record_over_400_kb_fails() -> None:
    text = "x" * 200_000
    assert "the record would have" in reason(setting("copy", attribute="t"), t=text, u="y" * 100_000, v="z" * 5_000)
    assert "a category record would have" in reason(
        creating({"value": "k"}, a={"attribute": "t"}, b={"attribute": "t"}, c={"attribute": "t"}), t=text
    )
    assert "a text of more than" in reason(setting("t", expression="t + t + t"), t=text)


def test_a_record_may_be_filled_to_the_last_byte_that_leaves_room_for_what_the_rule_leaves_on_it() -> None:
    rule = a_rule(setting("new", attribute="t"), {"clear": "t"}, rule_id="a-rule")
    compiled = compile_rule(rule)
    outcomes = []
    for length in range(MAX_ITEM_BYTES - 400, MAX_ITEM_BYTES - 100):
        record = a_record(t="x" * length)
        outcomes.append((length, type(compiled.examine(record))))
    fitting = [length for length, outcome in outcomes if outcome is Effect]
    assert 0 < len(fitting) < len(outcomes)
    assert record_size(replace(a_record(new="x" * fitting[-1]), version=4)) < MAX_ITEM_BYTES


def test_all_that_a_rule_computes_on_a_record_counts_together() -> None:
    numbers = list(range(MAX_ELEMENTS // 4))
    counting = [setting(name, expression="$sum(a)") for name in "pqr"]
    assert set(after(*counting, a=numbers)) == {"a", "p", "q", "r"}
    too_much = f"more than {MAX_ELEMENTS:,} elements"
    assert too_much in reason(*counting, setting("s", expression="$sum(a)"), a=numbers)
    assert too_much in reason(*counting, condition="$sum(a) >= 0", a=numbers)
    assert too_much in reason({"clear": "a"}, condition="1 in a and 2 in a and 'z' not in a and 3 in a", a=numbers)
    # One record has nothing to do with the next.
    compiled = compile_rule(a_rule(*counting))
    assert all(isinstance(compiled.examine(a_record(a=numbers)), Effect) for _ in range(3))


def test_copies_count_too() -> None:
    numbers = list(range(MAX_ELEMENTS // 4))
    assert after(setting("b", attribute="a"), setting("c", attribute="a"), a=numbers)["c"] == numbers
    thrice = [setting(name, attribute="a") for name in "bcd"]
    assert "d cannot be set: it goes through more" in reason(*thrice, a=numbers)
    copies = {f"a{number}": {"attribute": "t"} for number in range(60)}
    assert "goes through more" in reason(creating({"value": "k"}, **copies), t="x" * 300_000)


def test_a_rule_is_compiled_for_the_first_record(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[Rule] = []

    def compiling(rule: Rule) -> evaluation.CompiledRule:
        compiled.append(rule)
        return compile_rule(rule)

    monkeypatch.setattr(evaluation, "compile_rule", compiling)
    examine = examiner_of(a_rule(setting("b", expression="a + 1")))
    assert compiled == []
    assert [examine(a_record(a=1)), examine(a_record(a=2))] == [Effect({"a": 1, "b": 2}), Effect({"a": 2, "b": 3})]
    assert len(compiled) == 1


def test_an_examiner_never_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    refused = examiner_of(a_rule({"clear": "a"}, condition="price >"))(a_record())
    assert isinstance(refused, Failed)
    assert refused.reason.startswith("the rule cannot be read any more: ")

    def fail(_: Rule) -> evaluation.CompiledRule:
        raise RuntimeError

    monkeypatch.setattr(evaluation, "compile_rule", fail)
    assert isinstance(examiner_of(a_rule({"clear": "a"}))(a_record()), Failed)


def test_what_is_created() -> None:
    effect = examined(
        creating({"attribute": "brand"}, name={"attribute": "brand"}, none={"attribute": "nowhere"}),
        creating({"expression": "brand"}, name={"value": "second"}),
        creating({"attribute": "number"}),
        brand="Acme",
        number=Decimal("7.0"),
    )
    assert effect == Effect(None, (Creation("category", "Acme", {"name": "Acme"}), Creation("category", "7", {})))


def test_a_rule_that_is_only_tried_is_never_mistaken_for_the_one_that_is_saved() -> None:
    rule = a_rule(setting("a", value=1))
    tried = a_rule(setting("a", value=2))
    assert compile_rule(tried).examine(a_record()) == Effect({"a": 2})
    assert compile_rule(rule).examine(a_record()) == Effect({"a": 1})


def test_a_rule_that_does_not_parse_is_not_compiled() -> None:
    with pytest.raises(ExpressionRefused):
        compile_rule(a_rule({"clear": "a"}, condition="price >"))


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-99, 99),
    st.decimals(allow_nan=False, allow_infinity=False, places=1, min_value=-99, max_value=99),
    st.text(max_size=4),
    st.lists(st.integers(0, 3), max_size=2),
)
ATTRIBUTES = st.dictionaries(st.sampled_from("abcd"), VALUES)
EXPRESSIONS = st.sampled_from(
    ["a", "a + b", "a * 2", "a / b", "a ?? b", "a.to_str", "a.to_flt", "a > b ? c : d", "$sum([a, b])", "a[0]", "key"]
)
ACTIONS = st.one_of(
    st.builds(lambda name, text: setting(name, expression=text), st.sampled_from("abcd"), EXPRESSIONS),
    st.builds(lambda name, text: setting(name, expression=text, decimals=1), st.sampled_from("abcd"), EXPRESSIONS),
    st.builds(lambda name: {"clear": name}, st.sampled_from("abcd")),
    st.builds(lambda text: creating({"expression": text}, n={"expression": text}), EXPRESSIONS),
)


@given(
    st.lists(ACTIONS, min_size=1, max_size=4, unique_by=lambda one: one.get("set") or one.get("clear") or id(one)),
    st.sampled_from(["true", "a > b", "a == null", "a", "not a", "b.length > 0"]),
    ATTRIBUTES,
)
@settings(max_examples=300, deadline=None)
def test_any_rule_on_any_record(actions: list[dict[str, Any]], condition: str, attributes: dict[str, Any]) -> None:
    """Always an outcome, always the same, and what it says can be stored."""
    rule = a_rule(*actions, condition=condition)
    record = a_record(**attributes)
    before = dict(attributes)
    outcome = compile_rule(rule).examine(record)
    assert outcome == compile_rule(replace(rule, rule_id="again")).examine(record)
    assert record.attributes == before
    if isinstance(outcome, Effect):
        assert outcome.attributes is not None or outcome.creations
        if outcome.attributes is not None:
            assert not same(outcome.attributes, attributes)
            to_item(outcome.attributes)
        for creation in outcome.creations:
            assert creation.key
            to_item(creation.attributes)
