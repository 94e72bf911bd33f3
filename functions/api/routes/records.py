"""The catalogue: data calls. A read costs one credit, a write one and one more if the record really changes."""

import re
from http import HTTPStatus
from typing import Annotated, assert_never

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Body, Header

from functions.api.answers import REPLAYED, answer, as_json
from functions.api.charging import charge_read, price_headers, spendable
from functions.api.entity_tags import etag_of, expectation
from functions.api.models.common import IdempotencyKey, Page, documented, page
from functions.api.models.records import RecordRequest, RecordView
from functions.api.paging import DEFAULT_LIMIT, Cursor, Limit, store_cursor
from functions.api.principals import principal_of, workspace_of
from functions.api.problems import (
    FieldError,
    Problem,
    Refusal,
    invalid,
    not_found,
    of_outcome,
    precondition_failed,
    request_repeated,
    too_large,
)
from functions.api.requests import path_value, request_id, requested_at
from functions.api.routing import new_router
from functions.api.services import Services, services
from shared.credits import Channel, Committed, OperationIdReused, OutOfCredits, Replayed, Stale, UnknownWorkspace
from shared.dynamo.values import MAX_ITEM_BYTES
from shared.edits import (
    Change,
    Decision,
    Edit,
    Edited,
    EditingRoom,
    EditOutcome,
    Merge,
    NoSuchRecord,
    NotAsExpected,
    Remove,
    Replace,
    TooLarge,
    edit_record,
)
from shared.workspaces import Scope

router = new_router()

_ENTITY = re.compile(r"[a-z][a-z0-9_]{0,31}")
_MAX_KEY_BYTES = 1024
"""A sort key of DynamoDB holds no more."""

IfMatch = Annotated[
    str | None,
    Header(alias="If-Match", max_length=1000, description="Only if the record is at this version: an ETag, or *."),
]
IfNoneMatch = Annotated[
    str | None,
    Header(alias="If-None-Match", max_length=1000, description="`*`: only if there is no such record yet."),
]
_WRITTEN = documented(HTTPStatus.OK, RecordView, "The record as it is now.")
_PRICE = "Costs 1 credit, and 1 if the record really changes; nothing for a person."


@router.get(
    "/records/<entity>",
    summary="Records of an entity",
    description="Costs 1 credit. The order is fixed, and means nothing.",
    responses=documented(HTTPStatus.OK, Page[RecordView], "Records."),
)
def list_records(entity: str, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None) -> Response[str]:
    event = router.current_event.raw_event
    workspace_id = workspace_of(event, Scope.READ)
    room = services()
    _check_entity(entity)
    with store_cursor(cursor) as after:
        found = room.catalog.page(workspace_id, entity, limit, after)
    headers = charge_read(room, workspace_id, event, f"list {entity} records")
    return answer(page([RecordView.of(record) for record in found.records], found.cursor), headers=headers)


@router.get(
    "/records/<entity>/<key>",
    summary="A record",
    description="Costs 1 credit. The key is percent-encoded: it may hold slashes, spaces and any other character.",
    responses=documented(HTTPStatus.OK, RecordView, "The record."),
)
def get_record(entity: str, key: str) -> Response[str]:
    event = router.current_event.raw_event
    workspace_id = workspace_of(event, Scope.READ)
    room = services()
    _check_entity(entity)
    record_key = path_value(key)
    fits = len(record_key.encode()) <= _MAX_KEY_BYTES
    record = room.catalog.get(workspace_id, entity, record_key) if fits else None
    if record is None:
        raise Refusal(_no_such_record(entity, record_key))
    headers = charge_read(room, workspace_id, event, f"read a {entity} record")
    return answer(RecordView.of(record), headers=etag_of(record) | headers)


@router.put(
    "/records/<entity>/<key>",
    summary="Write a record",
    description=f"Creates it, or replaces all its attributes. {_PRICE}",
    responses=_WRITTEN | documented(HTTPStatus.CREATED, RecordView, "The record, new."),
)
def put_record(
    entity: str,
    key: str,
    wanted: Annotated[RecordRequest, Body()],
    idempotency_key: IdempotencyKey = None,
    if_match: IfMatch = None,
    if_none_match: IfNoneMatch = None,
) -> Response[str]:
    change = Replace(wanted.attributes)
    return _write(entity, key, change, idempotency_key, if_match, if_none_match)


@router.patch(
    "/records/<entity>/<key>",
    summary="Change a record",
    description=f"Lays the attributes over those it has: null removes one, objects are merged (RFC 7396). {_PRICE}",
    responses=_WRITTEN,
)
def patch_record(
    entity: str,
    key: str,
    wanted: Annotated[RecordRequest, Body()],
    idempotency_key: IdempotencyKey = None,
    if_match: IfMatch = None,
    if_none_match: IfNoneMatch = None,
) -> Response[str]:
    change = Merge(wanted.attributes)
    return _write(entity, key, change, idempotency_key, if_match, if_none_match)


@router.delete(
    "/records/<entity>/<key>",
    summary="Delete a record",
    description="Costs 1 credit; nothing for a person.",
    responses={HTTPStatus.NO_CONTENT: {"description": "It is gone."}},
)
def delete_record(
    entity: str, key: str, idempotency_key: IdempotencyKey = None, if_match: IfMatch = None
) -> Response[str]:
    return _write(entity, key, Remove(), idempotency_key, if_match, None)


def _write(
    entity: str,
    key: str,
    change: Replace | Merge | Remove,
    idempotency_key: str | None,
    if_match: str | None,
    if_none_match: str | None,
) -> Response[str]:
    event = router.current_event.raw_event
    workspace_id = workspace_of(event, Scope.WRITE)
    channel = principal_of(event).channel
    room = services()
    _check_entity(entity)
    edit = Edit(
        workspace_id=workspace_id,
        entity=entity,
        key=_writable_key(key),
        change=change,
        channel=channel,
        request_id=request_id(event),
        requested_at=requested_at(event),
        expected=expectation(if_match, if_none_match),
        idempotency_key=idempotency_key,
    )
    # A person has no price to be told, and waits for no account.
    available = None if channel is Channel.PERSON else spendable(room, workspace_id)
    return _answer(edit, edit_record(_editing(room), edit, _told), available)


def _answer(edit: Edit, outcome: EditOutcome, available: int | None) -> Response[str]:
    """`available` is what was there to spend when the request came; None for a person."""
    match outcome:
        case Edited(decision, paid):
            return _as_told(_told(decision), _headers(paid, available))
        case Replayed(operation_id, told):
            if told is None:
                raise Refusal(request_repeated(operation_id))
            return _as_told(told, _headers(outcome, available))
        case NoSuchRecord():
            raise Refusal(_no_such_record(edit.entity, edit.key))
        case NotAsExpected(seen):
            stands = "does not exist" if seen is None else f"is at version {seen.version}"
            raise Refusal(precondition_failed(f"The record {stands}. Read it again, and decide anew."))
        case TooLarge(size, what):
            raise Refusal(_too_large(size, what))
        case OutOfCredits() | OperationIdReused() | UnknownWorkspace() | Stale():
            raise Refusal(of_outcome(outcome))
        case _:
            assert_never(outcome)


def _headers(outcome: Committed | Replayed, available: int | None) -> dict[str, str]:
    if available is not None:
        return price_headers(outcome, available)
    return REPLAYED if isinstance(outcome, Replayed) else {}


def _told(decision: Decision) -> str:
    """The answer to a write as it is kept for retries: its status, its ETag if it has one, and its body."""
    if decision.record is None:
        return f"{HTTPStatus.NO_CONTENT.value}\n\n"
    status = HTTPStatus.CREATED if decision.change is Change.CREATE else HTTPStatus.OK
    return f"{status.value}\n{etag_of(decision.record)['ETag']}\n{as_json(RecordView.of(decision.record))}"


def _as_told(told: str, headers: dict[str, str]) -> Response[str]:
    status, etag, body = told.split("\n", 2)
    if etag:
        headers = {"ETag": etag} | headers
    if not body:
        return Response(int(status), body="", headers=dict(headers))
    return answer(body, HTTPStatus(int(status)), headers)


def _editing(room: Services) -> EditingRoom:
    return EditingRoom(catalog=room.catalog, ledger=room.ledger, prices=room.settings.prices, clock=room.clock)


def _writable_key(encoded: str) -> str:
    """The key that a path names. Raises Refusal for one that nothing can be stored under."""
    key = path_value(encoded)
    size = len(key.encode())
    if not 1 <= size <= _MAX_KEY_BYTES:
        raise Refusal(invalid([FieldError("key", f"Input should have 1 to {_MAX_KEY_BYTES:,} bytes, not {size:,}")]))
    return key


def _too_large(size: int, what: str) -> Problem:
    if what == "record":
        return too_large(f"The record would have {size:,} bytes; at most {MAX_ITEM_BYTES:,} can be stored.")
    return too_large(
        f"The answer would have {size:,} bytes, too many to be kept for an Idempotency-Key. Send it without one, and "
        "with If-Match if it must not be done twice."
    )


def _no_such_record(entity: str, key: str) -> Problem:
    return not_found(f"There is no {entity} with the key {key[:200]}.")


def _check_entity(entity: str) -> None:
    if not _ENTITY.fullmatch(entity):
        raise Refusal(not_found("There is no such entity: names are lower-case letters, digits and underscores."))
