"""What a write did to a record, as rules listen to it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from shared.catalog import Mark, Record
from shared.rules.changes import MAX_NAMES, bounded, change_between, due_depth, is_due, merge_changes, merged
from shared.rules.definition import RuleDefinition
from shared.rules.model import ANY_ATTRIBUTE, Change, Rule

MORNING = datetime(2026, 3, 2, 8, tzinfo=UTC)


def record(version: int = 1, *, created_at: datetime = MORNING, depth: int = 0, **attributes: Any) -> Record:
    return Record(
        workspace_id="ws",
        entity="product",
        key="a",
        attributes=attributes,
        version=version,
        created_at=created_at,
        updated_at=created_at,
        operation_id=None,
        depth=depth,
    )


def rule(*on: str, attributes: list[str] | None = None, entity: str = "product") -> Rule:
    trigger: dict[str, Any] = {"on": list(on)} | ({"attributes": attributes} if attributes else {})
    definition = RuleDefinition.model_validate(
        {"entity": entity, "trigger": trigger, "actions": [{"set": "x", "to": {"value": 1}}]}
    )
    return Rule(
        workspace_id="ws", rule_id="r", definition=definition, version=1, created_at=MORNING, updated_at=MORNING
    )


def change(version: int = 1, **parts: Any) -> Change:
    given: dict[str, Any] = {"workspace_id": "ws", "entity": "product", "key": "a", "created_at": MORNING}
    return Change(**(given | {"appeared": None, "version": version} | parts))


class TestChangeBetween:
    def test_a_record_that_is_new(self) -> None:
        assert change_between(None, record(title="x")) == change(1, appeared=0)

    def test_attributes_that_are_set_changed_and_cleared(self) -> None:
        found = change_between(record(1, kept=1, other=1, gone=1), record(2, kept=Decimal("1.0"), other=2, new=None))
        assert found == change(2, changed={"other": {0: 2}, "gone": {0: 2}, "new": {0: 2}})

    def test_a_write_that_changes_nothing(self) -> None:
        assert change_between(record(1, a=1), record(2, a=1)) is None

    def test_a_record_that_was_made_anew(self) -> None:
        later = MORNING + timedelta(seconds=1)
        assert change_between(record(7, a=1), record(1, created_at=later, a=1)) == change(
            1, appeared=0, created_at=later
        )

    def test_the_depth_is_that_of_the_write(self) -> None:
        found = change_between(record(1, a=1), record(2, a=2, depth=3))
        assert found == change(2, changed={"a": {3: 2}})
        created = change_between(None, record(1, depth=2))
        assert created == change(1, appeared=2)


class TestMerging:
    def test_later_versions_of_an_attribute_count(self) -> None:
        one = change(3, changed={"a": {2: 2}, "b": {0: 3}}, appeared=1)
        other = change(5, changed={"a": {1: 4, 2: 5}}, appeared=0)
        both = change(5, changed={"a": {1: 4, 2: 5}, "b": {0: 3}}, appeared=0)
        assert merge_changes(one, other) == merge_changes(other, one) == both

    def test_of_two_records_of_one_key_the_one_that_came_later_counts(self) -> None:
        made_by_a_slow_clock = change(1, created_at=MORNING - timedelta(milliseconds=5), appeared=0)
        assert merge_changes(change(9, changed={"a": {0: 9}}), made_by_a_slow_clock) == made_by_a_slow_clock

    changes = st.builds(
        change,
        st.integers(1, 9),
        appeared=st.none() | st.integers(0, 5),
        changed=st.dictionaries(st.sampled_from("abc"), st.dictionaries(st.integers(0, 5), st.integers(1, 9))),
    )

    @given(changes, changes, changes)
    def test_the_order_does_not_matter(self, one: Change, other: Change, third: Change) -> None:
        assert merge_changes(one, other) == merge_changes(other, one)
        assert merge_changes(merge_changes(one, other), third) == merge_changes(one, merge_changes(other, third))
        assert merge_changes(one, one) == one

    @given(st.lists(changes, min_size=1, max_size=5), st.integers(0, 9))
    def test_what_is_due_of_a_merged_change_is_what_is_due_of_its_parts(self, parts: list[Change], seen: int) -> None:
        """Whatever was answered does not come again, and nothing gets lost; the depth is that of what is left."""
        marked = replace(record(9), marks={"r": Mark(seen, "op")} if seen else {})
        found = merged(parts)["product", "a"]
        each = [due_depth(rule("created", "updated"), part, marked) for part in parts]
        left = [depth for depth in each if depth is not None]
        assert due_depth(rule("created", "updated"), found, marked) == min(left, default=None)

    def test_one_for_each_record(self) -> None:
        found = merged([change(1, appeared=0), change(1, key="b", appeared=0), change(2, changed={"a": {0: 2}})])
        assert found == {
            ("product", "a"): change(2, appeared=0, changed={"a": {0: 2}}),
            ("product", "b"): change(1, key="b", appeared=0),
        }

    def test_a_change_of_too_many_attributes_counts_for_any(self) -> None:
        few = change(3, changed={f"a{n}": {0: 3} for n in range(MAX_NAMES)})
        assert bounded(few) == few
        many = change(4, changed={f"a{n}": {n % 2: n % 3 + 2} for n in range(MAX_NAMES + 1)})
        assert bounded(many) == change(4, changed={ANY_ATTRIBUTE: {0: 4, 1: 4}})
        long = change(4, changed={"x" * 1000 + str(n): {0: 4} for n in range(5)})
        assert bounded(long).changed == {ANY_ATTRIBUTE: {0: 4}}
        assert is_due(rule("updated", attributes=["price"]), bounded(long), record(4))
        assert not is_due(rule("created"), bounded(long), record(4))


class TestIsDue:
    def test_what_it_listens_to(self) -> None:
        created, updated = change(1, appeared=0), change(2, changed={"price": {0: 2}})
        assert is_due(rule("created"), created, record())
        assert not is_due(rule("created"), updated, record(2))
        assert is_due(rule("updated"), updated, record(2))
        assert not is_due(rule("updated"), created, record())
        assert is_due(rule("updated", attributes=["price"]), updated, record(2))
        assert not is_due(rule("updated", attributes=["title"]), updated, record(2))
        assert not is_due(rule("created", entity="category"), created, record())
        assert not is_due(rule("schedule"), created, record())

    def test_only_what_is_newer_than_its_mark(self) -> None:
        marked = replace(record(4), marks={"r": Mark(3, "op"), "other": Mark(4, "op")})
        assert not is_due(rule("updated"), change(3, changed={"a": {0: 3}}), marked)
        assert not is_due(rule("created"), change(4, appeared=0, changed={"a": {0: 4}}), marked)
        assert is_due(rule("updated"), change(4, changed={"a": {0: 4}}), marked)
        # What changed since is not what it listens to; what it listens to was there when it fired.
        late = change(4, changed={"price": {0: 2}, "title": {0: 4}})
        assert not is_due(rule("updated", attributes=["price"]), late, marked)

    def test_a_change_of_a_record_that_is_gone(self) -> None:
        anew = record(created_at=MORNING + timedelta(seconds=1))
        assert not is_due(rule("created"), change(1, appeared=0), anew)

    def test_the_depth_is_the_least_of_what_is_not_answered(self) -> None:
        both = change(5, changed={"a": {0: 2, 3: 5}})
        assert due_depth(rule("updated"), both, record(5)) == 0
        assert due_depth(rule("updated"), both, replace(record(5), marks={"r": Mark(2, "op")})) == 3
        of_another = change(5, changed={"a": {3: 5}, "of no interest": {0: 4}})
        assert due_depth(rule("updated", attributes=["a"]), of_another, record(5)) == 3
