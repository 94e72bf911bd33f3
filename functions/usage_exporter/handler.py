"""Writes exports, one message of the export queue at a time."""

from __future__ import annotations

import os
import time
from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response

from shared.credits import Ledger, OperationLog
from shared.dynamo.client import dynamodb_client
from shared.exports.bucket import ExportBucket
from shared.exports.model import ExportState
from shared.exports.store import ExportStore
from shared.exports.worker import ExportRoom, disagrees, give_up, work
from shared.settings import Settings
from shared.usage import UsageStore

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
    from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
    from aws_lambda_powertools.utilities.typing import LambdaContext

HAND_OVER_BEFORE_TIMEOUT_MS = 240_000
"""What is left of the function's time when it hands over at the latest: for sending the files of a part."""

TRIES = 5
"""How often a message is delivered (the queue's redrive policy, template.yaml). The last delivery is the last chance to
say of an export that nobody could write it; its message ends among the dead letters all the same.
"""

logger = Logger()
metrics = Metrics(namespace="ProductSync")
processor = BatchProcessor(EventType.SQS)


@cache
def leg_seconds() -> float:
    return float(os.environ["EXPORT_LEG_SECONDS"])


@cache
def room() -> ExportRoom:
    settings, dynamodb = Settings.from_environment(), dynamodb_client()
    return ExportRoom(
        exports=ExportStore(dynamodb, settings.work_table),
        log=OperationLog(dynamodb, settings.credit_table),
        ledger=Ledger(dynamodb, settings.credit_table),
        usage=UsageStore(dynamodb, settings.usage_table),
        bucket=ExportBucket(boto3.client("s3"), settings.data_bucket),
    )


def carry_out(record: SQSRecord, lambda_context: LambdaContext) -> None:
    """Works on the export that the message names until it is over or must be handed over."""
    metrics.add_metric("FailedExports", MetricUnit.Count, 0)
    message = record.json_body
    hand_over_at = time.monotonic() + leg_seconds()

    def out_of_time() -> bool:
        nearly_timed_out = lambda_context.get_remaining_time_in_millis() < HAND_OVER_BEFORE_TIMEOUT_MS
        return nearly_timed_out or time.monotonic() >= hand_over_at

    workspace_id, export_id, leg = message["workspace_id"], message["export_id"], message["leg"]
    logger.append_keys(workspace_id=workspace_id, export_id=export_id)
    try:
        export = work(room(), workspace_id, export_id, out_of_time, leg)
    except Exception as error:
        if int(record.attributes.approximate_receive_count) >= TRIES:
            given_up = give_up(room(), workspace_id, export_id, leg, error)
            logger.exception("gave an export up", extra={"state": given_up and given_up.state})
            if given_up is not None and given_up.state is ExportState.FAILED:
                metrics.add_metric("FailedExports", MetricUnit.Count, 1)
        raise
    if export is None:
        logger.warning("the message names an export that does not exist")
        return
    logger.info(
        "worked on an export",
        extra={"month": str(export.month), "state": export.state, "parts": export.parts, "lines": export.lines},
    )
    if export.state is ExportState.FAILED or disagrees(export):
        logger.error("the books of an export are wrong", extra={"failure": export.failure, "report": export.report})
        metrics.add_metric("FailedExports", MetricUnit.Count, 1)


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    return process_partial_response(
        event=event,
        record_handler=carry_out,
        processor=processor,
        context=context,
    )
