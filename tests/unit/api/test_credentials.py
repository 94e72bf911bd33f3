"""Credentials as they are sent: whole, and never told again."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.stub import Stubber

from functions.api.models.credentials import CredentialsRequest
from shared.dynamo.values import to_item
from shared.sources.credentials import BasicCredentials, BearerCredentials, Credentials, HeaderCredentials
from tests.unit.api.conftest import Answer, Event

SECRET = "open-sesame-42"
Call = Callable[[Event], Answer]


@pytest.mark.parametrize(
    ("body", "credentials"),
    [
        (
            {"type": "basic", "username": "shop", "password": "pass: wörd"},
            BasicCredentials(username="shop", password="pass: wörd"),
        ),
        ({"type": "bearer", "token": SECRET}, BearerCredentials(token=SECRET)),
        ({"type": "header", "name": "X-Api-Key", "value": SECRET}, HeaderCredentials(name="X-Api-Key", value=SECRET)),
    ],
)
def test_credentials_are_taken_as_they_are(body: dict[str, Any], credentials: Credentials) -> None:
    request = CredentialsRequest.model_validate(body)
    assert request.credentials() == credentials
    assert SECRET not in repr(request)
    assert SECRET not in repr(credentials)


BAD: list[tuple[dict[str, Any], str]] = [
    ({"type": "digest", "token": SECRET}, "type"),
    ({"type": "basic", "username": "shop"}, "password"),
    ({"type": "basic", "password": SECRET}, "username"),
    ({"type": "basic", "username": "a:b", "password": SECRET}, "username"),
    ({"type": "basic", "username": "shop", "password": ""}, "password"),
    ({"type": "basic", "username": "shop", "password": SECRET * 100}, "password"),
    ({"type": "basic", "username": "shop", "password": f"{SECRET}\ud800"}, "password"),
    ({"type": "basic", "username": "shop\udfff", "password": SECRET}, "username"),
    ({"type": "bearer", "token": f"\ud800{SECRET}"}, "token"),
    ({"type": "header", "name": "X-Key", "value": f"{SECRET}\udc00"}, "value"),
    ({"type": "bearer"}, "token"),
    ({"type": "bearer", "token": SECRET, "value": SECRET}, "value"),
    ({"type": "bearer", "token": f"{SECRET}\r\nHost: b"}, "token"),
    ({"type": "bearer", "token": f" {SECRET}"}, "token"),
    ({"type": "bearer", "token": f"{SECRET}ü"}, "token"),
    ({"type": "bearer", "token": {"secret": SECRET}}, "token"),
    ({"type": "header", "name": "X Key", "value": SECRET}, "name"),
    ({"type": "header", "name": "host", "value": SECRET}, "name"),
    ({"type": "header", "name": "Transfer-Encoding", "value": SECRET}, "name"),
    ({"type": "header", "value": SECRET}, "name"),
    ({"type": "bearer", "token": SECRET, "secret": SECRET}, "secret"),
]


@pytest.mark.parametrize(("body", "field"), BAD)
def test_what_is_wrong_is_told_without_what_was_sent(
    body: dict[str, Any],
    field: str,
    event: Callable[[str], Event],
    call: Call,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    put = event("api_start_run") | {
        "resource": "/feeds/{feed_id}/credentials",
        "path": "/feeds/main/credentials",
        "httpMethod": "PUT",
        "body": json.dumps(body),
    }
    put["pathParameters"] = {"feed_id": "main"}
    put["requestContext"]["authorizer"]["scopes"] = "configure"
    answer = call(put)
    assert answer.status == 422
    assert [error["field"] for error in answer.body["errors"]] == [field]
    assert SECRET not in answer.text + caplog.text + "".join(capsys.readouterr())


def test_credentials_are_not_sent_in_clear_and_not_for_nothing(
    event: Callable[[str], Event], call: Call, dynamodb: Stubber
) -> None:
    for source, slug in (
        ({"type": "http", "url": "http://shop.example/feed.csv"}, "source-not-encrypted"),
        ({"type": "s3", "bucket": "feeds", "key": "a/b"}, "nothing-to-pull"),
        (None, "nothing-to-pull"),
    ):
        feed = {
            "feed_id": "main",
            "version": 1,
            "created_at": "2026-11-22T08:00:00.000Z",
            "updated_at": "2026-11-22T08:00:00.000Z",
            "definition": json.dumps({"preset": "shopify", "source": source}),
        }
        dynamodb.add_response("get_item", {"Item": to_item(feed)})
        put = event("api_start_run") | {
            "resource": "/feeds/{feed_id}/credentials",
            "httpMethod": "PUT",
            "body": json.dumps({"type": "bearer", "token": SECRET}),
        }
        put["pathParameters"] = {"feed_id": "main"}
        put["requestContext"]["authorizer"]["scopes"] = "configure"
        del put["multiValueHeaders"]["Idempotency-Key"]
        answer = call(put)
        assert answer.body["type"] == f"/problems/{slug}", answer.text
        assert answer.status == 409
