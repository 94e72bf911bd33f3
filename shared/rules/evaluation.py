"""What a rule comes to on one record. Pure: nothing is read, and nothing is written.

An attribute that the record does not have is null. A condition that needs one does not hold; an action that needs one
fails, and so does the rule on this record. All actions are computed on the record as it was before any of them. What
comes to null is cleared. All that is computed for one record goes through a bounded number of elements.
"""

from __future__ import annotations

import decimal
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, assert_never

from shared.catalog import MAX_KEY_BYTES, Mark, Record, record_size, same
from shared.dynamo.values import MAX_ITEM_BYTES
from shared.edits.attributes import AttributeRefused, kept
from shared.feeds.exact_numbers import MAX_DIGITS, as_text
from shared.rules.definition import (
    AttributeValue,
    ClearAction,
    CreateAction,
    ExpressionValue,
    LiteralValue,
    Lookup,
    LookupValue,
    NewRecord,
    SetAction,
    Value,
)
from shared.rules.expressions import EvaluationFailed, Expression, ExpressionRefused, Missing, Subject, parse, spoken
from shared.rules.model import Creation, Effect, Examined, Failed, NoChange, NoMatch, Rule

_logger = logging.getLogger(__name__)

_SOME_OPERATION = "0" * 26
"""As long as the identifier of the operation that will pay."""

_ABSENT = object()

Compute = Callable[[Subject], Any]
"""Computes a value from a record. Raises EvaluationFailed."""


@dataclass(frozen=True, slots=True)
class _Setting:
    name: str
    compute: Compute
    is_checked: bool
    """Whether what it comes to stands in the definition, and so can be stored."""


@dataclass(frozen=True, slots=True)
class _Creating:
    entity: str
    key: Compute
    attributes: tuple[_Setting, ...]


@dataclass(frozen=True, slots=True)
class CompiledRule:
    """A rule that is ready to be tried on records."""

    rule: Rule
    _condition: Expression
    _settings: tuple[_Setting, ...]
    _creatings: tuple[_Creating, ...]

    def examine(self, record: Record) -> Examined:
        """Whether the rule's condition holds for the record, and what its actions come to then.

        `Failed` also where what they come to cannot be stored: the record, or one that is created, over 400 KB, a key
        that is empty or over 1,024 bytes, a value that is no attribute's.
        """
        subject = Subject(record.key, record.attributes)
        try:
            if not self._holds(subject):
                return NoMatch()
            attributes = self._attributes(record, subject)
            creations = self._creations(record, subject)
        except EvaluationFailed as failed:
            return Failed(failed.reason)
        if attributes is None and not creations:
            return NoChange()
        return Effect(attributes, creations)

    def _holds(self, subject: Subject) -> bool:
        try:
            holds = self._condition.value_for(subject)
        except Missing:
            return False
        except EvaluationFailed as failed:
            raise EvaluationFailed(f"the condition cannot be computed: {failed.reason}") from failed
        if holds is None or isinstance(holds, bool):
            return holds is True
        raise EvaluationFailed(f"the condition is {spoken(holds)} here, and not true or false")

    def _attributes(self, record: Record, subject: Subject) -> Mapping[str, Any] | None:
        """The record's attributes afterwards, or None when nothing about them changes."""
        wanted = dict(record.attributes)
        changes = False
        for setting in self._settings:
            value = _computed(setting, subject)
            if value is None:
                changes = wanted.pop(setting.name, _ABSENT) is not _ABSENT or changes
            else:
                changes = not same(wanted.get(setting.name, _ABSENT), value) or changes
                wanted[setting.name] = value
        if not changes:
            return None
        after = replace(
            record,
            attributes=wanted,
            version=record.version + 1,
            operation_id=_SOME_OPERATION,
            marks={**record.marks, self.rule.rule_id: Mark(record.version + 1, _SOME_OPERATION)},
            depth=record.depth + 1,
        )
        _check_size(after, "the record")
        return wanted

    def _creations(self, record: Record, subject: Subject) -> tuple[Creation, ...]:
        """Of two with the same key the first: the second finds its place taken."""
        creations: dict[tuple[str, str], Creation] = {}
        for creating in self._creatings:
            creation = self._creation(creating, record, subject)
            creations.setdefault((creation.entity, creation.key), creation)
        return tuple(creations.values())

    def _creation(self, creating: _Creating, record: Record, subject: Subject) -> Creation:
        what = f"a {creating.entity} record"
        try:
            key = _key(creating.key(subject))
        except EvaluationFailed as failed:
            raise EvaluationFailed(f"{what} cannot be created, for its key: {failed.reason}") from failed
        values = ((setting.name, _computed(setting, subject, what)) for setting in creating.attributes)
        attributes = {name: value for name, value in values if value is not None}
        created = Record(
            workspace_id=record.workspace_id,
            entity=creating.entity,
            key=key,
            attributes=attributes,
            version=1,
            created_at=record.created_at,
            updated_at=record.created_at,
            operation_id=_SOME_OPERATION,
            depth=record.depth + 1,
        )
        _check_size(created, what)
        return Creation(creating.entity, key, attributes)


def examiner_of(rule: Rule) -> Callable[[Record], Examined]:
    """What tells the rule's effect on a record, and never raises: whatever is wrong with one rule, and be it our fault,
    fails its own firings and keeps no other rule from firing. The rule is compiled for the first record: most of those
    that a batch brings up have none to look at.
    """
    compiled: CompiledRule | None = None

    def examine(record: Record) -> Examined:
        nonlocal compiled
        try:
            if compiled is None:
                compiled = compile_rule(rule)
            return compiled.examine(record)
        except ExpressionRefused as refused:
            # It was put under laxer limits than today's.
            return Failed(f"the rule cannot be read any more: {refused}")
        except Exception:
            _logger.exception("rule %s of %s met something unexpected", rule.rule_id, rule.workspace_id)
            return Failed("it could not be computed, through a fault of ours")

    return examine


def compile_rule(rule: Rule) -> CompiledRule:
    """The rule, made ready: its expressions are remembered by their text, and the rest is a matter of microseconds.

    Raises ExpressionRefused for an expression that does not parse; a rule that was checked has none.
    """
    settings: list[_Setting] = []
    creatings: list[_Creating] = []
    for action in rule.definition.actions:
        match action:
            case SetAction():
                settings.append(_setting(action.set, action.to))
            case ClearAction():
                settings.append(_Setting(action.clear, _constant(None), is_checked=True))
            case CreateAction():
                creatings.append(_creating(action.create))
            case _:
                assert_never(action)
    return CompiledRule(rule, parse(rule.definition.condition), tuple(settings), tuple(creatings))


def _creating(new: NewRecord) -> _Creating:
    attributes = tuple(_setting(name, value) for name, value in new.attributes.items())
    return _Creating(new.entity, _computing(new.key), attributes)


def _setting(name: str, value: Value) -> _Setting:
    return _Setting(name, _computing(value), is_checked=isinstance(value, LiteralValue | LookupValue))


def _computing(value: Value) -> Compute:
    match value:
        case LiteralValue():
            return _constant(value.value)
        case AttributeValue():
            name = value.attribute
            return lambda subject: subject.copied(name)
        case ExpressionValue():
            return _rounded(_evaluating(value.expression), value.decimals)
        case LookupValue():
            return _looked_up(value.lookup)
        case _:
            assert_never(value)


def _constant(value: Any) -> Compute:
    return lambda _: value


def _evaluating(text: str) -> Compute:
    return parse(text).value_for


def _rounded(compute: Compute, decimals: int | None) -> Compute:
    if decimals is None:
        return compute
    unit = Decimal(1).scaleb(-decimals)
    context = decimal.Context(prec=MAX_DIGITS, rounding=decimal.ROUND_HALF_UP)

    def rounded(subject: Subject) -> Any:
        value = compute(subject)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | Decimal):
            raise EvaluationFailed(f"it is {spoken(value)} here, and only numbers have decimals")
        try:
            result = Decimal(value).quantize(unit, context=context.copy())
        except decimal.InvalidOperation as problem:
            raise EvaluationFailed(f"with {decimals} decimals it has more than {MAX_DIGITS} digits") from problem
        return int(result) if decimals == 0 else result

    return rounded


def _looked_up(lookup: Lookup) -> Compute:
    compute, table, default = _evaluating(lookup.of), lookup.table, lookup.default

    def looked_up(subject: Subject) -> Any:
        name = compute(subject)
        if name is None:
            return default
        if isinstance(name, bool) or not isinstance(name, str | int | Decimal):
            raise EvaluationFailed(f"what is looked up is {spoken(name)} here, and neither a text nor a number")
        return table.get(name if isinstance(name, str) else as_text(name), default)

    return looked_up


def _computed(setting: _Setting, subject: Subject, of: str = "") -> Any:
    """The value of an attribute, as it is stored."""
    try:
        value = setting.compute(subject)
        return value if setting.is_checked else kept({setting.name: value})[setting.name]
    except EvaluationFailed as failed:
        reason = failed.reason
    except AttributeRefused as refused:
        reason = refused.reason.replace("Input should", "it should")
    where = f"{setting.name} of {of}" if of else setting.name
    raise EvaluationFailed(f"{where} cannot be set: {reason}")


def _key(value: Any) -> str:
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        value = as_text(value)
    if value is None:
        raise EvaluationFailed("it is null")
    if not isinstance(value, str):
        raise EvaluationFailed(f"it is {spoken(value)}, and neither a text nor a number")
    if not value:
        raise EvaluationFailed("it is empty")
    try:
        size = len(value.encode())
    except UnicodeEncodeError as problem:
        raise EvaluationFailed("it holds half of a surrogate pair, which is no character") from problem
    if size > MAX_KEY_BYTES:
        raise EvaluationFailed(f"it has {size:,} bytes, and at most {MAX_KEY_BYTES:,} are kept")
    return value


def _check_size(record: Record, what: str) -> None:
    size = record_size(record)
    if size > MAX_ITEM_BYTES:
        raise EvaluationFailed(f"{what} would have {size:,} bytes, and at most {MAX_ITEM_BYTES:,} are kept")
