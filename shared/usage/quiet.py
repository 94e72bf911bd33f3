"""Days on which the operation log holds nothing of what is asked for.

The log is kept by day and has no index, so a listing of one job's operations would look through all others' too. The
figures know on which days a job, an actor or a kind did anything. They are derived, and follow the log by a second or
so: where they have not caught up with the account, no day counts as quiet, and the log must not seem to lack what it
holds.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from shared import keys
from shared.credits import Ledger, OperationFilter, Verdict
from shared.dynamo.reads import Place
from shared.usage.store import midnight, to_figures, to_so_far
from shared.usage.tally import NONE, Dimension, Figures

MOST_DAYS = 96
"""Days that are looked up at most: what one request reads beside the account and what was counted of it."""

_UNSETTLED = timedelta(days=1)
"""Days that ended less than this ago are looked through in any case: most of what is written is written there, and
what costs nothing (a refusal, an expiry) does not show that the figures are behind.
"""


def quiet_days(
    ledger: Ledger, usage_table: str, workspace_id: str, wanted: OperationFilter, before: datetime, now: datetime
) -> frozenset[date]:
    """Days (UTC) up to `before` that hold nothing that fits; none where the filter says nothing that figures are kept
    by, or they are behind. Of a long period the newest `MOST_DAYS` are known. One request; raises StoreUnavailable.
    """
    kept_by = _kept_by(wanted)
    settled = (now - _UNSETTLED).astimezone(UTC).date() - timedelta(days=1)
    newest = min(min(before, wanted.until).astimezone(UTC).date(), settled)
    oldest = max(wanted.since.astimezone(UTC).date(), newest - timedelta(days=MOST_DAYS - 1))
    days = [newest - timedelta(days=back) for back in range((newest - oldest).days + 1)]
    if kept_by is None or not days:
        return frozenset()
    places = [keys.usage_so_far(workspace_id), *(keys.usage(workspace_id, midnight(day), *kept_by) for day in days)]
    seen = ledger.look(workspace_id, [Place(usage_table, key) for key in places])
    so_far, *figures = seen.items
    if seen.balance is None or to_so_far(so_far or {}).credits < seen.balance.consumed:
        return frozenset()
    return frozenset(
        day
        for day, item in zip(days, figures, strict=True)
        if item is None or not _has(to_figures(item)[2], wanted.outcome)
    )


def _kept_by(wanted: OperationFilter) -> tuple[Dimension, str] | None:
    """The dimension and the value that say most about the filter."""
    if wanted.job_id is not None:
        return Dimension.JOB, wanted.job_id
    if wanted.actor is not None:
        return Dimension.ACTOR, wanted.actor
    if wanted.kind is not None:
        return Dimension.KIND, wanted.kind.value
    return None if wanted.outcome is None else (Dimension.TOTAL, NONE)


def _has(figures: Figures, outcome: Verdict | None) -> bool:
    """Whether there is anything with this outcome."""
    match outcome:
        case Verdict.CHARGED:
            return figures.credits > 0
        case Verdict.REFUSED:
            return figures.refused > 0
        case _:
            return True
