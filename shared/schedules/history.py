"""What each schedule did and cost, day by day: the answer to "what does this sync cost me?".

A day's figures are one small item. The transaction that decides a firing adds the firing to it, so the sums are those
of the operation log at every moment. The records of a run come in when the next firing of its feed finds it over; until
then the day names the run, and a reader adds what the run has done so far. A pass of a rule counts as a run.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from typing import TYPE_CHECKING, Any, Protocol

from shared import keys
from shared.dynamo.values import from_item, to_item
from shared.dynamo.writes import Write
from shared.keys import Item, Key
from shared.rules.passes.store import PassStore
from shared.runs.store import RunStore

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_COUNTED = (
    "started",
    "skipped",
    "refused",
    "trigger_credits",
    "runs",
    "created",
    "updated",
    "unchanged",
    "record_credits",
)

_OPEN = "open:"
"""Begins the name of the attribute that holds, for one feed or rule, the run whose records are not in the day's sums
yet."""

_RULE = "rule:"
"""Begins the name of a rule there; the name of a feed holds no colon."""


class Totals(Protocol):
    """What became of the records of a run, or of a pass, and the credits that they cost."""

    @property
    def created(self) -> int: ...
    @property
    def updated(self) -> int: ...
    @property
    def unchanged(self) -> int: ...
    @property
    def credits(self) -> int: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class DayTally:
    """What a schedule did on one day (UTC), by the scheduled times of its firings.

    `started`, `skipped` and `refused` count firings, `trigger_credits` is what they cost. `runs` counts the runs and
    passes that they started, `created`, `updated` and `unchanged` the records of these, and `record_credits` what the
    records cost: of a pass, with the rule's firings on them. `last_run_id` is the last one that was started on the day.
    """

    day: date
    started: int = 0
    skipped: int = 0
    refused: int = 0
    trigger_credits: int = 0
    runs: int = 0
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    record_credits: int = 0
    last_run_id: str | None = None

    def with_run(self, totals: Totals) -> DayTally:
        """The day with what one more run or pass has done, so far or in all."""
        return replace(
            self,
            runs=self.runs + 1,
            created=self.created + totals.created,
            updated=self.updated + totals.updated,
            unchanged=self.unchanged + totals.unchanged,
            record_credits=self.record_credits + totals.credits,
        )


def name_of_rule(rule_id: str) -> str:
    """What a history calls a rule. A feed it calls by its identifier."""
    return f"{_RULE}{rule_id}"


def day_of(at: datetime) -> date:
    """The day that something at `at` is counted on."""
    return at.astimezone(UTC).date()


def add_to_day(
    table: str,
    workspace_id: str,
    schedule_id: str,
    added: DayTally,
    *,
    opened: tuple[str, str] | None = None,
    closed: str | None = None,
) -> Write:
    """Adds to the figures of one day.

    `opened` is a feed or a rule and the run of it that was started, whose records are to come; `closed` is one whose
    run is in `added`. A run that is opened takes the place of one that is closed with it.
    """
    changes = {"#day": ":day"}
    names = {"#day": "day"}
    values: dict[str, Any] = {":day": added.day.isoformat()}
    removed = ""
    if opened is not None:
        name, run_id = opened
        changes |= {"#last": ":run", "#opened": ":run"}
        names |= {"#last": "last_run_id", "#opened": f"{_OPEN}{name}"}
        values[":run"] = run_id
    if closed is not None and (opened is None or opened[0] != closed):
        names["#closed"] = f"{_OPEN}{closed}"
        removed = " REMOVE #closed"
    counts = {name: getattr(added, name) for name in _COUNTED if getattr(added, name)}
    names |= {f"#{name}": name for name in counts}
    values |= {f":{name}": count for name, count in counts.items()}
    sets = ", ".join(f"{name} = {value}" for name, value in changes.items())
    adds = ", ".join(f"#{name} :{name}" for name in counts)
    return Write(
        {
            "Update": {
                "TableName": table,
                "Key": _key(workspace_id, schedule_id, added.day).attributes(),
                "UpdateExpression": f"SET {sets}{removed}" + (f" ADD {adds}" if adds else ""),
                "ExpressionAttributeNames": names,
                "ExpressionAttributeValues": to_item(values),
                "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
            }
        }
    )


class ScheduleHistory:
    """Reads what schedules did. Firings write it (see `shared.schedules.firing`)."""

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._client = client
        self._table = table
        self._runs = RunStore(client, table)
        self._passes = PassStore(client, table)

    def days(self, workspace_id: str, schedule_id: str, since: date) -> list[DayTally]:
        """The days from `since` on on which the schedule did something, oldest first, complete to the moment.

        One request, and one for each feed or rule that the schedule has started: its last run is read as it stands.
        The days of a deleted schedule stay, and come first in the history of a new one of the same name.
        """
        pages = self._client.get_paginator("query").paginate(
            TableName=self._table,
            KeyConditionExpression="pk = :pk AND sk >= :since",
            ExpressionAttributeValues=to_item(
                {
                    ":pk": keys.days_of_schedule(workspace_id, schedule_id),
                    ":since": _key(workspace_id, schedule_id, since).sk,
                }
            ),
            ConsistentRead=True,
        )
        return [self._complete(workspace_id, item) for page in pages for item in page["Items"]]

    def _complete(self, workspace_id: str, item: Item) -> DayTally:
        """The day with the runs that are not in its sums yet. Once over, their figures change no more: a run that is
        added to the sums meanwhile is still counted once, for the item was read before.
        """
        values = from_item(item)
        counts = {name: values.get(name, 0) for name in _COUNTED}
        tally = DayTally(day=date.fromisoformat(values["day"]), last_run_id=values.get("last_run_id"), **counts)
        for name, run_id in values.items():
            if not name.startswith(_OPEN):
                continue
            totals = self._totals(workspace_id, name.removeprefix(_OPEN), run_id)
            tally = tally if totals is None else tally.with_run(totals)
        return tally

    def _totals(self, workspace_id: str, name: str, run_id: str) -> Totals | None:
        if name.startswith(_RULE):
            rule_pass = self._passes.get(workspace_id, run_id)
            return None if rule_pass is None else rule_pass.counts
        run = self._runs.get(workspace_id, run_id)
        return None if run is None else run.totals


def _key(workspace_id: str, schedule_id: str, day: date) -> Key:
    return keys.day_of_schedule(workspace_id, schedule_id, datetime.combine(day, time(), UTC))
