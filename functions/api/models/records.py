"""Records of the catalogue, as they are shown."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, StrictInt, StrictStr, Tag
from pydantic_core import PydanticCustomError

from functions.api.models.common import Request, View
from functions.api.models.texts import Count, EntityText, OperationId, RecordKeyText, Time, Version, told
from shared.catalog import MAX_KEY_BYTES, Record
from shared.dynamo.values import MAX_ITEM_BYTES
from shared.edits import (
    ANY_VERSION,
    MAX_BATCH,
    MAX_NAME,
    AttributeRefused,
    BatchItem,
    Change,
    Decision,
    Expectation,
    Merge,
    NoSuchRecord,
    NotAsExpected,
    RecordVersion,
    Refused,
    Remove,
    Replace,
    TooLarge,
    kept,
)
from shared.times import to_rfc3339


def _attributes(value: object) -> object:
    """Attributes as they are stored. The error names the place in them."""
    if not isinstance(value, dict):
        raise PydanticCustomError("dict_type", "Input should be an object of attributes")
    try:
        return kept(value)
    except AttributeRefused as problem:
        raise PydanticCustomError("attribute", "{reason}", {"place": problem.place, "reason": problem.reason}) from None


Attributes = Annotated[
    dict[str, Any],
    BeforeValidator(_attributes),
    Field(
        examples=[{"title": "Drill", "price": 99.5, "stock": 12}],
        json_schema_extra={"propertyNames": {"minLength": 1, "maxLength": MAX_NAME}},
    ),
]


class RecordRequest(Request):
    """What a record is to have: of PUT all its attributes, of PATCH those to change, null for those to remove."""

    attributes: Attributes


MAX_VERSION = 10**15 - 1
"""A record is not written as often as that."""


def key_problem(key: str) -> str | None:
    """Why nothing can be stored under this key; None where something can."""
    try:
        size = len(key.encode())
    except UnicodeEncodeError:
        return "Input should not hold half of a surrogate pair, which is no character"
    return None if 1 <= size <= MAX_KEY_BYTES else f"Input should have 1 to {MAX_KEY_BYTES:,} bytes, not {size:,}"


def _storable(key: str) -> str:
    problem = key_problem(key)
    if problem is not None:
        raise PydanticCustomError("key", "{problem}", {"problem": problem})
    return key


RecordKey = Annotated[
    StrictStr,
    AfterValidator(_storable),
    Field(min_length=1, max_length=MAX_KEY_BYTES, description="1 to 1,024 bytes, any text.", examples=["M8/40"]),
]


class BatchPut(Request):
    """Creates the record, or replaces all its attributes."""

    method: Literal["PUT"] = "PUT"
    key: RecordKey
    attributes: Attributes
    if_version: Annotated[
        StrictInt | None,
        Field(ge=0, le=MAX_VERSION, description="Only if the record is at this version; 0: only if there is none yet."),
    ] = None

    def to_item(self) -> BatchItem:
        expected = Expectation(none_match=ANY_VERSION) if self.if_version == 0 else _at(self.if_version)
        return BatchItem(key=self.key, change=Replace(self.attributes), expected=expected)


ExistingVersion = Annotated[
    StrictInt | None, Field(ge=1, le=MAX_VERSION, description="Only if the record is at this version.")
]


class BatchPatch(Request):
    """Lays the attributes over those that the record has: null removes one, objects are merged (RFC 7396)."""

    method: Literal["PATCH"]
    key: RecordKey
    attributes: Attributes
    if_version: ExistingVersion = None

    def to_item(self) -> BatchItem:
        return BatchItem(key=self.key, change=Merge(self.attributes), expected=_at(self.if_version))


class BatchDelete(Request):
    """Deletes the record."""

    method: Literal["DELETE"]
    key: RecordKey
    if_version: ExistingVersion = None

    def to_item(self) -> BatchItem:
        return BatchItem(key=self.key, change=Remove(), expected=_at(self.if_version))


def _at(version: int | None) -> Expectation:
    return Expectation() if version is None else Expectation(match=frozenset({RecordVersion(version)}))


def _method(item: object) -> str | None:
    """Which of the three an item of a batch is: by its method, PUT if it names none."""
    if isinstance(item, Mapping):
        method = item.get("method", "PUT")
        return f"<{method}>" if isinstance(method, str) else None
    return f"<{item.method}>" if isinstance(item, BatchPut | BatchPatch | BatchDelete) else None


BatchItemRequest = Annotated[
    Annotated[BatchPut, Tag("<PUT>")] | Annotated[BatchPatch, Tag("<PATCH>")] | Annotated[BatchDelete, Tag("<DELETE>")],
    Discriminator(
        _method,
        custom_error_type="method",
        custom_error_message="Input should be an object whose method is PUT, PATCH or DELETE",
    ),
]


def _no_key_twice(
    items: Sequence[BatchPut | BatchPatch | BatchDelete],
) -> Sequence[BatchPut | BatchPatch | BatchDelete]:
    (key, count), *_ = Counter(item.key for item in items).most_common(1)
    if count > 1:
        raise PydanticCustomError("key_twice", "Input should name no key twice: {key}", {"key": key[:200]})
    return items


class BatchRequest(Request):
    """Up to 90 records to write in one transaction, each of them once."""

    records: Annotated[list[BatchItemRequest], Field(min_length=1, max_length=MAX_BATCH), AfterValidator(_no_key_twice)]

    def to_items(self) -> tuple[BatchItem, ...]:
        return tuple(record.to_item() for record in self.records)


class RecordRuleView(View):
    """The last write of a record that a rule made: the version that it came to, and the operation that paid for it."""

    version: Version
    operation_id: OperationId


class RecordView(View):
    """A record. `operation_id` names what paid for its last write; null where a person wrote it. `rules` names for each
    rule that has written it the last time that it did, whoever has written it since.
    """

    entity: EntityText
    key: RecordKeyText
    attributes: Annotated[Mapping[str, Any], told({"title": "Bolt M8, 40 mm", "price": 0.25})]
    version: Annotated[Version, told(3)]
    created_at: Time
    updated_at: Time
    operation_id: OperationId | None
    rules: Annotated[
        Mapping[str, RecordRuleView], told({"gross": {"version": 3, "operation_id": "op_01KAMZDXS6G8J0M2P4R6T8V0X2"}})
    ]

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


Status = Literal[200, 201, 204, 404, 412, 413]
ChangeWord = Literal["created", "updated", "unchanged", "deleted", "refused"]

_DONE: Mapping[Change, tuple[Status, ChangeWord]] = {
    Change.CREATE: (201, "created"),
    Change.UPDATE: (200, "updated"),
    Change.NOTHING: (200, "unchanged"),
    Change.DELETE: (204, "deleted"),
}


class BatchItemView(View):
    """What became of one record of a batch: the status that it would have been answered with by itself, and for a
    refused one why.
    """

    key: RecordKeyText
    status: Status
    change: Annotated[ChangeWord, told("updated")]
    version: Annotated[
        Version | None, Field(description="The version that the record has now; null where there is none.")
    ]
    detail: Annotated[str | None, told(None)]

    @classmethod
    def of(cls, key: str, result: Decision | Refused) -> Self:
        if isinstance(result, Decision):
            status, change = _DONE[result.change]
            version = result.record.version if result.record else None
            return cls(key=key, status=status, change=change, version=version, detail=None)
        status, detail, version = _refusal(result)
        return cls(key=key, status=status, change="refused", version=version, detail=detail)


class BatchView(View):
    """What became of a batch, in its order, and how many of each."""

    items: list[BatchItemView]
    created: Count
    updated: Annotated[int, told(1, minimum=0)]
    unchanged: Count
    deleted: Count
    refused: Count

    @classmethod
    def of(cls, items: Iterable[BatchItem], results: Iterable[Decision | Refused]) -> Self:
        views = [BatchItemView.of(item.key, result) for item, result in zip(items, results, strict=True)]
        counts = Counter(view.change for view in views)
        return cls(
            items=views,
            created=counts["created"],
            updated=counts["updated"],
            unchanged=counts["unchanged"],
            deleted=counts["deleted"],
            refused=counts["refused"],
        )


def _refusal(result: Refused) -> tuple[Status, str, int | None]:
    """The status, the reason, and the version that stands there."""
    match result:
        case NoSuchRecord():
            return 404, "There is no such record.", None
        case NotAsExpected(seen):
            return 412, not_as_expected(seen), seen.version if seen else None
        case TooLarge(size, _):
            return 413, record_too_large(size), None


def not_as_expected(seen: Record | None) -> str:
    """Why a write was not made that named a version."""
    stands = "does not exist" if seen is None else f"is at version {seen.version}"
    return f"The record {stands}. Read it again, and decide anew."


def record_too_large(size: int) -> str:
    """Why a record of so many bytes was not written."""
    return f"The record would have {size:,} bytes; at most {MAX_ITEM_BYTES:,} can be stored."
