"""The guard's handler on events as the stream and the queue send them; the guard itself is tested elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import boto3
import pytest
from aws_lambda_powertools.utilities.batch.exceptions import BatchProcessingError
from botocore.exceptions import ClientError, EndpointConnectionError
from botocore.stub import Stubber

from functions.credit_guard import handler as guard
from shared.announcing import AnnouncementRefused
from shared.automation.guard import Done, NotSettled, Unfinished
from shared.automation.messages import GuardMessage
from shared.automation.store import AutomationState
from shared.dynamo.transactions import StoreUnavailable
from shared.schedules.commands import StillMoving
from shared.settings import GuardSettings
from tests.support.functions import Context, failed, sample

QUEUE = "https://sqs.eu-central-1.amazonaws.com/123456789012/guard"
WORKSPACE = "ws_01KAMZ5Q000000000000000001"
OTHER = "ws_01KAMZ5Q000000000000000002"
PAUSED = Done(AutomationState.PAUSED)


@dataclass
class Guard:
    """Notes where it was sent, and ends as it is told to."""

    outcome: Done | Unfinished | Exception = PAUSED
    attended: list[tuple[str, Unfinished | None]] = field(default_factory=list)
    settled: list[tuple[str, str]] = field(default_factory=list)

    def attend(
        self, _room: object, workspace_id: str, _out_of_time: Callable[[], bool], going_on: Unfinished | None
    ) -> Done | Unfinished:
        self.attended.append((workspace_id, going_on))
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome

    def attend_schedule(self, _room: object, workspace_id: str, schedule_id: str) -> None:
        self.settled.append((workspace_id, schedule_id))


@pytest.fixture
def sent_for(monkeypatch: pytest.MonkeyPatch) -> Guard:
    double = Guard()
    monkeypatch.setattr(guard, "attend", double.attend)
    monkeypatch.setattr(guard, "attend_schedule", double.attend_schedule)
    monkeypatch.setattr(guard, "room", object)
    return double


@pytest.fixture
def sqs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stubber]:
    client = boto3.client("sqs", region_name="eu-central-1")
    monkeypatch.setattr(guard, "sqs", lambda: client)
    monkeypatch.setattr(guard, "guard_settings", lambda: GuardSettings(queue_url=QUEUE))
    with Stubber(client) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


def expect(sqs: Stubber, message: GuardMessage, delay_seconds: int = 0) -> None:
    asked = {"QueueUrl": QUEUE, "MessageBody": message.to_json(), "DelaySeconds": delay_seconds}
    sqs.add_response("send_message", {"MessageId": "1"}, asked)


def call(event: dict[str, Any], context: Context | None = None) -> list[str]:
    return failed(guard.handler(event, context or Context()))  # type: ignore[arg-type]  # what it reads of a context


@pytest.mark.parametrize("name", ["exhausted", "topped_up", "topped_up_above_zero"])
@pytest.mark.usefixtures("sqs")
def test_a_balance_that_reached_zero_or_was_topped_up_sends_the_guard(sent_for: Guard, name: str) -> None:
    assert call(sample(f"credit_guard_{name}")) == []
    assert sent_for.attended == [(WORKSPACE, None)]


@pytest.mark.usefixtures("sqs")
def test_records_of_one_workspace_send_the_guard_once(sent_for: Guard) -> None:
    assert call(sample("credit_guard_duplicate")) == []
    assert sent_for.attended == [(WORKSPACE, None), (OTHER, None)]


@pytest.mark.usefixtures("sqs")
def test_the_next_batch_sends_it_again(sent_for: Guard) -> None:
    call(sample("credit_guard_exhausted"))
    call(sample("credit_guard_exhausted"))
    assert len(sent_for.attended) == 2


@pytest.mark.usefixtures("sqs")
def test_what_names_no_workspace_is_passed_over(sent_for: Guard, caplog: pytest.LogCaptureFixture) -> None:
    assert call(sample("credit_guard_malformed")) == []
    assert sent_for.attended == [(WORKSPACE, None)]
    assert caplog.text.count("a balance that names no workspace") == 2


@pytest.mark.parametrize(
    "failure",
    [
        NotSettled("3 schedules"),
        StillMoving("it came and went"),
        StoreUnavailable("a transaction"),
        AnnouncementRefused("InternalFailure"),
        ClientError({"Error": {"Code": "ThrottlingException"}}, "UpdateSchedule"),
        EndpointConnectionError(endpoint_url="https://scheduler"),
    ],
)
def test_a_workspace_that_cannot_be_attended_goes_to_the_queue_and_holds_nobody_up(
    sent_for: Guard, sqs: Stubber, failure: Exception
) -> None:
    sent_for.outcome = failure
    expect(sqs, GuardMessage(WORKSPACE), guard.RETRY_SECONDS)
    expect(sqs, GuardMessage(OTHER), guard.RETRY_SECONDS)
    assert call(sample("credit_guard_duplicate")) == []


def test_a_record_is_reported_when_the_queue_fails_too(sent_for: Guard, sqs: Stubber) -> None:
    document = sample("credit_guard_duplicate")
    sent_for.outcome = NotSettled("3 schedules")
    expect(sqs, GuardMessage(WORKSPACE), guard.RETRY_SECONDS)
    sqs.add_client_error("send_message", "ServiceUnavailable", http_status_code=503)
    assert call(document) == [document["Records"][3]["dynamodb"]["SequenceNumber"]]


@pytest.mark.usefixtures("sqs")
def test_a_bug_is_reported_and_not_hidden_in_the_queue(sent_for: Guard) -> None:
    sent_for.outcome = AssertionError("a bug")
    with pytest.raises(BatchProcessingError):
        call(sample("credit_guard_exhausted"))


def test_what_time_does_not_suffice_for_goes_to_the_queue_at_once(sent_for: Guard, sqs: Stubber) -> None:
    expect(sqs, GuardMessage(WORKSPACE))
    assert call(sample("credit_guard_exhausted"), Context(guard.HAND_OVER_BEFORE_TIMEOUT_MS - 1)) == []
    assert sent_for.attended == []


def test_what_is_left_over_is_handed_over(sent_for: Guard, sqs: Stubber) -> None:
    sent_for.outcome = Unfinished(AutomationState.PAUSED, "stock-0640")
    expect(sqs, GuardMessage(WORKSPACE, state="paused", after="stock-0640"))
    assert call(sample("credit_guard_exhausted")) == []


@pytest.mark.usefixtures("sqs")
def test_messages_send_the_guard_to_workspaces_to_schedules_and_on_from_where_it_stopped(sent_for: Guard) -> None:
    assert call(sample("credit_guard_queue")) == []
    assert sent_for.attended == [(WORKSPACE, None), (OTHER, Unfinished(AutomationState.PAUSED, "stock-0640"))]
    assert sent_for.settled == [(WORKSPACE, "stock")]


@pytest.mark.usefixtures("sqs")
def test_a_message_that_fails_is_reported_to_be_delivered_again(sent_for: Guard) -> None:
    document = sample("credit_guard_queue")
    sent_for.outcome = NotSettled("3 schedules")
    assert call(document) == [document["Records"][0]["messageId"], document["Records"][2]["messageId"]]


@pytest.mark.usefixtures("sqs")
def test_a_message_that_nobody_can_read_ends_in_the_dead_letters(sent_for: Guard) -> None:
    with pytest.raises(BatchProcessingError):
        call(sample("credit_guard_queue_malformed"))
    assert sent_for.attended == []
