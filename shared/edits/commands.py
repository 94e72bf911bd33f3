"""Writing records, whoever asks: decided on what stands there, and decided again when that has changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from shared.catalog import CatalogStore, Record, to_record
from shared.credits import (
    ClientCall,
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
from shared.edits.model import Batch, Change, Decision, Edit, Refused, TooLarge
from shared.edits.planning import batch_call, batch_size, client_call, decide, plan_batch, plan_edit
from shared.keys import Item
from shared.times import Clock

_MAX_REPLANS = 25
"""How often the records may change under an edit before it is given up; automation writes a record once in a run."""

_BESIDE_THE_ANSWER = 1024
"""Bytes that the item of an idempotency key has beside the answer, at most."""

MAX_BATCH_BYTES = 3_500_000
"""Bytes of all records that one batch writes: a transaction holds 4 MB, and their names and conditions count too."""


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


@dataclass(frozen=True, slots=True)
class BatchEdited:
    """What became of each edit of a batch, in its order: done and paid for, or refused by itself."""

    results: tuple[Decision | Refused, ...]
    paid: Committed


BatchOutcome = BatchEdited | Replayed | OperationIdReused | TooLarge | OutOfCredits | UnknownWorkspace | Stale


def edit_record(room: EditingRoom, edit: Edit, render: Callable[[Decision], str]) -> EditOutcome:
    """Writes the record, once per idempotency key. `render` gives the answer that a retry of the key is given again.

    The charge and the write are one transaction, conditional on the record that was seen (laws 1 and 6). When somebody
    else was faster, the edit is decided again on what they wrote; `Stale` is the outcome when that never ends.
    """
    seen = _seen(room, (edit,), client_call(edit, ""))
    if not isinstance(seen, list):
        return seen
    outcome: Stale | None = None
    for _ in range(_MAX_REPLANS):
        decision = decide(edit, seen[0], room.clock())
        if not isinstance(decision, Decision):
            return decision
        call = client_call(edit, render(decision))
        if (too_large := _unkeepable(call)) is not None:
            return too_large
        committed = room.ledger.commit(plan_edit(edit, decision, room.catalog.table, room.prices, call))
        if isinstance(committed, Committed):
            return Edited(decision, committed)
        if not isinstance(committed, Stale):
            return committed
        outcome = committed
        (item,) = outcome.writes.values()
        seen = [_record(item)]
    return _given_up(outcome)


def edit_batch(room: EditingRoom, batch: Batch, render: Callable[[Sequence[Decision | Refused]], str]) -> BatchOutcome:
    """Writes the records of a batch in one transaction, once per idempotency key; otherwise as `edit_record`.

    An edit that cannot be made, such as one of a version that is gone, is left out and keeps none of the others from
    being made. For want of credits none is made.
    """
    edits = batch.edits
    seen = _seen(room, edits, batch_call(batch, ""))
    if not isinstance(seen, list):
        return seen
    outcome: Stale | None = None
    for _ in range(_MAX_REPLANS):
        now = room.clock()
        results = [decide(edit, record, now) for edit, record in zip(edits, seen, strict=True)]
        size = batch_size(result for result in results if isinstance(result, Decision))
        if size > MAX_BATCH_BYTES:
            return TooLarge(size, "batch")
        call = batch_call(batch, render(results))
        if (too_large := _unkeepable(call)) is not None:
            return too_large
        committed = room.ledger.commit(plan_batch(batch, results, room.catalog.table, room.prices, call))
        if isinstance(committed, Committed):
            return BatchEdited(tuple(results), committed)
        if not isinstance(committed, Stale):
            return committed
        outcome = committed
        written = [number for number, result in enumerate(results) if _writes(result)]
        for position, item in outcome.writes.items():
            seen[written[position]] = _record(item)
    return _given_up(outcome)


def _seen(
    room: EditingRoom, edits: Sequence[Edit], call: ClientCall | None
) -> list[Record | None] | Replayed | OperationIdReused | UnknownWorkspace:
    """The records as they stand, or what a retry is told: it is answered whatever has become of them since (design
    section 9). One request, which brings the account along for those who pay.
    """
    first = edits[0]
    places = [room.catalog.place(edit.workspace_id, edit.entity, edit.key) for edit in edits]
    pays = not first.by_hand
    looked = room.ledger.look(first.workspace_id, places, call=call, balance=pays)
    if looked.told is not None:
        return looked.told
    if pays and looked.balance is None:
        return UnknownWorkspace(first.workspace_id)
    return [_record(item) for item in looked.items]


def _unkeepable(call: ClientCall | None) -> TooLarge | None:
    """Why the answer cannot be remembered with its idempotency key; None where it can."""
    size = 0 if call is None else len(call.answer.encode()) + _BESIDE_THE_ANSWER
    return TooLarge(size, "answer") if size > MAX_ITEM_BYTES else None


def _record(item: Item | None) -> Record | None:
    return to_record(item) if item else None


def _writes(result: Decision | Refused) -> bool:
    return isinstance(result, Decision) and result.change is not Change.NOTHING


def _given_up(outcome: Stale | None) -> Stale:
    if outcome is None:
        raise AssertionError("an edit is tried at least once")
    return outcome
