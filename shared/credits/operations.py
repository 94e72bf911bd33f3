"""The operation log: how an entry is stored, found by its identifier, and listed by time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from shared import keys
from shared.credits.model import Channel, Draw, Operation, OperationKind
from shared.credits.plan import Write
from shared.credits.prices import Action
from shared.dynamo.values import from_item, to_attribute, to_item
from shared.ids import time_of
from shared.keys import Item
from shared.times import parse_rfc3339, to_rfc3339

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

DAYS_PER_PAGE = 31
"""Days that one page of a listing looks through at most, so that a request stays bounded in a log that is mostly
empty.
"""


def put_operation(table: str, operation: Operation) -> Write:
    """Writes the entry, once. Its existence is what makes a retry a replay (law 2)."""
    values: dict[str, Any] = {
        "operation_id": operation.operation_id,
        "workspace_id": operation.workspace_id,
        "kind": operation.kind.value,
        "channel": operation.channel.value,
        "at": to_rfc3339(operation.at),
        "credits": operation.credits,
        "fingerprint": operation.fingerprint,
        "actions": {action.value: count for action, count in operation.actions.items()},
        "drawn": [[draw.grant_id, draw.credits, str(draw.unit_price), draw.currency] for draw in operation.drawn],
        "owed": operation.owed or None,
        "settled": operation.settled or None,
        "job_id": operation.job_id,
        "run_id": operation.run_id,
        "description": operation.description or None,
    }
    present = {name: value for name, value in values.items() if value is not None}
    key = keys.operation(operation.workspace_id, operation.operation_id)
    never_committed_before = "attribute_not_exists(pk)"
    return Write(
        {
            "Put": {
                "TableName": table,
                "Item": key.attributes() | to_item(present),
                "ConditionExpression": never_committed_before,
                "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
            }
        }
    )


def to_operation(item: Item) -> Operation:
    values = from_item(item)
    return Operation(
        operation_id=values["operation_id"],
        workspace_id=values["workspace_id"],
        kind=OperationKind(values["kind"]),
        channel=Channel(values["channel"]),
        at=parse_rfc3339(values["at"]),
        credits=values["credits"],
        fingerprint=values["fingerprint"],
        actions={Action(action): count for action, count in values["actions"].items()},
        drawn=tuple(Draw(grant, part, Decimal(price), currency) for grant, part, price, currency in values["drawn"]),
        owed=values.get("owed", 0),
        settled=values.get("settled", 0),
        job_id=values.get("job_id"),
        run_id=values.get("run_id"),
        description=values.get("description", ""),
    )


@dataclass(frozen=True, slots=True)
class OperationFilter:
    """Which operations to list; times are of their triggers, both ends included."""

    since: datetime
    until: datetime
    kind: OperationKind | None = None
    job_id: str | None = None
    run_id: str | None = None


@dataclass(frozen=True, slots=True)
class OperationPage:
    """Operations, newest first. With a `cursor` there may be more, even when this page is short or empty."""

    operations: tuple[Operation, ...]
    cursor: str | None


class OperationLog:
    """Reads the log. Writing it is the ledger's alone."""

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._client = client
        self._table = table

    def get(self, workspace_id: str, operation_id: str) -> Operation | None:
        """None when there is no such operation, or the identifier is none."""
        try:
            key = keys.operation(workspace_id, operation_id)
        except ValueError:
            return None
        answer = self._client.get_item(TableName=self._table, Key=key.attributes(), ConsistentRead=True)
        return to_operation(answer["Item"]) if "Item" in answer else None

    def page(self, workspace_id: str, wanted: OperationFilter, limit: int, cursor: str | None = None) -> OperationPage:
        """One page of at most `limit`. `cursor` is the one of the page before; raises ValueError when it is none.

        A cursor is the identifier of the last operation seen, or `day:` and the day to go on with.
        """
        day, below = _resume(wanted.until, cursor)
        found: list[Operation] = []
        for _ in range(DAYS_PER_PAGE):
            if day.date() < wanted.since.date():
                return OperationPage(tuple(found), None)
            for operation in self._day(workspace_id, day, wanted, below):
                if len(found) == limit:
                    return OperationPage(tuple(found), found[-1].operation_id)
                found.append(operation)
            day, below = day - timedelta(days=1), None
        more = day.date() >= wanted.since.date()
        return OperationPage(tuple(found), f"day:{day:%Y-%m-%d}" if more else None)

    def all(self, workspace_id: str, wanted: OperationFilter) -> Iterator[Operation]:
        """Every operation that fits, newest first."""
        cursor = None
        while True:
            page = self.page(workspace_id, wanted, 1000, cursor)
            yield from page.operations
            cursor = page.cursor
            if cursor is None:
                return

    def _day(self, workspace_id: str, day: datetime, wanted: OperationFilter, below: str | None) -> Iterator[Operation]:
        conditions, values = _conditions(wanted)
        names = {f"#{name}": name for name in ("at", *(n for n in ("kind",) if ":kind" in values))}
        request: dict[str, Any] = {
            "TableName": self._table,
            "KeyConditionExpression": "pk = :pk",
            "ExpressionAttributeNames": names,
            "FilterExpression": " AND ".join(conditions),
            "ExpressionAttributeValues": to_item(values)
            | {":pk": to_attribute(keys.operations_of_day(workspace_id, day))},
            "ScanIndexForward": False,
            "ConsistentRead": True,
        }
        if below is not None:
            request["KeyConditionExpression"] += " AND sk < :below"
            request["ExpressionAttributeValues"][":below"] = {"S": below}
        for page in self._client.get_paginator("query").paginate(**request):
            yield from map(to_operation, page["Items"])


def _resume(until: datetime, cursor: str | None) -> tuple[datetime, str | None]:
    """The day to read first, and the identifier to stay below in it."""
    if cursor is None:
        return until, None
    if cursor.startswith("day:"):
        return parse_rfc3339(cursor.removeprefix("day:") + "T00:00:00Z"), None
    return time_of(cursor), cursor


def _conditions(wanted: OperationFilter) -> tuple[list[str], dict[str, Any]]:
    conditions = ["#at BETWEEN :since AND :until"]
    values = {":since": to_rfc3339(wanted.since), ":until": to_rfc3339(wanted.until)}
    if wanted.kind is not None:
        conditions.append("#kind = :kind")
        values[":kind"] = wanted.kind.value
    if wanted.job_id is not None:
        conditions.append("job_id = :job_id")
        values[":job_id"] = wanted.job_id
    if wanted.run_id is not None:
        conditions.append("run_id = :run_id")
        values[":run_id"] = wanted.run_id
    return conditions, values
