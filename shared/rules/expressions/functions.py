"""The methods and functions of the language: what each is of, what it gives, and how."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from shared.feeds.exact_numbers import NotANumberHere, as_text, parse_decimal
from shared.rules.expressions.kinds import EvaluationFailed, Kind, Sort, shortened

TEXT: frozenset[Sort] = frozenset({Kind.TEXT})
NUMBER: frozenset[Sort] = frozenset({Kind.NUMBER})
LIST: frozenset[Sort] = frozenset({Kind.LIST})
COLLECTION: frozenset[Sort] = frozenset({Kind.TEXT, Kind.LIST, Kind.MAP})


@dataclass(frozen=True, slots=True)
class Method:
    """What follows a point."""

    of: frozenset[Sort]
    gives: Kind
    compute: Callable[[Any], Any] | None = None
    """How, where rule-engine's own does not do."""
    goes_through: bool = False
    """Whether it looks at each character of a text."""
    called: bool = False
    """Whether it takes a text in parentheses. What it is computed to takes that then."""


def _to_number(value: Any) -> Decimal:
    if isinstance(value, Decimal):
        return value
    try:
        return Decimal(parse_decimal(value.strip()))
    except NotANumberHere as problem:
        raise EvaluationFailed(f'"{shortened(value)}" is no number') from problem


def _to_whole_number(value: Any) -> Decimal:
    number = _to_number(value)
    if number != number.to_integral_value():
        raise EvaluationFailed(f"{as_text(number)} is no whole number")
    return number


def _to_text(value: Any) -> str:
    return value if isinstance(value, str) else as_text(value)


METHODS: Mapping[str, Method] = {
    "length": Method(COLLECTION, Kind.NUMBER, lambda value: Decimal(len(value))),
    "is_empty": Method(COLLECTION, Kind.BOOLEAN, lambda value: not value),
    "starts_with": Method(TEXT, Kind.BOOLEAN, lambda value: value.startswith, called=True),
    "ends_with": Method(TEXT, Kind.BOOLEAN, lambda value: value.endswith, called=True),
    "as_lower": Method(TEXT, Kind.TEXT, str.lower, goes_through=True),
    "as_upper": Method(TEXT, Kind.TEXT, str.upper, goes_through=True),
    "to_str": Method(TEXT | NUMBER, Kind.TEXT, _to_text),
    "to_flt": Method(TEXT | NUMBER, Kind.NUMBER, _to_number, goes_through=True),
    "to_int": Method(TEXT | NUMBER, Kind.NUMBER, _to_whole_number, goes_through=True),
    "floor": Method(NUMBER, Kind.NUMBER),
    "ceiling": Method(NUMBER, Kind.NUMBER),
}

FUNCTIONS: Mapping[str, Callable[..., Any]] = {"$abs": abs, "$max": max, "$min": min, "$sum": sum}
"""`$abs` takes a number, the others a list of numbers; all give a number."""
