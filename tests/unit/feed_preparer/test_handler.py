"""What the preparer and the worker count: their failures wake somebody, a customer's do not."""

from __future__ import annotations

import json
from contextlib import nullcontext
from datetime import UTC, datetime
from types import ModuleType
from typing import Any

import pytest

from functions.feed_preparer import handler as preparer
from functions.import_worker import handler as worker
from shared.credits import Channel
from shared.runs.model import Failure, Run, RunState, failed, finished
from tests.support.functions import Context

NOW = datetime(2026, 11, 22, 8, tzinfo=UTC)
RUN = Run(
    run_id="run_1",
    workspace_id="ws_1",
    feed_id="stock",
    upload_id="up_1",
    channel=Channel.API,
    dry_run=False,
    state=RunState.RUNNING,
    created_at=NOW,
    updated_at=NOW,
    step_at=NOW,
)
BODY = json.dumps({"workspace_id": "ws_1", "run_id": "run_1", "leg": 0})
EVENT = {
    "Records": [
        {"messageId": "1", "receiptHandle": "r", "body": BODY, "attributes": {"ApproximateReceiveCount": "1"}},
    ]
}


class FewSettings:
    """What carrying out one message reads of the settings."""

    prepare_queue_url = "https://queue.example/prepare"
    import_leg_seconds = 60


@pytest.mark.parametrize(
    ("run", "counted"),
    [
        (finished(RUN, NOW), (0, 0)),
        (failed(RUN, Failure("internal_error", "…"), NOW), (1, 0)),
        (failed(RUN, Failure("not_storable", "…"), NOW), (1, 0)),
        (failed(RUN, Failure("source_missing", "…"), NOW), (0, 1)),
        (failed(RUN, Failure("files_expired", "…"), NOW), (0, 1)),
    ],
)
@pytest.mark.parametrize(("function", "does"), [(preparer, "prepare_run"), (worker, "work")])
def test_failures_are_counted_by_whose_they_are(
    function: ModuleType,
    does: str,
    run: Run,
    counted: tuple[int, int],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in (("settings", FewSettings), ("room", object), ("workshop", object), ("sqs", object)):
        monkeypatch.setattr(function, name, value, raising=False)
    monkeypatch.setattr(function, "heartbeat", lambda *_: nullcontext(), raising=False)
    monkeypatch.setattr(function, does, lambda *_: run)
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "productsync")
    assert function.handler(EVENT, Context()) == {"batchItemFailures": []}
    assert metrics_of(capsys.readouterr().out) == counted


def metrics_of(printed: str) -> tuple[int, int]:
    (told,) = [told for line in printed.splitlines() if "FailedRuns" in (told := _json(line))]
    return told["FailedRuns"][0], told["RejectedRuns"][0]


def _json(line: str) -> dict[str, Any]:
    try:
        return dict(json.loads(line))
    except ValueError:
        return {}
