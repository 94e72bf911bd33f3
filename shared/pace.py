"""How much a person does in a day and in an hour of it: more than any hand can is automation, which is not free.

One item counts what a person does on one day (UTC): in all, and in each hour. Counting and refusing are one conditional
update of it. So a sign-in cannot be used to run automation for nothing (design section 2), while nobody's hand is ever
slowed down by the automation of the workspace, or by other people.

Changes of API keys are counted the same way (`shared.workspaces.key_commands`), and so are exports and audits that are
begun because somebody asked.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

from shared import keys
from shared.dynamo.values import from_item, to_item
from shared.keys import Key

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

RUN_START_WEIGHT = 60
"""How many calls the start of a run by hand counts for: it sets a whole file in motion, and as a dry run it is free."""

_KEPT = timedelta(days=7)


@dataclass(frozen=True, slots=True, kw_only=True)
class PaceLimits:
    """Calls that one person, or whoever is counted, may make within an hour and within a day, both of UTC's clock."""

    per_hour: int
    per_day: int

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> PaceLimits:
        """Raises KeyError for what is missing, ValueError for what does not parse: such a function must not start."""
        return cls(per_hour=int(environment["PERSON_CALLS_PER_HOUR"]), per_day=int(environment["PERSON_CALLS_PER_DAY"]))


REPORT_PACE = PaceLimits(per_hour=12, per_day=96)
"""How many exports of one workspace are begun because somebody asked, and how many audits: they cost nobody credits,
and each may read the whole log. Within a day the exports of eight years' months can be had.
"""


@dataclass(frozen=True, slots=True)
class TooFast:
    """No hand is that fast: `limit` calls within a `period`, `hour` or `day`. It begins anew at `until`."""

    limit: int
    period: str
    until: datetime

    def seconds_left(self, now: datetime) -> int:
        """How long to wait, in whole seconds."""
        return math.ceil((self.until - now).total_seconds())


class PaceStore:
    """Counts what people do, and what else goes by the hour and the day."""

    def __init__(self, client: DynamoDBClient, table: str, limits: PaceLimits) -> None:
        self._client = client
        self._table = table
        self._limits = limits

    def count(self, workspace_id: str, person_id: str, weight: int, now: datetime) -> TooFast | None:
        """Counts `weight` calls; none of them where that would be more than a person may make."""
        return self.count_on(keys.person_day(workspace_id, person_id, now), weight, now)

    def count_on(self, day: Key, weight: int, now: datetime) -> TooFast | None:
        """The same of whatever is counted on `day`, the item of the day (UTC) that it is now."""
        at = now.astimezone(UTC)
        hour = f"hour_{at:%H}"
        try:
            self._client.update_item(
                TableName=self._table,
                Key=day.attributes(),
                UpdateExpression="ADD #day :weight, #hour :weight SET forget_at = :forget_at",
                ConditionExpression=(
                    "(attribute_not_exists(#day) OR #day <= :day_before)"
                    " AND (attribute_not_exists(#hour) OR #hour <= :hour_before)"
                ),
                ExpressionAttributeNames={"#day": "day", "#hour": hour},
                ExpressionAttributeValues=to_item(
                    {
                        ":weight": weight,
                        ":day_before": self._limits.per_day - weight,
                        ":hour_before": self._limits.per_hour - weight,
                        ":forget_at": int((at + _KEPT).timestamp()),
                    }
                ),
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except self._client.exceptions.ConditionalCheckFailedException as refused:
            counted = from_item(cast("Any", refused.response)["Item"])
            is_over = int(counted["day"]) + weight > self._limits.per_day
            return self._next_day(at) if is_over else self._next_hour(at)
        return None

    def _next_day(self, at: datetime) -> TooFast:
        midnight = at.replace(hour=0, minute=0, second=0, microsecond=0)
        return TooFast(self._limits.per_day, "day", midnight + timedelta(days=1))

    def _next_hour(self, at: datetime) -> TooFast:
        return TooFast(
            self._limits.per_hour, "hour", at.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
        )
