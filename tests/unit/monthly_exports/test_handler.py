"""Which month is asked for, and when a firing counts as the same."""

from __future__ import annotations

from datetime import datetime
from types import SimpleNamespace
from typing import Any

import pytest

from functions.every_workspace import SomeNotAsked
from functions.monthly_exports import handler as monthly
from shared.months import Month
from shared.times import parse_rfc3339
from tests.support.functions import Context, sample

NOW = parse_rfc3339("2026-12-02T06:00:31.500Z")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    calls: list[tuple[Any, ...]] = []
    directory = SimpleNamespace(all=lambda: iter(["ws_1", "ws_2"]))
    monkeypatch.setattr(monthly, "room", lambda: SimpleNamespace(directory=directory, exports="store"))
    monkeypatch.setattr(monthly, "ask_for_monthly_export", lambda *wanted: calls.append(wanted))
    monkeypatch.setattr(monthly, "utc_now", lambda: NOW)
    return calls


@pytest.mark.parametrize(
    ("event", "scheduled_at"),
    [
        ("monthly_exports", "2026-12-02T06:00:00Z"),
        # As what failed lies among the dead letters.
        ("monthly_exports_dead_letter", "2026-12-02T06:00:00Z"),
        # The embedded AWS leaves the placeholder as it is.
        ("monthly_exports_unexpanded", "2026-12-02T00:00:00Z"),
    ],
)
def test_every_workspace_is_asked_for_the_month_that_is_over(
    asked: list[tuple[Any, ...]], event: str, scheduled_at: str
) -> None:
    assert monthly.handler(sample(event), Context()) == {"asked": 2}  # type: ignore[arg-type]
    at: datetime = parse_rfc3339(scheduled_at)
    assert asked == [("store", workspace, Month(2026, 11), at, NOW) for workspace in ("ws_1", "ws_2")]


def test_a_workspace_that_cannot_be_asked_for_keeps_nobody_else_waiting(
    asked: list[tuple[Any, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def ask(store: Any, workspace_id: str, *wanted: Any) -> None:
        if workspace_id == "ws_1":
            raise KeyError("leg")
        asked.append((store, workspace_id, *wanted))

    monkeypatch.setattr(monthly, "ask_for_monthly_export", ask)
    with pytest.raises(SomeNotAsked):
        monthly.handler(sample("monthly_exports"), Context())  # type: ignore[arg-type]
    assert [workspace_id for _, workspace_id, *_ in asked] == ["ws_2"]
