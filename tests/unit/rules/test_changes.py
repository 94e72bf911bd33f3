"""What a write did to a record, as rules listen to it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from shared.catalog import Mark, Record
from shared.rules.changes import change_between, is_due, merge_changes, merged
from shared.rules.definition import RuleDefinition
from shared.rules.model import Change, Rule

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
    return Change(**(given | {"appeared": False, "version": version} | parts))


class TestChangeBetween:
    def test_a_record_that_is_new(self) -> None:
        assert change_between(None, record(title="x")) == change(1, appeared=True)

    def test_attributes_that_are_set_changed_and_cleared(self) -> None:
        found = change_between(record(1, kept=1, other=1, gone=1), record(2, kept=Decimal("1.0"), other=2, new=None))
        assert found == change(2, changed={"other": 2, "gone": 2, "new": 2})

    def test_a_write_that_changes_nothing(self) -> None:
        assert change_between(record(1, a=1), record(2, a=1)) is None

    def test_a_record_that_was_made_anew(self) -> None:
        later = MORNING + timedelta(seconds=1)
        assert change_between(record(7, a=1), record(1, created_at=later, a=1)) == change(
            1, appeared=True, created_at=later
        )

    def test_the_depth_is_that_of_the_write(self) -> None:
        found = change_between(record(1, a=1), record(2, a=2, depth=3))
        assert found is not None
        assert found.depth == 3


class TestMerging:
    def test_later_versions_of_an_attribute_count(self) -> None:
        one = change(3, changed={"a": 2, "b": 3}, depth=2)
        other = change(5, changed={"a": 5}, depth=1, appeared=True)
        both = change(5, changed={"a": 5, "b": 3}, depth=1, appeared=True)
        assert merge_changes(one, other) == merge_changes(other, one) == both

    def test_of_two_records_of_one_key_the_later_counts(self) -> None:
        later = change(1, created_at=MORNING + timedelta(seconds=1), appeared=True)
        assert merge_changes(change(9, changed={"a": 9}), later) == later
        assert merge_changes(later, change(9, changed={"a": 9})) == later

    changes = st.builds(
        change,
        st.integers(1, 9),
        appeared=st.booleans(),
        depth=st.integers(0, 5),
        created_at=st.sampled_from([MORNING, MORNING + timedelta(1)]),
        changed=st.dictionaries(st.sampled_from("abc"), st.integers(1, 9)),
    )

    @given(changes, changes, changes)
    def test_the_order_does_not_matter(self, one: Change, other: Change, third: Change) -> None:
        assert merge_changes(one, other) == merge_changes(other, one)
        assert merge_changes(merge_changes(one, other), third) == merge_changes(one, merge_changes(other, third))
        assert merge_changes(one, one) == one

    def test_one_for_each_record(self) -> None:
        found = merged([change(1, appeared=True), change(1, key="b", appeared=True), change(2, changed={"a": 2})])
        assert found == {
            ("product", "a"): change(2, appeared=True, changed={"a": 2}),
            ("product", "b"): change(1, key="b", appeared=True),
        }


class TestIsDue:
    def test_what_it_listens_to(self) -> None:
        created, updated = change(1, appeared=True), change(2, changed={"price": 2})
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
        assert not is_due(rule("updated"), change(3, changed={"a": 3}), marked)
        assert not is_due(rule("created"), change(4, appeared=True, changed={"a": 4}), marked)
        assert is_due(rule("updated"), change(4, changed={"a": 4}), marked)
        # What changed since is not what it listens to; what it listens to was there when it fired.
        late = change(4, changed={"price": 2, "title": 4})
        assert not is_due(rule("updated", attributes=["price"]), late, marked)

    def test_a_change_of_a_record_that_is_gone(self) -> None:
        anew = record(created_at=MORNING + timedelta(seconds=1))
        assert not is_due(rule("created"), change(1, appeared=True), anew)
