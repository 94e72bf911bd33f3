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
    """Sends the run of one stream record on its way. Raises when the queue does not take the message."""
    image = record.dynamodb.new_image if record.dynamodb else {}
    if "doorbell" not in image:
        # The mapping's filter keeps these away; without it they would still be none of this function's business.
        return
    try:
        queue = queue_of(Doorbell(image["doorbell"]))
        message = {"workspace_id": image["workspace_id"], "run_id": image["run_id"], "leg": int(image["leg"])}
    except (KeyError, ValueError):
        # No later try will find more in it; a report would hold up the whole shard for as long as the stream keeps it.
        logger.exception("a doorbell that no run of ours has", extra={"event_id": record.event_id})
        return
    sqs().send_message(QueueUrl=queue, MessageBody=json.dumps(message))
    logger.info("a run's doorbell rang", extra={**message, "doorbell": image["doorbell"], "state": image.get("state")})


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    """Reports the records that failed; Lambda calls again from the first of them on."""
    return process_partial_response(event=event, record_handler=dispatch, processor=processor, context=context)
