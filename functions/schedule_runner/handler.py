"""Fires one schedule each time EventBridge Scheduler calls (design section 7).

The event is the input of the schedule's copy (see `shared.schedules.scheduler`). Scheduler and Lambda both deliver at
least once and try again what failed; whatever comes again is recognised by its scheduled time. So an outage is let out
as it is, and only what no later try could read is dropped.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any, assert_never

import boto3
from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

from shared.credits import Ledger
from shared.dynamo.client import dynamodb_client
from shared.dynamo.transactions import Backoff
from shared.feeds.store import FeedStore
from shared.rules.passes.store import PassStore
from shared.rules.store import RuleStore
from shared.runs.artifacts import RunArtifacts
from shared.runs.store import RunStore
from shared.schedules.firing import (
    Firing,
    FiringOutcome,
    FiringRoom,
    Ignored,
    Refused,
    Repeated,
    Skipped,
    Started,
    fire,
)
from shared.schedules.jobs import JobRoom, work_id
from shared.schedules.scheduler import SCHEDULED_TIME
from shared.schedules.store import ScheduleStore
from shared.schedules.syncs import LatestSyncs
from shared.settings import Settings
from shared.times import parse_rfc3339, utc_now

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

_FIRST_POSSIBLE = datetime(1970, 1, 1, tzinfo=UTC)

_PATIENT = Backoff(attempts=30, cap=2.0)
"""Half a minute of tries: at six in the morning all schedules of a workspace meet on its one balance."""

logger = Logger()
metrics = Metrics(namespace="ProductSync")


@cache
def room() -> FiringRoom:
    settings = Settings.from_environment()
    dynamodb = dynamodb_client()
    return FiringRoom(
        schedules=ScheduleStore(dynamodb, settings.work_table),
        jobs=JobRoom(
            feeds=FeedStore(dynamodb, settings.work_table),
            runs=RunStore(dynamodb, settings.work_table),
            artifacts=RunArtifacts(boto3.client("s3"), settings.data_bucket),
            rules=RuleStore(dynamodb, settings.work_table),
            passes=PassStore(dynamodb, settings.work_table),
        ),
        syncs=LatestSyncs(dynamodb, settings.work_table),
        ledger=Ledger(dynamodb, settings.credit_table, backoff=_PATIENT),
        prices=settings.prices,
    )


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: Any, _context: LambdaContext) -> dict[str, str] | None:
    """Decides on one firing and says what was decided; nobody but tests waits to hear it. None for what is no firing.

    Raises StoreUnavailable and botocore's errors, so that the firing is tried again.
    """
    outcome: FiringOutcome | None = None
    try:
        outcome = decide(event)
    finally:
        for kind in (Started, Skipped, Refused):
            metrics.add_metric(f"Firings{kind.__name__}", MetricUnit.Count, int(isinstance(outcome, kind)))
    return None if outcome is None else _describe(outcome)


def decide(event: Any) -> FiringOutcome | None:
    """What the firing that the event calls for comes to; None when it calls for none, which is logged."""
    now = utc_now()
    try:
        firing = firing_of(event, now)
    except ValueError:
        logger.exception("what came is no firing of a schedule of ours")
        return None
    logger.append_keys(workspace_id=firing.workspace_id, schedule_id=firing.schedule_id)
    outcome = fire(room(), firing, now)
    logger.info("a schedule fired", extra={"scheduled_at": firing.scheduled_at.isoformat(), **_describe(outcome)})
    return outcome


def firing_of(event: Any, now: datetime) -> Firing:
    """The firing that the event calls for. Raises ValueError for an event that calls for none.

    A scheduled time that is missing, or was not filled in (the embedded AWS leaves the placeholder as it is), is the
    minute of `now`: schedules fire once a minute at most.
    """
    if not isinstance(event, Mapping):
        raise ValueError(f"an event is an object, not {type(event).__name__}")
    scheduled_at = _scheduled_at(event.get("scheduled_time"), now)
    version = event.get("version")
    return Firing(
        _name(event.get("workspace_id")),
        _name(event.get("schedule_id")),
        scheduled_at,
        version if isinstance(version, int) else None,
    )


def _name(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("the event names no workspace, or no schedule")
    return value


def _scheduled_at(text: Any, now: datetime) -> datetime:
    if text in (None, "", SCHEDULED_TIME):
        return now.replace(second=0, microsecond=0)
    if not isinstance(text, str):
        raise ValueError(f"a scheduled time is a text, not {type(text).__name__}")
    at = parse_rfc3339(text)
    if at < _FIRST_POSSIBLE:
        raise ValueError(f"{text} is before all schedules")
    return at


def _describe(outcome: FiringOutcome) -> dict[str, str]:
    match outcome:
        case Started(operation_id, run):
            return {"outcome": "started", "operation_id": operation_id, "run_id": work_id(run)}
        case Skipped(operation_id, going):
            return {"outcome": "skipped", "operation_id": operation_id, "run_id": work_id(going)}
        case Refused(operation_id, reason):
            return {"outcome": "refused", "operation_id": operation_id, "reason": reason.value}
        case Repeated(operation_id):
            return {"outcome": "repeated", "operation_id": operation_id}
        case Ignored(reason):
            return {"outcome": "ignored", "reason": reason.value}
        case _:
            assert_never(outcome)
