"""What may be asked of exports: one of a month, by people and keys as often as their pace allows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from shared import keys
from shared.dynamo.transactions import StoreUnavailable
from shared.exports.model import Export, ExportState, rung_again
from shared.exports.store import ExportStore
from shared.ids import export_id, new_export_id
from shared.months import Month
from shared.pace import PaceStore, TooFast

_ATTEMPTS = 5
"""Exports that may end at the very moment at which they are found in the way."""


@dataclass(frozen=True, slots=True)
class FutureMonth:
    """Nothing has happened in this month yet."""

    month: Month


@dataclass(frozen=True, slots=True)
class AskForExport:
    """What is wanted: the month of a workspace. `requested_by` is who asks, None for the monthly schedule."""

    workspace_id: str
    month: Month
    requested_by: str | None = None


def ask_for_export(store: ExportStore, wish: AskForExport, now: datetime) -> Export | FutureMonth:
    """Begins an export, or answers with the one that is under way for that month: there is one at a time. One that
    nobody works on any more is called for again.

    Raises StoreUnavailable and botocore's errors.
    """
    return _ask(store, wish, new_export_id(now), now)


def request_export(
    store: ExportStore, pace: PaceStore, wish: AskForExport, now: datetime
) -> Export | FutureMonth | TooFast:
    """As `ask_for_export`, for those who may ask as often as they like: what is begun for them is counted, and one too
    many is not begun. One that is under way is the answer without being counted.

    Of several who ask at the same moment each may be counted, though they are given one export. Raises StoreUnavailable
    and botocore's errors.
    """
    if wish.month > Month.of(now):
        return FutureMonth(wish.month)
    for _ in range(_ATTEMPTS):
        try:
            going = store.under_way(wish.workspace_id, wish.month)
        except LookupError:
            continue
        if going is not None:
            # Nothing is begun here: whoever asks just when one ends is counted like everybody else.
            return _going(store, going, now)
        too_fast = pace.count_on(keys.exports_asked_on_day(wish.workspace_id, now), 1, now)
        return too_fast or ask_for_export(store, wish, now)
    raise StoreUnavailable(f"exports of {wish.workspace_id} ended {_ATTEMPTS} times as they were found")


def ask_for_monthly_export(
    store: ExportStore, workspace_id: str, month: Month, scheduled_at: datetime, now: datetime
) -> Export | FutureMonth:
    """The same for the monthly schedule: however often one firing arrives, it is one export."""
    wish = AskForExport(workspace_id, month)
    return _ask(store, wish, export_id(scheduled_at, workspace_id, str(month)), now)


def _ask(store: ExportStore, wish: AskForExport, identifier: str, now: datetime) -> Export | FutureMonth:
    if wish.month > Month.of(now):
        return FutureMonth(wish.month)
    wanted = Export(
        export_id=identifier,
        workspace_id=wish.workspace_id,
        month=wish.month,
        state=ExportState.PREPARING,
        requested_at=now,
        updated_at=now,
        requested_by=wish.requested_by,
    )
    for _ in range(_ATTEMPTS):
        try:
            found = store.begin(wanted)
        except LookupError:
            continue
        if found is None:
            return wanted
        return _going(store, found, now)
    raise StoreUnavailable(f"exports of {wish.workspace_id} ended {_ATTEMPTS} times as they were found")


def _going(store: ExportStore, export: Export, now: datetime) -> Export:
    """The export that was found under way, called for again if it stands still."""
    if not export.is_stalled(now):
        return export
    again = rung_again(export, now)
    if store.move(export, again, rings=True):
        return again
    return store.get(export.workspace_id, export.export_id) or export
