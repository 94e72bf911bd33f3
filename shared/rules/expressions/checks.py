"""What each operator takes: the one table, for kinds that are known and for the values that a record really has."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from shared.rules.expressions.functions import COLLECTION, LIST, METHODS, NUMBER, TEXT
from shared.rules.expressions.kinds import NOUNS, NULL, Kind, Sort

if TYPE_CHECKING:
    from shared.rules.expressions.parts import Part

_ALL = slice(None)
_NONE = slice(0)
_FIRST = slice(0, 1)
_SECOND = slice(1, 2)
_LAST = slice(-1, None)
_OTHERS = slice(1, None)
_NULLABLE = frozenset({NULL})


@dataclass(frozen=True, slots=True)
class Complaint:
    """What is wrong, and with which part."""

    reason: str
    part: Part


Check = Callable[["Part", Sequence[Sort], str], Complaint | None]
"""Complains of what a part is made of, whose sorts are these; None where nothing is wrong, or nothing is known. The
text is " here" where the sorts are of the values of one record, and empty else.
"""


class Operation(NamedTuple):
    """What an operator takes: the first check that complains is told."""

    checks: tuple[Check, ...]
    needed: slice = _NONE
    """Which operands may not be null."""
    tests: slice = _NONE
    """Which operands are true or false (or null)."""
    walks: slice = _NONE
    """Which operands it goes through; what goes through others counts that itself (nodes.py)."""


def complaint_about(part: Part, sorts: Sequence[Sort], here: str = "") -> Complaint | None:
    """What is wrong with what the part is made of, whose sorts are these."""
    for check in operation_of(part.sign).checks:
        if (complaint := check(part, sorts, here)) is not None:
            return complaint
    return None


def operation_of(sign: str) -> Operation:
    """What a production of the grammar takes; most that are no operators take anything."""
    return _OPERATIONS.get(sign, _ANYTHING)


def _takes(fitting: frozenset[Sort], what: str, of: slice = _ALL) -> Check:
    """Complains of the first of these operands whose sort does not fit. `{}` in what is said is the operator."""

    def check(part: Part, sorts: Sequence[Sort], here: str) -> Complaint | None:
        for sort, operand in zip(sorts[of], part.parts[of], strict=True):
            # A value that is missing is told as such.
            if sort in fitting or sort == Kind.UNKNOWN or (here and sort == NULL):
                continue
            said = what.format(part.operator)
            if sort == NULL:
                return Complaint(f"{said}; null goes with ==, != and ?? only", operand)
            return Complaint(f"{operand.spelled} is {NOUNS[sort]}{here}, and {said}", operand)
        return None

    return check


def _alike(cannot: str) -> Check:
    """Complains of two operands of different sorts."""

    def check(part: Part, sorts: Sequence[Sort], here: str) -> Complaint | None:
        left, right = sorts
        if left == right or {left, right} & {Kind.UNKNOWN, NULL}:
            return None
        one, other = part.parts
        reason = f"{one.spelled} is {NOUNS[left]} and {other.spelled} {NOUNS[right]}{here}: {cannot}"
        return Complaint(reason, other)

    return check


def _by_container(place: int, checks: Mapping[Sort, Check]) -> Check:
    """Checks as it goes with the sort of the operand in this place."""

    def check(part: Part, sorts: Sequence[Sort], here: str) -> Complaint | None:
        chosen = checks.get(sorts[place])
        return None if chosen is None else chosen(part, sorts, here)

    return check


def _divides(part: Part, sorts: Sequence[Sort], here: str) -> Complaint | None:  # noqa: ARG001 - a check
    divisor = part.parts[-1]
    if part.operator in {"/", "%"} and not here and divisor.is_zero:
        return Complaint("nothing is divided by 0", divisor)
    return None


def _method(part: Part, sorts: Sequence[Sort], here: str) -> Complaint | None:
    fitting = METHODS[part.operator].of
    owners = [f"{kind}s" for kind in (Kind.TEXT, Kind.NUMBER, Kind.LIST, Kind.MAP) if kind in fitting]
    listed = " and ".join(filter(None, [", ".join(owners[:-1]), owners[-1]]))
    return _takes(fitting, f".{part.operator} is of {listed}")(part, sorts, here)


def _call(part: Part, sorts: Sequence[Sort], here: str) -> Complaint | None:
    called, *arguments = part.parts
    name, is_method = called.operator, called.sign == "getattr"
    if len(arguments) != 1:
        reason = f"{called.spelled} takes one value in its parentheses, not {len(arguments)}"
        hint = "" if is_method or name == "$abs" else f": a list, as in {name}([1, 2])"
        return Complaint(reason + hint, arguments[1] if arguments else called)
    if is_method:
        return _takes(TEXT, f".{name} takes a text", _SECOND)(part, sorts, here)
    if name == "$abs":
        return _takes(NUMBER, "$abs takes a number", _SECOND)(part, sorts, here)
    complaint = _takes(LIST, f"{name} takes a list of numbers", _SECOND)(part, sorts, here)
    if complaint is None and not here and arguments[0].sign == "array":
        return _listed(name, arguments[0])
    return complaint


def _listed(function: str, array: Part) -> Complaint | None:
    if not array.parts and function != "$sum":
        return Complaint(f"{function} takes a list that is not empty", array)
    return _takes(NUMBER, f"{function} takes numbers")(array, [part.sort for part in array.parts], "")


_NAMES_ARE_TEXTS = "the names in a map are texts"
_PLACES = _takes(NUMBER, "places in lists and texts are numbers", _SECOND)
_ORDERED = TEXT | NUMBER | LIST | {Kind.BOOLEAN}
_TRUE_OR_FALSE = _NULLABLE | {Kind.BOOLEAN}
_A_TEST = "`{}` takes what is true or false, such as a comparison"
_NOT_ADDED = "they cannot be added; .to_str makes a text of a number, .to_flt a number of a text"

_ANYTHING = Operation(())
_ARITHMETIC = Operation((_takes(NUMBER, "{} takes numbers"), _divides), needed=_ALL)
_LOGIC = Operation((_takes(_TRUE_OR_FALSE, _A_TEST),), tests=_ALL)

_OPERATIONS: Mapping[str, Operation] = {
    "add": Operation((_takes(TEXT | NUMBER, "+ takes two numbers or two texts"), _alike(_NOT_ADDED)), needed=_ALL),
    "arithmetic": _ARITHMETIC,
    "arithmetic_comparison": Operation(
        (_alike("they cannot be compared"), _takes(_ORDERED, "{} takes two numbers or two texts")),
        needed=_ALL,
        walks=_ALL,
    ),
    "coalesce": Operation((_alike("?? takes two of one kind"),)),
    "comparison": Operation((_alike("they are never equal"),)),
    "contains": Operation(
        (
            _takes(COLLECTION, "`in` looks into lists, texts and maps", _LAST),
            _by_container(
                -1,
                {
                    Kind.TEXT: _takes(TEXT, "texts hold texts only", _FIRST),
                    Kind.MAP: _takes(TEXT, _NAMES_ARE_TEXTS, _FIRST),
                },
            ),
        ),
        needed=_LAST,
    ),
    "function_call": Operation((_call,), needed=_OTHERS),
    "getattr": Operation((_method,), needed=_ALL),
    "getitem": Operation(
        (
            _takes(COLLECTION | _NULLABLE, "[…] takes a part of lists, texts and maps", _FIRST),
            _by_container(
                0, {Kind.MAP: _takes(TEXT, _NAMES_ARE_TEXTS, _SECOND), Kind.TEXT: _PLACES, Kind.LIST: _PLACES}
            ),
        ),
        needed=_OTHERS,
    ),
    "getslice": Operation(
        (
            _takes(TEXT | LIST | _NULLABLE, "[…:…] takes a part of lists and texts", _FIRST),
            _takes(NUMBER, "places are numbers", _OTHERS),
        ),
        needed=_OTHERS,
    ),
    "logic": _LOGIC,
    "negate": _LOGIC,
    "sub": _ARITHMETIC,
    "ternary": Operation((_takes(_TRUE_OR_FALSE, _A_TEST, _FIRST),), tests=_FIRST),
    "uminus": Operation((_takes(NUMBER, "- takes a number"),), needed=_ALL),
}
"""By the productions of the grammar."""
