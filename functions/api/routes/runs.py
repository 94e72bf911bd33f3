"""Runs: starting an import, following it, ending it, and letting it go on. Starting one is a data call: one credit."""

from datetime import datetime
from http import HTTPStatus
from typing import Annotated, assert_never

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Body

from functions.api.answers import answer, as_json
from functions.api.charging import keep_pace, price_headers
from functions.api.idempotency import once
from functions.api.models.common import IdempotencyKey, Identifier, Page, documented, page
from functions.api.models.runs import RejectionView, RunRequest, RunView
from functions.api.paging import DEFAULT_LIMIT, Cursor, Limit, store_cursor
from functions.api.principals import principal_of, workspace_of
from functions.api.problems import (
    Refusal,
    not_found,
    nothing_to_pull,
    of_outcome,
    out_of_credits,
    request_repeated,
    run_is_not_paused,
    run_is_over,
    too_large,
    upload_missing,
)
from functions.api.requests import request_id, requested_at
from functions.api.routes.feeds import known_feed
from functions.api.routing import BULK, new_router, operation
from functions.api.services import Services, services
from shared.credits import OperationIdReused, OutOfCredits, Replayed, UnknownWorkspace
from shared.feeds.definition import FeedDefinition
from shared.feeds.store import StoredFeed
from shared.pace import RUN_START_WEIGHT
from shared.runs.commands import (
    NotPossible,
    Started,
    StartOutcome,
    StartRun,
    cancel_run,
    look_before_start,
    resume_run,
    start_run,
)
from shared.runs.model import Run
from shared.workspaces import Scope

router = new_router()


@router.post(
    "/feeds/<feed_id>/runs",
    **operation(
        "startRun",
        "Start a run",
        description="On an upload, or, without `upload_id`, on what the feed's source holds. A dry run is free, and so "
        "is every record that it counts.",
        scopes=(Scope.WRITE,),
        answers=documented(HTTPStatus.ACCEPTED, RunView, "The run, on its way."),
        price=BULK,
        refusals=("upload-missing", "nothing-to-pull", "request-repeated"),
        example={"upload_id": "up_01KAMNQX5YJ8D3T6Z0V2RWG4HC", "dry_run": False},
    ),
)
def start(
    feed_id: Identifier, wanted: Annotated[RunRequest, Body()], idempotency_key: IdempotencyKey = None
) -> Response[str]:
    event = router.current_event.raw_event
    keep_pace(event, RUN_START_WEIGHT)
    room = services()
    principal = principal_of(event)
    wish = StartRun(
        workspace_id=workspace_of(event),
        feed_id=feed_id,
        upload_id=wanted.upload_id,
        dry_run=wanted.dry_run,
        channel=principal.channel,
        request_id=request_id(event),
        idempotency_key=idempotency_key,
        actor=principal.key_id,
    )
    outcome = look_before_start(wish, room.ledger).told or _start(room, wish, requested_at(event))
    return _answer(room, outcome)


def _start(room: Services, wish: StartRun, now: datetime) -> StartOutcome:
    """Starts what was not started before. A retry never comes here: its feed and its upload may be gone by then."""
    feed = known_feed(wish.workspace_id, wish.feed_id)
    return start_run(
        wish,
        feed.definition,
        _etag_of_upload(room, wish, feed),
        ledger=room.ledger,
        runs=room.runs,
        artifacts=room.artifacts,
        prices=room.settings.prices,
        render=lambda run: as_json(RunView.of(run)),
        now=now,
    )


def _answer(room: Services, outcome: StartOutcome) -> Response[str]:
    event = router.current_event.raw_event
    match outcome:
        case Started(run, paid):
            return answer(RunView.of(run), HTTPStatus.ACCEPTED, price_headers(room, event, paid))
        case Replayed(operation_id, told):
            if told is None:
                raise Refusal(request_repeated(operation_id))
            return answer(told, HTTPStatus.ACCEPTED, price_headers(room, event, outcome))
        case OutOfCredits() | OperationIdReused() | UnknownWorkspace():
            raise Refusal(of_outcome(outcome))
        case _:
            assert_never(outcome)


@router.get(
    "/feeds/<feed_id>/runs",
    **operation(
        "listRuns",
        "The runs of a feed",
        scopes=(Scope.READ,),
        answers=documented(HTTPStatus.OK, Page[RunView], "Runs, newest first."),
    ),
)
def list_runs(feed_id: Identifier, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None) -> Response[str]:
    workspace_id = workspace_of(router.current_event.raw_event)
    room = services()
    feed = known_feed(workspace_id, feed_id)
    with store_cursor(cursor) as after:
        found = room.runs.page(
            workspace_id, feed_id, newest=room.clock(), oldest=feed.created_at, limit=limit, cursor=after
        )
    return answer(page([RunView.of(run) for run in found.runs], found.cursor))


@router.get(
    "/runs/<run_id>",
    **operation(
        "getRun",
        "A run",
        scopes=(Scope.READ,),
        answers=documented(HTTPStatus.OK, RunView, "The run as it stands."),
    ),
)
def get_run(run_id: Identifier) -> Response[str]:
    workspace_id = workspace_of(router.current_event.raw_event)
    return answer(RunView.of(_known_run(services(), workspace_id, run_id)))


@router.post(
    "/runs/<run_id>/cancel",
    **operation(
        "cancelRun",
        "End a run",
        description="What it has written stays written, and paid for.",
        scopes=(Scope.WRITE,),
        answers=documented(HTTPStatus.ACCEPTED, RunView, "The run, cancelled."),
        refusals=("run-is-over",),
        remembers=once,
    ),
)
def cancel(run_id: Identifier) -> Response[str]:
    workspace_id = workspace_of(router.current_event.raw_event)
    room = services()
    outcome = cancel_run(room.runs, room.ledger, _known_run(room, workspace_id, run_id), room.clock())
    if isinstance(outcome, NotPossible):
        raise Refusal(run_is_over(outcome.run.state.value))
    return answer(RunView.of(outcome), HTTPStatus.ACCEPTED)


@router.post(
    "/runs/<run_id>/resume",
    **operation(
        "resumeRun",
        "Let a paused run go on",
        description="From exactly where it stopped; also a run that has shown no sign of work for ten minutes. The "
        "records that it goes on to write cost what they cost.",
        scopes=(Scope.WRITE,),
        answers=documented(HTTPStatus.ACCEPTED, RunView, "The run, running again."),
        refusals=("run-is-not-paused", "out-of-credits"),
        remembers=once,
    ),
)
def resume(run_id: Identifier) -> Response[str]:
    workspace_id = workspace_of(router.current_event.raw_event)
    room = services()
    outcome = resume_run(room.runs, room.ledger, _known_run(room, workspace_id, run_id), room.clock())
    match outcome:
        case Run():
            return answer(RunView.of(outcome), HTTPStatus.ACCEPTED)
        case NotPossible(run):
            raise Refusal(run_is_not_paused(run.state.value, is_over=run.state.is_over))
        case OutOfCredits():
            raise Refusal(out_of_credits(outcome))
        case _:
            assert_never(outcome)


@router.get(
    "/runs/<run_id>/rejections",
    **operation(
        "listRejections",
        "What a run rejected",
        scopes=(Scope.READ,),
        answers=documented(HTTPStatus.OK, Page[RejectionView], "Rows, and records of them, with the reasons."),
    ),
)
def list_rejections(run_id: Identifier, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None) -> Response[str]:
    workspace_id = workspace_of(router.current_event.raw_event)
    room = services()
    run = _known_run(room, workspace_id, run_id)
    with store_cursor(cursor) as after:
        found = room.artifacts.rejections(run, limit, after)
    return answer(page([RejectionView.of(rejection) for rejection in found.rejections], found.cursor))


def _known_run(room: Services, workspace_id: str, run_id: str) -> Run:
    run = room.runs.get(workspace_id, run_id)
    if run is None:
        raise Refusal(not_found(f"There is no run {run_id}."))
    return run


def _etag_of_upload(room: Services, wish: StartRun, feed: StoredFeed) -> str:
    """What the run is bound to; blank where it will fetch its file. Raises Refusal when there is no file to run on."""
    if wish.upload_id is None:
        if not FeedDefinition.model_validate_json(feed.definition).pulls:
            raise Refusal(nothing_to_pull())
        return ""
    upload = room.artifacts.upload(wish.workspace_id, wish.feed_id, wish.upload_id)
    if upload is None:
        raise Refusal(upload_missing(wish.upload_id))
    limit = room.settings.max_feed_bytes
    if upload.size > limit:
        raise Refusal(too_large(f"The upload has {upload.size:,} bytes; a feed may have {limit:,}."))
    return upload.etag
