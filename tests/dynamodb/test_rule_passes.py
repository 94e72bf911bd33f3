"""Passes of scheduled rules end as they must, whatever happens on the way: exactly once, exactly paid (laws 1 to 6)."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from shared import keys
from shared.credits import OperationKind, OutOfCredits, PriceList, RefusalReason
from shared.rules.firing import RuleLimits
from shared.rules.meters import MeterStore
from shared.rules.passes import NotPossible, PassCounts, PassState, RulePass, is_stalled, resume_pass
from shared.rules.passes import steps as pass_steps
from shared.rules.passes import worker as pass_worker
from shared.runs.model import PauseReason
from tests.support.faults import (
    Fault,
    Killed,
    Line,
    answer_lost,
    conflict,
    internal_error,
    killed_after_sending,
    killed_before_sending,
    not_valid,
    over_quota,
)
from tests.support.imports import Attributes, Name, edit_by_hand, fill_catalogue
from tests.support.money import Account, HandClock, plain_dynamodb
from tests.support.rule_passes import (
    DIVIDE,
    FILE_AWAY,
    LIMITS,
    RULE,
    SALE,
    Passing,
    of_product,
    passes_of,
    products,
    put_rule,
    rules_of,
)

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


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three firings in a transaction, five records on a page: a few records make a long pass."""
    monkeypatch.setattr(pass_steps, "_MAX_WRITTEN", 3)
    monkeypatch.setattr(pass_worker, "_PAGE", 5)


def test_a_pass_fires_where_the_rule_changes_something(open_account: OpenAccount) -> None:
    account = open_account(1000)
    story = Passing.start(account, products(1000))
    dynamodb = account.world.dynamodb()
    line = Line(dynamodb)

    after = story.work(dynamodb)

    assert (after.state, after.examined) == (PassState.FINISHED, 1000)
    assert after.counts == PassCounts(fired=300, updated=300, unchanged=100, credits=600)
    assert account.balance().available == 400
    story.check()
    # The pass, the rules, the meter, the shards, the balance, and transactions of 96 records each.
    assert line.requests.count("TransactWriteItems") == 4
    assert line.requests.count("Query") == 1 + keys.RECORD_SHARDS
    assert len(line.requests) == 4 + keys.RECORD_SHARDS + 4
    record = of_product(account, "p1")
    assert record is not None
    assert (record.depth, record.marks[RULE].version, record.marks[RULE].operation_id) == (1, 2, record.operation_id)


def test_the_next_pass_fires_again_where_there_is_something_to_do(open_account: OpenAccount, clock: HandClock) -> None:
    """What sets it off is its time, not a change: the mark of the first pass does not keep the second from firing."""
    account = open_account(1000)
    dearer = SALE | {"actions": [{"set": "price", "to": {"expression": "price + 1"}}]}
    first = Passing.start(account, products(150), dearer)
    first.work()
    clock.advance(days=1)
    second = first.again()
    after = second.work()
    assert after.counts == PassCounts(fired=150, updated=150, credits=300)
    assert {key: record.attributes["price"] for (_, key), record in account.records().items()} == {
        f"p{n}": n + 2 for n in range(150)
    }
    assert account.balance().available == 400
    account.check_the_figures(account.balance(), account.operations())


def test_an_entity_without_records_is_gone_through_for_nothing(open_account: OpenAccount) -> None:
    story = Passing.start(open_account(0), {})
    assert story.work().state is PassState.FINISHED
    story.check()


@pytest.mark.usefixtures("small_steps")
def test_a_page_that_ends_with_a_shard_is_no_end(open_account: OpenAccount) -> None:
    story = Passing.start(open_account(1000), products(61))
    assert story.work().state is PassState.FINISHED
    story.check()


# --- killed at every request (laws 1, 2, 5) ---


@pytest.mark.parametrize("moment", ["before it is sent", "when it is done", "after the answer"])
@pytest.mark.parametrize("definition", [SALE, DIVIDE], ids=["fires", "fails on some"])
def test_a_worker_killed_at_any_request_leaves_a_pass_that_another_ends_exactly(
    open_account: OpenAccount, moment: str, definition: dict[str, Any]
) -> None:
    catalogue: dict[Name, Attributes] = {
        name: attributes | {"divisor": number % 3} for number, (name, attributes) in enumerate(products(150).items())
    }
    for index in deaths(open_account, catalogue, definition):
        story = Passing.start(open_account(1000), catalogue, definition)
        dynamodb = story.account.world.dynamodb()
        line = Line(dynamodb)
        fault = {
            "before it is sent": killed_before_sending,
            "when it is done": killed_after_sending,
            "after the answer": line.die_after_answer,
        }[moment]
        line.script = lambda number, _operation, fault=fault, at=index: fault if number == at else None  # type: ignore[misc]
        with pytest.raises(Killed):
            story.work(dynamodb)
        story.work()
        if definition is SALE:
            story.check()
        else:
            check_divided(story, 150)


def deaths(open_account: OpenAccount, catalogue: dict[Name, Attributes], definition: dict[str, Any]) -> list[int]:
    """The requests that a worker may die at: of the shards that it reads one after the other, the first and the last
    will do.
    """
    story = Passing.start(open_account(1000), catalogue, definition)
    dynamodb = story.account.world.dynamodb()
    line = Line(dynamodb)
    story.work(dynamodb)
    queries = [index for index, operation in enumerate(line.requests) if operation == "Query"]
    others = [index for index, operation in enumerate(line.requests) if operation != "Query"]
    assert line.requests.count("TransactWriteItems") == (2 if definition is SALE else 4)
    return sorted({*others, queries[0], queries[1], queries[-1]})


def check_divided(story: Passing, count: int) -> None:
    """Of three records one has a divisor of zero: the rule fails on it, which is noted once and costs nothing."""
    after = story.now()
    assert after.state is PassState.FINISHED
    fails = len(range(0, count, 3))
    fires = count - fails
    assert after.counts == PassCounts(fired=fires, updated=fires, failed=fails, credits=2 * fires)
    assert after.noted is None
    story.check_the_books()
    noted = [entry for entry in story.account.operations() if entry.refused is RefusalReason.RULE_FAILED]
    assert {entry.credits for entry in noted} == {0}
    assert {entry.run_id for entry in noted} == {story.pass_id}
    meter = MeterStore(plain_dynamodb(story.account.world), story.account.world.work_table)
    counted = meter.get(story.account.workspace_id, RULE)
    assert counted is not None
    assert counted.failures == fails


def test_a_worker_killed_again_and_again_gets_there(open_account: OpenAccount) -> None:
    story = Passing.start(open_account(1000), products(400))
    deaths = 0
    while story.now().state is PassState.RUNNING:
        dynamodb = story.account.world.dynamodb()
        Line(dynamodb, script=at_commit(1, killed_after_sending))
        try:
            story.work(dynamodb)
        except Killed:
            deaths += 1
    assert deaths == 2
    story.check()


@pytest.mark.parametrize("fault", [answer_lost, internal_error, conflict(), conflict(-1)])
def test_what_the_network_loses_is_neither_lost_nor_done_twice(open_account: OpenAccount, fault: Fault) -> None:
    story = Passing.start(open_account(1000), products(200))
    dynamodb = story.account.world.dynamodb()
    Line(dynamodb, script=at_commit(0, fault))
    assert story.work(dynamodb).state is PassState.FINISHED
    story.check()


# --- several workers ---


def test_workers_at_once_do_nothing_twice(open_account: OpenAccount) -> None:
    story = Passing.start(open_account(1000), products(500))
    together = threading.Barrier(3)

    def worker() -> RulePass:
        together.wait()
        return story.work(story.account.world.dynamodb())

    with ThreadPoolExecutor(3) as pool:
        ended = [future.result() for future in [pool.submit(worker) for _ in range(3)]]
    assert {each.state for each in ended} == {PassState.FINISHED}
    story.check()


@pytest.mark.usefixtures("small_steps")
def test_workers_at_once_note_a_failure_once(open_account: OpenAccount) -> None:
    catalogue: dict[Name, Attributes] = {
        name: attributes | {"divisor": number % 3} for number, (name, attributes) in enumerate(products(60).items())
    }
    story = Passing.start(open_account(1000), catalogue, DIVIDE)
    together = threading.Barrier(2)

    def worker() -> RulePass:
        together.wait()
        return story.work(story.account.world.dynamodb())

    with ThreadPoolExecutor(2) as pool:
        ended = [future.result() for future in [pool.submit(worker) for _ in range(2)]]
    assert {each.state for each in ended} == {PassState.FINISHED}
    check_divided(story, 60)


def test_a_worker_that_slept_through_a_pause_and_a_resume_does_not_repeat_the_step(open_account: OpenAccount) -> None:
    """Its step has an identifier of its own, since the resumed pass gave the step another. Only the cursor tells."""
    dearer = SALE | {"actions": [{"set": "price", "to": {"expression": "price + 1"}}]}
    story = Passing.start(open_account(1000), products(250), dearer)
    clock = story.account.clock

    def others_go_on() -> None:
        passes, running = passes_of(story.account.world), story.now()
        waiting = replace(running, state=PassState.PAUSED)
        assert passes.move(running, waiting)
        clock.advance(seconds=1)
        assert isinstance(resume_pass(passes, story.account.ledger(), waiting, clock()), RulePass)
        looks = count(1)
        assert story.work(out_of_time=lambda: next(looks) >= 250).position == 96

    dynamodb = story.account.world.dynamodb()
    Line(dynamodb, script=at_commit(0, meanwhile(others_go_on)))
    assert story.work(dynamodb).state is PassState.FINISHED
    assert story.now().counts == PassCounts(fired=250, updated=250, credits=500)
    assert {record.version for record in story.account.records().values()} == {2}
    story.check_the_books()


def test_every_leg_moves_the_pass_on_however_short_it_is(
    open_account: OpenAccount, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pass_worker, "_PAGE", 100)
    story = Passing.start(open_account(1000), products(450))
    legs = []
    # From a leg for a single record on.
    for records in count(1):
        looks = count(1)
        after = story.work(out_of_time=lambda: next(looks) >= records)  # noqa: B023 - called at once
        if after.state is not PassState.RUNNING:
            break
        legs.append((after.position, after.leg))
        clock.advance(minutes=10)
    positions = [position for position, _ in legs]
    assert [leg for _, leg in legs] == [*range(1, len(legs) + 1)]
    assert positions == sorted(set(positions))
    assert positions[:3] == [1, 3, 6]
    story.check()


def test_a_call_for_a_leg_that_is_past_does_nothing(open_account: OpenAccount) -> None:
    story = Passing.start(open_account(1000), products(300))
    handed_over = story.work(out_of_time=lambda: True, leg=0)
    assert handed_over.leg == 1
    dynamodb = story.account.world.dynamodb()
    line = Line(dynamodb)
    assert story.work(dynamodb, leg=0) == handed_over
    assert line.requests == ["GetItem"]
    assert story.work(leg=1).state is PassState.FINISHED
    assert story.work(leg=1).state is PassState.FINISHED
    story.check()


def test_what_nobody_has_asked_for_is_not_there(open_account: OpenAccount) -> None:
    story = Passing.start(open_account(0), {})
    assert pass_worker.work(story.room(), story.account.workspace_id, "pass_0", lambda: False) is None


# --- out of credits (laws 3 and 5) ---


@pytest.mark.parametrize("credits", range(26))
@pytest.mark.usefixtures("small_steps")
def test_a_pass_fires_as_often_as_there_are_credits_and_goes_on_from_there(
    open_account: OpenAccount, clock: HandClock, credits: int
) -> None:
    """Twelve firings of two credits each: an odd credit is left over and stays."""
    story = Passing.start(open_account(credits), products(16))

    after = story.work()

    account = story.account
    assert after.counts.fired == after.counts.updated == min(credits // 2, 12)
    assert account.balance().available == max(credits % 2, credits - 24)
    if credits < 24:
        assert (after.state, after.pause_reason, after.paused_at) == (
            PassState.PAUSED,
            PauseReason.OUT_OF_CREDITS,
            clock(),
        )
        assert after.needed == 2
        story.check_the_books()
        assert isinstance(resume_pass(passes_of(account.world), account.ledger(), after, clock()), OutOfCredits)
        assert story.work() == after

        clock.advance(hours=3)
        account.ledger().grant(account.a_grant("top-up", 1000))
        assert isinstance(resume_pass(passes_of(account.world), account.ledger(), after, clock()), RulePass)
        assert isinstance(resume_pass(passes_of(account.world), account.ledger(), after, clock()), NotPossible)
        story.work()
    story.check()
    assert account.balance().available == (credits + 1000 - 24 if credits < 24 else credits - 24)


def test_a_pass_that_pauses_is_listed_among_what_waits(open_account: OpenAccount) -> None:
    story = Passing.start(open_account(1), products(3))
    story.work()
    account = story.account
    item = plain_dynamodb(account.world).get_item(
        TableName=account.world.work_table, Key=keys.rule_pass(account.workspace_id, story.pass_id).attributes()
    )["Item"]
    assert item["waiting_pk"]["S"] == keys.waiting(account.workspace_id)
    assert keys.waiting_parts(item["waiting_sk"]["S"]) == (account.workspace_id, story.pass_id, None)
    assert "doorbell" not in item


@pytest.mark.usefixtures("small_steps")
def test_a_pass_that_pauses_often_costs_the_same(open_account: OpenAccount, clock: HandClock) -> None:
    story = Passing.start(open_account(0), products(40))
    passes = passes_of(story.account.world)
    for number in range(50):
        after = story.work()
        if after.state is PassState.FINISHED:
            break
        clock.advance(minutes=1)
        story.account.ledger().grant(story.account.a_grant(f"drip {number}", 3))
        resume_pass(passes, story.account.ledger(), after, clock())
    story.check()


@pytest.mark.parametrize("moment", ["before the pause is written", "after it is written"])
def test_a_top_up_that_races_the_pause_is_not_missed(open_account: OpenAccount, moment: str) -> None:
    story = Passing.start(open_account(40), products(100))
    account = story.account
    top_up = meanwhile(lambda: account.ledger().grant(account.a_grant("just in time", 1000)))
    dynamodb = account.world.dynamodb()
    line = Line(dynamodb)

    def script(_index: int, operation: str) -> Fault | None:
        # The first transaction spends what is left, the second is the pause; then the pass is looked at again.
        awaited = "TransactWriteItems" if moment == "before the pause is written" else "GetItem"
        return top_up if operation == awaited and line.requests.count("TransactWriteItems") == 2 else None

    line.script = script
    assert story.work(dynamodb).state is PassState.FINISHED
    story.check()


def test_a_firing_that_costs_more_than_is_left_does_not_go_round_in_circles(
    open_account: OpenAccount, clock: HandClock
) -> None:
    """It needs seven credits; three would do for a lesser one."""
    create = {"create": {"entity": "category", "key": {"attribute": "brand"}, "attributes": {}}}
    more = [{"create": {"entity": "category", "key": {"value": f"c{n}"}, "attributes": {}}} for n in range(4)]
    several = SALE | {"actions": [*SALE["actions"], create, *more]}
    story = Passing.start(open_account(3), {("product", "p1"): {"price": 1, "brand": "acme"}}, several)
    dynamodb = story.account.world.dynamodb()
    line = Line(dynamodb)
    after = story.work(dynamodb)
    assert (after.state, after.needed, after.counts.fired) == (PassState.PAUSED, 7, 0)
    assert len(line.requests) < 10 + keys.RECORD_SHARDS
    assert story.account.balance().available == 3
    story.account.ledger().grant(story.account.a_grant("some", 3))
    assert isinstance(resume_pass(passes_of(story.account.world), story.account.ledger(), after, clock()), OutOfCredits)
    story.account.ledger().grant(story.account.a_grant("one more", 1))
    assert story.work().counts == PassCounts(fired=1, created=5, updated=1, credits=7)
    assert story.account.balance().available == 0
    story.check_the_books()


def test_a_pass_goes_on_for_free_when_there_are_no_credits(open_account: OpenAccount) -> None:
    story = Passing.start(open_account(0), products(300, labelled_every=1))
    assert story.work().state is PassState.FINISHED
    story.check()


@pytest.mark.parametrize(("fire", "update"), [(3, 2), (0, 1), (2, 0), (0, 0), (60, 1)])
def test_any_price_list_is_paid_exactly(open_account: OpenAccount, fire: int, update: int) -> None:
    prices = PriceList.from_json(f'{{"rule_fired": {fire}, "record_updated": {update}}}')
    story = Passing.start(open_account(20_000), products(200), prices=prices)
    after = story.work()
    assert after.counts == PassCounts(fired=150, updated=150, unchanged=50, credits=150 * (fire + update))
    story.check_the_books()


# --- people (law 6) ---


@pytest.mark.parametrize(
    ("name", "edited", "label"),
    [
        pytest.param(("product", "p10"), {"price": 10, "note": "mine"}, "sale", id="edited"),
        pytest.param(("product", "p10"), {"price": 500}, None, id="does not match any more"),
        pytest.param(("product", "p10"), {"price": 10, "label": "sale"}, "sale", id="done by hand"),
        pytest.param(("product", "p10"), None, None, id="deleted"),
    ],
)
def test_a_hand_edit_between_reading_and_writing_is_seen(
    open_account: OpenAccount, name: Name, edited: Attributes | None, label: str | None
) -> None:
    story = Passing.start(open_account(1000), products(90))
    dynamodb = story.account.world.dynamodb()
    line = Line(dynamodb, script=at_commit(0, meanwhile(lambda: edit_by_hand(story.account, name, edited))))

    assert story.work(dynamodb).state is PassState.FINISHED

    record = of_product(story.account, "p10")
    if edited is None:
        assert record is None
    else:
        assert record is not None
        assert record.attributes == edited | ({"label": label} if label else {})
        fires = "note" in edited
        assert (record.version, record.depth, RULE in record.marks) == ((3, 1, True) if fires else (2, 0, False))
    # Refused once, and looked at again on what the refusal brought along: no other read.
    assert line.requests.count("TransactWriteItems") == 2
    after = story.now()
    assert after.position == 90
    assert after.counts.fired == 66 + (edited is not None and "note" in edited)
    story.check_the_books()


def test_records_that_change_all_the_time_do_not_stop_a_pass(open_account: OpenAccount) -> None:
    story = Passing.start(open_account(1000), products(90))
    dynamodb = story.account.world.dynamodb()
    line = Line(dynamodb)

    def script(_index: int, operation: str) -> Fault | None:
        commits = line.requests.count("TransactWriteItems")
        if operation != "TransactWriteItems" or commits > 10:
            return None
        edit: Attributes = {"price": 50, "note": commits}
        return meanwhile(lambda: edit_by_hand(story.account, ("product", "p50"), edit))

    line.script = script
    assert story.work(dynamodb).state is PassState.FINISHED
    record = of_product(story.account, "p50")
    assert record is not None
    assert (record.attributes["note"], record.attributes["label"], record.version) == (10, "sale", 12)
    story.check_the_books()


# --- creations ---


def test_records_that_would_create_the_same_fire_once_for_each_that_is_created(open_account: OpenAccount) -> None:
    account = open_account(1000)
    story = Passing.start(account, products(400), FILE_AWAY)
    dynamodb = account.world.dynamodb()
    line = Line(dynamodb)
    after = story.work(dynamodb)
    assert after.state is PassState.FINISHED
    assert after.counts == PassCounts(fired=5, created=5, unchanged=395, credits=10)
    assert account.balance().available == 990
    assert sorted(key for _, key in account.records("category")) == [f"brand {n}" for n in range(5)]
    touched = [record for record in account.records().values() if record.marks]
    # It carries the mark, and is otherwise as people left it.
    assert [(each.version, each.operation_id, each.depth) for each in touched] == [(2, None, 0)] * 5
    assert line.requests.count("BatchGetItem") == 1
    assert line.requests.count("TransactWriteItems") == 1
    story.check_the_books()


@pytest.mark.usefixtures("small_steps")
def test_over_many_steps_and_pages_too(open_account: OpenAccount) -> None:
    story = Passing.start(open_account(1000), products(60), FILE_AWAY)
    assert story.work().counts == PassCounts(fired=5, created=5, unchanged=55, credits=10)
    story.check_the_books()


def test_a_record_that_somebody_else_creates_meanwhile_is_not_created(open_account: OpenAccount) -> None:
    story = Passing.start(open_account(1000), products(40), FILE_AWAY)
    dynamodb = story.account.world.dynamodb()
    by_hand: dict[Name, Attributes] = {("category", "brand 2"): {"title": "mine"}}
    Line(dynamodb, script=at_commit(0, meanwhile(lambda: fill_catalogue(story.account, by_hand))))
    after = story.work(dynamodb)
    assert after.counts == PassCounts(fired=4, created=4, unchanged=36, credits=8)
    record = story.account.world.catalog().get(story.account.workspace_id, "category", "brand 2")
    assert record is not None
    assert record.attributes == {"title": "mine"}
    story.check_the_books()


def test_a_creator_that_goes_away_leaves_it_to_the_next(open_account: OpenAccount) -> None:
    """All would create the same category. The one that was about to is deleted; another one does."""
    same = {name: attributes | {"brand": "acme"} for name, attributes in products(10).items()}
    story = Passing.start(open_account(1000), same, FILE_AWAY)
    first = next(iter(story.account.world.catalog().page(story.account.workspace_id, "product", 1).records))
    dynamodb = story.account.world.dynamodb()
    gone = meanwhile(lambda: edit_by_hand(story.account, ("product", first.key), None))
    Line(dynamodb, script=at_commit(0, gone))
    assert story.work(dynamodb).counts == PassCounts(fired=1, created=1, unchanged=8, credits=2)
    story.check_the_books()


# --- failures ---


def test_what_fails_costs_nothing_and_is_noted(open_account: OpenAccount) -> None:
    catalogue: dict[Name, Attributes] = {
        name: attributes | {"divisor": number % 3} for number, (name, attributes) in enumerate(products(90).items())
    }
    account = open_account(1000)
    story = Passing.start(account, catalogue, DIVIDE)
    story.work()
    check_divided(story, 90)
    (noted,) = [entry for entry in account.operations() if entry.refused is RefusalReason.RULE_FAILED]
    assert (noted.kind, noted.job_id) == (OperationKind.RULE, RULE)
    assert "30 product records" in noted.description
    assert account.balance().available == 880


@pytest.mark.usefixtures("small_steps")
def test_failures_of_a_step_that_credits_cut_are_noted_once(open_account: OpenAccount, clock: HandClock) -> None:
    catalogue: dict[Name, Attributes] = {
        name: attributes | {"divisor": number % 3} for number, (name, attributes) in enumerate(products(60).items())
    }
    story = Passing.start(open_account(0), catalogue, DIVIDE)
    for number in range(200):
        after = story.work()
        if after.state is PassState.FINISHED:
            break
        clock.advance(minutes=1)
        story.account.ledger().grant(story.account.a_grant(f"drip {number}", 2))
        resume_pass(passes_of(story.account.world), story.account.ledger(), after, clock())
    check_divided(story, 60)


def test_what_the_database_refuses_is_one_records_fault(open_account: OpenAccount) -> None:
    story = Passing.start(open_account(1000), products(40))
    dynamodb = story.account.world.dynamodb()
    refused = not_valid("Type mismatch for attribute")

    def script(_index: int, operation: str) -> Fault | None:
        return spoiled if operation == "TransactWriteItems" else None

    def spoiled(request: AWSPreparedRequest, send: Send) -> AWSResponse:
        assert isinstance(request.body, bytes)
        return refused(request, send) if b'{"S": "p7"}' in request.body and b"sale" in request.body else send()

    Line(dynamodb, script=script)
    after = story.work(dynamodb)
    assert after.state is PassState.FINISHED
    assert after.counts == PassCounts(fired=29, updated=29, unchanged=10, failed=1, credits=58)
    (noted,) = [entry for entry in story.account.operations() if entry.refused is RefusalReason.RULE_FAILED]
    assert "p7: the database refused it" in noted.description
    story.check_the_books()


# --- the rule changes meanwhile ---


def put_anew(account: Account, **parts: Any) -> None:
    put_rule(account, SALE | parts)


@pytest.mark.parametrize(
    ("happens", "code"),
    [
        pytest.param(lambda account: put_anew(account, condition="price < 10"), "rule_changed", id="changed"),
        pytest.param(lambda account: put_anew(account, enabled=False), "rule_changed", id="disabled"),
        pytest.param(
            lambda account: rules_of(account.world).delete(account.workspace_id, RULE), "rule_deleted", id="deleted"
        ),
    ],
)
@pytest.mark.parametrize("commits", [0, 1])
def test_a_rule_that_is_changed_ends_its_pass_at_once(
    open_account: OpenAccount, happens: Callable[[Account], object], code: str, commits: int
) -> None:
    story = Passing.start(open_account(1000), products(300))
    dynamodb = story.account.world.dynamodb()
    Line(dynamodb, script=at_commit(commits, meanwhile(lambda: happens(story.account))))

    after = story.work(dynamodb)

    assert (after.state, after.failure and after.failure.code) == (PassState.CANCELLED, code)
    assert after.counts.fired == 96 * commits
    assert story.account.balance().available == 1000 - 2 * 96 * commits
    story.check_the_books()
    assert story.work() == after


def test_a_rule_that_is_changed_before_a_pass_goes_on_ends_it(open_account: OpenAccount) -> None:
    story = Passing.start(open_account(0), products(10))
    assert story.work().state is PassState.PAUSED
    put_anew(story.account, condition="true")
    story.account.ledger().grant(story.account.a_grant("top-up", 100))
    after = story.work()
    assert (after.state, after.counts.fired) == (PassState.CANCELLED, 0)
    assert after.paused_at is None
    assert story.account.balance().available == 100


def test_a_rule_that_fires_too_often_is_suspended_and_its_pass_ends(open_account: OpenAccount) -> None:
    limits = RuleLimits(max_depth=LIMITS.max_depth, firings_per_hour=130)
    account = open_account(1000)
    story = Passing.start(account, products(400), limits=limits)

    after = story.work()

    assert (after.state, after.failure and after.failure.code) == (PassState.FAILED, "rule_suspended")
    assert after.counts.fired == 130
    assert account.balance().available == 1000 - 2 * 130
    rule = rules_of(account.world).get(account.workspace_id, RULE)
    assert rule is not None
    assert rule.suspended_at is not None
    assert story.work() == after


def test_a_limit_that_is_lower_than_a_step_holds(open_account: OpenAccount) -> None:
    story = Passing.start(open_account(1000), products(250), SALE | {"max_firings_per_hour": 10})
    assert story.work().counts.fired == 10
    assert story.account.balance().available == 1000 - 2 * 10


def test_a_pass_may_fire_as_often_again_in_the_next_hour(open_account: OpenAccount, clock: HandClock) -> None:
    story = Passing.start(open_account(1000), products(250), SALE | {"max_firings_per_hour": 100})
    dynamodb = story.account.world.dynamodb()
    # The second step is refused for the hour in which it was planned, and the next one begins meanwhile.
    Line(dynamodb, script=at_commit(1, meanwhile(lambda: clock.advance(hours=1))))
    assert story.work(dynamodb).state is PassState.FINISHED
    story.check()


# --- resumed by others ---


def test_a_pass_that_lost_its_worker_is_rung_for(open_account: OpenAccount, clock: HandClock) -> None:
    story = Passing.start(open_account(1000), products(10))
    passes, ledger = passes_of(story.account.world), story.account.ledger()
    assert not is_stalled(story.now(), clock())
    assert isinstance(resume_pass(passes, ledger, story.now(), clock()), NotPossible)
    clock.advance(minutes=11)
    assert is_stalled(story.now(), clock())
    going_on = resume_pass(passes, ledger, story.now(), clock())
    assert isinstance(going_on, RulePass)
    assert going_on.leg == 1
    assert story.work(leg=0).state is PassState.RUNNING
    story.work(leg=1)
    story.check()


def test_a_message_that_was_stuck_for_weeks_charges_into_no_month_that_is_over(
    open_account: OpenAccount, clock: HandClock
) -> None:
    story = Passing.start(open_account(1000), products(200))
    assert story.work(out_of_time=lambda: True).state is PassState.RUNNING
    before = {each.operation_id for each in story.account.operations()}
    assert before
    clock.advance(days=30)
    sent_back = clock()
    assert story.work().state is PassState.FINISHED
    late = [each for each in story.account.operations() if each.operation_id not in before]
    assert late
    assert all(each.at >= sent_back for each in late)
    story.check()


def test_what_is_over_is_not_resumed(open_account: OpenAccount, clock: HandClock) -> None:
    story = Passing.start(open_account(1000), products(10))
    story.work()
    clock.advance(hours=1)
    outcome = resume_pass(passes_of(story.account.world), story.account.ledger(), story.now(), clock())
    assert outcome == NotPossible(story.now())


def test_a_pass_that_fires_on_nothing_shows_how_far_it_is(
    open_account: OpenAccount, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pass_steps, "MAX_STEP_RECORDS", 10)
    monkeypatch.setattr(pass_worker, "_PAGE", 10)
    story = Passing.start(open_account(0), products(40, labelled_every=1))
    dynamodb = story.account.world.dynamodb()
    seen: list[int] = []

    def script(_index: int, operation: str) -> Fault | None:
        if operation == "Query":
            clock.advance(seconds=6)
        elif operation == "TransactWriteItems":
            seen.append(story.now().position)
        return None

    Line(dynamodb, script=script)
    assert story.work(dynamodb).state is PassState.FINISHED
    assert len(seen) > 1
    story.check()


def test_an_outage_lets_the_pass_stand_where_it_is(open_account: OpenAccount) -> None:
    story = Passing.start(open_account(1000), products(300))
    dynamodb = story.account.world.dynamodb()
    line = Line(dynamodb)
    line.script = lambda _index, operation: (
        over_quota if operation == "TransactWriteItems" and line.requests.count(operation) > 1 else None
    )
    with pytest.raises(ClientError):
        story.work(dynamodb)
    assert story.now().state is PassState.RUNNING
    assert story.work().state is PassState.FINISHED
    story.check()
