"""The rule worker on messages as the queue sends them; what they call for is tested elsewhere."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from aws_lambda_powertools.utilities.batch.exceptions import BatchProcessingError

from functions.rule_worker import handler as worker
from shared.dynamo.transactions import StoreUnavailable
from shared.rules.backlog import DrainOutcome
from tests.support.functions import Context, failed

WORKSPACE = "ws_01KAMZ5Q000000000000000001"
PASS = {"workspace_id": WORKSPACE, "pass_id": "pass_1", "leg": 3}
BACKLOG = {"workspace_id": WORKSPACE, "backlog": 4}
SUSPENDED = {"workspace_id": WORKSPACE, "rule_id": "sale", "suspended": 5}


class FewSettings:
    import_leg_seconds = 60


@dataclass
class Calls:
    """Notes what was called, and fails where it is told to."""

    made: list[tuple[Any, ...]] = field(default_factory=list)
    out_of_time: list[Callable[[], bool]] = field(default_factory=list)
    fails: str = ""

    def work(self, _room: object, workspace_id: str, pass_id: str, out_of_time: Callable[[], bool], leg: int) -> None:
        self.out_of_time.append(out_of_time)
        self._note("pass", workspace_id, pass_id, leg)

    def drain(self, _room: object, workspace_id: str, leg: int, out_of_time: Callable[[], bool]) -> DrainOutcome:
        self.out_of_time.append(out_of_time)
        self._note("backlog", workspace_id, leg)
        return DrainOutcome.DONE

    def tell(self, _room: object, workspace_id: str, rule_id: str, version: int) -> None:
        self._note("suspended", workspace_id, rule_id, version)

    def _note(self, *call: Any) -> None:
        self.made.append(call)
        if call[0] == self.fails:
            raise StoreUnavailable("an outage")


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    double = Calls()
    monkeypatch.setattr(worker, "work", double.work)
    monkeypatch.setattr(worker, "drain", double.drain)
    monkeypatch.setattr(worker, "tell_of_suspension", double.tell)
    for name in ("pass_room", "backlog_room", "suspension_room"):
        monkeypatch.setattr(worker, name, object)
    monkeypatch.setattr(worker, "settings", FewSettings)
    return double


def sent(*messages: Any) -> dict[str, Any]:
    return {
        "Records": [
            {
                "messageId": str(number),
                "receiptHandle": "r",
                "body": message if isinstance(message, str) else json.dumps(message),
                "attributes": {"ApproximateReceiveCount": "1"},
                "eventSource": "aws:sqs",
            }
            for number, message in enumerate(messages)
        ]
    }


def call(document: dict[str, Any], context: Context | None = None) -> list[str]:
    return failed(worker.handler(document, context or Context()))  # type: ignore[arg-type]  # what it reads of one


def test_each_message_is_done_by_its_kind(calls: Calls) -> None:
    assert call(sent(PASS, BACKLOG, SUSPENDED)) == []
    assert calls.made == [
        ("pass", WORKSPACE, "pass_1", 3),
        ("backlog", WORKSPACE, 4),
        ("suspended", WORKSPACE, "sale", 5),
    ]


@pytest.mark.parametrize(
    "body",
    [
        "no JSON",
        "[]",
        "null",
        {},
        {"workspace_id": WORKSPACE},
        {"workspace_id": "", "backlog": 1},
        {"workspace_id": WORKSPACE, "backlog": "1"},
        {"workspace_id": WORKSPACE, "backlog": True},
        {"workspace_id": WORKSPACE, "pass_id": 7, "leg": 1},
        {"workspace_id": WORKSPACE, "pass_id": "pass_1"},
        {"workspace_id": WORKSPACE, "suspended": 1},
    ],
)
def test_what_is_malformed_is_logged_and_dropped(calls: Calls, body: Any, caplog: pytest.LogCaptureFixture) -> None:
    assert call(sent(body, BACKLOG)) == []
    assert calls.made == [("backlog", WORKSPACE, 4)]
    assert "a message that nothing of ours has sent" in caplog.text


def test_what_fails_is_delivered_again_and_holds_up_nobody(calls: Calls) -> None:
    calls.fails = "pass"
    assert call(sent(PASS, BACKLOG)) == ["0"]
    assert len(calls.made) == 2
    with pytest.raises(BatchProcessingError):
        call(sent(PASS))


@pytest.mark.parametrize("message", [PASS, BACKLOG])
@pytest.mark.parametrize(("left", "seconds", "is_out"), [(120_000, 60, False), (19_999, 60, True), (120_000, 0, True)])
def test_it_hands_over_before_its_time_is_out(
    calls: Calls, monkeypatch: pytest.MonkeyPatch, message: dict[str, Any], left: int, seconds: int, *, is_out: bool
) -> None:
    monkeypatch.setattr(FewSettings, "import_leg_seconds", seconds)
    call(sent(message), Context(remaining_milliseconds=left))
    (out_of_time,) = calls.out_of_time
    assert out_of_time() is is_out
