"""What the auditor tells of its audits: a metric that an alarm watches, and the first difference in its log."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from functions.auditor import handler as auditor
from functions.daily_audits import handler as daily
from functions.every_workspace import SomeNotAsked
from shared.audits.model import Audit, AuditState
from shared.credits.audit import Difference
from shared.dynamo.transactions import StoreUnavailable
from tests.support.functions import Context, failed, sample

NOW = datetime(2026, 11, 22, 8, tzinfo=UTC)
AUDIT = Audit(
    audit_id="audit_01KAN2QJ9V3X5Z7B1D4F6H8K0M",
    workspace_id="ws_01KAMZ5Q000000000000000001",
    state=AuditState.FINISHED,
    requested_at=NOW,
    updated_at=NOW,
    operations=41,
    exact=True,
)
WRONG = replace(AUDIT, differences=(Difference("consumed", "800", "795", "the account"),), difference_count=3)

HANDLER: Any = auditor.handler
Called = tuple[list[dict[str, Any]], list[str]]


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Called]:
    """Calls the function with an event, when work comes to what is given; what it logged, and what failed."""

    def carry_out(event: str, outcome: Audit | Exception | None, asked: list[Any] | None = None) -> Called:
        def work(_room: object, *told: Any) -> Audit | None:
            if asked is not None:
                asked.append(told)
            if isinstance(outcome, Exception):
                raise outcome
            return outcome

        monkeypatch.setattr(auditor, "room", object)
        monkeypatch.setattr(auditor, "work", work)
        monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "productsync")
        report = HANDLER(sample(event), Context())
        printed = capsys.readouterr().out.splitlines()
        return [json.loads(line) for line in printed if line.startswith("{")], failed(report)

    return carry_out


def counted(lines: list[dict[str, Any]]) -> float:
    """What the alarm would add up."""
    (told,) = [line["BooksDifferences"] for line in lines if "BooksDifferences" in line]
    return float(sum(told))


def test_books_that_balance_are_counted_as_none(call: Callable[..., Called]) -> None:
    asked: list[Any] = []
    lines, failures = call("auditor_called", AUDIT, asked)
    assert (counted(lines), failures) == (0, [])
    ((workspace_id, audit_id, leg, out_of_time),) = asked
    assert (workspace_id, audit_id, leg) == (AUDIT.workspace_id, AUDIT.audit_id, 0)
    assert out_of_time() is True


def test_differences_are_counted_and_the_first_is_named(
    call: Callable[..., Called], monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Any] = []
    monkeypatch.setattr(auditor.logger, "error", lambda message, extra: told.append((message, extra)))
    lines, _ = call("auditor_called", WRONG)
    assert counted(lines) == 3
    ((message, extra),) = told
    assert message == "the books do not balance"
    assert extra["first"] == "consumed: 800 expected, 795 found (the account)"
    assert extra["differences"] == 3


def test_an_audit_that_goes_on_counts_nothing(call: Callable[..., Called]) -> None:
    lines, failures = call("auditor_called", replace(AUDIT, state=AuditState.RUNNING))
    assert (counted(lines), failures) == (0, [])


@pytest.mark.parametrize("event", ["auditor_called", "auditor_malformed"])
def test_what_names_no_audit_is_passed_over(call: Callable[..., Called], event: str) -> None:
    lines, failures = call(event, None)
    assert (counted(lines), failures) == (0, [])


def test_an_outage_is_tried_again(call: Callable[..., Called]) -> None:
    with pytest.raises(Exception, match="All records failed"):
        call("auditor_called", StoreUnavailable("no"))


def test_every_workspace_is_asked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def everybody() -> Iterator[str]:
        yield from ("ws_1", "ws_2")

    asked: list[str] = []
    room = SimpleNamespace(directory=SimpleNamespace(all=everybody), audits=None)
    monkeypatch.setattr(daily, "room", lambda: room)
    monkeypatch.setattr(daily, "ask_for_audit", lambda _audits, workspace_id, _now: asked.append(workspace_id))
    handler: Any = daily.handler
    assert handler(sample("daily_audits"), Context()) == {"asked": 2}
    assert asked == ["ws_1", "ws_2"]


def test_a_workspace_that_cannot_be_asked_for_keeps_nobody_else_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def ask(_audits: object, workspace_id: str, _now: object) -> None:
        if workspace_id == "ws_1":
            raise StoreUnavailable("no")
        asked.append(workspace_id)

    room = SimpleNamespace(directory=SimpleNamespace(all=lambda: iter(["ws_1", "ws_2"])), audits=None)
    monkeypatch.setattr(daily, "room", lambda: room)
    monkeypatch.setattr(daily, "ask_for_audit", ask)
    handler: Any = daily.handler
    with pytest.raises(SomeNotAsked):
        handler(sample("daily_audits"), Context())
    assert asked == ["ws_2"]
