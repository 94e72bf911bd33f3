"""Figures as they are kept: added to in place, read by month."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

from shared import keys
from shared.dynamo.values import from_item, to_attribute
from shared.dynamo.writes import Write
from shared.keys import Item, Key
from shared.usage.tally import COUNTS, Dimension, Figures, FiguresPlace

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_DRAWN = "drawn_"
"""Begins the name of the attribute that holds what was drawn on a grant; the grant's identifier follows."""
_FOUR_DAYS = timedelta(days=4)
_LEFT = "left_"
"""Begins the name of the attribute that holds what left the account in a month."""


@dataclass(frozen=True, slots=True)
class SoFar:
    """What was counted of a workspace in all its life. `credits` were consumed; `left` is what left the account, by
    month (`2026-11`).
    """

    operations: int = 0
    credits: int = 0
    left: Mapping[str, int] = field(default_factory=dict)


def month_name(day: date) -> str:
    """`2026-11`."""
    return f"{day:%Y-%m}"


def midnight(day: date) -> datetime:
    """The beginning of a day in UTC."""
    return datetime.combine(day, time(), UTC)


def add_figures(table: str, place: FiguresPlace, figures: Figures) -> Write:
    """Adds to what is kept at a place."""
    added = figures.counts() | {_DRAWN + grant_id: credits for grant_id, credits in figures.drawn.items()}
    return _add(table, keys.usage(place.workspace_id, midnight(place.day), place.dimension, place.value), added)


def add_so_far(table: str, totals: Mapping[FiguresPlace, Figures]) -> Write:
    """Adds to what was counted of one workspace in all; `totals` are its figures of `Dimension.TOTAL`."""
    (workspace_id,) = {place.workspace_id for place in totals}
    added = {
        "operations": sum(figures.operations for figures in totals.values()),
        "credits": sum(figures.credits for figures in totals.values()),
    }
    for place, figures in totals.items():
        name = _LEFT + month_name(place.day)
        added[name] = added.get(name, 0) + figures.left
    return _add(table, keys.usage_so_far(workspace_id), added)


def _add(table: str, key: Key, added: Mapping[str, int]) -> Write:
    present = [(name, number) for name, number in added.items() if number]
    request: dict[str, Any] = {
        "TableName": table,
        "Key": key.attributes(),
        "UpdateExpression": "ADD " + ", ".join(f"#{position} :{position}" for position in range(len(present))),
        "ExpressionAttributeNames": {f"#{position}": name for position, (name, _) in enumerate(present)},
        "ExpressionAttributeValues": {
            f":{position}": to_attribute(number) for position, (_, number) in enumerate(present)
        },
    }
    return Write({"Update": request})


class UsageStore:
    """Reads the figures. Adding to them is the counter's alone."""

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._client = client
        self._table = table

    def so_far(self, workspace_id: str) -> SoFar:
        """Read consistently, as figures are: what it counts is in whatever is read after it."""
        key = keys.usage_so_far(workspace_id)
        answer = self._client.get_item(TableName=self._table, Key=key.attributes(), ConsistentRead=True)
        return to_so_far(answer.get("Item", {}))

    def figures(
        self, workspace_id: str, dimension: Dimension, first: date, last: date
    ) -> Iterator[tuple[date, str, Figures]]:
        """What each value of the dimension comes to on each of the days (UTC, both included) on which it has
        anything, in order of the days; nothing for a period that is upside down. One query for each month, or for each
        MB of it.
        """
        if first > last:
            return
        month = first.replace(day=1)
        while month <= last:
            yield from self._of_month(workspace_id, dimension, max(month, first), last)
            month = (month.replace(day=28) + _FOUR_DAYS).replace(day=1)

    def _of_month(
        self, workspace_id: str, dimension: Dimension, first: date, last: date
    ) -> Iterator[tuple[date, str, Figures]]:
        pages = self._client.get_paginator("query").paginate(
            TableName=self._table,
            KeyConditionExpression="pk = :pk AND sk BETWEEN :first AND :last",
            ExpressionAttributeValues={
                ":pk": {"S": keys.usage_of_month(workspace_id, midnight(first), dimension)},
                ":first": {"S": keys.usage_of_day(midnight(first))},
                ":last": {"S": keys.usage_of_day(midnight(last), end=True)},
            },
            ConsistentRead=True,
        )
        for page in pages:
            for item in page["Items"]:
                yield to_figures(item)


def to_so_far(item: Item) -> SoFar:
    """Reads what `add_so_far` has added up; nothing was counted where there is no item."""
    values = from_item(item)
    return SoFar(
        operations=values.get("operations", 0),
        credits=values.get("credits", 0),
        left=_by_name(values, _LEFT),
    )


def to_figures(item: Item) -> tuple[date, str, Figures]:
    """Reads what `add_figures` has added up: the day, the value, and what it comes to."""
    values = from_item(item)
    day, value = keys.usage_parts(values["sk"])
    counts = {name: values[name] for name in COUNTS if name in values}
    return date.fromisoformat(day), value, Figures(**counts, drawn=_by_name(values, _DRAWN))


def _by_name(values: Mapping[str, Any], prefix: str) -> dict[str, int]:
    return {name.removeprefix(prefix): number for name, number in values.items() if name.startswith(prefix)}
