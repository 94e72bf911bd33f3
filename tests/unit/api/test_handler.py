"""The handler on events as API Gateway sends them: what is answered, what is logged, and what goes wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ConnectTimeoutError
from botocore.stub import Stubber

from functions.api import services
from functions.api.handler import app, logger
from shared import keys
from shared.catalog import Record
from shared.catalog.records import record_item
from shared.credits import Action, Channel, Operation, OperationKind
from shared.credits.operations import put_operation
from shared.dynamo.transactions import StoreUnavailable
from shared.dynamo.values import to_item
from shared.ids import fingerprint, operation_id

if TYPE_CHECKING:
    from tests.unit.api.conftest import Answer

WORKSPACE = "ws_01KAMZ5Q000000000000000001"
GRANT = {
    "grant_id": "gr_1",
    "workspace_id": WORKSPACE,
    "kind": "free",
    "credits": 5000,
    "unit_price": "0",
    "currency": "EUR",
    "priority": 10,
    "granted_at": "2026-11-20T08:00:00.000Z",
}
BALANCE = {
    "workspace_id": WORKSPACE,
    "available": 4999,
    "owed": 0,
    "granted": 5000,
    "consumed": 1,
    "expired": 0,
    "void": 0,
    "revision": 1,
    "base": 5000,
    "level": 100,
    "grants": {"gr_1": {name: GRANT[name] for name in ("unit_price", "currency", "priority", "granted_at")}},
}
BALANCE["grants"]["gr_1"]["remaining"] = 4999  # type: ignore[index]

BALANCE_ITEM = keys.balance(WORKSPACE).attributes() | to_item(BALANCE)
START_CALL = keys.call(WORKSPACE, "POST /feeds/supplier-a/runs", "nightly-2026-11-22")

Event = Callable[[str], dict[str, Any]]
Call = Callable[[dict[str, Any]], "Answer"]


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> StringIO:
    """What the function logs."""
    lines = StringIO()
    monkeypatch.setattr(logger.registered_handler, "stream", lines)
    return lines


def give_account(dynamodb: Stubber) -> None:
    dynamodb.add_response("query", {"Items": [to_item(GRANT)]})
    dynamodb.add_response("get_item", {"Item": to_item(BALANCE)})


def test_the_account_is_answered_in_full(call: Call, event: Event, dynamodb: Stubber) -> None:
    give_account(dynamodb)
    answer = call(event("api_get_credits"))
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["X-Request-Id"] == "0b9d4a52-6c1e-4e57-9d0e-000000000001"
    assert answer.body["available"] == 4999
    assert answer.body["grants"][0]["remaining"] == 4999


@pytest.mark.parametrize(
    ("name", "status", "slug", "words"),
    [
        ("api_malformed_body", 400, "malformed-request", "not JSON"),
        ("api_invalid_body", 422, "validation", "entities.0.entity: Input should be the name of an entity"),
        ("api_without_scope", 403, "forbidden", "operator"),
        ("api_operator_in_workspace_route", 403, "forbidden", "belongs to no workspace"),
        ("api_unknown_route", 404, "not-found", "no such path"),
        ("api_unknown_method", 405, "method-not-allowed", "GET and OPTIONS are"),
    ],
)
def test_what_is_refused_without_a_look_at_any_store(
    call: Call, event: Event, name: str, status: int, slug: str, words: str
) -> None:
    given_event = event(name)
    answer = call(given_event)
    assert answer.status == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.body["type"] == f"/problems/{slug}"
    assert words in answer.body["detail"]
    request = given_event["requestContext"]["requestId"]
    assert answer.body["request_id"] == answer.headers["X-Request-Id"] == request


def test_a_body_is_read_whatever_its_content_type(call: Call, event: Event, dynamodb: Stubber) -> None:
    found = {"Responses": {"credit": [BALANCE_ITEM]}, "UnprocessedKeys": {}}
    dynamodb.add_response("batch_get_item", found)
    dynamodb.add_response("get_item", {})
    answer = call(event("api_form_content_type"))
    assert answer.status == 404
    assert answer.body["detail"] == "There is no feed supplier-a."


def test_unknown_query_parameters_are_ignored(call: Call, event: Event, dynamodb: Stubber) -> None:
    given_event = event("api_list_operations")
    dynamodb.add_response("get_item", {})
    dynamodb.add_response("batch_get_item", {"Responses": {}, "UnprocessedKeys": {}})
    for _ in range(31):
        dynamodb.add_response("query", {"Items": []})
    answer = call(given_event)
    assert answer.status == 200
    assert answer.body == {"items": [], "next_cursor": None}


@pytest.mark.parametrize("cursor", ["'", "\0", "Jw", "AA", "MDA6YQ"])
@pytest.mark.parametrize("listing", ["feeds", "rules", "schedules"])
def test_a_made_up_cursor_is_refused_before_anything_is_read(
    call: Call, event: Event, listing: str, cursor: str
) -> None:
    given_event = event("api_list_operations") | {"resource": f"/{listing}", "path": f"/{listing}"}
    given_event["queryStringParameters"] = {"cursor": cursor}
    given_event["multiValueQueryStringParameters"] = {"cursor": [cursor]}
    answer = call(given_event)
    assert (answer.status, answer.body["errors"][0]["field"]) == (422, "cursor")


@pytest.mark.parametrize("length", [0, 256])
def test_an_idempotency_key_has_1_to_255_characters(call: Call, event: Event, length: int) -> None:
    given_event = event("api_open_workspace")
    given_event["multiValueHeaders"]["Idempotency-Key"] = ["k" * length]
    answer = call(given_event)
    assert answer.status == 422
    assert answer.body["errors"][0]["field"] == "idempotency-key"


@pytest.mark.parametrize("key", ["schlüssel", "a\tb", "\x7f"])
def test_an_idempotency_key_is_printable_ascii(call: Call, event: Event, key: str) -> None:
    given_event = event("api_open_workspace")
    given_event["multiValueHeaders"]["Idempotency-Key"] = [key]
    assert call(given_event).status == 422


def test_a_store_that_refuses_is_a_503_and_no_more_is_said(
    call: Call, event: Event, dynamodb: Stubber, logged: StringIO
) -> None:
    dynamodb.add_client_error("query", "InternalServerError", "inner words", http_status_code=500)
    answer = call(event("api_get_credits"))
    assert answer.status == 503
    assert answer.headers["Retry-After"] == "2"
    assert "inner words" not in answer.text
    assert "inner words" in logged.getvalue()


@pytest.mark.parametrize("error", [ConnectTimeoutError(endpoint_url="https://inner"), StoreUnavailable("inner")])
def test_a_store_that_does_not_answer_is_a_503(
    call: Call, event: Event, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_arguments: object) -> None:
        raise error

    ledger = services.services().ledger
    monkeypatch.setattr(ledger, "grants", fail)
    answer = call(event("api_get_credits"))
    assert answer.status == 503
    assert "inner" not in answer.text


def test_a_bug_is_a_500_that_is_logged_and_not_told(
    call: Call, event: Event, dynamodb: Stubber, logged: StringIO
) -> None:
    dynamodb.add_response("query", {"Items": [{"surprise": {"S": "inner words"}}]})
    answer = call(event("api_get_credits"))
    assert answer.status == 500
    assert answer.body["type"] == "/problems/internal-error"
    assert "KeyError" not in answer.text
    assert "KeyError" in logged.getvalue()


def test_nothing_secret_is_logged(call: Call, event: Event, logged: StringIO) -> None:
    given_event = event("api_malformed_body")
    call(given_event)
    lines = logged.getvalue().splitlines()
    (said,) = [json.loads(line) for line in lines if '"answered"' in line]
    assert said["status"] == 400
    assert said["workspace_id"] == WORKSPACE
    assert said["correlation_id"] == given_event["requestContext"]["requestId"]
    for secret in (given_event["headers"]["Authorization"].removeprefix("Bearer "), given_event["body"]):
        assert secret not in "".join(lines)


def test_the_resolver_has_exactly_the_routes_of_the_template() -> None:
    from tests.support.sample_calls import routes  # noqa: PLC0415  # slow to import, and only needed here

    deployed = {tuple(route.replace("+}", "}").split(" ", 1)) for route in routes()}
    # What the gateway sends here because no route takes it.
    deployed = {(method, path) for method, path in deployed if path != "/{proxy}"}
    # What API Gateway would take for the batch's path is a record whose key is `batch`.
    deployed -= {(method, "/records/{entity}/batch") for method in ("GET", "PUT", "PATCH", "DELETE")}
    known = {(route.method, route.openapi_path) for route in app._static_routes + app._dynamic_routes}
    assert known == deployed


def test_every_route_describes_itself() -> None:
    document = json.loads(app.get_openapi_json_schema(title="ProductSync", version="1"))
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            successes = [status for status in operation["responses"] if status.startswith("2")]
            assert operation["summary"], (method, path)
            assert successes, (method, path)


def test_a_retried_start_is_answered_as_the_first_was_whatever_became_of_its_feed(
    call: Call, event: Event, dynamodb: Stubber
) -> None:
    given_event = event("api_start_run_replayed")
    told = {
        "fingerprint": fingerprint("start run", "supplier-a", "up_01KAMZ8A000000000000000001", "False"),
        "operation_id": "op_1",
        "answer": '{"run_id":"run_1"}',
    }
    # The balance and what was told before: neither the feed nor the upload is asked for.
    found = [BALANCE_ITEM, START_CALL.attributes() | to_item(told)]
    dynamodb.add_response("batch_get_item", {"Responses": {"credit": found}, "UnprocessedKeys": {}})
    answer = call(given_event)
    assert (answer.status, answer.body) == (202, {"run_id": "run_1"})
    assert answer.headers["Idempotency-Replayed"] == "true"
    assert answer.headers["X-Credits-Charged"] == "0"
    assert answer.headers["X-Credits-Available"] == "4999"
    assert answer.headers["X-Operation-Id"] == "op_1"


def test_a_read_that_is_delivered_twice_is_charged_once(call: Call, event: Event, dynamodb: Stubber) -> None:
    given_event = event("api_get_record")
    at = datetime(2026, 11, 22, 8, 0, 0, 123000, tzinfo=UTC)
    paid_before = Operation(
        operation_id=operation_id(at, WORKSPACE, "request", given_event["requestContext"]["requestId"]),
        workspace_id=WORKSPACE,
        kind=OperationKind.API_CALL,
        channel=Channel.API,
        at=at,
        credits=1,
        fingerprint=fingerprint("GET", "/records/product/M8%2F40%20%C3%98%20%2250%25%22"),
        actions={Action.API_CALL: 1},
    )
    record = Record(
        workspace_id=WORKSPACE,
        entity="product",
        key='M8/40 Ø "50%"',
        attributes={},
        version=1,
        created_at=at,
        updated_at=at,
        operation_id=None,
    )
    found = {"catalog": [record_item(record)], "credit": [BALANCE_ITEM]}
    dynamodb.add_response("batch_get_item", {"Responses": found, "UnprocessedKeys": {}})
    entry = put_operation("credit", paid_before).request["Put"]["Item"]
    dynamodb.add_client_error(
        "transact_write_items",
        "TransactionCanceledException",
        modeled_fields={
            "CancellationReasons": [{"Code": "ConditionalCheckFailed", "Item": entry}, {"Code": "None"}],
        },
    )
    answer = call(given_event)
    assert (answer.status, answer.body["key"]) == (200, 'M8/40 Ø "50%"')
    assert answer.headers["Idempotency-Replayed"] == "true"
    assert answer.headers["X-Credits-Charged"] == "0"
    assert answer.headers["X-Operation-Id"] == paid_before.operation_id


def test_a_top_up_is_named_by_its_reference(call: Call, event: Event, dynamodb: Stubber) -> None:
    answers = []
    for _ in range(2):
        dynamodb.add_response("get_item", {"Item": to_item(BALANCE)})
        dynamodb.add_response("transact_write_items", {})
        answers.append(call(event("api_top_up")))
    assert [answer.status for answer in answers] == [201, 201]
    assert answers[0].body["grant_id"] == answers[1].body["grant_id"]


def test_every_route_is_in_the_reference(project: Path) -> None:
    reference = (project / "docs" / "api.md").read_text(encoding="utf-8")
    routes = [f"{route.method} /v1{route.openapi_path}" for route in app._static_routes + app._dynamic_routes]
    assert [route for route in routes if f"`{route}`" not in reference] == []


def test_no_cold_start_waits_for_what_reads_files_or_makes_the_document(project: Path) -> None:
    loaded = "import functions.api.handler, sys; print(*sys.modules)"
    told = subprocess.run(
        [sys.executable, "-c", loaded], cwd=project, check=True, capture_output=True, text=True, timeout=60
    )
    unneeded = {"shared.feeds.preparing", "shared.feeds.readers", "sqlite3", "functions.api.openapi.document"}
    assert unneeded & set(told.stdout.split()) == set()
