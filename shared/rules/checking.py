"""Checks a definition against the attributes that its entity has. Pure.

A catalogue has no schema: what an entity has is put together from its feeds and its records (attributes.py). So a name
that nobody has seen is only warned of, and what cannot be right for the attributes as they are is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from shared.rules.definition import AnyValue, AttributeValue, ExpressionValue, LookupValue, RuleDefinition
from shared.rules.expressions import NOUNS, Expression, ExpressionRefused, Kind, parse

_TEST = frozenset({Kind.BOOLEAN, Kind.UNKNOWN})
_NUMBER = frozenset({Kind.NUMBER, Kind.UNKNOWN})
_NAME = frozenset({Kind.TEXT, Kind.NUMBER, Kind.UNKNOWN})

_MAX_COMPARISONS = 10_000
"""Of names that nobody has seen with names that are known, to find the nearest: about 20 microseconds each. A catalogue
may have a hundred thousand names, and an expression hundreds that are none of them.
"""

_MAX_NEAR_NAME = 64
"""Characters of a name that is compared."""


class RuleRefused(ValueError):
    """A definition that cannot be right. `place` leads to the field, such as `actions.0.to.expression`; `position` is
    that of the character in an expression, from 1 on.
    """

    def __init__(self, place: str, reason: str, position: int | None = None) -> None:
        super().__init__(reason if position is None else f"{reason} (character {position})")
        self.place = place
        self.reason = reason
        self.position = position


@dataclass(frozen=True, slots=True)
class Warning:  # noqa: A001 - what it is called everywhere; the builtin is not used here
    """Something that looks wrong; the rule is saved all the same."""

    place: str
    reason: str

    def __str__(self) -> str:
        return f"{self.place}: {self.reason}"


def check(definition: RuleDefinition, kinds: Mapping[str, Kind]) -> list[Warning]:
    """What looks wrong with the definition, where the entity has attributes of these kinds.

    Raises RuleRefused for the first thing that cannot be right.
    """
    condition = _parsed("condition", definition.condition, kinds)
    _require(condition.kind, _TEST, "condition", "a condition is true or false")
    reading: list[tuple[str, Iterable[str]]] = [
        *((f"trigger.attributes.{number}", [name]) for number, name in enumerate(definition.trigger.attributes or ())),
        ("condition", sorted(condition.names)),
    ]
    for place, value in definition.values():
        reading.append(_check_value(place, value, kinds))
    # What the rule itself writes is there when it looks again.
    return list(_warnings(reading, kinds, set(kinds) | definition.writes))


def _check_value(place: str, value: AnyValue, kinds: Mapping[str, Kind]) -> tuple[str, Iterable[str]]:
    """The names that the value reads, and where."""
    is_key = place.endswith(".create.key")
    match value:
        case ExpressionValue():
            place = f"{place}.expression"
            expression = _parsed(place, value.expression, kinds)
            if value.decimals is not None:
                _require(expression.kind, _NUMBER, place, "only numbers have decimals")
            if is_key:
                _require(expression.kind, _NAME, place, "a key is a text or a number")
            return place, sorted(expression.names)
        case LookupValue():
            place = f"{place}.lookup.of"
            expression = _parsed(place, value.lookup.of, kinds)
            _require(expression.kind, _NAME, place, "what is looked up is a text or a number")
            return place, sorted(expression.names)
        case AttributeValue():
            place = f"{place}.attribute"
            if is_key:
                kind = kinds.get(value.attribute, Kind.UNKNOWN)
                _require(kind, _NAME, place, "a key is a text or a number", position=None)
            return place, [value.attribute]
        case _:
            return place, ()


def _parsed(place: str, text: str, kinds: Mapping[str, Kind]) -> Expression:
    try:
        return parse(text, kinds)
    except ExpressionRefused as refused:
        raise RuleRefused(place, refused.reason, refused.position) from refused


def _require(kind: Kind, fitting: frozenset[Kind], place: str, what: str, position: int | None = 1) -> None:
    if kind not in fitting:
        raise RuleRefused(place, f"{what}, and this is {NOUNS[kind]}", position)


def _warnings(
    reading: Iterable[tuple[str, Iterable[str]]], kinds: Mapping[str, Kind], seen: set[str]
) -> Iterator[Warning]:
    """One for each name that nobody has seen, where it is read first; with what was meant, while that is soon found."""
    known = [name for name in kinds if len(name) <= _MAX_NEAR_NAME]
    left = _MAX_COMPARISONS
    for place, names in reading:
        for name in names:
            if name not in seen:
                seen.add(name)
                near: list[str] = []
                if len(name) <= _MAX_NEAR_NAME and len(known) <= left:
                    left -= len(known)
                    near = get_close_matches(name, known, n=1)
                meant = f"; is {near[0]} meant?" if near else ""
                yield Warning(place, f"no record and no feed has an attribute {name} yet{meant}")
