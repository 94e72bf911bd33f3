"""Does the work that waits in the queue of rules, one message at a time (design section 8): passes of scheduled rules,
changes that waited for credits, and telling owners of rules that were suspended.

A message says where to look, and nothing more: whoever takes it reads what is there. So one that comes twice does no
harm.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response

from shared.announcing import Announcer
from shared.catalog import CatalogStore
from shared.credits import Ledger
from shared.dynamo.client import dynamodb_client
from shared.rules.backlog import BacklogRoom, BacklogStore, drain
from shared.rules.commands import SuspensionRoom, tell_of_suspension
from shared.rules.expressions import parse
from shared.rules.firing import FiringRoom, RuleLimits
from shared.rules.meters import MeterStore
from shared.rules.passes.store import PassStore
from shared.rules.passes.worker import PassRoom, work
from shared.rules.store import RuleStore
from shared.settings import AnnouncementSettings, RuleSettings, Settings

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
    from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
    from aws_lambda_powertools.utilities.typing import LambdaContext

HAND_OVER_BEFORE_TIMEOUT_MS = 20_000
"""What is left of the function's time when it hands over at the latest. A step takes a fraction of a second; one that
meets an outage is cut off by the time limit, and done by the next worker.
"""

# What reads expressions is made while the function starts, and not while its first message waits.
parse("true")

logger = Logger()
processor = BatchProcessor(EventType.SQS)


@cache
def settings() -> Settings:
    return Settings.from_environment()


@cache
def firing_room() -> FiringRoom:
    rules, dynamodb = RuleSettings.from_environment(), dynamodb_client()
    return FiringRoom(
        rules=RuleStore(dynamodb, settings().work_table),
        meters=MeterStore(dynamodb, settings().work_table),
        catalog=CatalogStore(dynamodb, settings().catalog_table),
        ledger=Ledger(dynamodb, settings().credit_table),
        prices=settings().prices,
        limits=RuleLimits(max_depth=rules.max_depth, firings_per_hour=rules.firings_per_hour),
    )


@cache
def pass_room() -> PassRoom:
    return PassRoom(firing_room(), PassStore(dynamodb_client(), settings().work_table))


@cache
def backlog_room() -> BacklogRoom:
    return BacklogRoom(firing_room(), BacklogStore(dynamodb_client(), settings().work_table))


@cache
def suspension_room() -> SuspensionRoom:
    topic_arn = AnnouncementSettings.from_environment().topic_arn
    announcer = Announcer(boto3.client("events"), boto3.client("sns"), topic_arn)
    room = firing_room()
    return SuspensionRoom(room.rules, room.ledger, room.limits, announcer)


@dataclass(frozen=True, slots=True)
class PassCall:
    """A pass is to be worked on."""

    workspace_id: str
    pass_id: str
    leg: int


@dataclass(frozen=True, slots=True)
class BacklogCall:
    """What waits for the rules of a workspace is to be acted on."""

    workspace_id: str
    leg: int


@dataclass(frozen=True, slots=True)
class SuspensionCall:
    """The owner of a rule is to be told that this version of it was suspended."""

    workspace_id: str
    rule_id: str
    version: int


def call_of(body: str) -> PassCall | BacklogCall | SuspensionCall:
    """What a message calls for. Raises ValueError when it is none of ours."""
    message = json.loads(body)
    if not isinstance(message, Mapping):
        raise ValueError(f"a message is an object, not {type(message).__name__}")
    workspace_id = _text(message, "workspace_id")
    if "pass_id" in message:
        return PassCall(workspace_id, _text(message, "pass_id"), _number(message, "leg"))
    if "suspended" in message:
        return SuspensionCall(workspace_id, _text(message, "rule_id"), _number(message, "suspended"))
    return BacklogCall(workspace_id, _number(message, "backlog"))


def carry_out(record: SQSRecord, lambda_context: LambdaContext) -> None:
    """Does what one message calls for. What fails is delivered again, and after some tries to the dead letters."""
    try:
        call = call_of(record.body)
    except ValueError:
        # No later try will find more in it.
        logger.exception("a message that nothing of ours has sent", extra={"message_id": record.message_id})
        return
    logger.append_keys(workspace_id=call.workspace_id)
    match call:
        case PassCall(workspace_id, pass_id, leg):
            rule_pass = work(pass_room(), workspace_id, pass_id, _out_of_time(lambda_context), leg)
            about = {"pass_id": pass_id, "state": rule_pass and rule_pass.state}
            logger.info("worked on a pass of a rule", extra=about | {"position": rule_pass and rule_pass.position})
        case BacklogCall(workspace_id, leg):
            outcome = drain(backlog_room(), workspace_id, leg, _out_of_time(lambda_context))
            logger.info("acted on what waited for rules", extra={"outcome": outcome.value})
        case SuspensionCall(workspace_id, rule_id, version):
            tell_of_suspension(suspension_room(), workspace_id, rule_id, version)
            logger.info("told of a rule that is suspended", extra={"rule_id": rule_id, "version": version})


def _out_of_time(lambda_context: LambdaContext) -> Callable[[], bool]:
    hand_over_at = time.monotonic() + settings().import_leg_seconds

    def is_out_of_time() -> bool:
        nearly_timed_out = lambda_context.get_remaining_time_in_millis() < HAND_OVER_BEFORE_TIMEOUT_MS
        return nearly_timed_out or time.monotonic() >= hand_over_at

    return is_out_of_time


def _text(message: Mapping[str, Any], name: str) -> str:
    value = message.get(name)
    if not isinstance(value, str) or not value:
        raise ValueError(f"the message has no {name}")
    return value


def _number(message: Mapping[str, Any], name: str) -> int:
    value = message.get(name)
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"the message has no number {name}")
    return value


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    """Reports the messages that failed; SQS delivers them again."""
    return process_partial_response(event=event, record_handler=carry_out, processor=processor, context=context)
