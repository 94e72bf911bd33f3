"""Reading the catalogue, and the writes that a plan may contain. Nothing here writes by itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shared import keys
from shared.catalog.records import Record, record_item, record_size, to_record
from shared.dynamo.reads import batch_get
from shared.dynamo.transactions import Backoff
from shared.dynamo.values import to_item
from shared.dynamo.writes import Write, put_new
from shared.keys import RECORD_SHARDS
from shared.times import to_rfc3339

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

PAGE_BYTES = 2 * 1024 * 1024
"""Enough of one page of a listing: a Lambda function answers with 6 MB at most, and records may have 400 KB each."""

READ_BATCH = 100
"""Records that one request reads at most (AWS documentation, "BatchGetItem")."""


def put_record(table: str, record: Record, seen: Record | None) -> Write:
    """Writes `record` if the catalogue still holds what was `seen` (None: nothing): no change gets lost (law 6)."""
    item = record_item(record)
    if seen is None:
        return put_new(table, item)
    return Write({"Put": {"TableName": table, "Item": item, **_still(seen)}})


def delete_record(table: str, seen: Record) -> Write:
    """Deletes the record if it is still what was `seen`."""
    return Write({"Delete": {"TableName": table, "Key": seen.primary_key.attributes(), **_still(seen)}})


def _still(seen: Record) -> dict[str, Any]:
    """The condition that the record stands as it was seen, for any write."""
    version_is_as_seen = "version = :version"
    # Versions begin anew with a record that is deleted and made again.
    still_the_same_record = "created_at = :created_at"
    return {
        "ConditionExpression": f"{version_is_as_seen} AND {still_the_same_record}",
        "ExpressionAttributeValues": to_item({":version": seen.version, ":created_at": to_rfc3339(seen.created_at)}),
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }


@dataclass(frozen=True, slots=True)
class RecordPage:
    """Some records of an entity; with a `cursor` there are more. The order is fixed, and means nothing."""

    records: tuple[Record, ...]
    cursor: str | None


class CatalogStore:
    """The catalogue of all workspaces. Reads are consistent: an import must see what a person wrote a moment ago."""

    def __init__(self, client: DynamoDBClient, table: str, *, backoff: Backoff | None = None) -> None:
        self._client = client
        self.table = table
        self._backoff = backoff or Backoff()

    def get(self, workspace_id: str, entity: str, record_key: str) -> Record | None:
        key = keys.record(workspace_id, entity, record_key).attributes()
        answer = self._client.get_item(TableName=self.table, Key=key, ConsistentRead=True)
        return to_record(answer["Item"]) if "Item" in answer else None

    def get_many(self, workspace_id: str, wanted: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Record]:
        """The records that exist among up to `READ_BATCH` (entity, key) pairs.

        Raises StoreUnavailable when DynamoDB leaves some unread after all retries.
        """
        places = [keys.record(workspace_id, entity, key) for entity, key in wanted]
        records = map(to_record, batch_get(self._client, self.table, places, self._backoff))
        return {(record.entity, record.key): record for record in records}

    def existing(self, workspace_id: str, places: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
        """Which of up to `READ_BATCH` (entity, key) pairs have a record. Only keys come back: records may be large.

        Raises StoreUnavailable when DynamoDB leaves some unread after all retries.
        """
        wanted = [keys.record(workspace_id, entity, key) for entity, key in places]
        found = batch_get(self._client, self.table, wanted, self._backoff, attributes=("pk", "sk"))
        return {(keys.owner_of_record(item["pk"]["S"])[1], item["sk"]["S"]) for item in found}

    def page(self, workspace_id: str, entity: str, limit: int, cursor: str | None = None) -> RecordPage:
        """Up to `limit` records, and not many more than `PAGE_BYTES` of them, shard by shard, from the cursor of the
        page before. Raises ValueError when it is none.
        """
        shard, after = _position(cursor)
        found: list[Record] = []
        size = 0
        while shard < RECORD_SHARDS:
            for record in self._shard(workspace_id, entity, shard, after, limit - len(found) + 1):
                if len(found) == limit or size > PAGE_BYTES:
                    return RecordPage(tuple(found), f"{shard:02d}:{after}")
                found.append(record)
                size += record_size(record)
                after = record.key
            shard, after = shard + 1, ""
        return RecordPage(tuple(found), None)

    def _shard(self, workspace_id: str, entity: str, shard: int, after: str, limit: int) -> Iterator[Record]:
        """At most `limit` records of a shard that come after the key `after`, in as many queries of 1 MB as it
        takes.
        """
        partition = keys.records_of_shard(workspace_id, entity, shard)
        request: dict[str, Any] = {
            "TableName": self.table,
            "KeyConditionExpression": "pk = :pk AND sk > :after" if after else "pk = :pk",
            "ExpressionAttributeValues": to_item({":pk": partition, ":after": after} if after else {":pk": partition}),
            "ConsistentRead": True,
        }
        pages = self._client.get_paginator("query").paginate(
            **request, PaginationConfig={"MaxItems": limit, "PageSize": limit}
        )
        return (to_record(item) for page in pages for item in page["Items"])


def cursor_behind(record_key: str) -> str:
    """The cursor of a listing's page that ends with the record of this key. Cursors sort as the listing does."""
    return f"{keys.record_shard(record_key):02d}:{record_key}"


def _position(cursor: str | None) -> tuple[int, str]:
    if cursor is None:
        return 0, ""
    shard, separator, after = cursor.partition(":")
    if not separator or not shard.isdigit():
        raise ValueError("the cursor is not one that a listing gave")
    return int(shard), after
