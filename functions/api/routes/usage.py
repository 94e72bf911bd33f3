"""Where credits went, added up. Free."""

from datetime import date
from http import HTTPStatus
from typing import Annotated

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Query

from functions.api.answers import MAX_ANSWER_BYTES, answer, answered_bytes, as_json
from functions.api.models.common import documented
from functions.api.models.usage import Day, UsageView
from functions.api.principals import workspace_of
from functions.api.problems import FieldError, Refusal, invalid, of_outcome
from functions.api.routing import new_router, operation
from functions.api.services import services
from shared.credits import UnknownWorkspace
from shared.usage import MOST_DAYS, MOST_FIGURES, MOST_GROUPS, Grouping, Period, TooMuchUsage, UsageRoom, usage_of
from shared.workspaces import Scope

router = new_router()

First = Annotated[
    Day | None,
    Query(alias="from", description="A day (UTC). Default: the first of this month, or of the month of `to`."),
]
Last = Annotated[
    Day | None,
    Query(alias="to", description=f"A day (UTC). Default: today. Both are included; {MOST_DAYS} days at most."),
]
GroupBy = Annotated[Grouping, Query(description="What the figures are grouped by.")]


@router.get(
    "/usage",
    **operation(
        "getUsage",
        "Where credits went",
        description="What the operation log adds up to in a period, by job, kind, actor, entity, day or month: "
        "credits, their money, and records. It is counted while the log is written, each entry once. A period with "
        f"more than {MOST_FIGURES:,} figures, one for each value and day, or more than {MOST_GROUPS:,} groups, is a "
        "422 that names `from`.",
        scopes=(Scope.READ,),
        answers=documented(HTTPStatus.OK, UsageView, "The figures."),
    ),
)
def get_usage(first: First = None, last: Last = None, group_by: GroupBy = Grouping.DAY) -> Response[str]:
    workspace_id = workspace_of(router.current_event.raw_event)
    room = services()
    now = room.clock()
    period = _period(first, last, now.date())
    report = usage_of(UsageRoom(room.usage, room.ledger), workspace_id, period, group_by, now)
    if report is None:
        raise Refusal(of_outcome(UnknownWorkspace(workspace_id)))
    if isinstance(report, TooMuchUsage):
        raise _too_much(group_by, f"more than {report.most:,} {_COUNTED[report.counted]}")
    text = as_json(UsageView.of(report))
    if answered_bytes(text) > MAX_ANSWER_BYTES:
        # Groups are bounded; what may be large is the money of very many currencies.
        raise _too_much(group_by, "more than an answer holds")
    return answer(text)


_COUNTED = {"figures": "figures, one for each value and day", "groups": "groups"}


def _too_much(group_by: Grouping, found: str) -> Refusal:
    message = f"Input should begin later: by {group_by.value} this period has {found}. Exports have no such limit"
    return Refusal(invalid([FieldError("from", message)]))


def _period(first: date | None, last: date | None, today: date) -> Period:
    """What was asked for, or this month until today."""
    if first is not None and first > today:
        raise Refusal(invalid([FieldError("from", "Input should not be in the future")]))
    until = last or today
    since = first or min(until, today).replace(day=1)
    if since > until:
        raise Refusal(invalid([FieldError("from", "Input should not be after to")]))
    if (until - since).days >= MOST_DAYS:
        raise Refusal(invalid([FieldError("to", f"Input should be at most {MOST_DAYS} days, from and to included")]))
    return Period(since, until)
