"""Reads the books as they lie in the credit table, entry by entry, and trusts none of them: what cannot be read, or
lies where it does not belong, is told and not raised.

Everything is read consistently. All that matters is in which order (see `shared.credits.audit.differences`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime
from decimal import DecimalException
from typing import TYPE_CHECKING, Any, TypeVar

from shared import keys
from shared.credits import Balance, Grant, Operation
from shared.credits.account import to_balance, to_grant
from shared.credits.audit import Difference
from shared.credits.operations import to_operation
from shared.dynamo.reads import batch_get
from shared.dynamo.transactions import Backoff
from shared.ids import time_of
from shared.keys import Item
from shared.times import to_rfc3339

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

Read = TypeVar("Read")

UNREADABLE = (KeyError, ValueError, TypeError, AttributeError, DecimalException)
"""What reading an item raises that was not written by this system."""


@dataclass(frozen=True, slots=True)
class LogPage:
    """Entries of one day, oldest first, and what is wrong with how they lie there; with `after` there may be more."""

    entries: tuple[Operation, ...]
    wrong: tuple[Difference, ...]
    after: str | None


@dataclass(frozen=True, slots=True)
class BooksReader:
    """Reads the books of all workspaces."""

    client: DynamoDBClient
    table: str
    backoff: Backoff

    def balance(self, workspace_id: str) -> Item | None:
        """The account's item as it is now."""
        key = keys.balance(workspace_id).attributes()
        return self.client.get_item(TableName=self.table, Key=key, ConsistentRead=True).get("Item")

    def grants(self, workspace_id: str) -> tuple[list[Grant], list[Difference]]:
        """All grants, and what is wrong with how they lie there."""
        pages = self.client.get_paginator("query").paginate(
            TableName=self.table,
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": {"S": keys.grants(workspace_id)}},
            ConsistentRead=True,
        )
        found: list[Grant] = []
        wrong: list[Difference] = []
        for item in (item for page in pages for item in page["Items"]):
            grant = read_item(to_grant, item)
            if isinstance(grant, Difference):
                wrong.append(grant)
            elif (grant.grant_id, grant.workspace_id) != (item["sk"]["S"], workspace_id):
                wrong.append(Difference("a grant lies under its own identifier", item["sk"]["S"], grant.grant_id))
            else:
                found.append(grant)
        return found, wrong

    def entries(self, workspace_id: str, day: datetime, after: str | None) -> LogPage:
        """Up to 1 MB of the entries of one day (UTC) that come after the identifier `after`."""
        partition = keys.operations_of_day(workspace_id, day)
        request: dict[str, Any] = (
            {} if after is None else {"ExclusiveStartKey": keys.Key(partition, after).attributes()}
        )
        answer = self.client.query(
            TableName=self.table,
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": {"S": partition}},
            ConsistentRead=True,
            **request,
        )
        entries: list[Operation] = []
        wrong: list[Difference] = []
        for item in answer["Items"]:
            entry = read_item(to_operation, item)
            if isinstance(entry, Difference):
                wrong.append(entry)
                continue
            entries.append(entry)
            wrong += _misplaced(entry, workspace_id, item["sk"]["S"])
        last = answer.get("LastEvaluatedKey")
        return LogPage(tuple(entries), tuple(wrong), None if last is None else str(last["sk"]["S"]))

    def some_entries(self, workspace_id: str, operation_ids: Iterable[str]) -> dict[str, Operation]:
        """Those of up to 100 entries that there are, and that can be read."""
        places = []
        for operation_id in dict.fromkeys(operation_ids):
            try:
                places.append(keys.operation(workspace_id, operation_id))
            except ValueError:
                continue
        if not places:
            return {}
        found = (read_item(to_operation, item) for item in batch_get(self.client, self.table, places, self.backoff))
        return {entry.operation_id: entry for entry in found if isinstance(entry, Operation)}


def readable_balance(item: Item) -> Balance | Difference:
    """The account, or why its item is none."""
    return read_item(to_balance, item)


def read_item(reader: Callable[[Item], Read], item: Mapping[str, Any]) -> Read | Difference:
    """What `reader` makes of an item, or why it can make nothing of it."""
    try:
        found = reader(dict(item))
        _have_whole_numbers(found)
    except UNREADABLE as error:
        place = f"{item['pk']['S']} {item['sk']['S']}"
        return Difference(
            "an item of the books can be read", "its attributes", f"{type(error).__name__}: {error}", place
        )
    return found


def _have_whole_numbers(thing: Any) -> None:
    """Raises TypeError where a count of anything is no whole number: it could be read, and not be counted."""
    for each in fields(thing):
        value = getattr(thing, each.name)
        parts = value.values() if isinstance(value, Mapping) else value if isinstance(value, tuple) else ()
        numbers = (value,) if each.type == "int" else parts if each.type == "Mapping[Action, int]" else ()
        for number in numbers:
            if type(number) is not int:
                raise TypeError(f"{each.name} has {number!r} for a whole number")
        for part in parts:
            if is_dataclass(part):
                _have_whole_numbers(part)


def _misplaced(entry: Operation, workspace_id: str, name: str) -> list[Difference]:
    """What an entry's place says against the entry: its identifier, its workspace and its time are all in its key."""
    found = []
    if entry.operation_id != name:
        found.append(Difference("an entry lies under its own identifier", entry.operation_id, name, name))
    elif to_rfc3339(time_of(name)) != to_rfc3339(entry.at):
        found.append(
            Difference("an entry's time is its identifier's", to_rfc3339(time_of(name)), to_rfc3339(entry.at), name)
        )
    if entry.workspace_id != workspace_id:
        found.append(Difference("an entry is of its own workspace", workspace_id, entry.workspace_id, name))
    return found
