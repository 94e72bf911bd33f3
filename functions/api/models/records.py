"""Records of the catalogue, as they are shown."""

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from functions.api.models.common import Request, View
from shared.catalog import Record
from shared.edits import AttributeRefused, kept
from shared.times import to_rfc3339


def _attributes(value: object) -> object:
    """Attributes as they are stored. The error names the place in them."""
    if not isinstance(value, dict):
        raise PydanticCustomError("dict_type", "Input should be an object of attributes")
    try:
        return kept(value)
    except AttributeRefused as problem:
        raise PydanticCustomError("attribute", "{reason}", {"place": problem.place, "reason": problem.reason}) from None


class RecordRequest(Request):
    """What a record is to have: of PUT all its attributes, of PATCH those to change, null for those to remove."""

    attributes: Annotated[
        dict[str, Any],
        BeforeValidator(_attributes),
        Field(examples=[{"title": "Drill", "price": 99.5, "stock": 12}]),
    ]


class RecordRuleView(View):
    """The last write of a record that a rule made: the version that it came to, and the operation that paid for it."""

    version: int
    operation_id: str


class RecordView(View):
    """A record. `operation_id` names what paid for its last write; null where a person wrote it. `rules` names for each
    rule that has written it the last time that it did, whoever has written it since.
    """

    entity: str
    key: str
    attributes: Mapping[str, Any]
    version: int
    created_at: str
    updated_at: str
    operation_id: str | None
    rules: Mapping[str, RecordRuleView]

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
            rules={
                rule_id: RecordRuleView(version=mark.version, operation_id=mark.operation_id)
                for rule_id, mark in sorted(record.marks.items())
            },
        )
