"""Answers the HTTP API: one function behind all routes, with one way to tell what went wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from aws_lambda_powertools.event_handler.exceptions import NotFoundError
from aws_lambda_powertools.event_handler.openapi.exceptions import RequestValidationError
from aws_lambda_powertools.logging import correlation_paths
from botocore.exceptions import BotoCoreError, ClientError

from functions.api import problems, requests
from functions.api.edge.headers import preflight_headers, with_edge_headers
from functions.api.edge.methods import allowed_methods
from functions.api.routes import (
    audits,
    corrections,
    credentials,
    credits,
    documents,
    exports,
    feeds,
    keys,
    operations,
    people,
    presets,
    records,
    rules,
    runs,
    schedules,
    usage,
    workspaces,
)
from shared.dynamo.transactions import StoreUnavailable
from shared.rules.commands import StillMoving as RuleStillMoving
from shared.schedules.commands import StillMoving

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

logger = Logger()
app = APIGatewayRestResolver(enable_validation=True, json_body_deserializer=requests.parse_body)
for room in (
    workspaces,
    corrections,
    people,
    keys,
    credits,
    presets,
    feeds,
    credentials,
    runs,
    schedules,
    rules,
    operations,
    usage,
    exports,
    audits,
    records,
    documents,
):
    app.include_router(room.router)


@logger.inject_lambda_context(correlation_id_path=correlation_paths.API_GATEWAY_REST, clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """One request. Its body, its keys and its records are never logged."""
    caller = event["requestContext"].get("authorizer") or {}
    logger.append_keys(workspace_id=caller.get("workspace_id"), key_id=caller.get("key_id"))
    answer = preflight(event) if event["httpMethod"] == "OPTIONS" else app.resolve(requests.admitted(event), context)
    answer = with_edge_headers(answer, event, requests.request_id(event))
    logger.info("answered", method=event["httpMethod"], resource=event["resource"], status=answer["statusCode"])
    return answer


def preflight(event: dict[str, Any]) -> dict[str, Any]:
    """What a browser asks before it lets a page call: whoever asks it, and for whatever path."""
    headers = {name: [value] for name, value in preflight_headers(event).items()}
    return {"statusCode": 204, "body": "", "isBase64Encoded": False, "multiValueHeaders": headers}


def refused(error: problems.Refusal) -> Response[str]:
    """A route said no."""
    return _tell(error.problem)


def not_valid(error: RequestValidationError) -> Response[str]:
    """The request does not fit the route's models."""
    return _tell(problems.of_validation(error.errors()))


def no_route(_error: NotFoundError) -> Response[str]:
    """There is no such path, or no such method on it; or API Gateway knows a route that this function does not, since
    they were deployed apart.
    """
    event = app.current_event.raw_event
    path = (event.get("pathParameters") or {}).get("proxy")
    methods = () if path is None else allowed_methods(f"/{path}")
    if methods:
        return _tell(problems.method_not_allowed(event["httpMethod"], methods))
    return _tell(problems.not_found("There is no such path."))


def unavailable(error: Exception) -> Response[str]:
    """A service of AWS did not answer, or not in time, or others kept changing the same thing."""
    logger.error("unavailable", exc_info=error)
    return _tell(problems.unavailable())


def failed(error: Exception) -> Response[str]:
    """A bug: logged in full, told in none of its words."""
    logger.error("failed", exc_info=error)
    return _tell(problems.internal_error())


def _tell(problem: problems.Problem) -> Response[str]:
    return problems.render(problem, requests.request_id(app.current_event.raw_event))


app.exception_handler(problems.Refusal)(refused)
app.exception_handler(RequestValidationError)(not_valid)
app.exception_handler(NotFoundError)(no_route)
app.exception_handler([StoreUnavailable, StillMoving, RuleStillMoving, ClientError, BotoCoreError])(unavailable)
app.exception_handler(Exception)(failed)
