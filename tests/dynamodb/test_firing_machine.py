"""Firings as a machine that tries to break their laws: due, delivered again, delivered at once, while runs and passes
go on, pause and end, credits end and return, feeds and rules come and go, and owners change their minds.

The model says what each firing must come to; the laws are then reckoned from the log and the runs alone.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from shared.credits import RefusalReason
from shared.rules.passes.model import RulePass
from shared.runs.commands import cancel_run
from shared.runs.model import Run, RunState
from shared.schedules.firing import FiringOutcome, Ignored, Refused, Repeated, Skipped, Started, fire
from shared.schedules.jobs import Work, work_id
from tests.dynamodb.test_imports import at_commit, meanwhile
from tests.support.faults import Line
from tests.support.firing import PULLS, UPLOADED, Syncs
from tests.support.imports import Attributes, Name, a_feed
from tests.support.money import Account, HandClock, World
from tests.support.rule_passes import SALE, rules_of

Expected = tuple[type, RefusalReason | None]
"""What a firing must come to, and why, if it is refused."""

FEEDS = ("supplier", "other")
RULE = "sale"
SCHEDULES = ("hourly", "daily", "weekly", "nightly")

REFUSED_FEEDS = {None: RefusalReason.FEED_DELETED, False: RefusalReason.NOTHING_TO_PULL}
REFUSED_RULES = {
    "deleted": RefusalReason.RULE_DELETED,
    "listens": RefusalReason.RULE_NOT_SCHEDULED,
    "suspended": RefusalReason.RULE_SUSPENDED,
}

feeds = st.sampled_from(FEEDS)
jobs = st.sampled_from((*FEEDS, RULE, RULE))
schedules = st.sampled_from(SCHEDULES)


@dataclass
class Model:
    """What must be so: what owners want, which runs and passes go on, and which firings were decided. `rule` says what
    has become of the rule.
    """

    pulls: dict[str, bool] = field(default_factory=dict)
    rule: str = "deleted"
    wanted: dict[str, tuple[str, bool]] = field(default_factory=dict)
    going: dict[str, list[Work]] = field(default_factory=lambda: {job: [] for job in (*FEEDS, RULE)})
    due: list[tuple[str, datetime]] = field(default_factory=list)
    decided: set[tuple[str, datetime]] = field(default_factory=set)

    @property
    def all_going(self) -> list[Work]:
        return [work for works in self.going.values() for work in works]

    @property
    def runs_going(self) -> list[Run]:
        return [work for work in self.all_going if isinstance(work, Run)]

    def expected(self, schedule_id: str, at: datetime, available: int) -> Expected:
        """What a firing must come to, in the order in which it is judged."""
        job, enabled = self.wanted.get(schedule_id, ("", False))
        if not enabled or (job == RULE and self.rule == "disabled"):
            return Ignored, None
        if (schedule_id, at) in self.decided:
            return Repeated, None
        reason = REFUSED_RULES.get(self.rule) if job == RULE else REFUSED_FEEDS.get(self.pulls.get(job))
        if reason is None and available == 0:
            reason = RefusalReason.OUT_OF_CREDITS
        if reason is not None:
            return Refused, reason
        return (Skipped if self.going[job] else Started), None


class FiringMachine(RuleBasedStateMachine):
    """One workspace with two feeds, a rule, and four schedules, of which two begin on the same feed."""

    world: World

    @initialize(starter=st.integers(0, 40))
    def open(self, starter: int) -> None:
        self.clock = HandClock()
        self.here = Syncs(Account(self.world, starter, self.clock))
        self.model = Model()
        self.top_ups = self.by_hand = 0
        for feed_id in FEEDS:
            self._put_feed(feed_id, pulls=True)
        self._put_rule("scheduled")
        for schedule_id, job in zip(SCHEDULES, ("supplier", "supplier", "other", RULE), strict=True):
            self._put_schedule(schedule_id, job, enabled=True)

    @rule(due=st.lists(schedules, min_size=1, max_size=4), minutes=st.integers(1, 300))
    def schedules_are_due(self, due: list[str], minutes: int) -> None:
        for schedule_id in due:
            self.clock.advance(minutes=minutes)
            self.model.due.append((schedule_id, self.clock()))
            self._fire(schedule_id, self.clock())

    @precondition(lambda self: self.model.due)
    @rule(data=st.data())
    def a_firing_comes_again(self, data: st.DataObject) -> None:
        self.clock.advance(minutes=1)
        self._fire(*data.draw(st.sampled_from(self.model.due)))

    @rule(slow=schedules, fast=schedules)
    def one_overtakes_another(self, slow: str, fast: str) -> None:
        """Between what the slow runner has seen and what it is about to write, the fast one comes and goes."""
        self.clock.advance(minutes=1)
        at = self.clock()
        self.model.due += [(schedule_id, at) for schedule_id in dict.fromkeys((slow, fast))]
        after_the_fast: list[Expected] = []

        def the_fast_one() -> None:
            self._fire(fast, at)
            after_the_fast.append(self._expected(slow, at))

        dynamodb = self.world.dynamodb()
        Line(dynamodb, script=at_commit(0, meanwhile(the_fast_one)))
        outcome = self.here.fire(slow, at, dynamodb=dynamodb)
        if not after_the_fast:
            # The slow one was ignored: it had nothing to write.
            the_fast_one()
        self._check(slow, at, outcome, after_the_fast[0])

    @rule(due=st.lists(schedules, min_size=2, max_size=3))
    def several_are_due_at_once(self, due: list[str]) -> None:
        """The same firing more than once, or schedules that are due together, each in a runner of its own."""
        self.clock.advance(minutes=1)
        at = self.clock()
        self.model.due += [(schedule_id, at) for schedule_id in dict.fromkeys(due)]
        alone = {schedule_id: self._expected(schedule_id, at) for schedule_id in due}
        outcomes = self._at_once([(schedule_id, at) for schedule_id in due])
        first = {
            schedule_id: outcome
            for schedule_id, outcome in zip(due, outcomes, strict=True)
            if not isinstance(outcome, Repeated)
        }
        assert first.keys() == set(due)
        assert sum(isinstance(each, Repeated) for each in outcomes) == sum(
            due.count(schedule_id) - 1 for schedule_id, (kind, _) in alone.items() if kind is not Ignored
        )
        for schedule_id, outcome in first.items():
            kind, _ = alone[schedule_id]
            # Another may have started a run of its feed, or spent the last credit, a moment before.
            instead = {"Started": (Skipped, Refused), "Skipped": (Refused,)}.get(kind.__name__, ())
            assert isinstance(outcome, (kind, *instead))
        started = [_job(outcome.run) for outcome in first.values() if isinstance(outcome, Started)]
        assert len(started) == len(set(started))
        for schedule_id in sorted(first, key=lambda name: not isinstance(first[name], Started)):
            self._note(schedule_id, at, first[schedule_id])

    @precondition(lambda self: self.model.all_going)
    @rule(records=st.integers(0, 4))
    def workers_work(self, records: int) -> None:
        """On all runs and passes, to their end, or until the credits end."""
        for run in map(self.here.now, self.model.runs_going):
            if run.state is RunState.PREPARING:
                self.here.prepare(run, self._pulled(records))
            self._note_work(self.here.carry_out(run))
        for work in self.model.going[RULE][:]:
            assert isinstance(work, RulePass)
            self._note_work(self.here.carry_out_pass(work))

    @precondition(lambda self: self.model.runs_going)
    @rule(data=st.data())
    def a_run_is_cancelled(self, data: st.DataObject) -> None:
        run = self.here.now(data.draw(st.sampled_from(self.model.runs_going)))
        cancelled = cancel_run(self.here.account.world.runs(), self.here.account.ledger(), run, self.clock())
        assert isinstance(cancelled, Run)
        self._note_work(cancelled)

    @precondition(lambda self: self.by_hand < 4)
    @rule(feed_id=feeds, dry_run=st.booleans())
    def a_person_starts_a_run(self, feed_id: str, dry_run: bool) -> None:
        self.clock.advance(minutes=1)
        self.by_hand += 1
        run = self.here.start_by_hand(feed_id, dry_run=dry_run)
        if not dry_run:
            self.model.going[feed_id].append(run)

    @rule(credits=st.integers(1, 20))
    def a_top_up_comes(self, credits: int) -> None:
        self.top_ups += 1
        self.here.account.ledger().grant(self.here.account.a_grant(f"top-up {self.top_ups}", credits))

    @rule()
    def the_credits_end(self) -> None:
        left = self.here.account.balance().available
        if left:
            self.clock.advance(minutes=1)
            self.here.account.ledger().commit(self.here.account.plan(f"spent {self.clock()}", left))

    @rule(feed_id=feeds, becomes=st.sampled_from(["pulls", "pulls", "pulls", "uploads", "deleted"]))
    def a_feed_changes(self, feed_id: str, becomes: str) -> None:
        if becomes == "deleted":
            self.here.feeds().delete(self.here.workspace_id, feed_id)
            self.model.pulls.pop(feed_id, None)
        else:
            self._put_feed(feed_id, pulls=becomes == "pulls")

    @rule(becomes=st.sampled_from(["scheduled", "scheduled", "scheduled", "disabled", *REFUSED_RULES]))
    def a_rule_changes(self, becomes: str) -> None:
        self.clock.advance(minutes=1)
        self._put_rule(becomes)

    @rule(schedule_id=schedules, job=jobs, wants=st.sampled_from(["on", "on", "on", "off", "none"]))
    def an_owner_decides(self, schedule_id: str, job: str, wants: str) -> None:
        if wants == "none":
            self.here.schedules().delete(self.here.workspace_id, schedule_id)
            self.model.wanted.pop(schedule_id, None)
        else:
            self._put_schedule(schedule_id, job, enabled=wants == "on")

    @rule()
    def the_books_are_audited(self) -> None:
        self.here.check(*FEEDS)
        entries = {(entry.job_id, entry.at) for schedule_id in SCHEDULES for entry in self.here.entries(schedule_id)}
        assert entries == self.model.decided

    def teardown(self) -> None:
        if hasattr(self, "here"):
            self.the_books_are_audited()

    def _pulled(self, records: int) -> dict[Name, Attributes]:
        """A feed whose prices have changed since the last one, if there was one: something is updated, too."""
        return {
            name: attributes | ({"price": len(self.model.due)} if "price" in attributes else {})
            for name, attributes in a_feed(records).items()
        }

    def _fire(self, schedule_id: str, at: datetime) -> None:
        expected = self._expected(schedule_id, at)
        self._check(schedule_id, at, self.here.fire(schedule_id, at), expected)

    def _expected(self, schedule_id: str, at: datetime) -> Expected:
        return self.model.expected(schedule_id, at, self.here.account.balance().available)

    def _check(self, schedule_id: str, at: datetime, outcome: FiringOutcome, expected: Expected) -> None:
        kind, reason = expected
        assert isinstance(outcome, kind), (outcome, kind)
        assert not isinstance(outcome, Refused) or outcome.reason is reason
        self._note(schedule_id, at, outcome)

    def _at_once(self, firings: list[tuple[str, datetime]]) -> list[FiringOutcome]:
        together = threading.Barrier(len(firings))
        rooms = [self.here.room() for _ in firings]

        def runner(number: int) -> FiringOutcome:
            together.wait()
            return fire(rooms[number], self.here.firing(*firings[number]), self.clock())

        with ThreadPoolExecutor(len(firings)) as pool:
            return list(pool.map(runner, range(len(firings))))

    def _note(self, schedule_id: str, at: datetime, outcome: FiringOutcome) -> None:
        match outcome:
            case Started(_, work):
                assert work.schedule_id == schedule_id
                self.model.going[_job(work)].append(work)
            case Skipped(_, going):
                assert work_id(going) in map(work_id, self.model.going[_job(going)])
        if not isinstance(outcome, Ignored):
            self.model.decided.add((schedule_id, at))

    def _note_work(self, work: Work) -> None:
        if work.state.is_over:
            going = self.model.going[_job(work)]
            going[:] = [each for each in going if work_id(each) != work_id(work)]

    def _put_rule(self, becomes: str) -> None:
        rules = rules_of(self.world)
        if becomes == "deleted":
            rules.delete(self.here.workspace_id, RULE)
        else:
            trigger = {"on": ["updated"]} if becomes == "listens" else SALE["trigger"]
            put = self.here.rule(RULE, trigger=trigger, enabled=becomes != "disabled")
            assert becomes != "suspended" or rules.suspend(put, self.clock())
        self.model.rule = becomes

    def _put_feed(self, feed_id: str, *, pulls: bool) -> None:
        self.here.feed(feed_id, PULLS if pulls else UPLOADED)
        self.model.pulls[feed_id] = pulls

    def _put_schedule(self, schedule_id: str, job: str, *, enabled: bool) -> None:
        self.here.schedule(schedule_id, job, rule_id=RULE if job == RULE else None, enabled=enabled)
        self.model.wanted[schedule_id] = (job, enabled)


def _job(work: Work) -> str:
    return work.rule_id if isinstance(work, RulePass) else work.feed_id


@pytest.fixture
def machine(world: World) -> type[FiringMachine]:
    return type("FiringMachineHere", (FiringMachine,), {"world": world})


def test_no_mix_of_firings_runs_credits_and_changes_of_mind_breaks_a_law(machine: type[FiringMachine]) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=30,
            stateful_step_count=30,
            derandomize=True,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
