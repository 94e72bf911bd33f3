"""Sweeps: finds what a failed guard has left behind and sends the guard there (design section 7)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools import Logger

from shared.automation.messages import GuardMessage
from shared.automation.store import AutomationStore
from shared.automation.sweep import sweep
from shared.automation.waiting import WaitingStore
from shared.credits import Ledger, PriceList
from shared.dynamo.client import dynamodb_client
from shared.feeds.store import FeedStore
from shared.rules.store import RuleStore
from shared.schedules.commands import ScheduleRoom
from shared.schedules.scheduler import Scheduler, Target, scheduler_client
from shared.schedules.store import ScheduleStore
from shared.settings import GuardSettings, Settings

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext
    from mypy_boto3_sqs import SQSClient

logger = Logger()


@dataclass(frozen=True, slots=True)
class Room:
    """What sweeping takes."""

    schedules: ScheduleRoom
    waiting: WaitingStore
    automation: AutomationStore
    prices: PriceList


@cache
def room() -> Room:
    settings = Settings.from_environment()
    dynamodb = dynamodb_client()
    return Room(
        ScheduleRoom(
            schedules=ScheduleStore(dynamodb, settings.work_table),
            feeds=FeedStore(dynamodb, settings.work_table),
            rules=RuleStore(dynamodb, settings.work_table),
            ledger=Ledger(dynamodb, settings.credit_table),
            scheduler=Scheduler(scheduler_client(), Target.from_environment()),
        ),
        WaitingStore(dynamodb, settings.work_table),
        AutomationStore(dynamodb, settings.work_table),
        settings.prices,
    )


@cache
def guard_settings() -> GuardSettings:
    return GuardSettings.from_environment()


@cache
def sqs() -> SQSClient:
    return boto3.client("sqs")


@logger.inject_lambda_context(clear_state=True)
def handler(_event: dict[str, Any], _context: LambdaContext) -> dict[str, int]:
    """One sweep; says how often the guard was sent for. What it does not get to, or fails at, is left to the next one:
    a sweep that fails, or is cut off by its time limit, raises an alarm.
    """
    sent = 0
    for call in sweep(room()):
        # One by one: most sweeps find nothing, and what was found is on its way whatever happens to the rest.
        message = GuardMessage(call.workspace_id, call.schedule_id)
        sqs().send_message(QueueUrl=guard_settings().queue_url, MessageBody=message.to_json())
        sent += 1
    logger.info("swept", extra={"sent": sent})
    return {"sent": sent}
