"""The exporter's handler; what it works on is tested elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from aws_lambda_powertools.utilities.batch.exceptions import BatchProcessingError

from functions.usage_exporter import handler as exporter
from tests.support.functions import Context, failed, sample

Worked = list[tuple[str, str, int, bool]]


@pytest.fixture
def worked(monkeypatch: pytest.MonkeyPatch) -> Worked:
    """What it works on: the workspace, the export, the leg, and whether time was over at once."""
    calls: Worked = []

    def work(_room: object, workspace_id: str, export_id: str, out_of_time: Callable[[], bool], leg: int) -> None:
        calls.append((workspace_id, export_id, leg, out_of_time()))

    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "productsync")
    monkeypatch.setattr(exporter, "work", work)
    monkeypatch.setattr(exporter, "room", object)
    monkeypatch.setattr(exporter, "leg_seconds", lambda: 600.0)
    return calls


def call(name: str, **context: Any) -> list[str]:
    return failed(exporter.handler(sample(name), Context(**context)))


ASKED = ("ws_01KAMZ5Q000000000000000001", "exp_01KAN2QJ9V3X5Z7B1D4F6H8K0M", 0)


def test_a_message_has_its_export_worked_on(worked: Worked) -> None:
    assert call("usage_exporter_asked", remaining_milliseconds=900_000) == []
    assert worked == [(*ASKED, False)]


def test_a_message_that_comes_twice_is_worked_on_twice_which_does_no_harm(worked: Worked) -> None:
    assert call("usage_exporter_duplicate", remaining_milliseconds=900_000) == []
    assert worked == [(*ASKED, False), (*ASKED, False)]


def test_there_is_time_left_to_send_the_files(worked: Worked) -> None:
    call("usage_exporter_asked", remaining_milliseconds=exporter.HAND_OVER_BEFORE_TIMEOUT_MS - 1)
    assert worked == [(*ASKED, True)]


def test_what_names_no_export_ends_in_dead_letters(worked: Worked) -> None:
    with pytest.raises(BatchProcessingError):
        call("usage_exporter_malformed")
    assert worked == []
