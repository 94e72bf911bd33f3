"""What is written instead, most of the time: a charge and a write for each record by itself.

They get what the platform gets: the same client, the same embedded DynamoDB, the same records. They are spared what it
does besides: comparing a feed with the catalogue, keeping a cursor, resuming.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any

from shared.catalog.records import Record, record_item
from shared.dynamo.values import to_item
from shared.ids import operation_id
from shared.keys import Item, Key
from shared.times import utc_now
from tests.bench.feed import attributes_of, key_of
from tests.bench.wire import NO_DELAY, Network, Usage
from tests.bench.workbench import CATALOG_TABLE, CREDIT_TABLE, CREDITS, Workbench

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_numbers = count()


@dataclass(frozen=True, slots=True)
class Way:
    """One way to pay for records and write them, so many of them at a time."""

    name: str
    pay: Callable[[DynamoDBClient, Key, Item], None]
    at_once: int = 1
    is_exact: bool = False

    def write(self, workbench: Workbench, records: int, network: Network = NO_DELAY) -> Usage:
        """Writes so many new records in this way, from a balance of its own, and measures it."""
        client, name = workbench.dynamodb, f"baseline-{next(_numbers)}"
        balance = Key(f"{name}#BALANCE", "BALANCE")
        client.put_item(TableName=CREDIT_TABLE, Item=balance.attributes() | to_item({"available": CREDITS}))
        items = _items(name, records)
        with workbench.wire.measured(network) as usage:
            if self.at_once == 1:
                for item in items:
                    self.pay(client, balance, item)
            else:
                with ThreadPoolExecutor(self.at_once) as pool:
                    list(pool.map(lambda item: self.pay(client, balance, item), items))
        return usage


def charge_then_put(client: DynamoDBClient, balance: Key, item: Item) -> None:
    """A conditional update of the balance, then the record. What fails between the two is paid for and not there."""
    client.update_item(TableName=CREDIT_TABLE, Key=balance.attributes(), **_CHARGE)
    client.put_item(TableName=CATALOG_TABLE, Item=item)


def transaction_for_each(client: DynamoDBClient, balance: Key, item: Item) -> None:
    """Operation entry, balance and record in one transaction for each record: as exact as the platform."""
    entry = {"pk": {"S": f"{balance.pk}#{item['sk']['S']}"}, "sk": {"S": "OPERATION"}} | to_item({"credits": 1})
    writes: list[Any] = [
        {"Put": {"TableName": CREDIT_TABLE, "Item": entry, **_NEW}},
        {"Update": {"TableName": CREDIT_TABLE, "Key": balance.attributes(), **_CHARGE}},
        {"Put": {"TableName": CATALOG_TABLE, "Item": item, **_NEW}},
    ]
    client.transact_write_items(TransactItems=writes)


SERIAL = Way("a charge and a put for each, in series", charge_then_put)
SIXTEEN = Way("the same, 16 at a time", charge_then_put, at_once=16)
TRANSACTIONS = Way("a transaction for each, in series", transaction_for_each, is_exact=True)
TRANSACTIONS_SIXTEEN = Way("the same, 16 at a time", transaction_for_each, at_once=16, is_exact=True)

_NEW = {"ConditionExpression": "attribute_not_exists(pk)"}
_CHARGE: Any = {
    "UpdateExpression": "SET available = available - :one",
    "ConditionExpression": "available >= :one",
    "ExpressionAttributeValues": to_item({":one": 1}),
}


def _items(workspace_id: str, records: int) -> list[Item]:
    """Records of the bench's feed as they lie in the table."""
    now = utc_now()
    return [
        record_item(
            Record(
                workspace_id=workspace_id,
                entity="product",
                key=key_of(number, "P"),
                attributes=attributes_of(number, 0, "P"),
                version=1,
                created_at=now,
                updated_at=now,
                operation_id=operation_id(now, workspace_id),
            )
        )
        for number in range(records)
    ]
