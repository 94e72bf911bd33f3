"""Runs end as they must, whatever happens on the way: exactly once, exactly paid (laws 1, 2, 5 and 6)."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from shared.catalog import Record
from shared.credits import Action, OutOfCredits, PriceList
from shared.credits.drawing import MAX_GRANTS_DRAWN
from shared.runs.commands import NotPossible, cancel_run, resume_run
from shared.runs.model import PauseReason, Run, RunState
from tests.support.faults import Fault, Killed, Line, killed_after_sending, killed_before_sending
from tests.support.imports import Attributes, Expected, Import, Name, a_catalogue, a_feed, edit_by_hand
from tests.support.money import Account, HandClock

if TYPE_CHECKING:
    from botocore.awsrequest import AWSPreparedRequest, AWSResponse

    from tests.support.faults import Send

OpenAccount = Callable[[int], Account]


def meanwhile(happens: Callable[[], object]) -> Fault:
    """Lets something happen between what the worker has read and what it is about to send."""

    def fault(_request: AWSPreparedRequest, send: Send) -> AWSResponse:
        happens()
        return send()

    return fault


def at_commit(number: int, fault: Fault) -> Callable[[int, str], Fault | None]:
    """A script: the fault befalls the nth transaction, counted from 0."""
    seen = iter(range(1_000_000))
    return lambda _index, operation: fault if operation == "TransactWriteItems" and next(seen) == number else None


@pytest.mark.parametrize("skip_unchanged", [True, False])
def test_an_import_creates_updates_and_skips(open_account: OpenAccount, *, skip_unchanged: bool) -> None:
    feed = a_feed(250)
    catalogue = a_catalogue(feed, unchanged=30, updated=20)
    story = Import.start(open_account(1000), feed, catalogue, skip_unchanged=skip_unchanged)

    assert story.work().state is RunState.FINISHED
    story.check()


# --- killed at every request (laws 1, 2, 5) ---


@pytest.mark.parametrize("moment", ["before it is sent", "when it is done", "after the answer"])
def test_a_worker_killed_at_any_request_leaves_a_run_that_another_ends_exactly(
    open_account: OpenAccount, moment: str
) -> None:
    feed = a_feed(450)
    catalogue = a_catalogue(feed, unchanged=90, updated=60)
    index = 0
    while True:
        story = Import.start(open_account(1000), feed, catalogue)
        dynamodb, s3 = story.account.world.dynamodb(), story.account.world.s3()
        line = Line(dynamodb, s3)
        fault = {
            "before it is sent": killed_before_sending,
            "when it is done": killed_after_sending,
            "after the answer": line.die_after_answer,
        }[moment]
        line.script = lambda number, _operation, fault=fault, at=index: fault if number == at else None  # type: ignore[misc]
        try:
            story.work(dynamodb, s3)
        except Killed:
            assert story.work().state is RunState.FINISHED
            story.check()
            index += 1
        else:
            # The request it should have died at was never made: every one that it makes had its turn.
            break
    assert index == len(line.requests)
    assert line.requests.count("TransactWriteItems") == 4


def test_a_worker_killed_again_and_again_gets_there(open_account: OpenAccount) -> None:
    story = Import.start(open_account(1000), a_feed(450))
    deaths = 0
    while story.now().state is RunState.RUNNING:
        dynamodb = story.account.world.dynamodb()
        Line(dynamodb, script=at_commit(1, killed_after_sending))
        try:
            story.work(dynamodb)
        except Killed:
            deaths += 1
    assert deaths == 2
    story.check()


# --- several workers ---


def test_workers_at_once_do_nothing_twice(open_account: OpenAccount) -> None:
    feed = a_feed(450)
    story = Import.start(open_account(1000), feed, a_catalogue(feed, unchanged=50, updated=50))
    together = threading.Barrier(3)

    def worker() -> Run:
        together.wait()
        return story.work(story.account.world.dynamodb())

    with ThreadPoolExecutor(3) as pool:
        ended = [future.result() for future in [pool.submit(worker) for _ in range(3)]]
    assert {run.state for run in ended} == {RunState.FINISHED}
    story.check()


def test_a_worker_that_slept_through_a_pause_and_a_resume_does_not_repeat_the_step(open_account: OpenAccount) -> None:
    """Its step has an identifier of its own, since the resumed run gave the step another; `skip_unchanged` is off, so a
    second writing would be paid. Only the cursor tells.
    """
    story = Import.start(open_account(1000), a_feed(250), skip_unchanged=False)
    clock = story.account.clock

    def others_go_on() -> None:
        runs, running = story.runs(), story.now()
        paused = replace(running, state=RunState.PAUSED)
        assert runs.move(running, paused)
        clock.advance(seconds=1)
        assert isinstance(resume_run(runs, story.ledger(), paused, clock()), Run)
        assert story.work(out_of_time=lambda: True).cursor.position == 100

    dynamodb = story.account.world.dynamodb()
    Line(dynamodb, script=at_commit(0, meanwhile(others_go_on)))
    assert story.work(dynamodb).state is RunState.FINISHED
    story.check()


def test_every_leg_moves_the_run_on_however_short_it_is(open_account: OpenAccount, clock: HandClock) -> None:
    feed = a_feed(450)
    # Few changes, so that no batch fills a step.
    story = Import.start(open_account(1000), feed, a_catalogue(feed, unchanged=400, updated=10))
    legs = []
    while (run := story.work(out_of_time=lambda: True)).state is RunState.RUNNING:
        legs.append(run.cursor.position)
        clock.advance(minutes=10)
    assert legs == [100, 200, 300, 400, 450]
    story.check()


def test_a_leg_over_unchanged_records_moves_the_run_on(open_account: OpenAccount) -> None:
    feed = a_feed(250)
    story = Import.start(open_account(0), feed, feed)
    assert [story.work(out_of_time=lambda: True).cursor.position for _ in range(4)] == [100, 200, 250, 250]
    story.check()


# --- out of credits (laws 3 and 5) ---


@pytest.mark.parametrize("credits", [0, 1, 40, 97, 98, 349])
def test_a_run_writes_as_many_records_as_there_are_credits_and_goes_on_from_there(
    open_account: OpenAccount, clock: HandClock, credits: int
) -> None:
    feed = a_feed(450)
    story = Import.start(open_account(credits), feed, a_catalogue(feed, unchanged=50, updated=50))

    run = story.work()

    assert (run.state, run.pause_reason, run.paused_at) == (RunState.PAUSED, PauseReason.OUT_OF_CREDITS, clock())
    assert run.totals.credits == run.totals.created + run.totals.updated == credits
    assert (
        sum(record.operation_id is not None for record in story.account.records("product", "category").values())
        == credits
    )
    assert story.account.balance().available == 0
    story.account.check_the_books("product", "category")
    assert isinstance(resume_run(story.runs(), story.ledger(), run, clock()), OutOfCredits)

    clock.advance(hours=3)
    story.ledger().grant(story.account.a_grant("top-up", 1000))
    assert isinstance(resume_run(story.runs(), story.ledger(), run, clock()), Run)
    assert isinstance(resume_run(story.runs(), story.ledger(), run, clock()), NotPossible)
    story.work()
    story.check()


def test_a_run_that_pauses_often_costs_the_same(open_account: OpenAccount, clock: HandClock) -> None:
    story = Import.start(open_account(0), a_feed(150))
    for number in range(50):
        run = story.work()
        if run.state is RunState.FINISHED:
            break
        assert run.totals.created == 10 * number
        clock.advance(minutes=1)
        story.ledger().grant(story.account.a_grant(f"drip {number}", 10))
        resume_run(story.runs(), story.ledger(), run, clock())
    story.check()


@pytest.mark.parametrize("moment", ["before the pause is written", "after it is written"])
def test_a_top_up_that_races_the_pause_is_not_missed(open_account: OpenAccount, moment: str) -> None:
    story = Import.start(open_account(40), a_feed(150))
    top_up = meanwhile(lambda: story.ledger().grant(story.account.a_grant("just in time", 1000)))
    dynamodb = story.account.world.dynamodb()
    line = Line(dynamodb)

    def script(_index: int, operation: str) -> Fault | None:
        # The first transaction spends what is left, the second is the pause; then the balance is looked at again.
        awaited = "TransactWriteItems" if moment == "before the pause is written" else "GetItem"
        return top_up if operation == awaited and line.requests.count("TransactWriteItems") == 2 else None

    line.script = script
    assert story.work(dynamodb).state is RunState.FINISHED
    # Besides the three steps it paused, and resumed itself.
    assert line.requests.count("TransactWriteItems") == 5
    story.check()


def test_a_run_paid_by_crumbs_takes_smaller_steps(open_account: OpenAccount) -> None:
    """One charge draws on so many grants as its expressions have room for; the next one goes on."""
    story = Import.start(open_account(0), a_feed(60))
    for number in range(70):
        story.ledger().grant(story.account.a_grant(f"crumb {number}", 1))
    assert story.work().state is RunState.FINISHED
    assert sorted(len(entry.drawn) for entry in story.account.operations()) == [60 - MAX_GRANTS_DRAWN, MAX_GRANTS_DRAWN]
    story.check()


def test_a_run_that_no_single_charge_can_pay_pauses_and_does_not_go_round_in_circles(
    open_account: OpenAccount,
) -> None:
    prices = PriceList(PriceList().prices | {Action.RECORD_CREATED: MAX_GRANTS_DRAWN + 1})  # type: ignore[operator]
    story = Import.start(open_account(0), a_feed(5), prices=prices)
    for number in range(MAX_GRANTS_DRAWN + 5):
        story.ledger().grant(story.account.a_grant(f"crumb {number}", 1))
    dynamodb = story.account.world.dynamodb()
    line = Line(dynamodb)
    assert story.work(dynamodb).state is RunState.PAUSED
    assert len(line.requests) < 10


def test_a_run_goes_on_for_free_when_there_are_no_credits(open_account: OpenAccount) -> None:
    feed = a_feed(300)
    story = Import.start(open_account(0), feed, feed)
    assert story.work().state is RunState.FINISHED
    story.check()


# --- hand edits (law 6) ---


@pytest.mark.parametrize(
    ("name", "edited", "left"),
    [
        pytest.param(("product", "p10"), {"title": "old", "note": "mine"}, "note kept", id="edited"),
        pytest.param(("product", "p10"), None, "made again", id="deleted"),
        pytest.param(("product", "p11"), {"note": "mine"}, "note kept", id="made"),
        pytest.param(
            ("product", "p11"), {"title": "p11 of the feed", "price": 11}, "as it is", id="made as the feed has it"
        ),
    ],
)
def test_a_hand_edit_between_reading_and_writing_is_seen(
    open_account: OpenAccount, name: Name, edited: Attributes | None, left: str
) -> None:
    feed = a_feed(150)
    existing = {("product", "p10"): {"title": "older", "note": "ours"}}
    story = Import.start(open_account(1000), feed, existing)
    dynamodb = story.account.world.dynamodb()
    line = Line(dynamodb, script=at_commit(0, meanwhile(lambda: edit_by_hand(story.account, name, edited))))

    assert story.work(dynamodb).state is RunState.FINISHED

    record = story.account.world.catalog().get(story.account.workspace_id, *name)
    assert isinstance(record, Record)
    is_free = left == "as it is"
    assert record.attributes == feed[name] | ({"note": "mine"} if left == "note kept" else {})
    assert (record.operation_id is None) is is_free
    # Refused once and planned again at once, on what the refusal brought along: no other read.
    assert line.requests.count("BatchGetItem") == 2
    totals = story.now().totals
    assert totals.credits == totals.created + totals.updated == 150 - is_free
    story.account.check_the_books("product", "category")


def test_records_that_change_all_the_time_do_not_stop_a_run(open_account: OpenAccount) -> None:
    story = Import.start(open_account(1000), a_feed(120))
    dynamodb = story.account.world.dynamodb()
    line = Line(dynamodb)
    busy = ("product", "p50")

    def script(_index: int, operation: str) -> Fault | None:
        commits = line.requests.count("TransactWriteItems")
        if operation != "TransactWriteItems" or commits > 10:
            return None
        return meanwhile(lambda: edit_by_hand(story.account, busy, {"note": commits}))

    line.script = script
    assert story.work(dynamodb).state is RunState.FINISHED
    record = story.account.world.catalog().get(story.account.workspace_id, *busy)
    assert record is not None
    assert (record.attributes["note"], record.version) == (10, 11)
    story.account.check_the_books("product", "category")


# --- cancelled ---


@pytest.mark.parametrize("credits", [97, 1000], ids=["with nothing left", "with credits"])
def test_a_cancelled_run_stops_where_it_is_and_keeps_what_it_paid_for(open_account: OpenAccount, credits: int) -> None:
    story = Import.start(open_account(credits), a_feed(450))
    dynamodb = story.account.world.dynamodb()
    cancel = meanwhile(lambda: cancel_run(story.runs(), story.ledger(), story.now(), story.account.clock()))
    Line(dynamodb, script=at_commit(1, cancel))

    run = story.work(dynamodb)

    assert (run.state, run.totals.created, run.totals.credits) == (RunState.CANCELLED, 97, 97)
    assert len(story.account.records("product", "category")) == 97
    assert story.account.balance().available == credits - 97
    story.account.check_the_books("product", "category")
    assert isinstance(cancel_run(story.runs(), story.ledger(), run, story.account.clock()), NotPossible)
    assert story.work().state is RunState.CANCELLED


# --- dry runs ---


def test_a_dry_run_writes_nothing_costs_nothing_and_predicts_exactly(open_account: OpenAccount) -> None:
    feed = a_feed(450)
    catalogue = a_catalogue(feed, unchanged=90, updated=60)
    account = open_account(200)
    before = account.balance()
    preview = Import.start(account, feed, catalogue, dry_run=True).work()

    assert (preview.state, preview.credits_available) == (RunState.FINISHED, 200)
    assert account.balance() == before
    assert account.operations() == []
    assert {name: record.version for name, record in account.records("product", "category").items()} == dict.fromkeys(
        catalogue, 1
    )

    account.ledger().grant(account.a_grant("enough", 1000))
    story = Import.start(account, feed, catalogue, fill=False)
    run = story.work()
    assert run.by_entity == preview.by_entity
    story.check()


# --- other prices ---


@pytest.mark.parametrize(("create", "update"), [(3, 2), (1, 0), (0, 5), (0, 0), (60, 1)])
def test_any_price_list_is_paid_exactly(open_account: OpenAccount, create: int, update: int) -> None:
    prices = PriceList(PriceList().prices | {Action.RECORD_CREATED: create, Action.RECORD_UPDATED: update})  # type: ignore[operator]
    feed = a_feed(230)
    catalogue = a_catalogue(feed, unchanged=20, updated=60)
    story = Import.start(open_account(20_000), feed, catalogue, prices=prices)
    assert story.work().state is RunState.FINISHED
    story.check()


@pytest.mark.parametrize(("create", "update", "left"), [(3, 2, 1), (5, 0, 3), (7, 3, 2)])
def test_a_run_pauses_when_the_next_record_cannot_be_paid(
    open_account: OpenAccount, clock: HandClock, create: int, update: int, left: int
) -> None:
    prices = PriceList(PriceList().prices | {Action.RECORD_CREATED: create, Action.RECORD_UPDATED: update})  # type: ignore[operator]
    feed = a_feed(230)
    catalogue = a_catalogue(feed, unchanged=0, updated=3)
    credits = 3 * update + 20 * create + left
    story = Import.start(open_account(credits), feed, catalogue, prices=prices)
    run = story.work()
    assert run.state is RunState.PAUSED
    assert story.account.balance().available < max(create, update)
    story.ledger().grant(story.account.a_grant("more", 5000))
    resume_run(story.runs(), story.ledger(), run, clock())
    story.work()
    story.check()


# --- too large together ---


def test_a_record_too_large_with_what_the_catalogue_holds_is_rejected_and_the_others_go_on(
    open_account: OpenAccount,
) -> None:
    feed = dict(a_feed(30))
    large = ("product", "p3")
    feed[large] = {"title": "x" * 200_000, "price": 3}
    story = Import.start(open_account(100), feed, {large: {"title": "old", "note": "y" * 250_000}})

    run = story.work()

    assert (run.state, run.totals.created, run.totals.rejected, run.rejected) == (RunState.FINISHED, 29, 1, 1)
    assert run.totals.credits == 29
    (rejection,) = story.account.world.artifacts().rejections(run, 10).rejections
    assert (rejection.entity, rejection.key) == large
    assert "409,600" in rejection.reason
    assert Expected.of(feed, {}).counts["product"]["created"] == 24
    story.account.check_the_books("product", "category")
