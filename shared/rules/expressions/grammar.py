"""rule-engine's grammar, whose productions remember where they stand, and what its nodes may look up."""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import rule_engine
from rule_engine import builtins, errors
from rule_engine.parser import Parser
from rule_engine.types import DataType

from shared.rules.expressions.checks import operation_of
from shared.rules.expressions.functions import FUNCTIONS, METHODS
from shared.rules.expressions.kinds import FUNCTION, NULL, ExpressionRefused, Kind, shortened, sort_of
from shared.rules.expressions.nodes import NODES
from shared.rules.expressions.parts import TYPES_OF_METHODS, Attribute, Part, sort_of_node
from shared.rules.expressions.values import Reference, exact
from shared.rules.expressions.words import COMPARISONS, Word

_PRODUCTION = "p_expression_"


def built(text: str, words: Sequence[Word], kinds: Mapping[str, Kind]) -> tuple[Any, Kind]:
    """The expression's node, and its kind where its attributes are of these kinds. Raises ExpressionRefused."""
    if not words:
        raise ExpressionRefused("the expression is empty", 1)
    with exact():
        try:
            node = _GRAMMAR.parse(text, _CONTEXT, lexer=_Lexer(text, words, kinds), tracking=True).expression
        except errors.RuleSyntaxError as problem:
            raise _misplaced(text, words, problem.token) from problem
    sort = sort_of_node(node)
    return node, Kind.UNKNOWN if sort in {NULL, FUNCTION} else Kind(sort)


def _misplaced(text: str, words: Sequence[Word], word: Word | None) -> ExpressionRefused:
    if word is None:
        return ExpressionRefused("the expression ends here, and something is missing", len(text.rstrip()) + 1)
    spelled = shortened(text[word.lexpos : word.endlexpos])
    chained = word.type in COMPARISONS and any(one.type in COMPARISONS for one in words if one.lexpos < word.lexpos)
    hint = "; comparisons are joined by and: a < b and b < c" if chained else ""
    return ExpressionRefused(f"{spelled} is not expected here{hint}", word.lexpos + 1)


# What expressions may look up


def _builtins() -> Any:
    of_number, of_list = DataType.FLOAT, DataType.ARRAY(DataType.FLOAT)
    types = {
        name[1:]: DataType.FUNCTION(
            name[1:], return_type=of_number, argument_types=(of_number if name == "$abs" else of_list,)
        )
        for name in FUNCTIONS
    }
    return builtins.Builtins({name[1:]: function for name, function in FUNCTIONS.items()}, value_types=types)


class _Context(rule_engine.Context):  # type: ignore[misc]
    """What rule-engine may look up: our functions and methods. Attributes have nodes of their own, so one context is
    that of all expressions.
    """

    def __init__(self) -> None:
        super().__init__(default_timezone="utc", mapping_attribute_lookup=False)
        self.builtins = _builtins()

    def resolve_attribute(self, thing: Any, object_: Any, name: str) -> Any:
        method = METHODS[name]
        if sort_of(object_) not in method.of:
            raise errors.EvaluationError(f".{name} is of others")
        if method.goes_through and isinstance(object_, str) and thing is not None:
            thing.spend_on_text(len(object_))
        compute = method.compute
        return super().resolve_attribute(thing, object_, name) if compute is None else compute(object_)

    def resolve_attribute_type(self, object_type: Any, name: str) -> Any:  # noqa: ARG002 - of its base class
        return TYPES_OF_METHODS[name]


# The productions


class _Lexer:
    """Hands the words to the parser, in place of its own lexer; and to the productions what they are of."""

    lineno = 1

    def __init__(self, text: str, words: Iterable[Word], kinds: Mapping[str, Kind]) -> None:
        self.text = text
        self.kinds = kinds
        self._words = iter(words)

    def input(self, text: str) -> None:
        """The text was read before."""

    def token(self) -> Word | None:
        return next(self._words, None)


def _placing(name: str) -> Callable[[Any, Any], None]:
    """A production of rule-engine's grammar that makes a `Part` of what it makes."""
    production = getattr(Parser, name)
    sign = name.removeprefix(_PRODUCTION)
    operation = operation_of(sign)

    @functools.wraps(production)
    def placed(self: Parser, p: Any) -> None:
        named, source = p[1], p.lexer
        if isinstance(named, Reference):
            kind = Kind.TEXT if named.is_key else source.kinds.get(named.name, Kind.UNKNOWN)
            make: Callable[[], Any] = functools.partial(Attribute, self.context, named, kind)
        else:
            production(self, p)
            # Parentheses hand on what they hold, and members of a list are gathered before there is a list.
            if isinstance(p[0], Part | deque):
                return
            make = _ours(p[0]).build
        first, last = p.slice[1], p.slice[-1]
        end = getattr(last, "endlexpos", last.lexpos)
        parts = tuple(_parts_in(p[1:]))
        part = Part(source.text, sign, _operator_of(sign, p), first.lexpos, end, parts, make)
        for needed in parts[operation.needed]:
            needed.is_needed = True
        for test in parts[operation.tests]:
            test.is_test = True
        for walked in parts[operation.walks]:
            walked.is_walked = True
        p[0] = part

    # PLY orders productions by their lines, which decides between those that could both be meant.
    placed.co_firstlineno = production.__code__.co_firstlineno  # type: ignore[attr-defined]
    return placed


def _ours(deferred: Any) -> Any:
    """What will make a node: where there is one of ours for it, that."""
    deferred.cls = NODES.get(deferred.cls, deferred.cls)
    for part in deferred.args:
        # `not in` is the negation of what is no part of its own.
        if isinstance(part, type(deferred)):
            _ours(part)
    return deferred


def _operator_of(sign: str, p: Any) -> str:
    """The word that says what the part does: its operator, method or function."""
    if sign == "getattr":
        return str(p[3])
    return next((value for value in p[1:] if isinstance(value, str)), "")


def _parts_in(values: Iterable[Any]) -> Iterator[Part]:
    for value in values:
        if isinstance(value, Part):
            yield value
        elif isinstance(value, deque):
            yield from _parts_in(value)


_Grammar = type("_Grammar", (Parser,), {name: _placing(name) for name in dir(Parser) if name.startswith(_PRODUCTION)})


# Making its tables takes some tenths of a second.
_GRAMMAR = _Grammar()
_CONTEXT = _Context()
