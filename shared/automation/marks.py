"""Marks of what was announced, in the table of what is running."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared import keys
from shared.dynamo.values import to_item
from shared.times import to_rfc3339

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from shared.announcing import Announcement


class AnnouncementMarks:
    """The marks of all workspaces, three for each grant at most."""

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._client = client
        self._table = table

    def has(self, announcement: Announcement) -> bool:
        key = keys.announcement(announcement.workspace_id, announcement.announcement_id).attributes()
        return "Item" in self._client.get_item(TableName=self._table, Key=key, ConsistentRead=True)

    def put(self, announcement: Announcement) -> None:
        key = keys.announcement(announcement.workspace_id, announcement.announcement_id).attributes()
        self._client.put_item(TableName=self._table, Item=key | to_item({"at": to_rfc3339(announcement.at)}))
