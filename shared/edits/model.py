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

Versions = frozenset[int] | Literal["*"]


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """The wish to write one record. `request_id` names the request and `requested_at` dates it; `idempotency_key` is
    the client's, if it sent one.
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
    """More bytes than DynamoDB keeps in one item: of the record; or of the answer, which an idempotency key would have
    to be remembered with.
    """

    size: int
    what: Literal["record", "answer"]


Refused = NoSuchRecord | NotAsExpected | TooLarge


def _names(versions: Versions, seen: Record | None) -> bool:
    return seen is not None and (versions == ANY_VERSION or seen.version in versions)
