"""Sends a run whose doorbell rings to the queue that the doorbell names (design section 5).

The table's stream calls this for runs that carry a doorbell only (template.yaml). The record's image says who must
act, and nothing more: whoever takes the message reads the run as it is then. So a record that comes twice does no harm.
"""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response

from shared.runs.store import Doorbell
from shared.settings import Settings

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
    from aws_lambda_powertools.utilities.data_classes.dynamo_db_stream_event import DynamoDBRecord
    from aws_lambda_powertools.utilities.typing import LambdaContext
    from mypy_boto3_sqs import SQSClient

logger = Logger()
processor = BatchProcessor(EventType.DynamoDBStreams)


@cache
def settings() -> Settings:
    return Settings.from_environment()


@cache
def sqs() -> SQSClient:
    return boto3.client("sqs")


def queue_of(doorbell: Doorbell) -> str:
    """The URL of the queue that answers the doorbell."""
    match doorbell:
        case Doorbell.PREPARE:
            return settings().prepare_queue_url
        case Doorbell.IMPORT:
            return settings().import_queue_url


def dispatch(record: DynamoDBRecord) -> None:
    """Sends the run of one stream record on its way. Raises for a record that is not a run with a doorbell."""
    run = record.dynamodb.new_image if record.dynamodb else {}
    doorbell = run.get("doorbell")
    if doorbell is None:
        # The mapping's filter keeps these away; without it they would still be none of this function's business.
        return
    message = {"workspace_id": run["workspace_id"], "run_id": run["run_id"]}
    sqs().send_message(QueueUrl=queue_of(Doorbell(doorbell)), MessageBody=json.dumps(message))
    logger.info("a run's doorbell rang", extra={**message, "doorbell": doorbell, "state": run.get("state")})


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    """Reports the records that failed; Lambda calls again from the first of them on."""
    return process_partial_response(event=event, record_handler=dispatch, processor=processor, context=context)
