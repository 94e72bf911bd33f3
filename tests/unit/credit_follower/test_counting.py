"""The follower on new entries of the log, in events as the stream sends them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from botocore.exceptions import ClientError

from functions.credit_follower import announcing
from functions.credit_follower import handler as follower
from shared.announcing import Announcement, AnnouncementRefused
from shared.credits import OperationKind
from shared.settings import FollowerSettings
from shared.usage.counting import Bundle, Counted
from tests.support.functions import Context, failed, sample

OUTAGE = ClientError({"Error": {"Code": "ServiceUnavailable"}}, "TransactWriteItems")


@dataclass
class Counts:
    """Hears what is to be counted; fails for the workspaces of `fails`, and refuses the kinds of `refuses`."""

    counted: list[str] = field(default_factory=list)
    fails: bool = False
    refuses: OperationKind | None = None

    def count_bundle(self, bundle: Bundle) -> Counted:
        if self.fails:
            raise OUTAGE
        refused = tuple(one for one in bundle.operations.values() if one.kind is self.refuses)
        self.counted += [one.kind for one in bundle.operations.values() if one not in refused]
        return Counted(len(bundle.operations) - len(refused), 0, refused)


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> Counts:
    double = Counts()
    monkeypatch.setattr(follower, "counter", lambda: double)
    monkeypatch.setattr(follower, "tell", lambda _records: set())
    return double


def handled(event: dict[str, Any]) -> list[str]:
    return failed(follower.handler(event, Context()))  # type: ignore[arg-type]  # what it reads of a context


def call(*names: str) -> list[str]:
    records = [record for name in names for record in sample(name)["Records"]]
    return handled({"Records": records})


def metrics_of(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().out


def test_new_entries_are_counted_whoever_they_belong_to(counts: Counts) -> None:
    assert call("credit_follower_counted") == []
    assert sorted(counts.counted) == ["api_call", "import", "scheduled_job"]


def test_an_entry_that_comes_twice_in_a_batch_is_offered_once(
    counts: Counts, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("credit_follower_counted_twice") == []
    assert counts.counted == ["import"]
    assert '"UncountedOperations":[0.0]' in metrics_of(capsys).replace(" ", "")


def test_what_is_no_entry_is_passed_over_logged_and_measured(
    counts: Counts, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("credit_follower_uncountable") == []
    assert counts.counted == ["scheduled_job"]
    assert caplog.text.count("what came is no operation of ours") == 2
    assert '"UncountedOperations":[2.0]' in metrics_of(capsys).replace(" ", "")


@pytest.mark.parametrize(
    ("name", "damaged"),
    [
        ("drawn", {"L": [{"L": [{"S": "gr_01KAMZ5Q00E5K7N9R1T3W5Y7A9"}, {"N": "97"}, {"S": "cheap"}, {"S": "EUR"}]}]}),
        ("credits", {"S": "97"}),
        ("workspace_id", {"N": "1"}),
    ],
)
def test_an_entry_that_says_nonsense_holds_nobody_up(
    counts: Counts, caplog: pytest.LogCaptureFixture, name: str, damaged: dict[str, Any]
) -> None:
    event = sample("credit_follower_counted")
    event["Records"][0]["dynamodb"]["NewImage"][name] = damaged
    assert handled(event) == []
    assert sorted(counts.counted) == ["api_call", "scheduled_job"]
    assert caplog.text.count("what came is no operation of ours") == 1


def test_what_the_table_refuses_for_good_holds_nobody_up_and_is_measured(
    counts: Counts, capsys: pytest.CaptureFixture[str]
) -> None:
    counts.refuses = OperationKind.IMPORT
    assert call("credit_follower_counted") == []
    assert sorted(counts.counted) == ["api_call", "scheduled_job"]
    assert '"UncountedOperations":[1.0]' in metrics_of(capsys).replace(" ", "")


def test_what_could_not_be_counted_is_asked_for_again_from_there_on(counts: Counts) -> None:
    counts.fails = True
    first = sample("credit_follower_counted")["Records"][0]["dynamodb"]["SequenceNumber"]
    assert call("credit_follower_fallen", "credit_follower_counted") == [first]


def test_when_nothing_could_be_done_the_batch_fails(counts: Counts) -> None:
    counts.fails = True
    with pytest.raises(follower.NothingDone):
        call("credit_follower_counted")


def test_a_threshold_that_cannot_be_told_keeps_nothing_from_being_counted(
    counts: Counts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Announcing fails, and the queue takes what could not be announced: the stream goes on."""
    monkeypatch.undo()
    monkeypatch.setattr(follower, "counter", lambda: counts)
    sent: list[str] = []

    class Down:
        def announce(self, _announcement: Announcement) -> None:
            raise AnnouncementRefused("not now")

        def has(self, _announcement: Announcement) -> bool:
            return False

        def send_message(self, **message: str) -> None:
            sent.append(message["MessageBody"])

    for part in ("announcer", "marks", "sqs"):
        monkeypatch.setattr(announcing, part, Down)
    monkeypatch.setattr(announcing, "follower_settings", lambda: FollowerSettings(queue_url="https://queue"))
    assert call("credit_follower_fallen", "credit_follower_counted") == []
    assert len(counts.counted) == 3
    assert len(sent) == 2


def test_what_can_neither_be_told_nor_queued_is_asked_for_again_from_there_on(
    counts: Counts, monkeypatch: pytest.MonkeyPatch
) -> None:
    (first,) = {record["dynamodb"]["SequenceNumber"] for record in sample("credit_follower_fallen")["Records"][:1]}
    monkeypatch.setattr(follower, "tell", lambda _records: {first})
    assert call("credit_follower_counted", "credit_follower_fallen") == [first]
    assert len(counts.counted) == 3
