"""Announces that a balance has fallen under a threshold, once for each (see `shared.credits.levels`).

Records come at least once, so what was announced is marked: an invocation that is killed between the two announces
again, and the announcement carries the same identifier.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools import Logger

from shared.announcing import Announcer
from shared.automation.announcing import level_id, running_low
from shared.automation.marks import AnnouncementMarks
from shared.credits.account import to_balance
from shared.credits.levels import crossed
from shared.dynamo.client import dynamodb_client
from shared.settings import AnnouncementSettings, Settings

if TYPE_CHECKING:
    from shared.credits import Balance

logger = Logger(child=True)


@cache
def announcer() -> Announcer:
    topic_arn = AnnouncementSettings.from_environment().topic_arn
    return Announcer(boto3.client("events"), boto3.client("sns"), topic_arn)


@cache
def marks() -> AnnouncementMarks:
    return AnnouncementMarks(dynamodb_client(), Settings.from_environment().work_table)


def announce(record: Mapping[str, Any]) -> None:
    """Tells what one record of the stream has to tell. Raises AnnouncementRefused and botocore's errors."""
    change = record.get("dynamodb", {})
    try:
        before, after = to_balance(change["OldImage"]), to_balance(change["NewImage"])
        at = datetime.fromtimestamp(change["ApproximateCreationDateTime"], UTC)
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError):
        # No later try will find more in it; a report would hold up the whole shard for as long as the stream keeps it.
        logger.exception("what changed is no balance of ours", extra={"event_id": record.get("eventID")})
        return
    for threshold in fallen_under(before, after):
        if marks().has(after.workspace_id, level_id(after, threshold)):
            continue
        announcer().announce(running_low(after, threshold, at))
        marks().put(after.workspace_id, level_id(after, threshold), at)
        logger.info("announced a threshold", extra={"workspace_id": after.workspace_id, "threshold": threshold})


def fallen_under(before: Balance, after: Balance) -> tuple[int, ...]:
    """The thresholds to tell of, highest first. A grant may lower the level too, by its size alone; that is no fall."""
    return crossed(before.level, after.level) if after.available < before.available else ()
