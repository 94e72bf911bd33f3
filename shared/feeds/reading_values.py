"""Values as a row holds them: found by a column's name, seen as text, turned into the type that is asked for."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from shared.feeds.entities import AttributeDefinition
from shared.feeds.errors import RowRejected, shortened
from shared.feeds.exact_numbers import NotANumberHere, as_text, parse_decimal
from shared.feeds.json_values import parse_json, tidy_value

Values = Mapping[str, Any]
Getter = Callable[[Values], Any]
"""Finds a column's value in a row; None where there is none."""

_TRUE = frozenset({"true", "yes", "y", "1", "on"})
_FALSE = frozenset({"false", "no", "n", "0", "off"})
_GROUPED = re.compile(r"[+-]?\d{1,3}(?:([.,'\u2019 \u00a0\u202f])\d{3})(?:\1\d{3})*(?:[.,]\d+)?")
_SPACES = re.compile(r"['\u2019 \u00a0\u202f]")


def column(name: str) -> Getter:
    """The value of a column. A name with dots is also a way into nested items: `offers.price`, `images.0.src`."""
    if "." not in name:
        return lambda values: values.get(name)
    steps = name.split(".")

    def nested(values: Values) -> Any:
        if name in values:
            return values[name]
        return _walk(values, steps)

    return nested


def _walk(value: Any, steps: Sequence[str]) -> Any:
    for place, step in enumerate(steps):
        if isinstance(value, dict):
            value = value.get(step)
        elif isinstance(value, list):
            if not step.isdigit():
                # A name on a list is asked of each of its elements.
                found = [_walk(element, steps[place:]) for element in value]
                return [element for element in found if element is not None] or None
            value = value[int(step)] if int(step) < len(value) else None
        else:
            return None
    return value


def first_of(names: Sequence[str]) -> Getter:
    """The value of the first of several columns that is not blank."""
    getters = [column(name) for name in names]
    if len(getters) == 1:
        return getters[0]

    def first(values: Values) -> Any:
        for getter in getters:
            value = getter(values)
            if value is not None:
                return value
        return None

    return first


def names_of(source: str | Sequence[str]) -> list[str]:
    """One column or several, as a list."""
    return [source] if isinstance(source, str) else list(source)


def text_of(value: Any) -> str | None:
    """A single value as text: numbers as keys spell them, an XML element by its own text. None for others."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, Decimal)):
        return as_text(value)
    if isinstance(value, dict) and isinstance(value.get("#text"), str):
        text: str = value["#text"]
        return text
    return None


def converter(definition: AttributeDefinition) -> Callable[[Any], Any]:
    """Turns a value into the attribute's type.

    The function raises RowRejected, saying what was expected; it gives None where nothing is left (a list of blanks).
    """
    mark = definition.decimal_mark or "."
    separator = definition.separator or ","
    converters: dict[str | None, Callable[[Any], Any]] = {
        "text": _to_text,
        "integer": lambda value: _to_integer(value, mark),
        "decimal": lambda value: _to_number(value, mark),
        "boolean": _to_boolean,
        "list": lambda value: _to_list(value, separator),
        "json": _to_json,
        None: lambda value: value,
    }
    return converters[definition.type]


def split_escaped(text: str, separator: str) -> list[str]:
    r"""The parts between separators, trimmed, without blank ones. `\` before a separator makes it part of the text, as
    WooCommerce and Magento export it."""
    if "\\" not in text:
        return [part for piece in text.split(separator) if (part := piece.strip())]
    parts = [""]
    place = 0
    escaped = "\\" + separator
    while place < len(text):
        if text.startswith(escaped, place):
            parts[-1] += separator
            place += len(escaped)
        elif text.startswith(separator, place):
            parts.append("")
            place += len(separator)
        else:
            parts[-1] += text[place]
            place += 1
    return [part for piece in parts if (part := piece.strip())]


def _to_text(value: Any) -> str:
    text = text_of(value)
    if text is None:
        raise RowRejected(f"expected text, found {_kind(value)}")
    return text


def _to_number(value: Any, mark: str) -> Decimal:
    if isinstance(value, (int, Decimal)) and not isinstance(value, bool):
        return Decimal(value)
    text = text_of(value)
    if text is None:
        raise RowRejected(f"expected a number, found {_kind(value)}")
    plain = text.strip()
    if _GROUPED.fullmatch(plain):
        # Thousands are grouped by blanks, or by the one of comma and point that is not the decimal mark.
        plain = _SPACES.sub("", plain).replace("." if mark == "," else ",", "")
    if mark == ",":
        if "." in plain:
            raise RowRejected(f"expected a number with a decimal comma, found {shortened(text)}")
        plain = plain.replace(",", ".")
    try:
        return parse_decimal(plain)
    except NotANumberHere as problem:
        expected = "a number with a decimal comma" if mark == "," else "a number"
        why = "" if str(problem) == "not a number" else f" ({problem})"
        raise RowRejected(f"expected {expected}, found {shortened(text)}{why}") from problem


def _to_integer(value: Any, mark: str) -> int:
    number = _to_number(value, mark)
    if number != number.to_integral_value():
        raise RowRejected(f"expected a whole number, found {shortened(str(text_of(value)))}")
    return int(number)


def _to_boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    word = (text_of(value) or "").strip().lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise RowRejected(f"expected true or false (or yes, no, 1, 0), found {shortened(str(value))}")


def _to_list(value: Any, separator: str) -> list[Any] | None:
    if isinstance(value, list):
        return value
    text = text_of(value)
    if text is None:
        return [value]
    return split_escaped(text, separator) or None


def _to_json(value: Any) -> Any:
    return tidy_value(parse_json(value)) if isinstance(value, str) else value


def _kind(value: Any) -> str:
    if isinstance(value, list):
        return f"a list ({shortened(json.dumps(value, default=str))})"
    return f"a map ({shortened(json.dumps(value, default=str))})"
