"""docs/rules.md is true: its rules are rules, its expressions come to what it says, and so do its costs."""

from __future__ import annotations

import json
import re
from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from shared.catalog import Record, same
from shared.credits import Action, PriceList
from shared.edits import kept
from shared.rules.attributes import kind_of
from shared.rules.checking import check
from shared.rules.definition import (
    MAX_ACTIONS,
    MAX_DEFINITION_BYTES,
    MAX_TABLE,
    MAX_TEXT,
    ClearAction,
    CreateAction,
    Lookup,
    NewRecord,
    RuleDefinition,
    SetAction,
    Trigger,
)
from shared.rules.evaluation import compile_rule
from shared.rules.expressions import (
    CHARACTERS,
    MAX_BYTES,
    MAX_CHARACTERS,
    MAX_ELEMENTS,
    ExpressionRefused,
    Kind,
    Missing,
    parse,
)
from shared.rules.model import MAX_ALL_TEXT, MAX_RULES, Effect, NoChange, Rule
from shared.rules.planning import firing_of
from tests.support.feeds import ROOT

PAGE = (ROOT / "docs" / "rules.md").read_text(encoding="utf-8")
RULES = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
EXPRESSIONS = PAGE.partition("\n## Expressions\n")[2].partition("\n## When it fires\n")[0]
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def loaded(text: str) -> Any:
    """JSON as the API reads it: numbers exact."""
    return json.loads(text, parse_float=Decimal)


KEY = "DR-1"
ATTRIBUTES: dict[str, Any] = loaded(EXPRESSIONS.partition("```\n")[2].partition("```")[0])
COMES_TO = re.findall(r"\| `([^`|]+)` \| `([^`]+)` \|$", EXPRESSIONS, re.MULTILINE)
MISSES = re.findall(r"\| `([^`|]+)` \| \*(.+)\* \|$", EXPRESSIONS, re.MULTILINE)
REFUSED = re.findall(r"^\| `([^|]+)` \| (.+ \(character \d+\)) \|$", EXPRESSIONS, re.MULTILINE)


def test_the_page_has_examples_of_each_kind() -> None:
    counted = len(RULES), len(COMES_TO), len(MISSES), len(REFUSED)
    assert all(found >= least for found, least in zip(counted, (4, 35, 2, 6), strict=True)), counted


@pytest.mark.parametrize("example", RULES, ids=range(len(RULES)))
def test_an_example_is_a_rule(example: str) -> None:
    definition = RuleDefinition.model_validate(loaded(example))
    assert definition.to_json() == loaded(example)
    # Nothing is wrong with it where all its attributes are there, and their kinds are not known.
    named = dict.fromkeys([*definition.reads, *(definition.trigger.attributes or ())], Kind.UNKNOWN)
    assert check(definition, named) == []
    compile_rule(_rule(definition))


@pytest.mark.parametrize(("text", "result"), COMES_TO)
def test_an_expression_comes_to_what_it_says(text: str, result: str) -> None:
    kinds = {name: kind_of(value) for name, value in ATTRIBUTES.items()}
    assert same(parse(text, kinds).evaluate(KEY, ATTRIBUTES), loaded(result))


@pytest.mark.parametrize(("text", "reason"), MISSES)
def test_an_expression_stumbles_over_what_is_missing(text: str, reason: str) -> None:
    with pytest.raises(Missing) as stumbled:
        parse(text).evaluate(KEY, ATTRIBUTES)
    assert stumbled.value.reason == reason


@pytest.mark.parametrize(("text", "reason"), REFUSED)
def test_an_expression_is_refused_in_these_words(text: str, reason: str) -> None:
    kinds = {name: kind_of(value) for name, value in ATTRIBUTES.items()}
    with pytest.raises(ExpressionRefused) as refused:
        parse(text, kinds)
    assert str(refused.value) == reason


@pytest.mark.parametrize("wrong", ["name.nothing", "$nothing(1)"])
def test_every_method_and_function_is_named(wrong: str) -> None:
    """The refusal of one that is not known lists those that are."""
    with pytest.raises(ExpressionRefused) as refused:
        parse(wrong)
    known = re.findall(r"[.$]\w+", refused.value.reason.partition("there are ")[2].partition(". A part")[0])
    assert len(known) > 3
    for name in known:
        assert re.search(rf"`{re.escape(name)}[`(]", EXPRESSIONS), name


def test_every_word_of_the_language_is_named() -> None:
    words = re.search(r"^`([a-z ]+)` are words of the language", EXPRESSIONS, re.MULTILINE)
    assert words is not None
    for word in words.group(1).split():
        # As the name of an attribute they are refused, or mean something else.
        named = frozenset[str]()
        try:
            named = parse(word).names
        except ExpressionRefused:
            continue
        assert named == frozenset(), word


@pytest.mark.parametrize("model", [RuleDefinition, Trigger, SetAction, ClearAction, CreateAction, NewRecord, Lookup])
def test_every_field_is_named(model: type) -> None:
    for name in model.model_fields:  # type: ignore[attr-defined]
        assert re.search(rf'[`"]{name}[`"]', PAGE), f"{model.__name__}.{name}"


def test_the_limits_are_those_of_the_code() -> None:
    limits = PAGE.partition("\n## Limits\n")[2]
    assert f"| rules of a workspace | {MAX_RULES} |" in limits
    assert f"| a definition, as JSON | {MAX_DEFINITION_BYTES // 1024} KB |" in limits
    assert f"| {MAX_ACTIONS}; 100; 100 |" in limits
    assert f"| entries of a `table` | {MAX_TABLE:,} |" in limits
    assert f"{MAX_CHARACTERS:,} characters" in limits
    assert (
        f"| all expressions of a rule; of a workspace's rules | {MAX_TEXT:,} characters; {MAX_ALL_TEXT:,} |" in limits
    )
    assert f"| {MAX_ELEMENTS:,} elements of lists and maps, texts of {MAX_BYTES:,} characters (below) |" in limits
    assert f"every {CHARACTERS} characters count as one element" in limits


def test_the_example_costs_what_it_says() -> None:
    costs = PAGE.partition("\n## What it costs\n")[2].partition("\n## No runaway\n")[0]
    definition = RuleDefinition.model_validate(loaded(costs.partition("```json\n")[2].partition("```")[0]))
    examine = compile_rule(_rule(definition)).examine
    counted: Counter[str] = Counter()
    prices = PriceList()
    for number in range(1_000):
        price = number % 10 * 10
        band = "premium" if price == 90 else "standard"
        record = _product(f"P-{number:04d}", price=Decimal(price), band=band)
        match examine(record):
            case Effect() as effect:
                firing = firing_of(record, effect, (), depth=1, trigger="")
                assert firing is not None
                counted["fired"] += firing.actions[Action.RULE_FIRED]
                counted["updated"] += firing.actions[Action.RECORD_UPDATED]
                counted["credits"] += prices.cost(firing.actions)
            case NoChange():
                counted["unchanged"] += 1
            case _:
                counted["no_match"] += 1
    fired, unchanged = counted["fired"], counted["unchanged"]
    assert f"| the condition does not hold | {counted['no_match']} | 0 |" in costs
    assert f"| it holds, and the band is `premium` already | {unchanged} | 0 |" in costs
    assert f"{fired} firings | {fired} | {fired} |" in costs
    assert f"| records that the firings change | {counted['updated']} | {counted['updated']} |" in costs
    assert f"| in all | | {1 + 1_000 + counted['credits']:,} |" in costs
    previewed = f'"matched": {fired + unchanged}, "would_fire": {fired}, "would_update": {counted["updated"]}'
    assert previewed in PAGE
    assert f'"unchanged": {unchanged}, "failed": 0, "credits": {counted["credits"]}' in PAGE


def _rule(definition: RuleDefinition) -> Rule:
    return Rule(
        workspace_id="ws_1",
        rule_id="documented",
        definition=definition,
        version=1,
        created_at=NOON,
        updated_at=NOON,
    )


def _product(key: str, **attributes: Any) -> Record:
    return Record(
        workspace_id="ws_1",
        entity="product",
        key=key,
        attributes=kept(attributes),
        version=1,
        created_at=NOON,
        updated_at=NOON,
        operation_id=None,
    )
