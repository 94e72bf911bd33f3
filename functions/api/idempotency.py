"""What makes a free write happen once for each Idempotency-Key. Charged ones see to it in the transaction that charges
them (`shared.edits`, `shared.runs`).

A route says it with `operation(…, remembers=once)`. The caller's scopes, and the request itself, are checked before it
comes to this.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from datetime import timedelta
from decimal import Decimal
from functools import cache
from http import HTTPStatus
from typing import Any, assert_never

import simplejson
from aws_lambda_powertools import Logger
from aws_lambda_powertools.event_handler import ApiGatewayResolver, Response
from aws_lambda_powertools.event_handler.openapi.exceptions import RequestValidationError
from botocore.exceptions import BotoCoreError, ClientError
from pydantic import TypeAdapter, ValidationError

from functions.api.answers import REPLAYED
from functions.api.models.common import IdempotencyKey
from functions.api.principals import principal_of
from functions.api.problems import Refusal, idempotency_key_reused, request_in_progress
from functions.api.requests import header_of, request_id
from functions.api.services import call_store, services
from shared import keys
from shared.calls import Answered, Claim, Claimed, KeyReused, Running
from shared.dynamo.writes import Write
from shared.feeds.json_values import canonical
from shared.ids import fingerprint

_OPERATORS = "operators"
"""Whose calls those are that belong to no workspace. A workspace's identifier begins with `ws_`."""

_HEADER = "idempotency-key"
_CLAIM = "claim"
"""What the claim is called in the context of a request."""

_OTHER_CLOCKS = timedelta(seconds=1)
"""How far the clocks of two workers may be apart."""

logger = Logger()

NextStep = Callable[[ApiGatewayResolver], "Response[str]"]
Middleware = Callable[[ApiGatewayResolver, NextStep], "Response[str]"]


def once(app: ApiGatewayResolver, next_step: NextStep) -> Response[str]:
    """Runs the route once for each idempotency key; a retry of the same request is given the same answer."""
    return _once(app, next_step, ())


def once_without(*fields: str) -> Middleware:
    """As `once`, for answers that hold secrets: a retry is given null for these fields, which are not kept."""

    def once_without_secrets(app: ApiGatewayResolver, next_step: NextStep) -> Response[str]:
        return _once(app, next_step, fields)

    return once_without_secrets


def _once(app: ApiGatewayResolver, next_step: NextStep, secrets: Collection[str]) -> Response[str]:
    key = _key_of(app)
    if key is None:
        return next_step(app)
    claim = _claim(app, key)
    outcome = call_store().claim(claim, services().clock())
    match outcome:
        case Claimed():
            return _first(app, next_step, claim, secrets)
        case Answered(status, body):
            content_type = "application/json" if body else None
            return Response(status, content_type, body, dict(REPLAYED))
        case Running():
            raise Refusal(request_in_progress())
        case KeyReused():
            raise Refusal(idempotency_key_reused())
        case _:
            assert_never(outcome)


def _first(app: ApiGatewayResolver, next_step: NextStep, claim: Claim, secrets: Collection[str]) -> Response[str]:
    """Runs the route. What it refuses is forgotten, so that it can be tried again. What became of what it fails at is
    not known: the claim stays until its time is over, so that no retry meets an attempt that is still under way.
    """
    app.append_context(**{_CLAIM: claim})  # type: ignore[no-untyped-call]  # the library left it without types
    try:
        response = next_step(app)
    except (Refusal, RequestValidationError):
        _give_back(claim)
        raise
    if response.status_code >= 400:
        _give_back(claim)
    else:
        _keep(claim, response, secrets)
    return response


def kept_with(context: Mapping[str, Any], status: HTTPStatus, body: str) -> tuple[Write, ...]:
    """The write that remembers the answer, for a route that can put it into the transaction that does the work; none
    for a call without a key. `context` is the router's; the body must hold no secret.

    Without it an answer is remembered a moment after the work is done. For what cannot simply be done again, such as a
    key whose text nobody has seen, that moment is too long.
    """
    claim = context.get(_CLAIM)
    return () if claim is None else (call_store().kept(claim, Answered(status.value, body)),)


def _keep(claim: Claim, response: Response[str], secrets: Collection[str]) -> None:
    answered = Answered(response.status_code, _without(response.body or "", secrets))
    try:
        call_store().keep(claim, answered)
    except (ClientError, BotoCoreError):
        # It is done: an error would only make the client do it again.
        logger.exception("answer not kept")


def _give_back(claim: Claim) -> None:
    try:
        call_store().release(claim)
    except (ClientError, BotoCoreError):
        # The claim ends by itself; what the route has to tell is more to the point.
        logger.exception("claim not given back")


def _key_of(app: ApiGatewayResolver) -> str | None:
    """The client's key. Raises RequestValidationError for one that is none, as where a route takes it itself."""
    given = header_of(app.current_event.raw_event, _HEADER)
    try:
        return None if given is None else _rule().validate_python(given)
    except ValidationError as error:
        raise RequestValidationError([{**each, "loc": ("header", _HEADER)} for each in error.errors()]) from None


@cache
def _rule() -> TypeAdapter[str]:
    return TypeAdapter(IdempotencyKey)


def _claim(app: ApiGatewayResolver, key: str) -> Claim:
    """The call as it is recognised: whose it is, on which path, and what it asks for. Until when: as long as this
    function may run.
    """
    event = app.current_event.raw_event
    principal = principal_of(event)
    route = f"{event['httpMethod']} {event['path']}"
    body = None if event["httpMethod"] == "DELETE" else app.current_event.json_body
    # Half of a surrogate pair, which JSON can spell, is for the route to refuse.
    asked = "" if body is None else canonical(body).encode(errors="backslashreplace").decode()
    left = timedelta(milliseconds=app.lambda_context.get_remaining_time_in_millis())
    return Claim(
        key=keys.call(principal.workspace_id or _OPERATORS, route, key),
        # With the client's key, which is kept nowhere: a password of a source must not be told by its digest.
        asked=fingerprint(key, asked),
        holder=request_id(event),
        until=services().clock() + left + _OTHER_CLOCKS,
    )


def _without(body: str, secrets: Collection[str]) -> str:
    """The body with null for what is secret, wherever it is."""
    if not secrets:
        return body

    def blanked(part: dict[str, Any]) -> dict[str, Any]:
        return {name: None if name in secrets else value for name, value in part.items()}

    told = json.loads(body, parse_float=Decimal, object_hook=blanked)
    return simplejson.dumps(told, use_decimal=True, ensure_ascii=False, separators=(",", ":"))
