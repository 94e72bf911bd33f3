"""Sending a transaction until it is decided.

TransactionConflict and throttling are normal under load and are not retried by botocore; here they are, a bounded
number of times with full jitter. A failed condition is a decision and goes back to the caller with the item that
failed it (`ReturnValuesOnConditionCheckFailure`), so that a refusal never needs another read (design section 5).
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from botocore.exceptions import ClientError

from shared.keys import Item, Key

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

MAX_TRANSACTION_ITEMS = 100
MAX_TRANSACTION_BYTES = 4 * 1024 * 1024

_TRANSIENT_REASONS = {"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"}
_TRANSIENT_ERRORS = {
    "TransactionInProgressException",
    "TransactionConflictException",
    "ThrottlingException",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
}


class StoreUnavailable(Exception):
    """DynamoDB did not decide within the retries allowed. Whether the write took place is unknown: fail closed, try
    again later.
    """


class NotStorable(Exception):
    """DynamoDB refuses what was sent, whatever stands in the tables: the same request will never be accepted."""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why one item of a cancelled transaction failed its condition; `item` is what stood there, None if nothing did."""

    item: Item | None


@dataclass(frozen=True, slots=True)
class Refused:
    """A transaction that a condition cancelled: per item, in the order sent, its reason, or None if its condition
    held.
    """

    reasons: tuple[Reason | None, ...]


@dataclass(frozen=True, slots=True)
class Backoff:
    """Bounded retries with full jitter (AWS Architecture Blog, "Exponential Backoff And Jitter"). Times in seconds."""

    attempts: int = 12
    base: float = 0.02
    cap: float = 1.0
    sleep: Callable[[float], None] = time.sleep

    def wait(self, attempt: int) -> None:
        self.sleep(random.uniform(0, min(self.cap, self.base * 2**attempt)))  # noqa: S311 - jitter, not a secret


def transact_write(client: DynamoDBClient, items: Sequence[Any], backoff: Backoff) -> Refused | None:
    """Writes all items or none. None when it committed.

    Raises StoreUnavailable when conflicts or throttling outlast the retries, NotStorable, and botocore's errors for
    outages and
    bugs.
    """
    for attempt in range(backoff.attempts):
        try:
            client.transact_write_items(TransactItems=items)
        except ClientError as error:
            refused = _decision(error)
            if refused is not None:
                return refused
            backoff.wait(attempt)
        else:
            return None
    raise StoreUnavailable(f"a transaction of {len(items)} items met conflicts {backoff.attempts} times")


def transact_get(client: DynamoDBClient, table: str, keys: Sequence[Key], backoff: Backoff) -> list[Item | None]:
    """The items under `keys` as they stand together at one moment, None where there is none. Conflicts with writes and
    raises as `transact_write` does.
    """
    gets: Any = [{"Get": {"TableName": table, "Key": key.attributes()}} for key in keys]
    for attempt in range(backoff.attempts):
        try:
            answer = client.transact_get_items(TransactItems=gets)
        except ClientError as error:
            # A read has no conditions that could be refused: it is worth another try, or this raises.
            _decision(error)
            backoff.wait(attempt)
        else:
            return [response.get("Item") for response in answer["Responses"]]
    raise StoreUnavailable(f"a read of {len(keys)} items met conflicts {backoff.attempts} times")


def _decision(error: ClientError) -> Refused | None:
    """The refusal that the error carries, or None if it is worth another try.

    Raises NotStorable for what is invalid, and every other error as it is.
    """
    code = error.response["Error"]["Code"]
    if code in _TRANSIENT_ERRORS:
        return None
    if code == "ValidationException":
        raise NotStorable(error.response["Error"]["Message"]) from error
    if code != "TransactionCanceledException":
        raise error
    reasons = error.response["CancellationReasons"]
    # Conditions are judged in the order sent, so the first reason decides: a conflict before a failed condition leaves
    # open whether the condition would have failed (the operation may be committing at this moment, elsewhere).
    first = next(reason["Code"] for reason in reasons if reason["Code"] != "None")
    if first in _TRANSIENT_REASONS:
        return None
    if first != "ConditionalCheckFailed":
        raise NotStorable(str([reason for reason in reasons if reason["Code"] != "None"])) from error
    return Refused(
        tuple(
            Reason(cast("Item | None", reason.get("Item"))) if reason["Code"] == "ConditionalCheckFailed" else None
            for reason in reasons
        )
    )
