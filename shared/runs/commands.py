"""What may be asked of runs: start one, cancel one, resume one. Two triggers, one command (design section 5)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shared import keys
from shared.credits import (
    Action,
    Channel,
    ClientCall,
    Committed,
    Ledger,
    Look,
    OperationIdReused,
    OperationKind,
    OutOfCredits,
    Plan,
    PriceList,
    Replayed,
    Stale,
    UnknownWorkspace,
)
from shared.ids import fingerprint, new_run_id, new_upload_id, operation_id
from shared.runs.artifacts import RunArtifacts
from shared.runs.ending import end_run
from shared.runs.model import Run, RunState, noted, resumed
from shared.runs.store import Doorbell, RunStore, put_new_run

STALLED_AFTER = timedelta(minutes=10)
"""How long a run that is worked on goes without a change at most: workers show themselves every few seconds, and the
message of one that was killed is delivered again within two minutes."""

_DOORBELLS = {RunState.PREPARING: Doorbell.PREPARE, RunState.RUNNING: Doorbell.IMPORT}


@dataclass(frozen=True, slots=True, kw_only=True)
class StartRun:
    """The wish to run a feed: on an upload, or, without an `upload_id`, on what its source holds. `request_id` names
    the request; `idempotency_key` is the client's, if it sent one; `actor` is the key or the person that asks.
    """

    workspace_id: str
    feed_id: str
    upload_id: str | None
    dry_run: bool
    channel: Channel
    request_id: str
    idempotency_key: str | None = None
    actor: str | None = None


@dataclass(frozen=True, slots=True)
class Started:
    """The run is on its way, and its start is paid for."""

    run: Run
    paid: Committed


StartOutcome = Started | Replayed | OperationIdReused | OutOfCredits | UnknownWorkspace


def look_before_start(wish: StartRun, ledger: Ledger) -> Look:
    """The account, and what a wish that was granted before is told: a retry is answered whatever has become of its
    upload since (design section 9). A person needs no account to start a run.
    """
    pays = wish.channel is not Channel.PERSON
    return ledger.look(wish.workspace_id, call=_client_call(wish, ""), balance=pays)


def new_run(
    artifacts: RunArtifacts,
    definition: str,
    *,
    workspace_id: str,
    feed_id: str,
    channel: Channel,
    now: datetime,
    upload_id: str | None = None,
    upload_etag: str = "",
    dry_run: bool = False,
    schedule_id: str | None = None,
    started_by: str | None = None,
) -> Run:
    """A run that is to be prepared, with its definition kept; it begins when `put_new_run` has written it.

    `definition` is the feed's as it is now, as JSON: the run keeps to it whatever becomes of the feed, and likewise to
    the upload as `upload_etag` tells it from another. Without an upload the run is to fetch its file from the feed's
    source, and keeps it as an upload of its own.
    """
    run = Run(
        run_id=new_run_id(now),
        workspace_id=workspace_id,
        feed_id=feed_id,
        upload_id=upload_id or new_upload_id(now),
        upload_etag=upload_etag,
        channel=channel,
        dry_run=dry_run,
        state=RunState.PREPARING,
        created_at=now,
        updated_at=now,
        step_at=now,
        schedule_id=schedule_id,
        started_by=started_by or schedule_id,
    )
    # Before the run: the files of a run that is then refused are swept away by the bucket's lifecycle, but a run
    # without its definition could never be prepared.
    artifacts.put_definition(run, definition)
    return run


def start_run(
    wish: StartRun,
    definition: str,
    upload_etag: str,
    *,
    ledger: Ledger,
    runs: RunStore,
    artifacts: RunArtifacts,
    prices: PriceList,
    render: Callable[[Run], str],
    now: datetime,
) -> StartOutcome:
    """Starts a run, once per idempotency key. `render` gives the answer that a retry of the key is given again, as
    JSON; `definition` and `upload_etag` are as for `new_run`.

    Starting costs an API call, except for a person and for a dry run (design section 2).
    """
    run = new_run(
        artifacts,
        definition,
        workspace_id=wish.workspace_id,
        feed_id=wish.feed_id,
        channel=wish.channel,
        now=now,
        upload_id=wish.upload_id,
        upload_etag=upload_etag,
        dry_run=wish.dry_run,
        started_by=wish.actor,
    )
    outcome = ledger.commit(_plan(wish, run, runs.table, prices, render(run)))
    if isinstance(outcome, Stale):
        raise AssertionError(f"run identifier {run.run_id} is taken")
    return Started(run, outcome) if isinstance(outcome, Committed) else outcome


def _plan(wish: StartRun, run: Run, runs_table: str, prices: PriceList, answer: str) -> Plan:
    is_free = wish.dry_run or wish.channel is Channel.PERSON
    actions = {} if is_free else {Action.API_CALL: 1}
    return Plan(
        operation_id=operation_id(run.created_at, wish.workspace_id, "request", wish.request_id),
        workspace_id=wish.workspace_id,
        kind=OperationKind.API_CALL,
        channel=wish.channel,
        at=run.created_at,
        credits=prices.cost(actions),
        fingerprint=_asked(wish),
        actions=actions,
        # Not the run's own operation: a run costs the same whoever starts it, and its operations add up to its records.
        job_id=wish.feed_id,
        description=f"{'dry run' if wish.dry_run else 'start'} of {run.run_id}",
        call=_client_call(wish, answer),
        writes=(put_new_run(runs_table, run),),
        actor=wish.actor,
    )


def _client_call(wish: StartRun, answer: str) -> ClientCall | None:
    if wish.idempotency_key is None:
        return None
    key = keys.call(wish.workspace_id, f"POST /feeds/{wish.feed_id}/runs", wish.idempotency_key)
    return ClientCall(key, _asked(wish), answer)


def _asked(wish: StartRun) -> str:
    return fingerprint("start run", wish.feed_id, wish.upload_id or "", str(wish.dry_run))


@dataclass(frozen=True, slots=True)
class NotPossible:
    """The run is in a state in which this cannot be done."""

    run: Run


def cancel_run(runs: RunStore, ledger: Ledger, run: Run, now: datetime) -> Run | NotPossible:
    """Ends a run that is not over; what it has written stays written and paid for."""
    while not run.state.is_over:
        cancelled = replace(
            run, state=RunState.CANCELLED, finished_at=now, updated_at=now, paused_at=None, pause_reason=None
        )
        if end_run(runs, ledger, run, cancelled):
            return noted(cancelled)
        # A step was faster. It moved the cursor; look where the run is now.
        run = runs.get(run.workspace_id, run.run_id) or run
    return NotPossible(run)


def is_stalled(run: Run, now: datetime) -> bool:
    """Whether nobody seems to work on a run that is worked on."""
    return run.state in _DOORBELLS and now - run.updated_at >= STALLED_AFTER


def resume_run(runs: RunStore, ledger: Ledger, run: Run, now: datetime) -> Run | NotPossible | OutOfCredits:
    """Lets a paused run go on from its cursor, if there are credits to go on with; or one that nobody works on any
    more.

    The latter has lost its worker more often than its message is delivered: its doorbell is rung again.
    """
    stalled = is_stalled(run, now)
    if run.state is not RunState.PAUSED and not stalled:
        return NotPossible(run)
    balance = ledger.balance(run.workspace_id)
    if run.state is RunState.PAUSED and (balance is None or balance.spendable(now) == 0):
        return OutOfCredits(1, 0, balance.owed if balance else 0)
    # What comes now is dated now: a step of weeks ago would be charged into a month whose books are closed.
    going_on = replace(run, updated_at=now, step_at=now) if stalled else resumed(run, now)
    going_on = replace(going_on, leg=run.leg + 1)
    if runs.move(run, going_on, _DOORBELLS[going_on.state]):
        return going_on
    return NotPossible(runs.get(run.workspace_id, run.run_id) or run)
