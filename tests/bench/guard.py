"""What the credit guard costs: called in the bench's own process, so that every request it makes can be seen."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import TYPE_CHECKING

from productsync.stack import process
from shared.announcing import Announcer
from shared.automation.guard import Done, GuardRoom, attend
from shared.automation.store import AutomationState, AutomationStore
from shared.automation.waiting import WaitingStore
from shared.credits import PriceList
from shared.feeds.store import FeedStore
from shared.rules.backlog import BacklogStore
from shared.rules.passes.store import PassStore
from shared.rules.store import RuleStore
from shared.runs.store import RunStore
from shared.schedules.commands import ScheduleRoom
from shared.schedules.model import Schedule, ScheduleDefinition
from shared.schedules.scheduler import Scheduler, Target, scheduler_client
from shared.schedules.store import ScheduleStore
from shared.times import utc_now
from tests.bench.accounts import Accounts
from tests.bench.report import Figure, at_most
from tests.bench.wire import Usage
from tests.bench.workbench import CREDIT_TABLE, FEED, WORK_TABLE, Workbench

if TYPE_CHECKING:
    from productsync.stack.aws import Aws

ONE, SOME, MANY = SIZES = (1, 100, 1_000)
ROUNDS = {ONE: 5, SOME: 5, MANY: 2}
AROUND_THE_SCHEDULES = 10
"""Requests of the guard besides two for each schedule (issue 3)."""
TIME_RATIO = 1.5
"""Times as long that one schedule may take among many as among some."""
CREDITS = 100
THREADS = 16
DAILY = ScheduleDefinition(
    feed_id=FEED, expression="rate(1 day)", time_zone="Europe/Berlin", enabled=True, description="Stock, every day"
)


@dataclass(slots=True)
class Guarded:
    """A workspace of `size` schedules, and what the guard took of AWS to pause and to resume it, round by round."""

    size: int
    paused: list[Usage]
    resumed: list[Usage]


class Bench:
    """The guard on tables and in a schedule group that nobody else looks at."""

    def __init__(self, workbench: Workbench, aws: Aws, endpoint: str) -> None:
        self.accounts = Accounts(workbench.dynamodb, CREDIT_TABLE, WORK_TABLE)
        self._wire = workbench.wire
        self.scheduler = scheduler_client(
            endpoint_url=endpoint,
            region_name=process.REGION,
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )
        self._target = Target(
            group="bench",
            function_arn=f"arn:aws:lambda:{process.REGION}:000000000000:function:nobody",
            role_arn="arn:aws:iam::000000000000:role/nobody",
            dead_letters_arn=f"arn:aws:sqs:{process.REGION}:000000000000:nobody",
        )
        self.scheduler.create_schedule_group(Name=self._target.group)
        events, sns = aws.events(), aws.sns()
        self._announcer = Announcer(events, sns, sns.create_topic(Name="bench")["TopicArn"])
        for client in (self.scheduler, events, sns):
            self._wire.attach(client)

    def guard(self, size: int) -> Guarded:
        """Pauses and resumes a workspace of so many schedules, several times."""
        workspace_id = self.accounts.open(CREDITS)
        put_copies(Scheduler(self.scheduler, self._target), self.put_rows(workspace_id, size))
        guarded = Guarded(size, [], [])
        for _ in range(ROUNDS[size]):
            self.accounts.charge(self.accounts.ledger(), workspace_id, CREDITS)
            guarded.paused.append(self._attend(workspace_id, AutomationState.PAUSED))
            self.accounts.top_up(workspace_id, CREDITS)
            guarded.resumed.append(self._attend(workspace_id, AutomationState.ACTIVE))
        return guarded

    def put_rows(self, workspace_id: str, size: int) -> list[Schedule]:
        """What so many owners want."""
        store = ScheduleStore(self.accounts.client, WORK_TABLE)

        def put(number: int) -> Schedule:
            row = store.put(workspace_id, f"s-{number:04}", DAILY, utc_now(), seen=None)
            assert row is not None
            # Their copies are made next, all at once.
            store.note_carried_over(row)
            return row

        with ThreadPoolExecutor(THREADS) as pool:
            return list(pool.map(put, range(size)))

    def _attend(self, workspace_id: str, expected: AutomationState) -> Usage:
        """One invocation of the guard, with nothing in memory."""
        client = self.accounts.client
        room = GuardRoom(
            schedules=ScheduleRoom(
                schedules=ScheduleStore(client, WORK_TABLE),
                feeds=FeedStore(client, WORK_TABLE),
                rules=RuleStore(client, WORK_TABLE),
                ledger=self.accounts.ledger(),
                scheduler=Scheduler(self.scheduler, self._target),
            ),
            waiting=WaitingStore(client, WORK_TABLE),
            runs=RunStore(client, WORK_TABLE),
            passes=PassStore(client, WORK_TABLE),
            backlog=BacklogStore(client, WORK_TABLE),
            automation=AutomationStore(client, WORK_TABLE),
            announcer=self._announcer,
            prices=PriceList(),
        )
        with self._wire.measured() as usage:
            outcome = attend(room, workspace_id)
        assert outcome == Done(expected), outcome
        return usage


def put_copies(scheduler: Scheduler, schedules: Iterable[Schedule]) -> None:
    """Carries schedules over to EventBridge Scheduler."""
    with ThreadPoolExecutor(THREADS) as pool:
        assert all(pool.map(partial(scheduler.settle, paused=False, now=utc_now()), schedules))


def costs(guarded: Iterable[Guarded]) -> Iterator[Figure]:
    """The bounds of issue 3 on requests, and how long they take."""
    found = {each.size: each for each in guarded}
    for size, each in found.items():
        bound = 2 * size + AROUND_THE_SCHEDULES
        yield at_most(f"{size:,} paused: requests", max(usage.request_count for usage in each.paused), bound)
        yield at_most(f"{size:,} resumed: requests", max(usage.request_count for usage in each.resumed), bound)
    for operation, requests in sorted(found[MANY].paused[0].requests.items()):
        yield Figure(f"{MANY:,} paused: of these {operation}", requests)
    for size, each in found.items():
        yield Figure(f"{size:,} paused: seconds (median)", _seconds(each.paused), "s", digits=3)
        yield Figure(f"{size:,} resumed: seconds (median)", _seconds(each.resumed), "s", digits=3)
    for what in ("paused", "resumed"):
        some, many = (_seconds(getattr(found[size], what)) / size for size in (SOME, MANY))
        yield at_most(f"{what}: time per schedule at {MANY:,} over that at {SOME:,}", many / some, TIME_RATIO, digits=2)


def _seconds(usages: Iterable[Usage]) -> float:
    return median(usage.seconds for usage in usages)
