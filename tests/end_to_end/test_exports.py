"""Exports through the API of the deployed template: asked for, written by the function, fetched by their addresses."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import httpx
import pyarrow.parquet
import pytest

from shared import keys
from shared.months import Month
from shared.pace import REPORT_PACE, PaceLimits, PaceStore
from shared.times import to_rfc3339, utc_now
from tests.support.api import Caller, expect, fields, law_4, refusal, top_up
from tests.support.functions import failed
from tests.support.waiting import until

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from productsync.stack import EmbeddedStack
    from tests.support.stack import Tables

pytestmark = pytest.mark.stack

Spend = Callable[[Caller, int], None]
OVER = {"ready", "failed"}


@pytest.fixture
def finance(customer: Caller) -> Caller:
    """The customer's own finance department: it may export, and nothing else."""
    made = expect(customer("POST", "/keys", {"name": "books", "scopes": ["finance"]}), 201).json()
    return Caller(customer.endpoint, made["secret"], customer.workspace_id)


def ask(finance: Caller, month: str | None = None) -> Any:
    return expect(finance("POST", "/exports", {} if month is None else {"month": month}), 202).json()


def finished(finance: Caller, export: Any) -> Any:
    """The export once it is over."""
    seen: dict[str, Any] = {}

    def is_over() -> bool:
        seen.update(finance.get(f"/exports/{export['export_id']}"))
        return seen["state"] in OVER

    until(is_over)
    return seen


def fetch(file: Any) -> bytes:
    """A file by its address: no key goes along."""
    answer = httpx.get(file["url"], timeout=60)
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Disposition"].endswith(f'-{file["name"]}"')
    assert hashlib.sha256(answer.content).hexdigest() == file["sha256"]
    assert len(answer.content) == file["bytes"]
    return answer.content


def rows(body: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(body.decode("utf-8-sig"), newline="")))


def test_a_month_is_asked_for_fetched_and_adds_up(
    finance: Caller, customer: Caller, operator: Caller, spend: Spend
) -> None:
    spend(customer, 4_990)
    top_up(operator, customer, 100, unit_price="0.0123", reference="invoice 1")
    spend(customer, 40)
    export = finished(finance, ask(finance))
    assert (export["state"], export["month"], export["failure"]) == ("ready", str(Month.of(utc_now())), None)
    assert (export["parts"], export["disagreements"]) == (1, [])
    files = {file["name"]: fetch(file) for file in export["files"]}
    assert sorted(files) == ["focus-00001.csv", "lines-00001.csv", "lines-00001.parquet"]

    lines = rows(files["lines-00001.csv"])
    account = law_4(customer)
    assert sum(int(line["credits"]) for line in lines) == account["consumed"] == 5_030
    assert sum(int(line["balance_change"]) for line in lines) == account["available"]
    assert export["books"]["closing"] == {"available": account["available"], "owed": account["owed"]}
    assert export["account"] == export["books"]["closing"]
    assert sum(Decimal(line["cost"]) for line in lines) == 30 * Decimal("0.0123")
    (billed,) = export["totals"]["billed"]
    assert (billed["currency"], Decimal(billed["amount"])) == ("EUR", Decimal("1.23"))

    table = pyarrow.parquet.read_table(io.BytesIO(files["lines-00001.parquet"])).to_pylist()
    assert [row["line_id"] for row in table] == [line["line_id"] for line in lines]
    assert [row["x_LineId"] for row in rows(files["focus-00001.csv"])] == [line["line_id"] for line in lines]
    manifest = json.loads(httpx.get(export["manifest_url"], timeout=60).content)
    assert manifest["totals"] == export["totals"]
    assert {file["name"]: file["sha256"] for file in manifest["files"]} == {
        name: hashlib.sha256(body).hexdigest() for name, body in files.items()
    }


def test_exports_are_listed_without_files_and_only_by_finance(
    finance: Caller, new_customer: Callable[[], Caller]
) -> None:
    first = finished(finance, ask(finance))
    second = finished(finance, ask(finance, str(Month.of(utc_now()).previous)))
    listing = finance.get("/exports?limit=1")
    assert [one["export_id"] for one in listing["items"]] == [second["export_id"]]
    assert listing["items"][0]["files"] == []
    rest = finance.get(f"/exports?limit=1&cursor={listing['next_cursor']}")
    assert [one["export_id"] for one in rest["items"]] == [first["export_id"]]
    # The month before the workspace was opened: nothing happened, and the files say so.
    assert (second["lines"], second["totals"]["credits"]) == (0, 0)
    assert [rows(fetch(file)) for file in second["files"] if file["name"].endswith(".csv")] == [[], []]
    other = new_customer()
    assert refusal(other("GET", f"/exports/{first['export_id']}"), 404) == "not-found"
    reader = expect(other("POST", "/keys", {"name": "reads", "scopes": ["read"]}), 201).json()
    assert refusal(Caller(other.endpoint, reader["secret"])("GET", "/exports"), 403) == "forbidden"


@pytest.mark.parametrize(
    "wish",
    [
        {"month": "2999-01"},
        {"month": "2026-13"},
        {"month": "2026-1"},
        {"month": "202611"},
        {"month": "1999-12"},
        {"month": "2026-11-01"},
        {"month": ""},
        {"month": 202611},
        {"months": "2026-11"},
    ],
)
def test_months_that_are_none_or_are_to_come_are_refused(finance: Caller, wish: dict[str, Any]) -> None:
    assert fields(finance("POST", "/exports", wish)) == list(wish)


def test_a_repeated_call_is_answered_the_same_and_exports_once(finance: Caller) -> None:
    first = expect(finance("POST", "/exports", {}, Idempotency_Key="march"), 202)
    finished(finance, first.json())
    again = expect(finance("POST", "/exports", {}, Idempotency_Key="march"), 202)
    assert again.json() == first.json()
    assert again.headers["Idempotency-Replayed"] == "true"
    assert len(finance.get("/exports")["items"]) == 1


def test_exports_are_begun_only_so_often_for_those_who_ask(
    finance: Caller, dynamodb: DynamoDBClient, tables: Tables
) -> None:
    last, now = finished(finance, ask(finance)), utc_now()
    pace = PaceStore(dynamodb, tables.work, PaceLimits(per_hour=1_000, per_day=1_000))
    for at in (now, now + timedelta(hours=1)):
        # As if the others had been begun already, also if the next hour or day begins meanwhile.
        assert pace.count_on(keys.exports_asked_on_day(finance.workspace_id, at), REPORT_PACE.per_hour, at) is None
    refused = finance("POST", "/exports", {"month": str(Month.of(now).previous)})
    assert refusal(refused, 429) == "too-many-requests"
    assert 0 < int(refused.headers["Retry-After"]) <= 3_600
    assert "Exports of a workspace" in refused.json()["detail"]
    assert [one["export_id"] for one in finance.get("/exports")["items"]] == [last["export_id"]]


def test_a_file_is_fetched_by_its_own_address_alone(finance: Caller) -> None:
    (file, *_) = finished(finance, ask(finance))["files"]
    assert httpx.get(file["url"].partition("?")[0], timeout=60).status_code == 403
    forged = file["url"].replace(finance.workspace_id, "ws_01KAMZ5Q000000000000000001")
    assert httpx.get(forged, timeout=60).status_code == 403


def test_the_month_that_is_over_is_exported_for_every_workspace(
    stack: EmbeddedStack, finance: Caller, new_customer: Callable[[], Caller]
) -> None:
    other = new_customer()
    scheduled = Month.of(utc_now()).start
    payload = json.dumps({"scheduled_at": to_rfc3339(scheduled)}).encode()
    for _ in range(2):
        answer = stack.aws.lambda_().invoke(FunctionName=stack.outputs["MonthlyExports"], Payload=payload)
        assert json.loads(answer["Payload"].read())["asked"] >= 2
    for workspace in (finance, other):
        (export,) = workspace.get("/exports")["items"]
        assert export["month"] == str(Month.of(scheduled).previous)
        assert finished(workspace, export)["state"] == "ready"


def test_a_message_of_an_export_that_is_gone_is_no_failure(stack: EmbeddedStack, finance: Caller) -> None:
    body = {"workspace_id": finance.workspace_id, "export_id": "exp_01KAN2QJ9V3X5Z7B1D4F6H8K0M", "leg": 0}
    event = {"Records": [{"messageId": "1", "body": json.dumps(body), "eventSource": "aws:sqs"}]}
    answer = stack.aws.lambda_().invoke(FunctionName=stack.outputs["UsageExporter"], Payload=json.dumps(event).encode())
    assert failed(json.loads(answer["Payload"].read())) == []
