"""The sweep's handler; what it finds is tested elsewhere."""

from __future__ import annotations

from collections.abc import Iterator

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from functions.credit_sweep import handler as sweeper
from shared.automation.sweep import Call
from shared.settings import GuardSettings
from tests.support.functions import Context, sample

QUEUE = "https://sqs.eu-central-1.amazonaws.com/123456789012/guard"


@pytest.fixture
def sqs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stubber]:
    client = boto3.client("sqs", region_name="eu-central-1")
    found = [Call("ws_1"), Call("ws_2", "stock")]
    monkeypatch.setattr(sweeper, "sweep", lambda _room: iter(found))
    monkeypatch.setattr(sweeper, "room", object)
    monkeypatch.setattr(sweeper, "sqs", lambda: client)
    monkeypatch.setattr(sweeper, "guard_settings", lambda: GuardSettings(queue_url=QUEUE))
    with Stubber(client) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


def expect(sqs: Stubber, body: str) -> None:
    sqs.add_response("send_message", {"MessageId": "1"}, {"QueueUrl": QUEUE, "MessageBody": body})


def test_the_guard_is_sent_to_everything_that_the_sweep_finds(sqs: Stubber) -> None:
    expect(sqs, '{"workspace_id": "ws_1"}')
    expect(sqs, '{"workspace_id": "ws_2", "schedule_id": "stock"}')
    assert sweeper.handler(sample("credit_sweep"), Context()) == {"sent": 2}  # type: ignore[arg-type]


def test_a_sweep_that_fails_fails_aloud(sqs: Stubber) -> None:
    expect(sqs, '{"workspace_id": "ws_1"}')
    sqs.add_client_error("send_message", "ServiceUnavailable", http_status_code=503)
    with pytest.raises(ClientError):
        sweeper.handler(sample("credit_sweep"), Context())  # type: ignore[arg-type]
