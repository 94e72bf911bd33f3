"""The expiry of grants on events as EventBridge Scheduler sends them; DynamoDB is stubbed at the request.

What is booked is proved on real tables, in tests/dynamodb/test_expiries.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from functions.grant_expiry import handler as expiry
from shared.credits import Ledger
from tests.support.functions import Context, sample

DUE = expiry.Due("ws_01KAMZ5Q000000000000000001", "gr_01KAMZ5Q00E5K7N9R1T3W5Y7A9")


@pytest.fixture
def dynamodb(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stubber]:
    client = boto3.client("dynamodb", region_name="eu-central-1")
    monkeypatch.setattr(expiry, "ledger", lambda: Ledger(client, "credit"))
    with Stubber(client) as stubber:
        yield stubber
    stubber.assert_no_pending_responses()


def call(event: Any) -> dict[str, int] | None:
    return expiry.handler(event, Context())  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["due", "duplicate", "dead_letter"])
def test_an_event_names_the_grant(name: str) -> None:
    assert expiry.due_of(sample(f"grant_expiry_{name}")) == DUE


@pytest.mark.parametrize(
    "event",
    [
        sample("grant_expiry_malformed"),
        *(None, [], "expire", 7, {}),
        {"workspace_id": "", "grant_id": DUE.grant_id},
        {"workspace_id": DUE.workspace_id, "grant_id": None},
        {"workspace_id": [DUE.workspace_id], "grant_id": DUE.grant_id},
    ],
)
def test_what_is_malformed_is_logged_and_dropped(
    dynamodb: Stubber, caplog: pytest.LogCaptureFixture, event: Any
) -> None:
    assert call(event) is None
    assert "no expiry of a grant of ours" in caplog.text
    dynamodb.assert_no_pending_responses()


def test_an_account_that_is_none_is_logged_and_dropped(dynamodb: Stubber, caplog: pytest.LogCaptureFixture) -> None:
    dynamodb.add_response("get_item", {})
    assert call(sample("grant_expiry_due")) is None
    assert "no such account" in caplog.text


def test_an_outage_is_let_out_to_be_tried_again(dynamodb: Stubber) -> None:
    dynamodb.add_client_error("get_item", "InternalServerError", http_status_code=500)
    with pytest.raises(ClientError):
        call(sample("grant_expiry_due"))
