"""A workspace with rules, on tables that nobody listens to: what its stream has is delivered by the test."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

from shared.catalog import Record, to_record
from shared.credits import Channel, Operation, OperationKind, PriceList, RefusalReason
from shared.edits import Edit, Edited, EditingRoom, Merge, Remove, Replace, edit_record
from shared.keys import Item
from shared.rules.backlog import BacklogRoom, BacklogStore, DrainOutcome, act, drain
from shared.rules.changes import change_between, merged
from shared.rules.definition import RuleDefinition
from shared.rules.firing import FiringRoom, RuleLimits
from shared.rules.meters import Meter, MeterStore
from shared.rules.model import Change, Rule
from shared.rules.store import RuleStore
from tests.support.money import AT_ONCE, Account, World, plain_dynamodb

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

LIMITS = RuleLimits(max_depth=5, firings_per_hour=100_000)


def definition(**parts: Any) -> RuleDefinition:
    """A rule on products, created and updated, unless told otherwise."""
    given = {"entity": "product", "trigger": {"on": ["created", "updated"]}} | parts
    return RuleDefinition.model_validate(given)


def setting(name: str, expression: str, **parts: Any) -> RuleDefinition:
    """A rule that sets one attribute to what an expression gives."""
    return definition(actions=[{"set": name, "to": {"expression": expression}}], **parts)


class Stream:
    """What the stream of the quiet catalogue table holds, sorted by workspace as it is read."""

    def __init__(self, world: World) -> None:
        self._client = world.client("dynamodbstreams")
        table = plain_dynamodb(world).describe_table(TableName=world.catalog_table)["Table"]
        self._arn = table["LatestStreamArn"]
        self._iterators: dict[str, str] = {}
        self._unread: dict[str, list[dict[str, Any]]] = {}

    def take(self, workspace_id: str) -> list[dict[str, Any]]:
        """The workspace's records since the last call, as Lambda is given them."""
        for shard in self._client.describe_stream(StreamArn=self._arn)["StreamDescription"]["Shards"]:
            self._read(shard["ShardId"])
        return self._unread.pop(workspace_id, [])

    def _read(self, shard_id: str) -> None:
        if shard_id not in self._iterators:
            self._iterators[shard_id] = self._client.get_shard_iterator(
                StreamArn=self._arn, ShardId=shard_id, ShardIteratorType="TRIM_HORIZON"
            )["ShardIterator"]
        while True:
            answer = self._client.get_records(ShardIterator=self._iterators[shard_id], Limit=1000)
            self._iterators[shard_id] = answer["NextShardIterator"]
            if not answer["Records"]:
                return
            for record in answer["Records"]:
                workspace_id = record["dynamodb"]["Keys"]["pk"]["S"].split("#")[1]
                # Lambda is given seconds, boto3 makes a time of them.
                at = record["dynamodb"]["ApproximateCreationDateTime"].timestamp()
                images = record["dynamodb"] | {"ApproximateCreationDateTime": at}
                self._unread.setdefault(workspace_id, []).append(record | {"dynamodb": images})


@cache
def stream_of(world: World) -> Stream:
    """One reader for all tests of a process: each of them reads what the others have written too."""
    return Stream(world)


def in_batch(stream_records: Iterable[Mapping[str, Any]]) -> list[tuple[Change, Record | None]]:
    """Stream records as a rule runner takes them: one change for each record, with its newest image."""
    changes: list[Change] = []
    newest: dict[tuple[str, str], Record] = {}
    for entry in stream_records:
        images: Mapping[str, Item] = entry["dynamodb"]
        if "NewImage" not in images:
            continue
        after = to_record(images["NewImage"])
        change = change_between(to_record(images["OldImage"]) if "OldImage" in images else None, after)
        newest[after.entity, after.key] = after
        if change is not None:
            changes.append(change)
    return [(change, newest[place]) for place, change in merged(changes).items()]


@dataclass
class Shop:
    """An account whose catalogue has rules."""

    account: Account
    limits: RuleLimits = LIMITS
    prices: PriceList = field(default_factory=PriceList)
    _requests: int = 0

    @property
    def world(self) -> World:
        return self.account.world

    @property
    def workspace_id(self) -> str:
        return self.account.workspace_id

    def room(self, client: DynamoDBClient | None = None) -> BacklogRoom:
        """What rules need: another process, with a client of its own."""
        client = client or plain_dynamodb(self.world)
        firing = FiringRoom(
            rules=self.rules(client),
            meters=MeterStore(client, self.world.work_table),
            catalog=self.world.catalog(client),
            ledger=self.account.ledger(client),
            prices=self.prices,
            limits=self.limits,
            clock=self.account.clock,
        )
        return BacklogRoom(firing, BacklogStore(client, self.world.work_table, backoff=AT_ONCE))

    def rules(self, client: DynamoDBClient | None = None) -> RuleStore:
        return RuleStore(client or plain_dynamodb(self.world), self.world.work_table, backoff=AT_ONCE)

    # --- what people do ---

    def put_rule(self, rule_id: str, definition: RuleDefinition) -> Rule:
        """Puts a rule as it is; nothing is checked."""
        store, now = self.rules(), self.account.clock()
        rule = store.put(self.workspace_id, rule_id, definition, now, seen=store.get(self.workspace_id, rule_id))
        assert rule is not None
        return rule

    def write(self, key: str, entity: str = "product", **attributes: Any) -> Record:
        """A person writes a record, free."""
        return self._edit(entity, key, Replace(attributes))

    def patch(self, key: str, entity: str = "product", **attributes: Any) -> Record:
        """A person changes some attributes."""
        return self._edit(entity, key, Merge(attributes))

    def remove(self, key: str, entity: str = "product") -> None:
        """A person deletes a record."""
        self._edited(entity, key, Remove())

    def top_up(self, credits: int) -> None:
        self._requests += 1
        self.account.ledger().grant(self.account.a_grant(f"top-up {self._requests}", credits))

    # --- what rules do ---

    def take(self) -> list[dict[str, Any]]:
        """What is new in the stream."""
        return stream_of(self.world).take(self.workspace_id)

    def deliver(
        self,
        stream_records: Iterable[Mapping[str, Any]],
        client: DynamoDBClient | None = None,
        out_of_time: Callable[[], bool] = lambda: False,
    ) -> None:
        """A rule runner takes a batch."""
        batch = in_batch(stream_records)
        if batch:
            at = max(record.updated_at for _, record in batch if record is not None)
            act(self.room(client), self.workspace_id, batch, at, out_of_time)

    def settle(self) -> int:
        """Delivers what is in the stream until nothing comes any more. How many batches it took."""
        for number in range(100):
            batch = self.take()
            if not in_batch(batch):
                return number
            self.deliver(batch)
        raise AssertionError("the rules go on and on")

    def drain(self, client: DynamoDBClient | None = None) -> DrainOutcome | None:
        """A worker that was called a moment ago drains the backlog; None when nothing waits."""
        room = self.room(client)
        room.backlog.ring(self.workspace_id, self.account.clock())
        backlog = room.backlog.get(self.workspace_id)
        return None if backlog is None else drain(room, self.workspace_id, backlog.leg)

    # --- what is to be seen ---

    def get(self, key: str, entity: str = "product") -> Record:
        record = self.world.catalog().get(self.workspace_id, entity, key)
        assert record is not None
        return record

    def attributes(self, key: str, entity: str = "product") -> dict[str, Any]:
        return dict(self.get(key, entity).attributes)

    def meter(self, rule_id: str) -> Meter:
        meter = MeterStore(plain_dynamodb(self.world), self.world.work_table).get(self.workspace_id, rule_id)
        assert meter is not None
        return meter

    def fired(self) -> list[Operation]:
        """The operations of rules that fired, oldest first."""
        return [entry for entry in self._of_rules() if entry.refused is None]

    def refused(self, reason: RefusalReason) -> list[Operation]:
        return [entry for entry in self._of_rules() if entry.refused is reason]

    def actions(self) -> Counter[str]:
        """What rules have done, in all."""
        counted: Counter[str] = Counter()
        for entry in self.fired():
            counted.update({action.value: count for action, count in entry.actions.items()})
        return counted

    def credits(self) -> int:
        """What rules have cost."""
        return sum(entry.credits for entry in self._of_rules())

    def check_the_figures(self) -> None:
        """Laws 3 and 4."""
        self.account.check_the_figures(self.account.balance(), self.account.operations())

    def _of_rules(self) -> list[Operation]:
        found = [entry for entry in self.account.operations() if entry.kind is OperationKind.RULE]
        return sorted(found, key=lambda entry: entry.operation_id)

    def _edit(self, entity: str, key: str, change: Replace | Merge) -> Record:
        decided = self._edited(entity, key, change).decision.record
        assert decided is not None
        return decided

    def _edited(self, entity: str, key: str, change: Replace | Merge | Remove) -> Edited:
        # Records are dated in milliseconds, and two incarnations of one are told apart by when they were made.
        self.account.clock.now += timedelta(milliseconds=1)
        self._requests += 1
        account = self.account
        room = EditingRoom(
            catalog=self.world.catalog(), ledger=account.ledger(), prices=self.prices, clock=account.clock
        )
        edit = Edit(
            workspace_id=self.workspace_id,
            entity=entity,
            key=key,
            change=change,
            channel=Channel.PERSON,
            request_id=f"hand-{self._requests}",
            requested_at=account.clock(),
        )
        outcome = edit_record(room, edit, lambda _decision: "")
        assert isinstance(outcome, Edited), outcome
        return outcome


def limited(shop: Shop, **limits: int) -> Shop:
    """The same shop under other limits."""
    return replace(shop, limits=replace(shop.limits, **limits))
