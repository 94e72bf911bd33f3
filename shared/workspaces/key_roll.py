"""Which keys of an owner are good, in one item.

How many keys an owner has must be told at once and exactly, however many were revoked over the years, and a key expires
without anybody writing that down. So each owner has a roll of the keys that count, with the moments at which they
expire. Every transaction that makes, rotates or revokes keys writes it too, on condition of its revision. What a key
allows is never asked here: that is on the key's own item.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from shared import keys
from shared.dynamo.values import from_item, to_item
from shared.dynamo.writes import Write, put_new
from shared.keys import Item
from shared.times import optional_rfc3339, to_rfc3339
from shared.workspaces.api_keys import ApiKey

MOST_FORGOTTEN = 3
"""How many usage keys of expired keys one call removes: each takes API Gateway some time, and it lets a whole account
make few changes a second.
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """A key that counts; `gateway_id` is that of its usage key, which goes when the key does."""

    expires_at: datetime | None
    gateway_id: str | None

    @classmethod
    def of(cls, key: ApiKey) -> Entry:
        return cls(key.expires_at, None if key.usage is None else key.usage.gateway_id)


@dataclass(frozen=True, slots=True)
class KeyRoll:
    """The keys that counted when the roll was last written, and those that had expired but still have a usage key;
    `revision` is 0 where it never was.
    """

    workspace_id: str | None
    entries: Mapping[str, Entry]
    revision: int

    @classmethod
    def of(cls, workspace_id: str | None, item: Item | None) -> KeyRoll:
        if item is None:
            return cls(workspace_id, {}, 0)
        values = from_item(item)
        entries = {
            key_id: Entry(optional_rfc3339(entry["expires_at"]), entry["gateway_id"])
            for key_id, entry in values["good"].items()
        }
        return cls(workspace_id, entries, values["revision"])

    def good(self, now: datetime) -> dict[str, Entry]:
        """Those that have not expired since."""
        return {key_id: entry for key_id, entry in self.entries.items() if not _is_over(entry, now)}

    def without(self, key_id: str) -> KeyRoll:
        """The roll but for one key, of which something else is to be written."""
        return replace(self, entries={name: entry for name, entry in self.entries.items() if name != key_id})

    def forgotten(self, now: datetime) -> tuple[str, ...]:
        """The usage keys that go when the roll is written: of those that have expired, the first few."""
        lapsed = self._lapsed(now).values()
        return tuple(entry.gateway_id for entry in lapsed if entry.gateway_id is not None)[:MOST_FORGOTTEN]

    def write(self, table: str, good: Mapping[str, Entry], now: datetime) -> Write:
        """Puts these keys on the roll, if it is still the one that was read. Expired ones stay there until it is their
        usage key's turn to go.
        """
        forgotten = self.forgotten(now)
        waiting = {name: entry for name, entry in self._lapsed(now).items() if entry.gateway_id not in forgotten}
        listed = {key_id: _values(entry) for key_id, entry in {**waiting, **good}.items()}
        item = keys.key_roll(self.workspace_id).attributes() | to_item({"good": listed, "revision": self.revision + 1})
        if self.revision == 0:
            return put_new(table, item)
        put = {
            "TableName": table,
            "Item": item,
            "ConditionExpression": "revision = :revision",
            "ExpressionAttributeValues": to_item({":revision": self.revision}),
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
        return Write({"Put": put})

    def _lapsed(self, now: datetime) -> dict[str, Entry]:
        """Those that have expired and have a usage key, oldest first."""
        over = {key_id: entry for key_id, entry in sorted(self.entries.items()) if _is_over(entry, now)}
        return {key_id: entry for key_id, entry in over.items() if entry.gateway_id is not None}


def _is_over(entry: Entry, now: datetime) -> bool:
    return entry.expires_at is not None and entry.expires_at <= now


def _values(entry: Entry) -> dict[str, Any]:
    expires_at = None if entry.expires_at is None else to_rfc3339(entry.expires_at)
    return {"expires_at": expires_at, "gateway_id": entry.gateway_id}
