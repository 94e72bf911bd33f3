"""How a route says what it is: who may call it, what it costs, what it answers and how it refuses.

`operation` is the one place where that is said. What it says of scopes is enforced before the route runs, and all of it
is in the OpenAPI document (functions/api/openapi).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from aws_lambda_powertools.event_handler import ApiGatewayResolver, Response
from aws_lambda_powertools.event_handler.api_gateway import Router

from functions.api.principals import require_any
from functions.api.problems import TITLES
from shared.workspaces import Scope

NextStep = Callable[[ApiGatewayResolver], "Response[str]"]


@dataclass(frozen=True, slots=True)
class Price:
    """What a call costs by default, in credits: by a key, and for each record that it really changes; and by hand."""

    call: int = 0
    record: int = 0
    by_hand: int = 0
    by_hand_record: int = 0


FREE = Price()
READ = Price(call=1)
WRITE = Price(call=1, record=1)
DELETION = Price(call=1)
BULK = Price(call=1, record=1, by_hand_record=1)
"""The hand is free; what it starts in bulk costs its records whoever starts it (design section 2)."""

PUBLIC: tuple[Scope, ...] = ()
"""The scopes of what anybody may read. API Gateway asks for no credential there."""


def new_router() -> Router:
    """A router, to be included by the handler."""
    return Router()  # type: ignore[no-untyped-call]  # the library left its constructor without types


def operation(
    name: str,
    summary: str,
    *,
    scopes: tuple[Scope, ...],
    answers: Mapping[int, Any],
    description: str = "",
    price: Price = FREE,
    refusals: tuple[str, ...] = (),
    example: Mapping[str, Any] | None = None,
    remembers: Callable[..., Response[str]] | None = None,
) -> dict[str, Any]:
    """The arguments of a route, for its decorator: `@router.get("/feeds", **operation("listFeeds", …))`.

    `name` is the operation's in the document, in camelCase. Any one of `scopes` is enough; an operator's key, which
    belongs to no workspace, is let through only where `Scope.OPERATOR` is one of them; `PUBLIC` asks for no key at all.
    `answers` are made by `documented`, one for each status. `refusals` are kinds of problems of its own (the keys of
    `functions.api.problems.TITLES`); those that follow from what it is are added to the document by themselves, and
    making the document raises AssertionError for those that are named here as well. `example` is a body. `remembers` is
    what answers a repeated Idempotency-Key, for writes that do not do so themselves.
    """
    unknown = set(refusals) - TITLES.keys()
    if unknown:
        raise AssertionError(f"no such problems: {unknown}")

    def admitted(app: ApiGatewayResolver, next_step: NextStep) -> Response[str]:
        require_any(app.current_event.raw_event, scopes)
        return next_step(app)

    return {
        "operation_id": name,
        "summary": summary,
        "description": description or summary,
        "responses": {HTTPStatus(status).value: told for status, told in answers.items()},
        "middlewares": [*([admitted] if scopes else []), *([] if remembers is None else [remembers])],
        "openapi_extensions": {
            "x-scopes": [scope.value for scope in scopes],
            "x-credits": {
                "call": price.call,
                "record": price.record,
                "by_hand": price.by_hand,
                "by_hand_record": price.by_hand_record,
            },
            "x-problems": list(refusals),
            "x-remembers": remembers is not None,
            **({} if example is None else {"x-example": example}),
        },
    }
