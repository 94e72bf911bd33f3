"""Feeds and the uploads of their files. Free: they only configure automation."""

import re
from http import HTTPStatus
from typing import Annotated

import simplejson
from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Body, Path

from functions.api.answers import answer
from functions.api.idempotency import once
from functions.api.in_use import refuse_pulled_feed
from functions.api.models.common import Identifier, Page, documented, page
from functions.api.models.feeds import FeedView, UploadRequest, UploadView
from functions.api.models.texts import NAME_PATTERN
from functions.api.paging import DEFAULT_LIMIT, Cursor, Limit, store_cursor
from functions.api.principals import workspace_of
from functions.api.problems import FieldError, Refusal, invalid, no_such_feed, too_large
from functions.api.routing import new_router, operation
from functions.api.services import credential_store, services, source_settings
from shared.feeds.definition import FeedDefinition
from shared.feeds.store import StoredFeed
from shared.ids import new_upload_id
from shared.sources.rules import problem_of
from shared.workspaces import Scope

router = new_router()

_EXAMPLE = {
    "format": {"type": "csv", "delimiter": ";"},
    "entities": [{"entity": "product", "key": "sku", "attributes": {"title": "title", "price": "price"}}],
}

FeedId = Annotated[str, Path(pattern=NAME_PATTERN)]


def known_feed(workspace_id: str, feed_id: str) -> StoredFeed:
    """The workspace's feed. Raises Refusal when it has none of this name."""
    feed = services().feeds.get(workspace_id, feed_id)
    if feed is None:
        raise Refusal(no_such_feed(feed_id))
    return feed


@router.get(
    "/feeds",
    **operation(
        "listFeeds",
        "The feeds",
        scopes=(Scope.READ,),
        answers=documented(HTTPStatus.OK, Page[FeedView], "Feeds, by identifier."),
    ),
)
def list_feeds(limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None) -> Response[str]:
    workspace_id = workspace_of(router.current_event.raw_event)
    with store_cursor(cursor, like=NAME_PATTERN) as after:
        found = services().feeds.page(workspace_id, limit, after)
    return answer(page([FeedView.of(feed) for feed in found.feeds], found.cursor))


@router.get(
    "/feeds/<feed_id>",
    **operation(
        "getFeed",
        "A feed",
        scopes=(Scope.READ,),
        answers=documented(HTTPStatus.OK, FeedView, "The feed."),
    ),
)
def get_feed(feed_id: Identifier) -> Response[str]:
    workspace_id = workspace_of(router.current_event.raw_event)
    return answer(FeedView.of(known_feed(workspace_id, feed_id)))


@router.put(
    "/feeds/<feed_id>",
    **operation(
        "putFeed",
        "Define a feed",
        description="Creates the feed, or replaces its definition. Runs keep to the definition that they started with.",
        scopes=(Scope.CONFIGURE,),
        answers=documented(HTTPStatus.OK, FeedView, "The feed, replaced.")
        | documented(HTTPStatus.CREATED, FeedView, "The feed, new."),
        example=_EXAMPLE,
        remembers=once,
    ),
)
def put_feed(feed_id: FeedId, definition: Annotated[FeedDefinition, Body()]) -> Response[str]:
    workspace_id = workspace_of(router.current_event.raw_event)
    room = services()
    problem = problem_of(definition.pulled, workspace_id, source_settings())
    if problem is not None:
        raise Refusal(invalid([FieldError(problem.field, problem.message)]))
    feed = room.feeds.put(workspace_id, feed_id, simplejson.dumps(definition.to_json()), room.clock())
    return answer(FeedView.of(feed), HTTPStatus.CREATED if feed.version == 1 else HTTPStatus.OK)


@router.delete(
    "/feeds/<feed_id>",
    **operation(
        "deleteFeed",
        "Delete a feed",
        description="Its runs and its records stay. A feed that a schedule pulls cannot be deleted.",
        scopes=(Scope.CONFIGURE,),
        answers={HTTPStatus.NO_CONTENT: {"description": "It is gone."}},
        refusals=("feed-in-use",),
        remembers=once,
    ),
)
def delete_feed(feed_id: Identifier) -> Response[str]:
    workspace_id = workspace_of(router.current_event.raw_event)
    if not re.fullmatch(NAME_PATTERN, feed_id):
        # Nobody could put it, and Secrets Manager knows no such names.
        raise Refusal(no_such_feed(feed_id))
    refuse_pulled_feed(workspace_id, feed_id)
    # Before the feed: a new one of the same name must not find them.
    credential_store().delete(workspace_id, feed_id)
    if not services().feeds.delete(workspace_id, feed_id):
        raise Refusal(no_such_feed(feed_id))
    return Response(HTTPStatus.NO_CONTENT.value, body="")


@router.post(
    "/feeds/<feed_id>/uploads",
    **operation(
        "createUpload",
        "A place to send a file to",
        scopes=(Scope.WRITE,),
        answers=documented(HTTPStatus.CREATED, UploadView, "A presigned upload, good for one file within one hour."),
        example={"content_length": 48213, "file_name": "catalogue.csv"},
        remembers=once,
    ),
)
def create_upload(feed_id: Identifier, wanted: Annotated[UploadRequest, Body()]) -> Response[str]:
    workspace_id = workspace_of(router.current_event.raw_event)
    room = services()
    known_feed(workspace_id, feed_id)
    limit = room.settings.max_feed_bytes
    if wanted.content_length is not None and wanted.content_length > limit:
        raise Refusal(too_large(f"The file has {wanted.content_length:,} bytes; a feed may have {limit:,}."))
    now = room.clock()
    upload_id = new_upload_id(now)
    upload = room.uploads.presign(workspace_id, feed_id, upload_id, content_length=wanted.content_length, now=now)
    return answer(UploadView.of(upload_id, upload, limit), HTTPStatus.CREATED)
