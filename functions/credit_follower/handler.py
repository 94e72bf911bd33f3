"""Follows the credit table's stream: counts what is new in the operation log (`shared.usage`), then announces the
thresholds that balances have fallen under.

Counting comes first, and what cannot be announced is left to a queue, which calls this function too: an announcement
may fail for reasons of its own. Both may be asked for any number of times, and are done once: so Lambda gets back the
first record that failed, and calls again from there on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from botocore.exceptions import BotoCoreError, ClientError

from functions.credit_follower.announcing import announce, tell
from shared.announcing import Announcement
from shared.credits.operations import to_operation
from shared.dynamo.client import dynamodb_client
from shared.dynamo.transactions import StoreUnavailable
from shared.settings import Settings
from shared.times import utc_now
from shared.usage.counting import Counted, UsageCounter, bundles
from shared.usage.tally import tally

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
    from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from shared.credits import Operation
    from shared.keys import Item

Record = Mapping[str, Any]

logger = Logger()
metrics = Metrics(namespace="ProductSync")
queue_processor = BatchProcessor(EventType.SQS)


class NothingDone(Exception):
    """Everything in a batch failed."""


@cache
def counter() -> UsageCounter:
    return UsageCounter(dynamodb_client(), Settings.from_environment().usage_table, utc_now)


def entries(records: Iterable[Record]) -> list[tuple[str, Operation]]:
    """The new entries of the log, each with where it stands in the stream. What cannot be read is logged and passed
    over: no later try would find more in it.
    """
    found = []
    for record in records:
        try:
            change = record["dynamodb"]
            found.append((change["SequenceNumber"], _countable(change["NewImage"])))
        except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError):
            logger.exception("what came is no operation of ours", extra={"event_id": record.get("eventID")})
    return found


def _countable(image: Item) -> Operation:
    """The entry, if it can be counted: one that cannot would spoil the whole batch, as often as it is tried."""
    operation = to_operation(image)
    if not all(isinstance(name, str) for name in (operation.workspace_id, operation.operation_id)):
        raise TypeError("an identifier is no text")
    tally(operation)
    return operation


def count(records: Sequence[Record]) -> set[str]:
    """Counts new entries of the log. Where in the stream those stand that have to be offered again."""
    found = entries(records)
    failed: set[str] = set()
    counted = Counted()
    for bundle in bundles(operation for _, operation in found):
        try:
            counted += counter().count_bundle(bundle)
        except (StoreUnavailable, ClientError, BotoCoreError):
            logger.exception("operations could not be counted")
            failed |= bundle.operations.keys()
    for operation in counted.refused:
        logger.error("an operation cannot be counted", extra={"operation_id": operation.operation_id})
    metrics.add_metric("CountedOperations", MetricUnit.Count, counted.new)
    # What will never be: unlike what failed, nobody offers it again.
    metrics.add_metric("UncountedOperations", MetricUnit.Count, len(records) - len(found) + len(counted.refused))
    return {number for number, operation in found if operation.operation_id in failed}


def carry_out(record: SQSRecord) -> None:
    """Makes the announcement that was left to the queue. What fails is delivered again, and after some tries to the
    dead letters.
    """
    announce(Announcement.of(record.json_body))


@metrics.log_metrics
def follow(event: dict[str, Any], _context: LambdaContext) -> PartialItemFailureResponse:
    """Does what records of the stream ask for. Raises NothingDone if all failed."""
    new = [record for record in event["Records"] if record.get("eventName") == "INSERT"]
    changed = [record for record in event["Records"] if record.get("eventName") != "INSERT"]
    failed = count(new) | tell(changed)
    if failed and len(failed) == len(event["Records"]):
        raise NothingDone(f"{len(failed)} records")
    # Numbers are texts of digits; Lambda goes on from the lowest that is reported.
    return {"batchItemFailures": [{"itemIdentifier": number} for number in sorted(failed, key=int)[:1]]}


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    """Reports the first record, or the messages, that failed; Lambda calls again from there on, or for them."""
    if event["Records"][0]["eventSource"] == "aws:sqs":
        return process_partial_response(
            event=event, record_handler=carry_out, processor=queue_processor, context=context
        )
    report: PartialItemFailureResponse = follow(event, context)
    return report
