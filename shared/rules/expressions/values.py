"""What a record has, as expressions see it and as records keep it; and how numbers are computed."""

from __future__ import annotations

import decimal
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from shared.feeds.exact_numbers import MAX_DIGITS
from shared.rules.expressions.kinds import EvaluationFailed, TooMuch

MAX_BYTES = 400 * 1024
"""Characters of a text, also of one on the way: more fits in no record. A step at most puts two texts together, or
spells one in capitals (up to three times as long), and there are no more steps than words.
"""

MAX_ELEMENTS = 20_000
"""Elements of lists and maps that a rule goes through on one record, in all that it computes there: each as often as it
is gone through. That takes some hundredths of a second.
"""

CHARACTERS = 100
"""Of a text that is made, searched, compared or set count as one element: that takes as long. To read it takes nothing.
"""

_SHORT_TEXT = 30_000
_SHORT_PIECE = 100
"""Python looks for a piece in a text of fewer characters by trying one place after the other, and compares at each as
much as is alike: it goes through the text as often as the piece has characters, and some hundred times at most. In
longer texts it goes through once or twice.
"""

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
    """A record's key and attributes, as the expressions of one rule see them: what is read is made ready once, and what
    is gone through is counted, for all of them together.
    """

    __slots__ = ("_attributes", "_key", "_ready", "spent")

    def __init__(self, key: str, attributes: Mapping[str, Any]) -> None:
        self._key = key
        self._attributes = attributes
        self._ready: dict[str, Any] = {}
        self.spent = 0
        """Elements that were gone through."""

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
            self.spend(_elements(value, self._left))
            self._ready[reference.name] = _ready(value)
        return self._ready[reference.name]

    def unread(self, reference: Reference) -> Any:
        """What is there, not made ready."""
        return self._key if reference.is_key else self._attributes.get(reference.name)

    def copied(self, name: str) -> Any:
        """The attribute as the record has it, to be set elsewhere."""
        value = self._attributes.get(name)
        self.spend_on_result(value)
        return value

    def spend(self, elements: int) -> None:
        """Counts elements that are about to be gone through. Raises TooMuch."""
        self.spent += elements
        if self.spent > MAX_ELEMENTS:
            what = f"{MAX_ELEMENTS:,} elements of lists and maps"
            raise TooMuch(f"it goes through more than {what} ({CHARACTERS} characters of a text count as one)")

    def spend_on(self, *values: Any) -> None:
        """Counts what is in these values, before each of it is looked at."""
        for value in values:
            self.spend(_elements(value, self._left))

    def spend_on_text(self, characters: int) -> None:
        """Counts so many characters of a text that is about to be made, or gone through."""
        self.spend(characters // CHARACTERS)

    def spend_on_search(self, piece: str, text: str) -> None:
        """Counts what it takes at most to find the piece in the text."""
        again = min(len(text), _SHORT_TEXT) * min(len(piece), _SHORT_PIECE) // 10
        self.spend_on_text(len(text) + again)

    def spend_on_result(self, value: Any) -> None:
        """Counts a value that is to be set. It is gone through again to be checked, compared and measured."""
        self.spend(2 * _elements(value, self._left, with_texts=True))

    @property
    def _left(self) -> int:
        return max(MAX_ELEMENTS - self.spent, 0)


_SINGLE = frozenset({str, Decimal, int, bool, type(None)})


def _elements(value: Any, most: int, *, with_texts: bool = False) -> int:
    """The elements in a value, and in those in turn; no longer counted when there are more than `most`."""
    single = _SINGLE - {str} if with_texts else _SINGLE
    count = 0
    waiting = [value]
    while waiting and count <= most:
        one = waiting.pop()
        inner: Iterable[Any] = ()
        if isinstance(one, str):
            count += len(one) // CHARACTERS if with_texts else 0
        elif isinstance(one, list | tuple | Mapping):
            count += len(one)
            inner = one.values() if isinstance(one, Mapping) else one
        if count <= most:
            waiting.extend(each for each in inner if each.__class__ not in single)
    return count


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
