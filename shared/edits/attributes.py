"""Which attributes a record may be given: what DynamoDB keeps exactly, within the bounds that feeds have too."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from shared.feeds.exact_numbers import NotANumberHere, checked
from shared.feeds.limits import DEFAULT_LIMITS

MAX_DEPTH = DEFAULT_LIMITS.max_depth
MAX_NAME = DEFAULT_LIMITS.max_column_name


class AttributeRefused(ValueError):
    """A value or a name that cannot be kept. `place` leads to it: `dimensions.0.width`."""

    def __init__(self, place: tuple[str, ...], reason: str) -> None:
        super().__init__(reason)
        self.place = place
        self.reason = reason


def kept(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes as they are stored: numbers spelled so that DynamoDB takes them, nothing else changed.

    Raises AttributeRefused for the first that cannot be.
    """
    return _kept_map(attributes, (), MAX_DEPTH)


def merge(current: Any, patch: Mapping[str, Any]) -> dict[str, Any]:
    """The patch laid over the current value: null removes, maps are merged, all else is replaced (RFC 7396)."""
    merged = dict(current) if isinstance(current, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        elif isinstance(value, Mapping):
            merged[name] = merge(merged.get(name), value)
        else:
            merged[name] = value
    return merged


def _kept_map(values: Mapping[str, Any], place: tuple[str, ...], depth: int) -> dict[str, Any]:
    if depth < 1:
        raise AttributeRefused(place, f"Input should not be nested more than {MAX_DEPTH} deep")
    return {_name(name, place): _kept(value, (*place, name), depth) for name, value in values.items()}


def _kept(value: Any, place: tuple[str, ...], depth: int) -> Any:
    """`depth` is how many levels the value's surroundings may still have, themselves included."""
    if isinstance(value, str):
        return _text(value, place)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | Decimal):
        try:
            return checked(value)
        except NotANumberHere as problem:
            raise AttributeRefused(place, f"Input should not be {problem}") from problem
    if isinstance(value, Mapping):
        return _kept_map(value, place, depth - 1)
    if depth <= 1:
        raise AttributeRefused(place, f"Input should not be nested more than {MAX_DEPTH} deep")
    return [_kept(element, (*place, str(number)), depth - 1) for number, element in enumerate(value)]


def _name(name: str, place: tuple[str, ...]) -> str:
    if not name or name.isspace():
        raise AttributeRefused(place, "Input should not hold an attribute without a name")
    if len(name) > MAX_NAME:
        reason = f"Input should not hold a name of {len(name):,} characters; at most {MAX_NAME:,} are kept"
        raise AttributeRefused(place, reason)
    return _text(name, place)


def _text(text: str, place: tuple[str, ...]) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as problem:
        # JSON can spell half of a surrogate pair, UTF-8 cannot.
        reason = "Input should not hold half of a surrogate pair, which is no character"
        raise AttributeRefused(place, reason) from problem
    return text
