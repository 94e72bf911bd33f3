"""The run dispatcher on events as the stream sends them; SQS is stubbed at the request."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from aws_lambda_powertools.utilities.batch.exceptions import BatchProcessingError
from botocore.stub import Stubber

from functions.run_dispatcher import handler as dispatcher
from tests.support.functions import Context

PREPARE = "https://sqs.eu-central-1.amazonaws.com/123456789012/prepare"
IMPORT = "https://sqs.eu-central-1.amazonaws.com/123456789012/import"
GUARD = "https://sqs.eu-central-1.amazonaws.com/123456789012/guard"
RULES = "https://sqs.eu-central-1.amazonaws.com/123456789012/rules"
EXPORTS = "https://sqs.eu-central-1.amazonaws.com/123456789012/exports"
AUDITS = "https://sqs.eu-central-1.amazonaws.com/123456789012/audits"
WORKSPACE = "ws_01KAMZ5Q000000000000000001"
FIRST_RUN = "run_01KAMZ8E000000000000000001"
SECOND_RUN = "run_01KAMZ8E000000000000000002"


@pytest.fixture
def sqs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stubber]:
    client = boto3.client("sqs", region_name="eu-central-1")
    environment = {
        "CREDIT_TABLE": "credit",
        "CATALOG_TABLE": "catalog",
        "WORK_TABLE": "work",
        "USAGE_TABLE": "usage",
        "DATA_BUCKET": "data",
        "PREPARE_QUEUE_URL": PREPARE,
        "IMPORT_QUEUE_URL": IMPORT,
        "GUARD_QUEUE_URL": GUARD,
        "RULE_QUEUE_URL": RULES,
        "EXPORT_QUEUE_URL": EXPORTS,
        "AUDIT_QUEUE_URL": AUDITS,
        "MAX_CHAIN_DEPTH": "5",
        "RULE_FIRINGS_PER_HOUR": "100000",
        "STARTER_CREDITS": "5000",
        "ACTION_PRICES": '{"record_created":1,"record_updated":1,"scheduled_job":1,"rule_fired":1,"api_call":1}',
        "CURRENCY": "EUR",
        "OWED_CAP": "1000",
        "MAX_FEED_BYTES": "1073741824",
        "IMPORT_LEG_SECONDS": "600",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    dispatcher.settings.cache_clear()
    dispatcher.guard_settings.cache_clear()
    dispatcher.rule_settings.cache_clear()
    dispatcher.report_settings.cache_clear()
    monkeypatch.setattr(dispatcher, "sqs", lambda: client)
    with Stubber(client) as stubber:
        yield stubber
    dispatcher.settings.cache_clear()
    dispatcher.guard_settings.cache_clear()
    dispatcher.rule_settings.cache_clear()
    dispatcher.report_settings.cache_clear()


def event(project: Path, name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((project / "events" / f"run_dispatcher_{name}.json").read_text())
    return document


def expect(sqs: Stubber, queue: str, run_id: str) -> None:
    body = json.dumps({"workspace_id": WORKSPACE, "run_id": run_id, "leg": 0})
    sqs.add_response("send_message", {"MessageId": "1"}, sent_to(queue, body))


def sent_to(queue: str, body: str) -> dict[str, str]:
    # The workspace's own group: a fair queue shares its consumers among groups.
    return {"QueueUrl": queue, "MessageBody": body, "MessageGroupId": WORKSPACE}


def call(document: dict[str, Any]) -> list[str]:
    """Calls the handler and returns the sequence numbers that it reports as failed."""
    report = dispatcher.handler(document, Context())  # type: ignore[arg-type]  # what the handler reads of a context
    return [str(failure["itemIdentifier"]) for failure in report["batchItemFailures"]]


def test_a_new_run_goes_to_be_prepared(project: Path, sqs: Stubber) -> None:
    expect(sqs, PREPARE, FIRST_RUN)
    assert call(event(project, "new_run")) == []
    sqs.assert_no_pending_responses()


def test_prepared_runs_and_runs_that_are_handed_over_go_to_be_imported(project: Path, sqs: Stubber) -> None:
    expect(sqs, IMPORT, FIRST_RUN)
    expect(sqs, IMPORT, SECOND_RUN)
    assert call(event(project, "hand_over")) == []
    sqs.assert_no_pending_responses()


def test_a_schedule_that_was_put_goes_to_the_guard(project: Path, sqs: Stubber) -> None:
    body = json.dumps({"workspace_id": WORKSPACE, "schedule_id": "stock"})
    sqs.add_response("send_message", {"MessageId": "1"}, sent_to(GUARD, body))
    assert call(event(project, "schedule")) == []
    sqs.assert_no_pending_responses()


def call_of_rules(sqs: Stubber, **about: object) -> None:
    body = json.dumps({"workspace_id": WORKSPACE, **about})
    sqs.add_response("send_message", {"MessageId": "1"}, sent_to(RULES, body))


def test_what_rules_have_to_do_goes_to_their_worker(project: Path, sqs: Stubber) -> None:
    call_of_rules(sqs, backlog=2)
    call_of_rules(sqs, pass_id="pass_01KAMZ8E000000000000000001", leg=1)
    call_of_rules(sqs, rule_id="gross-price", suspended=1795334400123)
    assert call(event(project, "rules")) == []
    sqs.assert_no_pending_responses()


def test_a_backlog_that_comes_twice_is_sent_twice_and_that_is_fine(project: Path, sqs: Stubber) -> None:
    call_of_rules(sqs, backlog=2)
    call_of_rules(sqs, backlog=2)
    assert call(event(project, "rules_duplicate")) == []
    sqs.assert_no_pending_responses()


def test_a_record_that_comes_twice_is_sent_twice_and_that_is_fine(project: Path, sqs: Stubber) -> None:
    expect(sqs, PREPARE, FIRST_RUN)
    expect(sqs, PREPARE, FIRST_RUN)
    assert call(event(project, "duplicate")) == []
    sqs.assert_no_pending_responses()


def test_a_run_without_a_doorbell_is_nobodys_business(project: Path, sqs: Stubber) -> None:
    assert call(event(project, "no_doorbell")) == []
    sqs.assert_no_pending_responses()


@pytest.mark.parametrize("name", ["malformed", "rules_malformed"])
def test_what_is_malformed_is_logged_and_holds_up_nobody(
    project: Path, sqs: Stubber, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    document = event(project, name)
    if name == "malformed":
        expect(sqs, PREPARE, FIRST_RUN)
    else:
        call_of_rules(sqs, backlog=2)
    assert call(document) == []
    sqs.assert_no_pending_responses()
    assert caplog.text.count("a doorbell that nothing of ours has") == len(document["Records"]) - 1


def test_a_message_that_cannot_be_sent_is_reported(project: Path, sqs: Stubber) -> None:
    document = event(project, "hand_over")
    expect(sqs, IMPORT, FIRST_RUN)
    sqs.add_client_error("send_message", "ServiceUnavailable", http_status_code=503)
    assert call(document) == [document["Records"][1]["dynamodb"]["SequenceNumber"]]


def test_a_batch_that_fails_as_a_whole_fails_the_invocation(project: Path, sqs: Stubber) -> None:
    sqs.add_client_error("send_message", "ServiceUnavailable", http_status_code=503)
    with pytest.raises(BatchProcessingError):
        call(event(project, "new_run"))


def test_exports_and_audits_go_to_whoever_makes_them(sqs: Stubber, project: Path) -> None:
    for queue, about in (
        (EXPORTS, {"export_id": "exp_01KAN2QJ9V3X5Z7B1D4F6H8K0M", "leg": 0}),
        (AUDITS, {"audit_id": "audit_01KAN2QJ9V3X5Z7B1D4F6H8K0M", "leg": 3}),
    ):
        body = json.dumps({"workspace_id": WORKSPACE, **about})
        sqs.add_response("send_message", {"MessageId": "1"}, sent_to(queue, body))
    assert call(event(project, "reports")) == []
    sqs.assert_no_pending_responses()
