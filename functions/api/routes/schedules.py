"""Schedules: recurring pulls of a feed, or runs of a rule. Free: they only configure automation; what they set off is
charged.
"""

import re
from http import HTTPStatus
from typing import Annotated, assert_never

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Body, Path

from functions.api.answers import answer
from functions.api.idempotency import once
from functions.api.models.common import Identifier, Page, documented, page
from functions.api.models.schedules import ScheduleRequest, ScheduleSummaryView, ScheduleView
from functions.api.models.texts import SCHEDULE_NAME_PATTERN
from functions.api.paging import DEFAULT_LIMIT, Cursor, Limit, store_cursor
from functions.api.principals import workspace_of
from functions.api.problems import FieldError, Refusal, invalid, not_found
from functions.api.routing import new_router, operation
from functions.api.services import Services, schedule_room, services
from shared.schedules.commands import (
    NothingToPull,
    NotScheduled,
    NotTaken,
    UnknownFeed,
    UnknownRule,
    delete_schedule,
    is_paused,
    put_schedule,
)
from shared.schedules.costs import first_day
from shared.schedules.cron import BadExpression
from shared.schedules.history import day_of
from shared.schedules.model import Schedule
from shared.workspaces import Scope

router = new_router()

ScheduleId = Annotated[str, Path(pattern=SCHEDULE_NAME_PATTERN)]


@router.get(
    "/schedules",
    **operation(
        "listSchedules",
        "The schedules",
        description="Without their costs, which each schedule shows by itself.",
        scopes=(Scope.READ,),
        answers=documented(HTTPStatus.OK, Page[ScheduleSummaryView], "Schedules, by identifier."),
    ),
)
def list_schedules(limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None) -> Response[str]:
    workspace_id = workspace_of(router.current_event.raw_event)
    room = services()
    with store_cursor(cursor, like=SCHEDULE_NAME_PATTERN) as after:
        found = room.schedules.page(workspace_id, limit, after)
    paused, now = is_paused(schedule_room(), workspace_id), room.clock()
    views = [ScheduleSummaryView.of(schedule, paused=paused, now=now) for schedule in found.schedules]
    return answer(page(views, found.cursor))


@router.get(
    "/schedules/<schedule_id>",
    **operation(
        "getSchedule",
        "A schedule, and what it costs",
        scopes=(Scope.READ,),
        answers=documented(HTTPStatus.OK, ScheduleView, "The schedule."),
    ),
)
def get_schedule(schedule_id: Identifier) -> Response[str]:
    workspace_id = workspace_of(router.current_event.raw_event)
    room = services()
    schedule = room.schedules.get(workspace_id, schedule_id)
    if schedule is None:
        raise Refusal(not_found(f"There is no schedule {schedule_id}."))
    return answer(_view(room, schedule))


@router.put(
    "/schedules/<schedule_id>",
    **operation(
        "putSchedule",
        "Set a schedule",
        description="Creates the schedule, or replaces its definition. A rate is counted from then on.",
        scopes=(Scope.CONFIGURE,),
        answers=documented(HTTPStatus.OK, ScheduleView, "The schedule, replaced.")
        | documented(HTTPStatus.CREATED, ScheduleView, "The schedule, new."),
        example={"feed_id": "main", "expression": "cron(0 6 * * ? *)", "time_zone": "Europe/Berlin"},
        remembers=once,
    ),
)
def set_schedule(schedule_id: ScheduleId, wanted: Annotated[ScheduleRequest, Body()]) -> Response[str]:
    workspace_id = workspace_of(router.current_event.raw_event)
    room = services()
    now = room.clock()
    try:
        definition = wanted.definition(now)
    except BadExpression as error:
        raise Refusal(invalid([FieldError("expression", str(error))])) from error
    match put_schedule(schedule_room(), workspace_id, schedule_id, definition, now):
        case Schedule() as schedule:
            is_new = schedule.created_at == schedule.updated_at
            return answer(_view(room, schedule), HTTPStatus.CREATED if is_new else HTTPStatus.OK)
        case UnknownFeed(feed_id):
            raise Refusal(invalid([FieldError("feed_id", f"there is no feed {feed_id}")]))
        case NothingToPull(feed_id):
            problem = f"the feed {feed_id} has no source to pull from; give it one, of type http or s3"
            raise Refusal(invalid([FieldError("feed_id", problem)]))
        case UnknownRule(rule_id):
            raise Refusal(invalid([FieldError("rule_id", f"there is no rule {rule_id}")]))
        case NotScheduled(rule_id):
            problem = (
                f'the rule {rule_id} listens to changes; a schedule runs rules whose trigger is {{"on": ["schedule"]}}'
            )
            raise Refusal(invalid([FieldError("rule_id", problem)]))
        case NotTaken(reason):
            raise Refusal(invalid([FieldError("schedule", f"EventBridge Scheduler does not take it: {reason}")]))
        case other:
            assert_never(other)


@router.delete(
    "/schedules/<schedule_id>",
    **operation(
        "deleteSchedule",
        "Delete a schedule",
        description="Runs and passes that it started go on; what it did stays in the operation log.",
        scopes=(Scope.CONFIGURE,),
        answers={HTTPStatus.NO_CONTENT: {"description": "It is gone."}},
        remembers=once,
    ),
)
def remove_schedule(schedule_id: Identifier) -> Response[str]:
    workspace_id = workspace_of(router.current_event.raw_event)
    # What nobody could put is not asked of EventBridge Scheduler, which knows no such names.
    can_be = re.fullmatch(SCHEDULE_NAME_PATTERN, schedule_id)
    if not can_be or not delete_schedule(schedule_room(), workspace_id, schedule_id):
        raise Refusal(not_found(f"There is no schedule {schedule_id}."))
    return Response(HTTPStatus.NO_CONTENT.value, body="")


def _view(room: Services, schedule: Schedule) -> ScheduleView:
    now = room.clock()
    days = room.history.days(schedule.workspace_id, schedule.schedule_id, day_of(first_day(now)))
    paused = is_paused(schedule_room(), schedule.workspace_id)
    return ScheduleView.with_costs(schedule, days, room.settings.prices, paused=paused, now=now)
