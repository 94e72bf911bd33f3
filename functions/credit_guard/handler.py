"""Calls the credit guard: for balances that reached zero or were topped up, and for what its queue names (design
section 7).

A record of the credit table's stream says only which workspace to look at. What cannot be done for it now goes to the
queue: a stream waits for the record that fails, and other workspaces must not wait for this one.
"""

from __future__ import annotations

from functools import cache, partial
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from botocore.exceptions import BotoCoreError, ClientError

from shared.announcing import AnnouncementRefused, Announcer
from shared.automation.guard import GuardRoom, NotSettled, Unfinished, attend, attend_schedule
from shared.automation.messages import GuardMessage
from shared.automation.store import AutomationState, AutomationStore
from shared.automation.waiting import WaitingStore
from shared.credits import Ledger
from shared.dynamo.client import dynamodb_client
from shared.dynamo.transactions import StoreUnavailable
from shared.feeds.store import FeedStore
from shared.rules.backlog import BacklogStore
from shared.rules.passes.store import PassStore
from shared.rules.store import RuleStore
from shared.runs.store import RunStore
from shared.schedules.commands import ScheduleRoom, StillMoving
from shared.schedules.scheduler import Scheduler, Target, scheduler_client
from shared.schedules.store import ScheduleStore
from shared.settings import AnnouncementSettings, GuardSettings, Settings

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
    from aws_lambda_powertools.utilities.data_classes.dynamo_db_stream_event import DynamoDBRecord
    from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
    from aws_lambda_powertools.utilities.typing import LambdaContext
    from mypy_boto3_sqs import SQSClient

HAND_OVER_BEFORE_TIMEOUT_MS = 30_000
"""What is left of the function's time when it hands over: some dozens of schedules are still under way then."""

RETRY_SECONDS = 5
"""How long a workspace rests that could not be attended: what failed was a service, or too many calls to it."""

FAILURES = (AnnouncementRefused, BotoCoreError, ClientError, NotSettled, StillMoving, StoreUnavailable)
"""What another try may do away with."""

logger = Logger()
stream_processor = BatchProcessor(EventType.DynamoDBStreams)
queue_processor = BatchProcessor(EventType.SQS)


@cache
def room() -> GuardRoom:
    settings = Settings.from_environment()
    dynamodb = dynamodb_client()
    announcements = AnnouncementSettings.from_environment()
    return GuardRoom(
        schedules=ScheduleRoom(
            schedules=ScheduleStore(dynamodb, settings.work_table),
            feeds=FeedStore(dynamodb, settings.work_table),
            rules=RuleStore(dynamodb, settings.work_table),
            ledger=Ledger(dynamodb, settings.credit_table),
            scheduler=Scheduler(scheduler_client(), Target.from_environment()),
        ),
        waiting=WaitingStore(dynamodb, settings.work_table),
        runs=RunStore(dynamodb, settings.work_table),
        passes=PassStore(dynamodb, settings.work_table),
        backlog=BacklogStore(dynamodb, settings.work_table),
        automation=AutomationStore(dynamodb, settings.work_table),
        announcer=Announcer(boto3.client("events"), boto3.client("sns"), announcements.topic_arn),
        prices=settings.prices,
    )


@cache
def guard_settings() -> GuardSettings:
    return GuardSettings.from_environment()


@cache
def sqs() -> SQSClient:
    return boto3.client("sqs")


def look(message: GuardMessage, context: LambdaContext) -> None:
    """Sends the guard where the message says, and a message after it when there is more than fits into its time."""
    about = {"workspace_id": message.workspace_id}
    if message.schedule_id is not None:
        attend_schedule(room(), message.workspace_id, message.schedule_id)
        logger.info("settled a schedule", extra={**about, "schedule_id": message.schedule_id})
        return
    going_on = None
    if message.state is not None and message.after is not None:
        going_on = Unfinished(AutomationState(message.state), message.after)
    outcome = attend(room(), message.workspace_id, lambda: out_of_time(context), going_on)
    logger.info("attended a workspace", extra={**about, "state": outcome.state})
    if isinstance(outcome, Unfinished):
        for schedule_id in outcome.failed:
            send(GuardMessage(message.workspace_id, schedule_id), RETRY_SECONDS)
        send(GuardMessage(message.workspace_id, state=outcome.state.value, after=outcome.after))


def out_of_time(context: LambdaContext) -> bool:
    return context.get_remaining_time_in_millis() < HAND_OVER_BEFORE_TIMEOUT_MS


def send(message: GuardMessage, delay_seconds: int = 0) -> None:
    sqs().send_message(QueueUrl=guard_settings().queue_url, MessageBody=message.to_json(), DelaySeconds=delay_seconds)


def carry_out(record: SQSRecord, lambda_context: LambdaContext) -> None:
    """What one message asks for. What fails is delivered again, and after some tries to the dead letters."""
    look(GuardMessage.of(record.json_body), lambda_context)


def answer(record: DynamoDBRecord, lambda_context: LambdaContext, attended: set[str]) -> None:
    """Sends the guard to the workspace of one record, unless it is among the `attended` of this batch: it reads the
    balance as it is now, so one look answers for all records that came before it.

    What cannot be done now goes to the queue. Raises when that does not take it either.
    """
    image = record.dynamodb.new_image if record.dynamodb else {}
    workspace_id = image.get("workspace_id")
    if not isinstance(workspace_id, str):
        # No later try will find more in it.
        logger.error("a balance that names no workspace", extra={"event_id": record.event_id})
        return
    if workspace_id in attended:
        return
    message = GuardMessage(workspace_id)
    if out_of_time(lambda_context):
        send(message)
    else:
        try:
            look(message, lambda_context)
        except FAILURES:
            logger.exception(
                "a workspace could not be attended; the queue gets it", extra={"workspace_id": workspace_id}
            )
            send(message, RETRY_SECONDS)
    attended.add(workspace_id)


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    """Reports the records or messages that failed; Lambda calls again for them."""
    if event["Records"][0]["eventSource"] == "aws:sqs":
        return process_partial_response(
            event=event, record_handler=carry_out, processor=queue_processor, context=context
        )
    return process_partial_response(
        event=event,
        record_handler=partial(answer, attended=set()),
        processor=stream_processor,
        context=context,
    )
