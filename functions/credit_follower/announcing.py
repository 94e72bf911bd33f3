"""Announces that a balance has fallen under a threshold, once for each (see `shared.credits.levels`).

Counting must not wait for it: a stream stops at the record that fails, and with it all that comes after. So what cannot
be announced now goes to a queue of its own, and is tried again from there.

Records and messages come at least once, so what was announced is marked: an invocation that is killed between the two
announces again, and the announcement carries the same identifier.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools import Logger
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from shared.announcing import Announcement, AnnouncementRefused, Announcer
from shared.automation.announcing import running_low
from shared.automation.marks import AnnouncementMarks
from shared.credits.account import to_balance
from shared.credits.levels import crossed
from shared.dynamo.client import dynamodb_client
from shared.settings import AnnouncementSettings, FollowerSettings, Settings

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

    from shared.credits import Balance

FAILURES = (AnnouncementRefused, BotoCoreError, ClientError)
"""What another try may do away with."""

PATIENCE = Config(connect_timeout=2, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 2})
"""A service that does not answer is given up after a quarter of the function's time, and not after all of it."""

logger = Logger(child=True)


@cache
def announcer() -> Announcer:
    topic_arn = AnnouncementSettings.from_environment().topic_arn
    return Announcer(boto3.client("events", config=PATIENCE), boto3.client("sns", config=PATIENCE), topic_arn)


@cache
def marks() -> AnnouncementMarks:
    return AnnouncementMarks(dynamodb_client(), Settings.from_environment().work_table)


@cache
def follower_settings() -> FollowerSettings:
    return FollowerSettings.from_environment()


@cache
def sqs() -> SQSClient:
    return boto3.client("sqs", config=PATIENCE)


def tell(records: Iterable[Mapping[str, Any]]) -> set[str]:
    """Announces what has fallen, or leaves it to the queue; after one that fails the others are not tried, since each
    would take as long. Where in the stream the first record stands that the queue has not taken either.
    """
    is_down = False
    for record in records:
        try:
            for announcement in of_record(record):
                is_down = is_down or not _is_told(announcement)
                if is_down:
                    _leave(announcement)
        except (BotoCoreError, ClientError):
            logger.exception("a threshold could neither be announced nor left to the queue")
            return {record["dynamodb"]["SequenceNumber"]}
    return set()


def of_record(record: Mapping[str, Any]) -> Iterator[Announcement]:
    """What one record of the stream has to tell, the highest threshold first."""
    change = record.get("dynamodb", {})
    try:
        before, after = to_balance(change["OldImage"]), to_balance(change["NewImage"])
        at = datetime.fromtimestamp(change["ApproximateCreationDateTime"], UTC)
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError):
        # No later try will find more in it; a report would hold up the whole shard for as long as the stream keeps it.
        logger.exception("what changed is no balance of ours", extra={"event_id": record.get("eventID")})
        return
    yield from (running_low(after, threshold, at) for threshold in fallen_under(before, after))


def fallen_under(before: Balance, after: Balance) -> tuple[int, ...]:
    """The thresholds to tell of, highest first. A grant may lower the level too, by its size alone; that is no fall."""
    return crossed(before.level, after.level) if after.available < before.available else ()


def announce(announcement: Announcement) -> None:
    """Tells customers, unless they were told. Raises what is among `FAILURES`; it may then have been told in part."""
    if marks().has(announcement):
        return
    announcer().announce(announcement)
    marks().put(announcement)
    about = {"workspace_id": announcement.workspace_id, "threshold": announcement.detail["threshold"]}
    logger.info("announced a threshold", extra=about)


def _is_told(announcement: Announcement) -> bool:
    try:
        announce(announcement)
    except FAILURES:
        about = {"announcement_id": announcement.announcement_id}
        logger.exception("a threshold could not be announced; the queue gets it", extra=about)
        return False
    return True


def _leave(announcement: Announcement) -> None:
    body = json.dumps(announcement.document())
    sqs().send_message(QueueUrl=follower_settings().queue_url, MessageBody=body)
