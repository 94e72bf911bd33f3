"""Reading many items at once, until all of them are read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from shared.dynamo.transactions import Backoff, StoreUnavailable
from shared.keys import Item, Key

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

READ_BATCH = 100
"""Items that one BatchGetItem reads at most."""


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
