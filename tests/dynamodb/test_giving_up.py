"""Audits and exports whose workers break off at every try: the last one says so, through the real handlers."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from aws_lambda_powertools.utilities.batch.exceptions import BatchProcessingError

from functions.auditor import handler as auditor
from functions.usage_exporter import handler as exporter
from shared.audits.commands import ask_for_audit
from shared.audits.model import AuditState
from shared.audits.store import rung_again
from shared.audits.worker import AuditRoom, work
from shared.exports.model import STALLED_AFTER, ExportState
from shared.exports.model import rung_again as export_rung_again
from shared.exports.worker import ExportRoom
from shared.exports.worker import work as export_work
from tests.support.auditing import Audited, never, room_of
from tests.support.exports import Exporting
from tests.support.faults import Line, Script, not_valid
from tests.support.functions import Context, failed, sample
from tests.support.money import Account

OpenAccount = Callable[[int], Account]
SECRET = "what nobody may be told"


def refuses(operation: str) -> Script:
    """DynamoDB refuses every such request, with a text that is not for customers."""
    return lambda _number, asked: not_valid(SECRET) if asked == operation else None


def event(name: str, body: dict[str, Any], delivery: int) -> dict[str, Any]:
    """The sample event with this message, delivered so often by now."""
    called = sample(name)
    (record,) = called["Records"]
    record["body"] = json.dumps(body)
    record["attributes"]["ApproximateReceiveCount"] = str(delivery)
    return called


@pytest.fixture(autouse=True)
def _as_deployed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "productsync")
    monkeypatch.setattr(exporter, "leg_seconds", lambda: 600.0)


@pytest.fixture
def audit(monkeypatch: pytest.MonkeyPatch) -> Callable[[AuditRoom, str, str, int, int], list[str]]:
    """Has the auditor take a message; what it reports as failed. Raises BatchProcessingError, as Lambda sees it."""

    def take(room: AuditRoom, workspace_id: str, audit_id: str, leg: int, delivery: int) -> list[str]:
        monkeypatch.setattr(auditor, "room", lambda: room)
        body = {"workspace_id": workspace_id, "audit_id": audit_id, "leg": leg}
        handler: Any = auditor.handler
        return failed(handler(event("auditor_called", body, delivery), Context(remaining_milliseconds=900_000)))

    return take


@pytest.fixture
def export(monkeypatch: pytest.MonkeyPatch) -> Callable[[ExportRoom, str, str, int, int], list[str]]:
    """The same of the exporter."""

    def take(room: ExportRoom, workspace_id: str, export_id: str, leg: int, delivery: int) -> list[str]:
        monkeypatch.setattr(exporter, "room", lambda: room)
        body = {"workspace_id": workspace_id, "export_id": export_id, "leg": leg}
        handler: Any = exporter.handler
        return failed(handler(event("usage_exporter_asked", body, delivery), Context(remaining_milliseconds=900_000)))

    return take


def test_an_audit_that_breaks_off_at_every_try_fails_and_gives_its_place_free(
    open_account: OpenAccount, audit: Callable[..., list[str]]
) -> None:
    here = Audited(open_account(20))
    here.charge("first", 5)
    here.count_usage()
    asked = ask_for_audit(here.room.audits, here.workspace_id, here.account.clock())
    client = here.account.world.dynamodb()
    Line(client, script=refuses("Query"))
    broken = room_of(here.account.world, here.account.clock, client)
    for delivery in range(1, auditor.TRIES + 1):
        assert here.room.audits.get(here.workspace_id, asked.audit_id) == asked
        # At the last one too: so the message comes to lie where its alarm is.
        with pytest.raises(BatchProcessingError):
            audit(broken, here.workspace_id, asked.audit_id, 0, delivery)
    done = here.room.audits.get(here.workspace_id, asked.audit_id)
    assert done is not None
    assert (done.state, done.balanced) == (AuditState.FAILED, None)
    assert done.finished_at is not None
    assert "ClientError" in (done.failure or "")
    assert SECRET not in (done.failure or "")
    # Sent again from the dead letters it does nothing, and the next audit is made.
    assert audit(here.room, here.workspace_id, asked.audit_id, 0, 1) == []
    assert here.room.audits.get(here.workspace_id, asked.audit_id) == done
    following = here.audit()
    assert following.audit_id != asked.audit_id
    assert following.balanced is True


def test_an_audit_that_another_worker_was_called_to_is_not_given_up(
    open_account: OpenAccount, audit: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    here = Audited(open_account(20))
    asked = ask_for_audit(here.room.audits, here.workspace_id, here.account.clock())
    again = rung_again(asked, here.account.clock())

    def breaks_off(room: AuditRoom, *_: object) -> None:
        assert room.audits.move(asked, again, None, rings=True)
        raise RuntimeError(SECRET)

    monkeypatch.setattr(auditor, "work", breaks_off)
    with pytest.raises(BatchProcessingError):
        audit(here.room, here.workspace_id, asked.audit_id, 0, auditor.TRIES)
    assert here.room.audits.get(here.workspace_id, asked.audit_id) == again
    done = work(here.room, here.workspace_id, asked.audit_id, 1, never)
    assert done is not None
    assert done.state is AuditState.FINISHED


def test_an_export_that_breaks_off_at_every_try_fails_and_gives_its_place_free(
    open_account: OpenAccount, export: Callable[..., list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    exporting = Exporting(open_account(20))
    exporting.charge("first", 5)
    asked = exporting.ask()
    client = exporting.account.world.dynamodb()
    Line(client, script=refuses("Query"))
    broken = exporting.room(client)
    for delivery in range(1, exporter.TRIES + 1):
        assert exporting.now(asked) == asked
        capsys.readouterr()
        with pytest.raises(BatchProcessingError):
            export(broken, exporting.workspace_id, asked.export_id, 0, delivery)
    done = exporting.now(asked)
    assert done.state is ExportState.FAILED
    assert done.finished_at is not None
    assert "ClientError" in (done.failure or "")
    assert SECRET not in (done.failure or "")
    # What the alarm of failed exports adds up.
    printed = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    assert sum(sum(line["FailedExports"]) for line in printed if "FailedExports" in line) == 1
    assert export(exporting.room(), exporting.workspace_id, asked.export_id, 0, 1) == []
    assert exporting.now(asked) == done
    following = exporting.ask()
    assert following.export_id != asked.export_id
    assert export(exporting.room(), exporting.workspace_id, following.export_id, 0, 1) == []
    assert exporting.now(following).state is ExportState.READY


def test_an_export_whose_files_cannot_be_published_fails_too(
    open_account: OpenAccount, export: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    exporting = Exporting(open_account(20))
    exporting.charge("first", 5)
    asked = exporting.ask()

    def refuse(*_: object) -> None:
        raise PermissionError(SECRET)

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr("shared.exports.worker.ExportBucket.publish", refuse)
        with pytest.raises(BatchProcessingError):
            export(exporting.room(), exporting.workspace_id, asked.export_id, 0, exporter.TRIES)
    done = exporting.now(asked)
    assert (done.state, done.parts) == (ExportState.FAILED, 1)
    assert "PermissionError" in (done.failure or "")
    assert exporting.ask().export_id != asked.export_id


def test_an_export_that_another_worker_was_called_to_is_not_given_up(
    open_account: OpenAccount, export: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    exporting = Exporting(open_account(20))
    asked = exporting.ask()
    again = export_rung_again(asked, exporting.account.clock())

    def breaks_off(room: ExportRoom, *_: object) -> None:
        assert room.exports.move(asked, again, rings=True)
        raise RuntimeError(SECRET)

    monkeypatch.setattr(exporter, "work", breaks_off)
    with pytest.raises(BatchProcessingError):
        export(exporting.room(), exporting.workspace_id, asked.export_id, 0, exporter.TRIES)
    assert exporting.now(asked) == again


def test_where_not_even_that_can_be_said_it_is_called_for_again_once_it_stands_still(
    open_account: OpenAccount, export: Callable[..., list[str]]
) -> None:
    exporting = Exporting(open_account(20))
    asked = exporting.ask()
    client = exporting.account.world.dynamodb()
    Line(client, script=lambda *_: not_valid(SECRET))
    for delivery in range(1, exporter.TRIES + 1):
        with pytest.raises(BatchProcessingError):
            export(exporting.room(client), exporting.workspace_id, asked.export_id, 0, delivery)
    assert exporting.now(asked) == asked
    exporting.account.clock.now += STALLED_AFTER
    again = exporting.ask()
    assert (again.export_id, again.leg) == (asked.export_id, 1)
    done = export_work(exporting.room(), exporting.workspace_id, asked.export_id, never, 1)
    assert done is not None
    assert done.state is ExportState.READY
