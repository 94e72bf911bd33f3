"""Python values to DynamoDB's attribute values and back, and their size as DynamoDB counts it.

boto3's TypeSerializer does this too, but reads every number back as a Decimal, so that each count in each item would
have to be turned into an int again by whoever reads it. Numbers here are int and Decimal as they were written, never
float: DynamoDB keeps 38 significant digits exactly (AWS documentation, "Naming rules and data types in DynamoDB").
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from shared.keys import AttributeValue, Item

MAX_ITEM_BYTES = 400 * 1024


def to_attribute(value: Any) -> AttributeValue:
    """Raises TypeError for a value that DynamoDB cannot keep exactly (a float, a date, an object)."""
    match value:
        case str():
            return {"S": value}
        case bool():
            return {"BOOL": value}
        case int() | Decimal():
            return {"N": str(value)}
        case None:
            return {"NULL": True}
        case list() | tuple():
            return {"L": [to_attribute(element) for element in value]}
        case Mapping():
            return {"M": to_item(value)}
        case _:
            raise TypeError(f"{type(value).__name__} cannot be stored: {value!r}")


def to_item(values: Mapping[str, Any]) -> Item:
    return {name: to_attribute(value) for name, value in values.items()}


def from_attribute(attribute: AttributeValue) -> Any:
    ((kind, value),) = attribute.items()
    match kind:
        case "S" | "BOOL":
            return value
        case "N":
            return int(value) if value.lstrip("-").isdigit() else Decimal(value)
        case "M":
            return from_item(value)
        case "L":
            return [from_attribute(element) for element in value]
        case "NULL":
            return None
        case _:
            raise TypeError(f"attribute values of kind {kind} are not written by this system")


def from_item(item: Mapping[str, AttributeValue]) -> dict[str, Any]:
    return {name: from_attribute(attribute) for name, attribute in item.items()}


def value_size(value: Any) -> int:
    """Bytes of a value as DynamoDB counts them (AWS documentation, "DynamoDB item sizes and formats")."""
    match value:
        case str():
            return len(value) if value.isascii() else len(value.encode())
        case bool() | None:
            return 1
        case int() | Decimal():
            # One byte for each two significant digits and one more; a second more covers sign and odd digits.
            return len(str(value)) // 2 + 2
        case list() | tuple():
            return 3 + sum(1 + value_size(element) for element in value)
        case Mapping():
            return 3 + sum(1 + len(name.encode()) + value_size(element) for name, element in value.items())
        case _:
            raise TypeError(f"{type(value).__name__} cannot be stored: {value!r}")


def item_size(values: Mapping[str, Any]) -> int:
    """Bytes of an item: its names and values. At most `MAX_ITEM_BYTES` fit."""
    return sum(len(name.encode()) + value_size(value) for name, value in values.items())
