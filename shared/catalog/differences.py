"""What an automated write would change. Pure: the views are read before, the writes are sent after."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

_ABSENT = object()


def same(one: Any, other: Any) -> bool:
    """Whether two attribute values are the same value. 1 and 1.0 are, 1 and true and "1" are not."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(same(value, other[name]) for name, value in one.items())
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return _kind(one) is _kind(other) and bool(one == other)


def merged(current: Mapping[str, Any], wanted: Mapping[str, Any], owned: Iterable[str]) -> dict[str, Any]:
    """The attributes after the write: those that the source owns as it has them, or gone; all others as they are."""
    owned_names = frozenset(owned)
    kept = {name: value for name, value in current.items() if name not in owned_names}
    return kept | dict(wanted)


def differs(current: Mapping[str, Any], wanted: Mapping[str, Any], owned: Iterable[str]) -> bool:
    """Whether the write would change anything: an owned attribute that is new, other or gone."""
    if any(name in current and name not in wanted for name in owned):
        return True
    return any(not same(current.get(name, _ABSENT), value) for name, value in wanted.items())


def _kind(value: Any) -> type:
    # int and Decimal are one kind, numbers; bool is a subclass of int in Python and must not pass as one.
    return Decimal if isinstance(value, int | Decimal) and not isinstance(value, bool) else type(value)
