"""What the next step of a pass is."""

from __future__ import annotations

from datetime import UTC, datetime

from shared.catalog import Record, cursor_behind
from shared.credits import PriceList
from shared.rules.definition import RuleDefinition
from shared.rules.model import Creation, Effect, Examined, Failed, NoChange, NoMatch, Rule
from shared.rules.passes import steps as pass_steps
from shared.rules.passes.model import PassCounts
from shared.rules.passes.steps import MAX_STEP_RECORDS, Looked, next_step

NOW = datetime(2026, 11, 22, 8, tzinfo=UTC)
PRICES = PriceList()
RULE = Rule(
    workspace_id="ws_1",
    rule_id="sale",
    definition=RuleDefinition.model_validate(
        {"entity": "product", "trigger": {"on": ["schedule"]}, "actions": [{"clear": "old"}]}
    ),
    version=1,
    created_at=NOW,
    updated_at=NOW,
)
CHANGE = Effect({"label": "sale"})


def creating(*keys: str) -> Effect:
    return Effect(None, tuple(Creation("category", key, {}) for key in keys))


def looked(*found: Examined, size: int = 0) -> list[Looked]:
    return [Looked.at(a_record(f"p{number}", size), each) for number, each in enumerate(found)]


def a_record(key: str, size: int = 0) -> Record:
    return Record(
        workspace_id="ws_1",
        entity="product",
        key=key,
        attributes={"text": "x" * size},
        version=1,
        created_at=NOW,
        updated_at=NOW,
        operation_id=None,
    )


def test_records_without_effect_ride_along() -> None:
    step = next_step(RULE, looked(NoMatch(), CHANGE, NoChange(), CHANGE, NoMatch()), (), PRICES)
    assert (step.length, step.places, step.is_full) == (5, (1, 3), False)
    assert step.counts(PRICES) == PassCounts(fired=2, updated=2, unchanged=1, credits=4)


def test_a_step_is_full_with_ninety_six_records() -> None:
    assert not next_step(RULE, looked(*[CHANGE] * 95), (), PRICES).is_full
    assert next_step(RULE, looked(*[CHANGE] * 96), (), PRICES).is_full
    step = next_step(RULE, looked(*[CHANGE] * 97, NoMatch()), (), PRICES)
    assert (step.length, len(step.firings), step.is_full, step.unpaid) == (96, 96, True, None)


def test_a_firing_is_not_cut_in_two() -> None:
    waiting = looked(*[CHANGE] * 95, creating("a"), CHANGE)
    assert next_step(RULE, waiting, (), PRICES).length == 95


def test_a_step_has_four_megabytes_at_most() -> None:
    large = Effect({"text": "x" * 300_000})
    step = next_step(RULE, looked(*[large] * 30), (), PRICES)
    assert (step.length, step.is_full) == (13, True)


def test_so_many_records_without_effect_are_a_step() -> None:
    step = next_step(RULE, looked(*[NoMatch()] * (MAX_STEP_RECORDS + 1)), (), PRICES)
    assert (step.length, step.is_full, step.firings) == (MAX_STEP_RECORDS, True, ())


def test_what_credits_do_not_pay_for_is_left_and_priced() -> None:
    waiting = looked(CHANGE, NoMatch(), creating("a", "b"), CHANGE)
    step = next_step(RULE, waiting, (), PRICES, budget=4)
    assert (step.length, step.places, step.unpaid, step.is_full) == (2, (0,), 3, True)
    assert next_step(RULE, waiting, (), PRICES, budget=5).places == (0, 2)
    nothing = next_step(RULE, waiting, (), PRICES, budget=1)
    assert (nothing.length, nothing.firings, nothing.unpaid) == (0, (), 2)


def test_of_several_that_would_create_the_same_the_first_does() -> None:
    both = Effect({"label": "sale"}, (Creation("category", "a", {}),))
    step = next_step(RULE, looked(creating("a"), creating("a"), both, creating("b")), {("category", "b")}, PRICES)
    assert step.places == (0, 2)
    assert step.counts(PRICES) == PassCounts(fired=2, created=1, updated=1, unchanged=2, credits=4)


def test_one_that_was_cut_off_leaves_its_creation_to_the_next() -> None:
    waiting = looked(CHANGE, creating("a"), creating("a"))
    assert next_step(RULE, waiting, (), PRICES, max_firings=1).counts(PRICES) == PassCounts(
        fired=1, updated=1, credits=2
    )
    assert next_step(RULE, waiting[1:], (), PRICES).places == (0,)


def test_failures_are_named_by_their_place() -> None:
    step = next_step(RULE, looked(CHANGE, Failed("division by zero"), CHANGE), (), PRICES)
    ((index, failure),) = step.failures
    assert (index, failure.reason, failure.trigger) == (1, "division by zero", cursor_behind("p1"))
    assert next_step(RULE, looked(CHANGE, CHANGE, Failed("x")), (), PRICES, budget=2).failures == ()


def test_what_no_transaction_holds_fails() -> None:
    too_large = Effect({"text": "x" * 500_000})
    many = Effect(None, tuple(Creation("category", f"c{n}", {"text": "x" * 390_000}) for n in range(12)))
    step = next_step(RULE, looked(too_large, many, CHANGE), (), PRICES)
    assert [index for index, _ in step.failures] == [0, 1]
    assert "409,600" in step.failures[0][1].reason
    assert "can be written at once" in step.failures[1][1].reason
    assert step.places == (2,)


def test_what_waits_without_effect_holds_little() -> None:
    (small,) = looked(NoMatch(), size=10_000)
    assert small.record.attributes == {}
    assert small.cursor == cursor_behind("p0")
    assert pass_steps.MAX_STEP_RECORDS >= 1_000
