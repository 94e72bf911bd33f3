"""Schedules: what an owner wants to happen, and when (design section 7)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleDefinition:
    """What an owner says. `expression` is one of EventBridge Scheduler's (see `shared.schedules.expressions`), read in
    the IANA time zone `time_zone`. `enabled` is what the owner wants; a schedule also waits while credits are out.
    """

    feed_id: str
    expression: str
    time_zone: str
    enabled: bool
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """A schedule as it was last put. `version` grows with every change of the definition; what it begins at means
    nothing.
    """

    workspace_id: str
    schedule_id: str
    definition: ScheduleDefinition
    version: int
    created_at: datetime
    updated_at: datetime
