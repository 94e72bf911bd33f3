"""The follower on thresholds that balances have fallen under, in events as the stream and its queue send them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from aws_lambda_powertools.utilities.batch.exceptions import BatchProcessingError
from botocore.exceptions import ClientError

from functions.credit_follower import announcing
from functions.credit_follower import handler as follower
from shared.announcing import Announcement, AnnouncementKind
from shared.settings import FollowerSettings
from tests.support.functions import Context, failed, sample

WORKSPACE = "ws_01KAMZ5Q000000000000000001"
OTHER = "ws_01KAMZ5Q000000000000000002"
OUTAGE = ClientError({"Error": {"Code": "ServiceUnavailable"}}, "Publish")


@dataclass
class Marks:
    """Remembers what was announced."""

    made: set[str] = field(default_factory=set)

    def has(self, announcement: Announcement) -> bool:
        return announcement.announcement_id in self.made

    def put(self, announcement: Announcement) -> None:
        self.made.add(announcement.announcement_id)


@dataclass
class Told:
    """Hears what is announced, unless it is told not to; `asked` counts the tries."""

    announcements: list[Announcement] = field(default_factory=list)
    fails_at: int | None = None
    is_down: bool = False
    asked: int = 0
    marks: Marks = field(default_factory=Marks)

    def announce(self, announcement: Announcement) -> None:
        self.asked += 1
        if self.is_down or self.fails_at == len(self.announcements):
            self.fails_at = None
            raise OUTAGE
        self.announcements.append(announcement)

    @property
    def thresholds(self) -> list[int]:
        return [each.detail["threshold"] for each in self.announcements]


@dataclass
class Queue:
    """Keeps what it is sent, unless it is told not to."""

    bodies: list[str] = field(default_factory=list)
    is_down: bool = False

    def send_message(self, *, QueueUrl: str, MessageBody: str) -> None:  # noqa: N803
        assert QueueUrl == "https://queue"
        if self.is_down:
            raise OUTAGE
        self.bodies.append(MessageBody)

    def event(self) -> dict[str, Any]:
        """What the function is called with for all that waits."""
        (like,) = sample("credit_follower_queue")["Records"]
        records = [like | {"messageId": f"m{nth}", "body": body} for nth, body in enumerate(self.bodies)]
        return {"Records": records}


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    double = Told()
    monkeypatch.setattr(announcing, "announcer", lambda: double)
    monkeypatch.setattr(announcing, "marks", lambda: double.marks)
    return double


@pytest.fixture
def queue(monkeypatch: pytest.MonkeyPatch) -> Queue:
    double = Queue()
    monkeypatch.setattr(announcing, "sqs", lambda: double)
    monkeypatch.setattr(announcing, "follower_settings", lambda: FollowerSettings(queue_url="https://queue"))
    return double


def handled(event: dict[str, Any]) -> list[str]:
    return failed(follower.handler(event, Context()))  # type: ignore[arg-type]  # what it reads of a context


def call(name: str) -> list[str]:
    return handled(sample(name))


def test_each_threshold_that_was_crossed_is_told_the_highest_first(told: Told) -> None:
    assert call("credit_follower_fallen") == []
    first, second = told.announcements
    assert (first.detail["threshold"], second.detail["threshold"]) == (50, 20)
    assert first.kind is AnnouncementKind.LOW
    assert first.workspace_id == WORKSPACE
    assert first.at == datetime(2026, 11, 22, 8, tzinfo=UTC).replace(second=first.at.second)
    assert (first.detail["base"], first.detail["available"], first.detail["owed"]) == (5_000, 999, 0)


def test_a_record_that_comes_twice_is_told_once(told: Told) -> None:
    assert call("credit_follower_duplicate") == []
    assert call("credit_follower_fallen") == []
    assert told.thresholds == [50, 20]


def test_what_could_not_be_told_is_left_to_the_queue_and_so_is_what_comes_after_it(told: Told, queue: Queue) -> None:
    told.fails_at = 0
    assert call("credit_follower_fallen") == []
    assert told.announcements == []
    # The first failure says enough: what is down may take seconds to say so, each time.
    assert told.asked == 1
    assert [json.loads(body)["threshold"] for body in queue.bodies] == [50, 20]
    assert handled(queue.event()) == []
    assert told.thresholds == [50, 20]


def test_what_waited_in_the_queue_is_what_would_have_been_told(told: Told, queue: Queue) -> None:
    assert call("credit_follower_fallen") == []
    at_once, told.announcements = told.announcements, []
    told.marks.made.clear()
    told.fails_at = 0
    assert call("credit_follower_fallen") == []
    assert handled(queue.event()) == []
    assert [each.document() for each in told.announcements] == [each.document() for each in at_once]


def test_what_comes_from_both_the_stream_and_the_queue_is_told_once(told: Told) -> None:
    assert call("credit_follower_queue") == []
    assert call("credit_follower_queue") == []
    assert told.thresholds == [50]
    assert call("credit_follower_fallen") == []
    assert told.thresholds == [50, 20]


def test_a_message_that_cannot_be_told_or_is_none_is_delivered_again_and_no_other(told: Told) -> None:
    first, _ = (record["messageId"] for record in sample("credit_follower_queue_malformed")["Records"])
    assert call("credit_follower_queue_malformed") == [first]
    assert told.thresholds == [50]


def test_a_queue_whose_messages_all_fail_makes_the_function_fail(told: Told) -> None:
    told.is_down = True
    with pytest.raises(BatchProcessingError):
        call("credit_follower_queue")


def test_what_neither_the_topic_nor_the_queue_takes_is_offered_again_by_the_stream(told: Told, queue: Queue) -> None:
    told.is_down = queue.is_down = True
    event = sample("credit_follower_fallen")
    with pytest.raises(follower.NothingDone):
        handled(event)
    queue.is_down = False
    assert call("credit_follower_fallen") == []
    assert len(queue.bodies) == 2


def test_a_grant_that_lowers_the_level_by_its_size_is_no_fall(told: Told) -> None:
    assert call("credit_follower_granted") == []
    assert told.announcements == []


def test_what_is_no_balance_is_passed_over(told: Told, caplog: pytest.LogCaptureFixture) -> None:
    assert call("credit_follower_malformed") == []
    assert [(each.workspace_id, each.detail["threshold"]) for each in told.announcements] == [(OTHER, 50)]
    # One of them is new, as only entries of the log may be.
    assert caplog.text.count("what changed is no balance of ours") == 1
    assert caplog.text.count("what came is no operation of ours") == 1


def test_a_balance_with_a_price_that_is_none_is_passed_over(told: Told) -> None:
    event = sample("credit_follower_fallen")
    grants = event["Records"][0]["dynamodb"]["NewImage"]["grants"]["M"]
    grants["gr_01KAMZ5Q000000000000000001"]["M"]["unit_price"] = {"S": "cheap"}
    assert handled(event) == []
    assert told.announcements == []
