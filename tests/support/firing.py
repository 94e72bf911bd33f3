"""Schedules that fire, on an account of their own, and a look at whether what came of it adds up."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from shared import keys
from shared.catalog import CatalogStore
from shared.credits import Action, Channel, Operation, OperationKind, PriceList
from shared.feeds.store import FeedStore
from shared.ids import time_of
from shared.rules.firing import FiringRoom as RuleFiringRoom
from shared.rules.meters import MeterStore
from shared.rules.model import Rule
from shared.rules.passes.model import RulePass
from shared.rules.passes.model import finished as pass_finished
from shared.rules.passes.store import to_pass
from shared.rules.passes.worker import PassRoom
from shared.rules.passes.worker import work as go_through
from shared.runs.commands import new_run
from shared.runs.model import Run, RunState, finished
from shared.runs.store import put_new_run
from shared.runs.worker import Workshop, work
from shared.schedules.firing import Firing, FiringOutcome, FiringRoom, fire
from shared.schedules.history import DayTally, ScheduleHistory, day_of
from shared.schedules.jobs import JobRoom, Work, with_work, work_id
from shared.schedules.model import ScheduleDefinition
from shared.schedules.store import ScheduleStore
from shared.schedules.syncs import LatestSyncs
from tests.support.imports import Attributes, Name, never, put_prepared
from tests.support.money import AT_ONCE, MORNING, Account, HandClock, plain_dynamodb
from tests.support.rule_passes import LIMITS, SALE, passes_of, put_rule, rules_of

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client

PULLS: dict[str, Any] = {
    "format": {"type": "csv"},
    "entities": [{"entity": "product", "key": "sku", "attributes": {"title": "title"}}],
    "source": {"type": "http", "url": "https://supplier.example/feed.csv"},
}
"""A feed with something to pull. Nobody pulls it here: what was pulled is said by hand."""

UPLOADED = {name: value for name, value in PULLS.items() if name != "source"}
"""A feed without."""


@dataclass
class Syncs:
    """The schedules of one account."""

    account: Account
    prices: PriceList = field(default_factory=PriceList)
    has_rules: bool = False

    @property
    def clock(self) -> HandClock:
        return self.account.clock

    @property
    def workspace_id(self) -> str:
        return self.account.workspace_id

    def feed(self, feed_id: str = "supplier", definition: dict[str, Any] | None = None) -> None:
        """Puts a feed; one that pulls, unless told otherwise."""
        self.feeds().put(self.workspace_id, feed_id, json.dumps(definition or PULLS), self.clock())

    def feeds(self, client: DynamoDBClient | None = None) -> FeedStore:
        return FeedStore(client or plain_dynamodb(self.account.world), self.account.world.work_table)

    def rule(self, rule_id: str = "sale", **changed: Any) -> Rule:
        """Puts a rule; one that only schedules run, unless told otherwise."""
        self.has_rules = True
        return put_rule(self.account, SALE | changed, rule_id)

    def schedule(
        self,
        schedule_id: str = "hourly",
        feed_id: str = "supplier",
        *,
        rule_id: str | None = None,
        enabled: bool = True,
    ) -> None:
        """What the owner wants: the feed pulled, or the rule run, if one is named. The expression is nobody's business
        here: each test fires by hand.
        """
        definition = ScheduleDefinition(
            feed_id=None if rule_id else feed_id,
            rule_id=rule_id,
            expression="rate(1 hour)",
            time_zone="UTC",
            enabled=enabled,
            description="",
        )
        seen = self.schedules().get(self.workspace_id, schedule_id)
        assert self.schedules().put(self.workspace_id, schedule_id, definition, self.clock(), seen=seen)

    def schedules(self, client: DynamoDBClient | None = None) -> ScheduleStore:
        return ScheduleStore(client or plain_dynamodb(self.account.world), self.account.world.work_table)

    def latest(self, client: DynamoDBClient | None = None) -> LatestSyncs:
        return LatestSyncs(client or plain_dynamodb(self.account.world), self.account.world.work_table)

    def history(self, schedule_id: str = "hourly") -> list[DayTally]:
        """All that the schedule did."""
        store = ScheduleHistory(plain_dynamodb(self.account.world), self.account.world.work_table)
        return store.days(self.workspace_id, schedule_id, day_of(MORNING - timedelta(days=1)))

    def room(self, dynamodb: DynamoDBClient | None = None, s3: S3Client | None = None) -> FiringRoom:
        """What a runner needs, remembering nothing: another process."""
        world = self.account.world
        return FiringRoom(
            schedules=self.schedules(dynamodb),
            jobs=JobRoom(
                feeds=self.feeds(dynamodb),
                runs=world.runs(dynamodb),
                artifacts=world.artifacts(s3),
                rules=rules_of(world, dynamodb),
                passes=passes_of(world, dynamodb),
            ),
            syncs=self.latest(dynamodb),
            ledger=self.account.ledger(dynamodb),
            prices=self.prices,
        )

    def firing(self, schedule_id: str = "hourly", at: datetime | None = None) -> Firing:
        return Firing(self.workspace_id, schedule_id, at or self.clock())

    def fire(
        self,
        schedule_id: str = "hourly",
        at: datetime | None = None,
        dynamodb: DynamoDBClient | None = None,
        s3: S3Client | None = None,
    ) -> FiringOutcome:
        """One runner, from a cold start to its end; the schedule is due now, unless told otherwise."""
        return fire(self.room(dynamodb, s3), self.firing(schedule_id, at), self.clock())

    def start_by_hand(self, feed_id: str = "supplier", *, dry_run: bool = False) -> Run:
        """A run that a person starts, free."""
        run = new_run(
            self.account.world.artifacts(),
            json.dumps(PULLS),
            workspace_id=self.workspace_id,
            feed_id=feed_id,
            channel=Channel.PERSON,
            now=self.clock(),
            dry_run=dry_run,
        )
        plain_dynamodb(self.account.world).put_item(**put_new_run(self.account.world.work_table, run).request["Put"])
        return run

    def prepare(self, run: Run, feed: dict[Name, Attributes]) -> None:
        """The run's file was fetched and read, and holds `feed`."""
        prepared = replace(run, state=RunState.RUNNING, preparation="the-only-one", records=len(feed))
        put_prepared(self.account, prepared, feed)
        assert self.account.world.runs().move(run, prepared)

    def carry_out(self, run: Run) -> Run:
        """A worker works on the run until it is over, or pauses."""
        workshop = Workshop(
            ledger=self.account.ledger(),
            catalog=self.account.world.catalog(),
            runs=self.account.world.runs(),
            artifacts=self.account.world.artifacts(),
            prices=self.prices,
            clock=self.clock,
        )
        after = work(workshop, run.workspace_id, run.run_id, never)
        assert after is not None
        return after

    def carry_out_pass(self, rule_pass: RulePass) -> RulePass:
        """A worker works on the pass until it is over, or pauses."""
        world, client = self.account.world, plain_dynamodb(self.account.world)
        firing = RuleFiringRoom(
            rules=rules_of(world),
            meters=MeterStore(client, world.work_table),
            catalog=CatalogStore(client, world.catalog_table, backoff=AT_ONCE),
            ledger=self.account.ledger(),
            prices=self.prices,
            limits=LIMITS,
            clock=self.clock,
        )
        room = PassRoom(firing, passes_of(world))
        after = go_through(room, self.workspace_id, rule_pass.pass_id, never)
        assert after is not None
        return after

    def end_pass(self, rule_pass: RulePass) -> None:
        """The pass is over, and had nothing to do."""
        now = self.pass_now(rule_pass)
        assert passes_of(self.account.world).move(now, pass_finished(now, self.clock()))

    def pass_now(self, rule_pass: RulePass) -> RulePass:
        found = passes_of(self.account.world).get(self.workspace_id, rule_pass.pass_id)
        assert found is not None
        return found

    def passes(self) -> list[RulePass]:
        """All passes, newest first. Nobody else has to list them, so nothing but a scan does."""
        pages = (
            plain_dynamodb(self.account.world)
            .get_paginator("scan")
            .paginate(
                TableName=self.account.world.work_table,
                FilterExpression="begins_with(pk, :passes)",
                ExpressionAttributeValues={":passes": {"S": keys.rule_pass(self.workspace_id, "").pk}},
                ConsistentRead=True,
            )
        )
        found = [to_pass(item) for page in pages for item in page["Items"]]
        return sorted(found, key=lambda each: each.pass_id, reverse=True)

    def end(self, run: Run) -> None:
        """The run is over, and had nothing to do."""
        now = self.now(run)
        assert self.account.world.runs().move(now, finished(now, self.clock()))

    def now(self, run: Run) -> Run:
        found = self.account.world.runs().get(run.workspace_id, run.run_id)
        assert found is not None
        return found

    def runs(self, *feed_ids: str) -> list[Run]:
        """All runs of these feeds, newest first."""
        return [
            run
            for feed_id in feed_ids or ("supplier",)
            for run in self.account.world.runs()
            .page(self.workspace_id, feed_id, newest=self.clock(), oldest=MORNING, limit=95, cursor=None)
            .runs
        ]

    def entries(self, schedule_id: str = "hourly") -> list[Operation]:
        """What the log says of the schedule's firings, newest first."""
        return [
            entry
            for entry in self.account.operations()
            if entry.kind is OperationKind.SCHEDULED_JOB and entry.job_id == schedule_id
        ]

    def check(self, *feed_ids: str) -> None:
        """The laws, for all schedules and for the runs of these feeds ("supplier" without any), and all passes."""
        operations = self.account.operations()
        runs: list[Work] = [run for run in self.runs(*feed_ids) if run.schedule_id is not None]
        runs += self.passes() if self.has_rules else []
        firings = [entry for entry in operations if entry.kind is OperationKind.SCHEDULED_JOB]
        self._check_each_is_paid(operations, runs, firings)
        going = Counter(_job(run) for run in runs if not run.state.is_over)
        assert all(count == 1 for count in going.values()), going
        named = {entry.job_id for entry in firings if entry.job_id is not None}
        for schedule_id in named | {run.schedule_id for run in runs if run.schedule_id is not None}:
            assert self.history(schedule_id) == self._log(schedule_id, firings, operations, runs)

    def _check_each_is_paid(self, operations: list[Operation], runs: list[Work], firings: list[Operation]) -> None:
        """Law 1: a run for each start that was paid, and a start that was paid for each run."""
        self.account.check_the_figures(self.account.balance(), operations)
        price = self.prices.price(Action.SCHEDULED_JOB)
        assert all(entry.credits == (0 if entry.refused else price) for entry in firings)
        starts = Counter(entry.description for entry in firings if entry.description.startswith("start of "))
        assert starts == Counter(f"start of {work_id(run)}" for run in runs)

    def _log(
        self, schedule_id: str, firings: list[Operation], operations: list[Operation], runs: list[Work]
    ) -> list[DayTally]:
        """The schedule's history, reckoned from the log and the runs alone."""
        days: dict[Any, DayTally] = {}
        run_of = {f"start of {work_id(run)}": run for run in runs}
        paid: Counter[str | None] = Counter()
        for entry in operations:
            paid[entry.run_id] += entry.credits
        for entry in reversed([entry for entry in firings if entry.job_id == schedule_id]):
            day = days.get(day_of(entry.at), DayTally(day=day_of(entry.at)))
            run = run_of.get(entry.description)
            day = replace(
                day,
                started=day.started + (run is not None),
                refused=day.refused + (entry.refused is not None),
                skipped=day.skipped + (run is None and entry.refused is None),
                trigger_credits=day.trigger_credits + entry.credits,
            )
            if run is not None:
                run_id = work_id(run)
                assert (run.counts if isinstance(run, RulePass) else run.totals).credits == paid[run_id]
                # The last one that was started: a firing may come after a later one.
                day = replace(with_work(day, run), last_run_id=_later(run_id, day.last_run_id))
            days[day.day] = day
        return [days[day] for day in sorted(days)]


def _job(work: Work) -> tuple[str, str]:
    return ("rule", work.rule_id) if isinstance(work, RulePass) else ("feed", work.feed_id)


def _later(run_id: str, other: str | None) -> str:
    return run_id if other is None else max(run_id, other, key=time_of)
