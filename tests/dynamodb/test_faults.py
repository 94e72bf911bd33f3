"""What no emulator produces by itself: conflicts, throttling, time-outs and lost answers (design section 12).

Nothing waits here: botocore's pauses between retries are taken out, and so are the ledger's.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from shared.credits import Committed, Granted, OutOfCredits, Replayed
from shared.dynamo.transactions import StoreUnavailable
from shared.runs.commands import cancel_run, resume_run
from shared.runs.model import Run, RunState
from tests.support import faults
from tests.support.faults import Fault, Line
from tests.support.imports import Import, a_catalogue, a_feed
from tests.support.money import Account

OpenAccount = Callable[[int], Account]

pytestmark = pytest.mark.usefixtures("no_pauses")


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("botocore.endpoint.time", SimpleNamespace(sleep=lambda _seconds: None))


def first(times: int, fault: Fault) -> Callable[[int, str], Fault | None]:
    return lambda index, _operation: fault if index < times else None


ONE_CHARGE = [
    pytest.param(faults.conflict(0), id="conflict at the entry"),
    pytest.param(faults.conflict(1), id="conflict at the balance"),
    pytest.param(faults.conflict(-1), id="conflict at a record"),
    pytest.param(faults.throttled, id="throttled"),
    pytest.param(faults.over_capacity, id="over capacity"),
    pytest.param(faults.internal_error, id="internal error"),
    pytest.param(faults.never_arrives, id="never arrives"),
    pytest.param(faults.answer_lost, id="answer lost"),
]


@pytest.mark.parametrize("fault", ONE_CHARGE)
@pytest.mark.parametrize("times", [1, 3])
def test_a_charge_gets_through_and_is_made_once(open_account: OpenAccount, fault: Fault, times: int) -> None:
    account = open_account(10)
    client = account.world.dynamodb()
    ledger = account.ledger(client)
    ledger.balance(account.workspace_id)
    line = Line(client, script=first(times, fault))

    # An answer that was lost is asked for again under the same client token: it was committed, not replayed.
    assert isinstance(ledger.commit(account.plan("charge", 3)), Committed)
    assert line.requests == ["TransactWriteItems"] * (times + 1)
    assert account.balance().available == 7
    account.check_the_books()


@pytest.mark.parametrize("fault", ONE_CHARGE[:5] + ONE_CHARGE[6:])
def test_the_look_at_an_account_gets_through(open_account: OpenAccount, fault: Fault) -> None:
    account = open_account(1)
    client = account.world.dynamodb()
    ledger = account.ledger(client)
    ledger.balance(account.workspace_id)
    Line(client, script=first(3, fault))
    assert ledger.commit(account.plan("too much", 2)) == OutOfCredits(2, 1, 0)


@pytest.mark.parametrize("fault", [faults.conflict(), faults.throttled, faults.over_capacity])
def test_a_store_that_never_decides_is_unavailable_and_nothing_is_charged(
    open_account: OpenAccount, fault: Fault
) -> None:
    account = open_account(10)
    client = account.world.dynamodb()
    ledger = account.ledger(client)
    ledger.balance(account.workspace_id)
    line = Line(client, script=first(1000, fault))
    with pytest.raises(StoreUnavailable):
        ledger.commit(account.plan("charge", 3))
    assert len(line.requests) <= 60
    assert account.balance().available == 10
    account.check_the_books()


def test_a_charge_whose_every_answer_is_lost_was_made_once(open_account: OpenAccount) -> None:
    account = open_account(3)
    client = account.world.dynamodb()
    ledger = account.ledger(client)
    ledger.balance(account.workspace_id)
    Line(client, script=first(5, faults.answer_lost))
    plan = account.plan("charge", 3)
    with pytest.raises(BotoCoreError):
        ledger.commit(plan)

    # It is not known; asking again tells, although the credits are all gone.
    assert ledger.commit(plan) == Replayed(plan.operation_id, None)
    assert account.ledger().commit(plan) == Replayed(plan.operation_id, None)
    account.check_the_books()


def test_a_conflict_before_a_failed_condition_leaves_the_decision_open(open_account: OpenAccount) -> None:
    """The operation may be committing at this moment elsewhere: to say "out of credits" now could be wrong."""
    account = open_account(10)
    client = account.world.dynamodb()
    ledger = account.ledger(client)
    ledger.balance(account.workspace_id)

    def both(request: Any, _send: faults.Send) -> Any:
        return faults.cancelled(request, (0, "TransactionConflict"), (1, "ConditionalCheckFailed"))

    Line(client, script=first(2, both))
    assert isinstance(ledger.commit(account.plan("charge")), Committed)


@pytest.mark.parametrize("fault", ONE_CHARGE[:4] + ONE_CHARGE[6:])
def test_a_top_up_gets_through_and_is_given_once(open_account: OpenAccount, fault: Fault) -> None:
    account = open_account(1)
    client = account.world.dynamodb()
    line = Line(client)
    line.script = lambda _index, operation: (
        fault if operation == "TransactWriteItems" and line.requests.count(operation) <= 2 else None
    )
    grant = account.a_grant("invoice 1", 10)
    assert account.ledger(client).grant(grant) == Granted(grant, 0)
    assert account.balance().granted == 11
    account.check_the_books()


@pytest.mark.parametrize("fault", ONE_CHARGE[:1] + ONE_CHARGE[3:4] + ONE_CHARGE[6:])
def test_cancelling_and_resuming_get_through(open_account: OpenAccount, fault: Fault) -> None:
    story = Import.start(open_account(5), a_feed(10))
    client = story.account.world.dynamodb()
    runs = story.account.world.runs(client)
    clock = story.account.clock
    assert story.work().state is RunState.PAUSED
    line = Line(client)
    line.script = lambda _index, operation: (
        fault if operation == "TransactWriteItems" and line.requests.count(operation) in (1, 2) else None
    )
    story.ledger().grant(story.account.a_grant("more", 1))

    assert isinstance(resume_run(runs, story.ledger(), story.now(), clock()), Run)
    line.requests.clear()
    cancelled = cancel_run(runs, story.ledger(), story.now(), clock())
    assert isinstance(cancelled, Run)
    assert story.now() == cancelled


def test_reads_that_stay_unprocessed_are_asked_for_again(open_account: OpenAccount) -> None:
    feed = a_feed(230)
    story = Import.start(open_account(500), feed, a_catalogue(feed, unchanged=100, updated=30))
    client = story.account.world.dynamodb()
    line = Line(client)
    line.script = lambda index, operation: (
        faults.half_unprocessed if operation == "BatchGetItem" and index % 3 else None
    )
    assert story.work(client).state is RunState.FINISHED
    assert line.requests.count("BatchGetItem") > 3
    story.check()


IN_AN_IMPORT: dict[str, list[Fault]] = {
    "TransactWriteItems": [
        faults.conflict(0),
        faults.conflict(1),
        faults.conflict(-1),
        faults.throttled,
        faults.over_capacity,
        faults.internal_error,
        faults.never_arrives,
        faults.answer_lost,
        faults.killed_before_sending,
        faults.killed_after_sending,
    ],
    "TransactGetItems": [faults.conflict(0), faults.throttled, faults.never_arrives, faults.answer_lost],
    "BatchGetItem": [faults.half_unprocessed, faults.throttled, faults.never_arrives, faults.answer_lost],
    "GetItem": [faults.throttled, faults.answer_lost, faults.killed_before_sending],
    "GetObject": [faults.slow_down, faults.answer_lost, faults.never_arrives],
}


@pytest.mark.parametrize("seed", range(5))
def test_an_import_on_a_terrible_day_is_exact(open_account: OpenAccount, seed: int) -> None:
    """Two workers at once, a third of all requests going wrong, credits that run out on the way; whoever gives up is
    followed by another, as a queue would have it.
    """
    feed = a_feed(330)
    story = Import.start(open_account(150), feed, a_catalogue(feed, unchanged=40, updated=40))
    chance = random.Random(seed)
    lock = threading.Lock()

    def script(_index: int, operation: str) -> Fault | None:
        with lock:
            return chance.choice(IN_AN_IMPORT[operation]) if chance.random() < 0.33 else None

    def deliveries(times: int) -> None:
        for _ in range(times):
            dynamodb, s3 = story.account.world.dynamodb(), story.account.world.s3()
            Line(dynamodb, s3, script=script)
            try:
                story.work(dynamodb, s3, out_of_time=lambda: True)
            except (StoreUnavailable, BotoCoreError, ClientError, faults.Killed):
                continue

    for day in range(30):
        with ThreadPoolExecutor(2) as pool:
            for worker in [pool.submit(deliveries, 6) for _ in range(2)]:
                worker.result()
        run = story.now()
        if run.state is RunState.PAUSED:
            story.account.check_the_books("product", "category")
            story.ledger().grant(story.account.a_grant(f"day {day}", 90))
            resume_run(story.runs(), story.ledger(), run, story.account.clock())
        if run.state is RunState.FINISHED:
            break
    story.check()
