"""API keys: a workspace's own, and the operators'. Free."""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Annotated, assert_never

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Body

from functions.api.answers import answer, as_json
from functions.api.idempotency import kept_with, once, once_without
from functions.api.models.common import Identifier, Page, documented, page
from functions.api.models.keys import KeyRequest, KeyView, NewKeyView, RotationRequest
from functions.api.paging import DEFAULT_LIMIT, Cursor, Limit, store_cursor
from functions.api.principals import principal_of
from functions.api.problems import (
    FieldError,
    Problem,
    Refusal,
    forbidden,
    invalid,
    key_is_over,
    key_is_replaced,
    not_found,
    too_many_key_changes,
    too_many_keys,
)
from functions.api.routing import new_router, operation
from functions.api.services import key_room, services
from shared.dynamo.writes import Write
from shared.ids import pattern_of
from shared.pace import TooFast
from shared.times import to_rfc3339
from shared.workspaces import ApiKey, Scope
from shared.workspaces.key_commands import (
    KeyIsOver,
    KeyIsReplaced,
    NewKey,
    NotItself,
    OutlivesCaller,
    OverBeforeItBegins,
    ScopesNotHeld,
    UnknownKey,
    WantedKey,
    create_key,
    revoke_key,
    rotate_key,
)
from shared.workspaces.key_store import TooManyKeys

router = new_router()

_KEY_ID = pattern_of("key")
_WHO = (Scope.CONFIGURE, Scope.OPERATOR)
_GONE = {HTTPStatus.NO_CONTENT.value: {"description": "It is good no longer."}}


@router.get(
    "/keys",
    **operation(
        "listKeys",
        "The API keys",
        description="Newest first, with those that are expired or revoked. Of its text each shows only the beginning.",
        scopes=_WHO,
        answers=documented(HTTPStatus.OK, Page[KeyView], "The newest first."),
    ),
)
def list_keys(limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None) -> Response[str]:
    workspace_id = principal_of(router.current_event.raw_event).workspace_id
    with store_cursor(cursor, like=_KEY_ID) as after:
        found = key_room().store.page(workspace_id, limit, after)
    now = services().clock()
    return answer(page([KeyView.of(key, now) for key in found.keys], found.cursor))


@router.post(
    "/keys",
    **operation(
        "createKey",
        "Make an API key",
        description="With scopes that the caller has itself; by a key that expires, only for as long as that one is "
        "good. Its text, `secret`, is shown this once.",
        scopes=_WHO,
        answers=documented(HTTPStatus.CREATED, NewKeyView, "The key, and its text."),
        refusals=("too-many-keys",),
        example={"name": "Nightly stock sync", "scopes": ["read", "write"]},
        remembers=once_without("secret"),
    ),
)
def make_key(wanted: Annotated[KeyRequest, Body()]) -> Response[str]:
    caller = principal_of(router.current_event.raw_event)
    now = services().clock()
    key = WantedKey(name=wanted.name, scopes=tuple(wanted.scopes), expires_at=wanted.expires_at)
    outcome = create_key(key_room(), caller, key, now, _remembered(now))
    match outcome:
        case NewKey(made, secret):
            return answer(NewKeyView.made(KeyView.of(made, now), secret), HTTPStatus.CREATED)
        case ScopesNotHeld():
            raise Refusal(_not_held(outcome))
        case OverBeforeItBegins():
            raise Refusal(invalid([FieldError("expires_at", "Input should be in the future")]))
        case OutlivesCaller(end):
            until = to_rfc3339(end)
            raise Refusal(forbidden(f"Your own key expires at {until}: it makes keys that expire by then, no others."))
        case TooManyKeys(limit):
            raise Refusal(too_many_keys(limit))
        case TooFast():
            raise Refusal(too_many_key_changes(outcome, outcome.seconds_left(now)))
        case _:
            assert_never(outcome)


@router.post(
    "/keys/<key_id>/rotate",
    **operation(
        "rotateKey",
        "Replace an API key",
        description="Makes a key of the same name and scopes, which the caller has to have itself. The old one is good "
        "for `overlap_seconds` more, so that its users can change over. A key that was made to expire is followed by "
        "one that lives as long, and itself replaces no other. A key is replaced once; after that, rotate the one that "
        "took its place.",
        scopes=_WHO,
        answers=documented(HTTPStatus.CREATED, NewKeyView, "The new key, and its text."),
        refusals=("too-many-keys", "key-is-over", "key-is-replaced"),
        example={"overlap_seconds": 3600},
        remembers=once_without("secret"),
    ),
)
def replace_key(key_id: Identifier, wanted: Annotated[RotationRequest, Body()]) -> Response[str]:
    caller = principal_of(router.current_event.raw_event)
    now = services().clock()
    overlap = timedelta(seconds=wanted.overlap_seconds)
    outcome = rotate_key(key_room(), caller, _checked(key_id), overlap, now, _remembered(now))
    match outcome:
        case NewKey(made, secret):
            return answer(NewKeyView.made(KeyView.of(made, now), secret), HTTPStatus.CREATED)
        case UnknownKey():
            raise Refusal(_no_such(key_id))
        case ScopesNotHeld():
            raise Refusal(_not_held(outcome))
        case NotItself(end):
            raise Refusal(forbidden(f"Your own key expires at {to_rfc3339(end)}: it rotates itself, and no other key."))
        case KeyIsReplaced(successor):
            raise Refusal(key_is_replaced(successor))
        case KeyIsOver(state):
            raise Refusal(key_is_over(state.value))
        case TooManyKeys(limit):
            raise Refusal(too_many_keys(limit))
        case TooFast():
            raise Refusal(too_many_key_changes(outcome, outcome.seconds_left(now)))
        case _:
            assert_never(outcome)


@router.delete(
    "/keys/<key_id>",
    **operation(
        "revokeKey",
        "Revoke an API key",
        description="At once, and for good; also the key that the call is made with. Again it does nothing.",
        scopes=_WHO,
        answers=_GONE,
        remembers=once,
    ),
)
def end_key(key_id: Identifier) -> Response[str]:
    caller = principal_of(router.current_event.raw_event)
    outcome = revoke_key(key_room(), caller, _checked(key_id), services().clock())
    match outcome:
        case ApiKey():
            return Response(HTTPStatus.NO_CONTENT.value, body="")
        case UnknownKey():
            raise Refusal(_no_such(key_id))
        case _:
            assert_never(outcome)


def _checked(key_id: str) -> str:
    """The identifier, if it can be one. Raises Refusal for all else, which DynamoDB might not take for a key."""
    if re.fullmatch(_KEY_ID, key_id) is None:
        raise Refusal(_no_such(key_id))
    return key_id


def _remembered(now: datetime) -> Callable[[ApiKey], tuple[Write, ...]]:
    """What a repeated call is told, written together with the key: not its text, which nobody keeps."""

    def told(key: ApiKey) -> tuple[Write, ...]:
        body = as_json(NewKeyView.made(KeyView.of(key, now), None))
        return kept_with(router.context, HTTPStatus.CREATED, body)

    return told


def _no_such(key_id: str) -> Problem:
    return not_found(f"There is no API key {key_id}.")


def _not_held(outcome: ScopesNotHeld) -> Problem:
    named = ", ".join(scope.value for scope in outcome.scopes)
    return forbidden(f"Nobody gives away scopes that they do not have themselves: {named}.")
