"""Reading the catalogue, and the writes that a plan may contain. Nothing here writes by itself."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from shared import keys
from shared.catalog.records import Record, record_item, record_size, to_record
from shared.dynamo.reads import Place, batch_get
from shared.dynamo.transactions import Backoff
from shared.dynamo.values import from_item, to_item
from shared.dynamo.writes import Write, put_new
from shared.keys import RECORD_SHARDS, Key
from shared.times import parse_rfc3339, to_rfc3339

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import QueryOutputTypeDef

PAGE_BYTES = 2 * 1024 * 1024
"""Enough of one page of a listing: a Lambda function answers with 6 MB at most, and records may have 400 KB each."""

MAX_KEY_BYTES = 1024
"""A sort key of DynamoDB holds no more."""

MAX_QUERIES = 32
"""Queries that one page of a listing makes at most, each of 1 MB or of what is left of a shard, so that a request stays
bounded however rare it is what it looks for.
"""

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
    """Some records of an entity; with a `cursor` there may be more, even when there are few here, or none. The order is
    fixed, and means nothing.
    """

    records: tuple[Record, ...]
    cursor: str | None


@dataclass(frozen=True, slots=True)
class LastWrite:
    """Which operation wrote a record last, None when a person did, and when."""

    operation_id: str | None
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class RecordFilter:
    """Which records to list: those whose key begins so, those that were written at that time or later."""

    key_prefix: str = ""
    updated_since: datetime | None = None


EVERYTHING = RecordFilter()


class CatalogStore:
    """The catalogue of all workspaces. Reads are consistent: an import must see what a person wrote a moment ago."""

    def __init__(self, client: DynamoDBClient, table: str, *, backoff: Backoff | None = None) -> None:
        self._client = client
        self.table = table
        self._backoff = backoff or Backoff()

    def place(self, workspace_id: str, entity: str, record_key: str) -> Place:
        """Where a record lies, for those who read it together with something else."""
        return Place(self.table, keys.record(workspace_id, entity, record_key))

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

    def last_written(self, workspace_id: str, places: Iterable[tuple[str, str]]) -> dict[tuple[str, str], LastWrite]:
        """The last write of those that exist among up to `READ_BATCH` (entity, key) pairs. Only that comes back.

        Raises StoreUnavailable when DynamoDB leaves some unread after all retries.
        """
        wanted = [keys.record(workspace_id, entity, key) for entity, key in places]
        attributes = ("pk", "sk", "operation_id", "updated_at")
        found = map(from_item, batch_get(self._client, self.table, wanted, self._backoff, attributes=attributes))
        return {
            (keys.owner_of_record(values["pk"])[1], values["sk"]): LastWrite(
                values.get("operation_id"), parse_rfc3339(values["updated_at"])
            )
            for values in found
        }

    def existing(self, workspace_id: str, places: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
        """Which of up to `READ_BATCH` (entity, key) pairs have a record. Only keys come back: records may be large.

        Raises StoreUnavailable when DynamoDB leaves some unread after all retries.
        """
        wanted = [keys.record(workspace_id, entity, key) for entity, key in places]
        found = batch_get(self._client, self.table, wanted, self._backoff, attributes=("pk", "sk"))
        return {(keys.owner_of_record(item["pk"]["S"])[1], item["sk"]["S"]) for item in found}

    def page(
        self,
        workspace_id: str,
        entity: str,
        limit: int,
        cursor: str | None = None,
        wanted: RecordFilter = EVERYTHING,
    ) -> RecordPage:
        """Up to `limit` records that are `wanted`, and not many more than `PAGE_BYTES` of them, shard by shard, from
        the cursor of the page before. Raises ValueError when it is none.

        A page that looks for what has changed ends after `MAX_QUERIES` queries of up to 1 MB each, with what it has
        found by then.
        """
        shard, after = _position(cursor)
        if after and wanted.key_prefix and not after.startswith(wanted.key_prefix):
            raise ValueError("the cursor is one of another listing")
        found: list[Record] = []
        size = queries = 0
        while shard < RECORD_SHARDS:
            if queries == MAX_QUERIES:
                return RecordPage(tuple(found), _cursor(shard, after))
            partition = keys.records_of_shard(workspace_id, entity, shard)
            # One more than fits tells whether this page is the last.
            answer = self._query(partition, after, limit - len(found) + 1, wanted)
            queries += 1
            for record in map(to_record, answer["Items"]):
                if len(found) == limit or size > PAGE_BYTES:
                    return RecordPage(tuple(found), _cursor(shard, after))
                found.append(record)
                size += record_size(record)
                after = record.key
            if "LastEvaluatedKey" in answer:
                after = answer["LastEvaluatedKey"]["sk"]["S"]
            else:
                shard, after = shard + 1, ""
        return RecordPage(tuple(found), None)

    def _query(self, partition: str, after: str, limit: int, wanted: RecordFilter) -> QueryOutputTypeDef:
        """One query of a shard: what comes after the key `after`, 1 MB of it at most."""
        values = {":pk": partition}
        conditions = ["pk = :pk"]
        if wanted.key_prefix:
            conditions.append("begins_with(sk, :prefix)")
            values[":prefix"] = wanted.key_prefix
        request: dict[str, Any] = {}
        if after:
            request["ExclusiveStartKey"] = Key(partition, after).attributes()
        if wanted.updated_since is not None:
            request["FilterExpression"] = "updated_at >= :since"
            values[":since"] = to_rfc3339(wanted.updated_since)
        else:
            # With a filter the limit would be of what is looked at, not of what is found.
            request["Limit"] = limit
        return self._client.query(
            TableName=self.table,
            KeyConditionExpression=" AND ".join(conditions),
            ExpressionAttributeValues=to_item(values),
            ConsistentRead=True,
            **request,
        )


def cursor_behind(record_key: str) -> str:
    """The cursor of a listing's page that ends with the record of this key. Cursors sort as the listing does."""
    return _cursor(keys.record_shard(record_key), record_key)


def _cursor(shard: int, after: str) -> str:
    return f"{shard:02d}:{after}"


def _position(cursor: str | None) -> tuple[int, str]:
    if cursor is None:
        return 0, ""
    shard, separator, after = cursor.partition(":")
    is_one = separator and re.fullmatch("[0-9]{2}", shard) and len(after.encode()) <= MAX_KEY_BYTES
    if not is_one or int(shard) >= RECORD_SHARDS:
        raise ValueError("the cursor is not one that a listing gave")
    return int(shard), after
