"""Rules that set each other off: what may come round, and what is shown to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.catalog import Mark, Record
from shared.rules.cycles import (
    MAX_CYCLES,
    MAX_SAMPLE_BYTES,
    Shown,
    Untried,
    cycles_through,
    feeding,
    samples_of,
    shown,
    spelled,
)
from shared.rules.definition import RuleDefinition
from shared.rules.evaluation import CompiledRule
from shared.rules.expressions import Kind
from shared.rules.model import Examined, Rule

NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)
MAX_DEPTH = 5


def a_rule(
    rule_id: str,
    *actions: dict[str, Any],
    on: Sequence[str] = ("updated",),
    attributes: Sequence[str] | None = None,
    entity: str = "product",
    condition: str = "true",
    enabled: bool = True,
    suspended: bool = False,
) -> Rule:
    trigger = {"on": list(on)} | ({} if attributes is None else {"attributes": list(attributes)})
    definition = RuleDefinition.model_validate(
        {"entity": entity, "trigger": trigger, "condition": condition, "actions": list(actions), "enabled": enabled}
    )
    return Rule(
        workspace_id="ws_1",
        rule_id=rule_id,
        definition=definition,
        version=1,
        created_at=NOW,
        updated_at=NOW,
        suspended_at=NOW if suspended else None,
    )


def sets(name: str, expression: str) -> dict[str, Any]:
    return {"set": name, "to": {"expression": expression}}


def creates(entity: str, key: str) -> dict[str, Any]:
    return {"create": {"entity": entity, "key": {"expression": key}, "attributes": {}}}


def a_record(key: str = "sku-1", entity: str = "product", **attributes: Any) -> Record:
    return Record(
        workspace_id="ws_1",
        entity=entity,
        key=key,
        attributes=attributes,
        version=7,
        created_at=NOW,
        updated_at=NOW,
        operation_id=None,
        marks={"a": Mark(6, "op_1"), "b": Mark(7, "op_2")},
        depth=3,
    )


def trial(rules: Sequence[Rule], *samples: Record, max_depth: int = MAX_DEPTH) -> Shown | None:
    found = shown(cycles_through(rules[0], rules), rules, samples, max_depth=max_depth)
    assert not isinstance(found, Untried)
    return found


# Who feeds whom


def test_a_rule_feeds_those_that_listen_to_what_it_writes_but_never_itself() -> None:
    rules = [
        a_rule("a", sets("x", "1"), attributes=["x", "y"]),
        a_rule("b", {"clear": "y"}, attributes=["x"]),
        a_rule("any", sets("z", "1")),
        a_rule("new", sets("x", "1"), on=["created"]),
        a_rule("elsewhere", sets("x", "1"), entity="category"),
    ]
    assert feeding(rules) == {
        "a": ("any", "b"),
        "any": (),
        "b": ("a", "any"),
        "elsewhere": (),
        "new": ("a", "any", "b"),
    }


def test_a_rule_that_creates_feeds_those_that_listen_to_creation() -> None:
    rules = [
        a_rule("a", creates("category", "key")),
        a_rule("b", sets("x", "1"), on=["created"], entity="category"),
        a_rule("c", sets("x", "1"), on=["updated"], entity="category"),
    ]
    assert feeding(rules) == {"a": ("b",), "b": ("c",), "c": ()}


def test_what_does_not_fire_feeds_nobody_and_is_fed_by_nobody() -> None:
    rules = [
        a_rule("a", sets("x", "1")),
        a_rule("b", sets("x", "1"), enabled=False),
        a_rule("c", sets("x", "1"), suspended=True),
        a_rule("d", sets("x", "1"), on=["schedule"]),
    ]
    assert feeding(rules) == {"a": (), "d": ("a",)}


# Cycles


def ring(*names: str) -> list[Rule]:
    """Each sets what the next one listens to."""
    following = (*names[1:], names[0])
    return [
        a_rule(name, sets(f"x_{other}", f"(x_{name} ?? 0) + 1"), attributes=[f"x_{name}"])
        for name, other in zip(names, following, strict=True)
    ]


def test_cycles_begin_with_the_rule_that_is_asked_about() -> None:
    rules = ring("a", "b", "c")
    assert cycles_through(rules[1], rules) == [("b", "c", "a")]
    assert spelled(("b", "c", "a")) == "b -> c -> a -> b"


def test_a_rule_is_looked_at_as_it_is_to_be_beside_the_others_as_they_are() -> None:
    old = a_rule("b", sets("z", "1"), attributes=["x_b"])
    a, new = ring("a", "b")
    assert cycles_through(new, [a, old]) == [("b", "a")]
    assert cycles_through(old, [a, new]) == []
    assert cycles_through(a_rule("b", sets("x_a", "1"), enabled=False), [a]) == []


def test_the_shortest_cycles_come_first_and_each_comes_once() -> None:
    rules = [a_rule(name, sets("x", "1")) for name in "abcd"]
    found = cycles_through(rules[0], rules)
    assert [len(cycle) for cycle in found] == sorted(len(cycle) for cycle in found)
    # Of all the others, so many in each order.
    assert len(found) == len(set(found)) == 3 + 6 + 6
    assert found[:3] == [("a", "b"), ("a", "c"), ("a", "d")]


def test_a_hundred_rules_that_all_feed_each_other_are_looked_at_in_a_moment() -> None:
    rules = [a_rule(f"r{number:03d}", sets("x", "x + 1"), attributes=["x"]) for number in range(100)]
    found = cycles_through(rules[0], rules)
    assert len(found) == MAX_CYCLES
    assert {len(cycle) for cycle in found} == {2, 3}
    assert shown(found, rules, [a_record(x=1)], max_depth=MAX_DEPTH) is not None


def test_a_cycle_of_all_hundred_rules_is_found() -> None:
    rules = ring(*(f"r{number:03d}" for number in range(100)))
    assert [len(cycle) for cycle in cycles_through(rules[0], rules)] == [100]


# Trials


def test_a_cycle_without_end_is_shown_on_an_empty_catalogue() -> None:
    rules = [a_rule("a", sets("a", "b + 1"), attributes=["b"]), a_rule("b", sets("b", "a + 1"), attributes=["a"])]
    found = trial(rules)
    assert found is not None
    assert (found.cycle, found.record_key, found.depth, found.entity) == (("a", "b"), None, MAX_DEPTH, "product")
    assert found.changed in {"a", "b"}


def test_a_cycle_is_shown_on_a_record_of_today_where_there_is_one() -> None:
    rules = [
        a_rule("a", sets("a", "b + 1"), attributes=["b"], condition='status == "odd"'),
        a_rule("b", sets("b", "a + 1"), attributes=["a"]),
    ]
    assert trial(rules) is None
    assert trial(rules, a_record(a=1, b=1, status="even")) is None
    found = trial(rules, a_record("quiet", a=1, b=1), a_record("busy", a=Decimal("1.5"), b=1, status="odd"))
    assert found is not None
    assert found.record_key == "busy"


@pytest.mark.parametrize("length", [2, 3, 4, 8])
def test_rings_are_shown_whatever_their_length(length: int) -> None:
    names = [f"r{number}" for number in range(length)]
    found = trial(ring(*names))
    assert found is not None
    assert found.cycle == tuple(names)
    assert found.depth == max(MAX_DEPTH, 2 * length)


def test_values_that_stay_as_they_are_end_a_cycle() -> None:
    rules = [a_rule("a", sets("a", "b"), attributes=["b"]), a_rule("b", sets("b", "a"), attributes=["a"])]
    assert cycles_through(rules[0], rules) == [("a", "b")]
    assert trial(rules, a_record(a=1, b=2)) is None


def test_a_flag_ends_a_cycle() -> None:
    rules = [
        a_rule("a", sets("price", "price * 2"), sets("done", "true"), condition="done != true"),
        a_rule("b", sets("cost", "price + 1")),
        a_rule("c", sets("price", "price + 0")),
    ]
    assert ("a", "b") in cycles_through(rules[0], rules)
    assert trial(rules, a_record(price=1), a_record(price=3, done=False)) is None


def test_a_condition_ends_a_cycle_before_the_limit_or_too_late() -> None:
    def counting(most: int) -> list[Rule]:
        condition = f"n < {most}"
        return [
            a_rule("a", sets("m", "n + 1"), attributes=["n"], condition=condition),
            a_rule("b", sets("n", "m + 1"), attributes=["m"]),
        ]

    assert trial(counting(4), a_record(n=1, m=1)) is None
    # A hundred rounds are an end too, but the depth limit comes first.
    assert trial(counting(200), a_record(n=1, m=1)) is not None


def test_a_rule_beside_the_cycle_may_end_it() -> None:
    rules = [
        a_rule("a", sets("a", "b + 1"), attributes=["b"], condition="stop != true"),
        a_rule("b", sets("b", "a + 1"), attributes=["a"], condition="stop != true"),
    ]
    assert trial(rules, a_record(a=1, b=1)) is not None
    brake = a_rule("stop", {"set": "stop", "to": {"value": True}}, attributes=["a"])
    assert trial([*rules, brake], a_record(a=1, b=1)) is None


def test_a_cycle_of_others_is_not_taken_for_one_of_the_rule() -> None:
    rules = [
        a_rule("a", sets("x", "1"), attributes=["y"]),
        *ring("b", "c"),
        a_rule("d", sets("y", "1"), attributes=["x"]),
    ]
    assert cycles_through(rules[0], rules) == [("a", "d")]
    assert trial(rules) is None


@pytest.mark.parametrize(("listened", "cycle"), [("x_c", ("a", "b")), ("x_b", ("a", "b", "c"))])
def test_a_rule_that_is_set_off_by_a_cycle_of_others_is_not_part_of_it(listened: str, cycle: tuple[str, ...]) -> None:
    # `b` and `c` go on without `a`, which sets `b` off once.
    rules = [
        a_rule("a", sets("s", "1"), attributes=[listened]),
        a_rule("b", sets("x_c", "x_b + 1"), attributes=["x_b", "s"]),
        a_rule("c", sets("x_b", "x_c + 1"), attributes=["x_c"]),
    ]
    assert cycles_through(rules[0], rules) == [cycle]
    assert trial(rules, a_record(x_b=1, x_c=1)) is None
    assert trial([rules[1], rules[0], rules[2]], a_record(x_b=1, x_c=1)) is not None


def test_creations_that_go_on_are_shown() -> None:
    rules = [
        a_rule("a", creates("category", 'key + "c"'), on=["created"]),
        a_rule("b", creates("product", 'key + "p"'), on=["created"], entity="category"),
    ]
    found = trial(rules)
    assert found is not None
    assert (found.cycle, found.changed) == (("a", "b"), None)


def test_a_creation_whose_place_is_taken_ends_a_cycle() -> None:
    rules = [
        a_rule("a", creates("category", '"all"'), on=["created"]),
        a_rule("b", creates("product", '"first"'), on=["created"], entity="category"),
    ]
    assert cycles_through(rules[0], rules) == [("a", "b")]
    assert trial(rules, a_record()) is None


def test_a_cycle_may_go_through_updates_and_creations() -> None:
    rules = [
        a_rule("a", creates("offer", 'key + "x"'), on=["created", "updated"]),
        a_rule("b", creates("product", 'key + "y"'), sets("seen", "true"), on=["created"], entity="offer"),
    ]
    found = trial(rules, a_record(title="a"))
    assert found is not None
    assert found.record_key == "sku-1"


def test_rules_that_cannot_be_computed_show_nothing() -> None:
    rules = [
        a_rule("a", sets("a", "b / z"), attributes=["b"], condition="z == 0"),
        a_rule("b", sets("b", "a / z"), attributes=["a"], condition="z == 0"),
    ]
    assert cycles_through(rules[0], rules) == [("a", "b")]
    assert trial(rules, a_record(a=1, b=1, z=0)) is None


def test_texts_and_numbers_of_one_cycle_are_told_apart() -> None:
    rules = [
        a_rule("a", sets("title", 'name + "!"'), sets("name", "title"), attributes=["price"]),
        a_rule("b", sets("price", "price + 1"), attributes=["title"], condition="name.length > 0"),
    ]
    assert trial(rules) is not None


def test_what_is_known_of_attributes_makes_up_the_records() -> None:
    rules = [
        a_rule("a", {"set": "a", "to": {"attribute": "b"}}, sets("flip", "not flip"), attributes=["b", "back"]),
        a_rule("b", sets("back", "not flip"), attributes=["flip"]),
    ]
    kinds = {"product": {"flip": Kind.BOOLEAN, "back": Kind.BOOLEAN}}
    cycles = cycles_through(rules[0], rules)
    assert shown(cycles, rules, [], max_depth=MAX_DEPTH, kinds=kinds) is not None


def test_texts_that_double_end_where_no_record_holds_them() -> None:
    names = [f"r{number:02d}" for number in range(40)]
    following = (*names[1:], names[0])
    rules = [
        a_rule(name, sets(f"x_{other}", f"x_{name} + x_{name}"), attributes=[f"x_{name}"])
        for name, other in zip(names, following, strict=True)
    ]
    texts = {f"x_{name}": "a" * 1000 for name in names}
    kinds = {"product": dict.fromkeys(texts, Kind.TEXT)}
    cycles = cycles_through(rules[0], rules)
    assert shown(cycles, rules, [a_record(**texts)], max_depth=MAX_DEPTH, kinds=kinds) is None


def test_the_work_of_trials_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    computed = 0
    examine = CompiledRule.examine

    def counted(rule: CompiledRule, record: Record) -> Examined:
        nonlocal computed
        computed += 1 + len(rule.rule.definition.actions)
        return examine(rule, record)

    monkeypatch.setattr(CompiledRule, "examine", counted)
    # Each copies what the other copies: every beginning settles, and costs.
    names = range(20)
    rules = [
        a_rule("a", *({"set": f"x{number}", "to": {"attribute": f"y{number}"}} for number in names)),
        a_rule("b", *({"set": f"y{number}", "to": {"attribute": f"x{number}"}} for number in names)),
    ]
    values: dict[str, Any] = {f"{letter}{number}": 1 for letter in "xy" for number in names}
    assert trial(rules, *(a_record(f"sku-{number}", **values) for number in range(60))) is None
    assert 9_000 < computed < 10_100


def test_the_time_of_trials_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    computed = 0
    examine = CompiledRule.examine

    def counted(rule: CompiledRule, record: Record) -> Examined:
        nonlocal computed
        computed += 1
        return examine(rule, record)

    monkeypatch.setattr(CompiledRule, "examine", counted)
    rules = [a_rule("a", sets("x", "y + 1")), a_rule("b", sets("y", "x + 1"))]
    cycles = cycles_through(rules[0], rules)

    def found_in(most: int) -> Shown | Untried | None:
        nonlocal computed
        computed = 0
        return shown(cycles, rules, [a_record(x=1, y=1)], max_depth=5, out_of_time=lambda: computed >= most)

    for most in (0, 1, 5):
        assert (found_in(most), computed) == (Untried(), most)
    # What was shown in time is shown.
    assert isinstance(found_in(100), Shown)
    # And what was tried in time is tried.
    assert trial([a_rule("a", sets("x", "y")), a_rule("b", sets("y", "x"))], a_record(x=1, y=1)) is None


def test_large_records_are_not_tried() -> None:
    records = [a_record(f"sku-{size}", text="a" * size) for size in (10, MAX_SAMPLE_BYTES, 20, 30)]
    assert [record.key for record in samples_of(records, 2)] == ["sku-10", "sku-20"]


# Against a simulation that knows nothing of records, marks or changes


@dataclass(frozen=True)
class Small:
    """If `read` < `bound`, set `target` to `read` + `plus`; on a change of `listens`."""

    name: str
    listens: str
    read: str
    bound: int
    target: str
    plus: int

    def rule(self) -> Rule:
        expression = f"{self.read} + {self.plus}"
        condition = f"{self.read} < {self.bound}"
        return a_rule(self.name, sets(self.target, expression), attributes=[self.listens], condition=condition)


NAMES = ["p", "q", "r"]
a_name = st.sampled_from(NAMES)
small_rules = st.lists(
    st.tuples(a_name, a_name, st.sampled_from([3, 6, 1000]), a_name, st.integers(0, 2)), min_size=2, max_size=4
).map(lambda drawn: [Small(f"rule_{number}", *parts) for number, parts in enumerate(drawn)])
some_values = st.fixed_dictionaries(dict.fromkeys(NAMES, st.integers(0, 4)))


def rounds(rules: Sequence[Small], start: Mapping[str, int], changed: str, most: int) -> int:
    """How many rounds of firings there are, each set off by the round before; `most` when there would be more."""
    state: dict[str, int | None] = dict.fromkeys(NAMES) | dict(start)
    moment = 1
    news = [(changed, moment)]
    acted = dict.fromkeys((rule.name for rule in rules), 0)
    for number in range(most):
        written: list[tuple[str, int]] = []
        for rule in rules:
            heard = [at for name, at in news if name == rule.listens and at > acted[rule.name]]
            read = state[rule.read]
            # What is not there is less than nothing.
            if heard and read is not None and read < rule.bound and state[rule.target] != read + rule.plus:
                moment += 1
                state[rule.target] = read + rule.plus
                acted[rule.name] = moment
                written.append((rule.target, moment))
        if not written:
            return number
        news = written
    return most


@given(small_rules, some_values)
@settings(max_examples=300)
def test_what_is_shown_goes_on_and_what_is_not_shown_ends(drawn: list[Small], start: dict[str, int]) -> None:
    rules = [small.rule() for small in drawn]
    cycles = list(dict.fromkeys(cycle for rule in rules for cycle in cycles_through(rule, rules)))
    attributes: dict[str, Any] = {**start}
    found = shown(cycles, rules, [a_record(**attributes)], max_depth=MAX_DEPTH)
    assert not isinstance(found, Untried)
    if found is not None:
        assert found.changed is not None
        begun = {name: int(value) for name, value in found.attributes.items()}
        assert rounds(drawn, begun, found.changed, 50) > found.depth
    else:
        enough = max(MAX_DEPTH, 2 * len(rules)) + len(rules) + 2
        listened = {small.listens for small in drawn if any(small.name in cycle for cycle in cycles)}
        for name in listened:
            for value in (start[name], start[name] + 1):
                assert rounds(drawn, start | {name: value}, name, enough) < enough
