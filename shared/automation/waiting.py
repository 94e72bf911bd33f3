"""What waits, as the index `waiting` of the work table lists it, and how many credits each needs to go on.

Only what waits carries the keys of the index (see `shared.keys`): what never pauses pays no write unit for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, assert_never

from shared import keys
from shared.credits import Action, PriceList
from shared.dynamo.values import to_item

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

WAITING_INDEX = "waiting"


class Waits(StrEnum):
    """What kinds of things wait: a run or a pass of a rule for credits, changes of records for the rules, a pause or
    its end to be told, a schedule to be carried over. By these words their entries begin.
    """

    RUN = "run"
    PASS = "pass"  # noqa: S105  # no password
    BACKLOG = "backlog"
    AUTOMATION = "AUTOMATION"
    SCHEDULE = "schedule"


_FOR_CREDITS = (Waits.BACKLOG, Waits.RUN)
"""The first and the last, in the order of the index, of the kinds that wait for credits; no other lies in between."""

_AFTER_ALL = "~"
"""Comes after every character of an identifier."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Something that waits. `name` identifies a run, a pass or a schedule; of the others a workspace has one."""

    workspace_id: str
    kind: Waits
    name: str


def least_credits(kind: Waits, prices: PriceList) -> int:
    """The fewest credits with which something of this kind may go on: with fewer, nobody needs to look at it.

    It may take more. A firing that creates many records, or a run that stopped at a dearer record, then stays where it
    is although it was called.
    """
    match kind:
        case Waits.BACKLOG | Waits.PASS:
            price = prices.cheapest_firing
        case Waits.RUN:
            price = min(prices.price(Action.RECORD_CREATED), prices.price(Action.RECORD_UPDATED))
        case Waits.AUTOMATION | Waits.SCHEDULE:
            price = 0
        case _:
            assert_never(kind)
    # Without any credits all automation waits, whatever it costs (`Balance.is_exhausted`).
    return max(1, price)


class WaitingStore:
    """Reads the index: what it lists is a moment late, perhaps."""

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._client = client
        self._table = table

    def for_credits(self, workspace_id: str) -> list[Entry]:
        """What of a workspace waits for credits: its backlog, passes and runs. One request, and one more for each
        further MB.
        """
        first, last = (keys.waiting_entry(workspace_id, kind) for kind in _FOR_CREDITS)
        request = {
            "KeyConditionExpression": "waiting_pk = :pk AND waiting_sk BETWEEN :first AND :last",
            "ExpressionAttributeValues": to_item(
                {":pk": keys.waiting(workspace_id), ":first": first, ":last": last + _AFTER_ALL}
            ),
        }
        return list(self._entries(request))

    def of_shard(self, shard: int) -> Iterator[Entry]:
        """Everything that waits, of one of the `keys.WAITING_SHARDS` shards."""
        request = {
            "KeyConditionExpression": "waiting_pk = :pk",
            "ExpressionAttributeValues": to_item({":pk": keys.waiting_of_shard(shard)}),
        }
        return self._entries(request)

    def _entries(self, request: dict[str, Any]) -> Iterator[Entry]:
        pages = self._client.get_paginator("query").paginate(TableName=self._table, IndexName=WAITING_INDEX, **request)
        for page in pages:
            yield from (_entry(item["waiting_sk"]["S"]) for item in page["Items"])


def _entry(sort_key: str) -> Entry:
    workspace_id, what, schedule_id = keys.waiting_parts(sort_key)
    if schedule_id is not None:
        return Entry(workspace_id, Waits.SCHEDULE, schedule_id)
    return Entry(workspace_id, Waits(what.partition("_")[0]), what)
