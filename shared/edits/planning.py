"""What an edit comes to on the record as it stands, and the plan that does it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, assert_never

from shared import keys
from shared.catalog import Record, delete_record, put_record, record_size, same
from shared.credits import Action, Channel, ClientCall, OperationKind, Plan, PriceList
from shared.dynamo.values import MAX_ITEM_BYTES
from shared.dynamo.writes import Write
from shared.edits.attributes import merge
from shared.edits.model import (
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
    actions: dict[Action, int] = {}
    if edit.channel is not Channel.PERSON:
        actions = {Action.API_CALL: 1}
        if decision.change in _ACTIONS:
            actions[_ACTIONS[decision.change]] = 1
    return Plan(
        operation_id=_operation_id(edit),
        workspace_id=edit.workspace_id,
        kind=OperationKind.API_CALL,
        channel=edit.channel,
        at=edit.requested_at,
        credits=prices.cost(actions),
        fingerprint=_asked(edit),
        actions=actions,
        description=_DESCRIBED[decision.change].format(edit.entity),
        call=call,
        writes=tuple(_writes(decision, catalog_table)),
    )


def client_call(edit: Edit, answer: str) -> ClientCall | None:
    """How the edit is recognised when its idempotency key comes again; None without one."""
    if edit.idempotency_key is None:
        return None
    route = f"{_METHODS[type(edit.change)]} /records/{edit.entity}/{edit.key}"
    return ClientCall(keys.call(edit.workspace_id, route, edit.idempotency_key), _asked(edit), answer)


def _operation_id(edit: Edit) -> str:
    return operation_id(edit.requested_at, edit.workspace_id, "request", edit.request_id)


def _next_record(edit: Edit, seen: Record | None, attributes: Mapping[str, Any], now: datetime) -> Record:
    paid_by = None if edit.channel is Channel.PERSON else _operation_id(edit)
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


def _spelled(expected: Expectation) -> str:
    return "/".join(
        "" if versions is None else ",".join(sorted(map(str, versions)))
        for versions in (expected.match, expected.none_match)
    )
