"""What an edit comes to on the record as it stands, and the plan that does it. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, assert_never

from shared import keys
from shared.catalog import Record, delete_record, put_record, record_size, same
from shared.credits import Action, Channel, ClientCall, OperationKind, Plan, PriceList, RecordCounts
from shared.dynamo.values import MAX_ITEM_BYTES
from shared.dynamo.writes import Write
from shared.edits.attributes import merge
from shared.edits.model import (
    Batch,
    Change,
    Decision,
    Edit,
    Expectation,
    Merge,
    NoSuchRecord,
    NotAsExpected,
    Refused,
    Remove,
    Replace,
    TooLarge,
)
from shared.feeds.json_values import canonical
from shared.ids import fingerprint, operation_id

_ACTIONS = {Change.CREATE: Action.RECORD_CREATED, Change.UPDATE: Action.RECORD_UPDATED}
_COUNTED = {
    Change.CREATE: "created",
    Change.UPDATE: "updated",
    Change.NOTHING: "unchanged",
    Change.DELETE: "deleted",
}
_METHODS = {Replace: "PUT", Merge: "PATCH", Remove: "DELETE"}
_DESCRIBED = {
    Change.CREATE: "created a {} record",
    Change.UPDATE: "updated a {} record",
    Change.NOTHING: "wrote a {} record that is so already",
    Change.DELETE: "deleted a {} record",
}


def decide(edit: Edit, seen: Record | None, now: datetime) -> Decision | Refused:
    """What the edit does with the record that was `seen` (None: there is none)."""
    if seen is None and not isinstance(edit.change, Replace):
        return NoSuchRecord()
    if not edit.expected.holds(seen):
        return NotAsExpected(seen)
    match edit.change:
        case Remove():
            return Decision(Change.DELETE, None, seen)
        case Replace(attributes):
            wanted = dict(attributes)
        case Merge(patch):
            wanted = merge(seen.attributes if seen else {}, patch)
        case _:
            assert_never(edit.change)
    if seen is not None and same(seen.attributes, wanted):
        return Decision(Change.NOTHING, seen, seen)
    record = _next_record(edit, seen, wanted, now)
    size = record_size(record)
    if size > MAX_ITEM_BYTES:
        return TooLarge(size, "record")
    return Decision(Change.UPDATE if seen else Change.CREATE, record, seen)


def plan_edit(edit: Edit, decision: Decision, catalog_table: str, prices: PriceList, call: ClientCall | None) -> Plan:
    """The plan of what was decided. People pay nothing; by key the call costs, and the record if it really changes.

    A deletion costs the call only (design section 2).
    """
    return _plan(
        edit,
        [(edit.key, decision)],
        actions={} if edit.by_hand else _call_of(edit.channel) + _changed([decision]),
        asked=_asked(edit),
        description=_DESCRIBED[decision.change].format(edit.entity),
        prices=prices,
        call=call,
        catalog_table=catalog_table,
    )


def plan_batch(
    batch: Batch,
    results: Sequence[Decision | Refused],
    catalog_table: str,
    prices: PriceList,
    call: ClientCall | None,
) -> Plan:
    """The plan of those edits that can be made. Each record that really changes costs; the call too, by key."""
    made = [
        (item.key, result) for item, result in zip(batch.items, results, strict=True) if isinstance(result, Decision)
    ]
    decisions = [decision for _, decision in made]
    written = Counter(decision.change for decision in decisions)
    told = ", ".join(f"{written[change]} {word}" for change, word in _COUNTED.items() if written[change])
    return _plan(
        batch,
        made,
        actions=_call_of(batch.channel) + _changed(decisions),
        asked=_asked_of_batch(batch),
        description=f"batch of {len(batch.items)} {batch.entity} records: {told or 'nothing written'}",
        prices=prices,
        call=call,
        catalog_table=catalog_table,
    )


def batch_size(decisions: Iterable[Decision]) -> int:
    """Bytes of what a batch writes, which one transaction has to hold."""
    return sum(
        record_size(decision.record)
        for decision in decisions
        if decision.record is not None and decision.change is not Change.NOTHING
    )


def client_call(edit: Edit, answer: str) -> ClientCall | None:
    """How the edit is recognised when its idempotency key comes again; None without one."""
    route = f"{_METHODS[type(edit.change)]} /records/{edit.entity}/{edit.key}"
    return _client_call(edit, route, _asked(edit), answer)


def batch_call(batch: Batch, answer: str) -> ClientCall | None:
    """How the batch is recognised when its idempotency key comes again; None without one."""
    return _client_call(batch, f"POST /records/{batch.entity}/batch", _asked_of_batch(batch), answer)


def _client_call(wish: Edit | Batch, route: str, asked: str, answer: str) -> ClientCall | None:
    if wish.idempotency_key is None:
        return None
    return ClientCall(keys.call(wish.workspace_id, route, wish.idempotency_key), asked, answer)


def _plan(
    wish: Edit | Batch,
    made: Sequence[tuple[str, Decision]],
    *,
    actions: Mapping[Action, int],
    asked: str,
    description: str,
    prices: PriceList,
    call: ClientCall | None,
    catalog_table: str,
) -> Plan:
    """The plan of what was decided, for each key."""
    written = tuple(key for key, decision in made if decision.change is not Change.NOTHING)
    return Plan(
        operation_id=_operation_id(wish),
        workspace_id=wish.workspace_id,
        kind=OperationKind.API_CALL,
        channel=wish.channel,
        at=wish.requested_at,
        credits=prices.cost(actions),
        fingerprint=asked,
        actions=dict(actions),
        description=description,
        call=call,
        writes=tuple(write for _, decision in made for write in _writes(decision, catalog_table)),
        actor=wish.actor,
        records={wish.entity: _counts([decision for _, decision in made], actions, prices)} if made else {},
        keys={wish.entity: written} if written else {},
    )


def _counts(decisions: Iterable[Decision], actions: Mapping[Action, int], prices: PriceList) -> RecordCounts:
    """What becomes of the records; of `actions`, those that a record costs are theirs."""
    became = Counter(decision.change for decision in decisions)
    return RecordCounts(
        created=became[Change.CREATE],
        updated=became[Change.UPDATE],
        unchanged=became[Change.NOTHING],
        deleted=became[Change.DELETE],
        credits=prices.cost({action: actions.get(action, 0) for action in _ACTIONS.values()}),
    )


def _call_of(channel: Channel) -> Counter[Action]:
    """The hand is free."""
    return Counter() if channel is Channel.PERSON else Counter({Action.API_CALL: 1})


def _changed(decisions: Iterable[Decision]) -> Counter[Action]:
    return Counter(_ACTIONS[decision.change] for decision in decisions if decision.change in _ACTIONS)


def _operation_id(wish: Edit | Batch) -> str:
    return operation_id(wish.requested_at, wish.workspace_id, "request", wish.request_id)


def _next_record(edit: Edit, seen: Record | None, attributes: Mapping[str, Any], now: datetime) -> Record:
    paid_by = None if edit.by_hand else _operation_id(edit)
    if seen is not None:
        return replace(
            seen, attributes=attributes, version=seen.version + 1, updated_at=now, operation_id=paid_by, depth=0
        )
    return Record(
        workspace_id=edit.workspace_id,
        entity=edit.entity,
        key=edit.key,
        attributes=attributes,
        version=1,
        created_at=now,
        updated_at=now,
        operation_id=paid_by,
    )


def _writes(decision: Decision, table: str) -> list[Write]:
    if decision.change is Change.NOTHING:
        return []
    if decision.record is not None:
        return [put_record(table, decision.record, decision.seen)]
    if decision.seen is None:
        raise AssertionError("there is nothing to delete")
    return [delete_record(table, decision.seen)]


def _asked(edit: Edit) -> str:
    """What was asked for, whatever comes of it."""
    match edit.change:
        case Replace(attributes):
            asked = canonical(attributes)
        case Merge(patch):
            asked = canonical(patch)
        case Remove():
            asked = ""
        case _:
            assert_never(edit.change)
    method = _METHODS[type(edit.change)]
    return fingerprint("edit", method, edit.entity, edit.key, asked, _spelled(edit.expected))


def _asked_of_batch(batch: Batch) -> str:
    return fingerprint("batch", batch.entity, *map(_asked, batch.edits))


def _spelled(expected: Expectation) -> str:
    return "/".join(
        "any" if versions is None else ",".join(sorted(map(str, versions)))
        for versions in (expected.match, expected.none_match)
    )
