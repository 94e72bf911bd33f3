"""What may be asked of rules: put one, check one before it is put, and tell of one that was suspended.

A rule is checked as a whole before it is written: its expressions against the attributes that its entity has, and what
it may set off against the other rules. Two rules that are put at the same moment do not see each other; should they
feed each other, the depth limit stops them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import simplejson

from shared.announcing import Announcement, AnnouncementKind, Announces
from shared.credits import Ledger
from shared.rules.attributes import AttributeSource, KnownEntity
from shared.rules.checking import RuleRefused, check
from shared.rules.cycles import (
    MAX_SAMPLES,
    Cycle,
    Shown,
    Untried,
    cycles_through,
    samples_of,
    shown,
    spelled,
)
from shared.rules.definition import RuleDefinition
from shared.rules.expressions import Kind
from shared.rules.firing import RuleLimits
from shared.rules.model import MAX_ALL_TEXT, MAX_RULES, Rule
from shared.rules.planning import plan_suspended
from shared.rules.store import RuleStore
from shared.times import to_rfc3339

MAX_LOOKS = 20
"""Times that a rule is looked at while others keep changing it."""

_NAMED_CYCLES = 5
"""Possible cycles that one rule is warned of, the shortest ones."""

_LOOKED_AT = 5
"""Entities whose records are tried where a cycle goes through several; made-up records are tried of all."""


class StillMoving(Exception):
    """Others kept changing the rule. Nothing was written."""


@dataclass(frozen=True, slots=True)
class PutRule:
    """The rule as it was written, or would be, and what looks odd about it."""

    rule: Rule
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TooManyRules:
    """The workspace has as many rules as it may have. Nothing was written."""

    limit: int


@dataclass(frozen=True, slots=True)
class FeedsItself:
    """The rule would be part of a cycle that goes on for ever, as was tried on a record. Nothing was written.

    `cycle` are rules by their identifiers: each feeds the next, and the last one the first.
    """

    cycle: Cycle
    example: Shown


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleRoom:
    """What it takes to put rules."""

    rules: RuleStore
    attributes: AttributeSource
    limits: RuleLimits


@dataclass(frozen=True, slots=True)
class SuspensionRoom:
    """What it takes to tell the owner of a rule that it was suspended."""

    rules: RuleStore
    ledger: Ledger
    limits: RuleLimits
    announcer: Announces


@dataclass(frozen=True, slots=True)
class Checked:
    """A definition that may be put: as a rule that is not saved, in place of what was `seen`, and what looks odd about
    it.
    """

    draft: Rule
    seen: Rule | None
    warnings: tuple[str, ...]


def put_rule(
    room: RuleRoom,
    workspace_id: str,
    rule_id: str,
    definition: RuleDefinition,
    now: datetime,
    out_of_time: Callable[[], bool] = lambda: False,
) -> PutRule | TooManyRules | RuleRefused | FeedsItself:
    """Checks the definition and writes it: of a new rule, or in place of the one that is there.

    One transaction beside what `check_rule` asks for. Raises StillMoving, StoreUnavailable and botocore's errors.
    """
    for _ in range(MAX_LOOKS):
        checked = check_rule(room, workspace_id, rule_id, definition, now, out_of_time)
        if not isinstance(checked, Checked):
            return checked
        rule = room.rules.put(workspace_id, rule_id, definition, now, seen=checked.seen)
        if rule is not None:
            return PutRule(rule, checked.warnings)
    raise StillMoving(f"rule {rule_id} of {workspace_id} changed under {MAX_LOOKS} attempts to put it")


def check_rule(
    room: RuleRoom,
    workspace_id: str,
    rule_id: str,
    definition: RuleDefinition,
    now: datetime,
    out_of_time: Callable[[], bool] = lambda: False,
) -> Checked | TooManyRules | RuleRefused | FeedsItself:
    """What putting the definition would come to; nothing is written.

    When it is `out_of_time`, what is left of the trials is not done, and the definition passes with a warning; kinds of
    what other rules set that are not found out by then are unknown, which every expression takes.

    Reads what `AttributeSource.of` does, and the same for up to four more entities that a cycle goes through. Two
    rules that are put at the same moment may both take the last place that there is. Raises botocore's errors.
    """
    known = room.attributes.of(
        workspace_id, definition.entity, beside=rule_id, asked=definition.reads, out_of_time=out_of_time
    )
    seen = next((rule for rule in known.rules if rule.rule_id == rule_id), None)
    if seen is None and len(known.rules) >= MAX_RULES:
        return TooManyRules(MAX_RULES)
    others = sum(rule.definition.text_size for rule in known.rules if rule.rule_id != rule_id)
    if (size := others + definition.text_size) > MAX_ALL_TEXT:
        reason = f"the expressions of all rules together would have {size:,} characters; a workspace has at most"
        return RuleRefused("actions", f"{reason} {MAX_ALL_TEXT:,}")
    try:
        # What the rule sets itself is no unknown name, although no record has it yet.
        kinds = {**dict.fromkeys(definition.writes, Kind.UNKNOWN), **known.kinds}
        warnings = [f"{odd.place}: {odd.reason}" for odd in check(definition, kinds)]
    except RuleRefused as refused:
        return refused
    rule = draft(workspace_id, rule_id, definition, now)
    cycles = cycles_through(rule, known.rules)
    if cycles:
        found = _shown(room, rule, known, cycles, out_of_time)
        if isinstance(found, Shown):
            return FeedsItself(found.cycle, found)
        told = "may feed itself" if found is None else "could not be tried in time"
        warnings += _possible(cycles, room.limits.max_depth, told)
    return Checked(rule, seen, tuple(warnings))


def draft(workspace_id: str, rule_id: str, definition: RuleDefinition, now: datetime) -> Rule:
    """The definition as a rule that is not saved. Its version is below all that are saved, and tells definitions apart:
    what is compiled of a rule is remembered by its version.
    """
    text = simplejson.dumps(definition.to_json(), use_decimal=True, sort_keys=True)
    return Rule(
        workspace_id=workspace_id,
        rule_id=rule_id,
        definition=definition,
        version=-1 - int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]),
        created_at=now,
        updated_at=now,
    )


def tell_of_suspension(room: SuspensionRoom, workspace_id: str, rule_id: str, version: int) -> None:
    """Notes in the log that this version of the rule was suspended, once, and announces it, if it still is: at least
    once, each time by the same identifier. Raises AnnouncementRefused, StoreUnavailable and botocore's errors; it then
    has to be told again.
    """
    rule = room.rules.get(workspace_id, rule_id)
    if rule is None or rule.version != version or rule.suspended_at is None:
        return
    limit = room.limits.per_hour(rule)
    room.ledger.commit(plan_suspended(rule, limit, at=rule.suspended_at))
    room.announcer.announce(of_suspension(rule, limit))
    room.rules.note_announced(rule)


def of_suspension(rule: Rule, limit: int) -> Announcement:
    """A rule fires no more until its owner puts it anew: it has fired `limit` times within an hour.

    Raises ValueError for a rule that is not suspended.
    """
    if rule.suspended_at is None:
        raise ValueError(f"rule {rule.rule_id} of {rule.workspace_id} is not suspended")
    return Announcement(
        announcement_id=f"{rule.workspace_id}.rule.{rule.rule_id}.{rule.version}",
        workspace_id=rule.workspace_id,
        kind=AnnouncementKind.RULE_SUSPENDED,
        at=rule.suspended_at,
        detail={
            "since": to_rfc3339(rule.suspended_at),
            "reason": "fired_too_often",
            "rule_id": rule.rule_id,
            "rule_version": rule.version,
            "entity": rule.definition.entity,
            "firings_per_hour": limit,
        },
    )


def _shown(
    room: RuleRoom, rule: Rule, known: KnownEntity, cycles: Sequence[Cycle], out_of_time: Callable[[], bool]
) -> Shown | Untried | None:
    """The first of the cycles that goes on for ever, tried on records of today and on made-up ones."""
    rules = {each.rule_id: each for each in (*known.rules, rule)}
    entities = dict.fromkeys(rules[rule_id].definition.entity for cycle in cycles for rule_id in cycle)
    found = {rule.definition.entity: known}
    for entity in list(entities)[:_LOOKED_AT]:
        if out_of_time():
            return Untried()
        if entity not in found:
            # What rules set is found out for the trials anyway, as far as it is not known.
            found[entity] = room.attributes.of(rule.workspace_id, entity, asked=())
    each = MAX_SAMPLES // len(found)
    samples = (record for entity in found.values() for record in samples_of(entity.records, each))
    kinds = {entity: about.kinds for entity, about in found.items()}
    return shown(cycles, rules.values(), samples, max_depth=room.limits.max_depth, kinds=kinds, out_of_time=out_of_time)


def _possible(cycles: Sequence[Cycle], max_depth: int, what: str) -> list[str]:
    """Warnings of cycles that may go on; the trial has not shown it."""
    told = [f"{what}: {spelled(cycle)}; it would stop at a depth of {max_depth}" for cycle in cycles[:_NAMED_CYCLES]]
    more = len(cycles) - len(told)
    return [*told, f"and {more} more such cycles"] if more else told
