"""What JSON becomes: numbers exact, nothing where null stands, nothing too deep to keep."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NoReturn

from shared.feeds.errors import RowRejected, shortened
from shared.feeds.exact_numbers import NotANumberHere, as_text, checked
from shared.feeds.limits import DEFAULT_LIMITS


def _no_constant(name: str) -> NoReturn:
    raise RowRejected(f"{name} is not a number that can be kept")


_decode = json.JSONDecoder(parse_float=Decimal, parse_constant=_no_constant).decode


def parse_json(text: str) -> Any:
    """The value that a JSON text holds, with numbers as int and Decimal. Raises RowRejected."""
    try:
        value = _decode(text)
    except json.JSONDecodeError as problem:
        where = f"{problem.msg} at character {problem.colno}"
        raise RowRejected(f"expected JSON: {where} ({shortened(text.strip())})") from problem
    except (RecursionError, ValueError) as problem:
        raise RowRejected(f"expected JSON that can be read: {problem}") from problem
    if "\\u" in text:
        refuse_half_characters(value)
    return value


def refuse_half_characters(value: Any) -> None:
    r"""Raises RowRejected for half of a surrogate pair ("\ud83d" alone): JSON can spell it, UTF-8 cannot."""
    try:
        json.dumps(value, ensure_ascii=False, default=str).encode()
    except UnicodeEncodeError as problem:
        raise RowRejected("a text holds half of a surrogate pair, which is no character") from problem


def tidy_item(item: Mapping[str, Any], max_depth: int) -> dict[str, Any]:
    """The item's attributes: those that are null or blank text are left out. Raises RowRejected.

    A null inside a map is left out too; inside a list it keeps its place, since the places of a list mean something.
    """
    tidied: dict[str, Any] = {}
    for name, value in item.items():
        if not name or name.isspace():
            raise RowRejected("an attribute has no name")
        # Texts are most of a catalogue.
        if value.__class__ is str:
            if value and not value.isspace():
                tidied[name] = value
        elif value is not None:
            try:
                tidied[name] = tidy_value(value, max_depth)
            except RowRejected as problem:
                raise RowRejected(f"{shortened(name)} {problem.reason}", name) from problem
    return tidied


def tidy_value(value: Any, max_depth: int = DEFAULT_LIMITS.max_depth) -> Any:
    """The same for one value. Raises RowRejected with a reason that goes on from the attribute's name."""
    if value is None or isinstance(value, (str, bool)):
        return value
    if isinstance(value, (int, Decimal)):
        try:
            return checked(value)
        except NotANumberHere as problem:
            raise RowRejected(f"holds {problem}") from problem
    if max_depth <= 1:
        raise RowRejected("is nested too deeply")
    if isinstance(value, list):
        return [tidy_value(element, max_depth - 1) for element in value]
    tidied = {}
    for name, element in value.items():
        if not name or name.isspace():
            raise RowRejected("holds an attribute without a name")
        if element is not None:
            tidied[name] = tidy_value(element, max_depth - 1)
    return tidied


def canonical(value: Any) -> str:
    """A text that is the same for equal values, whatever the order of their names and the spelling of their numbers."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, (int, Decimal)):
        return as_text(value)
    if isinstance(value, list):
        return f"[{','.join(map(canonical, value))}]"
    return "{" + ",".join(f"{canonical(name)}:{canonical(value[name])}" for name in sorted(value)) + "}"
