"""Thresholds are crossed once each, by whichever charge crosses them, however many spend at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from shared import keys
from shared.credits import Committed, GrantKind, OutOfCredits
from shared.credits.levels import crossed, level_of
from tests.support.money import Account, World, plain_dynamodb


@pytest.fixture(scope="module")
def told(world: World) -> Iterator[Callable[[Account], list[tuple[int, int]]]]:
    """The levels before and after each change of an account's balance in which its level changed, from the stream."""
    client = plain_dynamodb(world)
    client.update_table(
        TableName=world.credit_table,
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    )
    streams = world.client("dynamodbstreams")
    arn = client.describe_table(TableName=world.credit_table)["Table"]["LatestStreamArn"]

    def changes(account: Account) -> list[tuple[int, int]]:
        found = []
        key = keys.balance(account.workspace_id).attributes()
        for record in _records(streams, arn):
            if record["dynamodb"]["Keys"] == key and "OldImage" in record["dynamodb"]:
                before, after = (int(record["dynamodb"][image]["level"]["N"]) for image in ("OldImage", "NewImage"))
                if before != after:
                    found.append((before, after))
        return found

    yield changes
    client.update_table(TableName=world.credit_table, StreamSpecification={"StreamEnabled": False})


def _records(streams: Any, arn: str) -> Iterator[dict[str, Any]]:
    for shard in streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]:
        iterator = streams.get_shard_iterator(
            StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        while iterator:
            page = streams.get_records(ShardIterator=iterator)
            yield from page["Records"]
            iterator = page.get("NextShardIterator") if page["Records"] else None


def test_a_drain_crosses_each_threshold_in_one_charge(
    open_account: Callable[[int], Account], told: Callable[[Account], list[tuple[int, int]]]
) -> None:
    account = open_account(200)
    ledgers = [account.ledger() for _ in range(8)]

    def spend(worker: int) -> int:
        spent = 0
        while isinstance(ledgers[worker].commit(account.plan(f"{worker}-{spent}", 1)), Committed):
            spent += 1
        return spent

    with ThreadPoolExecutor(len(ledgers)) as pool:
        assert sum(pool.map(spend, range(len(ledgers)))) == 200
    assert told(account) == [(100, 50), (50, 20), (20, 5)]
    account.check_the_books()


def test_one_charge_may_cross_several_at_once(
    open_account: Callable[[int], Account], told: Callable[[Account], list[tuple[int, int]]]
) -> None:
    account = open_account(100)
    assert isinstance(account.ledger().commit(account.plan("most", 90)), Committed)
    assert told(account) == [(100, 20)]
    assert crossed(100, 20) == (50, 20)


def test_a_top_up_begins_anew(
    open_account: Callable[[int], Account], told: Callable[[Account], list[tuple[int, int]]]
) -> None:
    account = open_account(10)
    ledger = account.ledger()
    ledger.commit(account.plan("first", 10))
    ledger.grant(account.a_grant("more", 40, GrantKind.PAID))
    ledger.commit(account.plan("second", 21))
    assert told(account) == [(100, 5), (5, 100), (100, 50)]
    assert account.balance().base == 40


def test_a_view_that_is_old_crosses_nothing_twice(
    open_account: Callable[[int], Account], told: Callable[[Account], list[tuple[int, int]]]
) -> None:
    account = open_account(100)
    slow, quick = account.ledger(), account.ledger()
    slow.commit(account.plan("slow first", 1))
    for number in range(60):
        quick.commit(account.plan(f"quick {number}", 1))
    # It still sees 99 credits, of which it takes it to 89: above every threshold, so it believes.
    assert isinstance(slow.commit(account.plan("slow second", 10)), Committed)
    assert told(account) == [(100, 50)]
    balance = account.balance()
    assert (balance.available, balance.level) == (29, level_of(29, 100))


def test_a_view_that_is_old_still_lowers_the_level(open_account: Callable[[int], Account]) -> None:
    account = open_account(100)
    slow, quick = account.ledger(), account.ledger()
    slow.commit(account.plan("slow first", 1))
    quick.commit(account.plan("quick", 45))
    slow.commit(account.plan("slow second", 10))
    balance = account.balance()
    assert (balance.available, balance.level) == (44, 50)


def test_charges_that_cost_no_refused_request(open_account: Callable[[int], Account]) -> None:
    account = open_account(100)
    client = account.world.dynamodb()
    sent: list[str] = []
    client.meta.events.register(
        "before-send.dynamodb.*", lambda request, **_: sent.append(request.headers["X-Amz-Target"].decode())
    )
    ledger = account.ledger(client)
    for number in range(100):
        assert isinstance(ledger.commit(account.plan(f"{number}", 1)), Committed)
    assert sent.count("DynamoDB_20120810.TransactWriteItems") == 100
    assert isinstance(ledger.commit(account.plan("one more", 1)), OutOfCredits)
