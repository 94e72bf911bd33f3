"""What a schedule started last: the run of a feed, or the pass of a rule. It keeps schedules from starting two at once.

Runs are listed by an index that is a moment late, and passes nowhere. Between firings of one feed or rule this item
decides: each start moves it, on condition that it still stands where the start saw it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from shared.dynamo.values import from_item, to_item
from shared.dynamo.writes import Write, put_new
from shared.keys import Item, Key
from shared.times import parse_rfc3339, to_rfc3339

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


@dataclass(frozen=True, slots=True)
class LatestSync:
    """A run or a pass, by its identifier, the schedule that started it, and the scheduled time at which it did."""

    run_id: str
    schedule_id: str
    scheduled_at: datetime


class LatestSyncs:
    """The last run of each feed, and the last pass of each rule, that a schedule started."""

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._client = client
        self.table = table

    def get(self, place: Key) -> LatestSync | None:
        """What stands at `keys.latest_sync` of a feed, or `keys.latest_rule_pass` of a rule. Read consistently; None
        before the first one.
        """
        answer = self._client.get_item(TableName=self.table, Key=place.attributes(), ConsistentRead=True)
        return _to_latest_sync(answer["Item"]) if "Item" in answer else None


def move_latest_sync(table: str, place: Key, *, seen: LatestSync | None, after: LatestSync) -> Write:
    """Points to `after`, if no other firing has moved on from what was `seen`."""
    item = place.attributes() | to_item(
        {
            "run_id": after.run_id,
            "schedule_id": after.schedule_id,
            "scheduled_at": to_rfc3339(after.scheduled_at),
        }
    )
    if seen is None:
        return put_new(table, item)
    nobody_was_faster = "run_id = :seen"
    return Write(
        {
            "Put": {
                "TableName": table,
                "Item": item,
                "ConditionExpression": nobody_was_faster,
                "ExpressionAttributeValues": to_item({":seen": seen.run_id}),
                "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
            }
        }
    )


def _to_latest_sync(item: Item) -> LatestSync:
    values = from_item(item)
    return LatestSync(values["run_id"], values["schedule_id"], parse_rfc3339(values["scheduled_at"]))
