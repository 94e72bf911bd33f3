"""Sends whatever rings its doorbell to the queue that answers it: runs, schedules, rules (design sections 5, 7 and 8),
exports and audits.

The table's stream calls this for items that carry a doorbell only (template.yaml). The record's image says who must
act, and nothing more: whoever takes the message reads the item as it is then. So a record that comes twice does no
harm.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response

from shared.audits import store as audits
from shared.automation.messages import GuardMessage
from shared.exports import store as exports
from shared.rules.doorbells import RuleDoorbell
from shared.runs.store import Doorbell
from shared.schedules import store as schedules
from shared.settings import GuardSettings, ReportSettings, RuleSettings, Settings

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
def guard_settings() -> GuardSettings:
    return GuardSettings.from_environment()


@cache
def rule_settings() -> RuleSettings:
    return RuleSettings.from_environment()


@cache
def report_settings() -> ReportSettings:
    return ReportSettings.from_environment()


@cache
def sqs() -> SQSClient:
    return boto3.client("sqs")


def call_of(image: Mapping[str, Any]) -> tuple[str, str]:
    """The URL of the queue that answers the image's doorbell, and the message for it.

    Raises KeyError or ValueError when the image is none of what has doorbells here.
    """
    workspace_id = image["workspace_id"]
    match image["doorbell"]:
        case Doorbell.PREPARE:
            return settings().prepare_queue_url, json.dumps(_run(image))
        case Doorbell.IMPORT:
            return settings().import_queue_url, json.dumps(_run(image))
        case schedules.DOORBELL:
            return guard_settings().queue_url, GuardMessage(workspace_id, image["schedule_id"]).to_json()
        case exports.DOORBELL:
            return report_settings().export_queue_url, json.dumps(_report(image, "export_id"))
        case audits.DOORBELL:
            return report_settings().audit_queue_url, json.dumps(_report(image, "audit_id"))
        case RuleDoorbell.BACKLOG:
            about = {"backlog": int(image["leg"])}
        case RuleDoorbell.PASS:
            about = {"pass_id": image["pass_id"], "leg": int(image["leg"])}
        case RuleDoorbell.SUSPENDED:
            about = {"rule_id": image["rule_id"], "suspended": int(image["version"])}
        case unknown:
            raise ValueError(f"nobody answers the doorbell {unknown!r}")
    return rule_settings().queue_url, json.dumps({"workspace_id": workspace_id, **about})


def _run(image: Mapping[str, Any]) -> dict[str, Any]:
    return {"workspace_id": image["workspace_id"], "run_id": image["run_id"], "leg": int(image["leg"])}


def _report(image: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The message for whoever makes an export or an audit; `name` is what its identifier is called."""
    return {"workspace_id": image["workspace_id"], name: image[name], "leg": int(image["leg"])}


def dispatch(record: DynamoDBRecord) -> None:
    """Sends what one stream record calls for. Raises when the queue does not take the message."""
    image = record.dynamodb.new_image if record.dynamodb else {}
    if "doorbell" not in image:
        # The mapping's filter keeps these away; without it they would still be none of this function's business.
        return
    try:
        queue, message = call_of(image)
    except (KeyError, ValueError):
        # No later try will find more in it; a report would hold up the whole shard for as long as the stream keeps it.
        logger.exception("a doorbell that nothing of ours has", extra={"event_id": record.event_id})
        return
    # A fair queue lets the others pass when one workspace has more under way than its share.
    sqs().send_message(QueueUrl=queue, MessageBody=message, MessageGroupId=image["workspace_id"])
    logger.info("a doorbell rang", extra={"doorbell": image["doorbell"], "call": message, "state": image.get("state")})


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    """Reports the records that failed; Lambda calls again from the first of them on."""
    return process_partial_response(event=event, record_handler=dispatch, processor=processor, context=context)
