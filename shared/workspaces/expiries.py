"""When grants expire: for each grant that does, EventBridge Scheduler calls the function that books what is left of it.

The schedule is made before the grant is given. One that is left over, because the grant never came, was used up or is
void, finds nothing to book.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config

from shared.credits import Grant, Ledger, UnknownWorkspace

if TYPE_CHECKING:
    from mypy_boto3_scheduler import EventBridgeSchedulerClient
    from mypy_boto3_scheduler.type_defs import RetryPolicyTypeDef

LATEST = datetime(2199, 12, 31, tzinfo=UTC)
"""EventBridge Scheduler knows no later year."""

_RETRY_POLICY: RetryPolicyTypeDef = {"MaximumEventAgeInSeconds": 86_400, "MaximumRetryAttempts": 185}
"""As long and as often as EventBridge Scheduler can: late is better than never."""

_CONFIG = Config(connect_timeout=3, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 4})


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpirySettings:
    """What the schedules call, and by which right: a function, the role that invokes it, the queue of calls that could
    not be delivered. `group` is their schedule group.
    """

    group: str
    function_arn: str
    role_arn: str
    dead_letters_arn: str

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> ExpirySettings:
        """Raises KeyError for what is missing: such a function must not start."""
        return cls(
            group=environment["EXPIRY_GROUP"],
            function_arn=environment["GRANT_EXPIRY_ARN"],
            role_arn=environment["EXPIRY_ROLE_ARN"],
            dead_letters_arn=environment["EXPIRY_DEAD_LETTERS_ARN"],
        )


def connect() -> EventBridgeSchedulerClient:
    """EventBridge Scheduler."""
    return boto3.client("scheduler", config=_CONFIG)


class Expiries:
    """The schedules of grants that expire. It connects when the first one is made: few grants expire."""

    def __init__(self, settings: ExpirySettings, connect: Callable[[], EventBridgeSchedulerClient] = connect) -> None:
        self._settings = settings
        self._connect = connect

    def schedule(self, grant: Grant) -> None:
        """Has what is left of the grant booked when it expires; the same grant twice is one schedule.

        Raises botocore's errors: then the grant must not be given.
        """
        if grant.expires_at is None or grant.expires_at >= LATEST:
            return
        # A moment late rather than early: it counts in whole seconds, and clocks differ.
        at = (grant.expires_at + timedelta(seconds=2)).astimezone(UTC)
        try:
            self._client.create_schedule(
                GroupName=self._settings.group,
                Name=_name(grant.grant_id, grant.expires_at),
                Description="Books what is left of a grant when it expires",
                ScheduleExpression=f"at({at:%Y-%m-%dT%H:%M:%S})",
                ScheduleExpressionTimezone="UTC",
                FlexibleTimeWindow={"Mode": "OFF"},
                ActionAfterCompletion="DELETE",
                Target={
                    "Arn": self._settings.function_arn,
                    "RoleArn": self._settings.role_arn,
                    "Input": json.dumps({"workspace_id": grant.workspace_id, "grant_id": grant.grant_id}),
                    "RetryPolicy": _RETRY_POLICY,
                    "DeadLetterConfig": {"Arn": self._settings.dead_letters_arn},
                },
            )
        except self._client.exceptions.ConflictException:
            # It is there, for this grant and this time.
            return

    @cached_property
    def _client(self) -> EventBridgeSchedulerClient:
        return self._connect()


@dataclass(frozen=True, slots=True)
class ExpiresInThePast:
    """The credits would be gone before they came. Nothing was added."""

    expires_at: datetime


def prepare(
    ledger: Ledger, expiries: Expiries, grant: Grant, now: datetime
) -> ExpiresInThePast | UnknownWorkspace | None:
    """What has to be done before a new grant is given, or why it cannot be. A grant that never expires needs nothing.

    Raises botocore's errors.
    """
    if grant.expires_at is None:
        return None
    if grant.expires_at <= now:
        return ExpiresInThePast(grant.expires_at)
    if ledger.balance(grant.workspace_id) is None:
        return UnknownWorkspace(grant.workspace_id)
    expiries.schedule(grant)
    return None


def _name(grant_id: str, expires_at: datetime) -> str:
    """Of the time, too: a reference whose grant never came may be used again with another one."""
    return f"{grant_id}.{int(expires_at.timestamp() * 1000)}"
