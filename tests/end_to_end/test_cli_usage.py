"""The command line against the deployed API: where credits went, a month as files, and books that are recounted."""

from __future__ import annotations

import csv
import json
import re
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from shared import keys
from tests.support.api import Caller, define, expect, upload, wait
from tests.support.command import Command
from tests.support.waiting import until

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from tests.support.stack import Tables

pytestmark = pytest.mark.stack

ROWS = 120


@pytest.fixture
def busy(customer: Caller, operator: Caller) -> Caller:
    """A customer with an import, its repetition, calls of a key, and a top-up that pays first."""
    order = {"credits": 50, "unit_price": "0.0125", "currency": "EUR", "reference": "invoice 1", "priority": 1}
    expect(operator("POST", f"/workspaces/{customer.workspace_id}/top-ups", order), 201)
    define(customer)
    content = ("sku,title\n" + "".join(f"p{number},Product {number}\n" for number in range(ROWS))).encode()
    for _ in range(2):
        run = expect(customer("POST", "/feeds/main/runs", {"upload_id": upload(customer, content)}), 202).json()
        assert wait(customer, run["run_id"])["state"] == "finished"
    expect(customer("PUT", "/records/product/p7", {"attributes": {"title": "by key"}}), 200)
    expect(customer("DELETE", "/records/product/p8"), 204)
    return customer


def test_usage_is_drawn_and_adds_up(busy: Caller, command: Command) -> None:
    until(lambda: command.json("usage")["pending_credits"] == 0)
    consumed = busy.get("/credits")["consumed"]
    # Two calls that start a run, two that write, the records of the import, and the one that the key wrote.
    assert consumed == 4 + ROWS + 1
    for grouping in ("day", "job", "kind", "actor", "entity", "month"):
        told = command.json("usage", "--by", grouping)
        assert sum(group["credits"] for group in told["groups"]) == told["total"]["credits"] == consumed
    picture = command("usage").stdout
    assert re.search(rf"Used +{consumed} credits: {consumed - 50} free, 50 paid", picture)
    assert re.search(r"Money +0\.6250? EUR", picture)
    assert re.search(rf"Credits saved +{ROWS}: records met unchanged", picture)
    assert re.search(rf"^main +▒+█+ +{ROWS + 2} +98%$", picture, re.MULTILINE)
    assert "left at this pace" in picture
    assert "▲  credits were granted" in picture


def test_the_log_leads_down_to_records(busy: Caller, command: Command) -> None:
    actor = busy.get("/keys")["items"][0]["key_id"]
    by_key = command.json("operations", "--actor", actor, "--kind", "api_call", "--outcome", "charged")["items"]
    assert {one["actor"] for one in by_key} == {actor}
    assert len(by_key) == 4
    assert command.json("operations", "--outcome", "refused")["items"] == []
    steps = command.json("operations", "--kind", "import", "--outcome", "charged")["items"]
    written = [row for one in steps for row in records_of(command, one["operation_id"])]
    assert sorted(row["key"] for row in written) == sorted(f"p{number}" for number in range(ROWS))
    now = {row["key"]: row["current"] for row in written}
    assert (now["p1"], now["p7"], now["p8"]) == (True, False, None)
    assert re.search(
        r"product +p1 +as it was written", command("operations", "records", steps[-1]["operation_id"]).stdout
    )


def records_of(command: Command, operation_id: str) -> Any:
    return command.json("operations", "records", operation_id, "--limit", "500")["items"]


def test_a_month_comes_as_files_whose_sums_are_the_balance(busy: Caller, command: Command, tmp_path: Path) -> None:
    folder = tmp_path / "books"
    told = command("export", "--to", str(folder))
    [listed] = command.json("export", "list")["items"]
    export = command.json("export", "show", listed["export_id"])
    balance = busy.get("/credits")
    assert export["books"]["closing"] == {"available": balance["available"], "owed": balance["owed"]}
    assert export["totals"]["credits"] == balance["consumed"]
    assert export["disagreements"] == []
    assert "The books add up, and the account agrees." in told.stdout

    month = export["month"]
    for file in export["files"]:
        content = (folder / f"{month}-{file['name']}").read_bytes()
        assert (len(content), sha256(content).hexdigest()) == (file["bytes"], file["sha256"])
    assert json.loads((folder / f"{month}-manifest.json").read_text())["totals"]["credits"] == balance["consumed"]
    with (folder / f"{month}-lines-00001.csv").open(newline="", encoding="utf-8-sig") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == export["lines"]
    assert sum(int(row["credits"] or 0) for row in rows) == balance["consumed"]
    paid = sum(Decimal(row["cost"] or 0) for row in rows if row["line_type"] == "usage")
    assert paid == Decimal("0.625")

    again = tmp_path / "again"
    command("export", "download", export["export_id"], "--to", str(again), "--format", "focus")
    assert {path.name for path in again.iterdir()} == {f"{month}-focus-00001.csv", f"{month}-manifest.json"}


def test_an_audit_says_whether_the_books_balance(
    busy: Caller, command: Command, dynamodb: DynamoDBClient, tables: Tables
) -> None:
    assert "The books balance." in command("audit").stdout
    dynamodb.update_item(
        TableName=tables.credit,
        Key=keys.balance(busy.workspace_id).attributes(),
        UpdateExpression="ADD #consumed :one",
        ExpressionAttributeNames={"#consumed": "consumed"},
        ExpressionAttributeValues={":one": {"N": "1"}},
    )
    told = command("audit", exit_code=1).stdout
    assert "The books do not balance" in told
    assert "consumed" in told
    wrong, right = command.json("audit", "list")["items"]
    assert (wrong["balanced"], right["balanced"]) == (False, True)
    assert command.json("audit", "show", wrong["audit_id"])["differences"] == wrong["differences"]


def test_a_key_without_the_scope_is_told_so(command: Command) -> None:
    secret = command.json("keys", "create", "reader", "--scope", "read")["secret"]
    assert "Usage, " in command("usage", key=secret).stdout
    for refused in ("export", "audit"):
        assert "may not be allowed" in command(refused, key=secret, exit_code=1).stderr


def test_a_month_in_the_future_is_refused(command: Command) -> None:
    assert "month: " in command("export", "--month", "9998-12", exit_code=1).stderr
    assert "from: " in command("usage", "--month", "9998-12", exit_code=1).stderr
