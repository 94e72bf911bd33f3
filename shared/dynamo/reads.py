"""Reading many items at once, until all of them are read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shared.dynamo.transactions import Backoff, StoreUnavailable
from shared.keys import Item, Key

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

READ_BATCH = 100
"""Items that one BatchGetItem reads at most."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where one item lies."""

    table: str
    key: Key


def batch_get(
    client: DynamoDBClient, table: str, wanted: Iterable[Key], backoff: Backoff, *, attributes: Sequence[str] = ()
) -> list[Item]:
    """Those that exist among up to `READ_BATCH` different keys, in no order, read consistently; with `attributes` only
    these of them.

    Raises StoreUnavailable when DynamoDB leaves some unread after all retries.
    """
    pending: Any = [key.attributes() for key in wanted]
    found: list[Item] = []
    if not pending:
        return found
    for attempt in range(backoff.attempts):
        request: Any = {"Keys": pending, "ConsistentRead": True}
        if attributes:
            request["ProjectionExpression"] = ", ".join(attributes)
        answer = client.batch_get_item(RequestItems={table: request})
        found += answer["Responses"].get(table, [])
        # Throttled keys, and those beyond 16 MB of answer, come back to be asked for again.
        pending = answer["UnprocessedKeys"].get(table, {"Keys": []})["Keys"]
        if not pending:
            return found
        backoff.wait(attempt)
    raise StoreUnavailable(f"{len(pending)} items of {table} stayed unread")


def get_together(client: DynamoDBClient, wanted: Sequence[Place], backoff: Backoff) -> list[Item | None]:
    """The items at up to `READ_BATCH` different places of any tables, in the order asked for, None where there is none.

    One request, however many tables it spans. Each item is read consistently, but not all at one moment.
    Raises StoreUnavailable when DynamoDB leaves some unread after all retries.
    """
    pending: dict[str, Any] = {}
    for place in wanted:
        pending.setdefault(place.table, {"Keys": [], "ConsistentRead": True})["Keys"].append(place.key.attributes())
    found: dict[Place, Item] = {}
    for attempt in range(backoff.attempts):
        if not pending:
            return [found.get(place) for place in wanted]
        if attempt:
            backoff.wait(attempt - 1)
        answer = client.batch_get_item(RequestItems=pending)
        for table, items in answer["Responses"].items():
            found |= {Place(table, Key(item["pk"]["S"], item["sk"]["S"])): item for item in items}
        pending = {table: dict(left) for table, left in answer["UnprocessedKeys"].items()}
    if pending:
        raise StoreUnavailable(f"items of {', '.join(pending)} stayed unread")
    return [found.get(place) for place in wanted]
