"""A schedule that is due is decided on once, and what is decided is paid for, whatever happens (laws 1, 2, 4 and 7)."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from functions.schedule_runner import handler as runner
from shared import keys
from shared.credits import Action, PriceList, RefusalReason
from shared.runs.commands import cancel_run
from shared.runs.model import Run, RunState
from shared.schedules.firing import (
    MAX_LOOKS,
    Firing,
    FiringOutcome,
    Ignored,
    IgnoredBecause,
    Refused,
    Repeated,
    Skipped,
    Started,
    fire,
)
from shared.schedules.history import DayTally
from tests.dynamodb.test_imports import at_commit, meanwhile
from tests.support.faults import (
    Fault,
    Killed,
    Line,
    answer_lost,
    conflict,
    killed_after_sending,
    killed_before_sending,
)
from tests.support.firing import UPLOADED, Syncs
from tests.support.functions import Context
from tests.support.imports import a_feed
from tests.support.money import MORNING, Account, HandClock

OpenAccount = Callable[[int], Account]


TODAY = MORNING.date()


def syncs(account: Account, prices: PriceList | None = None) -> Syncs:
    """A workspace with a feed that pulls, and an hourly schedule of it."""
    here = Syncs(account, prices or PriceList())
    here.feed()
    here.schedule()
    return here


def price_of_a_firing(credits: int) -> PriceList:
    return PriceList(PriceList().prices | {Action.SCHEDULED_JOB: credits})  # type: ignore[operator]


def started(outcome: FiringOutcome) -> Run:
    assert isinstance(outcome, Started), outcome
    assert isinstance(outcome.run, Run)
    return outcome.run


def going(outcome: FiringOutcome) -> Run:
    assert isinstance(outcome, Skipped), outcome
    assert isinstance(outcome.going, Run)
    return outcome.going


# --- what is decided ---


def test_a_schedule_that_is_due_starts_a_run_and_pays_for_it(open_account: OpenAccount, clock: HandClock) -> None:
    here = syncs(open_account(10))

    run = started(here.fire())

    assert here.runs() == [run]
    assert (run.state, run.schedule_id, run.channel, run.upload_etag) == (
        RunState.PREPARING,
        "hourly",
        "schedule",
        "",
    )
    assert '"source"' in here.account.world.artifacts().definition(run)
    (entry,) = here.entries()
    assert (entry.credits, entry.at, entry.job_id, entry.run_id) == (1, clock(), "hourly", None)
    assert entry.description == f"start of {run.run_id}"
    assert here.account.balance().available == 9
    here.check()


@pytest.mark.parametrize("state", [RunState.PREPARING, RunState.RUNNING, RunState.PAUSED])
def test_a_firing_while_the_run_before_goes_on_is_skipped_and_paid(
    open_account: OpenAccount, clock: HandClock, state: RunState
) -> None:
    here = syncs(open_account(10))
    run = started(here.fire())
    if state is not RunState.PREPARING:
        assert here.account.world.runs().move(run, replace(run, state=state))
    clock.advance(hours=1)

    assert going(here.fire()).run_id == run.run_id
    assert len(here.runs()) == 1
    entry = here.entries()[0]
    assert (entry.credits, entry.refused) == (1, None)
    assert entry.description == f"skipped: {run.run_id} of supplier is {state.value}"
    here.check()


@pytest.mark.parametrize("ending", [RunState.FINISHED, RunState.FAILED, RunState.CANCELLED])
def test_once_the_run_before_is_over_the_next_firing_starts_another(
    open_account: OpenAccount, clock: HandClock, ending: RunState
) -> None:
    here = syncs(open_account(10))
    run = started(here.fire())
    clock.advance(hours=1)
    assert here.account.world.runs().move(run, replace(run, state=ending, finished_at=clock()))
    assert started(here.fire()).run_id != run.run_id
    here.check()


@pytest.mark.parametrize("later", [0, 1, 4], ids=["the newest", "before a dry run", "before four dry runs"])
def test_a_run_that_people_have_started_is_not_joined_by_another(
    open_account: OpenAccount, clock: HandClock, later: int
) -> None:
    here = syncs(open_account(10))
    by_hand = here.start_by_hand()
    for _ in range(later):
        clock.advance(minutes=1)
        here.start_by_hand(dry_run=True)
    assert going(here.fire()).run_id == by_hand.run_id
    here.end(by_hand)
    clock.advance(hours=1)
    # The dry runs still go on, and are in nobody's way.
    started(here.fire())
    here.check()


def test_a_run_of_last_month_that_waits_for_credits_is_seen(open_account: OpenAccount, clock: HandClock) -> None:
    here = syncs(open_account(10))
    here.start_by_hand()
    clock.advance(days=70)
    assert isinstance(here.fire(), Skipped)
    here.check()


def test_a_run_of_another_feed_is_in_nobodys_way(open_account: OpenAccount) -> None:
    here = syncs(open_account(10))
    here.feed("other")
    here.schedule("of the other", "other")
    started(here.fire())
    started(here.fire("of the other"))
    here.check("supplier", "other")


def test_what_slipped_through_is_none_of_its_business(open_account: OpenAccount) -> None:
    here = syncs(open_account(10))
    assert here.fire("never made") == Ignored(IgnoredBecause.DELETED)
    here.schedule(enabled=False)
    assert here.fire() == Ignored(IgnoredBecause.DISABLED)
    here.schedules().delete(here.workspace_id, "hourly")
    assert here.fire() == Ignored(IgnoredBecause.DELETED)
    assert here.account.operations() == []
    assert here.history() == []


def test_a_copy_that_is_out_of_date_fires_for_nothing(open_account: OpenAccount) -> None:
    """Its owner has changed the schedule, perhaps to fire less often; the copy was not carried over yet."""
    here = syncs(open_account(10))
    version = here.schedules().get(here.workspace_id, "hourly").version  # type: ignore[union-attr]
    old = replace(here.firing(), version=version - 1)
    assert fire(here.room(), old, here.clock()) == Ignored(IgnoredBecause.OUTDATED)
    assert here.account.operations() == []
    started(fire(here.room(), replace(old, version=version), here.clock()))


@pytest.mark.parametrize("state", [RunState.PREPARING, RunState.RUNNING])
def test_a_run_that_nobody_works_on_any_more_is_rung_for(
    open_account: OpenAccount, clock: HandClock, state: RunState
) -> None:
    """Its message was lost. Without this every firing to come would be skipped, and paid."""
    here = syncs(open_account(10))
    run = started(here.fire())
    if state is RunState.RUNNING:
        here.prepare(run, {("product", "p"): {"title": "t"}})
    clock.advance(minutes=9)
    assert isinstance(here.fire(), Skipped)
    assert here.now(run).leg == 0
    clock.advance(minutes=2)
    assert isinstance(here.fire(), Skipped)
    assert here.now(run).leg == 1


def test_a_schedule_without_an_account_does_nothing(open_account: OpenAccount, clock: HandClock) -> None:
    here = syncs(Account(open_account(0).world, 0, clock, workspace_id="ws_of_nobody"))
    assert here.fire() == Ignored(IgnoredBecause.NO_ACCOUNT)
    assert here.runs() == []


def test_a_deleted_feed_and_one_that_no_longer_pulls_are_refused_free(
    open_account: OpenAccount, clock: HandClock
) -> None:
    here = syncs(open_account(10))
    here.feeds().delete(here.workspace_id, "supplier")
    refused = here.fire()
    assert isinstance(refused, Refused)
    assert refused.reason is RefusalReason.FEED_DELETED

    here.feed(definition=UPLOADED)
    assert isinstance(here.fire(), Repeated), "this time was decided"
    clock.advance(hours=1)
    refused = here.fire()
    assert isinstance(refused, Refused)
    assert refused.reason is RefusalReason.NOTHING_TO_PULL

    here.feed()
    clock.advance(hours=1)
    started(here.fire())
    assert [(entry.credits, entry.refused) for entry in here.entries()] == [
        (1, None),
        (0, RefusalReason.NOTHING_TO_PULL),
        (0, RefusalReason.FEED_DELETED),
    ]
    assert here.history() == [
        DayTally(day=TODAY, started=1, refused=2, trigger_credits=1, runs=1, last_run_id=here.runs()[0].run_id)
    ]
    here.check()


# --- out of credits (law 7) ---


def test_without_credits_nothing_runs_and_the_next_time_is_tried_anew(
    open_account: OpenAccount, clock: HandClock
) -> None:
    here = syncs(open_account(0))
    first = clock()
    outcome = here.fire()
    assert isinstance(outcome, Refused)
    assert outcome.reason is RefusalReason.OUT_OF_CREDITS
    assert here.runs() == []

    here.account.ledger().grant(here.account.a_grant("top-up", 5))
    assert here.fire(at=first) == Repeated(outcome.operation_id), "settled for good"
    clock.advance(hours=1)
    started(here.fire())
    assert here.account.balance().available == 4
    here.check()


def test_a_firing_dearer_than_what_is_left_is_refused(open_account: OpenAccount) -> None:
    here = syncs(open_account(2), price_of_a_firing(3))
    assert isinstance(here.fire(), Refused)
    assert here.account.balance().available == 2
    here.check()


def test_where_firings_are_free_an_empty_account_starts_nothing_all_the_same(
    open_account: OpenAccount, clock: HandClock
) -> None:
    here = syncs(open_account(0), price_of_a_firing(0))
    outcome = here.fire()
    assert isinstance(outcome, Refused)
    assert outcome.reason is RefusalReason.OUT_OF_CREDITS

    # What has lapsed pays for nothing.
    here.account.ledger().grant(here.account.a_grant("short", 5, lasts=timedelta(minutes=30)))
    clock.advance(hours=1)
    assert isinstance(here.fire(), Refused)

    here.account.ledger().grant(here.account.a_grant("top-up", 5))
    clock.advance(hours=1)
    started(here.fire())
    clock.advance(hours=1)
    assert isinstance(here.fire(), Skipped)
    assert [entry.credits for entry in here.entries()] == [0, 0, 0, 0]
    assert here.history()[0].trigger_credits == 0
    here.check()


def test_a_run_that_ends_the_credits_pauses_and_the_firings_after_it_are_refused(
    open_account: OpenAccount, clock: HandClock
) -> None:
    here = syncs(open_account(4))
    run = started(here.fire())
    here.prepare(run, a_feed(5))
    assert here.carry_out(run).state is RunState.PAUSED
    assert here.account.balance().available == 0
    assert here.history() == [
        DayTally(day=TODAY, started=1, trigger_credits=1, runs=1, created=3, record_credits=3, last_run_id=run.run_id)
    ]
    clock.advance(hours=1)
    assert isinstance(here.fire(), Refused)

    here.account.ledger().grant(here.account.a_grant("top-up", 10))
    assert here.carry_out(run).state is RunState.FINISHED
    clock.advance(hours=1)
    started(here.fire())
    assert here.account.balance().available == 7
    here.check()


# --- once (law 2) ---


def test_a_firing_comes_again_months_later(open_account: OpenAccount, clock: HandClock) -> None:
    here = syncs(open_account(10))
    first = clock()
    run = started(here.fire())
    assert isinstance(here.fire(), Repeated)
    here.end(run)
    clock.advance(days=200)
    assert isinstance(here.fire(at=first), Repeated)
    assert len(here.runs()) == 1
    assert here.account.balance().available == 9
    here.check()


def test_a_firing_that_spent_the_last_credit_is_a_repeat_and_not_refused(open_account: OpenAccount) -> None:
    here = syncs(open_account(1))
    started(here.fire())
    assert isinstance(here.fire(), Repeated)
    assert here.entries()[0].refused is None
    here.check()


@pytest.mark.parametrize("credits", [0, 1, 10])
def test_a_firing_delivered_to_several_runners_at_once_is_decided_once(open_account: OpenAccount, credits: int) -> None:
    here = syncs(open_account(credits))
    outcomes = at_once(here, [here.firing()] * 4)
    first = Started if credits else Refused
    assert sorted(type(outcome).__name__ for outcome in outcomes) == sorted(
        [first.__name__, "Repeated", "Repeated", "Repeated"]
    )
    here.check()


@pytest.mark.parametrize("credits", [1, 2, 10])
def test_schedules_of_one_feed_that_are_due_together_start_one_run(open_account: OpenAccount, credits: int) -> None:
    here = syncs(open_account(credits))
    for schedule_id in ("b", "c"):
        here.schedule(schedule_id)
    outcomes = at_once(here, [here.firing(schedule_id) for schedule_id in ("hourly", "b", "c")])
    kinds = sorted(type(outcome).__name__ for outcome in outcomes)
    assert kinds == sorted(["Started", *["Skipped"] * min(credits - 1, 2), *["Refused"] * max(3 - credits, 0)])
    here.check()


@pytest.mark.parametrize("is_first", [True, False], ids=["the first run of the feed", "a later one"])
def test_a_schedule_that_is_a_moment_late_sees_the_run_that_another_has_started(
    open_account: OpenAccount, clock: HandClock, *, is_first: bool
) -> None:
    here = syncs(open_account(10))
    here.schedule("other")
    if not is_first:
        here.end(started(here.fire()))
        clock.advance(hours=1)
    dynamodb = here.account.world.dynamodb()
    Line(dynamodb, script=at_commit(0, meanwhile(lambda: started(here.fire("other")))))
    outcome = here.fire(dynamodb=dynamodb)
    assert isinstance(outcome, Skipped)
    assert outcome.going.schedule_id == "other"
    here.check()


def test_a_late_firing_goes_on_when_the_run_that_was_faster_is_over_already(
    open_account: OpenAccount, clock: HandClock
) -> None:
    here = syncs(open_account(10))
    here.schedule("other")

    def another_run() -> None:
        clock.advance(minutes=1)
        here.end(started(here.fire("other")))

    dynamodb = here.account.world.dynamodb()
    Line(dynamodb, script=at_commit(0, meanwhile(another_run)))
    started(here.fire(dynamodb=dynamodb))
    assert [tally.runs for tally in here.history("other")] == [1]
    here.check()


def test_a_feed_that_others_always_run_first_is_looked_at_a_bounded_number_of_times(
    open_account: OpenAccount, clock: HandClock
) -> None:
    here = syncs(open_account(100))
    here.schedule("other")
    looks = []

    def another_run() -> None:
        looks.append(clock())
        clock.advance(minutes=1)
        here.end(started(here.fire("other")))

    dynamodb = here.account.world.dynamodb()
    Line(
        dynamodb,
        script=lambda _index, operation: meanwhile(another_run) if operation == "TransactWriteItems" else None,
    )
    with pytest.raises(Exception, match="started runs of supplier at each"):
        here.fire(dynamodb=dynamodb)
    assert len(looks) == MAX_LOOKS
    here.check()


def test_a_refusal_that_a_charge_has_overtaken_after_a_top_up_is_a_repeat(open_account: OpenAccount) -> None:
    """Two deliveries of one firing, one before a top-up and one after it: whichever is written first stands."""
    here = syncs(open_account(0))

    def a_top_up_and_the_other_delivery() -> None:
        here.account.ledger().grant(here.account.a_grant("top-up", 5))
        started(here.fire())

    dynamodb = here.account.world.dynamodb()
    Line(dynamodb, script=at_commit(0, meanwhile(a_top_up_and_the_other_delivery)))
    assert isinstance(here.fire(dynamodb=dynamodb), Repeated)
    assert here.account.balance().available == 4
    here.check()


def test_a_charge_that_a_refusal_has_overtaken_is_a_repeat(open_account: OpenAccount) -> None:
    here = syncs(open_account(5))

    def the_other_delivery_meets_an_empty_account() -> None:
        here.account.ledger().commit(here.account.plan("spent", 5))
        assert isinstance(here.fire(), Refused)
        here.account.ledger().grant(here.account.a_grant("top-up", 5))

    dynamodb = here.account.world.dynamodb()
    Line(dynamodb, script=at_commit(0, meanwhile(the_other_delivery_meets_an_empty_account)))
    assert isinstance(here.fire(dynamodb=dynamodb), Repeated)
    assert here.runs() == []
    assert here.account.balance().available == 5
    here.check()


# --- killed at every request, and other accidents (law 1) ---


@pytest.mark.parametrize("moment", ["before it is sent", "when it is done", "after the answer"])
@pytest.mark.parametrize("case", ["starts", "skips", "refuses"])
def test_a_runner_killed_at_any_request_has_decided_all_or_nothing(
    open_account: OpenAccount, clock: HandClock, case: str, moment: str
) -> None:
    wanted = {"starts": Started, "skips": Skipped, "refuses": Refused}[case]
    index = 0
    while True:
        here = syncs(open_account(2 if case == "refuses" else 100))
        run = started(here.fire())
        here.prepare(run, a_feed(1))
        if case != "skips":
            assert here.carry_out(run).state is RunState.FINISHED
        clock.advance(days=1)
        dynamodb, s3 = here.account.world.dynamodb(), here.account.world.s3()
        line = Line(dynamodb, s3)
        fault: Fault = {
            "before it is sent": killed_before_sending,
            "when it is done": killed_after_sending,
            "after the answer": line.die_after_answer,
        }[moment]
        line.script = lambda number, _operation, fault=fault, at=index: fault if number == at else None  # type: ignore[misc]
        try:
            outcome = here.fire(dynamodb=dynamodb, s3=s3)
        except Killed:
            assert len(here.entries()) in (1, 2)
            here.check()
            again = here.fire()
            assert isinstance(again, (wanted, Repeated))
            assert isinstance(here.fire(), Repeated)
            assert len(here.entries()) == 2
            assert len(here.runs()) == (2 if case == "starts" else 1)
            here.check()
            index += 1
        else:
            # Every request that it makes has had its turn.
            assert isinstance(outcome, wanted)
            break
    assert index == len(line.requests)


@pytest.mark.parametrize("fault", [conflict(), conflict(-1), answer_lost], ids=["conflict", "conflict", "lost"])
def test_a_transaction_in_trouble_is_sent_again(open_account: OpenAccount, fault: Fault) -> None:
    here = syncs(open_account(10))
    dynamodb = here.account.world.dynamodb()
    Line(dynamodb, script=at_commit(0, fault))
    started(here.fire(dynamodb=dynamodb))
    assert len(here.runs()) == 1
    here.check()


def test_a_firing_makes_few_requests(open_account: OpenAccount, clock: HandClock) -> None:
    here = syncs(open_account(100))
    here.end(started(here.fire()))
    clock.advance(hours=1)
    dynamodb, s3 = here.account.world.dynamodb(), here.account.world.s3()
    line = Line(dynamodb, s3)
    started(here.fire(dynamodb=dynamodb, s3=s3))
    assert sorted(line.requests) == sorted(
        [
            *["GetItem"] * 5,  # the schedule, the feed, the pointer, its run, the balance
            "Query",
            "BatchGetItem",
            "PutObject",
            "TransactWriteItems",
        ]
    )


# --- what it did and cost ---


def test_the_history_adds_up_over_days_schedules_and_feeds(open_account: OpenAccount, clock: HandClock) -> None:
    here = syncs(open_account(1000))
    here.feed("other")
    here.schedule("daily")
    for day in range(3):
        run = started(here.fire())
        here.prepare(run, a_feed(5 * (day + 1)))
        clock.advance(hours=1)
        assert isinstance(here.fire("daily"), Skipped)
        assert here.carry_out(run).state is RunState.FINISHED
        clock.advance(hours=1)
        run = started(here.fire("daily"))
        here.prepare(run, a_feed(5 * (day + 1)))
        here.check("supplier", "other")
        assert here.carry_out(run).state is RunState.FINISHED
        here.check("supplier", "other")
        clock.advance(hours=22)
    # Its owner lets it run another feed from now on; the records of its last run are still its own.
    here.schedule("hourly", "other")
    run = started(here.fire())
    here.check("supplier", "other")
    clock.advance(hours=1)
    started(here.fire("daily"))
    here.check("supplier", "other")

    first, *_, last = here.history()
    assert first == DayTally(
        day=TODAY, started=1, trigger_credits=1, runs=1, created=5, record_credits=5, last_run_id=first.last_run_id
    )
    assert (last.day, last.started, last.last_run_id) == (date(2026, 3, 5), 1, run.run_id)
    assert [(tally.skipped, tally.unchanged) for tally in here.history("daily")] == [(1, 5), (1, 10), (1, 15), (0, 0)]


def test_a_run_counts_on_the_day_that_its_firing_was_due(open_account: OpenAccount, clock: HandClock) -> None:
    here = syncs(open_account(100))
    clock.now = MORNING.replace(hour=23, minute=59)
    due = clock()
    clock.advance(minutes=5)
    run = started(here.fire(at=due))
    here.prepare(run, a_feed(5))
    here.carry_out(run)
    here.check()
    clock.advance(hours=1)
    started(here.fire())
    assert [(tally.day, tally.created, tally.runs) for tally in here.history()] == [
        (TODAY, 5, 1),
        (TODAY + timedelta(days=1), 0, 1),
    ]
    here.check()


def test_a_run_that_is_cancelled_keeps_what_it_cost(open_account: OpenAccount, clock: HandClock) -> None:
    here = syncs(open_account(4))
    run = started(here.fire())
    here.prepare(run, a_feed(5))
    assert here.carry_out(run).state is RunState.PAUSED
    cancel_run(here.account.world.runs(), here.account.ledger(), here.now(run), clock())
    here.account.ledger().grant(here.account.a_grant("top-up", 10))
    clock.advance(hours=1)
    started(here.fire())
    assert [(tally.created, tally.record_credits, tally.runs) for tally in here.history()] == [(3, 3, 2)]
    here.check()


# --- as EventBridge Scheduler calls ---


def test_the_events_of_a_schedule_are_decided_by_the_function(
    open_account: OpenAccount, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = syncs(open_account(10))
    here.schedule("of-a-deleted-feed", "deleted")
    monkeypatch.setattr(runner, "room", here.room)
    monkeypatch.setattr(runner, "utc_now", lambda: datetime(2026, 11, 22, 9, 0, 41, tzinfo=UTC))

    def call(name: str) -> dict[str, str]:
        event = json.loads((project / "events" / f"schedule_runner_{name}.json").read_text())
        copy = here.schedules().get(here.workspace_id, event["schedule_id"])
        assert copy is not None
        told = runner.handler(event | {"workspace_id": here.workspace_id, "version": copy.version}, Context())
        assert isinstance(told, dict)
        return told

    first = call("fired")
    latest = here.latest().get(keys.latest_sync(here.workspace_id, "supplier"))
    assert latest is not None
    assert first == {"outcome": "started", "operation_id": first["operation_id"], "run_id": latest.run_id}
    assert call("duplicate") == {"outcome": "repeated", "operation_id": first["operation_id"]}
    skipped = call("unexpanded")
    assert (skipped["outcome"], skipped["run_id"]) == ("skipped", latest.run_id)
    refused = call("deleted_feed")
    assert (refused["outcome"], refused["reason"]) == ("refused", "feed_deleted")
    assert here.account.balance().available == 8


def at_once(here: Syncs, firings: list[Firing]) -> list[FiringOutcome]:
    """Each firing in a runner of its own, all at the same moment."""
    together = threading.Barrier(len(firings))
    rooms = [here.room(here.account.world.dynamodb()) for _ in firings]

    def runner(number: int) -> FiringOutcome:
        together.wait()
        return fire(rooms[number], firings[number], here.clock())

    with ThreadPoolExecutor(len(firings)) as pool:
        return list(pool.map(runner, range(len(firings))))
