"""Credentials for the sources of feeds. Free: they only configure automation."""

from http import HTTPStatus
from typing import Annotated
from urllib.parse import urlsplit

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Body

from functions.api.answers import answer
from functions.api.idempotency import once
from functions.api.models.common import Identifier, documented
from functions.api.models.credentials import CredentialsRequest, CredentialsView
from functions.api.principals import workspace_of
from functions.api.problems import FieldError, Refusal, conflict, invalid, not_found, source_not_encrypted
from functions.api.routes.feeds import known_feed
from functions.api.routing import new_router, operation
from functions.api.services import credential_store, services, source_settings
from shared.feeds.definition import FeedDefinition
from shared.feeds.sources import HttpSource
from shared.sources.addresses import spelled
from shared.sources.credentials import origin_of
from shared.sources.rules import problem_of
from shared.workspaces import Scope

router = new_router()


@router.put(
    "/feeds/<feed_id>/credentials",
    **operation(
        "putCredentials",
        "Give a feed credentials for its source",
        description="They are kept apart from the definition, sent to the source alone, and never shown again.",
        scopes=(Scope.CONFIGURE,),
        answers=documented(HTTPStatus.OK, CredentialsView, "The credentials, without the secret."),
        refusals=("nothing-to-pull", "source-not-encrypted"),
        example={"type": "basic", "username": "acme", "password": "correct horse battery staple"},
        remembers=once,
    ),
)
def put_credentials(feed_id: Identifier, wanted: Annotated[CredentialsRequest, Body()]) -> Response[str]:
    workspace_id = workspace_of(router.current_event.raw_event)
    feed = known_feed(workspace_id, feed_id)
    source = FeedDefinition.model_validate_json(feed.definition).source
    if not isinstance(source, HttpSource):
        raise Refusal(conflict("nothing-to-pull", "This feed fetches from no address that would want credentials."))
    problem = problem_of(source, workspace_id, source_settings())
    if problem is not None:
        # The deployment has changed its mind since the feed was saved.
        raise Refusal(invalid([FieldError(problem.field, problem.message)]))
    url = urlsplit(source.url)
    if url.scheme != "https" and spelled(url.hostname or "") not in source_settings().hosts:
        raise Refusal(source_not_encrypted())
    origin = origin_of(source.url)
    note = credential_store().put(workspace_id, feed_id, wanted.credentials(), origin, services().clock())
    return answer(CredentialsView.of(note))


@router.get(
    "/feeds/<feed_id>/credentials",
    **operation(
        "getCredentials",
        "The credentials of a feed",
        description="Everything but the secret.",
        scopes=(Scope.CONFIGURE,),
        answers=documented(HTTPStatus.OK, CredentialsView, "The credentials, without the secret."),
    ),
)
def get_credentials(feed_id: Identifier) -> Response[str]:
    workspace_id = workspace_of(router.current_event.raw_event)
    known_feed(workspace_id, feed_id)
    note = credential_store().note(workspace_id, feed_id)
    if note is None:
        raise Refusal(not_found(f"The feed {feed_id} has no credentials."))
    return answer(CredentialsView.of(note))


@router.delete(
    "/feeds/<feed_id>/credentials",
    **operation(
        "deleteCredentials",
        "Forget the credentials of a feed",
        scopes=(Scope.CONFIGURE,),
        answers={HTTPStatus.NO_CONTENT: {"description": "They are gone."}},
        remembers=once,
    ),
)
def delete_credentials(feed_id: Identifier) -> Response[str]:
    workspace_id = workspace_of(router.current_event.raw_event)
    known_feed(workspace_id, feed_id)
    if not credential_store().delete(workspace_id, feed_id):
        raise Refusal(not_found(f"The feed {feed_id} has no credentials."))
    return Response(HTTPStatus.NO_CONTENT.value, body="")
