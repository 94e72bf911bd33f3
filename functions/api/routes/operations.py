"""The operation log: where every credit went. Free."""

from contextlib import suppress
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Annotated

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Query

from functions.api.answers import answer
from functions.api.charging import keep_pace_of_free_reads
from functions.api.models.common import Identifier, Page, PointInTime, documented, page
from functions.api.models.operations import OperationView, RecordCountsView, WrittenRecordView
from functions.api.paging import DEFAULT_LIMIT, Cursor, Limit, store_cursor
from functions.api.principals import workspace_of
from functions.api.problems import FieldError, Refusal, invalid, not_found, records_forgotten
from functions.api.routing import new_router, operation
from functions.api.services import Services, services
from shared.credits import Operation, OperationFilter, OperationKind, Verdict
from shared.ids import time_of
from shared.tracing import RecordsForgotten, Tracer
from shared.usage import quiet_days
from shared.workspaces import Scope

router = new_router()

DEFAULT_PERIOD = timedelta(days=30)

Since = Annotated[PointInTime | None, Query(alias="from", description="Default: 30 days before `to`.")]
Until = Annotated[PointInTime | None, Query(alias="to", description="Default: now. Both ends are included.")]
JobId = Annotated[
    str | None, Query(min_length=1, max_length=100, description="The feed, schedule or rule that it was for.")
]
RunId = Annotated[
    str | None, Query(min_length=1, max_length=100, description="The run that it was a part of, or the pass of a rule.")
]

Actor = Annotated[
    str | None,
    Query(min_length=1, max_length=100, description="The API key, person, schedule or rule that had it done."),
]
Outcome = Annotated[
    Verdict | None,
    Query(description="`charged`: it cost credits; `refused`: what was due did not happen; `free`: neither."),
]


@router.get(
    "/operations",
    **operation(
        "listOperations",
        "The operation log",
        description="Newest first. A page may be short, or empty, and still have a `next_cursor`.",
        scopes=(Scope.READ,),
        answers=documented(HTTPStatus.OK, Page[OperationView], "Operations, newest first."),
    ),
)
def list_operations(
    *,
    since: Since = None,
    until: Until = None,
    kind: Annotated[OperationKind | None, Query()] = None,
    job_id: JobId = None,
    run_id: RunId = None,
    actor: Actor = None,
    outcome: Outcome = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Response[str]:
    workspace_id = workspace_of(router.current_event.raw_event)
    room = services()
    first, last = _period(room, workspace_id, since, until, run_id)
    wanted = OperationFilter(first, last, kind, job_id, run_id, actor, outcome)
    with store_cursor(cursor) as after:
        before = last if after is None else time_of(after)
        quiet = quiet_days(room.ledger, room.settings.usage_table, workspace_id, wanted, before, room.clock())
        found = room.operations.page(workspace_id, wanted, limit, after, quiet)
    return answer(page([OperationView.of(operation) for operation in found.operations], found.cursor))


@router.get(
    "/operations/<operation_id>",
    **operation(
        "getOperation",
        "An operation",
        description="What a charged call names in `X-Operation-Id`, and what a record names in `operation_id`.",
        scopes=(Scope.READ,),
        answers=documented(HTTPStatus.OK, OperationView, "The operation."),
    ),
)
def get_operation(operation_id: Identifier) -> Response[str]:
    return answer(OperationView.of(_known(services(), operation_id)))


@router.get(
    "/operations/<operation_id>/records",
    **operation(
        "listOperationRecords",
        "The records of an operation",
        description="Which records it wrote or deleted, and whether they still stand so. Of imports this is told for "
        "as long as the files of the run are kept, about a year. It is free, and as often to be had as a person may "
        "call for records: 3,600 times within an hour and 10,000 within a day by default, a key too.",
        scopes=(Scope.READ,),
        answers=documented(HTTPStatus.OK, Page[WrittenRecordView], "Records, in the order of the operation."),
        refusals=("records-forgotten",),
    ),
)
def list_operation_records(
    operation_id: Identifier, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
) -> Response[str]:
    keep_pace_of_free_reads(router.current_event.raw_event)
    room = services()
    entry = _known(room, operation_id)
    tracer = Tracer(room.runs, room.artifacts, room.catalog)
    try:
        with store_cursor(cursor) as after:
            found = tracer.page(entry, limit, after)
    except RecordsForgotten:
        counts = {entity: RecordCountsView.of(each).model_dump() for entity, each in sorted(entry.records.items())}
        raise Refusal(records_forgotten(counts)) from None
    return answer(page([WrittenRecordView.of(record) for record in found.records], found.cursor))


def _known(room: Services, operation_id: str) -> Operation:
    """The caller's operation of that name."""
    found = room.operations.get(workspace_of(router.current_event.raw_event), operation_id)
    if found is None:
        raise Refusal(not_found(f"There is no operation {operation_id}."))
    return found


def _period(
    room: Services, workspace_id: str, since: datetime | None, until: datetime | None, run_id: str | None
) -> tuple[datetime, datetime]:
    """The period to look through: what was asked for, or the time of the run or pass, or the last 30 days."""
    run = room.runs.get(workspace_id, run_id) if run_id is not None and None in (since, until) else None
    if run is not None:
        since = since or run.created_at
        until = until or (run.updated_at if run.state.is_over else None)
    elif run_id is not None and run_id.startswith("pass_"):
        # The pass of a rule: its identifier carries the time at which it began.
        with suppress(ValueError):
            since = since or max(time_of(run_id), time_of(workspace_id))
    last = until or room.clock()
    first = since or last - DEFAULT_PERIOD
    if first > last:
        problem = "Input should not be in the future" if until is None else "Input should not be after to"
        raise Refusal(invalid([FieldError("from", problem)]))
    return first, last
