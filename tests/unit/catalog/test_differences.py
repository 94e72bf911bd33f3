"""What an automated write would change (design section 6): owned attributes only, by value."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.catalog import differs, merged
from shared.catalog.differences import same
from shared.dynamo.values import from_attribute, to_attribute

NAMES = st.sampled_from("abcdef")
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.sampled_from([Decimal("1.0"), Decimal("0.5")])
    | st.text(max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)
ATTRIBUTES = st.dictionaries(NAMES, VALUES, max_size=5)
OWNED = st.sets(NAMES)


@pytest.mark.parametrize(
    ("one", "other", "are_same"),
    [
        (1, Decimal("1.0"), True),
        (Decimal("1.10"), Decimal("1.1"), True),
        (0, False, False),
        (1, True, False),
        (1, "1", False),
        ("", None, False),
        ([], {}, False),
        ([], None, False),
        ((1, 2), [1, Decimal(2)], True),
        ([1, 2], [2, 1], False),
        ([1], [1, 1], False),
        ({"a": 1, "b": [True]}, {"b": [True], "a": Decimal("1.00")}, True),
        ({"a": 1}, {"a": True}, False),
        ({"a": None}, {}, False),
        ("é", "e\u0301", False),
    ],
)
def test_same(one: Any, other: Any, *, are_same: bool) -> None:
    assert same(one, other) is same(other, one) is are_same


@given(VALUES)
def test_what_was_stored_and_read_is_the_same(value: Any) -> None:
    assert same(value, from_attribute(to_attribute(value)))


@pytest.mark.parametrize(
    ("current", "wanted", "owned", "changes"),
    [
        ({"a": 1, "x": 9}, {"a": 1}, ["a"], False),
        ({"a": 1, "x": 9}, {"a": 2}, ["a"], True),
        ({"a": 1, "b": 2}, {"a": 1}, ["a"], False),
        ({"a": 1, "b": 2}, {"a": 1}, ["a", "b"], True),
        ({"a": 1}, {"a": 1}, ["a", "b"], False),
        ({}, {"a": None}, ["a"], True),
        ({"a": None}, {}, ["a"], True),
        ({}, {}, ["a"], False),
    ],
)
def test_differs(current: dict[str, Any], wanted: dict[str, Any], owned: list[str], *, changes: bool) -> None:
    assert differs(current, wanted, owned) is changes


@given(ATTRIBUTES, ATTRIBUTES, OWNED)
def test_a_write_that_differs_changes_something_and_no_other_does(
    current: dict[str, Any], candidate: dict[str, Any], owned: set[str]
) -> None:
    wanted = {name: value for name, value in candidate.items() if name in owned}
    after = merged(current, wanted, owned)
    assert differs(current, wanted, owned) is (not same(current, after))
    assert not differs(after, wanted, owned)
    assert {name: value for name, value in after.items() if name not in owned} == {
        name: value for name, value in current.items() if name not in owned
    }
    assert {name: value for name, value in after.items() if name in owned} == wanted
