"""Records of the catalogue, as they are shown."""

from collections.abc import Mapping
from typing import Any, Self

from functions.api.models.common import View
from shared.catalog import Record
from shared.times import to_rfc3339


class RecordView(View):
    """A record. `operation_id` names what paid for its last write; null where a person wrote it."""

    entity: str
    key: str
    attributes: Mapping[str, Any]
    version: int
    created_at: str
    updated_at: str
    operation_id: str | None

    @classmethod
    def of(cls, record: Record) -> Self:
        return cls(
            entity=record.entity,
            key=record.key,
            attributes=record.attributes,
            version=record.version,
            created_at=to_rfc3339(record.created_at),
            updated_at=to_rfc3339(record.updated_at),
            operation_id=record.operation_id,
        )
