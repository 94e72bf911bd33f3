"""Runs in the table of what is running.

A run has one way to change: from the run that was seen to the one that comes next, or not at all. Its place, that is
state and cursor, is the condition. So of two workers, or a worker and a person who cancels, one moves it and the other
is told. A change that somebody must act on carries a doorbell, an attribute that the table's stream is filtered by: the
change and the call to act on it are one write, and cannot be lost apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, astuple, dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from shared import keys
from shared.credits import Channel
from shared.dynamo.transactions import Backoff, transact_write
from shared.dynamo.values import from_item, to_item
from shared.dynamo.writes import Write, put_new
from shared.ids import time_of
from shared.keys import Item
from shared.runs.model import Counts, Cursor, Failure, PauseReason, Run, RunState
from shared.times import optional_rfc3339, parse_rfc3339, to_rfc3339

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

FEED_RUNS_INDEX = "feed_runs"


class Doorbell(StrEnum):
    """Who must act on a run now."""

    PREPARE = "prepare"
    IMPORT = "import"


@dataclass(frozen=True, slots=True)
class RunPage:
    """Runs, newest first; with a `cursor` there may be more."""

    runs: tuple[Run, ...]
    cursor: str | None


def put_new_run(table: str, run: Run) -> Write:
    """Writes a run that is to be prepared, with the index entry by which its feed lists it."""
    return put_new(table, _item(run, Doorbell.PREPARE))


def move_run(table: str, before: Run, after: Run, doorbell: Doorbell | None = None) -> Write:
    """Writes `after` where the run still stands as in `before`."""
    cursor_is_the_one_planned_from = "#position = :position"
    state_is_as_seen = "#state = :state"
    return Write(
        {
            "Put": {
                "TableName": table,
                "Item": _item(after, doorbell),
                "ConditionExpression": f"{cursor_is_the_one_planned_from} AND {state_is_as_seen}",
                "ExpressionAttributeNames": {"#position": "position", "#state": "state"},
                "ExpressionAttributeValues": to_item(
                    {":position": before.cursor.position, ":state": before.state.value}
                ),
                "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
            }
        }
    )


class RunStore:
    """Reads runs, and moves them where no credits are involved. With credits, `move_run` is part of the plan."""

    def __init__(self, client: DynamoDBClient, table: str, *, backoff: Backoff | None = None) -> None:
        self._client = client
        self.table = table
        self._backoff = backoff or Backoff()

    def get(self, workspace_id: str, run_id: str) -> Run | None:
        key = keys.run(workspace_id, run_id).attributes()
        answer = self._client.get_item(TableName=self.table, Key=key, ConsistentRead=True)
        return to_run(answer["Item"]) if "Item" in answer else None

    def move(self, before: Run, after: Run, doorbell: Doorbell | None = None) -> bool:
        """Writes `after`; False when the run no longer stands as in `before`. Raises StoreUnavailable.

        A transaction, although of one item: it waits for a step that is committing, and when botocore sends it again
        because the answer was lost, its token tells that from somebody who was faster.
        """
        write = move_run(self.table, before, after, doorbell)
        return transact_write(self._client, [write.request], self._backoff) is None

    def page(
        self, workspace_id: str, feed_id: str, *, newest: datetime, oldest: datetime, limit: int, cursor: str | None
    ) -> RunPage:
        """Up to `limit` runs of a feed, started between `oldest` (the feed's creation) and `newest`, below the cursor.

        Raises ValueError when the cursor is not the identifier of a run.
        """
        month = newest if cursor is None else min(newest, time_of(cursor))
        found: list[str] = []
        while len(found) <= limit and (month.year, month.month) >= (oldest.year, oldest.month):
            found += self._month(workspace_id, feed_id, month, limit + 1 - len(found), cursor)
            month = month.replace(day=1) - timedelta(days=1)
        more = len(found) > limit
        return RunPage(self._get_many(workspace_id, found[:limit]), found[limit - 1] if more else None)

    def _month(self, workspace_id: str, feed_id: str, month: datetime, limit: int, below: str | None) -> list[str]:
        """Identifiers of runs that were started in one month, newest first."""
        values = {":pk": keys.runs_of_feed(workspace_id, feed_id, month)}
        request: dict[str, Any] = {
            "TableName": self.table,
            "IndexName": FEED_RUNS_INDEX,
            "KeyConditionExpression": "feed_runs_pk = :pk",
            "ScanIndexForward": False,
            "Limit": limit,
        }
        if below is not None:
            request["KeyConditionExpression"] += " AND run_id < :below"
            values[":below"] = below
        answer = self._client.query(**request, ExpressionAttributeValues=to_item(values))
        return [item["run_id"]["S"] for item in answer["Items"]]

    def _get_many(self, workspace_id: str, run_ids: Sequence[str]) -> tuple[Run, ...]:
        """The runs, in the order asked for; those that throttling leaves unread are read one by one."""
        if not run_ids:
            return ()
        wanted = [keys.run(workspace_id, run_id).attributes() for run_id in run_ids]
        answer = self._client.batch_get_item(RequestItems={self.table: {"Keys": wanted, "ConsistentRead": True}})
        read = {run.run_id: run for run in map(to_run, answer["Responses"].get(self.table, []))}
        runs = (read.get(run_id) or self.get(workspace_id, run_id) for run_id in run_ids)
        return tuple(run for run in runs if run is not None)


def to_run(item: Item) -> Run:
    values = from_item(item)
    failure = values.get("failure")
    return Run(
        run_id=values["run_id"],
        workspace_id=values["workspace_id"],
        feed_id=values["feed_id"],
        upload_id=values["upload_id"],
        channel=Channel(values["channel"]),
        dry_run=values["dry_run"],
        state=RunState(values["state"]),
        created_at=parse_rfc3339(values["created_at"]),
        updated_at=parse_rfc3339(values["updated_at"]),
        step_at=parse_rfc3339(values["step_at"]),
        upload_etag=values["upload_etag"],
        preparation=values["preparation"],
        leg=values["leg"],
        cursor=Cursor(values["position"], values["offset"]),
        records=values["records"],
        rows_read=values["rows_read"],
        duplicates=values["duplicates"],
        rejected=values["rejected"],
        by_entity={entity: Counts(*counts) for entity, counts in values["by_entity"].items()},
        finished_at=optional_rfc3339(values.get("finished_at")),
        paused_at=optional_rfc3339(values.get("paused_at")),
        pause_reason=PauseReason(values["pause_reason"]) if "pause_reason" in values else None,
        failure=Failure(**failure) if failure else None,
        credits_available=values.get("credits_available"),
        schedule_id=values.get("schedule_id"),
        started_by=values.get("started_by"),
        noted=values.get("noted", {}),
        unmodified=values.get("unmodified", False),
    )


def _item(run: Run, doorbell: Doorbell | None) -> Item:
    values: dict[str, Any] = {
        "run_id": run.run_id,
        "workspace_id": run.workspace_id,
        "feed_id": run.feed_id,
        "feed_runs_pk": keys.runs_of_feed(run.workspace_id, run.feed_id, run.created_at),
        "upload_id": run.upload_id,
        "channel": run.channel.value,
        "dry_run": run.dry_run,
        "state": run.state.value,
        "created_at": to_rfc3339(run.created_at),
        "updated_at": to_rfc3339(run.updated_at),
        "step_at": to_rfc3339(run.step_at),
        "upload_etag": run.upload_etag,
        "preparation": run.preparation,
        "leg": run.leg,
        "position": run.cursor.position,
        "offset": run.cursor.offset,
        "records": run.records,
        "rows_read": run.rows_read,
        "duplicates": run.duplicates,
        "rejected": run.rejected,
        # Numbers without names: every step writes the run again, and under 1 KB it costs the least.
        "by_entity": {entity: list(astuple(counts)) for entity, counts in run.by_entity.items()},
        "finished_at": run.finished_at and to_rfc3339(run.finished_at),
        "paused_at": run.paused_at and to_rfc3339(run.paused_at),
        "pause_reason": run.pause_reason and run.pause_reason.value,
        "failure": run.failure and asdict(run.failure),
        "credits_available": run.credits_available,
        "schedule_id": run.schedule_id,
        "started_by": run.started_by,
        "noted": run.noted or None,
        "unmodified": run.unmodified or None,
        "doorbell": doorbell and doorbell.value,
    }
    if run.state is RunState.PAUSED:
        values["waiting_pk"] = keys.waiting(run.workspace_id)
        values["waiting_sk"] = keys.waiting_entry(run.workspace_id, run.run_id)
    present = {name: value for name, value in values.items() if value is not None}
    return keys.run(run.workspace_id, run.run_id).attributes() | to_item(present)
