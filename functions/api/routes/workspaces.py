"""Workspaces and their top-ups: for operators."""

from http import HTTPStatus
from typing import Annotated, assert_never

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Body

from functions.api.answers import REPLAYED, answer
from functions.api.idempotency import once
from functions.api.models.common import IdempotencyKey, Identifier, documented
from functions.api.models.workspaces import TopUpRequest, TopUpView, WorkspaceRequest, WorkspaceView
from functions.api.principals import principal_of
from functions.api.problems import FieldError, Refusal, invalid, key_reused, not_found
from functions.api.routing import new_router, operation
from functions.api.services import expiries, services, workspace_store
from shared.credits import Granted, GrantReferenceReused, GrantReplayed, UnknownWorkspace, settlement_id
from shared.workspaces import Scope
from shared.workspaces.expiries import ExpiresInThePast
from shared.workspaces.store import IdempotencyKeyReused
from shared.workspaces.top_ups import top_up

router = new_router()


@router.post(
    "/workspaces",
    **operation(
        "openWorkspace",
        "Open a workspace",
        description="With its starter credits and its first key, which is shown once.",
        scopes=(Scope.OPERATOR,),
        answers=documented(HTTPStatus.CREATED, WorkspaceView, "The workspace."),
        example={"name": "Acme"},
    ),
)
def open_workspace(
    wanted: Annotated[WorkspaceRequest, Body()], idempotency_key: IdempotencyKey = None
) -> Response[str]:
    room = services()
    opened = workspace_store().open(
        wanted.name,
        room.settings.starter_credits,
        room.settings.currency,
        idempotency_key=idempotency_key,
        now=room.clock(),
    )
    if isinstance(opened, IdempotencyKeyReused):
        raise Refusal(key_reused(f"This Idempotency-Key opened {opened.workspace_id}, under another name."))
    return answer(WorkspaceView.of(opened), HTTPStatus.CREATED, REPLAYED if opened.secret is None else None)


@router.post(
    "/workspaces/<workspace_id>/top-ups",
    **operation(
        "topUp",
        "Add credits",
        description="Once per `reference`. What is owed is settled from them first.",
        scopes=(Scope.OPERATOR,),
        answers=documented(HTTPStatus.CREATED, TopUpView, "The grant."),
        example={"credits": 10000, "unit_price": "0.008", "currency": "EUR", "reference": "invoice-2026-118"},
        remembers=once,
    ),
)
def add_credits(workspace_id: Identifier, wanted: Annotated[TopUpRequest, Body()]) -> Response[str]:
    room = services()
    actor = principal_of(router.current_event.raw_event).key_id
    order = wanted.to_top_up(workspace_id, room.settings.currency, actor)
    outcome = top_up(room.ledger, expiries(), order, room.clock())
    match outcome:
        case Granted(grant, settled):
            return answer(TopUpView.of(grant, settled), HTTPStatus.CREATED)
        case GrantReplayed(grant):
            settlement = room.operations.get(workspace_id, settlement_id(grant))
            settled = settlement.settled if settlement else 0
            return answer(TopUpView.of(grant, settled), HTTPStatus.CREATED, REPLAYED)
        case GrantReferenceReused(grant):
            raise Refusal(key_reused(f"The reference {grant.reference} was used before, for other terms."))
        case UnknownWorkspace():
            raise Refusal(not_found(f"There is no workspace {workspace_id}."))
        case ExpiresInThePast():
            raise Refusal(invalid([FieldError("expires_at", "Input should be in the future")]))
        case _:
            assert_never(outcome)
