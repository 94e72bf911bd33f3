"""Carries out a run: reads what was prepared, compares it with the catalogue, and commits it step by step.

Whatever happens to a worker, the run stands where its cursor stands, and the next worker goes on from there. A worker
holds nothing that matters: what it has in memory ahead of the cursor is only read, or unchanged.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import islice
from typing import assert_never

from shared.catalog import READ_BATCH, CatalogStore, to_record
from shared.credits import (
    Action,
    Committed,
    Ledger,
    OperationIdReused,
    Outcome,
    OutOfCredits,
    PriceList,
    Replayed,
    Stale,
    UnknownWorkspace,
)
from shared.credits.drawing import drawable
from shared.dynamo.transactions import NotStorable, StoreUnavailable
from shared.keys import Item
from shared.runs import planning
from shared.runs.artifacts import ArtifactMissing, PreparedRecord, RunArtifacts
from shared.runs.commands import STALLED_AFTER
from shared.runs.ending import end_run
from shared.runs.model import Failure, PauseReason, Run, RunState, failed, finished, noted, resumed
from shared.runs.planning import Examined, Examiner
from shared.runs.store import Doorbell, RunStore, move_run
from shared.times import Clock, utc_now

_READ_AHEAD = 2
"""Batches that are read while a step commits. Their views may grow old: conditions notice, and nothing is lost."""

_SHOW_PROGRESS_EVERY = timedelta(seconds=10)
"""How often a run that commits nothing (a dry run, an unchanged feed) still writes how far it is."""

_MAX_REPLANS = 20
"""Attempts at one step while people or other automation keep changing its records."""


class Overtaken(Exception):
    """Somebody else moved the run: another worker, or a person who cancelled it. Look again, and go on from there."""


@dataclass(frozen=True, slots=True)
class Workshop:
    """What carrying out a run takes."""

    ledger: Ledger
    catalog: CatalogStore
    runs: RunStore
    artifacts: RunArtifacts
    prices: PriceList
    clock: Clock = utc_now


def work(
    workshop: Workshop, workspace_id: str, run_id: str, out_of_time: Callable[[], bool], leg: int | None = None
) -> Run | None:
    """Works on a run until it is over, pauses for credits, or `out_of_time` says to hand over to a new invocation.

    `leg` is the one that the call to work names: a call for a leg that was handed over since is out of date, and does
    nothing, so that doubled messages do not double the workers for good. Returns the run as this worker left it, None
    when there is none. Safe to call for the same run any number of times, also at once. Raises StoreUnavailable and
    botocore's errors; the run then goes on when its message comes again.
    """
    while True:
        run = workshop.runs.get(workspace_id, run_id)
        if run is None or (leg is not None and run.leg != leg):
            return run
        try:
            if run.state is RunState.PAUSED:
                run = _second_look(workshop, run)
            if run.state is not RunState.RUNNING:
                return run
            run = _dated(workshop, run)
            after = _Leg(workshop, run).walk(out_of_time)
            if after.state is not RunState.PAUSED:
                return after
        except Overtaken:
            continue
        except ArtifactMissing:
            detail = "what was prepared of the file is no longer kept; import it again: what is there costs nothing"
            return _fail(workshop, run, Failure("files_expired", detail))
        except NotStorable as error:
            return _fail(workshop, run, Failure("not_storable", f"the database refused a record: {error}"))


def _second_look(workshop: Workshop, run: Run) -> Run:
    """A paused run, or the same run going on when there are credits after all.

    A top-up between the last refusal and the pause found nothing that it could have resumed. So every worker that meets
    a paused run, the one that paused it first, looks at the balance once more.
    """
    now = workshop.clock()
    balance = workshop.ledger.balance(run.workspace_id)
    enough_for_any_record = max(map(workshop.prices.price, (Action.RECORD_CREATED, Action.RECORD_UPDATED)))
    if balance is None or drawable(balance, now) < enough_for_any_record:
        return run
    going_on = resumed(run, now)
    if not workshop.runs.move(run, going_on):
        raise Overtaken
    return going_on


def _dated(workshop: Workshop, run: Run) -> Run:
    """The run, whose next step is dated now if it has stood still for long.

    Its message may have lain among the dead letters for days: what it writes now belongs into no month whose books are
    closed. A worker that sees it as it stood may be about to commit the same step; one of the two moves the cursor.
    """
    now = workshop.clock()
    if now - run.step_at < STALLED_AFTER:
        return run
    going_on = replace(run, updated_at=now, step_at=now)
    if not workshop.runs.move(run, going_on):
        raise Overtaken
    return going_on


def _fail(workshop: Workshop, run: Run, failure: Failure) -> Run | None:
    """Ends a run that can never go on; what it has written stays written and paid for."""
    while run.state is RunState.RUNNING:
        after = failed(run, failure, workshop.clock())
        if end_run(workshop.runs, workshop.ledger, run, after):
            return noted(after)
        run = workshop.runs.get(run.workspace_id, run.run_id) or run
    return run


class _Leg:
    """One worker's way with one run, from where it found it.

    `anchor` is the run as the table holds it. `run` is ahead of it by records that cost nothing: they are kept in
    memory until a step, a pause or the end writes them too. `pending` are the records read and not yet done.
    """

    def __init__(self, workshop: Workshop, run: Run) -> None:
        self._shop = workshop
        self._anchor = run
        self._run = run
        self._pending: deque[Examined] = deque()
        self._examiner = Examiner(run, workshop.artifacts.manifest(run))

    def walk(self, out_of_time: Callable[[], bool]) -> Run:
        with ThreadPoolExecutor(_READ_AHEAD, thread_name_prefix="read-ahead") as pool:
            for batch in self._examined(pool):
                self._pending += batch
                while planning.is_full(self._pending, self._shop.prices) or self._run.dry_run:
                    if not self._advance(last=False):
                        return self._run
                    if not self._pending:
                        break
                if out_of_time():
                    return self._hand_over()
                self._show_progress()
        while self._pending:
            if not self._advance(last=True):
                return self._run
        return self._run if self._run.state.is_over else self._finish()

    def _examined(self, pool: ThreadPoolExecutor) -> Iterator[list[Examined]]:
        """The run's remaining records beside what the catalogue holds, read ahead in batches."""
        prepared = self._shop.artifacts.records(self._run)
        reading: deque[Future[list[Examined]]] = deque()
        while True:
            while len(reading) < _READ_AHEAD and (batch := list(islice(prepared, READ_BATCH))):
                reading.append(pool.submit(self._read, batch))
            if not reading:
                return
            yield reading.popleft().result()

    def _read(self, batch: Sequence[PreparedRecord]) -> list[Examined]:
        """Examines a batch, while the step before is still on its way to DynamoDB and back."""
        wanted = [(each.entity, each.key) for each in batch]
        seen = self._shop.catalog.get_many(self._run.workspace_id, wanted)
        return [self._examiner.examine(each, seen.get((each.entity, each.key))) for each in batch]

    def _advance(self, *, last: bool) -> bool:
        """Does the next step's worth of pending records; False when the run paused instead."""
        budget = None
        for _ in range(_MAX_REPLANS):
            step = list(islice(self._pending, planning.step_length(self._pending, self._shop.prices, budget)))
            if self._run.dry_run or not any(each.is_write for each in step):
                self._absorb(step)
                goes_on = budget is None or not self._pending or self._pending[0].cost(self._shop.prices) <= budget
                if not goes_on:
                    self._pause()
                return goes_on
            outcome = self._commit(step, finishing=last and len(step) == len(self._pending))
            match outcome:
                case Committed():
                    return True
                case OutOfCredits(available=available):
                    budget = available
                case Stale(cursor_moved=False, writes=writes):
                    self._examine_again(step, writes)
                case Stale() | Replayed():
                    raise Overtaken
                case OperationIdReused() | UnknownWorkspace():
                    raise AssertionError(f"run {self._run.run_id} cannot be paid for: {outcome}")
                case _:
                    assert_never(outcome)
        raise StoreUnavailable(f"the records of run {self._run.run_id} changed under {_MAX_REPLANS} attempts")

    def _commit(self, step: list[Examined], *, finishing: bool) -> Outcome:
        """Sends one step through the ledger, and takes it as done when it is committed."""
        now = self._shop.clock()
        after = noted(planning.after_step(self._run, step, self._shop.prices, now))
        if finishing:
            after = finished(after, now)
        self._keep_rejections(step)
        cursor = move_run(self._shop.runs.table, self._anchor, after)
        plan = planning.plan_step(
            self._anchor, self._run, step, cursor, self._shop.catalog.table, self._shop.prices, now
        )
        outcome = self._shop.ledger.commit(plan)
        if isinstance(outcome, Committed):
            self._anchor = self._run = after
            self._drop(len(step))
        return outcome

    def _absorb(self, step: list[Examined]) -> None:
        """Passes over records that cost nothing: counted now, written with the next thing that is."""
        self._keep_rejections(step)
        self._run = planning.after_step(self._run, step, self._shop.prices, self._shop.clock())
        self._drop(len(step))

    def _examine_again(self, step: list[Examined], refused: Mapping[int, Item | None]) -> None:
        """Plans the refused records anew, on what stands there now; the refusal brought it along (law 6)."""
        positions = [position for position, each in enumerate(step) if each.is_write]
        for nth, item in refused.items():
            each = step[positions[nth]]
            self._pending[positions[nth]] = self._examiner.examine(each.prepared, to_record(item) if item else None)

    def _pause(self) -> None:
        now = self._shop.clock()
        reason = PauseReason.OUT_OF_CREDITS
        self._move(replace(self._run, state=RunState.PAUSED, paused_at=now, pause_reason=reason, updated_at=now))

    def _finish(self) -> Run:
        now = self._shop.clock()
        run = finished(self._run, now)
        if run.dry_run:
            balance = self._shop.ledger.balance(run.workspace_id)
            run = replace(run, credits_available=balance.spendable(now) if balance else 0)
        if not end_run(self._shop.runs, self._shop.ledger, self._anchor, run):
            raise Overtaken
        return noted(run)

    def _hand_over(self) -> Run:
        """Leaves the rest to a new invocation. The time makes it a change even when nothing was done: only a change
        rings.
        """
        # What waits for a fuller step goes now: however short a leg is, it moves the run on.
        while self._pending:
            if not self._advance(last=False):
                return self._run
        return self._move(replace(self._run, leg=self._run.leg + 1, updated_at=self._shop.clock()), Doorbell.IMPORT)

    def _show_progress(self) -> None:
        if self._run is not self._anchor and self._shop.clock() - self._anchor.updated_at >= _SHOW_PROGRESS_EVERY:
            self._move(self._run)

    def _move(self, after: Run, doorbell: Doorbell | None = None) -> Run:
        """Writes the run, where nothing is to be paid."""
        if not self._shop.runs.move(self._anchor, after, doorbell):
            raise Overtaken
        self._anchor = self._run = after
        return after

    def _keep_rejections(self, step: list[Examined]) -> None:
        for rejection in planning.rejections(step):
            self._shop.artifacts.put_late_rejection(self._run, rejection)

    def _drop(self, count: int) -> None:
        for _ in range(count):
            self._pending.popleft()
