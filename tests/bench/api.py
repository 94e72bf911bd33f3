"""The API as its callers meet it: the authorizer and the handler, called here as Lambda calls them."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast
from unittest.mock import patch
from urllib.parse import quote
from uuid import uuid4

from functions.api import handler as api
from functions.api import services as rooms
from functions.authorizer import handler as authorizer
from productsync.stack import process
from shared.credits import Channel
from shared.dynamo.client import dynamodb_client
from shared.workspaces import Principal, Scope
from tests.bench.wire import Wire

if TYPE_CHECKING:
    from botocore.config import Config
    from mypy_boto3_dynamodb import DynamoDBClient

MODULES = (rooms, authorizer)
"""The modules that connect to DynamoDB, once for all requests of a process."""

_STAGE = f"arn:aws:execute-api:{process.REGION}:123456789012:api/v1"
_PATIENCE_MILLISECONDS = 29_000


@dataclass
class Context:
    """What Lambda says of an invocation."""

    function_name: str = "api"
    memory_limit_in_mb: int = 1024
    invoked_function_arn: str = f"arn:aws:lambda:{process.REGION}:123456789012:function:api"
    aws_request_id: str = "bench"

    def get_remaining_time_in_millis(self) -> int:
        """As in the first moment."""
        return _PATIENCE_MILLISECONDS


@dataclass(frozen=True, slots=True)
class Request:
    """One call: a method, a route as the template spells it, what stands in its braces, and what goes with it."""

    method: str
    resource: str
    path: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    idempotency_key: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What API Gateway would send to the caller."""

    status: int
    headers: Mapping[str, str]
    body: Any


class Api:
    """The API's functions in this process, on the bench's tables. What they send to DynamoDB passes over `wire`."""

    def __init__(self, endpoint: str, environment: dict[str, str], wire: Wire) -> None:
        access = {
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_DEFAULT_REGION": process.REGION,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
        }
        os.environ |= environment | access
        # A line for each request would stand between the tables.
        api.logger.setLevel(logging.CRITICAL)

        def connected(config: Config | None = None, **options: Any) -> DynamoDBClient:
            client = dynamodb_client(config, **options)
            wire.attach(client)
            return client

        for module in MODULES:
            # Whatever connects, and whenever it first does: nothing that is sent must pass by the wire.
            patch.object(module, "dynamodb_client", connected).start()
            for made_once in vars(module).values():
                if hasattr(made_once, "cache_clear"):
                    made_once.cache_clear()

    def authorize(self, secret: str, request: Request) -> dict[str, Any]:
        """What the authorizer tells the API of the caller of a key."""
        event = {
            "type": "REQUEST",
            "methodArn": f"{_STAGE}/{request.method}{_spelled(request)}",
            "resource": request.resource,
            "httpMethod": request.method,
            "headers": {"Authorization": f"Bearer {secret}"},
        }
        context: dict[str, Any] = authorizer.handler(event, None)["context"]
        return context

    def call(self, caller: Mapping[str, Any], request: Request) -> Answer:
        """One request of somebody whom the authorizer has let in."""
        request_id = uuid4().hex
        headers = {"Content-Type": "application/json"}
        if request.idempotency_key is not None:
            headers["Idempotency-Key"] = request.idempotency_key
        event = {
            "resource": request.resource,
            "path": _spelled(request),
            "httpMethod": request.method,
            "headers": headers,
            "multiValueHeaders": {name: [value] for name, value in headers.items()},
            "queryStringParameters": dict(request.query) or None,
            "multiValueQueryStringParameters": {name: [value] for name, value in request.query.items()} or None,
            "pathParameters": {name: quote(value, safe="") for name, value in request.path.items()} or None,
            "requestContext": {
                "requestId": request_id,
                "requestTimeEpoch": round(time.time() * 1000),
                "path": f"/v1{_spelled(request)}",
                "stage": "v1",
                "authorizer": caller,
            },
            "body": None if request.body is None else json.dumps(request.body),
            "isBase64Encoded": False,
        }
        answer = api.handler(event, cast("Any", Context()))
        told = {name: values[-1] for name, values in answer["multiValueHeaders"].items()}
        return Answer(answer["statusCode"], told, json.loads(answer["body"]) if answer["body"] else None)

    def forget(self) -> None:
        """Makes the ledger forget what it has seen, like that of a function that starts cold."""
        cast("Any", rooms.services().ledger)._views.clear()

    def start_run(self, secret: str, feed_id: str, upload_id: str) -> str:
        """POST /v1/feeds/{feed_id}/runs with an idempotency key, as a client sends it that retries safely."""
        body = {"upload_id": upload_id}
        wanted = Request("POST", "/feeds/{feed_id}/runs", {"feed_id": feed_id}, body=body, idempotency_key=upload_id)
        answer = self.call(self.authorize(secret, wanted), wanted)
        assert answer.status == HTTPStatus.ACCEPTED, answer
        return str(answer.body["run_id"])


def person(workspace_id: str) -> dict[str, Any]:
    """What the authorizer tells the API of somebody who is signed in. It asks DynamoDB for nothing to know it."""
    scopes = frozenset({Scope.READ, Scope.WRITE, Scope.CONFIGURE, Scope.FINANCE})
    principal = Principal(workspace_id, f"person_{uuid4()}", scopes, Channel.PERSON)
    context: dict[str, Any] = authorizer.policy(principal, f"{_STAGE}/GET/", "people")["context"]
    return context


def _spelled(request: Request) -> str:
    path = request.resource
    for name, value in request.path.items():
        path = path.replace(f"{{{name}}}", quote(value, safe=""))
    return path
