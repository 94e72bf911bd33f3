"""Feed definitions in the table of what is configured."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from shared import keys
from shared.dynamo.values import from_item, to_item
from shared.keys import Item
from shared.times import parse_rfc3339, to_rfc3339

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFeed:
    """A feed as it was last put. `definition` is the JSON text of one that was valid then; `version` starts at 1."""

    feed_id: str
    version: int
    created_at: datetime
    updated_at: datetime
    definition: str


@dataclass(frozen=True, slots=True)
class FeedPage:
    """Feeds in the order of their identifiers; with a `cursor` there are more."""

    feeds: tuple[StoredFeed, ...]
    cursor: str | None


class FeedStore:
    """The feeds of all workspaces."""

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._client = client
        self._table = table

    def get(self, workspace_id: str, feed_id: str) -> StoredFeed | None:
        key = keys.feed(workspace_id, feed_id).attributes()
        answer = self._client.get_item(TableName=self._table, Key=key, ConsistentRead=True)
        return _to_feed(answer["Item"]) if "Item" in answer else None

    def put(self, workspace_id: str, feed_id: str, definition: str, now: datetime) -> StoredFeed:
        """Writes the definition: as version 1 of a new feed, or as the next version of the one that is there."""
        changes = {
            "definition": ":definition",
            "feed_id": ":feed_id",
            "updated_at": ":now",
            "created_at": "if_not_exists(#created_at, :now)",
            "version": "if_not_exists(#version, :none) + :one",
        }
        values = {
            ":definition": definition,
            ":feed_id": feed_id,
            ":now": to_rfc3339(now),
            ":none": 0,
            ":one": 1,
        }
        answer = self._client.update_item(
            TableName=self._table,
            Key=keys.feed(workspace_id, feed_id).attributes(),
            UpdateExpression="SET " + ", ".join(f"#{name} = {value}" for name, value in changes.items()),
            ExpressionAttributeNames={f"#{name}": name for name in changes},
            ExpressionAttributeValues=to_item(values),
            ReturnValues="ALL_NEW",
        )
        return _to_feed(answer["Attributes"])

    def delete(self, workspace_id: str, feed_id: str) -> bool:
        """Deletes the feed; False when there was none. Its runs and its records stay."""
        key = keys.feed(workspace_id, feed_id).attributes()
        answer = self._client.delete_item(TableName=self._table, Key=key, ReturnValues="ALL_OLD")
        return "Attributes" in answer

    def page(self, workspace_id: str, limit: int, cursor: str | None = None) -> FeedPage:
        """Up to `limit` feeds, and at most 1 MB of them. `cursor` is the one of the page before."""
        values = {":pk": keys.feeds(workspace_id)}
        request: dict[str, Any] = {"KeyConditionExpression": "pk = :pk", "Limit": limit}
        if cursor is not None:
            values[":after"] = cursor
            request["KeyConditionExpression"] += " AND sk > :after"
        answer = self._client.query(
            TableName=self._table, ConsistentRead=True, ExpressionAttributeValues=to_item(values), **request
        )
        last = answer.get("LastEvaluatedKey")
        return FeedPage(tuple(map(_to_feed, answer["Items"])), last["sk"]["S"] if last else None)

    def all(self, workspace_id: str) -> list[StoredFeed]:
        """All of a workspace's feeds, in the order of their identifiers: one request for each MB of them."""
        pages = self._client.get_paginator("query").paginate(
            TableName=self._table,
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues=to_item({":pk": keys.feeds(workspace_id)}),
            ConsistentRead=True,
        )
        return [_to_feed(item) for page in pages for item in page["Items"]]


def _to_feed(item: Item) -> StoredFeed:
    values = from_item(item)
    return StoredFeed(
        feed_id=values["feed_id"],
        version=values["version"],
        created_at=parse_rfc3339(values["created_at"]),
        updated_at=parse_rfc3339(values["updated_at"]),
        definition=values["definition"],
    )
