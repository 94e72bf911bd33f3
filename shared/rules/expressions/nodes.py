"""Nodes that take the place of rule-engine's own, which go through whole lists, also where one element is wanted.

They come to the same, and count what they go through. What is computed as an expression is read has no subject: then it
is of a few literals, and nothing is counted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from rule_engine import ast, errors
from rule_engine.types import is_integer_number

from shared.rules.expressions.functions import FUNCTIONS, METHODS
from shared.rules.expressions.values import Subject


class _Item(ast.GetItemExpression):  # type: ignore[misc]
    """`a[b]`, which takes no time."""

    def evaluate(self, thing: Subject | None) -> Any:
        container = self.container.evaluate(thing)
        if container is None:
            return None
        place = self.item.evaluate(thing)
        if isinstance(container, Mapping):
            _spend_on(thing, place)
            return container.get(place)
        place = _whole(place)
        try:
            return container[place]
        except IndexError:
            return None


class _Slice(ast.GetSliceExpression):  # type: ignore[misc]
    """`a[b:c]`: what it has is made anew, but not what that is made of."""

    def evaluate(self, thing: Subject | None) -> Any:
        container = self.container.evaluate(thing)
        if container is None:
            return None
        start, stop = self.start.evaluate(thing), self.stop.evaluate(thing)
        places = slice(_whole(start), None if stop is None else _whole(stop))
        if isinstance(container, str | tuple) and thing is not None:
            spend = thing.spend_on_text if isinstance(container, str) else thing.spend
            spend(len(range(*places.indices(len(container)))))
        return container[places]


class _Contains(ast.ContainsExpression):  # type: ignore[misc]
    """`a in b`: goes through lists and texts, and looks up a name in a map."""

    def evaluate(self, thing: Subject | None) -> bool:
        container = self.container.evaluate(thing)
        member = self.member.evaluate(thing)
        if isinstance(container, str):
            if not isinstance(member, str):
                raise errors.EvaluationError("data type mismatch")
            if thing is not None:
                thing.spend_on_search(member, container)
        else:
            _spend_on(thing, member)
            if not isinstance(container, Mapping):
                _spend_on(thing, container)
        return bool(member in container)


class _Equality(ast.ComparisonExpression):  # type: ignore[misc]
    """`a == b` and `a != b`."""

    def _op_eq(self, thing: Subject | None) -> bool:
        left, right = self.left.evaluate(thing), self.right.evaluate(thing)
        return left.__class__ is right.__class__ and _equal(thing, left, right)

    def _op_ne(self, thing: Subject | None) -> bool:
        return not self._op_eq(thing)


class _Method(ast.GetAttributeExpression):  # type: ignore[misc]
    """`a.b`: how long an attribute of the record is can be told without reading it."""

    def evaluate(self, thing: Subject | None) -> Any:
        reference = getattr(self.object, "reference", None)
        if self.name in _MEASURES and reference is not None and thing is not None:
            value = thing.unread(reference)
            if isinstance(value, list | tuple | Mapping):
                return _MEASURES[self.name](value)
        return super().evaluate(thing)


class _Call(ast.FunctionCallExpression):  # type: ignore[misc]
    """A function of numbers, or a method that takes a text."""

    def evaluate(self, thing: Subject | None) -> Any:
        function = self.function.evaluate(thing)
        (argument,) = (each.evaluate(thing) for each in self.arguments)
        if function is abs:
            fits = isinstance(argument, Decimal)
        elif function in _OF_LISTS:
            fits = isinstance(argument, tuple)
            if fits and thing is not None:
                thing.spend(len(argument))
            fits = fits and all(each.__class__ is Decimal for each in argument)
        else:
            fits = isinstance(argument, str)
        if not fits:
            raise errors.EvaluationError("data type mismatch")
        result = function(argument)
        return result if isinstance(result, bool) else Decimal(result)


_MEASURES: Mapping[str, Callable[[Any], Any]] = {
    name: method.compute for name in ("length", "is_empty") if (method := METHODS[name]).compute is not None
}
_OF_LISTS = frozenset(FUNCTIONS.values()) - {abs}

NODES: Mapping[type, type] = {
    ast.GetItemExpression: _Item,
    ast.GetSliceExpression: _Slice,
    ast.GetAttributeExpression: _Method,
    ast.ContainsExpression: _Contains,
    ast.ComparisonExpression: _Equality,
    ast.FunctionCallExpression: _Call,
}
"""By those that they take the place of."""


def _spend_on(thing: Subject | None, value: Any) -> None:
    if thing is not None:
        thing.spend_on(value)


def _equal(thing: Subject | None, left: Any, right: Any) -> bool:
    if thing is not None:
        if isinstance(left, str) and len(left) == len(right):
            thing.spend_on_text(len(left))
        thing.spend_on(left, right)
    return bool(left == right)


def _whole(place: Any) -> int:
    if not is_integer_number(place):
        raise errors.EvaluationError("data type mismatch (not an integer number)")
    return int(place)
