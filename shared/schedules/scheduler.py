"""EventBridge Scheduler: the copies of schedules that fire (design section 7).

A copy is made what it should be and never switched blindly: it is read, and changed only where it differs. An update
replaces the whole schedule, so every field that was read is sent again (Amazon EventBridge Scheduler API Reference,
UpdateSchedule); what an operator has changed there by hand, a retry policy or a window, stays.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

from shared.schedules.model import Schedule

if TYPE_CHECKING:
    from mypy_boto3_scheduler import EventBridgeSchedulerClient
    from mypy_boto3_scheduler.literals import ScheduleStateType

MAX_SCHEDULE_ID = 34
"""Characters: with the workspace's identifier, 29, and a dot the name has the 64 that EventBridge Scheduler allows."""

SCHEDULED_TIME = "<aws.scheduler.scheduled-time>"
"""What EventBridge Scheduler replaces by the time that a firing was due (User Guide, "Adding context attributes")."""

_RETRY_POLICY = {"MaximumEventAgeInSeconds": 3600, "MaximumRetryAttempts": 10}
"""A firing that is an hour late is no use: the next one has come, or will."""

_CONFIG = Config(
    retries={"mode": "standard", "total_max_attempts": 8}, connect_timeout=3, read_timeout=10, max_pool_connections=16
)


def scheduler_client(**options: Any) -> EventBridgeSchedulerClient:
    """A client that retries throttling; `options` go to `boto3.client` (an endpoint, credentials)."""
    return boto3.client("scheduler", config=_CONFIG, **options)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What schedules call, and by which right: a function, the role that invokes it, the queue of firings that could
    not be delivered. `group` is the schedule group of this deployment.
    """

    group: str
    function_arn: str
    role_arn: str
    dead_letters_arn: str

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Target:
        """That of this deployment (see template.yaml). Raises KeyError for what is missing: such a function must not
        start.
        """
        return cls(
            group=environment["SCHEDULE_GROUP"],
            function_arn=environment["SCHEDULE_RUNNER_ARN"],
            role_arn=environment["SCHEDULE_ROLE_ARN"],
            dead_letters_arn=environment["SCHEDULE_DEAD_LETTERS_ARN"],
        )


@dataclass(frozen=True, slots=True)
class Listed:
    """A copy as a listing shows it."""

    workspace_id: str
    schedule_id: str
    enabled: bool


class Scheduler:
    """The copies of one deployment. Safe to share between threads."""

    def __init__(self, client: EventBridgeSchedulerClient, target: Target) -> None:
        self._client = client
        self._target = target

    def settle(self, schedule: Schedule, *, paused: bool, now: datetime) -> bool:
        """Makes the copy what it should be while the workspace is `paused` or not. False when somebody else is at the
        same copy at this moment: what it should be has to be looked at again.

        A schedule that fires no more after `now` needs no copy: EventBridge Scheduler refuses to make one, and one that
        has fired does no harm.

        Two requests at most: one to look, and one to change, if there is something to change. Raises ClientError.
        """
        state: ScheduleStateType = "ENABLED" if schedule.definition.enabled and not paused else "DISABLED"
        found = self._get(schedule)
        if not schedule.definition.fires_again(now):
            is_of_before = found is not None and _version(found) < schedule.version
            return self.remove(schedule.workspace_id, schedule.schedule_id) if is_of_before else True
        if found is not None and "EndDate" in found and found["EndDate"] <= now:
            # An operator has given it an end, and that is past: it fires no more, and cannot be changed as it is.
            return True
        if found is None:
            return self._sent(lambda: self._client.create_schedule(**self._made(schedule), State=state))
        version = _version(found)
        if version > schedule.version:
            # Its owner has changed it since this schedule was read.
            return False
        changes: dict[str, Any] = {"State": state}
        if version < schedule.version:
            changes |= self._owned(schedule)
            changes["Target"] = found["Target"] | changes["Target"]
        elif found["State"] == state:
            return True
        return self._sent(lambda: self._client.update_schedule(**self._kept(found, now) | changes))

    def remove(self, workspace_id: str, schedule_id: str) -> bool:
        """Deletes the copy, if there is one. False as with `settle`. Raises ClientError."""
        name = _name(workspace_id, schedule_id)
        try:
            self._client.delete_schedule(GroupName=self._target.group, Name=name)
        except self._client.exceptions.ConflictException:
            return False
        except self._client.exceptions.ResourceNotFoundException:
            return True
        return True

    def listed(self) -> Iterator[list[Listed]]:
        """All copies, in pages of up to 100."""
        pages = self._client.get_paginator("list_schedules").paginate(
            GroupName=self._target.group, PaginationConfig={"PageSize": 100}
        )
        for page in pages:
            # Nobody else makes schedules in this group; one whose name is none of ours is left alone.
            named = ((each["Name"].partition("."), each["State"]) for each in page["Schedules"])
            yield [
                Listed(workspace, schedule, state == "ENABLED") for (workspace, dot, schedule), state in named if dot
            ]

    def _sent(self, change: Callable[[], object]) -> bool:
        """False when somebody has made, changed or deleted the same copy since it was looked at."""
        try:
            change()
        except self._client.exceptions.ConflictException:
            return False
        except self._client.exceptions.ResourceNotFoundException:
            return False
        return True

    def _get(self, schedule: Schedule) -> dict[str, Any] | None:
        name = _name(schedule.workspace_id, schedule.schedule_id)
        try:
            return dict(self._client.get_schedule(GroupName=self._target.group, Name=name))
        except self._client.exceptions.ResourceNotFoundException:
            return None

    def _made(self, schedule: Schedule) -> dict[str, Any]:
        """A new copy."""
        owned = self._owned(schedule)
        target = {"RetryPolicy": _RETRY_POLICY, "DeadLetterConfig": {"Arn": self._target.dead_letters_arn}}
        return owned | {
            "Name": _name(schedule.workspace_id, schedule.schedule_id),
            "GroupName": self._target.group,
            "FlexibleTimeWindow": {"Mode": "OFF"},
            "Target": owned["Target"] | target,
        }

    def _owned(self, schedule: Schedule) -> dict[str, Any]:
        """The fields that follow the owner's definition."""
        call = {
            "workspace_id": schedule.workspace_id,
            "schedule_id": schedule.schedule_id,
            "version": schedule.version,
            "scheduled_time": SCHEDULED_TIME,
        }
        return {
            "Description": schedule.definition.description,
            "ScheduleExpression": schedule.definition.expression,
            "ScheduleExpressionTimezone": schedule.definition.time_zone,
            "Target": {
                "Arn": self._target.function_arn,
                "RoleArn": self._target.role_arn,
                "Input": json.dumps(call),
            },
        }

    def _kept(self, found: dict[str, Any], now: datetime) -> dict[str, Any]:
        """All that was read and can be sent again. A start that is over cannot, and says nothing any more."""
        kept = {name: value for name, value in found.items() if name in self._updatable}
        return {name: value for name, value in kept.items() if name != "StartDate" or value > now}

    @cached_property
    def _updatable(self) -> frozenset[str]:
        shape = self._client.meta.service_model.operation_model("UpdateSchedule").input_shape
        return frozenset(shape.members) if shape else frozenset()


def _name(workspace_id: str, schedule_id: str) -> str:
    return f"{workspace_id}.{schedule_id}"


def _version(found: dict[str, Any]) -> int:
    """The version of the definition that the copy carries; 0 when somebody has replaced what it sends."""
    try:
        return int(json.loads(found["Target"]["Input"])["version"])
    except (KeyError, TypeError, ValueError):
        return 0
