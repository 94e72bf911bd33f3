"""Prepares runs, one message of the prepare queue at a time (design section 6)."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from botocore.config import Config

from functions.feed_preparer.heartbeat import heartbeat
from shared.dynamo.client import dynamodb_client
from shared.runs.artifacts import RunArtifacts
from shared.runs.preparer import PrepareRoom, give_up, prepare_run
from shared.runs.pulling import PullRoom
from shared.runs.store import RunStore
from shared.settings import Settings, SourceSettings
from shared.sources.credentials import CredentialStore
from shared.sources.fetching import Patience
from shared.sources.puller import Puller
from shared.sources.store import LastFileStore
from shared.times import utc_now

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
    from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
    from aws_lambda_powertools.utilities.typing import LambdaContext
    from mypy_boto3_sqs import SQSClient

TRIES = 4
"""Tries at preparing a run. The next delivery fails the run instead: whatever kills a worker four times is not chance.

The queue's redrive policy must allow more than this (template.yaml).
"""

STOP_BEFORE_TIMEOUT_MS = 120_000
"""What is left of the function's time when it stops reading: enough to fold and to store what a large file left."""

logger = Logger()
metrics = Metrics(namespace="ProductSync")
processor = BatchProcessor(EventType.SQS)


@cache
def settings() -> Settings:
    return Settings.from_environment()


@cache
def room() -> PrepareRoom:
    dynamodb = dynamodb_client()
    runs = RunStore(dynamodb, settings().work_table)
    artifacts = RunArtifacts(boto3.client("s3"), settings().data_bucket)
    pulling = PullRoom(
        runs=runs,
        artifacts=artifacts,
        puller=puller(),
        last_files=LastFileStore(dynamodb, settings().work_table),
        clock=utc_now,
    )
    return PrepareRoom(runs, artifacts, pulling=pulling)


def puller() -> Puller:
    sources = SourceSettings.from_environment()
    patience = Patience()
    # Fetching tries again by itself, from the beginning, and within a time limit of its own.
    config = Config(connect_timeout=patience.connect, read_timeout=patience.read, retries={"total_max_attempts": 1})
    return Puller(
        s3=boto3.client("s3", config=config),
        credentials=CredentialStore(boto3.client("secretsmanager"), sources.secrets_prefix),
        settings=sources,
        max_bytes=settings().max_feed_bytes,
        patience=patience,
    )


@cache
def sqs() -> SQSClient:
    return boto3.client("sqs")


def prepare_one(record: SQSRecord, lambda_context: LambdaContext) -> None:
    """Prepares the run that the message names, or fails it after too many tries."""
    message = record.json_body
    workspace_id, run_id = message["workspace_id"], message["run_id"]
    logger.append_keys(workspace_id=workspace_id, run_id=run_id)
    with heartbeat(sqs(), settings().prepare_queue_url, record.receipt_handle):
        too_often = int(record.attributes.approximate_receive_count) > TRIES
        if too_often:
            run = give_up(room(), workspace_id, run_id)
        else:
            run = prepare_run(room(), workspace_id, run_id, lambda: out_of_time(lambda_context))
    if run is None:
        logger.warning("the message names a run that does not exist")
        return
    logger.info("prepared a run", extra={"state": run.state, "records": run.records, "rejected": run.rejected})
    failure = run.failure
    metrics.add_metric("FailedRuns", MetricUnit.Count, int(failure is not None and failure.is_ours))
    metrics.add_metric("RejectedRuns", MetricUnit.Count, int(failure is not None and not failure.is_ours))


def out_of_time(context: LambdaContext) -> bool:
    return context.get_remaining_time_in_millis() < STOP_BEFORE_TIMEOUT_MS


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    return process_partial_response(event=event, record_handler=prepare_one, processor=processor, context=context)
