"""Single writes of records against DynamoDB: what they cost and leave, whom they race with, and how they repeat."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from shared import keys
from shared.catalog import Record
from shared.credits import Channel, OperationIdReused, OutOfCredits, PriceList, Replayed, Stale
from shared.edits import (
    Decision,
    Edit,
    Edited,
    EditingRoom,
    EditOutcome,
    Expectation,
    Merge,
    NoSuchRecord,
    NotAsExpected,
    RecordVersion,
    Remove,
    Replace,
    TooLarge,
    edit_record,
)
from shared.runs.model import RunState
from tests.support.faults import Fault, Line, Send, answer_lost
from tests.support.imports import Import, a_feed, fill_catalogue
from tests.support.money import Account, plain_dynamodb

if TYPE_CHECKING:
    from botocore.awsrequest import AWSPreparedRequest, AWSResponse
    from mypy_boto3_dynamodb import DynamoDBClient

OpenAccount = Callable[[int], Account]


def meanwhile(happens: Callable[[], object]) -> Fault:
    """Lets something happen between what was read and what is about to be sent."""

    def fault(_request: AWSPreparedRequest, send: Send) -> AWSResponse:
        happens()
        return send()

    return fault


class Hand:
    """Somebody who writes records of an account: by key, or by hand. Each call is a request of its own."""

    def __init__(
        self, account: Account, channel: Channel = Channel.API, dynamodb: DynamoDBClient | None = None
    ) -> None:
        self.account = account
        self.channel = channel
        self.dynamodb = dynamodb or plain_dynamodb(account.world)
        self.calls = 0

    def wish(self, change: Replace | Merge | Remove, key: str = "a", **more: Any) -> Edit:
        self.calls += 1
        wanted: dict[str, Any] = {
            "workspace_id": self.account.workspace_id,
            "entity": "product",
            "key": key,
            "change": change,
            "channel": self.channel,
            "request_id": uuid4().hex,
            "requested_at": self.account.clock(),
        }
        return Edit(**(wanted | more))

    def send(self, edit: Edit) -> EditOutcome:
        account = self.account
        room = EditingRoom(
            catalog=account.world.catalog(self.dynamodb),
            ledger=account.ledger(self.dynamodb),
            prices=PriceList(),
            clock=account.clock,
        )
        return edit_record(room, edit, told)

    def __call__(self, change: Replace | Merge | Remove, key: str = "a", **more: Any) -> EditOutcome:
        return self.send(self.wish(change, key, **more))


def told(decision: Decision) -> str:
    return f"{decision.change.value} {decision.record.version if decision.record else ''}"


def record_of(account: Account, key: str = "a") -> Record | None:
    return account.world.catalog().get(account.workspace_id, "product", key)


def cost(outcome: EditOutcome) -> int:
    assert isinstance(outcome, Edited), outcome
    return outcome.paid.operation.credits


def test_by_key_each_call_costs_one_and_each_change_one_more(open_account: OpenAccount) -> None:
    account = open_account(100)
    by_key = Hand(account)
    assert cost(by_key(Replace({"title": "Drill"}))) == 2
    assert cost(by_key(Replace({"title": "Drill"}))) == 1
    assert cost(by_key(Merge({"price": 5}))) == 2
    assert cost(by_key(Merge({"price": 5, "none": None}))) == 1
    record = record_of(account)
    assert record is not None
    assert (record.attributes, record.version) == ({"title": "Drill", "price": 5}, 2)
    assert cost(by_key(Remove())) == 1
    assert record_of(account) is None
    assert account.balance().consumed == 7
    account.check_the_figures(account.balance(), account.operations())


def test_what_is_refused_costs_nothing_and_writes_nothing(open_account: OpenAccount) -> None:
    account = open_account(100)
    by_key = Hand(account)
    assert by_key(Merge({"a": 1})) == NoSuchRecord()
    assert by_key(Remove()) == NoSuchRecord()
    assert by_key(Replace({}), expected=Expectation(match="*")) == NotAsExpected(None)
    assert isinstance(by_key(Replace({"text": "x" * 410_000})), TooLarge)
    assert record_of(account) is None
    assert (account.balance().consumed, account.operations()) == (0, [])


def test_a_write_by_key_needs_its_credits_and_a_person_needs_none(open_account: OpenAccount) -> None:
    account = open_account(1)
    by_key, by_hand = Hand(account), Hand(account, Channel.PERSON)
    # One credit is there, and a write that changes something needs two: it is not done for one.
    assert by_key(Replace({"title": "Drill"})) == OutOfCredits(2, 1, 0)
    assert record_of(account) is None
    assert cost(by_hand(Replace({"title": "Drill"}))) == 0
    assert cost(by_key(Replace({"title": "Drill"}))) == 1
    assert by_key(Replace({"title": "Drill"})) == OutOfCredits(1, 0, 0)
    assert by_key(Remove()) == OutOfCredits(1, 0, 0)
    assert cost(by_hand(Merge({"title": "Saw"}))) == 0
    record = record_of(account)
    assert record is not None
    assert (record.version, record.operation_id) == (2, None)
    assert cost(by_hand(Remove())) == 0
    assert (account.balance().available, account.balance().consumed) == (0, 1)
    account.check_the_figures(account.balance(), account.operations())


def test_an_edit_by_hand_touches_no_account(open_account: OpenAccount) -> None:
    account = open_account(0)
    client = account.world.dynamodb()
    sent: list[bytes] = []

    def noted(request: AWSPreparedRequest, send: Send) -> AWSResponse:
        assert isinstance(request.body, bytes)
        sent.append(request.body)
        return send()

    line = Line(client, script=lambda _index, _operation: noted)
    assert cost(Hand(account, Channel.PERSON, client)(Replace({"title": "Drill"}))) == 0
    # Neither the balance is read nor drawn on: nothing that automation is busy with can hold it up.
    assert line.requests == ["BatchGetItem", "TransactWriteItems"]
    assert not any(keys.balance(account.workspace_id).pk.encode() in body for body in sent)


def test_a_write_by_key_is_one_read_and_one_transaction(open_account: OpenAccount) -> None:
    account = open_account(100)
    client = account.world.dynamodb()
    line = Line(client)
    # The record, the idempotency key and the balance are read together, by a process that has seen none of them.
    assert cost(Hand(account, dynamodb=client)(Replace({"title": "Drill"}), idempotency_key="one")) == 2
    assert line.requests == ["BatchGetItem", "TransactWriteItems"]


def test_a_record_says_who_paid_for_its_last_write(open_account: OpenAccount) -> None:
    account = open_account(100)
    by_key, by_hand = Hand(account), Hand(account, Channel.PERSON)
    for hand, change in ((by_key, Replace({"a": 1})), (by_hand, Merge({"a": 2})), (by_key, Merge({"a": 3}))):
        outcome = hand(change)
        record = record_of(account)
        assert isinstance(outcome, Edited)
        assert record is not None
        paid_by = outcome.paid.operation.operation_id if hand is by_key else None
        assert record.operation_id == paid_by
    # The log names the hand edit too, and that it was free.
    log = {entry.channel: entry.credits for entry in account.operations()}
    assert log == {Channel.API: 2, Channel.PERSON: 0}


# --- sent again ---


@pytest.mark.parametrize("channel", [Channel.API, Channel.PERSON])
@pytest.mark.parametrize("change", [Replace({"n": 1}), Merge({"n": 1}), Remove()], ids=["put", "patch", "delete"])
def test_an_idempotency_key_is_answered_the_same_whatever_happened_since(
    open_account: OpenAccount, channel: Channel, change: Replace | Merge | Remove
) -> None:
    account = open_account(100)
    hand, other = Hand(account, channel), Hand(account, Channel.PERSON)
    other(Replace({"before": True}))
    first = hand(change, idempotency_key="k-1")
    assert isinstance(first, Edited)
    consumed = account.balance().consumed

    other(Replace({"since": True}))
    account.clock.advance(days=90)
    again = hand(change, idempotency_key="k-1")

    assert again == Replayed(first.paid.operation.operation_id, told(first.decision))
    assert account.balance().consumed == consumed
    record = record_of(account)
    assert record is not None
    assert record.attributes == {"since": True}
    assert isinstance(hand(Replace({"n": 2}), idempotency_key="k-2"), Edited)
    assert isinstance(hand(Replace({"n": 3}), idempotency_key="k-2"), OperationIdReused)
    record = record_of(account)
    assert record is not None
    assert record.attributes == {"n": 2}


def test_a_retry_finds_itself_when_it_spent_the_last_credit(open_account: OpenAccount) -> None:
    account = open_account(2)
    by_key = Hand(account)
    assert cost(by_key(Replace({"n": 1}), idempotency_key="k")) == 2
    assert isinstance(by_key(Replace({"n": 1}), idempotency_key="k"), Replayed)
    assert isinstance(by_key(Replace({"n": 1})), OutOfCredits)


def test_the_same_request_delivered_twice_is_one(open_account: OpenAccount) -> None:
    account = open_account(100)
    by_key = Hand(account)
    wish = by_key.wish(Merge({"n": 2}))
    Hand(account, Channel.PERSON)(Replace({"n": 1}))
    first = by_key.send(wish)
    assert isinstance(first, Edited)
    assert by_key.send(wish) == Replayed(first.paid.operation.operation_id, None)
    assert account.balance().consumed == 2


def test_one_key_used_at_once_from_many_places_writes_once(open_account: OpenAccount) -> None:
    account = open_account(100)
    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(lambda _: Hand(account)(Replace({"n": 1}), idempotency_key="k"), range(8)))
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Edited"] + ["Replayed"] * 7
    record = record_of(account)
    assert record is not None
    assert (record.version, account.balance().consumed) == (1, 2)
    assert len({outcome.answer for outcome in outcomes if isinstance(outcome, Replayed)}) == 1


def test_an_answer_that_is_lost_on_the_way_is_asked_for_again_and_charged_once(open_account: OpenAccount) -> None:
    account = open_account(100)
    client = account.world.dynamodb()
    lost = iter([answer_lost])
    Line(client, script=lambda _index, operation: next(lost, None) if operation == "TransactWriteItems" else None)
    assert cost(Hand(account, dynamodb=client)(Replace({"n": 1}))) == 2
    record = record_of(account)
    assert record is not None
    assert (record.version, account.balance().consumed) == (1, 2)


def test_an_answer_too_large_to_be_remembered_needs_no_key(open_account: OpenAccount) -> None:
    account = open_account(100)
    by_hand = Hand(account, Channel.PERSON)
    fill_catalogue(account, {("product", "a"): {"text": "x" * 200_000}})
    room = EditingRoom(
        catalog=account.world.catalog(), ledger=account.ledger(), prices=PriceList(), clock=account.clock
    )
    large = edit_record(room, by_hand.wish(Merge({"n": 1}), idempotency_key="k"), lambda _: "x" * 409_000)
    assert isinstance(large, TooLarge)
    assert large.what == "answer"
    assert isinstance(by_hand(Merge({"n": 1})), Edited)


# --- at the same time ---


def test_a_change_in_between_is_seen_and_the_edit_made_on_top_of_it(open_account: OpenAccount) -> None:
    account = open_account(100)
    client = account.world.dynamodb()
    by_key, by_hand = Hand(account, dynamodb=client), Hand(account, Channel.PERSON)
    by_hand(Replace({"title": "Drill", "price": 1}))
    faults = iter([meanwhile(lambda: by_hand(Merge({"note": "mine"})))])
    line = Line(client)
    line.script = lambda _index, operation: next(faults, None) if operation == "TransactWriteItems" else None
    outcome = by_key(Merge({"price": 2}))
    assert cost(outcome) == 2
    record = record_of(account)
    assert record is not None
    assert (record.attributes, record.version) == ({"title": "Drill", "price": 2, "note": "mine"}, 3)
    # The refusal brought along what stands there now: nothing is read again.
    assert line.requests.count("TransactWriteItems") == 2
    assert account.balance().consumed == 2


@pytest.mark.parametrize(
    ("change", "expected", "meanwhile_it_is", "outcome"),
    [
        (Merge({"n": 2}), Expectation(), "deleted", NoSuchRecord),
        (Remove(), Expectation(), "deleted", NoSuchRecord),
        (Remove(), Expectation(), "changed", Edited),
        (Replace({"n": 2}), Expectation(), "deleted", Edited),
        (Replace({"n": 2}), Expectation(match=frozenset({RecordVersion(1)})), "changed", NotAsExpected),
        (Replace({"n": 2}), Expectation(match=frozenset({RecordVersion(1)})), "deleted", NotAsExpected),
        (Merge({"n": 2}), Expectation(match=frozenset({RecordVersion(1)})), "changed", NotAsExpected),
        (Remove(), Expectation(match=frozenset({RecordVersion(1)})), "changed", NotAsExpected),
    ],
)
def test_what_was_expected_is_judged_on_what_stands_there_when_it_is_written(
    open_account: OpenAccount,
    change: Replace | Merge | Remove,
    expected: Expectation,
    meanwhile_it_is: str,
    outcome: type,
) -> None:
    account = open_account(100)
    client = account.world.dynamodb()
    by_hand = Hand(account, Channel.PERSON)
    by_hand(Replace({"n": 1}))
    faults = iter([meanwhile(lambda: by_hand(Remove() if meanwhile_it_is == "deleted" else Merge({"by": "hand"})))])
    Line(client, script=lambda _index, operation: next(faults, None) if operation == "TransactWriteItems" else None)
    assert isinstance(Hand(account, dynamodb=client)(change, expected=expected), outcome)
    if outcome is not Edited:
        assert account.balance().consumed == 0


def test_two_that_create_only_create_one(open_account: OpenAccount) -> None:
    account = open_account(100)
    create = Expectation(none_match="*")
    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(lambda n: Hand(account)(Replace({"n": n}), expected=create), range(8)))
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Edited"] + ["NotAsExpected"] * 7
    assert account.balance().consumed == 2


def test_many_who_change_one_record_at_once_lose_nobody_s_change(open_account: OpenAccount) -> None:
    account = open_account(1000)
    channels = [Channel.API, Channel.PERSON]
    Hand(account, Channel.PERSON)(Replace({}))

    def change(n: int) -> EditOutcome:
        return Hand(account, channels[n % 2])(Merge({f"a{n}": n}))

    with ThreadPoolExecutor(6) as pool:
        outcomes = list(pool.map(change, range(24)))
    assert sum(cost(outcome) for outcome in outcomes) == 24
    record = record_of(account)
    assert record is not None
    assert (record.attributes, record.version) == ({f"a{n}": n for n in range(24)}, 25)
    assert account.balance().consumed == 24
    account.check_the_figures(account.balance(), account.operations())


def test_a_record_that_never_stands_still_is_given_up_uncharged(open_account: OpenAccount) -> None:
    account = open_account(100)
    client = account.world.dynamodb()
    by_hand = Hand(account, Channel.PERSON)
    by_hand(Replace({"n": 0}))
    ever_other = meanwhile(lambda: by_hand(Merge({"n": by_hand.calls})))
    Line(client, script=lambda _index, operation: ever_other if operation == "TransactWriteItems" else None)
    assert isinstance(Hand(account, dynamodb=client)(Merge({"mine": 1})), Stale)
    record = record_of(account)
    assert record is not None
    assert "mine" not in record.attributes
    assert account.balance().consumed == 0


def test_a_record_made_again_is_not_taken_for_the_one_that_was_deleted(open_account: OpenAccount) -> None:
    account = open_account(100)
    client = account.world.dynamodb()
    by_hand = Hand(account, Channel.PERSON)
    by_hand(Replace({"n": 1, "old": True}))

    def made_again() -> None:
        by_hand(Remove())
        account.clock.advance(milliseconds=1)
        by_hand(Replace({"n": 7}))

    faults = iter([meanwhile(made_again)])
    Line(client, script=lambda _index, operation: next(faults, None) if operation == "TransactWriteItems" else None)
    # Both are at version 1.
    assert isinstance(Hand(account, dynamodb=client)(Merge({"price": 2})), Edited)
    record = record_of(account)
    assert record is not None
    assert (record.attributes, record.version) == ({"n": 7, "price": 2}, 2)


# --- beside an import ---


def test_people_edit_while_an_import_writes_the_same_records_and_neither_loses_anything(
    open_account: OpenAccount,
) -> None:
    feed = a_feed(300)
    story = Import.start(open_account(1000), feed)
    account = story.account
    client = account.world.dynamodb()
    by_hand = Hand(account, Channel.PERSON)
    edited = {"p0": 0, "p50": 0, "p120": 0, "p280": 0}

    def edit_them_all() -> None:
        """At each commit of the import, a person writes into its records: those to come, and those that are done."""
        for key, times in list(edited.items()):
            note = edited[key] = times + 1
            outcome = by_hand(Merge({"note": note}), key)
            if outcome == NoSuchRecord():
                outcome = by_hand(Replace({"note": note}), key)
            assert isinstance(outcome, Edited)
            if key == "p120":
                # And once more from nothing: deleted, and made again.
                assert isinstance(by_hand(Remove(), key), Edited)
                account.clock.advance(milliseconds=1)
                assert isinstance(by_hand(Replace({"note": note}), key), Edited)

    commits = iter(range(5))
    busy = meanwhile(edit_them_all)
    Line(
        client,
        script=lambda _index, operation: (
            busy if operation == "TransactWriteItems" and next(commits, None) is not None else None
        ),
    )
    assert story.work(client).state is RunState.FINISHED

    for (entity, key), wanted in feed.items():
        record = account.world.catalog().get(account.workspace_id, entity, key)
        assert record is not None
        if key == "p120" and edited[key] > 2:
            # Made again after the import had passed: it is what the person made.
            assert record.attributes["note"] == edited[key]
        elif entity == "product" and key in edited:
            assert record.attributes == wanted | {"note": edited[key]}
        else:
            assert record.attributes == wanted
    # People paid nothing, and the import exactly one for each of its records.
    assert (account.balance().consumed, story.now().totals.credits) == (300, 300)
    account.check_the_figures(account.balance(), account.operations())


def test_an_import_that_writes_while_a_person_edits_is_seen_by_the_person(open_account: OpenAccount) -> None:
    feed = a_feed(120)
    account = open_account(1000)
    Hand(account, Channel.PERSON)(Replace({"title": "older", "note": "ours"}), "p10")
    story = Import.start(account, feed)
    client = account.world.dynamodb()
    faults = iter([meanwhile(story.work)])
    Line(client, script=lambda _index, operation: next(faults, None) if operation == "TransactWriteItems" else None)
    assert isinstance(Hand(account, Channel.PERSON, client)(Merge({"note": "mine"}), "p10"), Edited)
    record = record_of(account, "p10")
    assert record is not None
    assert (record.attributes, record.version) == (feed["product", "p10"] | {"note": "mine"}, 3)
    assert record.operation_id is None
    assert account.balance().consumed == 120
