"""Exports in the table of what is running.

An export has one way to change, as runs have (see `shared.runs.store`): from the one that was seen to the one that
comes next, or not at all. While it is under way something points to it from its month; both end in one transaction.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from shared import keys
from shared.dynamo.transactions import Backoff, transact_write
from shared.dynamo.values import from_item, to_item
from shared.dynamo.writes import Write, put_new
from shared.exports.model import Export, ExportFile, ExportState, Position
from shared.keys import Item
from shared.months import Month
from shared.times import optional_rfc3339, parse_rfc3339, to_rfc3339

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

DOORBELL = "export"
"""What calls a worker to an export."""


@dataclass(frozen=True, slots=True)
class ExportPage:
    """Exports, newest first; with a `cursor` there may be more."""

    exports: tuple[Export, ...]
    cursor: str | None


class ExportStore:
    """Reads exports, begins them and moves them. Raises StoreUnavailable, and botocore's errors for outages."""

    def __init__(self, client: DynamoDBClient, table: str, *, backoff: Backoff | None = None) -> None:
        self._client = client
        self._table = table
        self._backoff = backoff or Backoff()

    def get(self, workspace_id: str, export_id: str) -> Export | None:
        """As it is now, read consistently."""
        key = keys.export(workspace_id, export_id).attributes()
        answer = self._client.get_item(TableName=self._table, Key=key, ConsistentRead=True)
        return to_export(answer["Item"]) if "Item" in answer else None

    def under_way(self, workspace_id: str, month: Month) -> Export | None:
        """The export of the month that is under way at this moment. Raises LookupError when it has just ended."""
        key = keys.export_under_way(workspace_id, month.start).attributes()
        answer = self._client.get_item(TableName=self._table, Key=key, ConsistentRead=True)
        if "Item" not in answer:
            return None
        export_id = answer["Item"]["export_id"]["S"]
        found = self.get(workspace_id, export_id)
        if found is None or found.is_over:
            raise LookupError(f"{export_id} was under way, and is over")
        return found

    def begin(self, export: Export) -> Export | None:
        """Writes a new export and calls a worker to it; the one that is in its way, when there is one.

        That is the one that is under way for this month, or the same one that was begun before. None when it began.
        Raises LookupError when what was in its way has gone meanwhile: then it may be tried again.
        """
        pointer = keys.export_under_way(export.workspace_id, export.month.start).attributes()
        writes = (
            put_new(self._table, _item(export, rings=True)),
            put_new(self._table, pointer | to_item({"export_id": export.export_id})),
        )
        refused = transact_write(self._client, [write.request for write in writes], self._backoff)
        if refused is None:
            return None
        same, other = (reason.item if reason else None for reason in refused.reasons)
        if same is not None:
            return to_export(same)
        export_id = other["export_id"]["S"] if other else export.export_id
        found = self.get(export.workspace_id, export_id)
        if found is None:
            raise LookupError(f"{export_id} was in the way, and is gone")
        return found

    def move(self, before: Export, after: Export, *, rings: bool = False) -> bool:
        """Writes `after`; False when the export no longer stands as in `before`. With `rings` it calls a worker to it.

        A transaction also where it is of one item: when botocore sends it again because the answer was lost, its token
        tells that from somebody who was faster. One that is over takes along what points to it from its month.
        """
        writes = [_move(self._table, before, after, rings=rings)]
        if after.is_over:
            writes.append(self._no_longer_under_way(after))
        return transact_write(self._client, [write.request for write in writes], self._backoff) is None

    def page(self, workspace_id: str, limit: int, cursor: str | None = None) -> ExportPage:
        """Up to `limit` exports, newest first, below the cursor."""
        values = {":pk": keys.exports(workspace_id)}
        condition = "pk = :pk"
        if cursor is not None:
            condition += " AND sk < :below"
            values[":below"] = cursor
        answer = self._client.query(
            TableName=self._table,
            KeyConditionExpression=condition,
            ExpressionAttributeValues=to_item(values),
            ScanIndexForward=False,
            Limit=limit,
            ConsistentRead=True,
        )
        exports = tuple(to_export(item) for item in answer["Items"])
        return ExportPage(exports, exports[-1].export_id if "LastEvaluatedKey" in answer and exports else None)

    def _no_longer_under_way(self, export: Export) -> Write:
        is_ours = "export_id = :export_id"
        return Write(
            {
                "Delete": {
                    "TableName": self._table,
                    "Key": keys.export_under_way(export.workspace_id, export.month.start).attributes(),
                    "ConditionExpression": is_ours,
                    "ExpressionAttributeValues": to_item({":export_id": export.export_id}),
                    "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
                }
            }
        )


def _move(table: str, before: Export, after: Export, *, rings: bool) -> Write:
    state_is_as_seen = "#state = :state"
    as_many_parts_are_there = "#parts = :parts"
    leg_is_the_same = "#leg = :leg"
    report_is_as_seen = "attribute_not_exists(#report)" if before.report is None else "attribute_exists(#report)"
    conditions = (state_is_as_seen, as_many_parts_are_there, leg_is_the_same, report_is_as_seen)
    return Write(
        {
            "Put": {
                "TableName": table,
                "Item": _item(after, rings=rings),
                "ConditionExpression": " AND ".join(conditions),
                "ExpressionAttributeNames": {
                    "#state": "state",
                    "#parts": "parts",
                    "#leg": "leg",
                    "#report": "report",
                },
                "ExpressionAttributeValues": to_item(
                    {":state": before.state.value, ":parts": before.parts, ":leg": before.leg}
                ),
                "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
            }
        }
    )


def to_export(item: Item) -> Export:
    """Reads an item that `_item` wrote."""
    values = from_item(item)
    position = values.get("position")
    return Export(
        export_id=values["export_id"],
        workspace_id=values["workspace_id"],
        month=Month.parse(values["month"]),
        state=ExportState(values["state"]),
        requested_at=parse_rfc3339(values["requested_at"]),
        updated_at=parse_rfc3339(values["updated_at"]),
        requested_by=values.get("requested_by"),
        leg=values["leg"],
        position=Position(parse_rfc3339(position[0]), position[1]) if position else None,
        parts=values["parts"],
        lines=values["lines"],
        files=tuple(ExportFile(**file) for file in values["files"]),
        sums=values["sums"],
        report=values.get("report"),
        finished_at=optional_rfc3339(values.get("finished_at")),
        failure=values.get("failure"),
    )


def _item(export: Export, *, rings: bool) -> Item:
    position = export.position
    values: dict[str, Any] = {
        "export_id": export.export_id,
        "workspace_id": export.workspace_id,
        "month": str(export.month),
        "state": export.state.value,
        "requested_at": to_rfc3339(export.requested_at),
        "updated_at": to_rfc3339(export.updated_at),
        "requested_by": export.requested_by,
        "leg": export.leg,
        "position": position and [to_rfc3339(position.at), position.identifier],
        "parts": export.parts,
        "lines": export.lines,
        "files": [asdict(file) for file in export.files],
        "sums": _exact(export.sums),
        "report": None if export.report is None else _exact(export.report),
        "finished_at": export.finished_at and to_rfc3339(export.finished_at),
        "failure": export.failure,
        "doorbell": DOORBELL if rings else None,
    }
    present = {name: value for name, value in values.items() if value is not None}
    return keys.export(export.workspace_id, export.export_id).attributes() | to_item(present)


def _exact(value: Any) -> Any:
    """Decimals as text: DynamoDB's numbers have 38 digits, and drop the zeros at the end."""
    match value:
        case Decimal():
            return format(value, "f")
        case Mapping():
            return {name: _exact(part) for name, part in value.items()}
        case list() | tuple():
            return [_exact(part) for part in value]
        case _:
            return value
