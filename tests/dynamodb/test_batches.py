"""Batches of records against DynamoDB: what they cost, that they are one transaction, and how they repeat and race."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from shared.catalog import Record
from shared.credits import Action, Channel, OperationIdReused, OutOfCredits, PriceList, Replayed, UnknownWorkspace
from shared.edits import (
    ANY_VERSION,
    MAX_BATCH,
    Batch,
    BatchEdited,
    BatchItem,
    BatchOutcome,
    Change,
    Decision,
    EditingRoom,
    Expectation,
    Merge,
    NoSuchRecord,
    NotAsExpected,
    RecordVersion,
    Refused,
    Remove,
    Replace,
    TooLarge,
    edit_batch,
)
from tests.support.faults import Line, Send, answer_lost, half_unprocessed
from tests.support.imports import edit_by_hand, fill_catalogue
from tests.support.money import Account, plain_dynamodb

if TYPE_CHECKING:
    from botocore.awsrequest import AWSPreparedRequest, AWSResponse
    from mypy_boto3_dynamodb import DynamoDBClient

OpenAccount = Callable[[int], Account]


def put(key: str, **attributes: Any) -> BatchItem:
    return BatchItem(key=key, change=Replace(attributes))


class Sender:
    """Somebody who sends batches."""

    def __init__(
        self, account: Account, channel: Channel = Channel.API, dynamodb: DynamoDBClient | None = None
    ) -> None:
        self.account = account
        self.channel = channel
        self.dynamodb = dynamodb or plain_dynamodb(account.world)

    def __call__(self, *items: BatchItem, idempotency_key: str | None = None, **more: Any) -> BatchOutcome:
        account = self.account
        room = EditingRoom(
            catalog=account.world.catalog(self.dynamodb),
            ledger=account.ledger(self.dynamodb),
            prices=PriceList(),
            clock=account.clock,
        )
        wanted: dict[str, Any] = {
            "workspace_id": account.workspace_id,
            "entity": "product",
            "items": items,
            "channel": self.channel,
            "request_id": uuid4().hex,
            "requested_at": account.clock(),
            "idempotency_key": idempotency_key,
        }
        return edit_batch(room, Batch(**(wanted | more)), told)


def told(results: Sequence[Decision | Refused]) -> str:
    return json.dumps([kind(result) for result in results])


def kind(result: Decision | Refused) -> str:
    return result.change.value if isinstance(result, Decision) else type(result).__name__


def kinds(outcome: BatchOutcome) -> list[str]:
    assert isinstance(outcome, BatchEdited), outcome
    return [kind(result) for result in outcome.results]


def cost(outcome: BatchOutcome) -> int:
    assert isinstance(outcome, BatchEdited), outcome
    return outcome.paid.operation.credits


def catalogue(account: Account) -> dict[str, Record]:
    return {key: record for (_, key), record in account.records("product").items()}


def test_a_batch_costs_its_call_and_what_really_changes(open_account: OpenAccount) -> None:
    account = open_account(100)
    send = Sender(account)
    assert cost(send(*(put(f"p{n}", n=n) for n in range(5)))) == 6
    outcome = send(
        put("p0", n=0),
        put("p1", n=100),
        BatchItem(key="p2", change=Merge({"n": None, "m": 1})),
        BatchItem(key="p3", change=Remove()),
        put("new"),
        BatchItem(key="none", change=Remove()),
    )
    assert kinds(outcome) == ["nothing", "update", "update", "delete", "create", "NoSuchRecord"]
    assert cost(outcome) == 4
    assert isinstance(outcome, BatchEdited)
    assert outcome.paid.operation.actions == {
        Action.API_CALL: 1,
        Action.RECORD_CREATED: 1,
        Action.RECORD_UPDATED: 2,
    }
    found = catalogue(account)
    assert {key: dict(record.attributes) for key, record in found.items()} == {
        "p0": {"n": 0},
        "p1": {"n": 100},
        "p2": {"m": 1},
        "p4": {"n": 4},
        "new": {},
    }
    assert found["p1"].operation_id == outcome.paid.operation.operation_id
    assert found["p0"].operation_id != found["p1"].operation_id
    account.check_the_figures(account.balance(), account.operations())


def test_a_full_batch_is_one_read_and_one_transaction(open_account: OpenAccount) -> None:
    account = open_account(MAX_BATCH + 1)
    client = account.world.dynamodb()
    line = Line(client)
    outcome = Sender(account, dynamodb=client)(*(put(f"p{n}") for n in range(MAX_BATCH)), idempotency_key="all")
    assert cost(outcome) == MAX_BATCH + 1
    assert line.requests == ["BatchGetItem", "TransactWriteItems"]
    assert (account.balance().available, len(catalogue(account))) == (0, MAX_BATCH)


def test_short_of_credits_nothing_is_written(open_account: OpenAccount) -> None:
    account = open_account(3)
    send = Sender(account)
    items = [put(f"p{n}") for n in range(3)]
    assert send(*items) == OutOfCredits(4, 3, 0)
    assert (catalogue(account), account.balance().available, account.operations()) == ({}, 3, [])
    assert cost(send(*items[:2])) == 3


def test_what_is_refused_keeps_no_other_from_being_written(open_account: OpenAccount) -> None:
    account = open_account(100)
    send = Sender(account)
    send(put("a", n=1))
    outcome = send(
        BatchItem(key="a", change=Replace({"n": 2}), expected=Expectation(match=frozenset({RecordVersion(7)}))),
        BatchItem(key="b", change=Replace({}), expected=Expectation(match=ANY_VERSION)),
        BatchItem(key="c", change=Merge({"n": 1})),
        put("d", text="x" * 410_000),
        put("e"),
    )
    assert isinstance(outcome, BatchEdited)
    assert isinstance(outcome.results[0], NotAsExpected)
    assert outcome.results[1:3] == (NotAsExpected(None), NoSuchRecord())
    assert isinstance(outcome.results[3], TooLarge)
    assert cost(outcome) == 2
    assert set(catalogue(account)) == {"a", "e"}


def test_a_batch_larger_than_a_transaction_is_refused(open_account: OpenAccount) -> None:
    account = open_account(100)
    send = Sender(account)
    fill_catalogue(account, {("product", f"p{n}"): {"text": "x" * 390_000} for n in range(10)})
    before = account.balance()
    outcome = send(*(BatchItem(key=f"p{n}", change=Merge({"n": 1})) for n in range(10)))
    assert isinstance(outcome, TooLarge)
    assert outcome.what == "batch"
    assert account.balance() == before
    assert cost(send(*(BatchItem(key=f"p{n}", change=Merge({"n": 1})) for n in range(8)))) == 9


def test_a_persons_batch_costs_its_records_and_not_its_call(open_account: OpenAccount) -> None:
    account = open_account(2)
    by_hand = Sender(account, Channel.PERSON)
    outcome = by_hand(put("a"), put("b"))
    assert cost(outcome) == 2
    assert catalogue(account)["a"].operation_id is not None
    # What changes nothing costs nothing, and a deletion is only a call.
    assert cost(by_hand(put("a"))) == 0
    assert cost(by_hand(BatchItem(key="b", change=Remove()))) == 0
    assert by_hand(put("c")) == OutOfCredits(1, 0, 0)
    account.check_the_figures(account.balance(), account.operations())


def test_a_key_that_is_sent_again_is_answered_the_same_and_free(open_account: OpenAccount) -> None:
    account = open_account(100)
    send = Sender(account)
    first = send(put("a"), put("b"), idempotency_key="one")
    assert isinstance(first, BatchEdited)
    again = send(put("a"), put("b"), idempotency_key="one")
    assert again == Replayed(first.paid.operation.operation_id, '["create", "create"]')
    for other in ([put("a")], [put("b"), put("a")], [put("a"), put("b", n=1)]):
        assert send(*other, idempotency_key="one") == OperationIdReused(first.paid.operation.operation_id)
    conditional = BatchItem(key="b", change=Replace({}), expected=Expectation(none_match=ANY_VERSION))
    assert isinstance(send(put("a"), conditional, idempotency_key="one"), OperationIdReused)
    assert account.balance().consumed == 3


def test_twenty_senders_of_one_key_write_once(open_account: OpenAccount) -> None:
    account = open_account(100)
    with ThreadPoolExecutor(20) as pool:
        outcomes = list(
            pool.map(lambda _: Sender(account)(put("a"), put("b"), idempotency_key="one"), range(20)),
        )
    assert sum(isinstance(outcome, BatchEdited) for outcome in outcomes) == 1
    assert sum(isinstance(outcome, Replayed) for outcome in outcomes) == 19
    assert account.balance().consumed == 3
    assert {record.version for record in catalogue(account).values()} == {1}


def test_an_answer_that_is_lost_is_found_again(open_account: OpenAccount) -> None:
    account = open_account(100)
    client = account.world.dynamodb()
    Line(client, script=lambda index, _operation: answer_lost if index == 1 else None)
    # botocore sends the transaction again; the second finds the first.
    outcome = Sender(account, dynamodb=client)(put("a"), idempotency_key="one")
    assert isinstance(outcome, BatchEdited | Replayed)
    assert account.balance().consumed == 2
    assert catalogue(account)["a"].version == 1


def test_batches_that_cross_lose_nothing(open_account: OpenAccount) -> None:
    account = open_account(1_000)
    keys = [f"p{n}" for n in range(6)]
    send = Sender(account)
    send(*(put(key, n=0) for key in keys))

    def add(number: int) -> BatchOutcome:
        # In both orders, so that they meet.
        ordered = keys if number % 2 else keys[::-1]
        return Sender(account)(*(BatchItem(key=key, change=Merge({f"by_{number}": number})) for key in ordered))

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(add, range(8)))
    assert all(isinstance(outcome, BatchEdited) for outcome in outcomes), outcomes
    for record in catalogue(account).values():
        assert dict(record.attributes) == {"n": 0} | {f"by_{number}": number for number in range(8)}
        assert record.version == 9
    assert account.balance().consumed == 7 + 8 * 7
    account.check_the_figures(account.balance(), account.operations())


def test_what_changed_meanwhile_is_decided_anew_and_nothing_else(open_account: OpenAccount) -> None:
    account = open_account(1_000)
    Sender(account)(put("same", n=0), put("raced", n=0), put("quiet", n=0))
    client = account.world.dynamodb()

    def meanwhile(_request: AWSPreparedRequest, send: Send) -> AWSResponse:
        edit_by_hand(account, ("product", "raced"), {"n": 0, "by_hand": True})
        return send()

    Line(client, script=lambda index, _operation: meanwhile if index == 1 else None)
    # The first of them is written nothing of, so that places in the batch and in the transaction differ.
    outcome = Sender(account, dynamodb=client)(
        put("same", n=0),
        BatchItem(key="raced", change=Merge({"n": 1})),
        BatchItem(key="quiet", change=Merge({"n": 2})),
    )
    assert kinds(outcome) == ["nothing", "update", "update"]
    found = {key: dict(record.attributes) for key, record in catalogue(account).items()}
    assert found == {"same": {"n": 0}, "raced": {"n": 1, "by_hand": True}, "quiet": {"n": 2}}
    assert cost(outcome) == 3


def test_records_that_are_left_unread_are_read_again(open_account: OpenAccount) -> None:
    account = open_account(1_000)
    Sender(account)(*(put(f"p{n}", n=n) for n in range(20)))
    client = account.world.dynamodb()
    line = Line(client, script=lambda index, _operation: half_unprocessed if index < 2 else None)
    outcome = Sender(account, dynamodb=client)(*(put(f"p{n}", n=n) for n in range(20)))
    assert kinds(outcome) == [Change.NOTHING.value] * 20
    assert line.requests == ["BatchGetItem"] * 3 + ["TransactWriteItems"]


def test_a_workspace_that_is_none_is_said_to_be_none(open_account: OpenAccount) -> None:
    account = open_account(10)
    assert Sender(account)(put("a"), workspace_id="ws_none") == UnknownWorkspace("ws_none")
