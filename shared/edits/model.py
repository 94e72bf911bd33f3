"""What somebody wants to do with one record, and what is decided about it on the record as it stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

from shared.catalog import Record
from shared.credits import Channel


@dataclass(frozen=True, slots=True)
class Replace:
    """The record has these attributes and no others; it is created if it is not there."""

    attributes: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Merge:
    """The record's attributes with this laid over them (RFC 7396): null removes, maps are merged."""

    patch: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Remove:
    """The record is gone."""


ANY_VERSION: Literal["*"] = "*"
"""Whatever version the record has, if it is there at all."""


@dataclass(frozen=True, slots=True, order=True)
class RecordVersion:
    """One version of a record. Versions begin anew with a record that is deleted and made again: `born`, when the
    record was made, in milliseconds, tells the two apart; None takes either.
    """

    number: int
    born: int | None = None

    @classmethod
    def of(cls, record: Record) -> RecordVersion:
        return cls(record.version, int(record.created_at.timestamp() * 1000))

    def is_of(self, record: Record) -> bool:
        return self in {RecordVersion.of(record), RecordVersion(record.version)}

    def __str__(self) -> str:
        return str(self.number) if self.born is None else f"{self.number}-{self.born:x}"


Versions = frozenset[RecordVersion] | Literal["*"]


@dataclass(frozen=True, slots=True)
class Expectation:
    """How the record has to be for the edit to be made (RFC 9110, If-Match and If-None-Match); None asks for nothing.

    A record that is not there has no version: `match` never holds for it, `none_match` always does.
    """

    match: Versions | None = None
    none_match: Versions | None = None

    def holds(self, seen: Record | None) -> bool:
        return (self.match is None or _names(self.match, seen)) and (
            self.none_match is None or not _names(self.none_match, seen)
        )


MAX_BATCH = 90
"""Edits of one batch: one transaction holds them, the operation entry, the balance and the idempotency key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """The wish to write one record. `request_id` names the request and `requested_at` dates it; `idempotency_key` is
    the client's, if it sent one. `in_bulk` says that it came in a batch. `actor` is the key or the person that asks.
    """

    workspace_id: str
    entity: str
    key: str
    change: Replace | Merge | Remove
    channel: Channel
    request_id: str
    requested_at: datetime
    expected: Expectation = field(default_factory=Expectation)
    idempotency_key: str | None = None
    in_bulk: bool = False
    actor: str | None = None

    @property
    def by_hand(self) -> bool:
        """Whether a person edits this one record, which is free. What they send in bulk costs its records, like an
        import that they start (design section 2).
        """
        return self.channel is Channel.PERSON and not self.in_bulk


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchItem:
    """What a batch is to do with one record."""

    key: str
    change: Replace | Merge | Remove
    expected: Expectation = field(default_factory=Expectation)


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """The wish to write 1 to `MAX_BATCH` records of one entity, none of them twice; otherwise as `Edit`."""

    workspace_id: str
    entity: str
    items: tuple[BatchItem, ...]
    channel: Channel
    request_id: str
    requested_at: datetime
    idempotency_key: str | None = None
    actor: str | None = None

    @property
    def edits(self) -> tuple[Edit, ...]:
        """Each record's part of it."""
        return tuple(
            Edit(
                workspace_id=self.workspace_id,
                entity=self.entity,
                key=item.key,
                change=item.change,
                channel=self.channel,
                request_id=self.request_id,
                requested_at=self.requested_at,
                expected=item.expected,
                in_bulk=True,
                actor=self.actor,
            )
            for item in self.items
        )


class Change(StrEnum):
    """What an edit does with the record."""

    CREATE = "create"
    UPDATE = "update"
    NOTHING = "nothing"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class Decision:
    """What is done: `record` as it will be, None once it is deleted; `seen` as it was."""

    change: Change
    record: Record | None
    seen: Record | None


@dataclass(frozen=True, slots=True)
class NoSuchRecord:
    """There is nothing to merge into or to remove."""


@dataclass(frozen=True, slots=True)
class NotAsExpected:
    """The record is not as the edit expects it; `seen` is what stands there."""

    seen: Record | None


@dataclass(frozen=True, slots=True)
class TooLarge:
    """More bytes than DynamoDB takes: of the record in one item; of the answer, which an idempotency key would have to
    be remembered with; or of all records of a batch in one transaction.
    """

    size: int
    what: Literal["record", "answer", "batch"]


Refused = NoSuchRecord | NotAsExpected | TooLarge


def _names(versions: Versions, seen: Record | None) -> bool:
    return seen is not None and (versions == ANY_VERSION or any(version.is_of(seen) for version in versions))
