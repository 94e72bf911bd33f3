"""A workspace whose books are audited: charges that say what they wrote, usage figures, and damages to be found."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from shared import keys
from shared.audits.commands import ask_for_audit
from shared.audits.figures import UsageBooks
from shared.audits.model import Audit
from shared.audits.reading import BooksReader
from shared.audits.samples import RecordReader
from shared.audits.store import AuditStore
from shared.audits.worker import AuditRoom, work
from shared.catalog import delete_record, put_record
from shared.credits import Channel, Committed, Operation, Plan, RecordCounts
from shared.dynamo.values import to_item
from shared.ids import operation_id
from shared.times import Clock
from shared.usage.counting import UsageCounter
from shared.usage.store import UsageStore
from tests.support.money import AT_ONCE, Account, World, plain_dynamodb

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


def never() -> bool:
    """Time never runs out."""
    return False


def always_after(units: int) -> Callable[[], bool]:
    """Time runs out each time after so many units of work."""
    left = iter(range(units))
    return lambda: next(left, None) is None


def written_by(operation: Operation) -> Iterator[tuple[str, str]]:
    """What an operation wrote, of those that name it themselves."""
    return ((entity, key) for entity, written in operation.keys.items() for key in written)


def room_of(world: World, clock: Clock, client: DynamoDBClient | None = None) -> AuditRoom:
    """What auditing takes, on the tables of `world`."""
    dynamodb = client or plain_dynamodb(world)
    books = BooksReader(dynamodb, world.credit_table, AT_ONCE)
    counter = UsageCounter(dynamodb, world.usage_table, clock, backoff=AT_ONCE)
    return AuditRoom(
        audits=AuditStore(dynamodb, world.work_table, backoff=AT_ONCE),
        books=books,
        catalog=world.catalog(dynamodb),
        records=RecordReader(dynamodb, world.catalog_table),
        usage=UsageBooks(UsageStore(dynamodb, world.usage_table), counter, books),
        trace=written_by,
        clock=clock,
    )


def telling(plan: Plan) -> Plan:
    """The plan, whose entry says which records it wrote."""
    written = tuple(write.request["Put"]["Item"]["sk"]["S"] for write in plan.writes)
    counts = RecordCounts(created=len(written), credits=min(len(written), plan.credits))
    return replace(plan, records={"product": counts}, keys={"product": written}) if written else plan


@dataclass
class Audited:
    """A workspace with books to audit."""

    account: Account
    room: AuditRoom = field(init=False)

    def __post_init__(self) -> None:
        self.room = room_of(self.account.world, self.account.clock)

    @property
    def workspace_id(self) -> str:
        return self.account.workspace_id

    @property
    def dynamodb(self) -> DynamoDBClient:
        return plain_dynamodb(self.account.world)

    def charge(self, trigger: str, credits: int = 3, **options: Any) -> Operation:
        """A charge that writes as many records as it costs credits."""
        outcome = self.account.ledger().commit(telling(self.account.plan(trigger, credits, **options)))
        assert isinstance(outcome, Committed)
        return outcome.operation

    def by_hand(self, record_key: str, *, deletes: bool = False, at: datetime | None = None) -> None:
        """A person's edit of a product, or their deletion of it, dated now unless told otherwise."""
        seen = self.room.catalog.get(self.workspace_id, "product", record_key)
        assert seen is not None
        table, at = self.account.world.catalog_table, at or self.account.clock()
        changed = replace(seen, version=seen.version + 1, operation_id=None, updated_at=at)
        write = delete_record(table, seen) if deletes else put_record(table, changed, seen)
        plan = replace(
            self.account.plan(f"by hand {record_key}", 0, writes=(write,)),
            operation_id=operation_id(at, self.workspace_id, f"by hand {record_key} {deletes}"),
            at=at,
            channel=Channel.PERSON,
            actions={},
            records={"product": RecordCounts(deleted=1) if deletes else RecordCounts(updated=1)},
            keys={"product": (record_key,)},
        )
        assert isinstance(self.account.ledger().commit(plan), Committed)

    def count_usage(self) -> None:
        """As the follower of the credit table's stream does."""
        self.room.usage.counter.count(self.account.operations())

    def audit(self, out_of_time: Callable[[], Callable[[], bool]] = lambda: never) -> Audit:
        """One whole audit, by as many workers as it takes; each is given its own time."""
        audit = ask_for_audit(self.room.audits, self.workspace_id, self.account.clock())
        while not audit.state.is_over:
            leg = audit.leg
            found = work(self.room, self.workspace_id, audit.audit_id, leg, out_of_time())
            assert found is not None
            audit = found
            assert audit.leg > leg or audit.state.is_over
        return audit

    # --- damages ---

    def edit(self, table: str, key: keys.Key, **changes: Any) -> None:
        """Sets attributes of an item behind everybody's back; `grants__x__remaining=3` sets `grants.x.remaining`."""
        for path, value in changes.items():
            names = path.split("__")
            self.dynamodb.update_item(
                TableName=table,
                Key=key.attributes(),
                UpdateExpression="SET " + ".".join(f"#{n}" for n in range(len(names))) + " = :value",
                ConditionExpression="attribute_exists(pk)",
                ExpressionAttributeNames={f"#{n}": name for n, name in enumerate(names)},
                ExpressionAttributeValues=to_item({":value": value}),
            )

    def remove(self, table: str, key: keys.Key) -> None:
        self.dynamodb.delete_item(TableName=table, Key=key.attributes(), ConditionExpression="attribute_exists(pk)")

    def item(self, table: str, key: keys.Key) -> dict[str, Any]:
        return self.dynamodb.get_item(TableName=table, Key=key.attributes(), ConsistentRead=True)["Item"]

    def put(self, table: str, item: dict[str, Any]) -> None:
        self.dynamodb.put_item(TableName=table, Item=item)
