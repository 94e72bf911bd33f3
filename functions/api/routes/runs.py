"""Runs: starting an import, following it, ending it, and letting it go on. Starting one is a data call: one credit."""

from datetime import datetime
from http import HTTPStatus
from typing import Annotated, assert_never

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Body

from functions.api.answers import answer, as_json
from functions.api.charging import price_headers, spendable
from functions.api.models.common import IdempotencyKey, Identifier, Page, documented, page
from functions.api.models.runs import RejectionView, RunRequest, RunView
from functions.api.paging import DEFAULT_LIMIT, Cursor, Limit, store_cursor
from functions.api.principals import principal_of, workspace_of
from functions.api.problems import (
    Refusal,
    conflict,
    not_found,
    of_outcome,
    out_of_credits,
    request_repeated,
    too_large,
)
from functions.api.requests import request_id, requested_at
from functions.api.routes.feeds import known_feed
from functions.api.routing import new_router
from functions.api.services import Services, services
from shared.credits import OperationIdReused, OutOfCredits, Replayed, UnknownWorkspace
from shared.feeds.definition import FeedDefinition
from shared.feeds.store import StoredFeed
from shared.runs.commands import (
    NotPossible,
    Started,
    StartOutcome,
    StartRun,
    cancel_run,
    replayed_start,
    resume_run,
    start_run,
)
from shared.runs.model import Run
from shared.workspaces import Scope

router = new_router()


@router.post(
    "/feeds/<feed_id>/runs",
    summary="Start a run",
    description="On an upload, or, without `upload_id`, on what the feed's source holds. Costs 1 credit, and 1 for "
    "each record that the run creates or updates. A dry run is free.",
    responses=documented(HTTPStatus.ACCEPTED, RunView, "The run, on its way."),
)
def start(
    feed_id: Identifier, wanted: Annotated[RunRequest, Body()], idempotency_key: IdempotencyKey = None
) -> Response[str]:
    event = router.current_event.raw_event
    workspace_id = workspace_of(event, Scope.WRITE)
    room = services()
    wish = StartRun(
        workspace_id=workspace_id,
        feed_id=feed_id,
        upload_id=wanted.upload_id,
        dry_run=wanted.dry_run,
        channel=principal_of(event).channel,
        request_id=request_id(event),
        idempotency_key=idempotency_key,
    )
    available = spendable(room, workspace_id)
    outcome = replayed_start(wish, room.ledger) or _start(room, wish, requested_at(event))
    return _answer(outcome, available)


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


def _answer(outcome: StartOutcome, available: int) -> Response[str]:
    """`available` is what was there to spend when the request came."""
    match outcome:
        case Started(run, paid):
            return answer(RunView.of(run), HTTPStatus.ACCEPTED, price_headers(paid, available))
        case Replayed(operation_id, told):
            if told is None:
                raise Refusal(request_repeated(operation_id))
            return answer(told, HTTPStatus.ACCEPTED, price_headers(outcome, available))
        case OutOfCredits() | OperationIdReused() | UnknownWorkspace():
            raise Refusal(of_outcome(outcome))
        case _:
            assert_never(outcome)


@router.get(
    "/feeds/<feed_id>/runs",
    summary="The runs of a feed",
    responses=documented(HTTPStatus.OK, Page[RunView], "Runs, newest first."),
)
def list_runs(feed_id: Identifier, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None) -> Response[str]:
    workspace_id = workspace_of(router.current_event.raw_event, Scope.READ)
    room = services()
    feed = known_feed(workspace_id, feed_id)
    with store_cursor(cursor) as after:
        found = room.runs.page(
            workspace_id, feed_id, newest=room.clock(), oldest=feed.created_at, limit=limit, cursor=after
        )
    return answer(page([RunView.of(run) for run in found.runs], found.cursor))


@router.get("/runs/<run_id>", summary="A run", responses=documented(HTTPStatus.OK, RunView, "The run as it stands."))
def get_run(run_id: Identifier) -> Response[str]:
    workspace_id = workspace_of(router.current_event.raw_event, Scope.READ)
    return answer(RunView.of(_known_run(services(), workspace_id, run_id)))


@router.post(
    "/runs/<run_id>/cancel",
    summary="End a run",
    description="What it has written stays written, and paid for. Free.",
    responses=documented(HTTPStatus.ACCEPTED, RunView, "The run, cancelled."),
)
def cancel(run_id: Identifier) -> Response[str]:
    workspace_id = workspace_of(router.current_event.raw_event, Scope.WRITE)
    room = services()
    outcome = cancel_run(room.runs, _known_run(room, workspace_id, run_id), room.clock())
    if isinstance(outcome, NotPossible):
        raise Refusal(conflict("run-is-over", f"The run is {outcome.run.state.value}: it cannot be cancelled."))
    return answer(RunView.of(outcome), HTTPStatus.ACCEPTED)


@router.post(
    "/runs/<run_id>/resume",
    summary="Let a paused run go on",
    description="From exactly where it stopped; also a run that has shown no sign of work for ten minutes. Free; its "
    "records cost what they cost.",
    responses=documented(HTTPStatus.ACCEPTED, RunView, "The run, running again."),
)
def resume(run_id: Identifier) -> Response[str]:
    workspace_id = workspace_of(router.current_event.raw_event, Scope.WRITE)
    room = services()
    outcome = resume_run(room.runs, room.ledger, _known_run(room, workspace_id, run_id), room.clock())
    match outcome:
        case Run():
            return answer(RunView.of(outcome), HTTPStatus.ACCEPTED)
        case NotPossible(run):
            raise Refusal(conflict("run-is-not-paused", _not_resumed(run)))
        case OutOfCredits():
            raise Refusal(out_of_credits(outcome))
        case _:
            assert_never(outcome)


@router.get(
    "/runs/<run_id>/rejections",
    summary="What a run rejected",
    responses=documented(HTTPStatus.OK, Page[RejectionView], "Rows, and records of them, with the reasons."),
)
def list_rejections(run_id: Identifier, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None) -> Response[str]:
    workspace_id = workspace_of(router.current_event.raw_event, Scope.READ)
    room = services()
    run = _known_run(room, workspace_id, run_id)
    with store_cursor(cursor) as after:
        found = room.artifacts.rejections(run, limit, after)
    return answer(page([RejectionView.of(rejection) for rejection in found.rejections], found.cursor))


def _not_resumed(run: Run) -> str:
    if run.state.is_over:
        return f"The run is {run.state.value}: it cannot go on."
    return f"The run is {run.state.value}, and was seen at work a moment ago: there is nothing to resume."


def _known_run(room: Services, workspace_id: str, run_id: str) -> Run:
    run = room.runs.get(workspace_id, run_id)
    if run is None:
        raise Refusal(not_found(f"There is no run {run_id}."))
    return run


def _etag_of_upload(room: Services, wish: StartRun, feed: StoredFeed) -> str:
    """What the run is bound to; blank where it will fetch its file. Raises Refusal when there is no file to run on."""
    if wish.upload_id is None:
        if not FeedDefinition.model_validate_json(feed.definition).pulls:
            detail = (
                "This feed has no source to fetch a file from: give an upload_id, or define the feed with a source."
            )
            raise Refusal(conflict("nothing-to-pull", detail))
        return ""
    upload = room.artifacts.upload(wish.workspace_id, wish.feed_id, wish.upload_id)
    if upload is None:
        detail = f"Nothing was uploaded for {wish.upload_id}, or it was deleted since."
        raise Refusal(conflict("upload-missing", detail))
    limit = room.settings.max_feed_bytes
    if upload.size > limit:
        raise Refusal(too_large(f"The upload has {upload.size:,} bytes; a feed may have {limit:,}."))
    return upload.etag
