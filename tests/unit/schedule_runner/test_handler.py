"""The schedule runner on events as EventBridge Scheduler sends them; DynamoDB is stubbed at the request.

What firings come to is proved on real tables, in tests/dynamodb/test_firing.py.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from functions.schedule_runner import handler as runner
from shared.credits import Ledger, PriceList
from shared.feeds.store import FeedStore
from shared.rules.passes.store import PassStore
from shared.rules.store import RuleStore
from shared.runs.artifacts import RunArtifacts
from shared.runs.store import RunStore
from shared.schedules.firing import Firing, FiringRoom
from shared.schedules.jobs import JobRoom
from shared.schedules.store import ScheduleStore
from shared.schedules.syncs import LatestSyncs
from tests.support.functions import Context

WORKSPACE = "ws_01KAMZ5Q000000000000000001"
NOW = datetime(2026, 11, 22, 8, 0, 41, 123_000, tzinfo=UTC)
DUE = Firing(WORKSPACE, "hourly", datetime(2026, 11, 22, 8, tzinfo=UTC), version=1)


@pytest.fixture
def dynamodb(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stubber]:
    client = boto3.client("dynamodb", region_name="eu-central-1")
    room = FiringRoom(
        schedules=ScheduleStore(client, "work"),
        jobs=JobRoom(
            feeds=FeedStore(client, "work"),
            runs=RunStore(client, "work"),
            artifacts=RunArtifacts(boto3.client("s3", region_name="eu-central-1"), "data"),
            rules=RuleStore(client, "work"),
            passes=PassStore(client, "work"),
        ),
        syncs=LatestSyncs(client, "work"),
        ledger=Ledger(client, "credit"),
        prices=PriceList(),
    )
    monkeypatch.setattr(runner, "room", lambda: room)
    with Stubber(client) as stubber:
        yield stubber
    stubber.assert_no_pending_responses()


def event(project: Path, name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((project / "events" / f"schedule_runner_{name}.json").read_text())
    return document


def call(document: Any) -> dict[str, str] | None:
    told: dict[str, str] | None = runner.handler(document, Context())
    return told


@pytest.mark.parametrize(
    ("name", "firing"),
    [
        ("fired", DUE),
        ("duplicate", DUE),
        pytest.param("unexpanded", DUE, id="an unexpanded time is the minute of the call"),
        ("deleted_feed", replace(DUE, schedule_id="of-a-deleted-feed")),
    ],
)
def test_an_event_names_the_firing(project: Path, name: str, firing: Firing) -> None:
    assert runner.firing_of(event(project, name), NOW) == firing


@pytest.mark.parametrize("text", [None, "", "<aws.scheduler.scheduled-time>"])
def test_a_time_that_was_not_filled_in_is_the_minute_of_the_call(project: Path, text: str | None) -> None:
    assert runner.firing_of(event(project, "fired") | {"scheduled_time": text}, NOW) == DUE


def test_a_missing_time_is_the_minute_of_the_call(project: Path) -> None:
    document = event(project, "fired")
    del document["scheduled_time"]
    assert runner.firing_of(document, NOW) == DUE


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2026-11-22T08:00:43Z", datetime(2026, 11, 22, 8, 0, 43, tzinfo=UTC)),
        ("2026-11-22T09:00:00+01:00", datetime(2026, 11, 22, 8, tzinfo=UTC)),
        ("2199-12-31T23:59:00Z", datetime(2199, 12, 31, 23, 59, tzinfo=UTC)),
    ],
)
def test_a_scheduled_time_counts_as_it_is(project: Path, text: str, at: datetime) -> None:
    assert runner.firing_of(event(project, "fired") | {"scheduled_time": text}, NOW).scheduled_at == at


@pytest.mark.parametrize(
    "changes",
    [
        {"workspace_id": None},
        {"workspace_id": ""},
        {"workspace_id": ["ws"]},
        {"schedule_id": None},
        {"schedule_id": 7},
        {"scheduled_time": "eight o'clock"},
        {"scheduled_time": "2026-11-22T08:00:00"},
        {"scheduled_time": "1969-12-31T23:59:59Z"},
        {"scheduled_time": 1795334400},
        {"scheduled_time": {"of": "day"}},
    ],
)
def test_what_is_malformed_is_logged_and_dropped(
    project: Path, dynamodb: Stubber, caplog: pytest.LogCaptureFixture, changes: dict[str, Any]
) -> None:
    assert call(event(project, "fired") | changes) is None
    assert "no firing of a schedule of ours" in caplog.text
    dynamodb.assert_no_pending_responses()


@pytest.mark.parametrize("document", [None, [], "fire", 7, {}])
def test_what_is_no_object_of_ours_is_dropped(dynamodb: Stubber, document: Any) -> None:
    assert call(document) is None
    dynamodb.assert_no_pending_responses()


def test_the_malformed_event_is_dropped(project: Path, dynamodb: Stubber) -> None:
    assert call(event(project, "malformed")) is None
    dynamodb.assert_no_pending_responses()


def test_a_schedule_that_was_deleted_is_ignored(
    project: Path, dynamodb: Stubber, capsys: pytest.CaptureFixture[str]
) -> None:
    key = {"pk": {"S": f"W#{WORKSPACE}#SCHEDULES"}, "sk": {"S": "hourly"}}
    dynamodb.add_response("get_item", {}, {"TableName": "work", "Key": key, "ConsistentRead": True})
    assert call(event(project, "fired")) == {"outcome": "ignored", "reason": "the schedule was deleted"}
    metrics = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert [metrics[name] for name in ("FiringsStarted", "FiringsSkipped", "FiringsRefused")] == [[0], [0], [0]]


def test_an_outage_is_let_out_to_be_tried_again(project: Path, dynamodb: Stubber) -> None:
    dynamodb.add_client_error("get_item", "InternalServerError", http_status_code=500)
    with pytest.raises(ClientError):
        call(event(project, "fired"))
