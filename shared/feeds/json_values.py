"""What JSON becomes: numbers exact, nothing where null stands, nothing too deep to keep."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NoReturn

from shared.feeds.errors import RowRejected, shortened
from shared.feeds.exact_numbers import NotANumberHere, as_text, checked
from shared.feeds.limits import DEFAULT_LIMITS, Limits

HALF_CHARACTER = "a text holds half of a surrogate pair, which is no character"


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
    except ArithmeticError as problem:  # of Decimal, whose message is the name of a class
        raise RowRejected("expected JSON that can be read: a number has an exponent beyond all range") from problem
    except RecursionError as problem:
        raise RowRejected("expected JSON that can be read: it is nested too deeply") from problem
    except ValueError as problem:  # Python refuses to read more, since that takes time with the square of the digits
        raise RowRejected("expected JSON that can be read: a whole number has more than 4,300 digits") from problem
    if "\\u" in text:
        refuse_half_characters(value)
    return value


def refuse_half_characters(value: Any) -> None:
    r"""Raises RowRejected for half of a surrogate pair ("\ud83d" alone): JSON can spell it, UTF-8 cannot."""
    try:
        json.dumps(value, ensure_ascii=False, default=str).encode()
    except UnicodeEncodeError as problem:
        raise RowRejected(HALF_CHARACTER) from problem
    except RecursionError as problem:
        raise RowRejected("expected JSON that is nested less deeply") from problem


def tidy_item(item: Mapping[str, Any], limits: Limits = DEFAULT_LIMITS) -> dict[str, Any]:
    """The item's attributes: those that are null or blank text are left out. Raises RowRejected.

    A null inside a map is left out too; inside a list it keeps its place, since the places of a list mean something.
    """
    tidied: dict[str, Any] = {}
    max_depth, max_name = limits.max_depth, limits.max_column_name
    for name, value in item.items():
        if not name or name.isspace():
            raise RowRejected("an attribute has no name")
        if len(name) > max_name:
            raise RowRejected(f"an attribute has {name_too_long(name, limits)}")
        # Texts are most of a catalogue.
        if value.__class__ is str:
            if value and not value.isspace():
                tidied[name] = value
        elif value is not None:
            try:
                tidied[name] = tidy_value(value, limits, max_depth)
            except RowRejected as problem:
                raise RowRejected(f"{shortened(name)} {problem.reason}", name) from problem
    return tidied


def tidy_value(value: Any, limits: Limits = DEFAULT_LIMITS, max_depth: int | None = None) -> Any:
    """The same for one value, which may have `max_depth` levels (by default: as many as an item). Raises RowRejected
    with a reason that goes on from the attribute's name."""
    max_depth = limits.max_depth if max_depth is None else max_depth
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
        return [tidy_value(element, limits, max_depth - 1) for element in value]
    tidied = {}
    for name, element in value.items():
        if not name or name.isspace():
            raise RowRejected("holds an attribute without a name")
        if len(name) > limits.max_column_name:
            raise RowRejected(f"holds an attribute with {name_too_long(name, limits)}")
        if element is not None:
            tidied[name] = tidy_value(element, limits, max_depth - 1)
    return tidied


def name_too_long(name: str, limits: Limits) -> str:
    """What is wrong with a name, for a message."""
    return f"a name of {len(name):,} characters, and at most {limits.max_column_name:,} are kept ({shortened(name)})"


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
