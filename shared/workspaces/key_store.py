"""Where API keys are kept: each in an item of its own, which alone says what it is and allows.

Beside it lie a pointer, for the listings of its owner, and a line of the owner's roll, which bounds how many there are.
All three are written in one transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from shared import keys
from shared.dynamo.reads import batch_get
from shared.dynamo.transactions import Backoff, StoreUnavailable, transact_write
from shared.dynamo.values import to_item
from shared.dynamo.writes import Write, put_new
from shared.times import Clock, to_rfc3339
from shared.workspaces.api_keys import ApiKey, new_api_key, put_api_key, to_api_key
from shared.workspaces.key_roll import Entry, KeyRoll
from shared.workspaces.model import Scope

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

MAX_KEYS = 20
"""Keys that an owner may have at once, those that are expired or revoked not counted. Together they may not ask for all
that the API's stage takes (template.yaml); and API Gateway has 10,000 usage keys for all owners.
"""


@dataclass(frozen=True, slots=True)
class TooManyKeys:
    """The owner has as many good keys as it may have. Nothing was written."""

    limit: int


@dataclass(frozen=True, slots=True)
class Changed:
    """The key is not what it was when it was read. Nothing was written."""


@dataclass(frozen=True, slots=True)
class Kept:
    """The key as it stands now. `forgotten` are usage keys of others, which have expired and are on the roll no longer:
    it is for the caller to remove them.
    """

    key: ApiKey
    forgotten: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class KeyPage:
    """One page of a listing. `cursor` is None on the last one."""

    keys: tuple[ApiKey, ...]
    cursor: str | None


class KeyStore:
    """The keys of all workspaces and of the operators, who are the owner None."""

    def __init__(self, client: DynamoDBClient, table: str, *, backoff: Backoff | None = None) -> None:
        self._client = client
        self._table = table
        self._backoff = backoff or Backoff()

    def get(self, workspace_id: str | None, key_id: str) -> ApiKey | None:
        """The owner's key; None where there is none, or where it is somebody else's."""
        place = keys.api_key(key_id).attributes()
        answer = self._client.get_item(TableName=self._table, Key=place, ConsistentRead=True)
        key = to_api_key(answer["Item"]) if "Item" in answer else None
        return key if key is not None and key.workspace_id == workspace_id else None

    def page(self, workspace_id: str | None, limit: int, cursor: str | None = None) -> KeyPage:
        """Up to `limit` (100 at most) of the owner's keys, newest first, whatever their state: one Query and one
        BatchGetItem.
        """
        request: dict[str, Any] = {
            "KeyConditionExpression": "pk = :pk",
            "ExpressionAttributeValues": {":pk": {"S": keys.api_keys(workspace_id)}},
        }
        if cursor is not None:
            request["ExclusiveStartKey"] = keys.api_key_pointer(workspace_id, cursor).attributes()
        answer = self._client.query(
            TableName=self._table, ConsistentRead=True, ScanIndexForward=False, Limit=limit, **request
        )
        key_ids = [pointer["sk"]["S"] for pointer in answer["Items"]]
        items = batch_get(self._client, self._table, map(keys.api_key, key_ids), self._backoff)
        found = sorted(map(to_api_key, items), key=lambda key: key.key_id, reverse=True)
        last = answer.get("LastEvaluatedKey")
        return KeyPage(tuple(found), last["sk"]["S"] if last else None)

    def has_room(self, workspace_id: str | None, now: datetime) -> bool:
        """Whether the owner may have one more key, as it looks now; `add` and `rotate` make sure."""
        return len(self._roll(workspace_id).good(now)) < MAX_KEYS

    def add(
        self, key: ApiKey, now: datetime, limit: int | None = MAX_KEYS, *, beside: Sequence[Write] = ()
    ) -> Kept | TooManyKeys:
        """Writes a new key, unless its owner has `limit` good ones, and what is to be written in the same transaction.

        Raises StoreUnavailable, also when what is `beside` it is refused.
        """

        def planned(roll: KeyRoll) -> list[Write] | TooManyKeys:
            good = roll.good(now)
            if limit is not None and len(good) >= limit:
                return TooManyKeys(limit)
            return [*put_listed(self._table, key), roll.write(self._table, good | {key.key_id: Entry.of(key)}, now)]

        outcome = self._commit(key, now, planned, known=0, beside=beside)
        if isinstance(outcome, Changed):
            raise AssertionError(f"the identifier {key.key_id} is taken")
        return outcome

    def rotate(
        self, old: ApiKey, new: ApiKey, ends_at: datetime, now: datetime, *, beside: Sequence[Write] = ()
    ) -> Kept | TooManyKeys | Changed:
        """Writes `new` in the place of `old`, which is good until `ends_at`, or for as long as it was if that is less.

        On condition that `old` is as it was read. Answers with `old` as it stands now. Otherwise as `add`.
        """
        expires_at = ends_at if old.expires_at is None else min(ends_at, old.expires_at)
        ending = replace(old, expires_at=expires_at, replaced_by=new.key_id)

        def planned(roll: KeyRoll) -> list[Write] | TooManyKeys:
            good = roll.good(now)
            if expires_at > now:
                good[old.key_id] = Entry.of(ending)
            if len(good) >= MAX_KEYS:
                return TooManyKeys(MAX_KEYS)
            good[new.key_id] = Entry.of(new)
            first = _replaced(self._table, old, expires_at, new.key_id)
            return [first, *put_listed(self._table, new), roll.write(self._table, good, now)]

        return self._commit(ending, now, planned, known=1, beside=beside)

    def revoke(self, key: ApiKey, now: datetime) -> Kept | Changed:
        """Ends a key that was not revoked when it was read. Raises StoreUnavailable."""
        revoked = replace(key, revoked_at=now)

        def planned(roll: KeyRoll) -> list[Write]:
            return [_revoked(self._table, key, now), roll.write(self._table, roll.good(now), now)]

        outcome = self._commit(revoked, now, planned, known=1)
        if isinstance(outcome, TooManyKeys):
            raise AssertionError("one key less is never too many")
        return outcome

    def _commit(
        self,
        key: ApiKey,
        now: datetime,
        planned: Callable[[KeyRoll], list[Write] | TooManyKeys],
        *,
        known: int,
        beside: Sequence[Write] = (),
    ) -> Kept | TooManyKeys | Changed:
        """Writes what is planned from the roll without the key, again while others write it. The first `known` of the
        writes are of keys that were read: theirs to refuse is an outcome.
        """
        for attempt in range(self._backoff.attempts):
            # The key's own line, and its usage key, are dealt with by whoever plans.
            roll = self._roll(key.workspace_id).without(key.key_id)
            writes = planned(roll)
            if isinstance(writes, TooManyKeys):
                return writes
            refused = transact_write(self._client, [write.request for write in (*beside, *writes)], self._backoff)
            if refused is None:
                return Kept(key, roll.forgotten(now))
            if any(refused.reasons[: len(beside)]):
                raise StoreUnavailable("another attempt at the same call has taken over")
            reasons = refused.reasons[len(beside) :]
            if any(reasons[:known]):
                return Changed()
            if any(reasons[known:-1]):
                raise AssertionError(f"the identifier of a key that {key.key_id} is written with is taken")
            self._backoff.wait(attempt)
        raise StoreUnavailable(f"the roll of keys changed {self._backoff.attempts} times")

    def _roll(self, workspace_id: str | None) -> KeyRoll:
        place = keys.key_roll(workspace_id).attributes()
        answer = self._client.get_item(TableName=self._table, Key=place, ConsistentRead=True)
        return KeyRoll.of(workspace_id, answer.get("Item"))


def put_listed(table: str, key: ApiKey) -> list[Write]:
    """Writes a key, and what points to it."""
    pointer = keys.api_key_pointer(key.workspace_id, key.key_id).attributes()
    return [put_api_key(table, key), put_new(table, pointer)]


def put_first(table: str, key: ApiKey) -> list[Write]:
    """Writes the first key of a new workspace, listed and on its roll."""
    roll = KeyRoll(key.workspace_id, {}, 0)
    return [*put_listed(table, key), roll.write(table, {key.key_id: Entry.of(key)}, key.created_at)]


def create_operator_key(client: DynamoDBClient, work_table: str, clock: Clock) -> str:
    """Makes a key for the people who run the deployment, and answers with its text. Needs write access to the table.

    However many there are: it is the way back in for who has lost all of them.
    """
    now = clock()
    key, text = new_api_key(None, [Scope.OPERATOR], now, name="made by the deployment")
    KeyStore(client, work_table).add(key, now, limit=None)
    return text


def _replaced(table: str, old: ApiKey, expires_at: datetime, replaced_by: str) -> Write:
    values: dict[str, Any] = {":expires_at": to_rfc3339(expires_at), ":replaced_by": replaced_by}
    conditions = ["attribute_exists(pk)", "attribute_not_exists(revoked_at)", "attribute_not_exists(replaced_by)"]
    if old.expires_at is None:
        conditions.append("attribute_not_exists(expires_at)")
    else:
        conditions.append("expires_at = :seen")
        values[":seen"] = to_rfc3339(old.expires_at)
    return _update(table, old, "SET expires_at = :expires_at, replaced_by = :replaced_by", conditions, values)


def _revoked(table: str, key: ApiKey, now: datetime) -> Write:
    conditions = ["attribute_exists(pk)", "attribute_not_exists(revoked_at)"]
    return _update(table, key, "SET revoked_at = :now", conditions, {":now": to_rfc3339(now)})


def _update(table: str, key: ApiKey, update: str, conditions: list[str], values: dict[str, Any]) -> Write:
    request = {
        "TableName": table,
        "Key": keys.api_key(key.key_id).attributes(),
        "UpdateExpression": update,
        "ConditionExpression": " AND ".join(conditions),
        "ExpressionAttributeValues": to_item(values),
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }
    return Write({"Update": request})
