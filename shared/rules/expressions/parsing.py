"""Expressions that were parsed, and which of them are remembered."""

from __future__ import annotations

import functools
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import Any

from shared.rules.expressions.kinds import ExpressionRefused, Kind
from shared.rules.expressions.values import Reference, Subject, as_kept, bounded, exact
from shared.rules.expressions.words import Word, words_of

MAX_REMEMBERED = 500_000
"""Characters of all expressions that are remembered: what is made of them takes some 150 times as much, 77 MB. The
rules of a workspace usually have 20,000; they have 100,000 at most, and then 142,000 with what is counted besides.
"""

_AT_LEAST = 20
"""Characters that are counted for an expression besides its own: the shortest takes some room too."""


@dataclass(frozen=True, slots=True)
class Expression:
    """An expression that was parsed. `names` are the attributes that it reads; the record's key is none."""

    text: str
    names: frozenset[str]
    kind: Kind
    root: Any = field(repr=False, compare=False)
    """Its node: what rule-engine made of it."""

    def evaluate(self, key: str, attributes: Mapping[str, Any]) -> Any:
        """Its value for a record: the same for the same record. Raises EvaluationFailed, and nothing else.

        Numbers are computed with 38 digits, as DynamoDB keeps them; where one must be rounded to that, a half goes to
        the even digit.
        """
        return self.value_for(Subject(key, attributes))

    def value_for(self, subject: Subject) -> Any:
        """The same, where several expressions are computed for a record: what they go through is counted in all."""
        with exact():
            value = bounded(self.root.evaluate(subject))
            subject.spend_on_result(value)
            return as_kept(value)


class Memory:
    """Expressions that were parsed, the latest used last: as many as come to `MAX_REMEMBERED` characters. Not a number
    of them, as functools.lru_cache counts: of so many short ones there is need, and of so many long ones no room.
    """

    def __init__(self) -> None:
        self._expressions: OrderedDict[str, Expression] = OrderedDict()
        self._characters = 0
        self._lock = Lock()

    def find(self, text: str) -> Expression | None:
        with self._lock:
            if text in self._expressions:
                self._expressions.move_to_end(text)
            return self._expressions.get(text)

    def keep(self, expression: Expression) -> None:
        with self._lock:
            if expression.text not in self._expressions:
                self._expressions[expression.text] = expression
                self._characters += _AT_LEAST + len(expression.text)
            while self._characters > MAX_REMEMBERED:
                forgotten, _ = self._expressions.popitem(last=False)
                self._characters -= _AT_LEAST + len(forgotten)


_memory = Memory()


def parse(text: str, kinds: Mapping[str, Kind] | None = None) -> Expression:
    """Reads an expression. With `kinds`, what does not fit the kinds of attributes is refused; others are unknown.

    Raises ExpressionRefused. Those that were used last are remembered.
    """
    expression = _memory.find(text)
    if expression is None:
        expression = _parsed(text)
        _memory.keep(expression)
    if kinds is None:
        return expression
    known = [(name, kinds[name]) for name in sorted(expression.names) if kinds.get(name, Kind.UNKNOWN) != Kind.UNKNOWN]
    return replace(expression, kind=_kind_of(text, tuple(known))) if known else expression


def names_in(text: str) -> frozenset[str]:
    """The attributes that an expression reads. What does not parse reads nothing; checking it is what refuses it."""
    try:
        return parse(text).names
    except ExpressionRefused:
        return frozenset()


def _parsed(text: str) -> Expression:
    words = words_of(text)
    references = (word.value for word in words if isinstance(word.value, Reference))
    names = frozenset(reference.name for reference in references if not reference.is_key)
    root, kind = _built(text, words, {})
    return Expression(text, names, kind, root)


@functools.lru_cache(maxsize=4_096)
def _kind_of(text: str, kinds: tuple[tuple[str, Kind], ...]) -> Kind:
    """The kind that the expression has when its attributes are of these kinds. Raises ExpressionRefused."""
    _, kind = _built(text, words_of(text), dict(kinds))
    return kind


def _built(text: str, words: Sequence[Word], kinds: Mapping[str, Kind]) -> tuple[Any, Kind]:
    # Here, because it takes longer than all else that a function does when it starts; and most never parse anything.
    from shared.rules.expressions.grammar import built  # noqa: PLC0415

    return built(text, words, kinds)
