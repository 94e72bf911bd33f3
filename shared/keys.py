"""How every item of every table is keyed. Nobody else types a `#` (the key table is in shared/README.md).

Nothing that grows with a workspace's work lies under one partition key (design section 5): records spread over a fixed
number of shards, operations over days, runs lie each under their own key and are listed by feed and month.
"""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from shared.ids import time_of

RECORD_SHARDS = 16
"""Partitions that the records of one entity spread over. A one-way door: changing it strands what is written."""

WAITING_SHARDS = 16
"""Partitions of the index that lists what waits; each workspace lies in one of them."""

WORKSPACE_SHARDS = 16
"""Partitions of what points to all workspaces."""

AttributeValue = dict[str, Any]
Item = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Key:
    """The primary key of one item."""

    pk: str
    sk: str

    def attributes(self) -> dict[str, AttributeValue]:
        """The key in the form of DynamoDB's low-level interface."""
        return {"pk": {"S": self.pk}, "sk": {"S": self.sk}}


# --- the credit table ---


def balance(workspace_id: str) -> Key:
    return Key(f"W#{workspace_id}#BALANCE", "BALANCE")


def grants(workspace_id: str) -> str:
    """The partition of all grants of a workspace; it grows with top-ups, not with work."""
    return f"W#{workspace_id}#GRANTS"


def grant(workspace_id: str, grant_id: str) -> Key:
    return Key(grants(workspace_id), grant_id)


def operations_of_day(workspace_id: str, day: datetime) -> str:
    """The partition of the operations that were triggered on one day (UTC)."""
    return f"W#{workspace_id}#OPERATIONS#{day.astimezone(UTC):%Y-%m-%d}"


def operation(workspace_id: str, operation_id: str) -> Key:
    """Raises ValueError when `operation_id` carries no time."""
    return Key(operations_of_day(workspace_id, time_of(operation_id)), operation_id)


def call(workspace_id: str, scope: str, idempotency_key: str) -> Key:
    """The record of a client's idempotency key. `scope` is the route it was used on; the key is hashed: it is the
    client's.
    """
    digest = hashlib.sha256(f"{scope}\n{idempotency_key}".encode()).hexdigest()
    return Key(f"W#{workspace_id}#CALL#{digest}", "CALL")


# --- the usage table: derived from the operation log, and never the truth ---


def usage_of_month(workspace_id: str, month: datetime, dimension: str) -> str:
    """The partition of one dimension's figures (by job, by actor, …) of one month (UTC)."""
    return f"W#{workspace_id}#USAGE#{month.astimezone(UTC):%Y-%m}#{dimension}"


def usage(workspace_id: str, day: datetime, dimension: str, value: str) -> Key:
    """What one value of a dimension comes to on one day (UTC)."""
    return Key(usage_of_month(workspace_id, day, dimension), f"{day.astimezone(UTC):%Y-%m-%d}#{value}")


def usage_of_day(day: datetime, *, end: bool = False) -> str:
    """What all sort keys of one day's (UTC) figures follow, or, at its `end`, what they stand before."""
    return f"{day.astimezone(UTC):%Y-%m-%d}{'$' if end else '#'}"


def usage_parts(sort_key: str) -> tuple[str, str]:
    """The day (`2026-11-22`) and the value that figures are of."""
    day, _, value = sort_key.partition("#")
    return day, value


def usage_so_far(workspace_id: str) -> Key:
    """What was counted of a workspace in all its life: how far the figures are behind the account."""
    return Key(f"W#{workspace_id}#USAGE", "SO_FAR")


def counted(workspace_id: str, operation_id: str) -> Key:
    """What marks an operation as counted. Each lies alone: nobody lists them."""
    return Key(f"W#{workspace_id}#COUNTED#{operation_id}", "COUNTED")


# --- the catalogue table ---


def records_of_shard(workspace_id: str, entity: str, shard: int) -> str:
    return f"W#{workspace_id}#R#{entity}#{shard:02d}"


def record_shard(record_key: str) -> int:
    return zlib.crc32(record_key.encode()) % RECORD_SHARDS


def owner_of_record(pk: str) -> tuple[str, str]:
    """The workspace and the entity of a record, from its partition key: they are stored nowhere else."""
    _, workspace_id, _, entity, _ = pk.split("#")
    return workspace_id, entity


def record(workspace_id: str, entity: str, record_key: str) -> Key:
    return Key(records_of_shard(workspace_id, entity, record_shard(record_key)), record_key)


# --- the table of what is configured and what is running ---


def workspace(workspace_id: str) -> Key:
    return Key(f"W#{workspace_id}", "WORKSPACE")


def workspaces_of_shard(shard: int) -> str:
    """A partition of what points to all workspaces."""
    return f"WORKSPACES#{shard:02d}"


def workspace_pointer(workspace_id: str) -> Key:
    """What points to a workspace, for those who go through all of them."""
    return Key(workspaces_of_shard(zlib.crc32(workspace_id.encode()) % WORKSPACE_SHARDS), workspace_id)


def exports(workspace_id: str) -> str:
    """The partition of a workspace's exports; people ask for them, work does not."""
    return f"W#{workspace_id}#EXPORTS"


def export(workspace_id: str, export_id: str) -> Key:
    return Key(exports(workspace_id), export_id)


def export_under_way(workspace_id: str, month: datetime) -> Key:
    """What points to the export of a month (UTC) that is being written, so that there is one at a time."""
    return Key(f"W#{workspace_id}#EXPORT#{month.astimezone(UTC):%Y-%m}", "UNDER_WAY")


def audits(workspace_id: str) -> str:
    """The partition of a workspace's audits."""
    return f"W#{workspace_id}#AUDITS"


def audit(workspace_id: str, audit_id: str) -> Key:
    return Key(audits(workspace_id), audit_id)


def audit_under_way(workspace_id: str) -> Key:
    """What points to the audit of a workspace that is being made, so that there is one at a time."""
    return Key(f"W#{workspace_id}#AUDIT", "UNDER_WAY")


def api_key(key_id: str) -> Key:
    return Key(f"KEY#{key_id}", "KEY")


def api_keys(workspace_id: str | None) -> str:
    """The partition of what points to a workspace's API keys, or (None) to the operators'."""
    return f"{_key_owner(workspace_id)}#KEYS"


def api_key_pointer(workspace_id: str | None, key_id: str) -> Key:
    return Key(api_keys(workspace_id), key_id)


def key_roll(workspace_id: str | None) -> Key:
    """What says which keys of an owner are good."""
    return Key(_key_owner(workspace_id), "KEYS")


def _key_owner(workspace_id: str | None) -> str:
    return "OPERATORS" if workspace_id is None else f"W#{workspace_id}"


def key_changes_of_day(workspace_id: str | None, day: datetime) -> Key:
    """How often a workspace's, or (None) the operators', API keys were made and ended on one day (UTC)."""
    return Key(f"{_key_owner(workspace_id)}#KEYCHANGES", f"DAY#{day.astimezone(UTC):%Y-%m-%d}")


def person_day(workspace_id: str, person_id: str, day: datetime) -> Key:
    """What a person did on one day (UTC), or a key of what is free for keys as well."""
    return Key(f"W#{workspace_id}#PERSON#{person_id}", f"DAY#{day.astimezone(UTC):%Y-%m-%d}")


def exports_asked_on_day(workspace_id: str, day: datetime) -> Key:
    """How many exports of a workspace were begun on one day (UTC) because somebody asked."""
    return Key(f"W#{workspace_id}#ASKED#EXPORTS", f"DAY#{day.astimezone(UTC):%Y-%m-%d}")


def audits_asked_on_day(workspace_id: str, day: datetime) -> Key:
    """The same of its audits."""
    return Key(f"W#{workspace_id}#ASKED#AUDITS", f"DAY#{day.astimezone(UTC):%Y-%m-%d}")


def feeds(workspace_id: str) -> str:
    """The partition of a workspace's feed definitions; people write them, work does not."""
    return f"W#{workspace_id}#FEEDS"


def feed(workspace_id: str, feed_id: str) -> Key:
    return Key(feeds(workspace_id), feed_id)


def latest_sync(workspace_id: str, feed_id: str) -> Key:
    """What points to the last run of a feed that a schedule started."""
    return Key(f"W#{workspace_id}#FEED#{feed_id}", "LATEST_SYNC")


def last_fetch(workspace_id: str, feed_id: str) -> Key:
    """What is remembered of the file that a feed was last fetched from its source."""
    return Key(f"W#{workspace_id}#FEED#{feed_id}", "LAST_FETCH")


def schedules(workspace_id: str) -> str:
    """The partition of a workspace's schedules; people write them, firings do not."""
    return f"W#{workspace_id}#SCHEDULES"


def schedule(workspace_id: str, schedule_id: str) -> Key:
    return Key(schedules(workspace_id), schedule_id)


def days_of_schedule(workspace_id: str, schedule_id: str) -> str:
    """The partition of what a schedule did, day by day."""
    return f"W#{workspace_id}#SCHEDULE#{schedule_id}"


def day_of_schedule(workspace_id: str, schedule_id: str, day: datetime) -> Key:
    """What a schedule did on one day (UTC)."""
    return Key(days_of_schedule(workspace_id, schedule_id), f"DAY#{day.astimezone(UTC):%Y-%m-%d}")


def rules(workspace_id: str) -> str:
    """The partition of a workspace's rules; people write them, firings do not."""
    return f"W#{workspace_id}#RULES"


def rule(workspace_id: str, rule_id: str) -> Key:
    return Key(rules(workspace_id), rule_id)


def rule_meter(workspace_id: str, rule_id: str) -> Key:
    """What a rule has done: every transaction in which it fires moves it."""
    return Key(f"W#{workspace_id}#RULE#{rule_id}", "METER")


def latest_rule_pass(workspace_id: str, rule_id: str) -> Key:
    """What points to the last pass of a rule that a schedule started."""
    return Key(f"W#{workspace_id}#RULE#{rule_id}", "LATEST_PASS")


def rule_pass(workspace_id: str, pass_id: str) -> Key:
    return Key(f"W#{workspace_id}#PASS#{pass_id}", "PASS")


def backlog(workspace_id: str) -> Key:
    """What says that changes wait for the rules of a workspace."""
    return Key(f"W#{workspace_id}", "BACKLOG")


def backlog_of_shard(workspace_id: str, shard: int) -> str:
    """A partition of the changes that wait for a workspace's rules: they spread as records do."""
    return f"W#{workspace_id}#BACKLOG#{shard:02d}"


def waiting_change(workspace_id: str, entity: str, record_key: str) -> Key:
    """A change of one record that waits for the rules. Hashed: with the entity before it a key may be longer than
    DynamoDB's sort keys.
    """
    digest = hashlib.sha256(f"{entity}\n{record_key}".encode()).hexdigest()
    return Key(backlog_of_shard(workspace_id, record_shard(record_key)), digest)


def automation(workspace_id: str) -> Key:
    """Whether the automation of a workspace goes on or waits, and since when."""
    return Key(f"W#{workspace_id}", "AUTOMATION")


def announcement(workspace_id: str, announcement_id: str) -> Key:
    """What marks an announcement as made."""
    return Key(f"W#{workspace_id}#ANNOUNCEMENTS", announcement_id)


def waiting(workspace_id: str) -> str:
    """The partition, in the index `waiting`, of what waits: of this workspace and of some others."""
    return waiting_of_shard(zlib.crc32(workspace_id.encode()) % WAITING_SHARDS)


def waiting_of_shard(shard: int) -> str:
    return f"WAITING#{shard:02d}"


def waiting_entry(workspace_id: str, what: str) -> str:
    """The sort key, in the index `waiting`, of a run, or of the workspace's automation itself."""
    return f"{workspace_id}#{what}"


def waiting_schedule(workspace_id: str, schedule_id: str) -> str:
    """The sort key, in the index `waiting`, of a schedule that was not carried over yet."""
    return waiting_entry(workspace_id, f"schedule#{schedule_id}")


def waiting_parts(sort_key: str) -> tuple[str, str, str | None]:
    """The workspace of an entry in the index `waiting`, what waits there, and which schedule if it is one."""
    workspace_id, what, *schedule = sort_key.split("#")
    return workspace_id, what, schedule[0] if schedule else None


def run(workspace_id: str, run_id: str) -> Key:
    return Key(f"W#{workspace_id}#RUN#{run_id}", "RUN")


def runs_of_feed(workspace_id: str, feed_id: str, month: datetime) -> str:
    """The partition, in the index `feed_runs`, of a feed's runs that were started in one month (UTC)."""
    return f"W#{workspace_id}#F#{feed_id}#{month.astimezone(UTC):%Y-%m}"
