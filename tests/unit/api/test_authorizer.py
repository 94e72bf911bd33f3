"""The authorizer on events as API Gateway sends them."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from functions.authorizer import handler as authorizer
from functions.authorizer.handler import bearer_token, handler, policy
from shared.credits import Channel
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
    "created_at": {"S": "2026-11-22T08:00:00.000Z"},
}
LOOK_UP = {"TableName": "work", "Key": {"pk": STORED["pk"], "sk": STORED["sk"]}, "ConsistentRead": True}

UNAUTHORIZED = re.escape("Unauthorized") + "$"

Event = Callable[[str], dict[str, Any]]


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
                    "Resource": "arn:aws:execute-api:eu-central-1:123456789012:a1b2c3d4e5/v1/*",
                }
            ],
        },
        "context": {
            "key_id": KEY_ID,
            "scopes": "read write",
            "channel": "api",
            "workspace_id": "ws_01KAMZ5Q000000000000000001",
        },
    }


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
        ("authorizer_valid", STORED | {"revoked_at": {"S": "2026-11-22T09:00:00.000Z"}}),
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
    context = handler(event("authorizer_person"), None)["context"]
    assert context == {
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


def test_cryptography_is_not_loaded_before_a_person_calls() -> None:
    """It would double the cold start of a function that is asked at every call."""
    loaded = "import functions.authorizer.handler, sys; print('cryptography' in sys.modules, 'jwt' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", loaded], check=True, capture_output=True, text=True).stdout
    assert said.split() == ["False", "False"]


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
    context = policy(operator, "arn:aws:execute-api:eu-central-1:1:api/v1/POST/workspaces")["context"]
    assert context == {"key_id": "key_1", "scopes": "operator", "channel": "api"}
