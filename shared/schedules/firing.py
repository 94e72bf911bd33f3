"""A schedule fires: it is decided, once for each scheduled time, whether a run starts, and that is paid for.

Whatever is decided is one operation, whose identifier is the schedule and its scheduled time (design section 7). Its
entry, the run, the move from the feed's last run to this one, and the day's figures are one transaction. There is no
lock, and nothing to clean up: a runner that is killed has decided everything, or nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from shared.credits import (
    Action,
    Channel,
    Committed,
    Ledger,
    OperationIdReused,
    OperationKind,
    OutOfCredits,
    Plan,
    PriceList,
    RefusalReason,
    Replayed,
    Stale,
    UnknownWorkspace,
)
from shared.dynamo.transactions import StoreUnavailable
from shared.dynamo.writes import Write
from shared.feeds.definition import FeedDefinition
from shared.feeds.store import FeedStore, StoredFeed
from shared.ids import fingerprint, operation_id
from shared.runs.artifacts import RunArtifacts
from shared.runs.commands import is_stalled, new_run, resume_run
from shared.runs.model import Run
from shared.runs.store import RunStore, put_new_run
from shared.schedules.history import DayTally, add_to_day, day_of
from shared.schedules.model import Schedule
from shared.schedules.store import ScheduleStore
from shared.schedules.syncs import LatestSync, LatestSyncs, move_latest_sync
from shared.times import to_rfc3339

MAX_LOOKS = 20
"""Times that a feed is looked at while firings of other schedules keep starting runs of it."""

_LISTED_RUNS = 20
"""The newest runs of a feed, among which one that people or the API have started is looked for: their dry runs, and
what else they have started since, may stand before it."""

_FILES_KEPT = timedelta(days=400)
"""A run that was started longer ago has lost its files, and goes on no more."""

_REFUSALS = {
    RefusalReason.OUT_OF_CREDITS: "not started: no credits are left",
    RefusalReason.FEED_DELETED: "not started: the feed was deleted",
    RefusalReason.NOTHING_TO_PULL: "not started: the feed has no source to pull from",
}


@dataclass(frozen=True, slots=True)
class Firing:
    """A schedule that is due: `scheduled_at` is the time it was due, the same at every attempt. `version` is that of
    the copy which fired, None when it does not say.
    """

    workspace_id: str
    schedule_id: str
    scheduled_at: datetime
    version: int | None = None

    @property
    def operation_id(self) -> str:
        return operation_id(self.scheduled_at, self.workspace_id, "schedule", self.schedule_id)


@dataclass(frozen=True, slots=True)
class FiringRoom:
    """What it takes to decide on firings."""

    schedules: ScheduleStore
    feeds: FeedStore
    runs: RunStore
    syncs: LatestSyncs
    artifacts: RunArtifacts
    ledger: Ledger
    prices: PriceList


class IgnoredBecause(StrEnum):
    """Why a firing is no business of ours."""

    DELETED = "the schedule was deleted"
    DISABLED = "its owner has disabled the schedule"
    OUTDATED = "its owner has changed the schedule, and this is none of its times any more"
    NO_ACCOUNT = "there is no such account"


@dataclass(frozen=True, slots=True)
class Started:
    """The run is on its way, and the firing is paid for."""

    operation_id: str
    run: Run


@dataclass(frozen=True, slots=True)
class Skipped:
    """The run `going` of the same feed is not over. The firing is paid for, and nothing was started."""

    operation_id: str
    going: Run


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing was started, and nothing is paid. The log says why."""

    operation_id: str
    reason: RefusalReason


@dataclass(frozen=True, slots=True)
class Repeated:
    """This scheduled time was decided before, one way or the other. Nothing was done now."""

    operation_id: str


@dataclass(frozen=True, slots=True)
class Ignored:
    """The firing slipped through: there is nothing to do, and nothing to note."""

    reason: IgnoredBecause


FiringOutcome = Started | Skipped | Refused | Repeated | Ignored


def fire(room: FiringRoom, firing: Firing, now: datetime) -> FiringOutcome:
    """Decides on one firing, once: the same firing may come at any time again, and several times at once.

    Raises StoreUnavailable and botocore's errors; whether it was decided is then unknown, and it may be tried again.
    """
    schedule = room.schedules.get(firing.workspace_id, firing.schedule_id)
    if schedule is None:
        return Ignored(IgnoredBecause.DELETED)
    if (reason := _ignored(firing, schedule)) is not None:
        return Ignored(reason)
    feed = room.feeds.get(firing.workspace_id, schedule.definition.feed_id)
    if feed is None:
        return _refuse(room, firing, RefusalReason.FEED_DELETED)
    if not FeedDefinition.model_validate_json(feed.definition).pulls:
        return _refuse(room, firing, RefusalReason.NOTHING_TO_PULL)
    if _runs_for_nothing(room, firing, now):
        return _refuse(room, firing, RefusalReason.OUT_OF_CREDITS)
    return _start_or_skip(room, firing, feed, now)


def _ignored(firing: Firing, schedule: Schedule) -> IgnoredBecause | None:
    """Why a firing is not what its owner wants now, if it is not."""
    if not schedule.definition.enabled:
        return IgnoredBecause.DISABLED
    is_outdated = firing.version is not None and firing.version < schedule.version
    # One that was only renamed, or changed to something that is due at this time too, must not lose the firing.
    if is_outdated and not schedule.definition.is_due_at(firing.scheduled_at):
        return IgnoredBecause.OUTDATED
    return None


def _runs_for_nothing(room: FiringRoom, firing: Firing, now: datetime) -> bool:
    """Whether automation would run although its credits are out, because firings cost nothing in this deployment.

    Where they cost something the charge itself decides. An account that empties after this look has emptied after the
    firing: the run then pauses at its first record.
    """
    if room.prices.price(Action.SCHEDULED_JOB) > 0:
        return False
    balance = room.ledger.balance(firing.workspace_id)
    return balance is not None and balance.is_exhausted(now)


def _start_or_skip(room: FiringRoom, firing: Firing, feed: StoredFeed, now: datetime) -> FiringOutcome:
    run: Run | None = None
    for _ in range(MAX_LOOKS):
        seen = room.syncs.get(firing.workspace_id, feed.feed_id)
        before = None if seen is None else room.runs.get(firing.workspace_id, seen.run_id)
        going = _going(room, firing, feed, before, now)
        if going is not None:
            plan = _skip(room, firing, going)
            done: Skipped | Started = Skipped(plan.operation_id, going)
        else:
            run = run or new_run(
                room.artifacts,
                feed.definition,
                workspace_id=firing.workspace_id,
                feed_id=feed.feed_id,
                channel=Channel.SCHEDULE,
                now=now,
                schedule_id=firing.schedule_id,
            )
            plan = _start(room, firing, run, seen, before)
            done = Started(plan.operation_id, run)
        match room.ledger.commit(plan):
            case Committed():
                if going is not None and is_stalled(going, now):
                    # Its message was lost in a long outage. Without this, every firing to come would be skipped.
                    resume_run(room.runs, room.ledger, going, now)
                return done
            case Replayed():
                return Repeated(plan.operation_id)
            case OutOfCredits():
                return _refuse(room, firing, RefusalReason.OUT_OF_CREDITS)
            case UnknownWorkspace():
                return Ignored(IgnoredBecause.NO_ACCOUNT)
            case Stale():
                # Another schedule of the feed was faster. Look again.
                continue
            case OperationIdReused():
                raise AssertionError(f"{plan.operation_id} is taken by something that is no firing")
    raise StoreUnavailable(f"other schedules started runs of {feed.feed_id} at each of {MAX_LOOKS} looks")


def _going(room: FiringRoom, firing: Firing, feed: StoredFeed, before: Run | None, now: datetime) -> Run | None:
    """A run of the feed that is not over, if there is one; a paused one is not over, and a dry run is in nobody's way.

    `before` is the last run that a schedule started, read as it is. What people and the API have started is listed a
    moment late: a run that they start at the very moment of a firing may go on beside it.
    """
    if before is not None and not before.state.is_over:
        return before
    listed = room.runs.page(
        firing.workspace_id,
        feed.feed_id,
        newest=now,
        oldest=max(feed.created_at, now - _FILES_KEPT),
        limit=_LISTED_RUNS,
        cursor=None,
    )
    return next((run for run in listed.runs if not run.dry_run and not run.state.is_over), None)


def _start(room: FiringRoom, firing: Firing, run: Run, seen: LatestSync | None, before: Run | None) -> Plan:
    """The run, the feed's pointer, and the figures: of this firing, and of the run before, which is over."""
    after = LatestSync(run.run_id, firing.schedule_id, firing.scheduled_at)
    writes = (
        put_new_run(room.runs.table, run),
        move_latest_sync(room.syncs.table, firing.workspace_id, run.feed_id, seen=seen, after=after),
        *_days(room, firing, run, seen, before),
    )
    return _plan(room, firing, f"start of {run.run_id}", writes)


def _days(room: FiringRoom, firing: Firing, run: Run, seen: LatestSync | None, before: Run | None) -> tuple[Write, ...]:
    """What a start adds to the history: one day, or two when the run before belongs to another. The pointer moves from
    each run once, and so each run is added once.
    """
    table, workspace_id = room.syncs.table, firing.workspace_id
    ours = replace(_day(firing), started=1, trigger_credits=room.prices.price(Action.SCHEDULED_JOB))
    opened = (run.feed_id, run.run_id)
    if seen is None:
        return (add_to_day(table, workspace_id, firing.schedule_id, ours, opened=opened),)
    if (seen.schedule_id, day_of(seen.scheduled_at)) == (firing.schedule_id, ours.day):
        # One item, which a transaction may name only once.
        both = ours if before is None else ours.with_run(before)
        return (add_to_day(table, workspace_id, firing.schedule_id, both, opened=opened, closed=run.feed_id),)
    theirs = DayTally(day=day_of(seen.scheduled_at))
    theirs = theirs if before is None else theirs.with_run(before)
    return (
        add_to_day(table, workspace_id, firing.schedule_id, ours, opened=opened),
        add_to_day(table, workspace_id, seen.schedule_id, theirs, closed=run.feed_id),
    )


def _skip(room: FiringRoom, firing: Firing, going: Run) -> Plan:
    noted = replace(_day(firing), skipped=1, trigger_credits=room.prices.price(Action.SCHEDULED_JOB))
    writes = (add_to_day(room.syncs.table, firing.workspace_id, firing.schedule_id, noted),)
    return _plan(room, firing, f"skipped: {going.run_id} of {going.feed_id} is {going.state.value}", writes)


def _refuse(room: FiringRoom, firing: Firing, reason: RefusalReason) -> Refused | Repeated:
    """Notes that nothing was started. The entry settles this scheduled time for good; the next one is tried anew."""
    noted = replace(_day(firing), refused=1)
    writes = (add_to_day(room.syncs.table, firing.workspace_id, firing.schedule_id, noted),)
    plan = _plan(room, firing, _REFUSALS[reason], writes, refused=reason)
    match room.ledger.commit(plan):
        case Committed():
            return Refused(plan.operation_id, reason)
        case Replayed():
            return Repeated(plan.operation_id)
        case outcome:
            raise AssertionError(f"{plan.operation_id} costs nothing and depends on nothing, and met {outcome}")


def _plan(
    room: FiringRoom,
    firing: Firing,
    description: str,
    writes: tuple[Write, ...],
    refused: RefusalReason | None = None,
) -> Plan:
    """The one operation of a firing. Its fingerprint says which firing it is, not what was decided: whoever comes later
    finds it decided.
    """
    actions = {} if refused else {Action.SCHEDULED_JOB: 1}
    return Plan(
        operation_id=firing.operation_id,
        workspace_id=firing.workspace_id,
        kind=OperationKind.SCHEDULED_JOB,
        channel=Channel.SCHEDULE,
        at=firing.scheduled_at,
        credits=room.prices.cost(actions),
        fingerprint=fingerprint("firing", firing.schedule_id, to_rfc3339(firing.scheduled_at)),
        actions=actions,
        # Of the schedule, not of the run that it starts: a run's operations add up to its records.
        job_id=firing.schedule_id,
        description=description,
        writes=writes,
        refused=refused,
    )


def _day(firing: Firing) -> DayTally:
    """The day that a firing counts on, with nothing on it yet."""
    return DayTally(day=day_of(firing.scheduled_at))
