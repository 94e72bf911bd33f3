"""What finance does to grants that were given: for operators. Nothing is edited or deleted: the log tells of it all."""

from http import HTTPStatus
from typing import Annotated, assert_never

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Body

from functions.api.answers import REPLAYED, answer, as_json
from functions.api.idempotency import once
from functions.api.models.common import Identifier, documented
from functions.api.models.corrections import CorrectionRequest, CorrectionView, VoidRequest
from functions.api.principals import principal_of
from functions.api.problems import (
    FieldError,
    Problem,
    Refusal,
    invalid,
    key_reused,
    not_found,
    not_that_many,
    nothing_left,
)
from functions.api.routing import new_router, operation
from functions.api.services import expiries, services
from shared.credits import OperationIdReused, OperationKind, Replayed, UnknownWorkspace
from shared.credits.restitutions import Restored
from shared.credits.withdrawals import NotThere, UnknownGrant, Withdrawal, Withdrawn
from shared.months import Month
from shared.workspaces import Scope
from shared.workspaces.corrections import correct
from shared.workspaces.expiries import ExpiresInThePast

router = new_router()


@router.post(
    "/workspaces/<workspace_id>/grants/<grant_id>/void",
    **operation(
        "voidGrant",
        "Void a grant",
        description="All that is left of it leaves the account. Once per `reference`.",
        scopes=(Scope.OPERATOR,),
        answers=documented(HTTPStatus.OK, CorrectionView, "What was taken."),
        refusals=("nothing-left",),
        example={"reference": "ticket-4711", "reason": "given by mistake"},
        remembers=once,
    ),
)
def void_grant(workspace_id: Identifier, grant_id: Identifier, wanted: Annotated[VoidRequest, Body()]) -> Response[str]:
    room = services()
    withdrawal = Withdrawal(
        workspace_id=workspace_id,
        kind=OperationKind.VOID,
        reference=wanted.reference,
        reason=wanted.reason,
        at=room.clock(),
        grant_id=grant_id,
        actor=principal_of(router.current_event.raw_event).key_id,
    )
    outcome = room.ledger.withdraw(
        withdrawal, lambda operation: as_json(CorrectionView.of(Withdrawn(operation), wanted.reference))
    )
    if isinstance(outcome, NotThere):
        raise Refusal(nothing_left())
    return _told(outcome, wanted.reference, HTTPStatus.OK)


@router.post(
    "/workspaces/<workspace_id>/corrections",
    **operation(
        "correctCredits",
        "Correct the credits",
        description="Adds credits, as a grant of their own that settles first what is owed, or takes some back from "
        "the grants that would pay next. Once per `reference`.",
        scopes=(Scope.OPERATOR,),
        answers=documented(HTTPStatus.CREATED, CorrectionView, "What was taken, or the grant that came."),
        refusals=("not-that-many",),
        example={"credits": -25, "reference": "ticket-4711", "reason": "given by mistake"},
        remembers=once,
    ),
)
def correct_credits(workspace_id: Identifier, wanted: Annotated[CorrectionRequest, Body()]) -> Response[str]:
    room = services()
    now = room.clock()
    if wanted.corrects is not None and wanted.corrects > str(Month.of(now)):
        raise Refusal(invalid([FieldError("corrects", "Input should not be in the future")]))
    outcome = correct(
        room.ledger,
        expiries(),
        wanted.to_correction(workspace_id, room.settings.currency, principal_of(router.current_event.raw_event).key_id),
        lambda done: as_json(CorrectionView.of(done, wanted.reference)),
        now,
    )
    if isinstance(outcome, NotThere):
        raise Refusal(not_that_many(-wanted.credits, outcome.left))
    return _told(outcome, wanted.reference, HTTPStatus.CREATED)


_Outcome = Withdrawn | Restored | Replayed | OperationIdReused | UnknownGrant | UnknownWorkspace | ExpiresInThePast


def _told(outcome: _Outcome, reference: str, status: HTTPStatus) -> Response[str]:
    match outcome:
        case Withdrawn() | Restored():
            return answer(CorrectionView.of(outcome, reference), status)
        case Replayed(answer=text):
            return answer(text or "", status, REPLAYED)
        case _:
            raise Refusal(_problem(outcome, reference))


def _problem(
    outcome: OperationIdReused | UnknownGrant | UnknownWorkspace | ExpiresInThePast, reference: str
) -> Problem:
    match outcome:
        case OperationIdReused():
            return key_reused(f"The reference {reference} was used before, for something else.")
        case UnknownGrant(grant_id):
            return not_found(f"There is no grant {grant_id}.")
        case UnknownWorkspace(workspace_id):
            return not_found(f"There is no workspace {workspace_id}.")
        case ExpiresInThePast():
            return invalid([FieldError("expires_at", "Input should be in the future")])
        case _:
            assert_never(outcome)
