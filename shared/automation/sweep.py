"""The sweep: finds what a guard that failed has left behind, or a grant's expiry that never came, without looking at
every workspace.

It compares what fires with what should, from the side of EventBridge Scheduler: all copies of the deployment, a hundred
at a time, beside the schedules and balances that they belong to. And it looks at what waits for credits although there
are some. It changes nothing itself: it says where the guard has to go.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from shared.automation.store import AutomationStore
from shared.automation.waiting import WaitingStore, Waits, least_credits
from shared.credits import Balance, PriceList
from shared.dynamo.reads import READ_BATCH
from shared.keys import WAITING_SHARDS
from shared.schedules.commands import ScheduleRoom


class SweepRoom(Protocol):
    """What sweeping takes; a guard's room has it too."""

    @property
    def schedules(self) -> ScheduleRoom: ...

    @property
    def waiting(self) -> WaitingStore: ...

    @property
    def automation(self) -> AutomationStore: ...

    @property
    def prices(self) -> PriceList: ...


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
        balances = room.schedules.ledger.balances(each.workspace_id for each in page)
        yield from _unbooked(balances, now)
        for each in page:
            schedule = wanted.get((each.workspace_id, each.schedule_id))
            if schedule is None:
                yield Call(each.workspace_id, each.schedule_id)
                continue
            credits = _spendable(balances, each.workspace_id, now)
            should_fire = schedule.definition.enabled and credits > 0
            if each.enabled is not should_fire and schedule.definition.fires_again(now):
                yield Call(each.workspace_id)


def _waiting_in_vain(room: SweepRoom) -> Iterator[Call]:
    """Workspaces in which something waits although there are credits for it, or whose pause was not noted, or told to
    nobody; schedules that were not carried over.
    """
    now = room.schedules.clock()
    for shard in range(WAITING_SHARDS):
        kinds: dict[str, set[Waits]] = {}
        for entry in room.waiting.of_shard(shard):
            if entry.kind is Waits.SCHEDULE:
                yield Call(entry.workspace_id, entry.name)
            else:
                kinds.setdefault(entry.workspace_id, set()).add(entry.kind)
        pending = sorted(kinds)
        for first in range(0, len(pending), READ_BATCH):
            some = pending[first : first + READ_BATCH]
            noted = room.automation.get_many(some)
            balances = room.schedules.ledger.balances(some)
            yield from _unbooked(balances, now)
            for workspace_id in some:
                credits = _spendable(balances, workspace_id, now)
                automation = noted.get(workspace_id)
                pause_is_known = automation is not None and automation.is_settled_pause
                may_go_on = any(credits >= least_credits(kind, room.prices) for kind in kinds[workspace_id])
                if may_go_on or (credits == 0 and not pause_is_known):
                    yield Call(workspace_id)


def _unbooked(balances: Mapping[str, Balance], now: datetime) -> Iterator[Call]:
    """Workspaces in which credits have lapsed and are not booked yet: the call at that moment failed, or came early."""
    return (Call(workspace_id) for workspace_id, balance in balances.items() if balance.lapsed(now))


def _spendable(balances: Mapping[str, Balance], workspace_id: str, now: datetime) -> int:
    """What a workspace has to spend; one without an account has nothing."""
    return balances[workspace_id].spendable(now) if workspace_id in balances else 0
