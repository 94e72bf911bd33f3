"""A record of the catalogue, and how it is stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from shared import keys
from shared.dynamo.values import from_item, item_size, to_item
from shared.keys import Item, Key
from shared.times import parse_rfc3339, to_rfc3339

RecordName = tuple[str, str]
"""The entity and the key of a record: what names it in its workspace."""


@dataclass(frozen=True, slots=True)
class Mark:
    """What a rule leaves on a record that it has fired on: the version that the record had afterwards, and the
    operation that paid for it.
    """

    version: int
    operation_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One item of the catalogue. `version` starts at 1 and rises with every write, whoever makes it.

    `operation_id` names the operation that paid for its last write; None where a person wrote it. `marks` are those of
    the rules that have fired on it, by rule: whoever writes the record keeps them, for they are what keeps a rule from
    firing twice on one version. `depth` says how many rules, each set off by the one before, led to the last write; 0
    where no rule made it.
    """

    workspace_id: str
    entity: str
    key: str
    attributes: Mapping[str, Any]
    version: int
    created_at: datetime
    updated_at: datetime
    operation_id: str | None
    marks: Mapping[str, Mark] = field(default_factory=dict)
    depth: int = 0

    @property
    def primary_key(self) -> Key:
        return keys.record(self.workspace_id, self.entity, self.key)


def record_values(record: Record) -> dict[str, Any]:
    """The record as plain values, its primary key included: what its size is counted from."""
    primary = record.primary_key
    values: dict[str, Any] = {
        "pk": primary.pk,
        "sk": primary.sk,
        "attributes": record.attributes,
        "version": record.version,
        "created_at": to_rfc3339(record.created_at),
        "updated_at": to_rfc3339(record.updated_at),
    }
    if record.operation_id is not None:
        values["operation_id"] = record.operation_id
    if record.marks:
        values["marks"] = {rule_id: [mark.version, mark.operation_id] for rule_id, mark in record.marks.items()}
    if record.depth:
        values["depth"] = record.depth
    return values


def record_item(record: Record) -> Item:
    return to_item(record_values(record))


def record_size(record: Record) -> int:
    """Bytes of the record's item, as DynamoDB counts them."""
    return item_size(record_values(record))


def to_record(item: Item) -> Record:
    values = from_item(item)
    workspace_id, entity = keys.owner_of_record(values["pk"])
    return Record(
        workspace_id=workspace_id,
        entity=entity,
        key=values["sk"],
        attributes=values["attributes"],
        version=values["version"],
        created_at=parse_rfc3339(values["created_at"]),
        updated_at=parse_rfc3339(values["updated_at"]),
        operation_id=values.get("operation_id"),
        marks={rule_id: Mark(*mark) for rule_id, mark in values.get("marks", {}).items()},
        depth=values.get("depth", 0),
    )
