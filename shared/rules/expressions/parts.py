"""The parts of an expression: where each stands, its node once it is built, and why that cannot be computed.

This and grammar.py are the modules that load rule-engine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from rule_engine import ast, errors
from rule_engine.types import DataType

from shared.rules.expressions.checks import complaint_about
from shared.rules.expressions.functions import METHODS
from shared.rules.expressions.kinds import (
    FUNCTION,
    NULL,
    EvaluationFailed,
    ExpressionRefused,
    Kind,
    Missing,
    Sort,
    TooMuch,
    shortened,
    sort_of,
    spoken,
)
from shared.rules.expressions.values import Reference, Subject, bounded
from shared.rules.expressions.words import MAX_DEPTH

TYPES: Mapping[Kind, Any] = {
    Kind.NUMBER: DataType.FLOAT,
    Kind.TEXT: DataType.STRING,
    Kind.BOOLEAN: DataType.BOOLEAN,
    Kind.LIST: DataType.ARRAY,
    Kind.MAP: DataType.MAPPING,
    Kind.UNKNOWN: DataType.UNDEFINED,
}
TYPES_OF_METHODS: Mapping[str, Any] = {
    name: DataType.FUNCTION(name, return_type=TYPES[method.gives], argument_types=(DataType.STRING,))
    if method.called
    else TYPES[method.gives]
    for name, method in METHODS.items()
}

_TROUBLES = (errors.EngineError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What rule-engine raises, and Python's own errors that it lets through, when a part cannot be computed."""


def sort_of_node(node: Any) -> Sort:
    result = DataType.NULLABLE.unwrap(node.result_type)
    if DataType.is_type(result, DataType.NULL):
        return NULL
    if DataType.is_type(result, DataType.FUNCTION):
        return FUNCTION
    return next((kind for kind, one in TYPES.items() if DataType.is_type(result, one)), Kind.UNKNOWN)


@dataclass(eq=False, slots=True)
class Part:
    """A part of an expression: where it stands, what it is made of, what is asked of it, and its node."""

    text: str
    """Of the whole expression."""
    sign: str
    """Which production of the grammar it is."""
    operator: str
    start: int
    end: int
    parts: tuple[Part, ...]
    make: Callable[[], Any] | None
    """Makes the node, once those of its parts are made. It is let go then: it takes a third of the room."""
    is_needed: bool = False
    """Whether it may not be null."""
    is_test: bool = False
    """Whether it must be true or false (or null)."""
    is_walked: bool = False
    """Whether its value is gone through by what it is a part of."""
    depth: int = 1
    node: Any = field(default=None, repr=False)

    def __post_init__(self) -> None:
        self.depth += max((part.depth for part in self.parts), default=0)
        if self.depth > MAX_DEPTH:
            reason = f"at most {MAX_DEPTH} operators are in one chain: use parentheses, or in […]"
            raise ExpressionRefused(reason, self.parts[-1].start + 1)

    @property
    def spelled(self) -> str:
        """The part as it was written, or its beginning."""
        return shortened(self.text[self.start : self.end])

    @property
    def sort(self) -> Sort:
        """What its node gives."""
        return sort_of_node(self.node)

    @property
    def is_zero(self) -> bool:
        """Whether it is 0 on every record."""
        value = getattr(self.node, "value", None)
        return isinstance(value, Decimal) and value == 0

    def build(self) -> Any:
        """Its node, checked. Raises ExpressionRefused. rule-engine calls this for each part of a part."""
        if self.make is None:
            return self.node
        for part in self.parts:
            part.build()
        complaint = complaint_about(self, [part.sort for part in self.parts])
        if complaint is not None:
            raise ExpressionRefused(complaint.reason, complaint.part.start + 1)
        try:
            node = self.make()
        except EvaluationFailed as failed:
            raise ExpressionRefused(failed.reason, self.start + 1) from failed
        except _TROUBLES as problem:
            raise ExpressionRefused(f"{self.spelled} cannot be computed", self.start + 1) from problem
        # A list of what is known when it is read is a literal, and so is not watched; any other list is.
        is_known = isinstance(node, ast.LiteralExpressionBase) and node.is_reduced
        self.node = node if is_known else _Watched(node, self)
        self.make = None
        return self.node

    def failure(self, thing: Subject) -> EvaluationFailed:
        """Why it cannot be computed for a record: what it is made of is computed again, and counted again. Raises
        TooMuch.
        """
        values = [part.node.evaluate(thing) for part in self.parts]
        complaint = complaint_about(self, [sort_of(value) for value in values], " here")
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

    def __init__(self, node: Any, part: Part) -> None:
        self.context = node.context
        self.result_type = TYPES_OF_METHODS[part.operator] if part.sign == "getattr" else node.result_type
        self.reference: Reference | None = getattr(node, "reference", None)
        """Of what the record has, where it is that and nothing else."""
        self._node = node
        self._part = part

    def evaluate(self, thing: Subject) -> Any:
        try:
            value = self._node.evaluate(thing)
        except _TROUBLES as problem:
            try:
                failure = self._part.failure(thing)
            except TooMuch:
                failure = EvaluationFailed(f"{self._part.spelled} cannot be computed here")
            raise failure from problem
        if value is None:
            if self._part.is_needed:
                raise Missing(f"{self._part.spelled} is missing")
            return None
        if value.__class__ is str:
            bounded(value)
            if self._part.sign == "add":
                thing.spend_on_text(len(value))
        elif self._part.sign == "array":
            thing.spend(len(value))
        if self._part.is_walked:
            thing.spend_on(value)
        if self._part.is_test and value.__class__ is not bool:
            raise EvaluationFailed(f"{self._part.spelled} is {spoken(value)} here, and not true or false")
        return value


class Attribute(ast.ExpressionBase):  # type: ignore[misc]
    """The node of an attribute of the record, or of its key."""

    def __init__(self, context: Any, reference: Reference, kind: Kind) -> None:
        self.context = context
        self.result_type = TYPES[kind]
        self.reference = reference

    def evaluate(self, thing: Subject) -> Any:
        return thing.read(self.reference)
