"""Which operations and records an audit follows from one to the other, when it cannot follow all of them.

Operations are drawn by a hash of their identifier and the audit's: every audit draws others, and the same ones however
often it reads the log anew. Records are read shard by shard, beginning at a record that a drawn operation has written.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Any

from shared import keys
from shared.audits.reading import read_item
from shared.catalog import Record
from shared.catalog.records import to_record
from shared.credits import Operation
from shared.credits.audit import Difference

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

MAX_TRACED = 1_000
"""Operations that are followed down to their records: all, while there are no more."""

RECORDS_PER_SHARD = 125
"""Records of each shard of each entity that are followed up to their operations: all, while there are no more; that is
some 2,000 of an entity."""

MAX_ENTITIES = 100
"""Entities whose records are looked at; those that the log named first."""

MAX_START_BYTES = 64
"""Where a shard is begun lies in the audit's own item, which takes 400 KB: a key may have 1,024 bytes, and there are 16
shards of each entity. A shard that has longer ones only is begun at its beginning.
"""


MAX_NAMED = 8_192
"""Records that are kept in mind of those that people wrote, and of those that were deleted: they take 6 bytes each in
the audit's own item.
"""

_MARK_BYTES = 6


def rank(audit_id: str, name: str) -> int:
    """A place in an order that nobody can foresee, and that is the same each time it is asked for."""
    return int.from_bytes(hashlib.sha256(f"{audit_id}\n{name}".encode()).digest()[:16], "big")


@dataclass(slots=True)
class Drawn:
    """The operations with the lowest ranks of all that were offered. Offering one again changes nothing."""

    audit_id: str
    _heap: list[tuple[int, str]] = field(default_factory=list)
    _ids: set[str] = field(default_factory=set)

    def offer(self, operation_id: str) -> None:
        if operation_id in self._ids:
            return
        # A heap has its lowest first, and the one to drop is the highest.
        heappush(self._heap, (-rank(self.audit_id, operation_id), operation_id))
        self._ids.add(operation_id)
        if len(self._heap) > MAX_TRACED:
            self._ids.remove(heappop(self._heap)[1])

    def in_order(self) -> list[str]:
        """By their time."""
        return sorted(self._ids)

    @classmethod
    def of(cls, audit_id: str, ids: Iterable[str]) -> Drawn:
        drawn = cls(audit_id)
        for operation_id in ids:
            drawn.offer(operation_id)
        return drawn


@dataclass(slots=True)
class Starts:
    """Where to begin to read each shard of each entity: at a record that is known, by lot."""

    audit_id: str
    keys: dict[str, str] = field(default_factory=dict)

    def offer(self, entity: str, record_key: str) -> None:
        if len(record_key.encode()) > MAX_START_BYTES:
            return
        shard = _shard_name(entity, keys.record_shard(record_key))
        known = self.keys.get(shard)
        if known is None or rank(self.audit_id, record_key) < rank(self.audit_id, known):
            self.keys[shard] = record_key

    def of(self, entity: str, shard: int) -> str:
        return self.keys.get(_shard_name(entity, shard), "")


@dataclass(slots=True)
class Named:
    """Records that entries of the log have named, each by a few bytes. Of more than `MAX_NAMED` it forgets all, and
    knows that: then any record may have been among them. Naming one again changes nothing.
    """

    audit_id: str
    overflown: bool = False
    _marks: set[bytes] = field(default_factory=set)

    def add(self, entity: str, record_keys: Iterable[str]) -> None:
        if self.overflown:
            return
        self._marks.update(self._mark(entity, record_key) for record_key in record_keys)
        if len(self._marks) > MAX_NAMED:
            self.overflown = True
            self._marks.clear()

    def may_hold(self, entity: str, record_key: str) -> bool:
        return self.overflown or self._mark(entity, record_key) in self._marks

    def _mark(self, entity: str, record_key: str) -> bytes:
        return rank(self.audit_id, f"{entity}\n{record_key}").to_bytes(16, "big")[:_MARK_BYTES]

    def to_value(self) -> str | None:
        """As JSON can keep it."""
        return None if self.overflown else base64.b64encode(b"".join(sorted(self._marks))).decode()

    @classmethod
    def of(cls, audit_id: str, value: str | None) -> Named:
        if value is None:
            return cls(audit_id, overflown=True)
        kept = base64.b64decode(value)
        marks = {kept[start : start + _MARK_BYTES] for start in range(0, len(kept), _MARK_BYTES)}
        return cls(audit_id, _marks=marks)


def some_of(audit_id: str, name: str, places: Sequence[tuple[str, str]], most: int) -> Sequence[tuple[str, str]]:
    """Up to `most` of the records of an operation, side by side; from where on is drawn by lot."""
    if len(places) <= most:
        return places
    start = rank(audit_id, name) % len(places)
    return [*places[start:], *places[:start]][:most]


def _shard_name(entity: str, shard: int) -> str:
    return f"{entity}#{shard:02d}"


def writes_records(operation: Operation) -> bool:
    """Whether an operation says that it has written or deleted records."""
    return bool(operation.keys) or operation.step is not None or written_count(operation) > 0


def written_count(operation: Operation) -> int:
    """How many records it says that it has written or deleted."""
    return sum(counts.created + counts.updated + counts.deleted for counts in operation.records.values())


@dataclass(frozen=True, slots=True)
class RecordReader:
    """Reads some records of a shard; of one that cannot be read it is told why."""

    client: DynamoDBClient
    table: str

    def some(self, workspace_id: str, entity: str, shard: int, start: str) -> Iterator[Record | Difference]:
        """Up to `RECORDS_PER_SHARD` records, from the key `start` on, and then from the shard's beginning."""
        whole: tuple[str, dict[str, Any]] = ("pk = :pk", {})
        behind: tuple[str, dict[str, Any]] = ("pk = :pk AND sk >= :start", {":start": {"S": start}})
        before: tuple[str, dict[str, Any]] = ("pk = :pk AND sk < :start", {":start": {"S": start}})
        left = RECORDS_PER_SHARD
        for condition, values in (behind, before) if start else (whole,):
            for record in self._query(workspace_id, entity, shard, condition, values, left):
                left -= 1
                yield record
            if left == 0:
                return

    def _query(
        self, workspace_id: str, entity: str, shard: int, condition: str, values: Mapping[str, Any], limit: int
    ) -> Iterator[Record | Difference]:
        pages = self.client.get_paginator("query").paginate(
            TableName=self.table,
            KeyConditionExpression=condition,
            ExpressionAttributeValues={":pk": {"S": keys.records_of_shard(workspace_id, entity, shard)}, **values},
            ConsistentRead=True,
            PaginationConfig={"MaxItems": limit, "PageSize": limit},
        )
        for page in pages:
            yield from (read_item(to_record, item) for item in page["Items"])
