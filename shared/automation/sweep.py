"""The sweep: finds what a guard that failed has left behind, without looking at every workspace.

It compares what fires with what should, from the side of EventBridge Scheduler: all copies of the deployment, a hundred
at a time, beside the schedules and balances that they belong to. And it looks at what waits for credits although there
are some. It changes nothing itself: it says where the guard has to go.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from shared.automation.store import AutomationStore
from shared.dynamo.reads import READ_BATCH
from shared.keys import WAITING_SHARDS
from shared.runs.store import RunStore
from shared.schedules.commands import ScheduleRoom


class SweepRoom(Protocol):
    """What sweeping takes; a guard's room has it too."""

    @property
    def schedules(self) -> ScheduleRoom: ...

    @property
    def runs(self) -> RunStore: ...

    @property
    def automation(self) -> AutomationStore: ...


@dataclass(frozen=True, slots=True)
class Call:
    """Where the guard has to go: to a workspace, or only to one of its schedules."""

    workspace_id: str
    schedule_id: str | None = None


def sweep(room: SweepRoom) -> Iterator[Call]:
    """Everything that needs the guard: each workspace once, and each schedule that is wrong by itself.

    Requests: three for every 100 schedules of the deployment, and two for every 100 workspaces in which something
    waits, plus one for each shard of the index; what waits comes first. Raises StoreUnavailable and botocore's errors.
    """
    called: set[Call] = set()
    for calls in (_waiting_in_vain(room), _wrong_copies(room)):
        for call in calls:
            if call not in called and Call(call.workspace_id) not in called:
                called.add(call)
                yield call


def _wrong_copies(room: SweepRoom) -> Iterator[Call]:
    """Workspaces with copies that fire and must not, or do not and should; copies that belong to nothing."""
    now = room.schedules.clock()
    for page in room.schedules.scheduler.listed():
        wanted = room.schedules.schedules.get_many((each.workspace_id, each.schedule_id) for each in page)
        exhausted = _exhausted(room, [each.workspace_id for each in page])
        for each in page:
            schedule = wanted.get((each.workspace_id, each.schedule_id))
            if schedule is None:
                yield Call(each.workspace_id, each.schedule_id)
                continue
            should_fire = schedule.definition.enabled and not exhausted[each.workspace_id]
            if each.enabled is not should_fire and schedule.definition.fires_again(now):
                yield Call(each.workspace_id)


def _waiting_in_vain(room: SweepRoom) -> Iterator[Call]:
    """Workspaces in which something waits although there are credits, or whose pause was not noted, or told to nobody;
    schedules that were not carried over.
    """
    for shard in range(WAITING_SHARDS):
        workspaces: set[str] = set()
        for workspace_id, _, schedule_id in room.runs.waiting_of_shard(shard):
            if schedule_id is None:
                workspaces.add(workspace_id)
            else:
                yield Call(workspace_id, schedule_id)
        pending = sorted(workspaces)
        for first in range(0, len(pending), READ_BATCH):
            some = pending[first : first + READ_BATCH]
            noted = room.automation.get_many(some)
            for workspace_id, is_out in _exhausted(room, some).items():
                automation = noted.get(workspace_id)
                pause_is_known = automation is not None and automation.is_settled_pause
                if not (is_out and pause_is_known):
                    yield Call(workspace_id)


def _exhausted(room: SweepRoom, workspace_ids: list[str]) -> dict[str, bool]:
    """Whether each of up to `READ_BATCH` workspaces is out of credits; one without an account is."""
    now = room.schedules.clock()
    balances = room.schedules.ledger.balances(workspace_ids)
    return {
        workspace_id: workspace_id not in balances or balances[workspace_id].is_exhausted(now)
        for workspace_id in dict.fromkeys(workspace_ids)
    }
