"""Schedules: what an owner wants to happen, and when (design section 7)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from shared.schedules.expressions import next_firings, parse
from shared.schedules.zones import zone_named


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

    def fires_again(self, now: datetime) -> bool:
        """Whether it is ever due after `now`. What was valid when it was put may be over."""
        return bool(next_firings(parse(self.expression), zone_named(self.time_zone), now, count=1, anchor=now))


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """A schedule as it was last put. `version` grows with every change of the definition; what it begins at means
    nothing. `carried_over` says that its copy was made to agree with this version.
    """

    workspace_id: str
    schedule_id: str
    definition: ScheduleDefinition
    version: int
    created_at: datetime
    updated_at: datetime
    carried_over: bool = field(default=True, compare=False)
