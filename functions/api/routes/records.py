"""The catalogue: data calls. A read costs one credit, a write one and one more for each record that really changes."""

from http import HTTPStatus
from typing import Annotated, assert_never

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Body, Header, Path, Query

from functions.api.answers import MAX_ANSWER_BYTES, answer, answered_bytes, as_json
from functions.api.charging import charge_read, keep_pace, price_headers, require_credits
from functions.api.entity_tags import TAGS_PATTERN, etag_of, expectation
from functions.api.models.common import IdempotencyKey, Page, PointInTime, documented, page
from functions.api.models.records import (
    BatchRequest,
    BatchView,
    RecordRequest,
    RecordView,
    key_problem,
    not_as_expected,
    record_too_large,
)
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
from functions.api.routing import BULK, DELETION, READ, WRITE, new_router, operation
from functions.api.services import Services, services
from shared.catalog import MAX_KEY_BYTES, Record, RecordFilter, RecordPage, cursor_behind, to_record
from shared.credits import Channel, OperationIdReused, OutOfCredits, Replayed, Stale, UnknownWorkspace
from shared.edits import (
    MAX_BATCH_BYTES,
    Batch,
    BatchEdited,
    BatchOutcome,
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
    edit_batch,
    edit_record,
)
from shared.feeds.fields import ENTITY_PATTERN
from shared.workspaces import Scope

router = new_router()

Entity = Annotated[str, Path(pattern=ENTITY_PATTERN)]
Key = Annotated[str, Path()]
KeyPrefix = Annotated[
    str | None,
    Query(min_length=1, max_length=MAX_KEY_BYTES, description="Only records whose key begins with this text."),
]
UpdatedSince = Annotated[
    PointInTime | None,
    Query(description="Only records that were written at this time or later, whoever wrote them."),
]
IfMatch = Annotated[
    str | None,
    Header(
        alias="If-Match",
        description="Only if the record is at this version: an ETag (up to ten, separated by commas), or *.",
        examples=['"3-19aba5a8c7b"'],
        json_schema_extra={"pattern": TAGS_PATTERN},
    ),
]
IfNoneMatch = Annotated[
    str | None,
    Header(
        alias="If-None-Match",
        description="`*`: only if there is no such record yet.",
        examples=["*"],
        json_schema_extra={"pattern": TAGS_PATTERN},
    ),
]
_WRITTEN = documented(HTTPStatus.OK, RecordView, "The record as it is now.")


@router.get(
    "/records/<entity>",
    **operation(
        "listRecords",
        "Records of an entity",
        description="The order is fixed, and means nothing. A page may be short, or empty, and still have a "
        "`next_cursor`: one that looks for what was updated ends when it has looked through 32 MB.",
        scopes=(Scope.READ,),
        price=READ,
        answers=documented(HTTPStatus.OK, Page[RecordView], "Records."),
    ),
)
def list_records(
    entity: Entity,
    key_prefix: KeyPrefix = None,
    updated_since: UpdatedSince = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Response[str]:
    event = router.current_event.raw_event
    workspace_id = workspace_of(event)
    room = services()
    _check_prefix(key_prefix)
    keep_pace(event)
    require_credits(room, workspace_id, event)
    wanted = RecordFilter(key_prefix or "", updated_since)
    with store_cursor(cursor) as after:
        found = room.catalog.page(workspace_id, entity, limit, after, wanted)
    text = _as_page(found)
    return answer(text, headers=charge_read(room, workspace_id, event, f"list {entity} records"))


def _as_page(found: RecordPage) -> str:
    """The page as text: as many of its records as an answer can hold. How large they are as JSON is told only by
    writing them.
    """
    texts: list[str] = []
    size, cursor = 0, found.cursor
    for record in found.records:
        text = as_json(RecordView.of(record))
        size += answered_bytes(text)
        if texts and size > MAX_ANSWER_BYTES:
            cursor = cursor_behind(found.records[len(texts) - 1].key)
            break
        texts.append(text)
    end = as_json(page([], cursor)).removeprefix('{"items":[')
    return f'{{"items":[{",".join(texts)}{end}'


@router.get(
    "/records/<entity>/<key>",
    **operation(
        "getRecord",
        "A record",
        scopes=(Scope.READ,),
        price=READ,
        answers=documented(HTTPStatus.OK, RecordView, "The record."),
    ),
)
def get_record(entity: Entity, key: Key) -> Response[str]:
    event = router.current_event.raw_event
    workspace_id = workspace_of(event)
    room = services()
    record_key = path_value(key)
    keep_pace(event)
    record = _read(room, workspace_id, principal_of(event).channel, entity, record_key)
    if record is None:
        raise Refusal(_no_such_record(entity, record_key))
    headers = charge_read(room, workspace_id, event, f"read a {entity} record")
    return answer(RecordView.of(record), headers=etag_of(record) | headers)


def _read(room: Services, workspace_id: str, channel: Channel, entity: str, key: str) -> Record | None:
    """The record, and along with it, in the same request, the balance of those who pay for reading it."""
    if key_problem(key) is not None:
        return None
    place = room.catalog.place(workspace_id, entity, key)
    looked = room.ledger.look(workspace_id, [place], balance=channel is not Channel.PERSON)
    (item,) = looked.items
    return to_record(item) if item else None


_CHANGED = ("stale", "request-repeated", "precondition-failed")


@router.put(
    "/records/<entity>/<key>",
    **operation(
        "putRecord",
        "Write a record",
        description="Creates it, or replaces all its attributes.",
        scopes=(Scope.WRITE,),
        price=WRITE,
        answers=_WRITTEN | documented(HTTPStatus.CREATED, RecordView, "The record, new."),
        refusals=_CHANGED,
    ),
)
def put_record(
    entity: Entity,
    key: Key,
    wanted: Annotated[RecordRequest, Body()],
    idempotency_key: IdempotencyKey = None,
    if_match: IfMatch = None,
    if_none_match: IfNoneMatch = None,
) -> Response[str]:
    change = Replace(wanted.attributes)
    return _write(entity, key, change, idempotency_key, if_match, if_none_match)


@router.patch(
    "/records/<entity>/<key>",
    **operation(
        "patchRecord",
        "Change a record",
        description="Lays the attributes over those it has: null removes one, objects are merged (RFC 7396).",
        scopes=(Scope.WRITE,),
        price=WRITE,
        answers=_WRITTEN,
        refusals=_CHANGED,
    ),
)
def patch_record(
    entity: Entity,
    key: Key,
    wanted: Annotated[RecordRequest, Body()],
    idempotency_key: IdempotencyKey = None,
    if_match: IfMatch = None,
    if_none_match: IfNoneMatch = None,
) -> Response[str]:
    change = Merge(wanted.attributes)
    return _write(entity, key, change, idempotency_key, if_match, if_none_match)


@router.delete(
    "/records/<entity>/<key>",
    **operation(
        "deleteRecord",
        "Delete a record",
        scopes=(Scope.WRITE,),
        price=DELETION,
        answers={HTTPStatus.NO_CONTENT: {"description": "It is gone."}},
        refusals=_CHANGED,
    ),
)
def delete_record(
    entity: Entity, key: Key, idempotency_key: IdempotencyKey = None, if_match: IfMatch = None
) -> Response[str]:
    return _write(entity, key, Remove(), idempotency_key, if_match, None)


@router.post(
    "/records/<entity>/batch",
    **operation(
        "writeRecords",
        "Write up to 90 records",
        description="In one transaction. An item that cannot be written, such as one whose `if_version` is gone, is "
        "answered with the reason and keeps none of the others from being written. Short of credits, none is.",
        scopes=(Scope.WRITE,),
        price=BULK,
        answers=documented(HTTPStatus.OK, BatchView, "What became of each, in the order of the request."),
        refusals=("stale", "request-repeated"),
    ),
)
def write_records(
    entity: Entity, wanted: Annotated[BatchRequest, Body()], idempotency_key: IdempotencyKey = None
) -> Response[str]:
    event = router.current_event.raw_event
    keep_pace(event)
    room = services()
    principal = principal_of(event)
    batch = Batch(
        workspace_id=workspace_of(event),
        entity=entity,
        items=wanted.to_items(),
        channel=principal.channel,
        request_id=request_id(event),
        requested_at=requested_at(event),
        idempotency_key=idempotency_key,
        actor=principal.key_id,
    )
    outcome = edit_batch(_editing(room), batch, lambda results: as_json(BatchView.of(batch.items, results)))
    return _answer_batch(room, batch, outcome)


def _answer_batch(room: Services, batch: Batch, outcome: BatchOutcome) -> Response[str]:
    event = router.current_event.raw_event
    match outcome:
        case BatchEdited(results, paid):
            return answer(BatchView.of(batch.items, results), headers=price_headers(room, event, paid))
        case Replayed(operation_id, told):
            if told is None:
                raise Refusal(request_repeated(operation_id))
            return answer(told, headers=price_headers(room, event, outcome))
        case TooLarge(size, what):
            raise Refusal(_too_large(size, what))
        case OutOfCredits() | OperationIdReused() | UnknownWorkspace() | Stale():
            raise Refusal(of_outcome(outcome))
        case _:
            assert_never(outcome)


def _write(
    entity: str,
    key: str,
    change: Replace | Merge | Remove,
    idempotency_key: str | None,
    if_match: str | None,
    if_none_match: str | None,
) -> Response[str]:
    event = router.current_event.raw_event
    room = services()
    principal = principal_of(event)
    edit = Edit(
        workspace_id=workspace_of(event),
        entity=entity,
        key=_writable_key(key),
        change=change,
        channel=principal.channel,
        request_id=request_id(event),
        requested_at=requested_at(event),
        expected=expectation(if_match, if_none_match),
        idempotency_key=idempotency_key,
        actor=principal.key_id,
    )
    keep_pace(event)
    return _answer(room, edit, edit_record(_editing(room), edit, _told))


def _answer(room: Services, edit: Edit, outcome: EditOutcome) -> Response[str]:
    event = router.current_event.raw_event
    match outcome:
        case Edited(decision, paid):
            return _as_told(_told(decision), price_headers(room, event, paid))
        case Replayed(operation_id, told):
            if told is None:
                raise Refusal(request_repeated(operation_id))
            return _as_told(told, price_headers(room, event, outcome))
        case NoSuchRecord():
            raise Refusal(_no_such_record(edit.entity, edit.key))
        case NotAsExpected(seen):
            raise Refusal(precondition_failed(not_as_expected(seen)))
        case TooLarge(size, what):
            raise Refusal(_too_large(size, what))
        case OutOfCredits() | OperationIdReused() | UnknownWorkspace() | Stale():
            raise Refusal(of_outcome(outcome))
        case _:
            assert_never(outcome)


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
    problem = key_problem(key)
    if problem is not None:
        raise Refusal(invalid([FieldError("key", problem)]))
    return key


def _check_prefix(prefix: str | None) -> None:
    problem = None if prefix is None else key_problem(prefix)
    if problem is not None:
        raise Refusal(invalid([FieldError("key_prefix", problem)]))


def _too_large(size: int, what: str) -> Problem:
    if what == "record":
        return too_large(record_too_large(size))
    if what == "batch":
        return too_large(f"The records would have {size:,} bytes together; {MAX_BATCH_BYTES:,} go into one batch.")
    return too_large(
        f"The answer would have {size:,} bytes, too many to be kept for an Idempotency-Key. Send it without one, and "
        "with If-Match if it must not be done twice."
    )


def _no_such_record(entity: str, key: str) -> Problem:
    return not_found(f"There is no {entity} with the key {key[:200]}.")
