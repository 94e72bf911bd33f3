"""The follower on thresholds that balances have fallen under, in events as the stream sends them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
from botocore.exceptions import ClientError

from functions.credit_follower import announcing
from functions.credit_follower import handler as follower
from shared.announcing import Announcement, AnnouncementKind
from tests.support.functions import Context, failed, sample

WORKSPACE = "ws_01KAMZ5Q000000000000000001"
OTHER = "ws_01KAMZ5Q000000000000000002"
OUTAGE = ClientError({"Error": {"Code": "ServiceUnavailable"}}, "Publish")


@dataclass
class Told:
    """Hears what is announced, unless it is told not to."""

    announcements: list[Announcement] = field(default_factory=list)
    fails_at: int | None = None

    def announce(self, announcement: Announcement) -> None:
        if self.fails_at == len(self.announcements):
            self.fails_at = None
            raise OUTAGE
        self.announcements.append(announcement)

    @property
    def thresholds(self) -> list[int]:
        return [each.detail["threshold"] for each in self.announcements]


@dataclass
class Marks:
    """Remembers what was announced."""

    made: set[tuple[str, str]] = field(default_factory=set)

    def has(self, workspace_id: str, announcement_id: str) -> bool:
        return (workspace_id, announcement_id) in self.made

    def put(self, workspace_id: str, announcement_id: str, _at: datetime) -> None:
        self.made.add((workspace_id, announcement_id))


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    double, marks = Told(), Marks()
    monkeypatch.setattr(announcing, "announcer", lambda: double)
    monkeypatch.setattr(announcing, "marks", lambda: marks)
    return double


def call(name: str) -> list[str]:
    return failed(follower.handler(sample(name), Context()))


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


def test_what_could_not_be_told_is_tried_again_and_the_rest_not(told: Told) -> None:
    told.fails_at = 1
    with pytest.raises(follower.NothingDone):
        call("credit_follower_fallen")
    assert told.thresholds == [50]
    assert call("credit_follower_fallen") == []
    assert told.thresholds == [50, 20]


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
    assert failed(follower.handler(event, Context())) == []
    assert told.announcements == []
