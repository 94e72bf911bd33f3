"""Announcements as they are sent; EventBridge and SNS are stubbed at the request."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import boto3
import pytest
from botocore.stub import Stubber

from shared.announcing import Announcement, AnnouncementKind, AnnouncementRefused, Announcer
from shared.automation.announcing import of_automation, running_low
from shared.automation.store import Automation, AutomationReason, AutomationState
from shared.credits import Balance
from shared.rules.commands import of_suspension
from shared.rules.definition import RuleDefinition
from shared.rules.model import Rule

TOPIC = "arn:aws:sns:eu-central-1:123456789012:credit-events"
AT = datetime(2026, 11, 22, 8, 0, 0, 123_000, tzinfo=UTC)
BALANCE = Balance(
    workspace_id="ws_1",
    available=240,
    owed=3,
    granted=6_000,
    consumed=5_763,
    expired=0,
    void=0,
    revision=2,
    base=5_000,
    level=5,
    grants=(),
)
LOW = running_low(BALANCE, 5, AT)


def automation(state: AutomationState, reason: AutomationReason, sequence: int = 7) -> Automation:
    return Automation(
        workspace_id="ws_1",
        state=state,
        reason=reason,
        since=AT,
        sequence=sequence,
        announced=AutomationState.ACTIVE,
        listed=True,
    )


@pytest.fixture
def events() -> Iterator[Stubber]:
    with Stubber(boto3.client("events", region_name="eu-central-1")) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


@pytest.fixture
def sns() -> Iterator[Stubber]:
    with Stubber(boto3.client("sns", region_name="eu-central-1")) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


def announce(events: Stubber, sns: Stubber, announcement: Announcement = LOW) -> None:
    Announcer(events.client, sns.client, TOPIC).announce(announcement)  # type: ignore[arg-type]  # what is stubbed


def test_the_bus_and_the_topic_get_the_same_document(events: Stubber, sns: Stubber) -> None:
    document = json.dumps(
        {
            "announcement_id": "ws_1.level.2-5",
            "event": "Credits Low",
            "workspace_id": "ws_1",
            "at": "2026-11-22T08:00:00.123Z",
            "threshold": 5,
            "base": 5_000,
            "available": 240,
            "owed": 3,
        }
    )
    entry = {"Source": "productsync.credits", "DetailType": "Credits Low", "Time": AT, "Detail": document}
    events.add_response("put_events", {"FailedEntryCount": 0, "Entries": [{"EventId": "1"}]}, {"Entries": [entry]})
    sns.add_response(
        "publish",
        {"MessageId": "1"},
        {
            "TopicArn": TOPIC,
            "Subject": "ProductSync: Credits Low (ws_1)",
            "Message": document,
            "MessageAttributes": {
                "workspace_id": {"DataType": "String", "StringValue": "ws_1"},
                "event": {"DataType": "String", "StringValue": "Credits Low"},
            },
        },
    )
    announce(events, sns)


def test_an_event_that_the_bus_refuses_is_a_failure(events: Stubber, sns: Stubber) -> None:
    refusal = {"ErrorCode": "InternalFailure", "ErrorMessage": "not now"}
    events.add_response("put_events", {"FailedEntryCount": 1, "Entries": [refusal]})
    with pytest.raises(AnnouncementRefused, match="InternalFailure: not now"):
        announce(events, sns)


def test_a_pause_and_the_end_of_it_say_since_when_and_why() -> None:
    stopped = of_automation(automation(AutomationState.PAUSED, AutomationReason.OUT_OF_CREDITS), BALANCE)
    assert stopped.kind is AnnouncementKind.PAUSED
    assert stopped.document() == {
        "announcement_id": "ws_1.automation.7",
        "event": "Automation Paused",
        "workspace_id": "ws_1",
        "at": "2026-11-22T08:00:00.123Z",
        "since": "2026-11-22T08:00:00.123Z",
        "reason": "out_of_credits",
        "available": 240,
        "owed": 3,
    }
    going_on = of_automation(automation(AutomationState.ACTIVE, AutomationReason.CREDITS_AVAILABLE, 8), BALANCE)
    assert going_on.kind is AnnouncementKind.RESUMED
    assert going_on.document()["event"] == "Automation Resumed"
    assert going_on.document()["reason"] == "credits_available"
    assert going_on.announcement_id == "ws_1.automation.8"


def test_a_suspension_names_the_rule_and_its_version() -> None:
    rule = Rule(
        workspace_id="ws_1",
        rule_id="gross",
        definition=RuleDefinition.model_validate(
            {"entity": "product", "trigger": {"on": ["updated"]}, "actions": [{"clear": "old"}]}
        ),
        version=17,
        created_at=AT,
        updated_at=AT,
        suspended_at=AT,
    )
    suspended = of_suspension(rule, 100)
    assert suspended.kind is AnnouncementKind.RULE_SUSPENDED
    assert suspended.document() == {
        "announcement_id": "ws_1.rule.gross.17",
        "event": "Rule Suspended",
        "workspace_id": "ws_1",
        "at": "2026-11-22T08:00:00.123Z",
        "since": "2026-11-22T08:00:00.123Z",
        "reason": "fired_too_often",
        "rule_id": "gross",
        "rule_version": 17,
        "entity": "product",
        "firings_per_hour": 100,
    }
    with pytest.raises(ValueError, match="not suspended"):
        of_suspension(replace(rule, suspended_at=None), 100)


def test_a_repetition_carries_the_same_identifier_and_another_crossing_another() -> None:
    assert running_low(BALANCE, 5, AT).announcement_id == LOW.announcement_id
    assert running_low(BALANCE, 20, AT).announcement_id != LOW.announcement_id


def test_subjects_fit_what_sns_takes() -> None:
    longest = max(len(f"ProductSync: {kind.value} (ws_{'0' * 26})") for kind in AnnouncementKind)
    assert longest < 100
