"""What a rule's firings come to: the records as they will be, and the plan that pays for them. Pure (design section 8).

One transaction holds firings of one rule, as many as fit. The meter is the first of its writes, and the records follow
in the order of the firings, each with what it creates behind it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from shared.catalog import Mark, Record, put_record, record_size
from shared.credits import Action, Channel, OperationKind, Plan, PriceList, RecordCounts, RefusalReason
from shared.dynamo.transactions import MAX_TRANSACTION_BYTES, MAX_TRANSACTION_ITEMS
from shared.dynamo.values import MAX_ITEM_BYTES
from shared.dynamo.writes import Write
from shared.ids import fingerprint, operation_id, time_of
from shared.rules.model import Change, Creation, Effect, Failed, Rule
from shared.times import to_rfc3339

MAX_RECORDS = MAX_TRANSACTION_ITEMS - 3
"""Records in one transaction, beside the operation entry, the balance and the meter. A pass's cursor takes one more.
One firing, of 20 actions at most, always fits.
"""

_STEP_BYTES = MAX_TRANSACTION_BYTES - 256 * 1024
"""Bytes of records in one transaction: what is left beside the other items and the keys. Of these a hundred may have
1 KB each, and they stand in the entry too.
"""

_MARKS_KEPT = timedelta(days=2)
"""How long a record remembers at least that a rule has fired on it which is no more: longer than a stream repeats."""

_NAMED = 3
"""Records that an entry of the log names, of those that a rule failed on."""

_MAX_DESCRIPTION = 600
_MAX_REASON = 150
_MAX_NAME = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Firing:
    """A rule that fires on one record, as it was seen. `attributes` are those that the record will have, None when
    they stay; `creations` are records of which none was there. `depth` is that of what is written. `trigger` names what
    set it off, the same at every attempt.
    """

    record: Record
    attributes: Mapping[str, Any] | None
    creations: tuple[Creation, ...]
    depth: int
    trigger: str

    @property
    def actions(self) -> dict[Action, int]:
        counted = {
            Action.RULE_FIRED: 1,
            Action.RECORD_UPDATED: int(self.attributes is not None),
            Action.RECORD_CREATED: len(self.creations),
        }
        return {action: count for action, count in counted.items() if count}

    @property
    def records(self) -> int:
        """Records that it writes: its own always, for that carries the mark of the firing."""
        return 1 + len(self.creations)


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan, and the firings' own records as they will be, in their order."""

    plan: Plan
    records: tuple[Record, ...]


@dataclass(frozen=True, slots=True)
class Failure:
    """A record that a rule cannot be carried out on; it costs nothing. `trigger` is as for a firing."""

    record: Record
    reason: str
    trigger: str


def trigger_of(change: Change) -> str:
    """Names a change of a record: by its version, and by when the record was made."""
    return f"{change.entity}/{change.key}@{to_rfc3339(change.created_at)}:{change.version}"


def firing_of(
    record: Record, effect: Effect, taken: Collection[tuple[str, str]], *, depth: int, trigger: str
) -> Firing | None:
    """The firing that an effect comes to, where `taken` are the places of creations that have a record; None when
    nothing is left of it.
    """
    creations = tuple(each for each in effect.creations if (each.entity, each.key) not in taken)
    if effect.attributes is None and not creations:
        return None
    return Firing(record=record, attributes=effect.attributes, creations=creations, depth=depth, trigger=trigger)


def step_length(
    firings: Sequence[Firing],
    sizes: Sequence[int],
    prices: PriceList,
    *,
    budget: int | None = None,
    max_records: int = MAX_RECORDS,
) -> int:
    """How many of the firings one transaction takes: what fits into it, and what `budget` credits pay for. `sizes` are
    the bytes that each writes.
    """
    records = size = cost = 0
    for length, (firing, firing_size) in enumerate(zip(firings, sizes, strict=True)):
        records += firing.records
        size += firing_size
        cost += prices.cost(firing.actions)
        if records > max_records or size > _STEP_BYTES or (budget is not None and cost > budget):
            return length
    return len(firings)


def plan_firings(
    rule: Rule,
    firings: Sequence[Firing],
    meter: Callable[[int], Write],
    *,
    rule_ids: Collection[str],
    catalog_table: str,
    prices: PriceList,
    at: datetime,
    now: datetime,
    trigger: Sequence[str] | None = None,
    cursor: Write | None = None,
    run_id: str | None = None,
) -> Planned:
    """One operation: the rule fires on these records.

    `meter` gives the meter's write for so many credits. `rule_ids` are the rules that there are: old marks of others
    are dropped. `at` dates the operation, and `trigger` names it where the firings do not.
    """
    named = tuple(trigger or (firing.trigger for firing in firings))
    operation = operation_id(at, rule.workspace_id, "rule", rule.rule_id, *named)
    actions: dict[Action, int] = {}
    writes: list[Write] = []
    records: list[Record] = []
    for firing in firings:
        for action, count in firing.actions.items():
            actions[action] = actions.get(action, 0) + count
        own = record_after(rule, firing, operation, rule_ids, now)
        records.append(own)
        writes.append(put_record(catalog_table, own, firing.record))
        writes += [put_record(catalog_table, made, None) for made in _created(rule, firing, operation, now)]
    credits = prices.cost(actions)
    plan = Plan(
        operation_id=operation,
        workspace_id=rule.workspace_id,
        kind=OperationKind.RULE,
        channel=Channel.RULE,
        at=at,
        credits=credits,
        fingerprint=fingerprint("rule", rule.rule_id, *named),
        actions=actions,
        job_id=rule.rule_id,
        job_version=rule.version,
        run_id=run_id,
        description=f"fired on {_counted(len(firings), rule)}",
        cursor=cursor,
        writes=(meter(credits), *writes),
        actor=rule.rule_id,
        records=_counts(firings, prices),
        keys=_keys(firings),
    )
    return Planned(plan, tuple(records))


def record_after(rule: Rule, firing: Firing, operation: str, rule_ids: Collection[str], now: datetime) -> Record:
    """The firing's own record when it is written. One that only carries the mark stays dated and paid for as it was."""
    seen = firing.record
    marks = {
        rule_id: mark
        for rule_id, mark in seen.marks.items()
        # A rule that is not among them may have been put a moment ago: its mark must not get lost.
        if rule_id in rule_ids or now - time_of(mark.operation_id) < _MARKS_KEPT
    }
    marked = replace(seen, version=seen.version + 1, marks=marks | {rule.rule_id: Mark(seen.version + 1, operation)})
    if firing.attributes is None:
        return marked
    return replace(marked, attributes=firing.attributes, updated_at=now, operation_id=operation, depth=firing.depth)


def written_size(rule: Rule, firing: Firing) -> int | Failed:
    """Bytes that the firing writes, or why one of its records cannot be kept."""
    operation = operation_id(firing.record.updated_at, rule.rule_id)
    own = record_after(rule, firing, operation, firing.record.marks.keys(), firing.record.updated_at)
    total = 0
    for record in (own, *_created(rule, firing, operation, firing.record.updated_at)):
        size = record_size(record)
        if size > MAX_ITEM_BYTES:
            which = "the record" if record is own else f"the {record.entity} record that it creates"
            return Failed(f"{which} would have {size:,} bytes; at most {MAX_ITEM_BYTES:,} can be stored")
        total += size
    if total > _STEP_BYTES:
        return Failed(f"its records would have {total:,} bytes together; {_STEP_BYTES:,} can be written at once")
    return total


def plan_failures(
    rule: Rule,
    failures: Sequence[Failure],
    meter: Write,
    *,
    at: datetime | None = None,
    run_id: str | None = None,
) -> Plan:
    """Notes, free, which records the rule could not be carried out on, and why. Dated by the records unless `at` says
    otherwise: those that fail again as they are have been noted before.
    """
    listed = "; ".join(
        f"{_short(each.record.key, _MAX_NAME)}: {_short(each.reason, _MAX_REASON)}" for each in failures[:_NAMED]
    )
    more = f"; and {len(failures) - _NAMED} more" if len(failures) > _NAMED else ""
    return _note(
        rule,
        RefusalReason.RULE_FAILED,
        f"failed on {_counted(len(failures), rule)}: {listed}{more}",
        [each.trigger for each in failures],
        at=at or max(each.record.updated_at for each in failures),
        run_id=run_id,
        writes=(meter,),
    )


def plan_too_deep(rule: Rule, stopped: Sequence[tuple[Record, str]], depth: int) -> Plan:
    """Notes, free, that a chain of rules was stopped before this one; `stopped` are records and triggers. Dated by the
    records, as failures are.
    """
    names = ", ".join(_short(record.key, _MAX_NAME) for record, _ in stopped[:_NAMED])
    more = ", …" if len(stopped) > _NAMED else ""
    return _note(
        rule,
        RefusalReason.CHAIN_TOO_DEEP,
        f"not fired on {_counted(len(stopped), rule)} ({names}{more}): a chain of rules ends at a depth of {depth}",
        [trigger for _, trigger in stopped],
        at=max(record.updated_at for record, _ in stopped),
    )


def plan_suspended(rule: Rule, limit: int, *, at: datetime) -> Plan:
    """Notes, free, that the rule fires no more. One entry for each time that it is suspended."""
    return _note(
        rule,
        RefusalReason.RULE_SUSPENDED,
        f"suspended: it has fired {limit:,} times within an hour, as often as it may",
        [],
        at=at,
    )


def _note(
    rule: Rule,
    reason: RefusalReason,
    description: str,
    trigger: Iterable[str],
    *,
    at: datetime,
    run_id: str | None = None,
    writes: tuple[Write, ...] = (),
) -> Plan:
    named = (reason.value, rule.rule_id, str(rule.version), *trigger)
    return Plan(
        operation_id=operation_id(at, rule.workspace_id, *named),
        workspace_id=rule.workspace_id,
        kind=OperationKind.RULE,
        channel=Channel.RULE,
        at=at,
        credits=0,
        fingerprint=fingerprint(*named),
        actions={},
        job_id=rule.rule_id,
        job_version=rule.version,
        run_id=run_id,
        description=_short(description, _MAX_DESCRIPTION),
        writes=writes,
        refused=reason,
        actor=rule.rule_id,
    )


def _counts(firings: Iterable[Firing], prices: PriceList) -> dict[str, RecordCounts]:
    """What becomes of the records. One that only carries the mark of a firing has not changed."""
    updated = RecordCounts(updated=1, credits=prices.price(Action.RECORD_UPDATED))
    created = RecordCounts(created=1, credits=prices.price(Action.RECORD_CREATED))
    counts: dict[str, RecordCounts] = {}
    for firing in firings:
        if firing.attributes is not None:
            counts[firing.record.entity] = counts.get(firing.record.entity, RecordCounts()) + updated
        for creation in firing.creations:
            counts[creation.entity] = counts.get(creation.entity, RecordCounts()) + created
    return counts


def _keys(firings: Iterable[Firing]) -> dict[str, tuple[str, ...]]:
    """The keys of the records that really change, and of those that are created."""
    written: dict[str, list[str]] = {}
    for firing in firings:
        if firing.attributes is not None:
            written.setdefault(firing.record.entity, []).append(firing.record.key)
        for creation in firing.creations:
            written.setdefault(creation.entity, []).append(creation.key)
    return {entity: tuple(found) for entity, found in written.items()}


def _created(rule: Rule, firing: Firing, operation: str, now: datetime) -> list[Record]:
    return [
        Record(
            workspace_id=rule.workspace_id,
            entity=creation.entity,
            key=creation.key,
            attributes=creation.attributes,
            version=1,
            created_at=now,
            updated_at=now,
            operation_id=operation,
            depth=firing.depth,
        )
        for creation in firing.creations
    ]


def _counted(count: int, rule: Rule) -> str:
    return f"{count:,} {rule.definition.entity} record{'' if count == 1 else 's'}"


def _short(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
