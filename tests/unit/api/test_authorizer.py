"""The authorizer on events as API Gateway sends them."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from functions.authorizer import handler as authorizer
from functions.authorizer.handler import bearer_token, handler, policy
from functions.authorizer.settings import SETTLING
from shared.credits import Channel
from shared.times import to_rfc3339
from shared.workspaces import Principal, Scope

KEY_ID = "key_01KAMZ5Q00APVWEYWXCMJ7D3FR"
SECRET = "psk_01KAMZ5Q00APVWEYWXCMJ7D3FR_k3J9xQ2mVt7Lw0RbYc5HnEa8Us1Zd4Gf6Ti-Po_XqWy"
STORED = {
    "pk": {"S": f"KEY#{KEY_ID}"},
    "sk": {"S": "KEY"},
    "key_id": {"S": KEY_ID},
    "digest": {"S": hashlib.sha256(SECRET.encode()).hexdigest()},
    "workspace_id": {"S": "ws_01KAMZ5Q000000000000000001"},
    "scopes": {"L": [{"S": "read"}, {"S": "write"}]},
    "name": {"S": "Nightly stock sync"},
    "created_at": {"S": "2026-11-22T08:00:00.000Z"},
    "last_used_at": {"S": "2026-11-22T08:55:00.000Z"},
    "usage_identifier": {"S": "01KAMZ5Q00APVWEYWXCMJ7D3FR"},
    "gateway_key_id": {"S": "q1w2e3r4t5"},
}
NOW = datetime(2026, 11, 22, 9, tzinfo=UTC)
LOOK_UP = {"TableName": "work", "Key": {"pk": STORED["pk"], "sk": STORED["sk"]}, "ConsistentRead": True}

UNAUTHORIZED = re.escape("Unauthorized") + "$"

Event = Callable[[str], dict[str, Any]]


@pytest.fixture(autouse=True)
def nine_o_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(authorizer, "utc_now", lambda: NOW)


@pytest.mark.parametrize("name", ["authorizer_valid", "authorizer_lower_case"])
def test_a_valid_key_may_call_the_stage_it_was_sent_to(dynamodb: Stubber, event: Event, name: str) -> None:
    dynamodb.add_response("get_item", {"Item": STORED}, LOOK_UP)
    answer = handler(event(name), None)
    assert answer == {
        "principalId": KEY_ID,
        "policyDocument": {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Action": "execute-api:Invoke",
                    "Effect": "Allow",
                    "Resource": ["arn:aws:execute-api:eu-central-1:123456789012:a1b2c3d4e5/v1/*"],
                }
            ],
        },
        "context": {
            "key_id": KEY_ID,
            "scopes": "read write",
            "channel": "api",
            "workspace_id": "ws_01KAMZ5Q000000000000000001",
        },
        # Beside the context, where API Gateway looks for whose call to count.
        "usageIdentifierKey": "01KAMZ5Q00APVWEYWXCMJ7D3FR",
    }
    dynamodb.assert_no_pending_responses()


@pytest.mark.parametrize(
    "name",
    ["authorizer_malformed", "authorizer_other_scheme", "authorizer_no_header", "authorizer_no_headers"],
)
def test_what_no_key_looks_like_is_refused_without_a_look_at_the_table(
    dynamodb: Stubber, event: Event, name: str
) -> None:
    with pytest.raises(Exception, match=UNAUTHORIZED):
        handler(event(name), None)
    dynamodb.assert_no_pending_responses()


@pytest.mark.parametrize(
    ("name", "item"),
    [
        ("authorizer_wrong_secret", STORED),
        ("authorizer_valid", None),
        ("authorizer_valid", STORED | {"revoked_at": {"S": "2026-11-22T08:59:00.000Z"}}),
        ("authorizer_valid", STORED | {"expires_at": {"S": "2026-11-22T08:59:59.999Z"}}),
        ("authorizer_valid", STORED | {"expires_at": {"S": "2026-11-22T09:00:00.000Z"}}),
    ],
)
def test_other_keys_are_refused_in_the_words_that_api_gateway_knows(
    dynamodb: Stubber, event: Event, capsys: pytest.CaptureFixture[str], name: str, item: dict[str, Any] | None
) -> None:
    dynamodb.add_response("get_item", {"Item": item} if item else {}, LOOK_UP)
    with pytest.raises(Exception, match=UNAUTHORIZED):
        handler(event(name), None)
    assert SECRET[:40] not in "".join(capsys.readouterr())


def test_an_outage_is_no_answer_about_the_key(dynamodb: Stubber, event: Event) -> None:
    dynamodb.add_client_error("get_item", "AccessDeniedException", http_status_code=400)
    with pytest.raises(ClientError, match="AccessDenied"):
        handler(event("authorizer_valid"), None)


def test_a_key_is_good_until_the_moment_at_which_it_expires(dynamodb: Stubber, event: Event) -> None:
    dynamodb.add_response("get_item", {"Item": STORED | {"expires_at": {"S": "2026-11-22T09:00:00.001Z"}}}, LOOK_UP)
    assert handler(event("authorizer_valid"), None)["principalId"] == KEY_ID


# --- whose calls are counted together ---


def without(*names: str) -> dict[str, Any]:
    return {name: value for name, value in STORED.items() if name not in names}


@pytest.mark.parametrize(
    ("age", "identifier"),
    [
        (timedelta(0), "shared6f0c4a0e"),
        (SETTLING - timedelta(milliseconds=1), "shared6f0c4a0e"),
        (SETTLING, "01KAMZ5Q00APVWEYWXCMJ7D3FR"),
    ],
)
def test_a_key_is_counted_with_others_until_api_gateway_knows_its_own_usage_key(
    dynamodb: Stubber, event: Event, age: timedelta, identifier: str
) -> None:
    dynamodb.add_response("get_item", {"Item": STORED | {"created_at": {"S": to_rfc3339(NOW - age)}}}, LOOK_UP)
    assert handler(event("authorizer_valid"), None)["usageIdentifierKey"] == identifier


def test_a_key_of_the_time_before_usage_keys_shares_one(dynamodb: Stubber, event: Event) -> None:
    item = without("usage_identifier", "gateway_key_id", "name")
    dynamodb.add_response("get_item", {"Item": item}, LOOK_UP)
    assert handler(event("authorizer_valid"), None)["usageIdentifierKey"] == "shared6f0c4a0e"


@pytest.mark.parametrize(
    ("item", "identifier"),
    [
        (without("workspace_id", "usage_identifier", "gateway_key_id"), "operators6f0c4a0e"),
        (without("workspace_id") | {"created_at": {"S": to_rfc3339(NOW)}}, "operators6f0c4a0e"),
        (without("workspace_id"), "01KAMZ5Q00APVWEYWXCMJ7D3FR"),
    ],
    ids=["none", "new", "own"],
)
def test_operators_share_with_no_customer(
    dynamodb: Stubber, event: Event, item: dict[str, Any], identifier: str
) -> None:
    dynamodb.add_response("get_item", {"Item": item}, LOOK_UP)
    assert handler(event("authorizer_valid"), None)["usageIdentifierKey"] == identifier


# --- when a key was last used ---

NOTE = {
    "TableName": "work",
    "Key": LOOK_UP["Key"],
    "UpdateExpression": "SET last_used_at = :now",
    "ConditionExpression": "attribute_exists(pk) AND (attribute_not_exists(last_used_at) OR last_used_at <= :due)",
    "ExpressionAttributeValues": {":now": {"S": "2026-11-22T09:00:00.000Z"}, ":due": {"S": "2026-11-22T08:50:00.000Z"}},
}


@pytest.mark.parametrize("used_at", [None, "2026-11-22T08:50:00.000Z", "2025-01-01T00:00:00.000Z"])
def test_a_use_is_noted_when_the_last_note_is_ten_minutes_old(
    dynamodb: Stubber, event: Event, used_at: str | None
) -> None:
    item = without("last_used_at") | ({"last_used_at": {"S": used_at}} if used_at else {})
    dynamodb.add_response("get_item", {"Item": item}, LOOK_UP)
    dynamodb.add_response("update_item", {}, NOTE)
    assert handler(event("authorizer_valid"), None)["principalId"] == KEY_ID
    dynamodb.assert_no_pending_responses()


@pytest.mark.parametrize("used_at", ["2026-11-22T08:50:00.001Z", "2026-11-22T09:00:00.000Z"])
def test_recognising_a_key_takes_one_request_otherwise(dynamodb: Stubber, event: Event, used_at: str) -> None:
    # The stub refuses whatever it was not told of.
    dynamodb.add_response("get_item", {"Item": STORED | {"last_used_at": {"S": used_at}}}, LOOK_UP)
    assert handler(event("authorizer_valid"), None)["principalId"] == KEY_ID


@pytest.mark.parametrize(
    "error", ["ConditionalCheckFailedException", "TransactionConflictException", "InternalServerError", "AccessDenied"]
)
def test_nobody_is_refused_because_a_use_cannot_be_noted(
    dynamodb: Stubber, event: Event, caplog: pytest.LogCaptureFixture, error: str
) -> None:
    dynamodb.add_response("get_item", {"Item": without("last_used_at")}, LOOK_UP)
    dynamodb.add_client_error("update_item", error, "inner words")
    assert handler(event("authorizer_valid"), None)["principalId"] == KEY_ID
    told = [record.getMessage() for record in caplog.records]
    # That another call was faster is no news; all else is told by its kind.
    assert len(told) == (0 if error == "ConditionalCheckFailedException" else 1)
    assert SECRET[31:] not in caplog.text
    assert "inner words" not in caplog.text


def test_a_key_that_is_refused_is_not_used(dynamodb: Stubber, event: Event) -> None:
    item = without("last_used_at") | {"revoked_at": {"S": "2026-11-22T08:59:00.000Z"}}
    dynamodb.add_response("get_item", {"Item": item}, LOOK_UP)
    with pytest.raises(Exception, match=UNAUTHORIZED):
        handler(event("authorizer_valid"), None)


# --- what everybody may ask ---


def of(given: dict[str, Any], method: str, resource: str, path: str | None = None) -> dict[str, Any]:
    """The event for another route."""
    api, stage, *_ = given["methodArn"].split("/")
    path = path or resource
    return given | {
        "httpMethod": method,
        "resource": resource,
        "path": path,
        "methodArn": f"{api}/{stage}/{method}{path}",
    }


@pytest.mark.parametrize("name", ["authorizer_no_header", "authorizer_no_headers", "authorizer_wrong_secret"])
@pytest.mark.parametrize(
    ("method", "resource", "path", "allowed", "counted_by"),
    [
        ("GET", "/docs", None, ["GET/docs", "GET/docs/"], "documents6f0c4a0e"),
        ("GET", "/docs", "/docs/", ["GET/docs", "GET/docs/"], "documents6f0c4a0e"),
        ("GET", "/openapi.json", None, ["GET/openapi.json", "GET/openapi.json/"], "documents6f0c4a0e"),
        ("OPTIONS", "/{proxy+}", None, ["OPTIONS/*"], "preflight6f0c4a0e"),
        ("OPTIONS", "/records/{entity}", None, ["OPTIONS/*"], "preflight6f0c4a0e"),
    ],
)
@pytest.mark.usefixtures("dynamodb")
def test_what_is_public_is_allowed_to_everybody_and_nothing_else_with_it(
    event: Event, name: str, method: str, resource: str, path: str | None, allowed: list[str], counted_by: str
) -> None:
    answer = handler(of(event(name), method, resource, path), None)
    (statement,) = answer["policyDocument"]["Statement"]
    stage = "arn:aws:execute-api:eu-central-1:123456789012:a1b2c3d4e5/v1"
    assert statement["Resource"] == [f"{stage}/{part}" for part in allowed]
    assert answer["usageIdentifierKey"] == counted_by
    # Nobody's scopes, nobody's workspace, whatever credential came along.
    assert "context" not in answer


@pytest.mark.parametrize(
    ("method", "resource", "path"),
    [
        ("POST", "/docs", None),
        ("HEAD", "/openapi.json", None),
        ("GET", "/credits", None),
        ("GET", "/docs/", None),
        ("GET", "/{proxy+}", "/docs"),
        ("GET", "/records/{entity}/{key+}", "/records/product/docs"),
    ],
)
@pytest.mark.usefixtures("dynamodb")
def test_all_else_wants_a_credential(event: Event, method: str, resource: str, path: str | None) -> None:
    with pytest.raises(Exception, match=UNAUTHORIZED):
        handler(of(event("authorizer_no_header"), method, resource, path), None)


# --- people ---


class SignIns:
    """Recognises one token, and remembers which it was shown."""

    def __init__(self, principal: Principal | None) -> None:
        self.principal_of_the_token = principal
        self.shown: list[str] = []

    def principal(self, token: str) -> Principal | None:
        self.shown.append(token)
        return self.principal_of_the_token


ADA = Principal("ws_1", "person_5c1e1f0e", frozenset({Scope.READ, Scope.WRITE}), Channel.PERSON)


def test_a_person_s_token_is_told_from_a_key_and_needs_no_look_at_the_table(
    dynamodb: Stubber, event: Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = SignIns(ADA)
    monkeypatch.setattr(authorizer, "sign_ins", lambda: people)
    answer = handler(event("authorizer_person"), None)
    assert answer["usageIdentifierKey"] == "people6f0c4a0e"
    assert answer["context"] == {
        "key_id": "person_5c1e1f0e",
        "scopes": "read write",
        "channel": "person",
        "workspace_id": "ws_1",
    }
    assert people.shown == [event("authorizer_person")["headers"]["Authorization"].removeprefix("Bearer ")]
    dynamodb.add_response("get_item", {"Item": STORED}, LOOK_UP)
    assert handler(event("authorizer_valid"), None)["context"]["channel"] == "api"
    assert len(people.shown) == 1


def test_a_token_that_is_nobody_s_is_refused_like_a_key(
    dynamodb: Stubber, event: Event, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(authorizer, "sign_ins", lambda: SignIns(None))
    with pytest.raises(Exception, match=UNAUTHORIZED):
        handler(event("authorizer_person"), None)
    assert "eyJ" not in "".join(capsys.readouterr())
    dynamodb.assert_no_pending_responses()


def loaded_by_the_authorizer() -> set[str]:
    """The modules that a cold start loads."""
    loaded = "import functions.authorizer.handler, sys; print(*sys.modules)"
    return set(
        subprocess.run([sys.executable, "-c", loaded], check=True, capture_output=True, text=True).stdout.split()
    )


def test_cryptography_is_not_loaded_before_a_person_calls() -> None:
    """It would double the cold start of a function that is asked at every call."""
    assert loaded_by_the_authorizer() & {"cryptography", "jwt"} == set()


def test_nothing_is_loaded_that_recognising_a_key_does_not_need() -> None:
    heavy = {"pydantic", "aws_lambda_powertools", "shared.settings", "shared.workspaces.store"}
    heavy |= {"shared.workspaces.key_store", "shared.workspaces.usage_keys"}
    assert loaded_by_the_authorizer() & heavy == set()


@pytest.mark.parametrize(
    ("headers", "token"),
    [
        ({"Authorization": "Bearer abc"}, "abc"),
        ({"AUTHORIZATION": "BEARER abc"}, "abc"),
        ({"authorization": "  bearer   abc  "}, "abc"),
        ({"Authorization": "abc"}, None),
        ({"Authorization": "Bearer"}, None),
        ({"Authorization": "Bearer  "}, None),
        ({"Authorization": "Basic abc"}, None),
        ({"X-Api-Key": "abc"}, None),
        ({}, None),
    ],
)
def test_the_token_of_a_bearer_header(headers: dict[str, str], token: str | None) -> None:
    assert bearer_token(headers) == token


def test_an_operator_s_context_holds_no_null() -> None:
    operator = Principal(None, "key_1", frozenset({Scope.OPERATOR}), Channel.API)
    answer = policy(operator, "arn:aws:execute-api:eu-central-1:1:api/v1/POST/workspaces", "shared6f0c4a0e")
    assert answer["context"] == {"key_id": "key_1", "scopes": "operator", "channel": "api"}
