"""Starting a run as a customer does: through the authorizer and the API's handler, called here as Lambda calls them."""

from __future__ import annotations

import json
import logging
import os
import time
from dataclasses import dataclass
from typing import Any, cast

from functions.api import handler as api
from functions.api.services import services
from functions.authorizer import handler as authorizer
from productsync.stack import process
from tests.bench.wire import Wire


@dataclass
class Context:
    """What Lambda says of an invocation."""

    function_name: str = "api"
    memory_limit_in_mb: int = 1024
    invoked_function_arn: str = f"arn:aws:lambda:{process.REGION}:123456789012:function:api"
    aws_request_id: str = "bench"


class Api:
    """The API's functions in this process, on the tables of the bench. What they send passes over `wire`."""

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
        wire.attach(cast("Any", services().runs)._client)
        wire.attach(authorizer.store()[0])

    def start_run(self, secret: str, feed_id: str, upload_id: str) -> str:
        """POST /v1/feeds/{feed_id}/runs with an idempotency key, as a client sends it that retries safely."""
        method = f"arn:aws:execute-api:{process.REGION}:123456789012:api/v1/POST/feeds/{feed_id}/runs"
        headers = {
            "Authorization": f"Bearer {secret}",
            "Content-Type": "application/json",
            "Idempotency-Key": upload_id,
        }
        allowed = authorizer.handler({"methodArn": method, "headers": headers}, None)
        event = {
            "resource": "/feeds/{feed_id}/runs",
            "path": f"/feeds/{feed_id}/runs",
            "httpMethod": "POST",
            "headers": headers,
            "multiValueHeaders": {name: [value] for name, value in headers.items()},
            "queryStringParameters": None,
            "multiValueQueryStringParameters": None,
            "pathParameters": {"feed_id": feed_id},
            "requestContext": {
                "requestId": upload_id,
                "requestTimeEpoch": round(time.time() * 1000),
                "path": f"/v1/feeds/{feed_id}/runs",
                "stage": "v1",
                "authorizer": allowed["context"],
            },
            "body": json.dumps({"upload_id": upload_id}),
            "isBase64Encoded": False,
        }
        answer = api.handler(event, cast("Any", Context()))
        assert answer["statusCode"] == 202, answer
        run_id: str = json.loads(answer["body"])["run_id"]
        return run_id
