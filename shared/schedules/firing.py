"""A schedule fires: it is decided, once for each scheduled time, whether a run starts, and that is paid for.

Whatever is decided is one operation, whose identifier is the schedule and its scheduled time (design section 7). Its
entry, the run, the move from the feed's last run to this one, and the day's figures are one transaction. There is no
lock, and nothing to clean up: a runner that is killed has decided everything, or nothing. A schedule of a rule starts
passes of it, and all that is said of runs holds for them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
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
from shared.ids import fingerprint, operation_id
from shared.schedules.history import DayTally, add_to_day, day_of
from shared.schedules.jobs import (
    Job,
    JobRoom,
    Work,
    find_going,
    find_job,
    find_work,
    job_id,
    job_name,
    latest_of,
    new_work,
    ring_again,
    with_work,
    work_id,
)
from shared.schedules.model import Schedule
from shared.schedules.store import ScheduleStore
from shared.schedules.syncs import LatestSync, LatestSyncs, move_latest_sync
from shared.times import to_rfc3339

MAX_LOOKS = 20
"""Times that a feed is looked at while firings of other schedules keep starting runs of it."""

_REFUSALS = {
    RefusalReason.OUT_OF_CREDITS: "not started: no credits are left",
    RefusalReason.FEED_DELETED: "not started: the feed was deleted",
    RefusalReason.NOTHING_TO_PULL: "not started: the feed has no source to pull from",
    RefusalReason.RULE_DELETED: "not started: the rule was deleted",
    RefusalReason.RULE_NOT_SCHEDULED: "not started: the rule listens to changes, and is no scheduled one any more",
    RefusalReason.RULE_SUSPENDED: "not started: the rule is suspended, since it has fired too often",
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
    jobs: JobRoom
    syncs: LatestSyncs
    ledger: Ledger
    prices: PriceList


class IgnoredBecause(StrEnum):
    """Why a firing is no business of ours."""

    DELETED = "the schedule was deleted"
    DISABLED = "its owner has disabled the schedule"
    RULE_DISABLED = "its owner has disabled the rule"
    OUTDATED = "its owner has changed the schedule, and this is none of its times any more"
    NO_ACCOUNT = "there is no such account"


@dataclass(frozen=True, slots=True)
class Started:
    """The run is on its way, and the firing is paid for."""

    operation_id: str
    run: Work


@dataclass(frozen=True, slots=True)
class Skipped:
    """The run `going` of the same feed is not over. The firing is paid for, and nothing was started."""

    operation_id: str
    going: Work


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
    job = find_job(room.jobs, firing.workspace_id, schedule.definition)
    if job is None:
        return Ignored(IgnoredBecause.RULE_DISABLED)
    if isinstance(job, RefusalReason):
        return _refuse(room, firing, job)
    if _runs_for_nothing(room, firing, now):
        return _refuse(room, firing, RefusalReason.OUT_OF_CREDITS)
    return _start_or_skip(room, firing, job, now)


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


def _start_or_skip(room: FiringRoom, firing: Firing, job: Job, now: datetime) -> FiringOutcome:
    new: tuple[Work, Write] | None = None
    for _ in range(MAX_LOOKS):
        seen = room.syncs.get(latest_of(job, firing.workspace_id))
        before = find_work(room.jobs, job, firing.workspace_id, seen)
        going = find_going(room.jobs, job, firing.workspace_id, before, now)
        if going is not None:
            plan = _skip(room, firing, job, going)
            done: Skipped | Started = Skipped(plan.operation_id, going)
        else:
            new = new or new_work(room.jobs, job, firing.workspace_id, firing.schedule_id, now)
            plan = _start(room, firing, job, new, seen, before)
            done = Started(plan.operation_id, new[0])
        match room.ledger.commit(plan):
            case Committed():
                if going is not None:
                    ring_again(room.jobs, room.ledger, going, now)
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
    raise StoreUnavailable(f"other schedules started runs of {job_id(job)} at each of {MAX_LOOKS} looks")


def _start(
    room: FiringRoom,
    firing: Firing,
    job: Job,
    new: tuple[Work, Write],
    seen: LatestSync | None,
    before: Work | None,
) -> Plan:
    """The run, the feed's pointer, and the figures: of this firing, and of the run before, which is over."""
    work, written = new
    after = LatestSync(work_id(work), firing.schedule_id, firing.scheduled_at)
    writes = (
        written,
        move_latest_sync(room.syncs.table, latest_of(job, firing.workspace_id), seen=seen, after=after),
        *_days(room, firing, (job_name(job), after.run_id), seen, before),
    )
    return _plan(room, firing, f"start of {after.run_id}", writes)


def _days(
    room: FiringRoom, firing: Firing, opened: tuple[str, str], seen: LatestSync | None, before: Work | None
) -> tuple[Write, ...]:
    """What a start adds to the history: one day, or two when the run before belongs to another. The pointer moves from
    each run once, and so each run is added once.
    """
    table, workspace_id = room.syncs.table, firing.workspace_id
    ours = replace(_day(firing), started=1, trigger_credits=room.prices.price(Action.SCHEDULED_JOB))
    name, _ = opened
    if seen is None:
        return (add_to_day(table, workspace_id, firing.schedule_id, ours, opened=opened),)
    if (seen.schedule_id, day_of(seen.scheduled_at)) == (firing.schedule_id, ours.day):
        # One item, which a transaction may name only once.
        both = ours if before is None else with_work(ours, before)
        return (add_to_day(table, workspace_id, firing.schedule_id, both, opened=opened, closed=name),)
    theirs = DayTally(day=day_of(seen.scheduled_at))
    theirs = theirs if before is None else with_work(theirs, before)
    return (
        add_to_day(table, workspace_id, firing.schedule_id, ours, opened=opened),
        add_to_day(table, workspace_id, seen.schedule_id, theirs, closed=name),
    )


def _skip(room: FiringRoom, firing: Firing, job: Job, going: Work) -> Plan:
    noted = replace(_day(firing), skipped=1, trigger_credits=room.prices.price(Action.SCHEDULED_JOB))
    writes = (add_to_day(room.syncs.table, firing.workspace_id, firing.schedule_id, noted),)
    return _plan(room, firing, f"skipped: {work_id(going)} of {job_id(job)} is {going.state.value}", writes)


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
        actor=firing.schedule_id,
    )


def _day(firing: Firing) -> DayTally:
    """The day that a firing counts on, with nothing on it yet."""
    return DayTally(day=day_of(firing.scheduled_at))
