"""Asking for an audit: by people and keys, as often as their pace allows, and every day for every workspace."""

from __future__ import annotations

from datetime import datetime, timedelta

from shared import keys
from shared.audits.model import Audit, AuditState
from shared.audits.store import AuditStore, rung_again
from shared.dynamo.transactions import StoreUnavailable
from shared.ids import new_audit_id
from shared.pace import PaceStore, TooFast

STALLED_AFTER = timedelta(minutes=15)
"""How long an audit goes without a change at most: workers hand over sooner, and the message of one that was killed is
delivered again.
"""

_ATTEMPTS = 5


def request_audit(
    audits: AuditStore, pace: PaceStore, workspace_id: str, now: datetime, requested_by: str
) -> Audit | TooFast:
    """As `ask_for_audit`, for those who may ask as often as they like: what is begun for them is counted, and one too
    many is not begun. One that is under way is the answer without being counted.

    Of several who ask at the same moment each may be counted, though they are given one audit. Raises StoreUnavailable
    and botocore's errors.
    """
    for _ in range(_ATTEMPTS):
        under_way = audits.under_way(workspace_id)
        if under_way is None:
            too_fast = pace.count_on(keys.audits_asked_on_day(workspace_id, now), 1, now)
            return too_fast or ask_for_audit(audits, workspace_id, now, requested_by)
        # Nothing is begun here: whoever asks just when one ends is counted like everybody else.
        going = _going(audits, workspace_id, under_way, now)
        if going is not None:
            return going
    raise StoreUnavailable(f"the audits of {workspace_id} changed under {_ATTEMPTS} attempts to find one")


def ask_for_audit(audits: AuditStore, workspace_id: str, now: datetime, requested_by: str | None = None) -> Audit:
    """The audit that is made of a workspace from now on, or the one that is under way. One that stands still is called
    for again. Raises StoreUnavailable.
    """
    audit = Audit(
        audit_id=new_audit_id(now),
        workspace_id=workspace_id,
        state=AuditState.RUNNING,
        requested_at=now,
        updated_at=now,
        requested_by=requested_by,
    )
    for _ in range(_ATTEMPTS):
        under_way = audits.begin(audit)
        if under_way is None:
            return audit
        going = _going(audits, workspace_id, under_way, now)
        if going is not None:
            return going
    raise StoreUnavailable(f"the audits of {workspace_id} changed under {_ATTEMPTS} attempts to begin one")


def _going(audits: AuditStore, workspace_id: str, audit_id: str, now: datetime) -> Audit | None:
    """The audit that was found under way, called for again if it stands still; None where it has ended or moved in
    between.
    """
    known = audits.take(workspace_id, audit_id)
    if known is None or known[0].state.is_over:
        return None
    found, work = known
    if now - found.updated_at < STALLED_AFTER:
        return found
    again = rung_again(found, now)
    return again if audits.move(found, again, work, rings=True) else None
