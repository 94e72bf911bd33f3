"""What values are, how that is called, and how an expression is refused or fails."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """What a value is."""

    NUMBER = "number"
    TEXT = "text"
    BOOLEAN = "boolean"
    LIST = "list"
    MAP = "map"
    UNKNOWN = "unknown"


class ExpressionRefused(ValueError):
    """It is not an expression of the language. `position` is that of a character, counted from 1."""

    def __init__(self, reason: str, position: int | None = None) -> None:
        super().__init__(reason if position is None else f"{reason} (character {position})")
        self.reason = reason
        self.position = position


class EvaluationFailed(Exception):
    """It has no value for this record."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Missing(EvaluationFailed):
    """It needs something that the record does not have."""


class TooMuch(EvaluationFailed):
    """It goes through more than a rule may on one record."""


Sort = str
"""A Kind, or one of the two that no attribute is of: null, and a function."""

NULL = "null"
FUNCTION = "function"

NOUNS: Mapping[Sort, str] = {
    Kind.NUMBER: "a number",
    Kind.TEXT: "a text",
    Kind.BOOLEAN: "true or false",
    Kind.LIST: "a list",
    Kind.MAP: "a map",
    NULL: "null",
    FUNCTION: "a function",
}
"""What a value of a sort is called."""

_SORTS: Mapping[type, Sort] = {
    bool: Kind.BOOLEAN,
    Decimal: Kind.NUMBER,
    int: Kind.NUMBER,
    str: Kind.TEXT,
    list: Kind.LIST,
    tuple: Kind.LIST,
    type(None): NULL,
}


def sort_of(value: Any) -> Sort:
    return Kind.MAP if isinstance(value, Mapping) else _SORTS.get(type(value), FUNCTION)


def spoken(value: Any) -> str:
    """What a value is, in words: `a number`."""
    return NOUNS[sort_of(value)]


def shortened(text: str) -> str:
    """A text as messages quote it: in one line, and of a long one the beginning."""
    tidy = " ".join(text.split())
    return tidy if len(tidy) <= 60 else f"{tidy[:57]}..."
