"""The credit guard: pauses a workspace's automation when its credits end, and resumes it when they return.

It is level-triggered (design section 7). Whatever it was called for, it reads the balance as it is now, makes every
schedule's copy and whatever waits what that balance says, and then looks again: at the balance, and at what owners
have changed meanwhile. It ends only when what it acted on is still so. So two guards, or a guard and an owner, may work
on one workspace at once, in any order and any number of times; whoever ends last has acted on the truth. One that dies
is called again, by its message or by the sweep.

Nothing that it does or leaves undone costs anybody credits: a firing that slips through pays first, or does nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice, takewhile

from botocore.exceptions import BotoCoreError, ClientError

from shared.announcing import Announces
from shared.automation.announcing import of_automation
from shared.automation.store import Automation, AutomationState, AutomationStore
from shared.automation.waiting import Entry, WaitingStore, Waits, least_credits
from shared.credits import Balance, PriceList
from shared.rules.backlog import BacklogStore
from shared.rules.passes.commands import resume_pass
from shared.rules.passes.store import PassStore
from shared.runs.commands import resume_run
from shared.runs.store import RunStore
from shared.schedules.commands import MAX_LOOKS, ScheduleRoom, StillMoving, is_paused, settle_schedule
from shared.schedules.model import Schedule

AT_ONCE = 8
"""Copies that one guard settles at once. EventBridge Scheduler takes hundreds of calls per second from an account."""

_BEFORE_ALL = "-"
"""Comes before every identifier of a schedule."""

_CHUNK = 16
"""Schedules between two looks at the clock."""


@dataclass(frozen=True, slots=True)
class GuardRoom:
    """What guarding takes."""

    schedules: ScheduleRoom
    waiting: WaitingStore
    runs: RunStore
    passes: PassStore
    backlog: BacklogStore
    automation: AutomationStore
    announcer: Announces
    prices: PriceList
    at_once: int = AT_ONCE


@dataclass(frozen=True, slots=True)
class Done:
    """Every schedule of the workspace, and whatever waits for credits, is what the balance says; None when there is no
    such account.
    """

    state: AutomationState | None


@dataclass(frozen=True, slots=True)
class Unfinished:
    """Time ran out behind the schedule `after`, with the schedules up to it settled for `state`, but for those that
    `failed`. Another invocation goes on from there, and each that failed needs the guard again.
    """

    state: AutomationState
    after: str
    failed: tuple[str, ...] = ()


class NotSettled(Exception):
    """Some schedules could not be settled, the others are. The guard has to come again."""


def attend(
    room: GuardRoom,
    workspace_id: str,
    out_of_time: Callable[[], bool] = lambda: False,
    going_on: Unfinished | None = None,
) -> Done | Unfinished:
    """Makes the workspace's automation what its balance says, and announces the change if there was one.

    `going_on` is what the invocation before left. Costs two requests for each schedule that has to change, one for each
    that does not, three for each paused run or pass that goes on, one for a backlog, and at most ten; a few more where
    credits have lapsed, and for schedules that were not carried over or that others change at the same time. Raises
    NotSettled, StillMoving, StoreUnavailable and botocore's errors; the guard must then come again.
    """
    for _ in range(MAX_LOOKS):
        now = room.schedules.clock()
        balance = room.schedules.ledger.balance(workspace_id)
        if balance is not None and balance.lapsed(now):
            # What has lapsed counts until it is booked: so the account shows zero, and what it crosses is told.
            balance = room.schedules.ledger.book_lapsed(workspace_id)
        if balance is None:
            return Done(None)
        state = AutomationState.PAUSED if balance.is_exhausted(now) else AutomationState.ACTIVE
        automation = room.automation.note(workspace_id, state, now)
        # What was settled for another state has to be settled anew.
        after = going_on.after if going_on and going_on.state is state else None
        settled = _settle_all(room, workspace_id, state, after, out_of_time)
        _settle_changed(room.schedules, workspace_id, after, settled)
        if settled.stopped_behind is not None:
            return Unfinished(state, settled.stopped_behind, tuple(settled.failures))
        if state is AutomationState.ACTIVE and not _resume(room, workspace_id, balance.spendable(now), out_of_time):
            return Unfinished(state, _last(settled, after), tuple(settled.failures))
        if is_paused(room.schedules, workspace_id) is (state is AutomationState.PAUSED):
            _announce(room, automation, balance)
            if settled.failures:
                raise NotSettled(f"schedules of {workspace_id}: {settled.failures}")
            return Done(state)
        going_on = None
    raise StillMoving(f"the balance of {workspace_id} came and went under {MAX_LOOKS} looks")


def attend_schedule(room: GuardRoom, workspace_id: str, schedule_id: str) -> None:
    """Carries one schedule over that its owner has changed or deleted. Raises as `settle_schedule` does."""
    settle_schedule(room.schedules, workspace_id, schedule_id, room.schedules.schedules.get(workspace_id, schedule_id))


@dataclass(frozen=True, slots=True)
class _Settled:
    """The schedules that were seen, why some of them could not be settled, and where it stopped for lack of time."""

    schedules: list[Schedule]
    failures: dict[str, Exception]
    stopped_behind: str | None


def _settle_all(
    room: GuardRoom, workspace_id: str, state: AutomationState, after: str | None, out_of_time: Callable[[], bool]
) -> _Settled:
    """Settles every schedule behind `after`. One that fails does not keep the others from being paused."""
    seen: list[Schedule] = []
    failures: dict[str, Exception] = {}

    def settle(schedule: Schedule) -> None:
        try:
            paused = state is AutomationState.PAUSED
            agreed = room.schedules.scheduler.settle(schedule, paused=paused, now=room.schedules.clock())
            if not (agreed and schedule.carried_over):
                attend_schedule(room, workspace_id, schedule.schedule_id)
        except (ClientError, BotoCoreError, StillMoving) as error:
            failures[schedule.schedule_id] = error

    with ThreadPoolExecutor(room.at_once, thread_name_prefix="settle") as pool:
        for chunk in _chunks(room.schedules.schedules.all(workspace_id, after)):
            if seen and out_of_time():
                return _Settled(seen, failures, seen[-1].schedule_id)
            list(pool.map(settle, chunk))
            seen += chunk
    return _Settled(seen, failures, None)


def _settle_changed(room: ScheduleRoom, workspace_id: str, after: str | None, settled: _Settled) -> None:
    """Settles those that their owners have put or deleted since they were seen: the copies got what was wanted then."""
    before = {schedule.schedule_id: schedule for schedule in settled.schedules}
    last = settled.stopped_behind
    present = takewhile(lambda each: last is None or each.schedule_id <= last, room.schedules.all(workspace_id, after))
    now = {schedule.schedule_id: schedule for schedule in present}
    for schedule_id in sorted(before.keys() | now.keys()):
        if before.get(schedule_id) != now.get(schedule_id):
            settle_schedule(room, workspace_id, schedule_id, now.get(schedule_id))


def _resume(room: GuardRoom, workspace_id: str, credits: int, out_of_time: Callable[[], bool]) -> bool:
    """Lets what waits for credits go on from where it stopped; False when time ran out before all did.

    What begins to wait at this moment may be missing here: whoever makes it wait looks at the balance once more itself
    (see `shared.runs.worker` and `shared.rules.backlog`). What needs more than the `credits` that there are is left
    alone.
    """
    entries = room.waiting.for_credits(workspace_id)
    affordable = [entry for entry in entries if credits >= least_credits(entry.kind, room.prices)]
    for number, entry in enumerate(affordable):
        if number and out_of_time():
            return False
        _go_on(room, entry)
    return True


def _go_on(room: GuardRoom, entry: Entry) -> None:
    ledger, now = room.schedules.ledger, room.schedules.clock()
    match entry.kind:
        case Waits.RUN:
            run = room.runs.get(entry.workspace_id, entry.name)
            if run is not None:
                resume_run(room.runs, ledger, run, now)
        case Waits.PASS:
            rule_pass = room.passes.get(entry.workspace_id, entry.name)
            if rule_pass is not None:
                resume_pass(room.passes, ledger, rule_pass, now)
        case Waits.BACKLOG:
            room.backlog.ring(entry.workspace_id, now)
        case _:
            raise AssertionError(f"a {entry.kind} does not wait for credits")


def _last(settled: _Settled, after: str | None) -> str:
    """Behind which schedule the next invocation goes on when all are settled."""
    return settled.schedules[-1].schedule_id if settled.schedules else after or _BEFORE_ALL


def _announce(room: GuardRoom, automation: Automation | None, balance: Balance) -> None:
    """Tells of a change that was not told yet; at least once, and never of one that was over before it was told."""
    if automation is None or automation.is_settled:
        return
    # Another guard may have told it, or more than that, since this one noted the state.
    automation = room.automation.get(balance.workspace_id)
    if automation is None or automation.is_settled:
        return
    if not automation.is_announced:
        room.announcer.announce(of_automation(automation, balance))
    room.automation.announced(automation)


def _chunks(schedules: Iterable[Schedule]) -> Iterator[list[Schedule]]:
    iterator = iter(schedules)
    while chunk := list(islice(iterator, _CHUNK)):
        yield chunk
