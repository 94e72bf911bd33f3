"""Changes that wait for the rules: because credits are out, or because something failed or took too long.

One item for each record, whatever happens to it meanwhile: the rules will look at the record as it is then. One more
item for the workspace says that something waits. It is listed in the index `waiting`, where the guard finds it after a
top-up, and the sweep always. Ringing its doorbell brings a worker, which drains the backlog.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import islice
from typing import TYPE_CHECKING, Any

from shared import keys
from shared.catalog import Record, RecordName
from shared.dynamo.reads import READ_BATCH, batch_get
from shared.dynamo.transactions import Backoff, StoreUnavailable, transact_write
from shared.dynamo.values import from_item, to_item
from shared.dynamo.writes import Write, put_new
from shared.keys import RECORD_SHARDS, Item, Key
from shared.rules.changes import bounded, merge_changes
from shared.rules.doorbells import RuleDoorbell
from shared.rules.firing import FiringRoom, WaitReason, fire
from shared.rules.model import Change
from shared.rules.planning import MAX_RECORDS
from shared.times import parse_rfc3339, to_rfc3339

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_WAITS = "backlog"
"""The entry of a backlog in the index `waiting` (see `shared.automation.waiting`)."""

_MAX_MERGES = 20
"""Times that changes are merged into what waits while others put theirs there."""

_LISTED = "waiting_pk"
"""Is there while something waits: the index lists it by this (see `shared.keys`)."""


@dataclass(frozen=True, slots=True)
class Backlog:
    """Changes of a workspace wait. `revision` moves whenever some are added, and `leg` whenever a worker is called;
    `rung_at` is when it last was. `revision` and `leg` go on counting when the backlog has been empty in between.
    """

    revision: int
    leg: int
    rung_at: datetime


@dataclass(frozen=True, slots=True)
class WaitingChange:
    """What waits for one record. `token` is another with every change that is merged into it, and never comes again."""

    change: Change
    token: str

    @property
    def key(self) -> Key:
        return keys.waiting_change(self.change.workspace_id, self.change.entity, self.change.key)


class BacklogStore:
    """What waits, of all workspaces. Reads are consistent."""

    def __init__(self, client: DynamoDBClient, table: str, *, backoff: Backoff | None = None) -> None:
        self._client = client
        self._table = table
        self._backoff = backoff or Backoff()

    def add(self, workspace_id: str, changes: Iterable[Change], now: datetime, *, ring: bool) -> None:
        """Lets the changes wait, each merged with what waits of its record already; with `ring` a worker is called.

        The changes first, and then what says that there are some. Whoever is cut off in between does it all again: what
        was not added was not taken from where it came either. Raises StoreUnavailable and botocore's errors.
        """
        pending = list(changes)
        for first in range(0, len(pending), READ_BATCH):
            self._merge(pending[first : first + READ_BATCH])
        if pending:
            self._note(workspace_id, now, ring=ring)

    def get(self, workspace_id: str) -> Backlog | None:
        """None where nothing waits."""
        key = keys.backlog(workspace_id).attributes()
        answer = self._client.get_item(TableName=self._table, Key=key, ConsistentRead=True)
        item = answer.get("Item", {})
        return _to_backlog(item) if _LISTED in item else None

    def ring(self, workspace_id: str, now: datetime, *, leg: int | None = None) -> bool:
        """Calls a worker, if anything waits; with `leg` only if none was called since that one."""
        values = {":doorbell": RuleDoorbell.BACKLOG.value, ":now": to_rfc3339(now), ":one": 1}
        try:
            self._client.update_item(
                TableName=self._table,
                Key=keys.backlog(workspace_id).attributes(),
                UpdateExpression="SET #doorbell = :doorbell, #rung_at = :now, #leg = #leg + :one",
                ConditionExpression=f"attribute_exists({_LISTED})" + ("" if leg is None else " AND #leg = :leg"),
                ExpressionAttributeNames={"#doorbell": "doorbell", "#rung_at": "rung_at", "#leg": "leg"},
                ExpressionAttributeValues=to_item(values if leg is None else values | {":leg": leg}),
            )
        except self._client.exceptions.ConditionalCheckFailedException:
            return False
        return True

    def page(self, workspace_id: str, shard: int, after: Key | None, limit: int) -> list[WaitingChange]:
        """Up to `limit` changes of one of the `RECORD_SHARDS` shards, from behind the key `after`."""
        values = {":pk": keys.backlog_of_shard(workspace_id, shard)} | ({":after": after.sk} if after else {})
        answer = self._client.query(
            TableName=self._table,
            KeyConditionExpression="pk = :pk AND sk > :after" if after else "pk = :pk",
            ExpressionAttributeValues=to_item(values),
            ConsistentRead=True,
            Limit=limit,
        )
        return [_to_waiting(item) for item in answer["Items"]]

    def settle(self, waiting: Sequence[WaitingChange]) -> None:
        """Takes away what the rules have acted on, but for what others have added to meanwhile."""
        pending = list(waiting)
        for _ in range(_MAX_MERGES):
            if not pending:
                return
            refused = transact_write(self._client, [self._delete(each).request for each in pending], self._backoff)
            if refused is None:
                return
            pending = [each for each, reason in zip(pending, refused.reasons, strict=True) if reason is None]
        raise StoreUnavailable(f"what waits for rules changed under {_MAX_MERGES} attempts")

    def finish(self, workspace_id: str, revision: int) -> bool:
        """Notes that nothing waits any more, if nothing was added since `revision`."""
        try:
            self._client.update_item(
                TableName=self._table,
                Key=keys.backlog(workspace_id).attributes(),
                # The counters stay: a worker that slept must not take what comes later for what it has seen.
                UpdateExpression=f"REMOVE {_LISTED}, waiting_sk, doorbell",
                ConditionExpression="#revision = :revision",
                ExpressionAttributeNames={"#revision": "revision"},
                ExpressionAttributeValues=to_item({":revision": revision}),
            )
        except self._client.exceptions.ConditionalCheckFailedException:
            return False
        return True

    def _merge(self, changes: list[Change]) -> None:
        """Writes up to `READ_BATCH` changes of different records."""
        wanted = {keys.waiting_change(each.workspace_id, each.entity, each.key): each for each in changes}
        there = {each.key: each for each in self._read(wanted)}
        for _ in range(_MAX_MERGES):
            merged = {key: _merged(there.get(key), change) for key, change in wanted.items()}
            # What waits already as it would be is left alone.
            new = {key: change for key, change in merged.items() if key not in there or there[key].change != change}
            if not new:
                return
            writes = [self._put(change, there.get(key)) for key, change in new.items()]
            refused = transact_write(self._client, [write.request for write in writes], self._backoff)
            if refused is None:
                return
            for key, reason in zip(new, refused.reasons, strict=True):
                if reason is not None:
                    there.pop(key, None)
                    if reason.item is not None:
                        there[key] = _to_waiting(reason.item)
        raise StoreUnavailable(f"what waits for rules changed under {_MAX_MERGES} attempts")

    def _read(self, wanted: Iterable[Key]) -> list[WaitingChange]:
        return [_to_waiting(item) for item in batch_get(self._client, self._table, wanted, self._backoff)]

    def _put(self, change: Change, there: WaitingChange | None) -> Write:
        item = _waiting_item(WaitingChange(change, secrets.token_hex(8)))
        if there is None:
            return put_new(self._table, item)
        return Write({"Put": {"TableName": self._table, "Item": item, **_still(there)}})

    def _delete(self, waiting: WaitingChange) -> Write:
        key = waiting.key.attributes()
        return Write({"Delete": {"TableName": self._table, "Key": key, **_still(waiting)}})

    def _note(self, workspace_id: str, now: datetime, *, ring: bool) -> None:
        changes = {
            "workspace_id": ":workspace_id",
            "waiting_pk": ":waiting_pk",
            "waiting_sk": ":waiting_sk",
            "revision": "if_not_exists(#revision, :none) + :one",
            "leg": "if_not_exists(#leg, :none) + :called",
            "rung_at": ":now" if ring else "if_not_exists(#rung_at, :now)",
        }
        values: dict[str, Any] = {
            ":workspace_id": workspace_id,
            ":waiting_pk": keys.waiting(workspace_id),
            ":waiting_sk": keys.waiting_entry(workspace_id, _WAITS),
            ":none": 0,
            ":one": 1,
            ":called": int(ring),
            ":now": to_rfc3339(now),
        }
        if ring:
            changes["doorbell"] = ":doorbell"
            values[":doorbell"] = RuleDoorbell.BACKLOG.value
        # A doorbell that stays on would ring again with this write.
        silence = "" if ring else " REMOVE #doorbell"
        self._client.update_item(
            TableName=self._table,
            Key=keys.backlog(workspace_id).attributes(),
            UpdateExpression="SET " + ", ".join(f"#{name} = {value}" for name, value in changes.items()) + silence,
            ExpressionAttributeNames={f"#{name}": name for name in (*changes, "doorbell")},
            ExpressionAttributeValues=to_item(values),
        )


class DrainOutcome(StrEnum):
    """How far a worker got."""

    DONE = "done"
    OUT_OF_CREDITS = "out_of_credits"
    HANDED_OVER = "handed_over"
    OUTDATED = "outdated"


@dataclass(frozen=True, slots=True)
class BacklogRoom:
    """What it takes to let rules fire, and to keep what they cannot act on yet."""

    firing: FiringRoom
    backlog: BacklogStore


def act(
    room: BacklogRoom,
    workspace_id: str,
    changes: Iterable[tuple[Change, Record | None]],
    at: datetime,
    out_of_time: Callable[[], bool],
) -> None:
    """Lets the rules act on changes, and keeps those that have to wait. Raises as `fire` and `BacklogStore.add` do."""
    unsettled = fire(room.firing, workspace_id, changes, at, out_of_time)
    if not unsettled.changes:
        return
    now = room.firing.clock()
    in_a_hurry = WaitReason.OUT_OF_TIME in unsettled.reasons
    room.backlog.add(workspace_id, unsettled.changes.values(), now, ring=in_a_hurry)
    if not in_a_hurry and can_fire(room.firing, workspace_id):
        # A top-up between the refusal and the entry found nothing that it could have rung for.
        room.backlog.ring(workspace_id, now)


def can_fire(room: FiringRoom, workspace_id: str) -> bool:
    """Whether there are credits for the cheapest firing."""
    balance = room.ledger.balance(workspace_id)
    # Without any credits all automation waits, whatever it costs (`Balance.is_exhausted`).
    return balance is not None and balance.spendable(room.clock()) >= max(1, room.prices.cheapest_firing)


def drain(
    room: BacklogRoom, workspace_id: str, leg: int, out_of_time: Callable[[], bool] = lambda: False
) -> DrainOutcome:
    """Lets the rules act on what waits, until nothing does, credits are out, or `out_of_time` says to hand over.

    `leg` is the one that the call to work names: a call for one that is past does nothing, so that doubled messages do
    not double the workers for good. Safe to call any number of times, also at once. Raises StoreUnavailable and
    botocore's errors; what waits goes on waiting, and the message comes again.
    """
    backlog = room.backlog.get(workspace_id)
    if backlog is None or backlog.leg != leg:
        return DrainOutcome.OUTDATED
    while backlog is not None:
        outcome = _go_through(room, workspace_id, backlog.rung_at, out_of_time)
        if outcome is DrainOutcome.HANDED_OVER:
            # Whoever was called since goes on anyway.
            room.backlog.ring(workspace_id, room.firing.clock(), leg=backlog.leg)
        if outcome is not DrainOutcome.DONE or room.backlog.finish(workspace_id, backlog.revision):
            return outcome
        # More came while the shards were gone through.
        backlog = room.backlog.get(workspace_id)
    return DrainOutcome.DONE


def _go_through(room: BacklogRoom, workspace_id: str, at: datetime, out_of_time: Callable[[], bool]) -> DrainOutcome:
    """Once through everything that waits, as many changes at a time as fit into one transaction."""
    waiting = _all_waiting(room.backlog, workspace_id)
    while batch := list(islice(waiting, MAX_RECORDS)):
        if out_of_time():
            return DrainOutcome.HANDED_OVER
        places: list[RecordName] = [(each.change.entity, each.change.key) for each in batch]
        records = room.firing.catalog.get_many(workspace_id, places)
        changes = [(each.change, records.get(place)) for each, place in zip(batch, places, strict=True)]
        unsettled = fire(room.firing, workspace_id, changes, at, out_of_time)
        if len(unsettled.changes) == len(batch) and unsettled.reasons == {WaitReason.OUT_OF_TIME}:
            # However slow the rules are: a worker does one record at least, so that the next has less to do.
            del unsettled.changes[places[0]]
            alone = fire(room.firing, workspace_id, changes[:1], at)
            unsettled.changes |= alone.changes
            unsettled.reasons |= alone.reasons
        room.backlog.settle([each for each, place in zip(batch, places, strict=True) if place not in unsettled.changes])
        if WaitReason.OUT_OF_CREDITS in unsettled.reasons:
            return DrainOutcome.OUT_OF_CREDITS
        if unsettled.reasons:
            return DrainOutcome.HANDED_OVER
    return DrainOutcome.DONE


def _all_waiting(backlog: BacklogStore, workspace_id: str) -> Iterator[WaitingChange]:
    for shard in range(RECORD_SHARDS):
        after: Key | None = None
        while page := backlog.page(workspace_id, shard, after, MAX_RECORDS):
            yield from page
            after = page[-1].key


def _merged(there: WaitingChange | None, change: Change) -> Change:
    return bounded(change if there is None else merge_changes(there.change, change))


def _to_backlog(item: Item) -> Backlog:
    values = from_item(item)
    return Backlog(values["revision"], values["leg"], parse_rfc3339(values["rung_at"]))


def _still(seen: WaitingChange) -> Mapping[str, Any]:
    """The condition that nothing was merged into it since."""
    return {
        "ConditionExpression": "#token = :token",
        "ExpressionAttributeNames": {"#token": "token"},
        "ExpressionAttributeValues": to_item({":token": seen.token}),
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }


def _waiting_item(waiting: WaitingChange) -> Item:
    change = waiting.change
    return waiting.key.attributes() | to_item(
        {
            "workspace_id": change.workspace_id,
            "entity": change.entity,
            "key": change.key,
            "created_at": to_rfc3339(change.created_at),
            "version": change.version,
            "appeared": change.appeared,
            # Pairs, and no maps: those are keyed by texts that are not empty.
            "changed": [[name, *map(list, versions.items())] for name, versions in change.changed.items()],
            "token": waiting.token,
        }
    )


def _to_waiting(item: Item) -> WaitingChange:
    values = from_item(item)
    change = Change(
        workspace_id=values["workspace_id"],
        entity=values["entity"],
        key=values["key"],
        created_at=parse_rfc3339(values["created_at"]),
        version=values["version"],
        appeared=values["appeared"],
        changed={name: dict(versions) for name, *versions in values["changed"]},
    )
    return WaitingChange(change, values["token"])
