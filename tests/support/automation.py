"""A workspace with schedules, the copies of them that would fire, and the guard: on quiet tables, in a schedule group
of its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from shared.announcing import Announcement
from shared.automation.guard import GuardRoom
from shared.automation.store import AutomationStore
from shared.automation.waiting import WaitingStore
from shared.credits import Channel, Committed, PriceList
from shared.feeds.store import FeedStore
from shared.ids import new_run_id
from shared.rules.backlog import BacklogStore
from shared.rules.passes.store import PassStore
from shared.rules.store import RuleStore
from shared.runs.model import PauseReason, Run, RunState, resumed
from shared.runs.store import put_new_run
from shared.schedules.commands import ScheduleRoom, delete_schedule, put_schedule
from shared.schedules.model import Schedule, ScheduleDefinition
from shared.schedules.scheduler import Scheduler, Target, scheduler_client
from shared.schedules.store import ScheduleStore
from tests.support.money import AT_ONCE, Account, World, plain_dynamodb

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_scheduler import EventBridgeSchedulerClient

FEED = "stock"
PULLED = json.dumps(
    {
        "source": {"type": "http", "url": "https://supplier.example/stock.csv"},
        "format": {"type": "csv"},
        "entities": [{"entity": "product", "key": "sku", "attributes": {"title": "title"}}],
    }
)
EVERY_HOUR = ScheduleDefinition(
    feed_id=FEED, expression="rate(1 hour)", time_zone="UTC", enabled=True, description="Stock, every hour"
)


@dataclass
class Told:
    """Hears what is announced."""

    announcements: list[Announcement] = field(default_factory=list)

    def announce(self, announcement: Announcement) -> None:
        self.announcements.append(announcement)

    @property
    def kinds(self) -> list[str]:
        return [announcement.kind.value for announcement in self.announcements]


@dataclass
class Office:
    """An account with a feed that pulls, and a place where its schedules' copies lie."""

    account: Account
    group: str
    told: Told = field(default_factory=Told)

    @property
    def workspace_id(self) -> str:
        return self.account.workspace_id

    @property
    def world(self) -> World:
        return self.account.world

    def clients(self) -> tuple[DynamoDBClient, EventBridgeSchedulerClient]:
        """Those of one process, to be listened to or cut off."""
        return self.world.dynamodb(), scheduler_client(**self.world.access)

    def room(
        self, dynamodb: DynamoDBClient | None = None, scheduler: EventBridgeSchedulerClient | None = None
    ) -> GuardRoom:
        """One guard, or one owner at the API: a process that remembers nothing yet."""
        client = dynamodb or plain_dynamodb(self.world)
        target = Target(
            group=self.group,
            function_arn="arn:aws:lambda:us-east-1:000000000000:function:runner",
            role_arn="arn:aws:iam::000000000000:role/scheduler",
            dead_letters_arn="arn:aws:sqs:us-east-1:000000000000:lost",
        )
        schedules = ScheduleRoom(
            schedules=ScheduleStore(client, self.world.work_table, backoff=AT_ONCE),
            feeds=FeedStore(client, self.world.work_table),
            rules=RuleStore(client, self.world.work_table),
            ledger=self.account.ledger(client),
            scheduler=Scheduler(scheduler or plain_scheduler(self.world), target),
            clock=self.account.clock,
        )
        return GuardRoom(
            schedules=schedules,
            waiting=WaitingStore(client, self.world.work_table),
            runs=self.world.runs(client),
            passes=PassStore(client, self.world.work_table, backoff=AT_ONCE),
            backlog=BacklogStore(client, self.world.work_table, backoff=AT_ONCE),
            automation=AutomationStore(client, self.world.work_table),
            announcer=self.told,
            prices=PriceList(),
            # One after the other, so that a story happens in the same order each time it is told.
            at_once=1,
        )

    def put(self, schedule_id: str, room: GuardRoom | None = None, **changes: Any) -> Schedule:
        room = room or self.room()
        definition = replace(EVERY_HOUR, **changes)
        put = put_schedule(room.schedules, self.workspace_id, schedule_id, definition, self.account.clock())
        assert isinstance(put, Schedule)
        return put

    def delete(self, schedule_id: str) -> bool:
        return delete_schedule(self.room().schedules, self.workspace_id, schedule_id)

    def spend_all(self) -> None:
        """Charges everything that is left, if anything is."""
        left = self.account.balance().available
        if left:
            plan = replace(self.account.plan(uuid4().hex, 0), credits=left, writes=(), actions={})
            assert isinstance(self.account.ledger().commit(plan), Committed)

    def top_up(self, credits: int = 100) -> None:
        self.account.clock.advance(seconds=1)
        self.account.ledger().grant(self.account.a_grant(uuid4().hex, credits))

    def paused_run(self) -> Run:
        """A run that has stopped for lack of credits."""
        now = self.account.clock()
        run = Run(
            run_id=new_run_id(now),
            workspace_id=self.workspace_id,
            feed_id=FEED,
            upload_id="up",
            channel=Channel.SCHEDULE,
            dry_run=False,
            state=RunState.PAUSED,
            created_at=now,
            updated_at=now,
            step_at=now,
            paused_at=now,
            pause_reason=PauseReason.OUT_OF_CREDITS,
            records=10,
        )
        plain_dynamodb(self.world).put_item(**put_new_run(self.world.work_table, run).request["Put"])
        return run

    def pause(self, run_id: str) -> None:
        """As a worker pauses a run: it moves it, and then looks at the balance once more."""
        runs, now = self.world.runs(), self.account.clock()
        run = runs.get(self.workspace_id, run_id)
        assert run is not None
        if run.state is RunState.RUNNING:
            stopped = replace(
                run, state=RunState.PAUSED, paused_at=now, pause_reason=PauseReason.OUT_OF_CREDITS, updated_at=now
            )
            if runs.move(run, stopped) and not self.account.balance().is_exhausted(now):
                runs.move(stopped, resumed(stopped, now))

    def run_state(self, run_id: str) -> RunState:
        run = self.world.runs().get(self.workspace_id, run_id)
        assert run is not None
        return run.state

    def copies(self) -> dict[str, dict[str, Any]]:
        """What EventBridge Scheduler holds of this workspace, by the schedule's identifier."""
        client = plain_scheduler(self.world)
        listed = client.list_schedules(GroupName=self.group, NamePrefix=f"{self.workspace_id}.")["Schedules"]
        names = [each["Name"] for each in listed]
        found = {name: dict(client.get_schedule(GroupName=self.group, Name=name)) for name in names}
        for copy in found.values():
            del copy["ResponseMetadata"]
        return {name.partition(".")[2]: copy for name, copy in found.items()}

    def states(self) -> dict[str, str]:
        return {schedule_id: copy["State"] for schedule_id, copy in self.copies().items()}

    def should_be(self) -> dict[str, str]:
        """The states that the copies have to have, by what their owners want and what the balance says."""
        paused = self.account.balance().is_exhausted(self.account.clock())
        schedules = self.room().schedules.schedules.all(self.workspace_id)
        return {
            each.schedule_id: "ENABLED" if each.definition.enabled and not paused else "DISABLED" for each in schedules
        }


@cache
def plain_scheduler(world: World) -> EventBridgeSchedulerClient:
    return scheduler_client(**world.access)


@contextmanager
def office(account: Account) -> Iterator[Office]:
    """Opened for one story, and cleared away after it: the embedded Scheduler lists no more than 100 schedules."""
    group = f"office-{uuid4().hex[:12]}"
    client = plain_scheduler(account.world)
    client.create_schedule_group(Name=group)
    opened = Office(account, group)
    opened.room().schedules.feeds.put(account.workspace_id, FEED, PULLED, account.clock() - timedelta(days=1))
    try:
        yield opened
    finally:
        client.delete_schedule_group(Name=group)
