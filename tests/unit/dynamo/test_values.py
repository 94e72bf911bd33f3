"""Values round trip exactly, and their size is what DynamoDB counts, or a little more."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from hypothesis import given
from hypothesis import strategies as st

from shared.dynamo.values import from_attribute, from_item, item_size, to_attribute, to_item, value_size

NUMBERS = st.integers(-(10**37), 10**37) | st.decimals(
    min_value=Decimal("-1E20"), max_value=Decimal("1E20"), places=6, allow_nan=False, allow_infinity=False
)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


@given(VALUES)
def test_values_come_back_as_they_were(value: Any) -> None:
    assert from_attribute(to_attribute(value)) == value
    assert to_attribute(from_attribute(to_attribute(value))) == to_attribute(value)


@given(st.dictionaries(TEXT, VALUES, max_size=4))
def test_items_are_spelled_as_boto3_spells_them(values: dict[str, Any]) -> None:
    boto3_item = {name: TypeSerializer().serialize(value) for name, value in values.items()}
    # boto3 keeps the exponent of a number; DynamoDB does not mind.
    assert {name: TypeDeserializer().deserialize(value) for name, value in to_item(values).items()} == {
        name: TypeDeserializer().deserialize(value) for name, value in boto3_item.items()
    }
    assert from_item(to_item(values)) == values


def test_kinds_are_kept() -> None:
    for value in (1, Decimal("1.50"), True, "1", None, [], {}, [1, [True]], {"a": {"b": Decimal("0.1")}}):
        back = from_attribute(to_attribute(value))
        assert (back, type(back)) == (value, type(value))
    assert from_attribute(to_attribute((1, 2))) == [1, 2]
    assert str(from_attribute({"N": "19.90"})) == "19.90"
    assert from_attribute({"N": "-7"}) == -7


@pytest.mark.parametrize("value", [1.5, b"bytes", {1, 2}, object(), [0.1], {"a": {"b": 2.0}}])
def test_what_dynamodb_cannot_keep_exactly_is_refused(value: Any) -> None:
    with pytest.raises(TypeError, match="cannot be stored"):
        to_attribute(value)
    with pytest.raises(TypeError, match="cannot be stored"):
        value_size(value)


def test_attributes_of_other_systems_are_refused() -> None:
    with pytest.raises(TypeError, match="kind B"):
        from_attribute({"B": b""})


def documented_size(value: Any) -> int:
    """By the rules of "DynamoDB item sizes and formats": leading and trailing zeros of a number do not count."""
    if value is None or isinstance(value, bool):
        return 1
    if isinstance(value, str):
        return len(value.encode())
    if isinstance(value, int | Decimal):
        digits = "".join(map(str, Decimal(value).as_tuple().digits)).strip("0")
        return (len(digits) + 1) // 2 + 1 + (value < 0)
    if isinstance(value, list):
        return 3 + sum(1 + documented_size(element) for element in value)
    return 3 + sum(1 + len(name.encode()) + documented_size(element) for name, element in value.items())


def numbers_in(value: Any) -> int:
    if isinstance(value, dict | list):
        return sum(map(numbers_in, value.values() if isinstance(value, dict) else value))
    return not isinstance(value, bool) and isinstance(value, int | Decimal)


@given(st.dictionaries(TEXT, VALUES, max_size=4))
def test_sizes_are_never_too_small_and_only_numbers_are_rounded_up(values: dict[str, Any]) -> None:
    real = sum(len(name.encode()) + documented_size(value) for name, value in values.items())
    counted = item_size(values)
    # A number has at most 38 digits, zeros included: 21 bytes.
    assert real <= counted <= real + 21 * numbers_in(list(values.values()))


@pytest.mark.parametrize(
    ("values", "size"),
    [
        ({"pk": "abc"}, 5),
        ({"pk": "ünï"}, 7),
        ({"é": True}, 3),
        ({"a": None}, 2),
        ({"a": []}, 4),
        ({"a": {}}, 4),
        ({"a": ["xy", True]}, 1 + 3 + 3 + 2),
        ({"a": {"bc": "xyz"}}, 1 + 3 + 1 + 2 + 3),
    ],
)
def test_sizes_without_numbers_are_exact(values: dict[str, Any], size: int) -> None:
    assert item_size(values) == size
