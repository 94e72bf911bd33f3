"""Schedules in the table of what is configured: what their owners want.

EventBridge Scheduler holds copies of them that fire (see `shared.schedules.scheduler`). A change rings a doorbell, as
that of a run does: the change and the call to carry it over are one write, and cannot be lost apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from shared import keys
from shared.dynamo.reads import batch_get
from shared.dynamo.transactions import Backoff
from shared.dynamo.values import from_item, to_item
from shared.keys import Item
from shared.schedules.model import Schedule, ScheduleDefinition
from shared.times import parse_rfc3339, to_rfc3339

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

DOORBELL = "schedule"
"""What the doorbell of a schedule says, beside those of runs (see `shared.runs.store.Doorbell`)."""


@dataclass(frozen=True, slots=True)
class SchedulePage:
    """Schedules in the order of their identifiers; with a `cursor` there are more."""

    schedules: tuple[Schedule, ...]
    cursor: str | None


class ScheduleStore:
    """The schedules of all workspaces. All reads are consistent."""

    def __init__(self, client: DynamoDBClient, table: str, *, backoff: Backoff | None = None) -> None:
        self._client = client
        self.table = table
        self._backoff = backoff or Backoff()

    def get(self, workspace_id: str, schedule_id: str) -> Schedule | None:
        key = keys.schedule(workspace_id, schedule_id).attributes()
        answer = self._client.get_item(TableName=self.table, Key=key, ConsistentRead=True)
        return to_schedule(answer["Item"]) if "Item" in answer else None

    def put(
        self,
        workspace_id: str,
        schedule_id: str,
        definition: ScheduleDefinition,
        now: datetime,
        *,
        seen: Schedule | None,
    ) -> Schedule | None:
        """Writes the definition: of a new schedule, or as the next version of the one that was `seen`. None when
        another one stands there by now.

        Versions begin at the time in milliseconds, so that those of a schedule that was deleted and made anew are
        higher than before: the copy that fires tells by its version whether it is out of date.
        """
        request = self._put_request(workspace_id, schedule_id, definition, now)
        request["ConditionExpression"] = "attribute_not_exists(#version)"
        if seen is not None:
            request["ConditionExpression"] = "#version = :seen"
            request["ExpressionAttributeValues"] |= to_item({":seen": seen.version})
        try:
            answer = self._client.update_item(**request)
        except self._client.exceptions.ConditionalCheckFailedException:
            return None
        return to_schedule(answer["Attributes"])

    def take_back(self, refused: Schedule, before: ScheduleDefinition | None, now: datetime) -> None:
        """Puts the definition of `before` in the place of one that was refused, or nothing where there was none; leaves
        it alone when somebody has changed it since.

        It becomes the next version, and not the one that it was: versions never come twice, so that a copy of the
        refused one, should there be any, is out of date.
        """
        condition, names = "#version = :refused", {"#version": "version"}
        values = to_item({":refused": refused.version})
        try:
            if before is None:
                self._client.delete_item(
                    TableName=self.table,
                    Key=keys.schedule(refused.workspace_id, refused.schedule_id).attributes(),
                    ConditionExpression=condition,
                    ExpressionAttributeNames=names,
                    ExpressionAttributeValues=values,
                )
            else:
                request = self._put_request(refused.workspace_id, refused.schedule_id, before, now)
                request["ExpressionAttributeValues"] |= values
                self._client.update_item(**request, ConditionExpression=condition)
        except self._client.exceptions.ConditionalCheckFailedException:
            return

    def _put_request(
        self, workspace_id: str, schedule_id: str, definition: ScheduleDefinition, now: datetime
    ) -> dict[str, Any]:
        wanted = asdict(definition)
        said = {name: value for name, value in wanted.items() if value is not None}
        unsaid = [name for name in wanted if name not in said]
        changes = {
            **{name: f":{name}" for name in said},
            "workspace_id": ":workspace_id",
            "schedule_id": ":schedule_id",
            "updated_at": ":now",
            "created_at": "if_not_exists(#created_at, :now)",
            "version": "if_not_exists(#version, :epoch) + :one",
            "doorbell": ":doorbell",
            # Until it is carried over the sweep finds it by these, should the call that the doorbell makes be lost.
            "waiting_pk": ":waiting_pk",
            "waiting_sk": ":waiting_sk",
        }
        values = {
            **{f":{name}": value for name, value in said.items()},
            ":workspace_id": workspace_id,
            ":schedule_id": schedule_id,
            ":now": to_rfc3339(now),
            ":epoch": int(now.timestamp() * 1000),
            ":one": 1,
            ":doorbell": DOORBELL,
            ":waiting_pk": keys.waiting(workspace_id),
            ":waiting_sk": keys.waiting_schedule(workspace_id, schedule_id),
        }
        return {
            "TableName": self.table,
            "Key": keys.schedule(workspace_id, schedule_id).attributes(),
            "UpdateExpression": f"SET {', '.join(f'#{name} = {value}' for name, value in changes.items())}"
            f" REMOVE {', '.join(f'#{name}' for name in unsaid)}",
            "ExpressionAttributeNames": {f"#{name}": name for name in (*changes, *unsaid)},
            "ExpressionAttributeValues": to_item(values),
            "ReturnValues": "ALL_NEW",
        }

    def note_carried_over(self, schedule: Schedule) -> None:
        """Notes that the copy agrees with this version; of another version nothing is noted."""
        names = ("doorbell", "waiting_pk", "waiting_sk")
        try:
            self._client.update_item(
                TableName=self.table,
                Key=keys.schedule(schedule.workspace_id, schedule.schedule_id).attributes(),
                UpdateExpression="REMOVE " + ", ".join(f"#{name}" for name in names),
                ConditionExpression="#version = :version",
                ExpressionAttributeNames={f"#{name}": name for name in (*names, "version")},
                ExpressionAttributeValues=to_item({":version": schedule.version}),
            )
        except self._client.exceptions.ConditionalCheckFailedException:
            return

    def delete(self, workspace_id: str, schedule_id: str) -> bool:
        """Deletes the schedule; False when there was none. What it did stays in the log."""
        key = keys.schedule(workspace_id, schedule_id).attributes()
        answer = self._client.delete_item(TableName=self.table, Key=key, ReturnValues="ALL_OLD")
        return "Attributes" in answer

    def page(self, workspace_id: str, limit: int, cursor: str | None = None) -> SchedulePage:
        """Up to `limit` schedules, and at most 1 MB of them. `cursor` is the one of the page before."""
        answer = self._client.query(**self._request(workspace_id, cursor), Limit=limit)
        last = answer.get("LastEvaluatedKey")
        return SchedulePage(tuple(map(to_schedule, answer["Items"])), last["sk"]["S"] if last else None)

    def all(self, workspace_id: str, after: str | None = None) -> Iterator[Schedule]:
        """Every schedule of the workspace, in the order of their identifiers, from behind `after` on. One request for
        about 2,000 of them (1 MB).
        """
        pages = self._client.get_paginator("query").paginate(**self._request(workspace_id, after))
        for page in pages:
            yield from map(to_schedule, page["Items"])

    def get_many(self, wanted: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Schedule]:
        """Those of up to `READ_BATCH` schedules, named by workspace and identifier, that there are."""
        places = [keys.schedule(*each) for each in dict.fromkeys(wanted)]
        found = map(to_schedule, batch_get(self._client, self.table, places, self._backoff))
        return {(schedule.workspace_id, schedule.schedule_id): schedule for schedule in found}

    def _request(self, workspace_id: str, after: str | None) -> dict[str, Any]:
        values = {":pk": keys.schedules(workspace_id)}
        condition = "pk = :pk"
        if after is not None:
            values[":after"] = after
            condition += " AND sk > :after"
        return {
            "TableName": self.table,
            "KeyConditionExpression": condition,
            "ExpressionAttributeValues": to_item(values),
            "ConsistentRead": True,
        }


def to_schedule(item: Item) -> Schedule:
    values = from_item(item)
    return Schedule(
        workspace_id=values["workspace_id"],
        schedule_id=values["schedule_id"],
        definition=ScheduleDefinition(
            feed_id=values.get("feed_id"),
            rule_id=values.get("rule_id"),
            expression=values["expression"],
            time_zone=values["time_zone"],
            enabled=values["enabled"],
            description=values["description"],
        ),
        version=values["version"],
        created_at=parse_rfc3339(values["created_at"]),
        updated_at=parse_rfc3339(values["updated_at"]),
        carried_over="waiting_pk" not in values,
    )
