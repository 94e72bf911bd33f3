"""The words of the language: what anybody may send, cut by a list of what is known, and counted."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shared.feeds.exact_numbers import NotANumberHere, parse_decimal
from shared.rules.expressions.functions import FUNCTIONS, METHODS
from shared.rules.expressions.kinds import ExpressionRefused
from shared.rules.expressions.values import Reference

MAX_CHARACTERS = 2_000
MAX_WORDS = 400
MAX_NESTING = 50
"""Brackets inside each other."""

MAX_DEPTH = 100
"""Parts inside each other, as in a chain of as many operators: each takes some of Python's stack."""


@dataclass
class Word:
    """A word of an expression, as PLY's parsers take it (and note things on it). `lexpos` counts from 0."""

    type: str
    value: Any
    lexpos: int
    endlexpos: int
    lineno: int = 1

    def read_as(self, type_: str, value: Any) -> Word:
        """The same piece of the text, as a word of the grammar."""
        return Word(type_, value, self.lexpos, self.endlexpos)


_PATTERN = re.compile(
    r"""
      (?P<space>[ \t\r\n]+)
    | (?P<prefixed>[^\W\d]\w*["'])
    | (?P<name>[^\W\d]\w*)
    | (?P<function>\$[^\W\d]\w*)
    | (?P<number>[0-9]+(?:\.[0-9]+)?(?![\w.]))
    | (?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
    | (?P<refused>=~~?|!~~?|\*\*|//|<<|>>|<>|&&|\|\||&\.|&\[|=(?!=)|!(?!=)|[&|^{}\#;`$\\~@])
    | (?P<operator>==|!=|<=|>=|\?\?|[-+*/%<>()\[\],.?:])
    """,
    re.VERBOSE | re.DOTALL,
)

_KEYWORDS = {"true": "TRUE", "false": "FALSE", "null": "NULL", "and": "AND", "or": "OR", "not": "NOT", "in": "IN"}
# fmt: off
_OPERATORS = {
    "==": "EQ", "!=": "NE", "<": "LT", "<=": "LE", ">": "GT", ">=": "GE",
    "+": "ADD", "-": "SUB", "*": "MUL", "/": "TDIV", "%": "MOD",
    "??": "COALESCE", "?": "QMARK", ":": "COLON", ",": "COMMA", ".": "ATTR",
    "(": "LPAREN", ")": "RPAREN", "[": "LBRACKET", "]": "RBRACKET",
}
# fmt: on
COMPARISONS = frozenset({"EQ", "NE", "LT", "LE", "GT", "GE", "IN"})
_OPERANDS = frozenset({"STRING", "FLOAT", "TRUE", "FALSE", "NULL", "RPAREN", "RBRACKET"})
"""Words that an opening parenthesis would call; so would it an attribute."""

_NO_PATTERNS = "patterns (regular expressions) are not known: use .starts_with(…), .ends_with(…), or in"
_NO_BITS = "operations on bits are not known"
_NO_MAPS = "maps and sets cannot be written; lists are: [1, 2]"
_NO_IF = "is not known: write condition ? value : other value"
_NO_LOOPS = "is not known: expressions do not go through lists one by one"
_REFUSALS: Mapping[str, str] = {
    **dict.fromkeys(("=~", "=~~", "!~", "!~~"), _NO_PATTERNS),
    **dict.fromkeys(("<<", ">>", "^"), _NO_BITS),
    **dict.fromkeys(("{", "}"), _NO_MAPS),
    **{name: f"{name} {_NO_IF}" for name in ("if", "else", "elif")},
    **{name: f"{name} {_NO_LOOPS}" for name in ("for", "while")},
    "**": "powers are not known: multiply",
    "//": "// is not known: write (a / b).floor",
    "&": f"{_NO_BITS}; both is written and",
    "|": f"{_NO_BITS}; one or the other is written or",
    "<>": "differs from is written !=",
    "=": "equals is written ==",
    "!": "not is written not",
    "&&": "both is written and",
    "||": "one or the other is written or",
    "&.": "&. is not known: a value that may be null is written (value ?? other)",
    "&[": "&[ is not known: [ gives null where there is nothing",
    "#": "comments are not known: a rule has a description",
}
_ATTRIBUTES = "attributes"
_KEY = "key"
_ESCAPES = {"n": "\n", "t": "\t", "\\": "\\", '"': '"', "'": "'"}


def words_of(text: str) -> tuple[Word, ...]:
    """The words of an expression, as the grammar takes them. Raises ExpressionRefused."""
    if len(text) > MAX_CHARACTERS:
        reason = f"an expression has at most {MAX_CHARACTERS:,} characters, and this one has {len(text):,}"
        raise ExpressionRefused(reason, MAX_CHARACTERS + 1)
    return tuple(_Reading(tuple(_pieces(text))).words())


def _pieces(text: str) -> Iterator[Word]:
    """The text cut and counted; the type of a piece is yet the group of the pattern that it is of."""
    place = count = nesting = 0
    while place < len(text):
        match = _PATTERN.match(text, place)
        if match is None:
            raise _no_word(text, place)
        group, piece, start, place = str(match.lastgroup), match.group(), place, match.end()
        if group == "space":
            continue
        count += 1
        nesting += (piece in {"(", "["}) - (piece in {")", "]"})
        if count > MAX_WORDS:
            raise ExpressionRefused(f"an expression has at most {MAX_WORDS} words and signs", start + 1)
        if nesting > MAX_NESTING:
            raise ExpressionRefused(f"brackets are at most {MAX_NESTING} deep inside each other", start + 1)
        if group == "refused":
            raise ExpressionRefused(_REFUSALS.get(piece, f"{piece} is not known here"), start + 1)
        if group == "prefixed":
            reason = "a text stands in quotes with nothing before them; there are no dates, times or patterns"
            raise ExpressionRefused(reason, start + 1)
        yield Word(group, piece, start, place)


def _no_word(text: str, place: int) -> ExpressionRefused:
    sign = text[place]
    reason = f"{sign!r} is not known here"
    if sign in "\"'":
        reason = "a text begins here, and its closing quote is missing"
    elif sign in "0123456789":
        reason = "a number is written like 12 or 12.50"
    return ExpressionRefused(reason, place + 1)


class _Reading:
    """Makes words of pieces: each is of the vocabulary, and stands where one of its kind may."""

    def __init__(self, pieces: Sequence[Word]) -> None:
        self._pieces = pieces
        self._place = 0
        self._last: Word | None = None

    def words(self) -> Iterator[Word]:
        while self._place < len(self._pieces):
            piece = self._pieces[self._place]
            self._place += 1
            # Each group of the pattern that is let through has the method of its name.
            self._last = getattr(self, f"_{piece.type}")(piece)
            yield self._last

    def _name(self, piece: Word) -> Word:
        name = piece.value
        if self._last is not None and self._last.type == "ATTR":
            return self._method(piece)
        if name in _KEYWORDS:
            return piece.read_as(_KEYWORDS[name], name)
        if name in _REFUSALS:
            raise ExpressionRefused(_REFUSALS[name], piece.lexpos + 1)
        if name == _ATTRIBUTES:
            return self._attribute(piece)
        if self._is_called:
            raise ExpressionRefused(f"{name} is no function; there are {', '.join(FUNCTIONS)}", piece.lexpos + 1)
        return piece.read_as("SYMBOL", Reference(name, is_key=name == _KEY))

    def _attribute(self, piece: Word) -> Word:
        """`attributes["Body (HTML)"]`, which is one word to the parser."""
        following = self._pieces[self._place : self._place + 3]
        shape = [one.type if one.type == "text" else one.value for one in following]
        if shape != ["[", "text", "]"]:
            reason = f'{_ATTRIBUTES} is followed by the name of one, in quotes: {_ATTRIBUTES}["name"]'
            wrong = following[1] if shape[:1] == ["["] and shape[1:] else piece
            raise ExpressionRefused(reason, wrong.lexpos + 1)
        name = _said(following[1])
        if not name or name.isspace():
            raise ExpressionRefused("an attribute has a name that is not blank", following[1].lexpos + 1)
        self._place += 3
        return Word("SYMBOL", Reference(name), piece.lexpos, following[2].endlexpos)

    def _method(self, piece: Word) -> Word:
        method = METHODS.get(piece.value)
        if method is None:
            known = ", ".join(f".{name}" for name in METHODS)
            reason = f'.{piece.value} is not known; there are {known}. A part of a map is written map["{piece.value}"]'
            raise ExpressionRefused(reason, piece.lexpos + 1)
        if method.called != self._is_called:
            how = "followed by a text in parentheses" if method.called else "written without parentheses"
            raise ExpressionRefused(f".{piece.value} is {how}", piece.lexpos + 1)
        return piece.read_as("SYMBOL", piece.value)

    def _function(self, piece: Word) -> Word:
        if piece.value not in FUNCTIONS:
            reason = f"{piece.value} is not known; there are {', '.join(FUNCTIONS)}"
            raise ExpressionRefused(reason, piece.lexpos + 1)
        if not self._is_called:
            raise ExpressionRefused(f"{piece.value} is a function: it is followed by parentheses", piece.lexpos + 1)
        return piece.read_as("SYMBOL", piece.value)

    def _number(self, piece: Word) -> Word:
        if re.match("0[0-9]", piece.value):
            raise ExpressionRefused("a number has no zeros before it", piece.lexpos + 1)
        try:
            parse_decimal(piece.value)
        except NotANumberHere as problem:
            raise ExpressionRefused(str(problem), piece.lexpos + 1) from problem
        return piece.read_as("FLOAT", piece.value)

    def _text(self, piece: Word) -> Word:
        # The parser takes a raw text as it stands, without looking for the end of it.
        return piece.read_as("STRING", f'r"{_said(piece)}"')

    def _operator(self, piece: Word) -> Word:
        last = self._last
        if piece.value == "(" and last and (last.type in _OPERANDS or isinstance(last.value, Reference)):
            raise ExpressionRefused("what stands before this parenthesis is no function", piece.lexpos + 1)
        following = self._pieces[self._place : self._place + 1]
        if piece.value == "." and not (following and following[0].type == "name"):
            reason = "a point is followed by a word such as .length; a number has digits before it"
            raise ExpressionRefused(reason, piece.lexpos + 1)
        # `&[` is the grammar's sign for an element that may not be there.
        return piece.read_as(_OPERATORS[piece.value], "&[" if piece.value == "[" else piece.value)

    @property
    def _is_called(self) -> bool:
        """Whether a parenthesis follows."""
        return self._place < len(self._pieces) and self._pieces[self._place].value == "("


def _said(piece: Word) -> str:
    """What a text in quotes says. Raises ExpressionRefused for an escape that is not known."""

    def read(match: re.Match[str]) -> str:
        digits, escaped = match.groups()
        if escaped in _ESCAPES:
            return _ESCAPES[escaped]
        character = chr(int(digits, 16)) if digits else match.group()
        if escaped:
            reason = r"in a text a backslash is followed by another, a quote, n, t, or u and four digits (\u00e9)"
        elif "\ud800" <= character <= "\udfff":
            reason = "half of a surrogate pair is no character"
        else:
            return character
        raise ExpressionRefused(reason, piece.lexpos + match.start() + 2)

    return re.sub(r"\\u([0-9a-fA-F]{4})|\\(.)|[\ud800-\udfff]", read, piece.value[1:-1], flags=re.DOTALL)
