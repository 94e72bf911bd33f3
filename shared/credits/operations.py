"""The operation log: how an entry is stored, found by its identifier, and listed by time."""

from __future__ import annotations

import base64
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Any, assert_never

from shared import keys
from shared.channels import Channel
from shared.credits.model import Draw, Operation, OperationKind, RecordCounts, RefusalReason, StepRecords
from shared.credits.prices import Action
from shared.dynamo.values import from_item, to_item
from shared.dynamo.writes import Write, put_new
from shared.ids import first_operation_id, last_operation_id, time_of
from shared.keys import Item
from shared.months import month_text, optional_month
from shared.times import parse_rfc3339, to_rfc3339

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

QUERIES_PER_PAGE = 31
"""Queries that one page of a listing makes at most, each of one day or of 1 MB of a busy one, so that a request stays
bounded in a log that is mostly empty, or mostly about something else.
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
        "drawn": _draw_values(operation.drawn),
        "withdrawn": _draw_values(operation.withdrawn) or None,
        "owed": operation.owed or None,
        "settled": operation.settled or None,
        "job_id": operation.job_id,
        "job_version": operation.job_version,
        "run_id": operation.run_id,
        "description": operation.description or None,
        "refused": operation.refused and operation.refused.value,
        "actor": operation.actor,
        "records": {entity: _count_values(counts) for entity, counts in operation.records.items()} or None,
        "keys": {entity: list(written) for entity, written in operation.keys.items()} or None,
        "step": operation.step and _step_values(operation.step),
        "reference": operation.reference,
        "corrects": month_text(operation.corrects),
    }
    present = {name: value for name, value in values.items() if value is not None}
    key = keys.operation(operation.workspace_id, operation.operation_id)
    return put_new(table, key.attributes() | to_item(present))


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
        drawn=_to_draws(values["drawn"]),
        withdrawn=_to_draws(values.get("withdrawn", ())),
        owed=values.get("owed", 0),
        settled=values.get("settled", 0),
        job_id=values.get("job_id"),
        job_version=values.get("job_version"),
        run_id=values.get("run_id"),
        description=values.get("description", ""),
        refused=RefusalReason(values["refused"]) if "refused" in values else None,
        actor=values.get("actor"),
        records={entity: RecordCounts(*counts) for entity, counts in values.get("records", {}).items()},
        keys={entity: tuple(written) for entity, written in values.get("keys", {}).items()},
        step=_to_step(values["step"]) if "step" in values else None,
        reference=values.get("reference"),
        corrects=optional_month(values.get("corrects")),
    )


def _draw_values(draws: Iterable[Draw]) -> list[list[Any]]:
    return [[draw.grant_id, draw.credits, str(draw.unit_price), draw.currency] for draw in draws]


def _to_draws(values: Iterable[Any]) -> tuple[Draw, ...]:
    return tuple(Draw(grant, part, Decimal(price), currency) for grant, part, price, currency in values)


def _count_values(counts: RecordCounts) -> list[int]:
    return [counts.created, counts.updated, counts.unchanged, counts.deleted, counts.credits]


def _step_values(step: StepRecords) -> list[Any]:
    # In base 64 the bits of a thousand records take 168 bytes: the entry stays within the 1 KB that a charge is
    # reckoned with. DynamoDB's numbers have too few digits.
    length = (step.written.bit_length() + 7) // 8
    written = base64.b64encode(step.written.to_bytes(length, "little")).decode()
    return [step.position, step.offset, written]


def _to_step(values: Sequence[Any]) -> StepRecords:
    position, offset, written = values
    return StepRecords(position, offset, int.from_bytes(base64.b64decode(written), "little"))


class Verdict(StrEnum):
    """What became of an operation: it cost credits, it was refused (and cost nothing), or it was free."""

    CHARGED = "charged"
    REFUSED = "refused"
    FREE = "free"


@dataclass(frozen=True, slots=True)
class OperationFilter:
    """Which operations to list; times are of their triggers, both ends included."""

    since: datetime
    until: datetime
    kind: OperationKind | None = None
    job_id: str | None = None
    run_id: str | None = None
    actor: str | None = None
    outcome: Verdict | None = None


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

    def page(
        self,
        workspace_id: str,
        wanted: OperationFilter,
        limit: int,
        cursor: str | None = None,
        quiet: Collection[date] = (),
    ) -> OperationPage:
        """One page of at most `limit`. `cursor` is the one of the page before; raises ValueError when it is none. Days
        that are `quiet` (UTC) are known to hold nothing that fits, and not looked through.

        A cursor is an identifier that everything still to be listed stands below.
        """
        lowest = first_operation_id(wanted.since)
        below = cursor or last_operation_id(wanted.until)
        time_of(below)  # raises for a cursor that is none
        found: list[Operation] = []
        for _ in range(QUERIES_PER_PAGE):
            while below >= lowest and time_of(below).date() in quiet:
                below = _end_of_day_before(time_of(below))
            if below < lowest:
                return OperationPage(tuple(found), None)
            operations, below = self._query(workspace_id, wanted, lowest, below)
            found += operations
            if len(found) > limit:
                return OperationPage(tuple(found[:limit]), found[limit - 1].operation_id)
        return OperationPage(tuple(found), below if below >= lowest else None)

    def all(self, workspace_id: str, wanted: OperationFilter) -> Iterator[Operation]:
        """Every operation that fits, newest first."""
        cursor = None
        while True:
            page = self.page(workspace_id, wanted, 1000, cursor)
            yield from page.operations
            cursor = page.cursor
            if cursor is None:
                return

    def forward(self, workspace_id: str, since: datetime, until: datetime) -> Iterator[Operation]:
        """Every operation triggered from `since` on and before `until`, oldest first, read consistently page by page.

        An entry that is committed meanwhile is told if its time is still to come.
        """
        day = since.replace(hour=0, minute=0, second=0, microsecond=0)
        while day < until:
            next_day = day + timedelta(days=1)
            # Identifiers carry milliseconds, so the last one before `until` is that of the millisecond before.
            last = last_operation_id(min(next_day, until) - timedelta(milliseconds=1))
            pages = self._client.get_paginator("query").paginate(
                TableName=self._table,
                KeyConditionExpression="pk = :pk AND sk BETWEEN :lowest AND :highest",
                ExpressionAttributeValues=to_item(
                    {
                        ":pk": keys.operations_of_day(workspace_id, day),
                        ":lowest": first_operation_id(max(day, since)),
                        ":highest": last,
                    }
                ),
                ConsistentRead=True,
            )
            for page in pages:
                yield from map(to_operation, page["Items"])
            day = next_day

    def _query(
        self, workspace_id: str, wanted: OperationFilter, lowest: str, below: str
    ) -> tuple[list[Operation], str]:
        """One query of the day that `below` lies in: what fits of it, and the identifier to go on below."""
        day = time_of(below)
        conditions, names, values = _conditions(wanted)
        request: dict[str, Any] = {
            "TableName": self._table,
            "KeyConditionExpression": "pk = :pk AND sk BETWEEN :lowest AND :below",
            "ExpressionAttributeValues": to_item(
                values | {":pk": keys.operations_of_day(workspace_id, day), ":lowest": lowest, ":below": below}
            ),
            "ScanIndexForward": False,
            "ConsistentRead": True,
        }
        if conditions:
            request["FilterExpression"] = " AND ".join(conditions)
            request["ExpressionAttributeNames"] = names
        answer = self._client.query(**request)
        operations = [operation for operation in map(to_operation, answer["Items"]) if operation.operation_id != below]
        if "LastEvaluatedKey" in answer:
            return operations, answer["LastEvaluatedKey"]["sk"]["S"]
        return operations, _end_of_day_before(day)


def _end_of_day_before(at: datetime) -> str:
    """The highest identifier of the day before."""
    return last_operation_id(at.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(milliseconds=1))


def _conditions(wanted: OperationFilter) -> tuple[list[str], dict[str, str], dict[str, Any]]:
    """What the filter says beyond times, which the sort key already tells: conditions, names and values."""
    told = {
        "kind": wanted.kind and wanted.kind.value,
        "job_id": wanted.job_id,
        "run_id": wanted.run_id,
        "actor": wanted.actor,
    }
    asked = {name: value for name, value in told.items() if value is not None}
    conditions = [f"#{name} = :{name}" for name in asked]
    names = {f"#{name}": name for name in asked}
    values: dict[str, Any] = {f":{name}": value for name, value in asked.items()}
    has_cost, is_refused = "#credits > :nothing", "attribute_exists(#refused)"
    cost, refusal = {"#credits": "credits"}, {"#refused": "refused"}
    match wanted.outcome:
        case None:
            return conditions, names, values
        case Verdict.CHARGED:
            return [*conditions, has_cost], names | cost, values | {":nothing": 0}
        case Verdict.REFUSED:
            return [*conditions, is_refused], names | refusal, values
        case Verdict.FREE:
            neither = f"NOT {has_cost} AND NOT {is_refused}"
            return [*conditions, neither], names | cost | refusal, values | {":nothing": 0}
        case _:
            assert_never(wanted.outcome)
