"""Which attributes can be kept, and how a patch is laid over them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.dynamo.values import from_item, to_item
from shared.edits.attributes import MAX_DEPTH, AttributeRefused, kept, merge

names = st.text(min_size=1, max_size=8).filter(lambda name: not name.isspace())
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**38) + 1, 10**38 - 1),
    st.text(max_size=8),
    st.decimals(-1000, 1000, places=3),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(names, inner, max_size=3)),
    max_leaves=8,
)
documents = st.dictionaries(names, values, max_size=4)


def nested(levels: int, *, lists: bool) -> dict[str, Any]:
    """Attributes of so many levels, themselves the first."""
    value: Any = 1
    for _ in range(levels - 1):
        value = [value] if lists else {"a": value}
    return {"a": value}


@given(documents)
def test_what_is_kept_is_what_was_given_and_comes_back_from_the_table(document: dict[str, Any]) -> None:
    assert kept(document) == document
    assert from_item(to_item(kept(document))) == document


@pytest.mark.parametrize("lists", [True, False])
def test_depth_is_bounded(lists: bool) -> None:
    assert kept(nested(MAX_DEPTH, lists=lists)) == nested(MAX_DEPTH, lists=lists)
    with pytest.raises(AttributeRefused, match="nested more than 30 deep"):
        kept(nested(MAX_DEPTH + 1, lists=lists))


@pytest.mark.parametrize(
    ("attributes", "place", "reason"),
    [
        ({"a": [{"b": Decimal("1e126")}]}, "a.0.b", "beyond the range"),
        ({"a": 10**38 + 1}, "a", "39 digits"),
        ({"a": Decimal("0." + "1" * 39)}, "a", "39 digits"),
        ({"a": {"b": "\ud83d"}}, "a.b", "surrogate"),
        ({"a": {"\udc00": 1}}, "a", "surrogate"),
        ({"": 1}, "", "without a name"),
        ({"a": {" ": 1}}, "a", "without a name"),
        ({"x" * 1025: 1}, "", "1,025 characters"),
    ],
)
def test_what_cannot_be_kept_is_refused_and_its_place_named(
    attributes: dict[str, Any], place: str, reason: str
) -> None:
    with pytest.raises(AttributeRefused, match=reason) as refused:
        kept(attributes)
    assert ".".join(refused.value.place) == place


def test_numbers_are_spelled_so_that_the_table_takes_them() -> None:
    assert kept({"a": Decimal("1" + "0" * 60)}) == {"a": Decimal(10) ** 60}
    assert kept({"a": Decimal("0e-999999")}) == {"a": 0}


@pytest.mark.parametrize(
    ("current", "patch", "after"),
    [
        # RFC 7396, appendix A, as far as a patch is an object.
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_patches_are_merged_as_the_rfc_says(
    current: dict[str, Any], patch: dict[str, Any], after: dict[str, Any]
) -> None:
    before = repr(current)
    assert merge(current, patch) == after
    assert repr(current) == before


@given(documents, documents)
def test_a_patch_laid_twice_is_the_same_as_once(current: dict[str, Any], patch: dict[str, Any]) -> None:
    once = merge(current, patch)
    assert merge(once, patch) == once
