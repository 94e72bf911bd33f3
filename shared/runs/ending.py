"""The last move of a run: with it the operation log is told of what was passed over since it was told last."""

from __future__ import annotations

from shared.credits import Committed, Ledger, Replayed, Stale
from shared.runs.model import Run, noted
from shared.runs.planning import plan_note
from shared.runs.store import RunStore, move_run


def end_run(runs: RunStore, ledger: Ledger, before: Run, after: Run) -> bool:
    """Writes the run at its end, as `noted`; False when it no longer stands as in `before`. Raises StoreUnavailable.

    Records that would not change cost nothing, and wait for the next entry of the log. The last ones get an entry of
    their own, in the transaction that ends the run: so the log is told of each of them once.
    """
    if not after.unnoted:
        return runs.move(before, noted(after))
    outcome = ledger.commit(plan_note(after, move_run(runs.table, before, noted(after))))
    match outcome:
        # It names this end of the run, at this moment: it was written before, and the answer was lost.
        case Committed() | Replayed():
            return True
        case Stale():
            return False
        case _:
            raise AssertionError(f"the end of run {before.run_id} costs nothing, and met {outcome}")
