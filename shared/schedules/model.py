"""Schedules: what an owner wants to happen, and when (design section 7)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from shared.schedules.expressions import Rate, next_firings, parse
from shared.schedules.zones import zone_named


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleDefinition:
    """What an owner says: the feed that is pulled, or the rule that is run, one of the two. `expression` is one of
    EventBridge Scheduler's (see `shared.schedules.expressions`), read in the IANA time zone `time_zone`. `enabled` is
    what the owner wants; a schedule also waits while credits are out.
    """

    feed_id: str | None = None
    rule_id: str | None = None
    expression: str
    time_zone: str
    enabled: bool
    description: str

    def __post_init__(self) -> None:
        if (self.feed_id is None) is (self.rule_id is None):
            raise ValueError("a schedule names a feed or a rule, and not both")

    def fires_again(self, now: datetime) -> bool:
        """Whether it is ever due after `now`. What was valid when it was put may be over."""
        return bool(next_firings(parse(self.expression), zone_named(self.time_zone), now, count=1, anchor=now))

    def is_due_at(self, at: datetime) -> bool:
        """Whether `at`, to the minute, is a time of the expression. A rate has no times of its own: it is counted from
        when the schedule was last put.
        """
        expression = parse(self.expression)
        if isinstance(expression, Rate):
            return False
        minute = at.replace(second=0, microsecond=0)
        before = minute - timedelta(minutes=1)
        due = next_firings(expression, zone_named(self.time_zone), before, count=1, anchor=before)
        return bool(due) and due[0].replace(second=0, microsecond=0) == minute


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
