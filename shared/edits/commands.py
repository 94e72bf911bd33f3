"""Writing one record, whoever asks: decided on what stands there, and decided again when that has changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from shared.catalog import CatalogStore, to_record
from shared.credits import (
    Committed,
    Ledger,
    OperationIdReused,
    OutOfCredits,
    PriceList,
    Replayed,
    Stale,
    UnknownWorkspace,
)
from shared.dynamo.values import MAX_ITEM_BYTES
from shared.edits.model import Decision, Edit, Refused, TooLarge
from shared.edits.planning import client_call, decide, plan_edit
from shared.times import Clock

_MAX_REPLANS = 25
"""How often the record may change under an edit before it is given up; automation writes a record once in a run."""

_BESIDE_THE_ANSWER = 1024
"""Bytes that the item of an idempotency key has beside the answer, at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EditingRoom:
    """What an edit needs."""

    catalog: CatalogStore
    ledger: Ledger
    prices: PriceList
    clock: Clock


@dataclass(frozen=True, slots=True)
class Edited:
    """It is done, and paid for if it costs anything."""

    decision: Decision
    paid: Committed


EditOutcome = Edited | Replayed | OperationIdReused | Refused | OutOfCredits | UnknownWorkspace | Stale


def edit_record(room: EditingRoom, edit: Edit, render: Callable[[Decision], str]) -> EditOutcome:
    """Writes the record, once per idempotency key. `render` gives the answer that a retry of the key is given again.

    The charge and the write are one transaction, conditional on the record that was seen (laws 1 and 6). When somebody
    else was faster, the edit is decided again on what they wrote; `Stale` is the outcome when that never ends.
    """
    # A retry is answered whatever has become of the record since (design section 9).
    asked_before = client_call(edit, "")
    if asked_before is not None and (told := room.ledger.told(asked_before)) is not None:
        return told
    seen = room.catalog.get(edit.workspace_id, edit.entity, edit.key)
    outcome: Stale | None = None
    for _ in range(_MAX_REPLANS):
        decision = decide(edit, seen, room.clock())
        if not isinstance(decision, Decision):
            return decision
        call = client_call(edit, render(decision))
        if call is not None and (size := len(call.answer.encode()) + _BESIDE_THE_ANSWER) > MAX_ITEM_BYTES:
            return TooLarge(size, "answer")
        committed = room.ledger.commit(plan_edit(edit, decision, room.catalog.table, room.prices, call))
        if isinstance(committed, Committed):
            return Edited(decision, committed)
        if not isinstance(committed, Stale):
            return committed
        outcome = committed
        (item,) = outcome.writes.values()
        seen = to_record(item) if item else None
    if outcome is None:
        raise AssertionError("an edit is tried at least once")
    return outcome
