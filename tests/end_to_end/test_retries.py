"""A client behind a bad network, which sends everything again until it is answered: each write is done once and charged
once, whatever was lost, doubled or late on the way.
"""

from __future__ import annotations

import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from productsync.client import Client
from productsync.transport import Backoff
from tests.support.api import DEFINITION, Caller, define, law_4, upload, wait
from tests.support.books import Books
from tests.support.proxy import BadNetwork, Fate

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from productsync.answers import RecordChange
    from tests.support.stack import Tables

pytestmark = pytest.mark.slow

SEED = 5
LANES = 8
WRITES = {"record": 840, "batch": 60, "run": 30, "top-up": 30, "feed": 24, "key": 16}
KEYS_OF_A_LANE = 6

Attributes = dict[str, Any]


@dataclass
class Lane:
    """One thread's writes, one after the other, and what has come of them: its model knows nothing of retries."""

    number: int
    client: Client
    workspace_id: str
    upload_id: str
    luck: random.Random
    records: dict[tuple[str, str], tuple[Attributes, int]] = field(default_factory=dict)
    feeds: dict[str, int] = field(default_factory=dict)
    runs: list[str] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    cost: int = 0
    bought: int = 0
    operations: list[str | None] = field(default_factory=list)
    replayed: int = 0

    def write(self, kind: str, number: int) -> None:
        write: Callable[[str], Any] = {
            "record": self._record,
            "batch": self._batch,
            "run": self._run,
            "top-up": self._top_up,
            "feed": self._feed,
            "key": self._key,
        }[kind]
        answer = write(f"{kind}-{self.number}-{number}")
        if kind in {"record", "batch", "run"}:
            self.operations.append(answer.operation_id)
        self.replayed += answer.replayed

    def _record(self, idempotency_key: str) -> Any:
        name = ("single", f"{self.number}/{self.luck.randrange(KEYS_OF_A_LANE)}")
        change = self._change(name)
        seen = self.records.get(name)
        # Some say which version they go by: that they moved it themselves must not be held against their retries.
        version = self.luck.choice([None, seen[1] if seen else None])
        records, attributes = self.client.records, change.get("attributes", {})
        self.cost += 1 + self._apply("single", change)
        match change["method"]:
            case "PUT":
                return records.put(*name, attributes, if_version=version, idempotency_key=idempotency_key)
            case "PATCH":
                return records.patch(*name, attributes, if_version=version, idempotency_key=idempotency_key)
            case _:
                return records.delete(*name, if_version=version, idempotency_key=idempotency_key)

    def _batch(self, idempotency_key: str) -> Any:
        changes = [self._change(("bulk", f"{self.number}/{n}")) for n in range(self.luck.randint(2, KEYS_OF_A_LANE))]
        self.cost += 1 + sum(self._apply("bulk", change) for change in changes)
        return self.client.records.push("bulk", changes, idempotency_key=idempotency_key)

    def _run(self, idempotency_key: str) -> Any:
        dry_run = self.luck.random() < 0.5
        answer = self.client.runs.start("main", self.upload_id, dry_run=dry_run, idempotency_key=idempotency_key)
        self.cost += 0 if dry_run else 1
        self.runs.append(answer.body["run_id"])
        return answer

    def _top_up(self, idempotency_key: str) -> Any:
        credits = self.luck.randint(1, 50)
        self.bought += credits
        order = {"credits": credits, "unit_price": "0.01", "reference": idempotency_key}
        return self.client.workspaces.top_up(self.workspace_id, order, idempotency_key=idempotency_key)

    def _feed(self, idempotency_key: str) -> Any:
        feed_id = f"feed-{self.number}"
        self.feeds[feed_id] = self.feeds.get(feed_id, 0) + 1
        return self.client.feeds.put(feed_id, DEFINITION, idempotency_key=idempotency_key)

    def _key(self, idempotency_key: str) -> Any:
        self.keys.append(idempotency_key)
        return self.client.keys.create(idempotency_key, ["read"], idempotency_key=idempotency_key)

    def _change(self, name: tuple[str, str]) -> RecordChange:
        """Something that can be done with the record as it is."""
        _, key = name
        if name not in self.records:
            return {"key": key, "method": "PUT", "attributes": {"n": self.luck.randrange(100)}}
        method = self.luck.choice(["PUT", "PATCH", "PATCH", "DELETE"])
        if method == "PUT":
            return {"key": key, "method": "PUT", "attributes": {"n": self.luck.randrange(3)}}
        if method == "PATCH":
            return {"key": key, "method": "PATCH", "attributes": {f"a{self.luck.randrange(3)}": self.luck.randrange(3)}}
        return {"key": key, "method": "DELETE"}

    def _apply(self, entity: str, change: RecordChange) -> int:
        """Does it to the model; the credits that the record costs."""
        name = (entity, change["key"])
        before, version = self.records.get(name, ({}, 0))
        if change.get("method") == "DELETE":
            del self.records[name]
            return 0
        after = dict(change.get("attributes", {}))
        if change.get("method") == "PATCH":
            after = before | after
        if version and after == before:
            return 0
        self.records[name] = (after, version + 1)
        return 1


def plan_of(lane: int) -> Iterator[tuple[str, int]]:
    """What a lane is to write, in its order: its share of each kind."""
    writes = [
        (kind, number)
        for kind, count in WRITES.items()
        for number in range(count)
        if (number + len(kind)) % LANES == lane
    ]
    random.Random(f"{SEED} {lane}").shuffle(writes)
    yield from writes


def test_a_client_that_sends_everything_again_does_each_write_once(
    operator: Caller,
    customer: Caller,
    dynamodb: DynamoDBClient,
    tables: Tables,
    capsys: pytest.CaptureFixture[str],
) -> None:
    define(customer)
    upload_id = upload(customer)
    # Three retries: with the first, as often as the network lets nothing through, and once more.
    backoff = Backoff(attempts=4, base=0.01, limit=0.1)
    with (
        BadNetwork(operator.endpoint, SEED) as network,
        Client.at(network.endpoint, api_key=customer.key, operator_key=operator.key, backoff=backoff) as client,
    ):
        lanes = [
            Lane(number, client, customer.workspace_id, upload_id, random.Random(f"{SEED} lane {number}"))
            for number in range(LANES)
        ]

        def drive(lane: Lane) -> None:
            for kind, number in plan_of(lane.number):
                lane.write(kind, number)

        with ThreadPoolExecutor(LANES) as pool:
            list(pool.map(drive, lanes))
        network.deliver_the_rest()

    replayed = sum(lane.replayed for lane in lanes)
    sent = sum(network.counts.values())
    fates = "".join(f"\n  {count:5} {fate.value}" for fate, count in network.counts.most_common())
    with capsys.disabled():
        sys.stdout.write(f"\n1,000 writes took {sent:,} requests, and {replayed} were answered by replays:{fates}\n")
    assert sum(WRITES.values()) == 1000
    assert all(network.counts[fate] > 20 for fate in Fate)
    check(customer, lanes, Books(customer.workspace_id, dynamodb, tables))


def check(customer: Caller, lanes: list[Lane], books: Books) -> None:
    """That everything is as if the network had been a good one."""
    runs = check_runs(customer, lanes, books)
    check_charges(customer, lanes, books, runs)
    assert {
        each["feed_id"]: each["version"] for each in everything(customer, "/feeds") if each["feed_id"] != "main"
    } == {feed_id: version for lane in lanes for feed_id, version in lane.feeds.items()}
    named = Counter(key["name"] for key in everything(customer, "/keys"))
    assert {name: named[name] for lane in lanes for name in lane.keys} == dict.fromkeys(
        [name for lane in lanes for name in lane.keys], 1
    )
    # Last, since it costs.
    assert {
        (entity, record["key"]): (record["attributes"], record["version"])
        for entity in ("single", "bulk")
        for record in everything(customer, f"/records/{entity}")
    } == {name: record for lane in lanes for name, record in lane.records.items()}
    books.audit()


def check_runs(customer: Caller, lanes: list[Lane], books: Books) -> list[dict[str, Any]]:
    listed = [run["run_id"] for run in everything(customer, "/feeds/main/runs")]
    assert sorted(listed) == sorted(run_id for lane in lanes for run_id in lane.runs)
    runs = [wait(customer, run_id) for run_id in listed]
    assert {run["state"] for run in runs} == {"finished"}
    # They all import the same three records.
    assert books.records("product") == sum(run["created"] for run in runs if not run["dry_run"]) == 3
    return runs


def check_charges(customer: Caller, lanes: list[Lane], books: Books, runs: list[dict[str, Any]]) -> None:
    bought = sum(lane.bought for lane in lanes)
    imported = sum(run["credits"] for run in runs if not run["dry_run"])
    cost = sum(lane.cost for lane in lanes) + imported
    account = law_4(customer)
    assert account["granted"] == 5000 + bought
    assert account["consumed"] == cost
    assert account["available"] == 5000 + bought - cost
    # Each write is one operation, and each answer named its own.
    named = [operation for lane in lanes for operation in lane.operations]
    assert None not in named
    logged = [entry for entry in books.log() if entry.kind == "api_call"]
    assert Counter(entry.operation_id for entry in logged) == Counter(named)
    assert len(named) == WRITES["record"] + WRITES["batch"] + WRITES["run"]
    assert sum(entry.credits for entry in books.log()) == cost


def everything(customer: Caller, path: str) -> list[dict[str, Any]]:
    """All items of a listing."""
    items, cursor = [], ""
    while True:
        page = customer.get(f"{path}?limit=100{cursor}")
        items += page["items"]
        if page["next_cursor"] is None:
            return items
        cursor = f"&cursor={page['next_cursor']}"
