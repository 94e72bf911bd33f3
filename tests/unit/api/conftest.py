"""The API's handler on events as API Gateway sends them, with DynamoDB stubbed at the request."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from botocore.stub import Stubber

from functions.api import services
from functions.api.handler import handler
from functions.authorizer import handler as authorizer
from shared.dynamo.client import dynamodb_client

ENVIRONMENT = {
    "CREDIT_TABLE": "credit",
    "CATALOG_TABLE": "catalog",
    "WORK_TABLE": "work",
    "USAGE_TABLE": "usage",
    "DATA_BUCKET": "data",
    "PREPARE_QUEUE_URL": "https://sqs.eu-central-1.amazonaws.com/123456789012/prepare",
    "IMPORT_QUEUE_URL": "https://sqs.eu-central-1.amazonaws.com/123456789012/import",
    "RULE_QUEUE_URL": "https://sqs.eu-central-1.amazonaws.com/123456789012/rules",
    "MAX_CHAIN_DEPTH": "5",
    "RULE_FIRINGS_PER_HOUR": "100000",
    "STARTER_CREDITS": "5000",
    "ACTION_PRICES": '{"record_created":1,"record_updated":1,"scheduled_job":1,"rule_fired":1,"api_call":1}',
    "CURRENCY": "EUR",
    "OWED_CAP": "1000",
    "MAX_FEED_BYTES": "1000000",
    "IMPORT_LEG_SECONDS": "90",
    "SOURCE_HOSTS": "localhost",
    "SOURCE_BUCKETS": "feeds",
    "SOURCE_SECRETS_PREFIX": "productsync/sources/",
    "EXPIRY_GROUP": "expiries",
    "GRANT_EXPIRY_ARN": "arn:aws:lambda:eu-central-1:123456789012:function:expiry",
    "EXPIRY_ROLE_ARN": "arn:aws:iam::123456789012:role/expiry",
    "EXPIRY_DEAD_LETTERS_ARN": "arn:aws:sqs:eu-central-1:123456789012:lost",
    "STACK_NAME": "productsync",
    "USAGE_PLAN_NAME": "productsync-keys",
    "OPERATORS_GATEWAY_KEY_ID": "0p3r4t0r50",
    "OPERATORS_USAGE_KEY": "operators6f0c4a0e",
    "SHARED_USAGE_KEY": "shared6f0c4a0e",
    "PEOPLE_USAGE_KEY": "people6f0c4a0e",
    "DOCUMENTS_USAGE_KEY": "documents6f0c4a0e",
    "PREFLIGHT_USAGE_KEY": "preflight6f0c4a0e",
    "PERSON_CALLS_PER_HOUR": "3600",
    "PERSON_CALLS_PER_DAY": "10000",
}

Event = dict[str, Any]


@dataclass
class Context:
    """What Lambda says of an invocation."""

    function_name: str = "api"
    memory_limit_in_mb: int = 1024
    invoked_function_arn: str = "arn:aws:lambda:eu-central-1:123456789012:function:api"
    aws_request_id: str = "6f0c4a0e"


@dataclass(frozen=True)
class Answer:
    """What the handler gave to API Gateway."""

    status: int
    headers: dict[str, str]
    text: str

    @property
    def body(self) -> Any:
        return json.loads(self.text)


@pytest.fixture
def event(project: Path) -> Callable[[str], Event]:
    """Reads a sample event."""
    return lambda name: json.loads((project / "events" / f"{name}.json").read_text(encoding="utf-8"))


@pytest.fixture
def dynamodb(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stubber]:
    """DynamoDB for the functions: it answers what a test tells it to, and refuses any other request."""
    client = dynamodb_client(region_name="eu-central-1")
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    for module in (services, authorizer):
        monkeypatch.setattr(module, "dynamodb_client", lambda _config=None: client)
    made_once = (
        *(services.services, services.person_pace, services.rule_room, services.usage_keys, services.key_room),
        services.workspace_store,
        *(services.dynamodb, authorizer.store, authorizer.notes, authorizer.settings),
    )
    for made in made_once:
        made.cache_clear()
    with Stubber(client) as stubber:
        yield stubber
    for made in made_once:
        made.cache_clear()


@pytest.fixture
def call(dynamodb: Stubber) -> Callable[[Event], Answer]:
    """Sends an event to the handler."""

    def send(given: Event) -> Answer:
        answer = handler(given, Context())  # type: ignore[arg-type]  # the part of a context that is looked at
        headers = {name: values[-1] for name, values in answer["multiValueHeaders"].items()}
        dynamodb.assert_no_pending_responses()
        return Answer(answer["statusCode"], headers, answer["body"])

    return send
