"""What a record has, as expressions see it and as records keep it; and how numbers are computed."""

from __future__ import annotations

import decimal
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from shared.feeds.exact_numbers import MAX_DIGITS
from shared.rules.expressions.kinds import EvaluationFailed

MAX_BYTES = 400 * 1024
"""Characters of a text, also of one on the way: more fits in no record. A step at most puts two texts together, or
spells one in capitals (up to three times as long), and there are no more steps than words.
"""

MAX_ELEMENTS = 500_000
"""Elements of lists and maps that one evaluation goes through, counted again each time that an attribute is named."""

NUMBERS = decimal.Context(
    prec=MAX_DIGITS,
    rounding=decimal.ROUND_HALF_EVEN,
    Emin=-130,
    Emax=125,
    traps=[decimal.InvalidOperation, decimal.DivisionByZero, decimal.Overflow, decimal.Underflow],
)
"""The numbers of DynamoDB: 38 digits, up to 1E125; what goes beyond is an error, not infinity."""


def exact() -> AbstractContextManager[decimal.Context]:
    """Computes with `NUMBERS` within it, on a copy."""
    return decimal.localcontext(NUMBERS)


@dataclass(frozen=True, slots=True)
class Reference:
    """An attribute that is named, or the record's key."""

    name: str
    is_key: bool = False


class Subject:
    """A record's key and attributes, as expressions see them: what is read is made ready once."""

    __slots__ = ("_attributes", "_elements", "_key", "_ready")

    def __init__(self, key: str, attributes: Mapping[str, Any]) -> None:
        self._key = key
        self._attributes = attributes
        self._elements = 0
        self._ready: dict[str, tuple[Any, int]] = {}

    def read(self, reference: Reference) -> Any:
        if reference.is_key:
            return self._key
        value = self._attributes.get(reference.name)
        kind = value.__class__
        if kind is str or value is None or kind is Decimal or kind is bool:
            return value
        if kind is int:
            return Decimal(value)
        if reference.name not in self._ready:
            self._ready[reference.name] = _ready(value), _elements(value)
        prepared, elements = self._ready[reference.name]
        self._elements += elements
        if self._elements > MAX_ELEMENTS:
            raise EvaluationFailed(f"it goes through more than {MAX_ELEMENTS:,} elements of lists and maps")
        return prepared


def _ready(value: Any) -> Any:
    """Numbers as decimals, lists as tuples, maps in the order of their names: so that equal ones are found equal."""
    if value is None or isinstance(value, str | bool | Decimal):
        return value
    if isinstance(value, int):
        return Decimal(value)
    if isinstance(value, list | tuple):
        return tuple(map(_ready, value))
    if isinstance(value, Mapping):
        return OrderedDict((name, _ready(value[name])) for name in sorted(value))
    raise EvaluationFailed(f"a value of a kind that records do not have ({type(value).__name__})")


def _elements(value: Any) -> int:
    inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
    return 1 + sum(map(_elements, inner))


def bounded(value: Any) -> Any:
    """The value, unless it is a text that fits in no record. Raises EvaluationFailed."""
    if isinstance(value, str) and len(value) > MAX_BYTES:
        raise EvaluationFailed(f"it makes a text of more than {MAX_BYTES:,} characters")
    return value


def as_kept(value: Any) -> Any:
    """A value as records have it."""
    if isinstance(value, Decimal):
        _, _, exponent = value.as_tuple()
        return int(value) if isinstance(exponent, int) and exponent >= 0 else value
    if isinstance(value, list | tuple):
        return [as_kept(one) for one in value]
    if isinstance(value, Mapping):
        return {name: as_kept(one) for name, one in value.items()}
    return value
