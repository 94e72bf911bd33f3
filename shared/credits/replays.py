"""How what was committed before is recognised when it comes again (law 2): by the client's idempotency key, or by the
entry itself.
"""

from __future__ import annotations

from shared.credits.operations import to_operation
from shared.credits.plan import ClientCall, OperationIdReused, Plan, Replayed
from shared.dynamo.values import from_item, to_item
from shared.dynamo.writes import Write, put_new
from shared.keys import Item


def put_call(table: str, call: ClientCall, operation_id: str) -> Write:
    """Remembers the call, once, with the answer that a retry of it is given."""
    values = {"fingerprint": call.fingerprint, "operation_id": operation_id, "answer": call.answer}
    return put_new(table, call.key.attributes() | to_item(values))


def replay_of_call(call: ClientCall, item: Item) -> Replayed | OperationIdReused:
    """What a call is told whose key stands in `item` already."""
    known = from_item(item)
    if known["fingerprint"] != call.fingerprint:
        return OperationIdReused(known["operation_id"])
    return Replayed(known["operation_id"], known["answer"])


def replay_of_entry(plan: Plan, item: Item) -> Replayed | OperationIdReused:
    """What a plan is told whose entry stands in `item` already."""
    known = to_operation(item)
    if known.fingerprint != plan.fingerprint:
        return OperationIdReused(known.operation_id)
    return Replayed(known.operation_id, None)
