"""Carries out runs, one message of the import queue at a time (design section 6)."""

from __future__ import annotations

import time
from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response

from shared.catalog import CatalogStore
from shared.credits import Ledger
from shared.dynamo.client import dynamodb_client
from shared.runs.artifacts import RunArtifacts
from shared.runs.store import RunStore
from shared.runs.worker import Workshop, work
from shared.settings import Settings

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
    from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
    from aws_lambda_powertools.utilities.typing import LambdaContext

HAND_OVER_BEFORE_TIMEOUT_MS = 20_000
"""What is left of the function's time when it hands over at the latest. A step takes a fraction of a second; one that
meets an outage is cut off by the time limit, and done by the next worker.
"""

logger = Logger()
metrics = Metrics(namespace="ProductSync")
processor = BatchProcessor(EventType.SQS)


@cache
def settings() -> Settings:
    return Settings.from_environment()


@cache
def workshop() -> Workshop:
    dynamodb = dynamodb_client()
    return Workshop(
        ledger=Ledger(dynamodb, settings().credit_table),
        catalog=CatalogStore(dynamodb, settings().catalog_table),
        runs=RunStore(dynamodb, settings().work_table),
        artifacts=RunArtifacts(boto3.client("s3"), settings().data_bucket),
        prices=settings().prices,
    )


def carry_out(record: SQSRecord, lambda_context: LambdaContext) -> None:
    """Works on the run that the message names until it is over, pauses, or must be handed over."""
    message = record.json_body
    hand_over_at = time.monotonic() + settings().import_leg_seconds

    def out_of_time() -> bool:
        nearly_timed_out = lambda_context.get_remaining_time_in_millis() < HAND_OVER_BEFORE_TIMEOUT_MS
        return nearly_timed_out or time.monotonic() >= hand_over_at

    logger.append_keys(workspace_id=message["workspace_id"], run_id=message["run_id"])
    run = work(workshop(), message["workspace_id"], message["run_id"], out_of_time, message["leg"])
    if run is None:
        logger.warning("the message names a run that does not exist")
        return
    logger.info("worked on a run", extra={"state": run.state, "position": run.cursor.position})
    failure = run.failure
    metrics.add_metric("FailedRuns", MetricUnit.Count, int(failure is not None and failure.is_ours))
    metrics.add_metric("RejectedRuns", MetricUnit.Count, int(failure is not None and not failure.is_ours))


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    return process_partial_response(
        event=event,
        record_handler=carry_out,
        processor=processor,
        context=context,
    )
