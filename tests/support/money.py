"""An account to try things on: a fresh workspace, plans for it, and a look at all that it left behind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

from shared.catalog import CatalogStore, Record, put_record
from shared.credits import (
    DRAWING_PRIORITY,
    Action,
    Balance,
    Channel,
    ClientCall,
    Grant,
    GrantKind,
    Ledger,
    Operation,
    OperationFilter,
    OperationKind,
    OperationLog,
    Plan,
    account,
)
from shared.credits.audit import discrepancies
from shared.dynamo.client import dynamodb_client
from shared.dynamo.transactions import Backoff
from shared.dynamo.writes import Write
from shared.ids import fingerprint, grant_id, new_workspace_id, operation_id
from shared.runs.artifacts import RunArtifacts
from shared.runs.store import RunStore

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client

MORNING = datetime(2026, 3, 2, 8, tzinfo=UTC)
AT_ONCE = Backoff(sleep=lambda _seconds: None)
"""Retries without waiting."""


class HandClock:
    """A clock that stands until it is moved."""

    def __init__(self, now: datetime = MORNING) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **delta: float) -> None:
        self.now += timedelta(**delta)


@dataclass(frozen=True, slots=True)
class World:
    """Tables and a bucket that only tests write to. Names alone, so that another process can be given it."""

    endpoint: str
    credit_table: str
    catalog_table: str
    work_table: str
    usage_table: str
    bucket: str

    def dynamodb(self) -> DynamoDBClient:
        """A client like the one of the functions, with hooks and a retry quota of its own."""
        return dynamodb_client(**self.access)

    def s3(self) -> S3Client:
        return boto3.client("s3", config=Config(s3={"addressing_style": "path"}), **self.access)

    def runs(self, client: DynamoDBClient | None = None) -> RunStore:
        return RunStore(client or plain_dynamodb(self), self.work_table, backoff=AT_ONCE)

    def artifacts(self, s3: S3Client | None = None) -> RunArtifacts:
        return RunArtifacts(s3 or plain_s3(self), self.bucket)

    def catalog(self, client: DynamoDBClient | None = None) -> CatalogStore:
        return CatalogStore(client or plain_dynamodb(self), self.catalog_table, backoff=AT_ONCE)

    def client(self, service: str) -> Any:
        """A client of another service of the same AWS."""
        return boto3.client(service, **self.access)  # type: ignore[call-overload]  # any service

    @property
    def access(self) -> dict[str, Any]:
        return {
            "endpoint_url": self.endpoint,
            "region_name": "us-east-1",
            "aws_access_key_id": "test",
            "aws_secret_access_key": "test",
        }


@cache
def plain_dynamodb(world: World) -> DynamoDBClient:
    """The client of those that nothing happens to."""
    return world.dynamodb()


@cache
def plain_s3(world: World) -> S3Client:
    return world.s3()


@dataclass
class Account:
    """A workspace of its own, opened with a starter grant of `starter` credits."""

    world: World
    starter: int
    clock: HandClock = field(default_factory=HandClock)
    workspace_id: str = ""

    def __post_init__(self) -> None:
        if not self.workspace_id:
            self.workspace_id = new_workspace_id(self.clock())
            writes = account.open_account(
                self.world.credit_table, self.a_grant("starter", self.starter, GrantKind.FREE)
            )
            client = plain_dynamodb(self.world)
            client.transact_write_items(TransactItems=[write.request for write in writes])  # type: ignore[misc]

    def ledger(self, client: DynamoDBClient | None = None) -> Ledger:
        """A ledger that remembers nothing yet: another process."""
        return Ledger(client or plain_dynamodb(self.world), self.world.credit_table, clock=self.clock, backoff=AT_ONCE)

    def a_grant(
        self,
        reference: str,
        credits: int,
        kind: GrantKind = GrantKind.PAID,
        *,
        price: str = "0.01",
        lasts: timedelta | None = None,
        priority: int | None = None,
    ) -> Grant:
        now = self.clock()
        return Grant(
            grant_id=grant_id(MORNING, self.workspace_id, reference),
            workspace_id=self.workspace_id,
            kind=kind,
            credits=credits,
            unit_price=Decimal(0) if kind is GrantKind.FREE else Decimal(price),
            currency="EUR",
            priority=DRAWING_PRIORITY[kind] if priority is None else priority,
            granted_at=now,
            expires_at=None if lasts is None else now + lasts,
            reference=reference,
        )

    def id_of(self, trigger: str) -> str:
        return operation_id(MORNING, self.workspace_id, trigger)

    def plan(
        self,
        trigger: str,
        credits: int = 1,
        *,
        asks: str = "",
        call: ClientCall | None = None,
        cursor: Write | None = None,
        writes: Iterable[Write] = (),
        owe_up_to: int = 0,
    ) -> Plan:
        """What `trigger` sets off, the same at every call: one new record for each credit, unless told otherwise."""
        records = tuple(writes) or tuple(self.new_record(f"{trigger}-{n}", trigger) for n in range(min(credits, 90)))
        return Plan(
            operation_id=self.id_of(trigger),
            workspace_id=self.workspace_id,
            kind=OperationKind.API_CALL,
            channel=Channel.API,
            at=MORNING,
            credits=credits,
            fingerprint=fingerprint(trigger, asks),
            actions={Action.RECORD_CREATED: len(records)},
            call=call,
            cursor=cursor,
            writes=records,
            owe_up_to=owe_up_to,
        )

    def new_record(self, key: str, trigger: str, *, seen: Record | None = None) -> Write:
        """The write of a record that the operation of `trigger` pays for."""
        now = self.clock()
        record = Record(
            workspace_id=self.workspace_id,
            entity="product",
            key=key,
            attributes={"title": key},
            version=1 if seen is None else seen.version + 1,
            created_at=now,
            updated_at=now,
            operation_id=self.id_of(trigger),
        )
        return put_record(self.world.catalog_table, record, seen)

    def balance(self) -> Balance:
        balance = self.ledger().balance(self.workspace_id)
        assert balance is not None
        return balance

    def operations(self) -> list[Operation]:
        """The whole log."""
        log = OperationLog(plain_dynamodb(self.world), self.world.credit_table)
        # The stories begin in the morning and the clock is the last thing that happens.
        return list(log.all(self.workspace_id, OperationFilter(since=MORNING, until=max(MORNING, self.clock()))))

    def records(self, *entities: str) -> dict[tuple[str, str], Record]:
        """The whole catalogue."""
        found: dict[tuple[str, str], Record] = {}
        for entity in entities or ("product",):
            cursor = None
            while True:
                page = self.world.catalog().page(self.workspace_id, entity, 1000, cursor)
                found |= {(entity, record.key): record for record in page.records}
                cursor = page.cursor
                if cursor is None:
                    break
        return found

    def check_the_figures(self, balance: Balance, operations: list[Operation]) -> None:
        """Laws 3 and 4."""
        assert discrepancies(balance, self.ledger().grants(self.workspace_id), operations) == []
        assert balance.available >= 0

    def check_the_books(self, *entities: str) -> None:
        """Laws 1, 3 and 4, for stories in which automation writes no record twice: exactly the records that the log
        says it paid for are there, nothing is below zero, and the figures add up.
        """
        operations = self.operations()
        self.check_the_figures(self.balance(), operations)
        paid = {operation.operation_id: sum(operation.actions.values()) for operation in operations}
        written = Counter(
            record.operation_id for record in self.records(*entities).values() if record.operation_id is not None
        )
        assert dict(written) == {operation: count for operation, count in paid.items() if count}


def stored_bytes(item: Any) -> int:
    """An item's size by DynamoDB's rules, counted here from the low-level form on its own."""
    return sum(len(name.encode()) + attribute_bytes(value) for name, value in item.items())


def attribute_bytes(attribute: Any) -> int:
    kind: str
    value: Any
    ((kind, value),) = attribute.items()
    match kind:
        case "S":
            return len(str(value).encode())
        case "N":
            digits = len(str(value).lstrip("-").replace(".", "").strip("0"))
            return (digits + 1) // 2 + 1 + str(value).startswith("-")
        case "M":
            return 3 + sum(1 + len(name.encode()) + attribute_bytes(element) for name, element in value.items())
        case "L":
            return 3 + sum(1 + attribute_bytes(element) for element in value)
        case _:
            return 1
