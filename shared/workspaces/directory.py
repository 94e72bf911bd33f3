"""All workspaces that there are, for what goes through every one of them: monthly exports, daily audits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from shared import keys
from shared.dynamo.writes import Write, put_new

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


def put_pointer(work_table: str, workspace_id: str) -> Write:
    """What makes a workspace be found; written in the transaction that opens it, so that none is ever missing."""
    return put_new(work_table, keys.workspace_pointer(workspace_id).attributes())


class WorkspaceDirectory:
    """Lists the workspaces. Pointers spread over 16 partitions, so that opening workspaces never meets one limit.

    A workspace that was opened before there were pointers is not listed. No deployment has any: the pointers came
    before the first release.
    """

    def __init__(self, client: DynamoDBClient, work_table: str) -> None:
        self._client = client
        self._work_table = work_table

    def all(self) -> Iterator[str]:
        """The identifiers of all workspaces, in no meaningful order; one that is opened meanwhile may be missed."""
        for shard in range(keys.WORKSPACE_SHARDS):
            yield from self.of_shard(shard)

    def of_shard(self, shard: int) -> Iterator[str]:
        """Those of one of the `keys.WORKSPACE_SHARDS` partitions, oldest first."""
        pages = self._client.get_paginator("query").paginate(
            TableName=self._work_table,
            KeyConditionExpression="pk = :shard",
            ExpressionAttributeValues={":shard": {"S": keys.workspaces_of_shard(shard)}},
            ConsistentRead=True,
        )
        for page in pages:
            for item in page["Items"]:
                yield item["sk"]["S"]
