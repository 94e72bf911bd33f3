"""The heartbeat of a message: renewed while the work goes on, whatever becomes of one renewal."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError

from functions.feed_preparer import heartbeat as module
from functions.feed_preparer.heartbeat import HIDDEN_SECONDS, RENEW_EVERY_SECONDS, heartbeat

QUEUE = "https://sqs.eu-central-1.amazonaws.com/123456789012/prepare"


class Queue:
    """Takes renewals; the first ones are answered by `failures`."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.renewals: list[dict[str, Any]] = []
        self.enough = threading.Event()

    def change_message_visibility(self, **renewal: Any) -> None:
        self.renewals.append(renewal)
        if len(self.renewals) == 4:
            self.enough.set()
        if self.failures:
            raise self.failures.pop(0)


@pytest.fixture(autouse=True)
def _in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RENEW_EVERY_SECONDS", 0.001)


@pytest.mark.parametrize(
    "failures",
    [
        [],
        [ConnectTimeoutError(endpoint_url=QUEUE)],
        [ClientError({"Error": {"Code": "ServiceUnavailable"}}, "ChangeMessageVisibility")] * 3,
    ],
    ids=["none", "no answer", "refused three times"],
)
def test_a_renewal_that_fails_does_not_end_the_others(failures: list[Exception]) -> None:
    queue = Queue(*failures)
    with heartbeat(queue, QUEUE, "handle"):  # type: ignore[arg-type]  # the part of a client that is called
        assert queue.enough.wait(10)
    assert queue.renewals[0] == {"QueueUrl": QUEUE, "ReceiptHandle": "handle", "VisibilityTimeout": HIDDEN_SECONDS}
    renewed = len(queue.renewals)
    threading.Event().wait(0.02)
    assert len(queue.renewals) == renewed


def test_the_renewal_after_one_that_failed_comes_while_the_message_is_hidden() -> None:
    assert HIDDEN_SECONDS > 2 * RENEW_EVERY_SECONDS
