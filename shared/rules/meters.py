"""What a rule has done: a small item beside the rule, moved by every transaction in which the rule fires.

It also is what such a transaction is conditional on: that the rule still is the version that was looked at, and that
it has not fired more often in this hour than it may. So a rule that is changed, deleted or suspended between a match
and its commit does not fire any more, and no number of workers together exceeds the limit.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Lock
from typing import TYPE_CHECKING, Any

from shared import keys
from shared.dynamo.reads import batch_get
from shared.dynamo.transactions import Backoff
from shared.dynamo.values import from_item, to_item
from shared.dynamo.writes import Write
from shared.keys import Item, Key
from shared.rules.model import Rule
from shared.times import optional_rfc3339, to_rfc3339

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

MAX_REASON = 300
"""Characters that are kept of why a rule last failed: the item stays under 1 KB, and so costs two write units."""

STOPPED = 0
"""The version that the meter of a suspended rule counts for; rules have none so low."""

_REMEMBERED_RULES = 1000

_SUMS = ("fired_in_hour", "firings", "credits", "failures")


@dataclass(frozen=True, slots=True, kw_only=True)
class Meter:
    """The sums of a rule since it was made, over all its versions. `hour` is the hour (UTC) that `fired_in_hour` is
    counted in; `credits` is what its firings cost, records included; `failures` counts records.
    """

    version: int
    hour: str
    fired_in_hour: int
    firings: int
    credits: int
    failures: int
    last_fired_at: datetime | None
    last_failure_at: datetime | None
    last_failure: str | None

    def fired_in(self, hour: str) -> int:
        """Firings in `hour`, as far as they are counted."""
        return self.fired_in_hour if self.hour == hour else 0


def hour_of(now: datetime) -> str:
    """The hour that firings at `now` count in; hours sort by time."""
    return now.astimezone(UTC).strftime("%Y-%m-%dT%H")


def put_meter(table: str, rule: Rule) -> Write:
    """Makes the meter count for this version of the rule. The sums stay; a new rule begins with none."""
    changes = ["#version = :version", "#hour = if_not_exists(#hour, :no_hour)"]
    changes += [f"#{name} = if_not_exists(#{name}, :none)" for name in _SUMS]
    return _update(
        table,
        rule,
        "SET " + ", ".join(changes),
        None,
        ("version", "hour", *_SUMS),
        {":version": rule.version, ":no_hour": "", ":none": 0},
    )


def stop_meter(table: str, rule: Rule) -> Write:
    """Makes the meter count for no version of the rule, until it is put anew: for a suspension."""
    return _update(table, rule, "SET #version = :stopped", None, ("version",), {":stopped": STOPPED})


def delete_meter(table: str, workspace_id: str, rule_id: str) -> Write:
    key = keys.rule_meter(workspace_id, rule_id).attributes()
    return Write({"Delete": {"TableName": table, "Key": key}})


def count_firings(
    table: str, rule: Rule, seen: Meter | None, *, firings: int, credits: int, limit: int, now: datetime
) -> Write:
    """Counts firings, if the rule still is this version and may fire so often in this hour.

    `seen` is the meter as it was read, or as a refusal showed it; without it the rule is taken to have fired in this
    hour before. No more firings than `limit` may be asked for at once.
    """
    hour = hour_of(now)
    counted = {":version": rule.version, ":firings": firings, ":credits": credits, ":now": to_rfc3339(now)}
    changes = ["#firings = #firings + :firings", "#credits = #credits + :credits", "#last_fired_at = :now"]
    still_this_version = "#version = :version"
    names = ("version", "hour", "fired_in_hour", "firings", "credits", "last_fired_at")
    if seen is not None and seen.hour < hour:
        changes += ["#hour = :hour", "#fired_in_hour = :firings"]
        nobody_began_this_hour = "#hour < :hour"
        condition = f"{still_this_version} AND {nobody_began_this_hour}"
        return _update(table, rule, "SET " + ", ".join(changes), condition, names, counted | {":hour": hour})
    changes.append("#fired_in_hour = #fired_in_hour + :firings")
    # The clocks of two workers differ a little: one that is late counts in the hour that another has begun.
    in_this_hour = "#hour >= :hour"
    within_the_limit = "#fired_in_hour <= :room"
    condition = f"{still_this_version} AND {in_this_hour} AND {within_the_limit}"
    values = counted | {":hour": hour, ":room": limit - firings}
    return _update(table, rule, "SET " + ", ".join(changes), condition, names, values)


def count_failures(table: str, rule: Rule, *, failures: int, reason: str, now: datetime) -> Write:
    """Counts records that the rule failed on, if the rule still is this version."""
    return _update(
        table,
        rule,
        "SET #failures = #failures + :failures, #last_failure = :reason, #last_failure_at = :now",
        "#version = :version",
        ("version", "failures", "last_failure", "last_failure_at"),
        {
            ":version": rule.version,
            ":failures": failures,
            ":reason": reason[:MAX_REASON],
            ":now": to_rfc3339(now),
        },
    )


class MeterStore:
    """Reads the meters of all workspaces' rules. Safe to share between threads.

    It remembers which rules have fired in this hour: a transaction that wrongly takes the hour to have begun is refused
    with all that it would have written, and DynamoDB charges for that.
    """

    def __init__(self, client: DynamoDBClient, table: str, *, backoff: Backoff | None = None) -> None:
        self._client = client
        self._table = table
        self._backoff = backoff or Backoff()
        self._hours: OrderedDict[tuple[str, str], str] = OrderedDict()
        self._hours_lock = Lock()

    def has_fired(self, rule: Rule, hour: str) -> bool:
        """Whether this process knows that the rule has fired in the hour; it may have, without."""
        with self._hours_lock:
            return self._hours.get((rule.workspace_id, rule.rule_id)) == hour

    def note_fired(self, rule: Rule, hour: str) -> None:
        """Remembers that the rule has fired in the hour."""
        with self._hours_lock:
            self._hours[rule.workspace_id, rule.rule_id] = hour
            self._hours.move_to_end((rule.workspace_id, rule.rule_id))
            if len(self._hours) > _REMEMBERED_RULES:
                self._hours.popitem(last=False)

    def get(self, workspace_id: str, rule_id: str) -> Meter | None:
        """As it is now, read consistently; None when there is no such rule."""
        key = keys.rule_meter(workspace_id, rule_id).attributes()
        answer = self._client.get_item(TableName=self._table, Key=key, ConsistentRead=True)
        return to_meter(answer["Item"]) if "Item" in answer else None

    def get_many(self, workspace_id: str, rule_ids: Iterable[str]) -> dict[str, Meter]:
        """Those of up to `READ_BATCH` rules that there are, by rule, in one request."""
        places = {keys.rule_meter(workspace_id, rule_id): rule_id for rule_id in rule_ids}
        found = batch_get(self._client, self._table, places, self._backoff)
        return {places[Key(item["pk"]["S"], item["sk"]["S"])]: to_meter(item) for item in found}


def to_meter(item: Item) -> Meter:
    values = from_item(item)
    return Meter(
        version=values["version"],
        hour=values["hour"],
        fired_in_hour=values["fired_in_hour"],
        firings=values["firings"],
        credits=values["credits"],
        failures=values["failures"],
        last_fired_at=optional_rfc3339(values.get("last_fired_at")),
        last_failure_at=optional_rfc3339(values.get("last_failure_at")),
        last_failure=values.get("last_failure"),
    )


def _update(
    table: str, rule: Rule, expression: str, condition: str | None, names: tuple[str, ...], values: dict[str, Any]
) -> Write:
    request: dict[str, Any] = {
        "TableName": table,
        "Key": keys.rule_meter(rule.workspace_id, rule.rule_id).attributes(),
        "UpdateExpression": expression,
        "ExpressionAttributeNames": {f"#{name}": name for name in names},
        "ExpressionAttributeValues": to_item(values),
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }
    if condition is not None:
        request["ConditionExpression"] = condition
    return Write({"Update": request})
