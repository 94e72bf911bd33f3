"""Reading the catalogue. Data calls: one credit each, charged when the answer is there."""

import re
from http import HTTPStatus

from aws_lambda_powertools.event_handler import Response

from functions.api.answers import answer
from functions.api.charging import charge_read
from functions.api.models.common import Page, documented, page
from functions.api.models.records import RecordView
from functions.api.paging import DEFAULT_LIMIT, Cursor, Limit, store_cursor
from functions.api.principals import workspace_of
from functions.api.problems import Refusal, not_found
from functions.api.requests import path_value
from functions.api.routing import new_router
from functions.api.services import services
from shared.workspaces import Scope

router = new_router()

_ENTITY = re.compile(r"[a-z][a-z0-9_]{0,31}")
_MAX_KEY_BYTES = 1024
"""A sort key of DynamoDB holds no more."""


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
        raise Refusal(not_found(f"There is no {entity} with the key {record_key[:200]}."))
    headers = charge_read(room, workspace_id, event, f"read a {entity} record")
    return answer(RecordView.of(record), headers=headers)


def _check_entity(entity: str) -> None:
    if not _ENTITY.fullmatch(entity):
        raise Refusal(not_found("There is no such entity: names are lower-case letters, digits and underscores."))
