"""The language of conditions and values: rule-engine's grammar, types and evaluation, with a smaller vocabulary.

docs/rules.md is its reference. What anybody may send is cut into words here first, by a list of what is known, and
counted; so the parser never sees what is too long, too deep or not of the language. The parser's productions are
wrapped, so that each part knows where it stands: whatever is wrong with it is said of that part, when a rule is saved
and on a record. What a part takes is decided by one table (`_CHECKS`) for both: for kinds that are known, and for
values that a record really has.
"""

from __future__ import annotations

import decimal
import functools
import re
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from decimal import Decimal
from enum import StrEnum
from typing import Any, Protocol

import rule_engine
from rule_engine import ast, builtins, errors
from rule_engine.parser import Parser
from rule_engine.types import DataType

from shared.feeds.exact_numbers import MAX_DIGITS, NotANumberHere, as_text, parse_decimal

MAX_CHARACTERS = 2_000
MAX_WORDS = 400
MAX_NESTING = 50
"""Brackets inside each other."""

MAX_DEPTH = 100
"""Parts inside each other, as in a chain of as many operators: each takes some of Python's stack."""

MAX_BYTES = 400 * 1024
"""Characters of a text, also of one on the way: more fits in no record. A step at most puts two texts together, or
spells one in capitals (up to three times as long), and there are no more steps than words.
"""

MAX_ELEMENTS = 500_000
"""Elements of lists and maps that one evaluation goes through, counted again each time that an attribute is named."""


class Kind(StrEnum):
    """What a value is."""

    NUMBER = "number"
    TEXT = "text"
    BOOLEAN = "boolean"
    LIST = "list"
    MAP = "map"
    UNKNOWN = "unknown"


class ExpressionRefused(ValueError):
    """It is not an expression of the language. `position` is that of a character, counted from 1."""

    def __init__(self, reason: str, position: int | None = None) -> None:
        super().__init__(reason if position is None else f"{reason} (character {position})")
        self.reason = reason
        self.position = position


class EvaluationFailed(Exception):
    """It has no value for this record."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Missing(EvaluationFailed):
    """It needs something that the record does not have."""


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
        with _exact():
            return _as_kept(_bounded(self.root.evaluate(_Subject(key, attributes))))


def parse(text: str, kinds: Mapping[str, Kind] | None = None) -> Expression:
    """Reads an expression. With `kinds`, what does not fit the kinds of attributes is refused; others are unknown.

    Raises ExpressionRefused.
    """
    expression = _parsed(text)
    if kinds is None:
        return expression
    known = {name: kinds[name] for name in expression.names if name in kinds}
    return replace(expression, kind=_checked_kind(text, tuple(sorted(known.items()))))


@functools.lru_cache(maxsize=128)
def _parsed(text: str) -> Expression:
    words = _words(text)
    names = frozenset(word.value.name for word in words if isinstance(word.value, _Reference) and not word.value.is_key)
    root = _built(text, words, {})
    return Expression(text, names, _kind(_sort_of_node(root)), root)


@functools.lru_cache(maxsize=512)
def _checked_kind(text: str, kinds: tuple[tuple[str, Kind], ...]) -> Kind:
    """The kind that the expression has when its attributes are of these kinds. Raises ExpressionRefused."""
    return _kind(_sort_of_node(_built(text, _words(text), dict(kinds))))


def _exact() -> AbstractContextManager[decimal.Context]:
    """The numbers of DynamoDB: 38 digits, up to 1E125; what goes beyond is an error, not infinity."""
    return decimal.localcontext(
        decimal.Context(
            prec=MAX_DIGITS,
            rounding=decimal.ROUND_HALF_EVEN,
            Emin=-130,
            Emax=125,
            traps=[decimal.InvalidOperation, decimal.DivisionByZero, decimal.Overflow, decimal.Underflow],
        )
    )


# Sorts: kinds, and what is no kind of an attribute


_NULL = "null"
_FUNCTION = "function"

Sort = str
"""A Kind, or null, or a function."""

_SORTS: Mapping[type, Sort] = {
    bool: Kind.BOOLEAN,
    Decimal: Kind.NUMBER,
    int: Kind.NUMBER,
    str: Kind.TEXT,
    list: Kind.LIST,
    tuple: Kind.LIST,
    type(None): _NULL,
}
_TYPES: Mapping[Kind, Any] = {
    Kind.NUMBER: DataType.FLOAT,
    Kind.TEXT: DataType.STRING,
    Kind.BOOLEAN: DataType.BOOLEAN,
    Kind.LIST: DataType.ARRAY,
    Kind.MAP: DataType.MAPPING,
    Kind.UNKNOWN: DataType.UNDEFINED,
}
NOUNS: Mapping[Sort, str] = {
    Kind.NUMBER: "a number",
    Kind.TEXT: "a text",
    Kind.BOOLEAN: "true or false",
    Kind.LIST: "a list",
    Kind.MAP: "a map",
    _NULL: "null",
    _FUNCTION: "a function",
}
"""What a value of a sort is called."""


def spoken(value: Any) -> str:
    """What a value is, in words: `a number`."""
    return NOUNS[_sort_of_value(value)]


def _sort_of_value(value: Any) -> Sort:
    if isinstance(value, Mapping):
        return Kind.MAP
    return _SORTS.get(type(value), _FUNCTION)


def _sort_of_node(node: ast.ExpressionBase) -> Sort:
    result = DataType.NULLABLE.unwrap(node.result_type)
    if DataType.is_type(result, DataType.NULL):
        return _NULL
    if DataType.is_type(result, DataType.FUNCTION):
        return _FUNCTION
    return next((kind for kind, one in _TYPES.items() if DataType.is_type(result, one)), Kind.UNKNOWN)


def _kind(sort: Sort) -> Kind:
    return Kind.UNKNOWN if sort in {_NULL, _FUNCTION} else Kind(sort)


# Words


@dataclass(frozen=True, slots=True)
class _Reference:
    """An attribute that is named, or the record's key."""

    name: str
    is_key: bool = False


@dataclass
class _Word:
    """A word of an expression, as PLY's parsers take it. `lexpos` counts from 0."""

    type: str
    value: Any
    lexpos: int
    endlexpos: int
    lineno: int = 1


_PATTERN = re.compile(
    r"""
      (?P<space>[ \t\r\n]+)
    | (?P<prefixed>[^\W\d]\w*["'])
    | (?P<name>[^\W\d]\w*)
    | (?P<function>\$[^\W\d]\w*)
    | (?P<number>[0-9][0-9]*(?:\.[0-9]+)?(?![\w.]))
    | (?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
    | (?P<refused>=~~?|!~~?|\*\*|//|<<|>>|<>|&&|\|\||&\.|&\[|=(?!=)|!(?!=)|[&|^{}\#;`$\\~@])
    | (?P<operator>==|!=|<=|>=|\?\?|[-+*/%<>()\[\],.?:])
    """,
    re.VERBOSE | re.DOTALL,
)

_KEYWORDS = {"true": "TRUE", "false": "FALSE", "null": "NULL", "and": "AND", "or": "OR", "not": "NOT", "in": "IN"}
_OPERATORS = {
    "==": "EQ",
    "!=": "NE",
    "<": "LT",
    "<=": "LE",
    ">": "GT",
    ">=": "GE",
    "??": "COALESCE",
    "?": "QMARK",
    ":": "COLON",
    "+": "ADD",
    "-": "SUB",
    "*": "MUL",
    "/": "TDIV",
    "%": "MOD",
    "(": "LPAREN",
    ")": "RPAREN",
    "[": "LBRACKET",
    "]": "RBRACKET",
    ",": "COMMA",
    ".": "ATTR",
}
_COMPARISONS = frozenset({"EQ", "NE", "LT", "LE", "GT", "GE", "IN"})
_OPERANDS = frozenset({"SYMBOL", "STRING", "FLOAT", "TRUE", "FALSE", "NULL", "RPAREN", "RBRACKET"})
"""Words that an opening parenthesis would call."""

_NO_PATTERNS = "patterns (regular expressions) are not known: use .starts_with(…), .ends_with(…), or in"
_NO_BITS = "operations on bits are not known"
_REFUSALS: Mapping[str, str] = {
    "=~": _NO_PATTERNS,
    "=~~": _NO_PATTERNS,
    "!~": _NO_PATTERNS,
    "!~~": _NO_PATTERNS,
    "**": "powers are not known: multiply",
    "//": "// is not known: write (a / b).floor",
    "<<": _NO_BITS,
    ">>": _NO_BITS,
    "&": f"{_NO_BITS}; both is written and",
    "|": f"{_NO_BITS}; one or the other is written or",
    "^": _NO_BITS,
    "<>": "differs from is written !=",
    "=": "equals is written ==",
    "!": "not is written not",
    "&&": "both is written and",
    "||": "one or the other is written or",
    "&.": "&. is not known: a value that may be null is written (value ?? other)",
    "&[": "&[ is not known: [ gives null where there is nothing",
    "{": "maps and sets cannot be written; lists are: [1, 2]",
    "}": "maps and sets cannot be written; lists are: [1, 2]",
    "#": "comments are not known: a rule has a description",
}
_NO_LOOPS = "is not known: expressions do not go through lists one by one"
_REFUSED_NAMES: Mapping[str, str] = {
    "if": "if is not known: write condition ? value : other value",
    "else": "else is not known: write condition ? value : other value",
    "elif": "elif is not known: write condition ? value : other value",
    "for": f"for {_NO_LOOPS}",
    "while": f"while {_NO_LOOPS}",
}
_ATTRIBUTES = "attributes"
_KEY = "key"
_ESCAPES = {"n": "\n", "t": "\t", "\\": "\\", '"': '"', "'": "'"}


@dataclass(frozen=True, slots=True)
class _Cut:
    """A piece of the text, as the pattern found it."""

    kind: str
    text: str
    start: int
    end: int


def _words(text: str) -> tuple[_Word, ...]:
    """The words of an expression, counted. Raises ExpressionRefused."""
    if len(text) > MAX_CHARACTERS:
        reason = f"an expression has at most {MAX_CHARACTERS:,} characters, and this one has {len(text):,}"
        raise ExpressionRefused(reason, MAX_CHARACTERS + 1)
    return tuple(_Reading(tuple(_cuts(text))).words())


def _cuts(text: str) -> Iterator[_Cut]:
    place = count = nesting = 0
    while place < len(text):
        match = _PATTERN.match(text, place)
        if match is None or match.lastgroup is None:
            raise _no_word(text, place)
        cut = _Cut(match.lastgroup, match.group(), place, match.end())
        place = cut.end
        if cut.kind == "space":
            continue
        count += 1
        nesting += (cut.text in {"(", "["}) - (cut.text in {")", "]"})
        if count > MAX_WORDS:
            raise ExpressionRefused(f"an expression has at most {MAX_WORDS} words and signs", cut.start + 1)
        if nesting > MAX_NESTING:
            raise ExpressionRefused(f"brackets are at most {MAX_NESTING} deep inside each other", cut.start + 1)
        if cut.kind == "refused":
            raise ExpressionRefused(_REFUSALS.get(cut.text, f"{cut.text} is not known here"), cut.start + 1)
        if cut.kind == "prefixed":
            reason = "a text stands in quotes with nothing before them; there are no dates, times or patterns"
            raise ExpressionRefused(reason, cut.start + 1)
        yield cut


def _no_word(text: str, place: int) -> ExpressionRefused:
    sign = text[place]
    if sign in "\"'":
        return ExpressionRefused("a text begins here, and its closing quote is missing", place + 1)
    if sign in "0123456789":
        return ExpressionRefused("a number is written like 12 or 12.50", place + 1)
    return ExpressionRefused(f"{sign!r} is not known here", place + 1)


class _Reading:
    """Makes words of what was cut: each is of the vocabulary, and stands where one of its kind may."""

    def __init__(self, cuts: Sequence[_Cut]) -> None:
        self._cuts = cuts
        self._place = 0
        self._last: _Word | None = None

    def words(self) -> Iterator[_Word]:
        while self._place < len(self._cuts):
            cut = self._cuts[self._place]
            self._place += 1
            self._last = self._word(cut)
            yield self._last

    def _word(self, cut: _Cut) -> _Word:
        match cut.kind:
            case "name":
                return self._name(cut)
            case "number":
                return _number(cut)
            case "text":
                # The parser takes a raw text as it stands, without looking for the end of it.
                return _spanning("STRING", f'r"{_read_text(cut)}"', cut)
            case "function":
                return self._function(cut)
            case _:
                return self._operator(cut)

    def _name(self, cut: _Cut) -> _Word:
        if self._last is not None and self._last.type == "ATTR":
            return self._method(cut)
        if cut.text in _KEYWORDS:
            return _spanning(_KEYWORDS[cut.text], cut.text, cut)
        if cut.text in _REFUSED_NAMES:
            raise ExpressionRefused(_REFUSED_NAMES[cut.text], cut.start + 1)
        if cut.text == _ATTRIBUTES:
            return self._attribute(cut)
        if self._next_is("("):
            functions = ", ".join(f"${name}" for name in _FUNCTIONS)
            raise ExpressionRefused(f"{cut.text} is no function; there are {functions}", cut.start + 1)
        return _spanning("SYMBOL", _Reference(cut.text, is_key=cut.text == _KEY), cut)

    def _attribute(self, cut: _Cut) -> _Word:
        """`attributes["Body (HTML)"]`, which is one word to the parser."""
        following = self._cuts[self._place : self._place + 3]
        shape = [one.kind if one.kind == "text" else one.text for one in following]
        if shape != ["[", "text", "]"]:
            reason = f'{_ATTRIBUTES} is followed by the name of one, in quotes: {_ATTRIBUTES}["name"]'
            raise ExpressionRefused(
                reason, following[1].start + 1 if shape[:1] == ["["] and shape[1:] else cut.start + 1
            )
        name = _read_text(following[1])
        if not name or name.isspace():
            raise ExpressionRefused("an attribute has a name that is not blank", following[1].start + 1)
        self._place += 3
        return _Word("SYMBOL", _Reference(name), cut.start, following[2].end)

    def _method(self, cut: _Cut) -> _Word:
        if cut.text not in _METHODS:
            known = ", ".join(f".{name}" for name in _METHODS)
            reason = f'.{cut.text} is not known; there are {known}. A part of a map is written map["{cut.text}"]'
            raise ExpressionRefused(reason, cut.start + 1)
        called = self._next_is("(")
        if _METHODS[cut.text].called and not called:
            raise ExpressionRefused(f".{cut.text} is followed by a text in parentheses", cut.start + 1)
        if called and not _METHODS[cut.text].called:
            raise ExpressionRefused(f".{cut.text} is written without parentheses", cut.start + 1)
        return _spanning("CALLED" if called else "SYMBOL", cut.text, cut)

    def _function(self, cut: _Cut) -> _Word:
        if cut.text.removeprefix("$") not in _FUNCTIONS:
            known = ", ".join(f"${name}" for name in _FUNCTIONS)
            raise ExpressionRefused(f"{cut.text} is not known; there are {known}", cut.start + 1)
        if not self._next_is("("):
            raise ExpressionRefused(f"{cut.text} is a function: it is followed by parentheses", cut.start + 1)
        return _spanning("CALLED", cut.text, cut)

    def _operator(self, cut: _Cut) -> _Word:
        if cut.text == "(" and self._last is not None and self._last.type in _OPERANDS:
            raise ExpressionRefused("what stands before this parenthesis is no function", cut.start + 1)
        if cut.text == "." and self._kind_of_next() != "name":
            raise ExpressionRefused(
                "a point is followed by a word such as .length; a number has digits before it", cut.start + 1
            )
        # `&[` is the grammar's sign for an element that may not be there.
        return _spanning(_OPERATORS[cut.text], "&[" if cut.text == "[" else cut.text, cut)

    def _next_is(self, text: str) -> bool:
        return self._place < len(self._cuts) and self._cuts[self._place].text == text

    def _kind_of_next(self) -> str | None:
        return self._cuts[self._place].kind if self._place < len(self._cuts) else None


def _spanning(type_: str, value: Any, cut: _Cut) -> _Word:
    return _Word(type_, value, cut.start, cut.end)


def _number(cut: _Cut) -> _Word:
    if len(cut.text) > 1 and cut.text[0] == "0" and cut.text[1] != ".":
        raise ExpressionRefused("a number has no zeros before it", cut.start + 1)
    try:
        parse_decimal(cut.text)
    except NotANumberHere as problem:
        raise ExpressionRefused(str(problem), cut.start + 1) from problem
    return _spanning("FLOAT", cut.text, cut)


def _read_text(cut: _Cut) -> str:
    """What a text in quotes says. Raises ExpressionRefused for an escape that is not known."""

    def read(match: re.Match[str]) -> str:
        place = cut.start + 1 + match.start()
        if match.group(1):
            character = chr(int(match.group(1), 16))
        elif match.group(2) in _ESCAPES:
            return _ESCAPES[match.group(2)]
        elif match.group(2):
            reason = r"in a text a backslash is followed by another, a quote, n, t, or u and four digits (\u00e9)"
            raise ExpressionRefused(reason, place + 1)
        else:
            character = match.group()
        if "\ud800" <= character <= "\udfff":
            raise ExpressionRefused("half of a surrogate pair is no character", place + 1)
        return character

    return re.sub(r"\\u([0-9a-fA-F]{4})|\\(.)|[\ud800-\udfff]", read, cut.text[1:-1], flags=re.DOTALL)


class _Lexer:
    """Hands the words to the parser, in place of its own lexer."""

    lineno = 1

    def __init__(self, words: Iterable[_Word]) -> None:
        self._words = iter(words)

    def input(self, text: str) -> None:
        """The text was read before."""

    def token(self) -> _Word | None:
        word = next(self._words, None)
        if word is not None and word.type == "CALLED":
            return _Word("SYMBOL", word.value, word.lexpos, word.endlexpos)
        return word


# Functions and methods


@dataclass(frozen=True, slots=True)
class _Method:
    """What follows a point: which sorts it is of, what it gives, and how, where rule-engine's own does not do."""

    of: frozenset[Sort]
    gives: Any
    compute: Callable[[Any], Any] | None = None
    called: bool = False


def _to_number(value: Any) -> Decimal:
    if isinstance(value, Decimal):
        return value
    try:
        return Decimal(parse_decimal(value.strip()))
    except NotANumberHere as problem:
        raise EvaluationFailed(f"{_quoted(value)} is no number") from problem


def _to_whole_number(value: Any) -> Decimal:
    number = _to_number(value)
    if number != number.to_integral_value():
        raise EvaluationFailed(f"{as_text(number)} is no whole number")
    return number


def _to_text(value: Any) -> str:
    return value if isinstance(value, str) else as_text(value)


_OF_TEXT = frozenset({Kind.TEXT})
_OF_NUMBER = frozenset({Kind.NUMBER})
_OF_EITHER = _OF_TEXT | _OF_NUMBER
_OF_COLLECTION = frozenset({Kind.TEXT, Kind.LIST, Kind.MAP})
_TEST = DataType.FUNCTION("test", return_type=DataType.BOOLEAN, argument_types=(DataType.STRING,))

_METHODS: Mapping[str, _Method] = {
    "length": _Method(_OF_COLLECTION, DataType.FLOAT),
    "is_empty": _Method(_OF_COLLECTION, DataType.BOOLEAN),
    "starts_with": _Method(_OF_TEXT, _TEST, lambda value: value.startswith, called=True),
    "ends_with": _Method(_OF_TEXT, _TEST, lambda value: value.endswith, called=True),
    "as_lower": _Method(_OF_TEXT, DataType.STRING),
    "as_upper": _Method(_OF_TEXT, DataType.STRING),
    "to_str": _Method(_OF_EITHER, DataType.STRING, _to_text),
    "to_flt": _Method(_OF_EITHER, DataType.FLOAT, _to_number),
    "to_int": _Method(_OF_EITHER, DataType.FLOAT, _to_whole_number),
    "floor": _Method(_OF_NUMBER, DataType.FLOAT),
    "ceiling": _Method(_OF_NUMBER, DataType.FLOAT),
}


def _of_numbers(name: str, argument: Any) -> Any:
    return DataType.FUNCTION(name, return_type=DataType.FLOAT, argument_types=(argument,))


_NUMBERS = DataType.ARRAY(DataType.FLOAT)
_FUNCTIONS: Mapping[str, Callable[..., Any]] = {"abs": abs, "max": max, "min": min, "sum": sum}
_FUNCTION_TYPES: Mapping[str, Any] = {
    "abs": _of_numbers("abs", DataType.FLOAT),
    "max": _of_numbers("max", _NUMBERS),
    "min": _of_numbers("min", _NUMBERS),
    "sum": _of_numbers("sum", _NUMBERS),
}


class _Context(rule_engine.Context):  # type: ignore[misc]
    """What rule-engine may look up: our functions and methods. Attributes are read by `_Attribute`."""

    def __init__(self, text: str, kinds: Mapping[str, Kind]) -> None:
        super().__init__(default_timezone="utc", mapping_attribute_lookup=False)
        self.text = text
        self.kinds = kinds
        self.builtins = builtins.Builtins(_FUNCTIONS, value_types=_FUNCTION_TYPES)

    def resolve_attribute(self, thing: Any, object_: Any, name: str) -> Any:
        method = _METHODS[name]
        if _sort_of_value(object_) not in method.of:
            raise errors.EvaluationError(f".{name} is of others")
        compute = method.compute
        return super().resolve_attribute(thing, object_, name) if compute is None else compute(object_)

    def resolve_attribute_type(self, object_type: Any, name: str) -> Any:  # noqa: ARG002 - of its base class
        return _METHODS[name].gives


# What a record has


class _Subject:
    """A record's key and attributes, as expressions see them: what is read is made ready once."""

    __slots__ = ("_attributes", "_elements", "_key", "_ready")

    def __init__(self, key: str, attributes: Mapping[str, Any]) -> None:
        self._key = key
        self._attributes = attributes
        self._elements = 0
        self._ready: dict[str, tuple[Any, int]] = {}

    def read(self, reference: _Reference) -> Any:
        if reference.is_key:
            return self._key
        value = self._attributes.get(reference.name)
        kind = value.__class__
        if kind is str or value is None or kind is Decimal or kind is bool:
            return value
        if kind is int:
            return Decimal(value)
        if reference.name not in self._ready:
            self._ready[reference.name] = _ready(value), _elements(value)
        prepared, elements = self._ready[reference.name]
        self._elements += elements
        if self._elements > MAX_ELEMENTS:
            reason = f"it goes through more than {MAX_ELEMENTS:,} elements of lists and maps"
            raise EvaluationFailed(reason)
        return prepared


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


def _elements(value: Any) -> int:
    if isinstance(value, Mapping):
        return 1 + sum(map(_elements, value.values()))
    return 1 + sum(map(_elements, value)) if isinstance(value, list | tuple) else 1


def _as_kept(value: Any) -> Any:
    """A value as records have it."""
    if isinstance(value, Decimal):
        _, _, exponent = value.as_tuple()
        return int(value) if isinstance(exponent, int) and exponent >= 0 else value
    if isinstance(value, list | tuple):
        return [_as_kept(one) for one in value]
    if isinstance(value, Mapping):
        return {name: _as_kept(one) for name, one in value.items()}
    return value


class _Attribute(ast.ExpressionBase):  # type: ignore[misc]
    """An attribute of the record, or its key."""

    def __init__(self, context: _Context, reference: _Reference) -> None:
        self.context = context
        self._reference = reference
        kind = Kind.TEXT if reference.is_key else context.kinds.get(reference.name, Kind.UNKNOWN)
        self.result_type = _TYPES[kind]

    def evaluate(self, thing: _Subject) -> Any:
        return thing.read(self._reference)


# Parts: where each stands, and what it takes


_TROUBLES = (errors.EngineError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What rule-engine raises, and Python's own errors that it lets through, when a part cannot be computed."""


class _Buildable(Protocol):
    def build(self) -> Any: ...


@dataclass(frozen=True, slots=True)
class _Naming:
    """A node of `_Attribute` that is still to be built."""

    context: _Context
    reference: _Reference

    def build(self) -> _Attribute:
        return _Attribute(self.context, self.reference)


class _Part:
    """A part of an expression: where it stands, what it is made of, what is asked of it, and its node."""

    __slots__ = (
        "_deferred",
        "_text",
        "depth",
        "end",
        "is_needed",
        "is_test",
        "node",
        "operator",
        "parts",
        "sign",
        "start",
    )

    def __init__(
        self, text: str, sign: str, operator: str, span: tuple[int, int], parts: Sequence[_Part], deferred: _Buildable
    ) -> None:
        self._text = text
        self._deferred: _Buildable | None = deferred
        self.sign = sign
        """Which production of the grammar it is."""
        self.operator = operator
        self.start, self.end = span
        self.parts = tuple(parts)
        self.depth: int = 1 + max((part.depth for part in self.parts), default=0)
        if self.depth > MAX_DEPTH:
            reason = f"at most {MAX_DEPTH} operators are in one chain: use parentheses, or in […]"
            raise ExpressionRefused(reason, self.parts[-1].start + 1)
        self.node: Any = None
        self.is_needed = False
        """Whether it may not be null."""
        self.is_test = False
        """Whether it must be true or false (or null)."""

    @property
    def spelled(self) -> str:
        """The part as it was written, or its beginning."""
        return _shortened(self._text[self.start : self.end])

    def build(self) -> Any:
        """Its node, checked. Raises ExpressionRefused. rule-engine calls this for each part of a part."""
        if self._deferred is not None:
            for part in self.parts:
                part.build()
            complaint = _complaint(self, [_sort_of_node(part.node) for part in self.parts], "")
            if complaint is not None:
                raise ExpressionRefused(complaint.reason, complaint.part.start + 1)
            try:
                node = self._deferred.build()
            except EvaluationFailed as failed:
                raise ExpressionRefused(failed.reason, self.start + 1) from failed
            except _TROUBLES as problem:
                raise ExpressionRefused(f"{self.spelled} cannot be computed", self.start + 1) from problem
            self.node = node if isinstance(node, ast.LiteralExpressionBase) else _Watched(node, self)
            self._deferred = None
        return self.node

    def failure(self, thing: _Subject) -> EvaluationFailed:
        """Why it cannot be computed for a record."""
        values = [part.node.evaluate(thing) for part in self.parts]
        sorts = [_sort_of_value(value) for value in values]
        complaint = _complaint(self, sorts, " here")
        if complaint is not None:
            return EvaluationFailed(complaint.reason)
        missing = [part for part, value in zip(self.parts, values, strict=True) if value is None]
        for part, value in zip(self.parts, values, strict=True):
            if isinstance(value, tuple) and part.sign == "array":
                missing += [one for one, element in zip(part.parts, value, strict=True) if element is None]
        if missing:
            return Missing(f"{missing[0].spelled} is missing")
        if self.operator in {"/", "%"} and values[-1] == 0:
            return EvaluationFailed(f"{self.parts[-1].spelled} is 0 here, and nothing is divided by 0")
        if self.sign in {"getitem", "getslice"}:
            return EvaluationFailed(f"{self.spelled}: places are whole numbers")
        if self.sign == "function_call":
            return EvaluationFailed(f"{self.spelled} takes a list of numbers that is not empty, and gets another here")
        return EvaluationFailed(f"{self.spelled} is beyond the numbers that are kept: 38 digits, up to 1E125")


class _Watched(ast.ExpressionBase):  # type: ignore[misc]
    """A node that says why it cannot be computed, and lets nothing pass that it may not be."""

    def __init__(self, node: Any, part: _Part) -> None:
        self.context = node.context
        self.result_type = _METHODS[part.operator].gives if part.sign == "getattr" else node.result_type
        self._node = node
        self._part = part

    def evaluate(self, thing: _Subject) -> Any:
        try:
            value = self._node.evaluate(thing)
        except _TROUBLES as problem:
            raise self._part.failure(thing) from problem
        if value is None:
            if self._part.is_needed:
                raise Missing(f"{self._part.spelled} is missing")
            return None
        if value.__class__ is str:
            _bounded(value)
        if self._part.is_test and value.__class__ is not bool:
            reason = f"{self._part.spelled} is {spoken(value)} here, and not true or false"
            raise EvaluationFailed(reason)
        return value


def _bounded(value: Any) -> Any:
    if isinstance(value, str) and len(value) > MAX_BYTES:
        raise EvaluationFailed(f"it makes a text of more than {MAX_BYTES:,} characters")
    return value


def _shortened(text: str) -> str:
    tidy = " ".join(text.split())
    return tidy if len(tidy) <= 60 else f"{tidy[:57]}..."


def _quoted(text: str) -> str:
    return f'"{_shortened(text)}"'


@dataclass(frozen=True, slots=True)
class _Complaint:
    reason: str
    part: _Part


def _complaint(part: _Part, sorts: Sequence[Sort], here: str) -> _Complaint | None:
    """What is wrong with what the part is made of, whose sorts are these; None where nothing is, or nothing is known.

    `here` says that the sorts are of the values of one record.
    """
    check = _CHECKS.get(part.sign)
    return None if check is None else check(part, sorts, here)


def _takes(
    part: _Part, sorts: Sequence[Sort], here: str, *, fitting: Iterable[Sort], what: str, of: Iterable[int] = ()
) -> _Complaint | None:
    """Complains of the first operand (of those in the places `of`, or of all) whose sort does not fit."""
    for place in of or range(len(sorts)):
        sort, operand = sorts[place], part.parts[place]
        # A value that is missing is told as such.
        if sort in {*fitting, Kind.UNKNOWN} or (here and sort == _NULL):
            continue
        if sort == _NULL:
            return _Complaint(f"{what}; null goes with ==, != and ?? only", operand)
        return _Complaint(f"{operand.spelled} is {NOUNS[sort]}{here}, and {what}", operand)
    return None


def _alike(part: _Part, sorts: Sequence[Sort], here: str, cannot: str) -> _Complaint | None:
    left, right = sorts[0], sorts[-1]
    if left == right or {left, right} & {Kind.UNKNOWN, _NULL}:
        return None
    one, other = part.parts[0], part.parts[-1]
    reason = f"{one.spelled} is {NOUNS[left]} and {other.spelled} {NOUNS[right]}{here}: {cannot}"
    return _Complaint(reason, other)


def _check_equality(part: _Part, sorts: Sequence[Sort], here: str) -> _Complaint | None:
    return _alike(part, sorts, here, "they are never equal")


def _check_comparison(part: _Part, sorts: Sequence[Sort], here: str) -> _Complaint | None:
    ordered = (Kind.NUMBER, Kind.TEXT, Kind.BOOLEAN, Kind.LIST)
    return _alike(part, sorts, here, "they cannot be compared") or _takes(
        part, sorts, here, fitting=ordered, what=f"{part.operator} takes two numbers or two texts"
    )


def _check_addition(part: _Part, sorts: Sequence[Sort], here: str) -> _Complaint | None:
    advice = "they cannot be added; .to_str makes a text of a number, .to_flt a number of a text"
    return _takes(part, sorts, here, fitting=_OF_EITHER, what="+ takes two numbers or two texts") or _alike(
        part, sorts, here, advice
    )


def _check_arithmetic(part: _Part, sorts: Sequence[Sort], here: str) -> _Complaint | None:
    complaint = _takes(part, sorts, here, fitting=_OF_NUMBER, what=f"{part.operator} takes numbers")
    divisor = part.parts[-1]
    if complaint is None and part.operator in {"/", "%"} and not here and _is_zero(divisor):
        return _Complaint("nothing is divided by 0", divisor)
    return complaint


def _is_zero(part: _Part) -> bool:
    return isinstance(part.node, ast.FloatExpression) and part.node.value == 0


def _check_test(part: _Part, sorts: Sequence[Sort], here: str) -> _Complaint | None:
    fitting = (Kind.BOOLEAN, _NULL)
    what = f"`{part.operator}` takes what is true or false, such as a comparison"
    return _takes(part, sorts, here, fitting=fitting, what=what, of=(0,) if part.sign == "ternary" else ())


def _check_containment(part: _Part, sorts: Sequence[Sort], here: str) -> _Complaint | None:
    complaint = _takes(
        part, sorts, here, fitting=_OF_COLLECTION, what="`in` looks into lists, texts and maps", of=(len(sorts) - 1,)
    )
    if complaint is None and sorts[-1] in {Kind.TEXT, Kind.MAP}:
        within = "texts hold texts only" if sorts[-1] == Kind.TEXT else "the names in a map are texts"
        return _takes(part, sorts, here, fitting=_OF_TEXT, what=within, of=(0,))
    return complaint


def _check_element(part: _Part, sorts: Sequence[Sort], here: str) -> _Complaint | None:
    complaint = _takes(
        part, sorts, here, fitting=_OF_COLLECTION | {_NULL}, what="[…] takes a part of lists, texts and maps", of=(0,)
    )
    if complaint is not None or sorts[0] in {Kind.UNKNOWN, _NULL}:
        return complaint
    if sorts[0] == Kind.MAP:
        return _takes(part, sorts, here, fitting=_OF_TEXT, what="the names in a map are texts", of=(1,))
    return _takes(part, sorts, here, fitting=_OF_NUMBER, what="places in lists and texts are numbers", of=(1,))


def _check_slice(part: _Part, sorts: Sequence[Sort], here: str) -> _Complaint | None:
    sliced = {Kind.TEXT, Kind.LIST, _NULL}
    complaint = _takes(part, sorts, here, fitting=sliced, what="[…:…] takes a part of lists and texts", of=(0,))
    places = range(1, len(sorts))
    if complaint is None and places:
        return _takes(part, sorts, here, fitting=_OF_NUMBER, what="places are numbers", of=places)
    return complaint


def _check_method(part: _Part, sorts: Sequence[Sort], here: str) -> _Complaint | None:
    fitting = _METHODS[part.operator].of
    owners = [f"{kind}s" for kind in (Kind.TEXT, Kind.NUMBER, Kind.LIST, Kind.MAP) if kind in fitting]
    listed = " and ".join(filter(None, [", ".join(owners[:-1]), owners[-1]]))
    return _takes(part, sorts, here, fitting=fitting, what=f".{part.operator} is of {listed}")


def _check_call(part: _Part, sorts: Sequence[Sort], here: str) -> _Complaint | None:
    called, arguments = part.parts[0], part.parts[1:]
    if len(arguments) != 1:
        reason = f"{called.spelled} takes one value in its parentheses, not {len(arguments)}"
        listed = called.operator in {"$max", "$min", "$sum"}
        hint = f": a list, as in {called.operator}([1, 2])" if listed else ""
        return _Complaint(reason + hint, arguments[1] if len(arguments) > 1 else called)
    if called.sign == "getattr":
        return _takes(part, sorts, here, fitting=_OF_TEXT, what=f".{called.operator} takes a text", of=(1,))
    if called.operator == "$abs":
        return _takes(part, sorts, here, fitting=_OF_NUMBER, what="$abs takes a number", of=(1,))
    complaint = _takes(
        part, sorts, here, fitting={Kind.LIST}, what=f"{called.operator} takes a list of numbers", of=(1,)
    )
    if complaint is None and not here and arguments[0].sign == "array":
        return _check_listed(arguments[0], called.operator)
    return complaint


def _check_listed(array: _Part, function: str) -> _Complaint | None:
    if not array.parts and function != "$sum":
        return _Complaint(f"{function} takes a list that is not empty", array)
    sorts = [_sort_of_node(part.node) for part in array.parts]
    return _takes(array, sorts, "", fitting=_OF_NUMBER, what=f"{function} takes numbers")


def _check_negative(part: _Part, sorts: Sequence[Sort], here: str) -> _Complaint | None:
    return _takes(part, sorts, here, fitting=_OF_NUMBER, what="- takes a number")


def _check_alternative(part: _Part, sorts: Sequence[Sort], here: str) -> _Complaint | None:
    return _alike(part, sorts, here, "?? takes two of one kind")


_CHECKS: Mapping[str, Callable[[_Part, Sequence[Sort], str], _Complaint | None]] = {
    "add": _check_addition,
    "arithmetic": _check_arithmetic,
    "arithmetic_comparison": _check_comparison,
    "coalesce": _check_alternative,
    "comparison": _check_equality,
    "contains": _check_containment,
    "function_call": _check_call,
    "getattr": _check_method,
    "getitem": _check_element,
    "getslice": _check_slice,
    "logic": _check_test,
    "negate": _check_test,
    "sub": _check_arithmetic,
    "ternary": _check_test,
    "uminus": _check_negative,
}
_NEEDED: Mapping[str, slice] = {
    "add": slice(None),
    "arithmetic": slice(None),
    "arithmetic_comparison": slice(None),
    "contains": slice(-1, None),
    "function_call": slice(1, None),
    "getattr": slice(None),
    "getitem": slice(1, None),
    "getslice": slice(1, None),
    "sub": slice(None),
    "uminus": slice(None),
}
"""Which operands may not be null."""

_TESTS: Mapping[str, slice] = {"logic": slice(None), "negate": slice(None), "ternary": slice(0, 1)}
"""Which operands are true or false."""


# The grammar


_PRODUCTION = "p_expression_"


def _placing(name: str) -> Callable[[Any, Any], None]:
    """A production of rule-engine's grammar that makes a `_Part` of what it makes."""
    production = getattr(Parser, name)
    sign = name.removeprefix(_PRODUCTION)

    @functools.wraps(production)
    def placed(self: Parser, p: Any) -> None:
        if sign == "symbol" and isinstance(p[1], _Reference):
            made: Any = _Naming(self.context, p[1])
        else:
            production(self, p)
            made = p[0]
        # Parentheses hand on what they hold, and members of a list are gathered before there is a list.
        if isinstance(made, _Part) or not hasattr(made, "build"):
            return
        first, last = p.slice[1], p.slice[-1]
        span = first.lexpos, getattr(last, "endlexpos", last.lexpos)
        part = _Part(self.context.text, sign, _operator_of(sign, p), span, tuple(_parts_in(p[1:])), made)
        for needed in part.parts[_NEEDED.get(sign, slice(0))]:
            needed.is_needed = True
        for test in part.parts[_TESTS.get(sign, slice(0))]:
            test.is_test = True
        p[0] = part

    # PLY orders productions by their lines, which decides between those that could both be meant.
    placed.co_firstlineno = production.__code__.co_firstlineno  # type: ignore[attr-defined]
    return placed


def _operator_of(sign: str, p: Any) -> str:
    """The word that says what the part does: its operator, method or function."""
    if sign == "getattr":
        return str(p[3])
    words = [value for value in p[1:] if isinstance(value, str)]
    return words[0] if words else ""


def _parts_in(values: Iterable[Any]) -> Iterator[_Part]:
    for value in values:
        if isinstance(value, _Part):
            yield value
        elif isinstance(value, deque):
            yield from _parts_in(value)


_Grammar = type("_Grammar", (Parser,), {name: _placing(name) for name in dir(Parser) if name.startswith(_PRODUCTION)})


@functools.lru_cache(maxsize=1)
def _grammar() -> Any:
    """The parser. Making its tables takes some tenths of a second, so it waits for the first expression."""
    return _Grammar()


def _built(text: str, words: Sequence[_Word], kinds: Mapping[str, Kind]) -> Any:
    """The expression's node. Raises ExpressionRefused."""
    if not words:
        raise ExpressionRefused("the expression is empty", 1)
    context = _Context(text, kinds)
    with _exact():
        try:
            statement = _grammar().parse(text, context, lexer=_Lexer(words), tracking=True)
        except errors.RuleSyntaxError as problem:
            raise _misplaced(text, words, problem.token) from problem
    return statement.expression


def _misplaced(text: str, words: Sequence[_Word], word: _Word | None) -> ExpressionRefused:
    if word is None:
        return ExpressionRefused("the expression ends here, and something is missing", len(text.rstrip()) + 1)
    spelled = _shortened(text[word.lexpos : word.endlexpos])
    chained = word.type in _COMPARISONS and any(one.type in _COMPARISONS for one in words if one.lexpos < word.lexpos)
    hint = "; comparisons are joined by and: a < b and b < c" if chained else ""
    return ExpressionRefused(f"{spelled} is not expected here{hint}", word.lexpos + 1)
