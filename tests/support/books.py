"""What a workspace has been charged and what it got for it, read from the tables: the API is not asked."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from shared import keys
from shared.credits import Ledger, Operation, OperationFilter, OperationLog
from shared.credits.audit import discrepancies
from shared.ids import time_of
from shared.times import utc_now

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from tests.support.stack import Tables


@dataclass(frozen=True)
class Books:
    """The books of one workspace."""

    workspace_id: str
    dynamodb: DynamoDBClient
    tables: Tables

    def log(self, run_id: str | None = None) -> list[Operation]:
        """The operation log, of one run or of everything."""
        wanted = OperationFilter(time_of(self.workspace_id), utc_now() + timedelta(minutes=1), run_id=run_id)
        return list(OperationLog(self.dynamodb, self.tables.credit).all(self.workspace_id, wanted))

    def credits_of(self, run_id: str) -> int:
        """What the operations of a run add up to."""
        return sum(entry.credits for entry in self.log(run_id))

    def records(self, entity: str) -> int:
        """How many records of an entity the catalogue holds."""
        pages = self.dynamodb.get_paginator("query")
        partitions = (keys.records_of_shard(self.workspace_id, entity, shard) for shard in range(keys.RECORD_SHARDS))
        return sum(
            page["Count"]
            for partition in partitions
            for page in pages.paginate(
                TableName=self.tables.catalog,
                KeyConditionExpression="pk = :pk",
                ExpressionAttributeValues={":pk": {"S": partition}},
                Select="COUNT",
            )
        )

    def audit(self) -> None:
        ledger = Ledger(self.dynamodb, self.tables.credit)
        balance = ledger.balance(self.workspace_id)
        assert balance is not None
        assert discrepancies(balance, ledger.grants(self.workspace_id), self.log()) == []
