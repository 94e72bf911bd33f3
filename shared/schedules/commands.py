"""What may be asked of schedules: put one, delete one, and make the copy that fires agree with what its owner wants.

Several may be at one copy at once: its owner, the credit guard that pauses, the guard that resumes. None of them holds
a lock. Each looks, acts, and looks again, until what it acted on is still so; then whoever acted last acted on the
truth (design section 7).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from botocore.exceptions import ClientError

from shared.credits import Ledger
from shared.feeds.definition import FeedDefinition
from shared.feeds.store import FeedStore
from shared.rules.store import RuleStore
from shared.schedules.model import Schedule, ScheduleDefinition
from shared.schedules.scheduler import Scheduler
from shared.schedules.store import ScheduleStore
from shared.times import Clock, utc_now

MAX_LOOKS = 20
"""Times that one copy is looked at while others keep changing what it should be."""


class StillMoving(Exception):
    """What was to be made so kept changing. Nothing is lost: a doorbell rang for each change, and the sweep comes."""


@dataclass(frozen=True, slots=True)
class UnknownFeed:
    """There is no such feed. Nothing was written."""

    feed_id: str


@dataclass(frozen=True, slots=True)
class NothingToPull:
    """The feed has no source that a schedule could pull from. Nothing was written."""

    feed_id: str


@dataclass(frozen=True, slots=True)
class UnknownRule:
    """There is no such rule. Nothing was written."""

    rule_id: str


@dataclass(frozen=True, slots=True)
class NotScheduled:
    """The rule listens to changes, and is none that a schedule runs. Nothing was written."""

    rule_id: str


@dataclass(frozen=True, slots=True)
class NotTaken:
    """EventBridge Scheduler does not take it, for this reason of its own. The schedule is as it was before."""

    reason: str


@dataclass(frozen=True, slots=True)
class ScheduleRoom:
    """What it takes to put schedules and to keep their copies."""

    schedules: ScheduleStore
    feeds: FeedStore
    rules: RuleStore
    ledger: Ledger
    scheduler: Scheduler
    clock: Clock = utc_now


def put_schedule(
    room: ScheduleRoom, workspace_id: str, schedule_id: str, definition: ScheduleDefinition, now: datetime
) -> Schedule | UnknownFeed | NothingToPull | UnknownRule | NotScheduled | NotTaken:
    """Writes what the owner wants, and carries it over to EventBridge Scheduler.

    Raises botocore's errors and StillMoving; the schedule may then be written already, and is carried over by its
    doorbell.
    """
    if (problem := _nothing_to_run(room, workspace_id, definition)) is not None:
        return problem
    before, schedule = _put(room, workspace_id, schedule_id, definition, now)
    try:
        settle_schedule(room, workspace_id, schedule_id, schedule)
    except ClientError as error:
        reason = _reason_not_to_take(error)
        if reason is None:
            raise
        room.schedules.take_back(schedule, before.definition if before else None, now)
        # A guard that came in between may have carried it over after all, when room was made at that moment.
        settle_schedule(room, workspace_id, schedule_id, room.schedules.get(workspace_id, schedule_id))
        return NotTaken(reason)
    return schedule


def _nothing_to_run(
    room: ScheduleRoom, workspace_id: str, definition: ScheduleDefinition
) -> UnknownFeed | NothingToPull | UnknownRule | NotScheduled | None:
    """What is wrong with what the schedule names, if something is."""
    if definition.feed_id is not None:
        feed = room.feeds.get(workspace_id, definition.feed_id)
        if feed is None:
            return UnknownFeed(definition.feed_id)
        if not FeedDefinition.model_validate_json(feed.definition).pulls:
            return NothingToPull(definition.feed_id)
    if definition.rule_id is not None:
        rule = room.rules.get(workspace_id, definition.rule_id)
        if rule is None:
            return UnknownRule(definition.rule_id)
        if not rule.definition.trigger.is_scheduled:
            return NotScheduled(definition.rule_id)
    return None


def _put(
    room: ScheduleRoom, workspace_id: str, schedule_id: str, definition: ScheduleDefinition, now: datetime
) -> tuple[Schedule | None, Schedule]:
    """Writes the definition, and answers with what it took the place of, and with what stands there now."""
    for _ in range(MAX_LOOKS):
        before = room.schedules.get(workspace_id, schedule_id)
        schedule = room.schedules.put(workspace_id, schedule_id, definition, now, seen=before)
        if schedule is not None:
            return before, schedule
    raise StillMoving(f"schedule {schedule_id} of {workspace_id} changed under {MAX_LOOKS} attempts to put it")


def delete_schedule(room: ScheduleRoom, workspace_id: str, schedule_id: str) -> bool:
    """Deletes the schedule and its copy; False when there was none."""
    existed = room.schedules.delete(workspace_id, schedule_id)
    settle_schedule(room, workspace_id, schedule_id)
    return existed


def settle_schedule(
    room: ScheduleRoom, workspace_id: str, schedule_id: str, schedule: Schedule | None = None
) -> Schedule | None:
    """Makes one copy agree with the schedule as it is now, and with the credits that are there now.

    `schedule` is what the caller has just seen, None when it saw none. Returns the schedule that the copy agrees with.
    Raises ClientError, and StillMoving.
    """
    paused = is_paused(room, workspace_id)
    for _ in range(MAX_LOOKS):
        if schedule is None:
            agreed = room.scheduler.remove(workspace_id, schedule_id)
        else:
            agreed = room.scheduler.settle(schedule, paused=paused, now=room.clock())
        acted_on = (schedule, paused)
        schedule, paused = room.schedules.get(workspace_id, schedule_id), is_paused(room, workspace_id)
        if agreed and (schedule, paused) == acted_on:
            if schedule is not None and not schedule.carried_over:
                room.schedules.note_carried_over(schedule)
            return schedule
    raise StillMoving(f"schedule {schedule_id} of {workspace_id} changed under {MAX_LOOKS} looks")


def _reason_not_to_take(error: ClientError) -> str | None:
    """What EventBridge Scheduler has against what the owner wants; None for what is no fault of the owner's.

    The same code stands for a role of ours that it may not assume: its words alone tell the two apart.
    """
    message = error.response["Error"]["Message"]
    is_final = error.response["Error"]["Code"] == "ValidationException"
    is_a_change = error.operation_name in ("CreateSchedule", "UpdateSchedule")
    is_the_owners = any(word in message.lower() for word in ("expression", "timezone", "time zone", "description"))
    return message if is_final and is_a_change and is_the_owners else None


def is_paused(room: ScheduleRoom, workspace_id: str) -> bool:
    """Whether the workspace's automation has to wait, as its balance is at this moment. Without an account it does."""
    balance = room.ledger.balance(workspace_id)
    return balance is None or balance.is_exhausted(room.clock())
