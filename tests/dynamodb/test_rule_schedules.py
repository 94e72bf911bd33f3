"""A schedule of a rule that is due starts a pass of it, by the laws that hold for feeds (laws 1, 2, 4 and 7).

What schedules of feeds and of rules have in common is told once, in test_firing.py and test_firing_machine.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shared import keys
from shared.credits import RefusalReason
from shared.ids import time_of
from shared.rules.passes.model import PassState, RulePass
from shared.schedules.commands import NotScheduled, UnknownRule, put_schedule
from shared.schedules.firing import (
    MAX_LOOKS,
    FiringOutcome,
    Ignored,
    IgnoredBecause,
    Refused,
    Repeated,
    Skipped,
    Started,
)
from shared.schedules.history import DayTally
from shared.schedules.model import Schedule
from tests.dynamodb.test_firing import at_once
from tests.dynamodb.test_imports import at_commit, meanwhile
from tests.support.automation import EVERY_HOUR, office
from tests.support.faults import Fault, Killed, Line, answer_lost, conflict, killed_after_sending, killed_before_sending
from tests.support.firing import Syncs
from tests.support.imports import fill_catalogue
from tests.support.money import MORNING, Account, HandClock
from tests.support.rule_passes import passes_of, products, put_rule, rules_of

OpenAccount = Callable[[int], Account]

TODAY = MORNING.date()


def nightly(account: Account, schedule_id: str = "hourly") -> Syncs:
    """A workspace with a rule that only schedules run, and a schedule of it."""
    here = Syncs(account)
    here.rule()
    here.schedule(schedule_id, rule_id="sale")
    return here


def started(outcome: FiringOutcome) -> RulePass:
    assert isinstance(outcome, Started), outcome
    assert isinstance(outcome.run, RulePass)
    return outcome.run


def going(outcome: FiringOutcome) -> RulePass:
    assert isinstance(outcome, Skipped), outcome
    assert isinstance(outcome.going, RulePass)
    return outcome.going


# --- what is decided ---


def test_a_schedule_that_is_due_starts_a_pass_and_pays_for_it(open_account: OpenAccount, clock: HandClock) -> None:
    here = nightly(open_account(10))

    begun = started(here.fire())

    assert here.passes() == [begun]
    assert (begun.state, begun.rule_id, begun.schedule_id, begun.position) == (PassState.RUNNING, "sale", "hourly", 0)
    rule = rules_of(here.account.world).get(here.workspace_id, "sale")
    assert rule is not None
    assert begun.rule_version == rule.version
    (entry,) = here.entries()
    assert (entry.credits, entry.at, entry.job_id, entry.run_id) == (1, clock(), "hourly", None)
    assert entry.description == f"start of {begun.pass_id}"
    assert here.account.balance().available == 9
    here.check()


def test_a_pass_costs_its_firing_and_what_the_rule_changes(open_account: OpenAccount) -> None:
    here = nightly(open_account(100))
    fill_catalogue(here.account, products(8, labelled_every=4))
    after = here.carry_out_pass(started(here.fire()))
    # Two of the eight are labelled already; each of the others costs the rule's firing and the update.
    assert (after.state, after.counts.updated, after.counts.unchanged) == (PassState.FINISHED, 6, 2)
    assert here.account.balance().available == 100 - 1 - 6 * 2
    assert here.history() == [
        DayTally(
            day=TODAY,
            started=1,
            trigger_credits=1,
            runs=1,
            updated=6,
            unchanged=2,
            record_credits=12,
            last_run_id=after.pass_id,
        )
    ]
    here.check()


@pytest.mark.parametrize("state", [PassState.RUNNING, PassState.PAUSED])
def test_a_firing_while_the_pass_before_goes_on_is_skipped_and_paid(
    open_account: OpenAccount, clock: HandClock, state: PassState
) -> None:
    here = nightly(open_account(10))
    begun = started(here.fire())
    if state is PassState.PAUSED:
        assert passes_of(here.account.world).move(begun, replace(begun, state=state))
    clock.advance(minutes=9)
    assert going(here.fire()).pass_id == begun.pass_id
    assert len(here.passes()) == 1
    entry = here.entries()[0]
    assert (entry.credits, entry.refused) == (1, None)
    assert entry.description == f"skipped: {begun.pass_id} of sale is {state.value}"
    here.check()


@pytest.mark.parametrize("ending", [PassState.FINISHED, PassState.FAILED, PassState.CANCELLED])
def test_once_the_pass_before_is_over_the_next_firing_starts_another(
    open_account: OpenAccount, clock: HandClock, ending: PassState
) -> None:
    here = nightly(open_account(10))
    begun = started(here.fire())
    clock.advance(hours=1)
    assert passes_of(here.account.world).move(begun, replace(begun, state=ending, finished_at=clock()))
    assert started(here.fire()).pass_id != begun.pass_id
    here.check()


def test_a_pass_that_nobody_works_on_any_more_is_rung_for(open_account: OpenAccount, clock: HandClock) -> None:
    """Its message was lost. Without this every firing to come would be skipped, and paid."""
    here = nightly(open_account(10))
    begun = started(here.fire())
    clock.advance(minutes=9)
    assert isinstance(here.fire(), Skipped)
    assert here.pass_now(begun).leg == 0
    clock.advance(minutes=2)
    assert isinstance(here.fire(), Skipped)
    assert here.pass_now(begun).leg == 1
    assert has_doorbell(here, begun)
    here.check()


def test_a_feed_and_a_rule_of_one_name_are_in_nobodys_way(open_account: OpenAccount) -> None:
    here = nightly(open_account(10))
    here.feed("sale")
    here.schedule("of the feed", "sale")
    begun = started(here.fire())
    assert isinstance(here.fire("of the feed"), Started)
    here.check("sale")
    # Its owner lets it pull the feed from now on: what the pass has done is still its own.
    here.schedule("hourly", "sale")
    here.end(here.runs("sale")[0])
    here.clock.advance(hours=1)
    assert isinstance(here.fire(), Started)
    here.check("sale")
    fill_catalogue(here.account, products(4))
    here.carry_out_pass(begun)
    here.check("sale")
    assert [(tally.runs, tally.updated, tally.record_credits) for tally in here.history()] == [(2, 3, 6)]


# --- what is refused, and what is ignored ---


def deleted(here: Syncs) -> None:
    assert rules_of(here.account.world).delete(here.workspace_id, "sale")


def listening(here: Syncs) -> None:
    here.rule(trigger={"on": ["updated"]})


def suspended(here: Syncs) -> None:
    rules = rules_of(here.account.world)
    rule = rules.get(here.workspace_id, "sale")
    assert rule is not None
    assert rules.suspend(rule, here.clock())


@pytest.mark.parametrize(
    ("becomes", "reason"),
    [
        (deleted, RefusalReason.RULE_DELETED),
        (listening, RefusalReason.RULE_NOT_SCHEDULED),
        (suspended, RefusalReason.RULE_SUSPENDED),
    ],
)
def test_a_rule_that_cannot_be_run_is_refused_free_until_it_is_put_anew(
    open_account: OpenAccount, clock: HandClock, becomes: Callable[[Syncs], None], reason: RefusalReason
) -> None:
    here = nightly(open_account(10))
    becomes(here)
    outcome = here.fire()
    assert isinstance(outcome, Refused)
    assert outcome.reason is reason
    assert here.passes() == []

    clock.advance(minutes=1)
    here.rule()
    assert isinstance(here.fire(at=here.entries()[0].at), Repeated), "this time was decided"
    clock.advance(hours=1)
    started(here.fire())
    assert [(entry.credits, entry.refused) for entry in here.entries()] == [(1, None), (0, reason)]
    here.check()


def test_a_rule_that_its_owner_has_disabled_is_left_alone(open_account: OpenAccount, clock: HandClock) -> None:
    """As a schedule that its owner has disabled: nothing is noted, for nothing went wrong."""
    here = nightly(open_account(10))
    here.rule(enabled=False)
    assert here.fire() == Ignored(IgnoredBecause.RULE_DISABLED)
    assert here.account.operations() == []
    assert here.history() == []
    clock.advance(hours=1)
    here.rule()
    started(here.fire())
    here.check()


def test_without_credits_nothing_is_run_and_the_next_time_is_tried_anew(
    open_account: OpenAccount, clock: HandClock
) -> None:
    here = nightly(open_account(0))
    first = clock()
    outcome = here.fire()
    assert isinstance(outcome, Refused)
    assert outcome.reason is RefusalReason.OUT_OF_CREDITS
    assert here.passes() == []

    here.account.ledger().grant(here.account.a_grant("top-up", 5))
    assert isinstance(here.fire(at=first), Repeated), "settled for good"
    clock.advance(hours=1)
    started(here.fire())
    assert here.account.balance().available == 4
    here.check()


def test_a_pass_that_ends_the_credits_pauses_and_goes_on_after_a_top_up(
    open_account: OpenAccount, clock: HandClock
) -> None:
    here = nightly(open_account(6))
    fill_catalogue(here.account, products(8, labelled_every=100))
    begun = started(here.fire())
    # Seven of the eight are to be labelled, for two credits each.
    assert here.carry_out_pass(begun).state is PassState.PAUSED
    assert here.account.balance().available == 1
    clock.advance(hours=1)
    assert going(here.fire()).state is PassState.PAUSED
    clock.advance(hours=1)
    assert isinstance(here.fire(), Refused)
    here.check()

    here.account.ledger().grant(here.account.a_grant("top-up", 20))
    assert here.carry_out_pass(begun).state is PassState.FINISHED
    clock.advance(hours=1)
    started(here.fire())
    (today,) = here.history()
    assert (today.started, today.skipped, today.refused, today.updated, today.record_credits) == (2, 1, 1, 7, 14)
    here.check()


# --- once ---


@pytest.mark.parametrize("credits", [0, 1, 10])
def test_a_firing_delivered_to_several_runners_at_once_is_decided_once(open_account: OpenAccount, credits: int) -> None:
    here = nightly(open_account(credits))
    outcomes = at_once(here, [here.firing()] * 4)
    first = Started if credits else Refused
    assert sorted(type(outcome).__name__ for outcome in outcomes) == sorted(
        [first.__name__, "Repeated", "Repeated", "Repeated"]
    )
    here.check()


@pytest.mark.parametrize("credits", [1, 2, 10])
def test_schedules_of_one_rule_that_are_due_together_start_one_pass(open_account: OpenAccount, credits: int) -> None:
    here = nightly(open_account(credits))
    for schedule_id in ("b", "c"):
        here.schedule(schedule_id, rule_id="sale")
    outcomes = at_once(here, [here.firing(schedule_id) for schedule_id in ("hourly", "b", "c")])
    kinds = sorted(type(outcome).__name__ for outcome in outcomes)
    assert kinds == sorted(["Started", *["Skipped"] * min(credits - 1, 2), *["Refused"] * max(3 - credits, 0)])
    here.check()


@pytest.mark.parametrize("is_first", [True, False], ids=["the first pass of the rule", "a later one"])
def test_a_schedule_that_is_a_moment_late_sees_the_pass_that_another_has_started(
    open_account: OpenAccount, clock: HandClock, *, is_first: bool
) -> None:
    here = nightly(open_account(10))
    here.schedule("other", rule_id="sale")
    if not is_first:
        here.end_pass(started(here.fire()))
        clock.advance(hours=1)
    dynamodb = here.account.world.dynamodb()
    Line(dynamodb, script=at_commit(0, meanwhile(lambda: started(here.fire("other")))))
    assert going(here.fire(dynamodb=dynamodb)).schedule_id == "other"
    here.check()


def test_a_rule_that_others_always_run_first_is_looked_at_a_bounded_number_of_times(
    open_account: OpenAccount, clock: HandClock
) -> None:
    here = nightly(open_account(100))
    here.schedule("other", rule_id="sale")
    looks = []

    def another_pass() -> None:
        looks.append(clock())
        clock.advance(minutes=1)
        here.end_pass(started(here.fire("other")))

    dynamodb = here.account.world.dynamodb()
    Line(
        dynamodb,
        script=lambda _index, operation: meanwhile(another_pass) if operation == "TransactWriteItems" else None,
    )
    with pytest.raises(Exception, match="started runs of sale at each"):
        here.fire(dynamodb=dynamodb)
    assert len(looks) == MAX_LOOKS
    here.check()


# --- killed at every request, and other accidents ---


@pytest.mark.parametrize("moment", ["before it is sent", "when it is done", "after the answer"])
@pytest.mark.parametrize("case", ["starts", "skips", "refuses"])
def test_a_runner_killed_at_any_request_has_decided_all_or_nothing(
    open_account: OpenAccount, clock: HandClock, case: str, moment: str
) -> None:
    wanted = {"starts": Started, "skips": Skipped, "refuses": Refused}[case]
    index = 0
    while True:
        here = nightly(open_account(1 if case == "refuses" else 100))
        begun = started(here.fire())
        if case != "skips":
            here.end_pass(begun)
        clock.advance(days=1)
        dynamodb = here.account.world.dynamodb()
        line = Line(dynamodb)
        fault: Fault = {
            "before it is sent": killed_before_sending,
            "when it is done": killed_after_sending,
            "after the answer": line.die_after_answer,
        }[moment]
        line.script = lambda number, _operation, fault=fault, at=index: fault if number == at else None  # type: ignore[misc]
        try:
            outcome = here.fire(dynamodb=dynamodb)
        except Killed:
            assert len(here.entries()) in (1, 2)
            here.check()
            again = here.fire()
            assert isinstance(again, (wanted, Repeated))
            assert isinstance(here.fire(), Repeated)
            assert len(here.entries()) == 2
            assert len(here.passes()) == (2 if case == "starts" else 1)
            here.check()
            index += 1
        else:
            # Every request that it makes has had its turn.
            assert isinstance(outcome, wanted)
            break
    assert index == len(line.requests)


@pytest.mark.parametrize("fault", [conflict(), conflict(-1), answer_lost], ids=["conflict", "conflict", "lost"])
def test_a_transaction_in_trouble_is_sent_again(open_account: OpenAccount, fault: Fault) -> None:
    here = nightly(open_account(10))
    dynamodb = here.account.world.dynamodb()
    Line(dynamodb, script=at_commit(0, fault))
    started(here.fire(dynamodb=dynamodb))
    assert len(here.passes()) == 1
    here.check()


def test_a_firing_makes_few_requests(open_account: OpenAccount, clock: HandClock) -> None:
    here = nightly(open_account(100))
    here.end_pass(started(here.fire()))
    clock.advance(hours=1)
    dynamodb, s3 = here.account.world.dynamodb(), here.account.world.s3()
    line = Line(dynamodb, s3)
    started(here.fire(dynamodb=dynamodb, s3=s3))
    # The schedule, the rule, the pointer, its pass, the balance.
    assert sorted(line.requests) == sorted([*["GetItem"] * 5, "TransactWriteItems"])


# --- what it did and cost ---


def test_the_history_adds_up_over_days_and_schedules(open_account: OpenAccount, clock: HandClock) -> None:
    here = nightly(open_account(1000))
    here.schedule("daily", rule_id="sale")
    fill_catalogue(here.account, products(6))
    for label in ("one", "two", "three"):
        here.rule(actions=[{"set": "label", "to": {"value": label}}])
        begun = started(here.fire())
        clock.advance(minutes=5)
        assert isinstance(here.fire("daily"), Skipped)
        here.check()
        assert here.carry_out_pass(begun).counts.updated == 6
        here.check()
        clock.advance(hours=1)
        assert here.carry_out_pass(started(here.fire("daily"))).counts.unchanged == 6
        here.check()
        clock.advance(hours=22, minutes=55)
    started(here.fire())
    here.check()
    assert [(tally.runs, tally.updated, tally.record_credits) for tally in here.history()] == [
        *[(1, 6, 12)] * 3,
        (1, 0, 0),
    ]
    assert [(tally.runs, tally.skipped, tally.unchanged) for tally in here.history("daily")] == [(1, 1, 6)] * 3


def test_a_pass_that_is_cancelled_keeps_what_it_cost(open_account: OpenAccount, clock: HandClock) -> None:
    here = nightly(open_account(4))
    fill_catalogue(here.account, products(8, labelled_every=100))
    begun = started(here.fire())
    assert here.carry_out_pass(begun).state is PassState.PAUSED
    here.account.ledger().grant(here.account.a_grant("top-up", 20))
    here.rule(condition="false")
    assert here.carry_out_pass(begun).state is PassState.CANCELLED
    clock.advance(hours=1)
    started(here.fire())
    assert [(tally.updated, tally.record_credits, tally.runs) for tally in here.history()] == [(1, 2, 2)]
    here.check()


def test_a_pass_counts_on_the_day_that_its_firing_was_due(open_account: OpenAccount, clock: HandClock) -> None:
    here = nightly(open_account(100))
    clock.now = MORNING.replace(hour=23, minute=59)
    fill_catalogue(here.account, products(2))
    due = clock()
    clock.advance(minutes=5)
    here.carry_out_pass(started(here.fire(at=due)))
    here.check()
    clock.advance(hours=1)
    begun = started(here.fire())
    assert time_of(begun.pass_id).date() == TODAY + timedelta(days=1)
    assert [(tally.day, tally.updated, tally.runs) for tally in here.history()] == [
        (TODAY, 1, 1),
        (TODAY + timedelta(days=1), 0, 1),
    ]
    here.check()


# --- put ---


def test_a_schedule_names_a_rule_that_only_schedules_run(open_account: OpenAccount) -> None:
    with office(open_account(10)) as here:

        def put(rule_id: str, **changed: Any) -> object:
            wanted = replace(EVERY_HOUR, feed_id=None, rule_id=rule_id, **changed)
            return put_schedule(here.room().schedules, here.workspace_id, "nightly", wanted, here.account.clock())

        assert put("sale") == UnknownRule("sale")
        put_rule(here.account, {**LISTENS})
        assert put("sale") == NotScheduled("sale")
        assert here.copies() == {}

        put_rule(here.account, LISTENS | {"trigger": {"on": ["schedule"]}})
        made = put("sale")
        assert isinstance(made, Schedule)
        store = here.room().schedules.schedules
        assert store.get(here.workspace_id, "nightly") == made
        assert here.states() == {"nightly": "ENABLED"}


def test_a_schedule_may_change_from_a_feed_to_a_rule_and_back(open_account: OpenAccount, clock: HandClock) -> None:
    with office(open_account(10)) as here:
        store = here.room().schedules.schedules
        put_rule(here.account, LISTENS | {"trigger": {"on": ["schedule"]}})
        for definition in (
            EVERY_HOUR,
            replace(EVERY_HOUR, feed_id=None, rule_id="sale"),
            replace(EVERY_HOUR, description="as it was"),
        ):
            clock.advance(minutes=1)
            made = put_schedule(here.room().schedules, here.workspace_id, "nightly", definition, clock())
            assert isinstance(made, Schedule)
            assert made.definition == definition
            assert store.get(here.workspace_id, "nightly") == made
            row = here.world.dynamodb().get_item(
                TableName=here.world.work_table, Key=keys.schedule(here.workspace_id, "nightly").attributes()
            )["Item"]
            assert {"feed_id", "rule_id"} & row.keys() == {"rule_id" if definition.rule_id else "feed_id"}


LISTENS: dict[str, Any] = {
    "entity": "product",
    "trigger": {"on": ["updated"]},
    "actions": [{"set": "label", "to": {"value": "sale"}}],
}


def has_doorbell(here: Syncs, rule_pass: RulePass) -> bool:
    """Whether the table's stream calls a worker to the pass as it stands."""
    item = here.account.world.dynamodb().get_item(
        TableName=here.account.world.work_table,
        Key=keys.rule_pass(here.workspace_id, rule_pass.pass_id).attributes(),
    )["Item"]
    return item.get("doorbell") == {"S": "rule_pass"}
