"""What the next step of a run does. Pure: records and views in, a plan out (design section 6).

A step takes prepared records in their order, as many as one transaction holds or as the credits pay for. Records that
would not change ride along for nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from itertools import islice

from shared.catalog import Record, differs, merged, put_record, record_size
from shared.credits import (
    MAX_WRITES,
    Action,
    Channel,
    OperationKind,
    Plan,
    PriceList,
    RecordCounts,
    StepRecords,
)
from shared.dynamo.transactions import MAX_TRANSACTION_BYTES
from shared.dynamo.values import MAX_ITEM_BYTES
from shared.dynamo.writes import Write
from shared.ids import fingerprint, operation_id
from shared.runs.artifacts import Manifest, PreparedRecord, Rejection
from shared.runs.model import Counts, Run

_STEP_BYTES = MAX_TRANSACTION_BYTES - 64 * 1024
"""Bytes of records in one transaction: what is left beside the entry, the balance, the cursor and the keys."""


MAX_STEP_RECORDS = 1_000
"""Records that one step takes, changed or not: those that wait for a step are held in memory."""


class Change(StrEnum):
    """What a step does with one record."""

    CREATE = "create"
    UPDATE = "update"
    NOTHING = "nothing"
    REJECT = "reject"


_ACTIONS = {Change.CREATE: Action.RECORD_CREATED, Change.UPDATE: Action.RECORD_UPDATED}


@dataclass(frozen=True, slots=True)
class Examined:
    """A prepared record beside what the catalogue holds: what is to be done, and the record as it would be written.

    `attributes` are those the record would have; `size` is in bytes, 0 when nothing is written.
    """

    prepared: PreparedRecord
    change: Change
    seen: Record | None
    attributes: Mapping[str, object]
    size: int = 0

    @property
    def is_write(self) -> bool:
        return self.change in _ACTIONS

    def cost(self, prices: PriceList) -> int:
        """Credits that the change costs."""
        return prices.price(_ACTIONS[self.change]) if self.is_write else 0


@dataclass(frozen=True, slots=True)
class Examiner:
    """Compares prepared records with the catalogue, by the terms of one run's feed."""

    run: Run
    manifest: Manifest

    def examine(self, prepared: PreparedRecord, seen: Record | None) -> Examined:
        owned = self.manifest.mapped.get(prepared.entity, ())
        if seen is None:
            return self._write(Change.CREATE, prepared, None, prepared.attributes)
        if self.manifest.skip_unchanged and not differs(seen.attributes, prepared.attributes, owned):
            # Many of these may wait for a step to pass them over: what they hold is not needed for that.
            return Examined(replace(prepared, attributes={}), Change.NOTHING, None, {})
        return self._write(Change.UPDATE, prepared, seen, merged(seen.attributes, prepared.attributes, owned))

    def _write(
        self, change: Change, prepared: PreparedRecord, seen: Record | None, attributes: Mapping[str, object]
    ) -> Examined:
        run = self.run
        size = record_size(_next_record(run, prepared, seen, attributes, run.updated_at, run.run_id))
        if size > MAX_ITEM_BYTES:
            # Too large only together with attributes that the feed does not map: preparing could not know.
            return Examined(prepared, Change.REJECT, seen, attributes, size)
        return Examined(prepared, change, seen, attributes, size)


def step_length(examined: Sequence[Examined], prices: PriceList, budget: int | None = None) -> int:
    """How many of the records the next step takes: what fits one transaction, and what `budget` credits pay for."""
    writes = size = cost = 0
    for length, each in enumerate(islice(examined, MAX_STEP_RECORDS)):
        writes += each.is_write
        size += each.size
        cost += each.cost(prices)
        if writes > MAX_WRITES or size > _STEP_BYTES or (budget is not None and cost > budget):
            return length
    return min(len(examined), MAX_STEP_RECORDS)


def is_full(examined: Sequence[Examined], prices: PriceList) -> bool:
    """Whether there are records enough for a step that no further record could join."""
    length = step_length(examined, prices)
    is_bounded = length < len(examined) or length == MAX_STEP_RECORDS
    return is_bounded or sum(each.is_write for each in examined) == MAX_WRITES


def after_step(run: Run, step: Sequence[Examined], prices: PriceList, now: datetime) -> Run:
    """The run when `step` is done: its cursor behind the last record, its counts with all of them."""
    by_entity = dict(run.by_entity)
    for each in step:
        by_entity[each.prepared.entity] = by_entity.get(each.prepared.entity, Counts()) + _counts(each, prices)
    return replace(
        run,
        cursor=step[-1].prepared.end if step else run.cursor,
        by_entity=by_entity,
        rejected=run.rejected + sum(each.change is Change.REJECT for each in step),
        updated_at=now,
        step_at=now,
    )


def rejections(step: Sequence[Examined]) -> list[Rejection]:
    return [
        Rejection(
            each.prepared.row,
            None,
            each.prepared.entity,
            each.prepared.key,
            f"with the attributes that the catalogue already holds, the record would have {each.size:,} bytes; "
            f"at most {MAX_ITEM_BYTES:,} can be stored",
        )
        for each in step
        if each.change is Change.REJECT
    ]


def plan_step(
    before: Run,
    run: Run,
    step: Sequence[Examined],
    cursor: Write,
    catalog_table: str,
    prices: PriceList,
    now: datetime,
) -> Plan:
    """The plan that writes `step`, pays for it and moves the run on from `before`; `cursor` is the run's own write.

    `run` is the run where the step begins: ahead of `before` by records that would not change. The log is told of those
    with this step.
    """
    operation = step_operation_id(before)
    writes = [each for each in step if each.is_write]
    actions: dict[Action, int] = {}
    for each in writes:
        actions[_ACTIONS[each.change]] = actions.get(_ACTIONS[each.change], 0) + 1
    return Plan(
        operation_id=operation,
        workspace_id=before.workspace_id,
        kind=OperationKind.IMPORT,
        channel=Channel.IMPORT,
        at=before.step_at,
        credits=prices.cost(actions),
        fingerprint=fingerprint(before.run_id, str(before.cursor.position)),
        actions=actions,
        job_id=before.feed_id,
        run_id=before.run_id,
        description=f"records {before.cursor.position + 1} to {step[-1].prepared.end.position}",
        actor=before.started_by,
        records=_records(run, step, prices),
        step=StepRecords(
            run.cursor.position, run.cursor.offset, sum(1 << nth for nth, each in enumerate(step) if each.is_write)
        ),
        cursor=cursor,
        writes=tuple(
            put_record(
                catalog_table,
                _next_record(before, each.prepared, each.seen, each.attributes, now, operation),
                each.seen,
            )
            for each in writes
        ),
    )


def plan_note(ended: Run, cursor: Write) -> Plan:
    """The plan that ends a run and tells the log, free, of records that were passed over since the last step.

    It is dated by the end, however long ago the last step was. Only one end can be written, and no step beside it: each
    moves the run on from where it was.
    """
    unchanged = ended.unnoted
    named = (ended.run_id, "end", ended.state.value)
    return Plan(
        operation_id=operation_id(ended.updated_at, ended.workspace_id, *named),
        workspace_id=ended.workspace_id,
        kind=OperationKind.IMPORT,
        channel=Channel.IMPORT,
        at=ended.updated_at,
        credits=0,
        fingerprint=fingerprint(*named),
        actions={},
        job_id=ended.feed_id,
        run_id=ended.run_id,
        description=f"{sum(unchanged.values()):,} records would not change",
        actor=ended.started_by,
        records={entity: RecordCounts(unchanged=count) for entity, count in unchanged.items()},
        cursor=cursor,
    )


def step_operation_id(run: Run) -> str:
    """The operation that moves `run` on from where it is: the same for every worker that sees it there."""
    return operation_id(run.step_at, run.workspace_id, run.run_id, str(run.cursor.position))


def _records(run: Run, step: Sequence[Examined], prices: PriceList) -> dict[str, RecordCounts]:
    """What becomes of the step's records, and of those before it that the log was not told of."""
    records = {entity: RecordCounts(unchanged=count) for entity, count in run.unnoted.items()}
    for each in step:
        if each.change is not Change.REJECT:
            counts = _counts(each, prices)
            here = RecordCounts(counts.created, counts.updated, counts.unchanged, credits=counts.credits)
            records[each.prepared.entity] = records.get(each.prepared.entity, RecordCounts()) + here
    return records


def _next_record(
    run: Run,
    prepared: PreparedRecord,
    seen: Record | None,
    attributes: Mapping[str, object],
    now: datetime,
    operation: str,
) -> Record:
    return Record(
        workspace_id=run.workspace_id,
        entity=prepared.entity,
        key=prepared.key,
        attributes=attributes,
        version=seen.version + 1 if seen else 1,
        created_at=seen.created_at if seen else now,
        updated_at=now,
        operation_id=operation,
        marks=seen.marks if seen else {},
    )


def _counts(each: Examined, prices: PriceList) -> Counts:
    match each.change:
        case Change.CREATE:
            return Counts(created=1, credits=each.cost(prices))
        case Change.UPDATE:
            return Counts(updated=1, credits=each.cost(prices))
        case Change.NOTHING:
            return Counts(unchanged=1)
        case Change.REJECT:
            return Counts(rejected=1)
