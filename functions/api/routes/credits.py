"""What is there to spend, and where it came from. Free."""

from http import HTTPStatus

from aws_lambda_powertools.event_handler import Response

from functions.api.answers import answer
from functions.api.models.common import Identifier, documented
from functions.api.models.credits import AutomationPausedView, CreditsView
from functions.api.principals import workspace_of
from functions.api.problems import Refusal, of_outcome
from functions.api.routing import new_router, operation
from functions.api.services import Services, services
from shared.credits import UnknownWorkspace
from shared.workspaces import Scope

router = new_router()


@router.get(
    "/credits",
    **operation(
        "getCredits",
        "The credit account",
        description="What is there to spend, where it came from and where it went; read consistently, so that it holds "
        "every charge that was answered before.",
        scopes=(Scope.READ,),
        answers=documented(HTTPStatus.OK, CreditsView, "The account as it is now."),
    ),
)
def get_credits() -> Response[str]:
    return _account(workspace_of(router.current_event.raw_event))


@router.get(
    "/workspaces/<workspace_id>/credits",
    **operation(
        "getCreditsOfWorkspace",
        "The credit account of a workspace",
        description="As the workspace itself sees it.",
        scopes=(Scope.OPERATOR,),
        answers=documented(HTTPStatus.OK, CreditsView, "The account as it is now."),
    ),
)
def get_credits_of_workspace(workspace_id: Identifier) -> Response[str]:
    return _account(workspace_id)


def _account(workspace_id: str) -> Response[str]:
    room = services()
    # The grants first: the balance then knows of every one of them.
    grants = room.ledger.grants(workspace_id)
    balance = room.ledger.balance(workspace_id)
    if balance is None:
        raise Refusal(of_outcome(UnknownWorkspace(workspace_id)))
    now = room.clock()
    paused = _paused(room, workspace_id) if balance.is_exhausted(now) else None
    return answer(CreditsView.of(balance, grants, room.settings.currency, now, paused))


def _paused(room: Services, workspace_id: str) -> AutomationPausedView:
    return AutomationPausedView.of(
        room.automation.get(workspace_id),
        schedules=sum(schedule.definition.enabled for schedule in room.schedules.all(workspace_id)),
        entries=room.waiting.for_credits(workspace_id),
    )
