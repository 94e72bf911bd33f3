"""The books of a workspace that everything has happened to: its log, its balance, its usage, and the three files of its
export say the same, to the last credit and the last decimal of money. The files are read here by nothing of the code
that writes them.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from threading import Barrier
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from pyarrow import parquet

from tests.support.api import Caller, expect, fields, refusal
from tests.support.recount import WIDE, RecountedFigures, usage_by
from tests.support.story import CORRECTED, RUNS_AS_A_FORMULA, Story, pages, story_of
from tests.support.waiting import until

if TYPE_CHECKING:
    from productsync.stack import EmbeddedStack

pytestmark = pytest.mark.stack

Row = dict[str, Any]
GROUPINGS = ("job", "kind", "actor", "entity", "day", "month")
WHOLE = (
    "quantity",
    "credits",
    "balance_change",
    "owed_change",
    "created",
    "updated",
    "unchanged",
    "deleted",
    "record_credits",
)
MONEY = ("unit_price", "cost", "billed")
TIMES = ("at", "valid_until")
AT_ONCE = 6


@dataclass(frozen=True)
class Exported:
    """An export that is ready, as the API shows it, with its files."""

    view: Mapping[str, Any]
    files: Mapping[str, bytes]
    manifest: Mapping[str, Any]

    def rows(self, name: str = "lines-00001.csv") -> list[Row]:
        """Of a CSV file; an empty cell is None."""
        text = self.files[name].decode("utf-8-sig")
        return [{key: value or None for key, value in row.items()} for row in csv.DictReader(io.StringIO(text))]

    def parquet(self) -> list[Row]:
        return list(parquet.read_table(io.BytesIO(self.files["lines-00001.parquet"])).to_pylist())


def export(customer: Caller, month: str) -> Exported:
    asked = expect(customer("POST", "/exports", {"month": month}), 202).json()
    return fetched(customer, asked["export_id"])


def fetched(customer: Caller, export_id: str) -> Exported:
    """Waits for an export, and downloads its files without a key."""
    path = f"/exports/{export_id}"
    until(lambda: customer.get(path)["state"] != "preparing")
    view = customer.get(path)
    assert view["state"] == "ready", view
    files = {file["name"]: download(file["url"]) for file in view["files"]}
    return Exported(view, files, json.loads(download(view["manifest_url"])))


def download(url: str) -> bytes:
    answer = httpx.get(url, timeout=60)
    assert answer.status_code == 200, answer.text
    return answer.content


def month_now() -> str:
    return f"{datetime.now(UTC):%Y-%m}"


@pytest.fixture(scope="module")
def story(stack: EmbeddedStack, operator: Caller) -> Iterator[Story]:
    """Told to its end, and within one month."""
    while True:
        month = month_now()
        opened = expect(operator("POST", "/workspaces", {"name": "Acme"}), 201).json()
        customer = Caller(operator.endpoint, opened["api_key"]["secret"], opened["workspace_id"])
        with story_of(stack, operator, customer) as told:
            told.tell()
            if month == month_now():
                yield told
                return


@pytest.fixture(scope="module")
def log(story: Story) -> list[Row]:
    """All entries, oldest first."""
    entries = sorted(story.log(), key=lambda entry: entry["operation_id"])
    assert len({entry["operation_id"] for entry in entries}) == len(entries)
    return entries


@pytest.fixture(scope="module")
def account(story: Story) -> Row:
    return dict(story.customer.get("/credits"))


@pytest.fixture(scope="module")
def exported(story: Story, log: list[Row]) -> Exported:
    return export(story.customer, log[0]["at"][:7])


@pytest.fixture(scope="module")
def lines(exported: Exported) -> list[Row]:
    """The lines of the CSV file, with numbers where there are some."""
    return [
        row
        | {name: int(row[name]) for name in WHOLE}
        | {name: Decimal(row[name]) for name in MONEY if row[name] is not None}
        for row in exported.rows()
    ]


def total(rows: Iterable[Row], name: str) -> int:
    return sum(row[name] for row in rows)


def money(rows: Iterable[Row], name: str = "cost") -> dict[str, Decimal]:
    """The sums that are not zero, by currency."""
    sums: dict[str, Decimal] = {}
    for row in rows:
        if row[name]:
            sums[row["currency"]] = WIDE.add(sums.get(row["currency"], Decimal(0)), row[name])
    return sums


def of_type(lines: Iterable[Row], *types: str) -> list[Row]:
    return [line for line in lines if line["line_type"] in types]


# --- the log is what happened ---


def test_the_log_says_what_the_story_did(story: Story, log: list[Row]) -> None:
    did = story.tally
    credits: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    records: Counter[str] = Counter()
    for entry in log:
        credits[entry["kind"]] += entry["credits"]
        refused[entry["kind"]] += entry["refused"] is not None
        for counts in entry["records"].values():
            records.update({name: counts[name] for name in ("created", "updated", "unchanged", "deleted")})
        assert sum(draw["credits"] for draw in entry["drawn"]) == entry["credits"] - entry["owed"] + (
            did.settled if entry["kind"] == "settlement" else 0
        )
    assert (+credits, +refused, +records) == (did.credits, did.refused, did.records)
    assert total(log, "owed") == did.owed


def test_the_balance_is_the_log_grant_by_grant(story: Story, log: list[Row], account: Row) -> None:
    did = story.tally
    assert account["granted"] == did.granted == total(account["grants"], "credits")
    assert account["consumed"] == did.credits.total() == total(log, "credits")
    assert (account["owed"], account["paused"]) == (0, None)
    gone: Counter[str] = Counter()
    unused: Counter[str] = Counter()
    for entry in log:
        gone.update({draw["grant_id"]: draw["credits"] for draw in entry["drawn"] + entry["withdrawn"]})
        unused["expired" if entry["kind"] == "expiry" else "void"] += total(entry["withdrawn"], "credits")
    assert {name: account[name] for name in unused} == unused
    assert {grant["grant_id"]: grant["credits"] - grant["remaining"] for grant in account["grants"]} == gone
    # All of them have paid for something, and one of them has expired and one is void.
    assert len(gone) == len(account["grants"]) == 5
    assert min(unused.values()) > 0
    assert account["granted"] - account["expired"] - account["void"] == account["available"] + account["consumed"]


# --- usage is the log ---


@pytest.fixture(scope="module")
def usage(story: Story, log: list[Row]) -> Callable[[str], Row]:
    """Usage of the days of the log, once all of it is counted."""
    first, last = log[0]["at"][:10], log[-1]["at"][:10]

    def ask(group_by: str) -> Row:
        return dict(story.customer.get(f"/usage?from={first}&to={last}&group_by={group_by}"))

    # What was free is counted as well, and never pending.
    until(lambda: ask("kind")["total"]["operations"] == len(log))
    return ask


@pytest.mark.parametrize("group_by", GROUPINGS)
def test_usage_is_a_recount_of_the_log(
    usage: Callable[[str], Row], log: list[Row], account: Row, group_by: str
) -> None:
    view = usage(group_by)
    kinds = {grant["grant_id"]: grant["kind"] for grant in account["grants"]}
    told = {group["value"]: RecountedFigures.told(group) for group in view["groups"]}
    assert len(told) == len(view["groups"])
    assert told == usage_by(group_by, log, kinds)
    assert (view["pending_credits"], view["group_by"]) == (0, group_by)
    assert [RecountedFigures.told(view["total"])] == list(usage_by("month", log, kinds).values())


def test_usage_by_day_tells_what_came_and_what_was_left(
    usage: Callable[[str], Row], log: list[Row], account: Row
) -> None:
    there = 0
    for group in usage("day")["groups"]:
        day = group["value"]
        came = sum(grant["credits"] for grant in account["grants"] if grant["granted_at"][:10] == day)
        went = sum(total(entry["drawn"] + entry["withdrawn"], "credits") for entry in log if entry["at"][:10] == day)
        there += came - went
        assert (group["granted"], group["available"]) == (came, there)
    assert there == account["available"]


def test_what_was_not_in_the_period_is_not_in_usage(story: Story, log: list[Row]) -> None:
    before = story.customer.get("/usage?from=2025-01-01&to=2025-12-31&group_by=job")
    assert (before["groups"], before["total"]["operations"]) == ([], 0)
    assert len(log) > 0


# --- the export is the log ---


def test_every_entry_and_every_grant_is_in_the_export_once(lines: list[Row], log: list[Row], account: Row) -> None:
    assert len({line["line_id"] for line in lines}) == len(lines)
    assert sorted(line["at"] for line in lines) == [line["at"] for line in lines]
    by_operation: dict[str, list[Row]] = defaultdict(list)
    for line in lines:
        if line["operation_id"]:
            by_operation[line["operation_id"]].append(line)
    assert sorted(by_operation) == [entry["operation_id"] for entry in log]
    for entry in log:
        check_entry(entry, by_operation[entry["operation_id"]])
    grants = of_type(lines, "grant")
    assert {
        (line["grant_id"], line["grant_kind"], line["quantity"], line["unit_price"], line["currency"], line["at"])
        for line in grants
    } == {
        (
            grant["grant_id"],
            grant["kind"],
            grant["credits"],
            Decimal(grant["unit_price"]),
            grant["currency"],
            grant["granted_at"],
        )
        for grant in account["grants"]
    }
    assert len(grants) == len(account["grants"])


def check_entry(entry: Row, told: list[Row]) -> None:
    """That the lines of an entry are the entry."""
    for name in ("at", "kind", "channel", "actor", "job_id", "run_id", "refused"):
        assert {line[name] for line in told} == {entry[name]}
    assert total(told, "credits") == entry["credits"]
    parts: list[tuple[Any, ...]] = [
        (draw["grant_id"], draw["credits"], Decimal(draw["unit_price"]), draw["currency"])
        for draw in entry["drawn"] + entry["withdrawn"]
    ]
    if entry["owed"]:
        parts.append((None, entry["owed"], None, None))
    if not parts:
        parts.append((None, 0, None, None))
    assert [(line["grant_id"], line["quantity"], line["unit_price"], line["currency"]) for line in told] == parts
    for line in told:
        price = line["unit_price"] or Decimal(0)
        assert line["cost"] == WIDE.multiply(price, line["quantity"])
        assert line["balance_change"] == (-line["quantity"] if line["grant_id"] else 0)
    counts = Counter(dict.fromkeys(("created", "updated", "unchanged", "deleted", "credits"), 0))
    for each in entry["records"].values():
        counts.update(each)
    assert {name: total(told, "record_credits" if name == "credits" else name) for name in counts} == counts


def test_the_sums_of_the_export_are_those_of_the_log_and_the_balance(
    story: Story, lines: list[Row], log: list[Row], account: Row
) -> None:
    did = story.tally
    assert total(lines, "credits") == total(log, "credits") == account["consumed"] == did.credits.total()
    assert total(lines, "balance_change") == account["available"]
    assert total(lines, "owed_change") == account["owed"] == 0
    assert total(of_type(lines, "grant"), "quantity") == account["granted"]
    assert total(of_type(lines, "expiry"), "quantity") == account["expired"]
    assert total(of_type(lines, "void", "correction"), "quantity") == account["void"]
    assert total(of_type(lines, "correction"), "quantity") == did.corrected_down
    assert total(of_type(lines, "settlement"), "quantity") == did.settled
    assert {name: total(lines, name) for name in did.records} == did.records
    by_grant: Counter[str] = Counter()
    for line in lines:
        if line["grant_id"]:
            by_grant[line["grant_id"]] += line["balance_change"]
    remaining = {grant["grant_id"]: grant["remaining"] for grant in account["grants"]}
    assert {grant_id: by_grant[grant_id] for grant_id in remaining} == remaining
    assert set(by_grant) == set(remaining)


def test_money_is_the_same_to_its_last_decimal(
    story: Story, lines: list[Row], log: list[Row], usage: Callable[[str], Row]
) -> None:
    used = money(of_type(lines, "usage", "settlement"))
    of_the_log: dict[str, Decimal] = {}
    for entry in log:
        for part in entry["cost"]:
            currency, amount = part["currency"], Decimal(part["amount"])
            if amount:
                of_the_log[currency] = WIDE.add(of_the_log.get(currency, Decimal(0)), amount)
    told = RecountedFigures.told(usage("kind")["total"])
    worth = dict(told.cost)
    for currency, amount in told.free_value.items():
        worth[currency] = WIDE.add(worth.get(currency, Decimal(0)), amount)
    assert used == of_the_log == worth
    assert sorted(used) == ["EUR", "USD"]
    billed = {line["reference"]: (line["currency"], line["billed"]) for line in lines if line["billed"]}
    assert {(name or "").removeprefix("'"): amount for name, amount in billed.items()} == story.tally.billed


# --- the three files agree ---


def test_csv_and_parquet_agree_row_by_row(exported: Exported) -> None:
    rows, columns = exported.rows(), exported.parquet()
    assert len(rows) == len(columns) == exported.view["lines"]
    neutralized = set()
    for row, other in zip(rows, columns, strict=True):
        assert list(row) == list(other)
        for name, cell in row.items():
            value = other[name]
            if name in WHOLE:
                assert int(cell) == value
            elif name in MONEY:
                assert cell == value or Decimal(cell) == value
            elif name in TIMES:
                assert cell == value or datetime.fromisoformat(cell) == value
            elif cell != (value or None):
                # A spreadsheet would have run it.
                assert (cell, value[0] in "=+-@") == (f"'{value}", True)
                neutralized.add(value)
    assert neutralized == {RUNS_AS_A_FORMULA, "@a test account"}


SAME = {
    "x_LineId": "line_id",
    "x_LineType": "line_type",
    "x_At": "at",
    "x_OperationId": "operation_id",
    "x_OperationKind": "kind",
    "x_Channel": "channel",
    "x_Actor": "actor",
    "x_JobId": "job_id",
    "x_RunId": "run_id",
    "x_Refused": "refused",
    "x_Description": "description",
    "x_GrantId": "grant_id",
    "x_GrantType": "grant_kind",
    "x_Reference": "reference",
    "x_Corrects": "corrects",
    "x_ValidUntil": "valid_until",
    "x_BalanceChange": "balance_change",
    "x_OwedChange": "owed_change",
    "x_RecordsCreated": "created",
    "x_RecordsUpdated": "updated",
    "x_RecordsUnchanged": "unchanged",
    "x_RecordsDeleted": "deleted",
}


def number(cell: str | None) -> Decimal:
    assert cell is not None
    return Decimal(cell)


def test_csv_and_focus_agree_row_by_row(exported: Exported) -> None:
    focus = exported.rows("focus-00001.csv")
    for line, row in zip(exported.rows(), focus, strict=True):
        assert {name: row[name] for name in SAME} == {name: line[other] for name, other in SAME.items()}
        came_back = line["line_type"] == "grant" and line["grant_kind"] == "correction"
        quantity = -number(line["quantity"]) if came_back else number(line["quantity"])
        assert number(row["PricingQuantity"]) == quantity
        assert number(row["BilledCost"]) == number(line["billed"])
        assert (row["ChargeCategory"] == "Purchase") == (line["line_type"] == "grant" and not came_back)
        if row["ChargeCategory"] == "Usage":
            assert number(row["ConsumedQuantity"]) == number(line["credits"])
        else:
            assert row["ConsumedQuantity"] is None
        if line["unit_price"] is not None:
            assert number(row["ListUnitPrice"]) == number(line["unit_price"])
            assert row["BillingCurrency"] == line["currency"]


def test_focus_reconciles(story: Story, exported: Exported, account: Row) -> None:
    focus = exported.rows("focus-00001.csv")
    by_invoice: dict[str, Decimal] = defaultdict(Decimal)
    worth: dict[str, Decimal] = defaultdict(Decimal)
    for row in focus:
        by_invoice[str(row["InvoiceId"])] += number(row["BilledCost"])
        quantity = number(row["PricingQuantity"])
        for price, cost in (("ListUnitPrice", "ListCost"), ("ContractedUnitPrice", "ContractedCost")):
            assert number(row[cost]) == WIDE.multiply(number(row[price]), quantity)
        if row["ChargeCategory"] == "Purchase":
            assert number(row["EffectiveCost"]) == 0
        else:
            assert number(row["BilledCost"]) == 0
        if row["x_GrantType"] in {"free", "promotional"}:
            assert number(row["EffectiveCost"]) == number(row["ContractedUnitPrice"]) == 0
        if row["x_GrantId"]:
            worth[row["x_GrantId"]] += number(row["EffectiveCost"])
        assert row["ChargePeriodStart"] < row["ChargePeriodEnd"]
        assert row["BillingPeriodStart"] <= row["ChargePeriodStart"] < row["BillingPeriodEnd"]
        assert row["InvoiceId"]
    invoiced = {name.removeprefix("'"): amount for name, amount in by_invoice.items() if amount}
    assert invoiced == {name: amount for name, (_, amount) in story.tally.billed.items()}
    # What a top-up was billed for is what its credits come to, once they are gone; what a correction gave back is
    # nothing, once it is gone.
    for grant in account["grants"]:
        if grant["kind"] == "paid":
            gone = grant["credits"] - grant["remaining"]
            assert worth[grant["grant_id"]] == WIDE.multiply(Decimal(grant["unit_price"]), gone)
        else:
            assert worth[grant["grant_id"]] == 0


def test_voids_and_corrections_say_what_the_operator_called_them(exported: Exported) -> None:
    rows = exported.rows("focus-00001.csv")
    called = {(row["x_LineType"], row["x_Reference"], row["x_Corrects"], row["ChargeClass"]) for row in rows}
    assert called >= {
        ("void", "ticket 1", None, None),
        ("grant", "ticket 2", None, None),
        ("correction", "ticket 2", None, None),
        ("correction", "ticket 3", None, None),
        ("correction", "ticket 4", CORRECTED, "Correction"),
    }
    assert [row["x_LineId"] for row in rows if row["ChargeClass"]] == [
        line["line_id"] for line in exported.rows() if line["corrects"] is not None
    ]


def test_the_manifest_says_what_the_files_hold(
    story: Story, exported: Exported, lines: list[Row], log: list[Row], account: Row
) -> None:
    manifest, view = exported.manifest, exported.view
    assert (manifest["workspace_id"], manifest["export_id"]) == (story.workspace_id, view["export_id"])
    assert {file["format"] for file in manifest["files"]} == {"csv", "parquet", "focus"}
    assert [file["name"] for file in manifest["files"]] == list(exported.files)
    for file, shown in zip(manifest["files"], view["files"], strict=True):
        content = exported.files[file["name"]]
        assert (file["bytes"], file["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
        assert file["lines"] == len(lines)
        assert file == {name: shown[name] for name in file}

    totals = manifest["totals"]
    assert totals == view["totals"]
    assert (totals["lines"], totals["operations"]) == (len(lines), len(log))
    assert totals["refused"] == sum(entry["refused"] is not None for entry in log)
    assert totals["credits"] == total(lines, "credits")
    for line_type, told in totals["by_line_type"].items():
        these = of_type(lines, line_type)
        found = {"lines": len(these), "quantity": total(these, "quantity"), "credits": total(these, "credits")}
        assert told == found
    assert sum(told["lines"] for told in totals["by_line_type"].values()) == len(lines)
    assert {name: total(lines, name) for name in totals["records"]} == totals["records"]
    for name, types in (("cost", ("usage", "settlement")), ("unused", ("expiry", "void", "correction"))):
        told = {
            each["currency"]: sum(Decimal(each[share]) for share in ("paid", "free", "corrected"))
            for each in totals[name]
        }
        assert {currency: amount for currency, amount in told.items() if amount} == money(of_type(lines, *types))
    assert {each["currency"]: Decimal(each["amount"]) for each in totals["billed"]} == money(lines, "billed")
    check_books(story, manifest, account)


def check_books(story: Story, manifest: Mapping[str, Any], account: Row) -> None:
    did, books = story.tally, manifest["books"]
    assert books == {
        "opening": {"available": 0, "owed": 0},
        "granted": did.granted,
        "corrected_up": did.corrected_up,
        "expired": account["expired"],
        "void": account["void"] - did.corrected_down,
        "corrected_down": did.corrected_down,
        "consumed": did.credits.total(),
        "owed": did.owed,
        "settled": did.settled,
        "closing": {"available": account["available"], "owed": 0},
    }
    assert manifest["account"] == books["closing"]
    assert manifest["disagreements"] == []


def test_the_next_export_of_the_month_is_the_same(story: Story, exported: Exported) -> None:
    again = export(story.customer, exported.view["month"])
    assert again.view["export_id"] != exported.view["export_id"]
    for name, content in exported.files.items():
        if name.endswith(".csv"):
            assert again.files[name] == content
    assert again.parquet() == exported.parquet()


# --- the auditor agrees ---


def test_the_audit_is_clean(story: Story, log: list[Row]) -> None:
    asked = expect(story.customer("POST", "/audits"), 202).json()
    path = f"/audits/{asked['audit_id']}"
    until(lambda: story.customer.get(path)["state"] in {"finished", "failed"})
    audit = story.customer.get(path)
    assert (audit["state"], audit["balanced"], audit["differences"]) == ("finished", True, [])
    assert (audit["operations"], audit["exact"]) == (len(log), True)
    # The workspace is small: everything was examined.
    assert audit["records"] >= sum(story.tally.records[name] for name in ("created",)) - story.tally.records["deleted"]


# --- awkward wishes ---


@pytest.fixture
def held(stack: EmbeddedStack) -> Iterator[Callable[[], None]]:
    """Nobody works on exports until it is called."""
    functions = stack.aws.lambda_()
    (mapping,) = functions.list_event_source_mappings(FunctionName=stack.outputs["UsageExporter"])[
        "EventSourceMappings"
    ]

    def switch(enabled: bool) -> None:
        functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=enabled)

    switch(enabled=False)
    yield lambda: switch(enabled=True)
    switch(enabled=True)


def test_an_export_that_is_asked_for_twice_at_once_is_one(customer: Caller, held: Callable[[], None]) -> None:
    month, gate = month_now(), Barrier(AT_ONCE)

    def ask(_number: int) -> Row:
        gate.wait()
        return dict(expect(customer("POST", "/exports", {"month": month}), 202).json())

    with ThreadPoolExecutor(AT_ONCE) as threads:
        answers = list(threads.map(ask, range(AT_ONCE)))
    asked = {answer["export_id"] for answer in answers}
    assert ({answer["state"] for answer in answers}, len(asked)) == ({"preparing"}, 1)
    assert expect(customer("POST", "/exports", {"month": "2025-11"}), 202).json()["export_id"] not in asked
    held()
    assert len(fetched(customer, *asked).rows()) == 1
    assert len(list(pages(customer, "/exports?limit=1"))) == 2
    # Once it is ready, the next one is another.
    assert export(customer, month).view["export_id"] not in asked


def test_an_export_that_is_sent_again_is_answered_the_same(customer: Caller) -> None:
    wish = {"month": month_now()}
    first = expect(customer("POST", "/exports", wish, Idempotency_Key="k"), 202).json()
    fetched(customer, first["export_id"])
    again = expect(customer("POST", "/exports", wish, Idempotency_Key="k"), 202).json()
    assert again["export_id"] == first["export_id"]
    other = customer("POST", "/exports", {"month": "2026-01"}, Idempotency_Key="k")
    assert refusal(other, 409) == "idempotency-key-reused"


def test_a_workspace_without_usage_exports_what_it_was_given(customer: Caller) -> None:
    found = export(customer, month_now())
    (line,) = found.rows()
    assert (line["line_type"], line["quantity"], line["grant_kind"], line["billed"]) == ("grant", "5000", "free", "0")
    assert len(found.parquet()) == len(found.rows("focus-00001.csv")) == 1
    books = found.manifest["books"]
    assert (books["granted"], books["consumed"], books["closing"]) == (5_000, 0, {"available": 5_000, "owed": 0})
    usage = customer.get("/usage?group_by=job")
    assert (usage["groups"], usage["total"]["credits"], usage["pending_credits"]) == ([], 0, 0)


@pytest.mark.parametrize("month", ["2025-12", "2019-02"])
def test_a_month_before_the_workspace_is_a_valid_empty_export(customer: Caller, month: str) -> None:
    found = export(customer, month)
    assert (found.view["lines"], found.rows(), found.parquet(), found.rows("focus-00001.csv")) == (0, [], [], [])
    # With the names of all columns, so that programs that read many months read this one too.
    assert len(found.files["lines-00001.csv"].splitlines()) == len(found.files["focus-00001.csv"].splitlines()) == 1
    assert found.manifest["totals"]["lines"] == 0
    assert found.manifest["books"]["closing"] == {"available": 0, "owed": 0}


@pytest.mark.parametrize(
    "month", ["2198-01", "2026-13", "2026-00", "2026-1", "26-01", "2026-11-01", "november", "", " 2026-11", 7, [], True]
)
def test_a_month_that_cannot_be_exported_is_refused(customer: Caller, month: Any) -> None:
    assert fields(customer("POST", "/exports", {"month": month})) == ["month"]
    assert customer.get("/exports")["items"] == []


def test_what_else_cannot_be_exported(customer: Caller, new_customer: Callable[[], Caller]) -> None:
    assert fields(customer("POST", "/exports", {"moon": "2026-11"})) == ["moon"]
    for nothing in ("exp_01KAN2QJ9V3X5Z7B1D4F6H8K0M", "nothing", "%00"):
        assert refusal(customer("GET", f"/exports/{nothing}"), 404) == "not-found"
    theirs = expect(new_customer()("POST", "/exports", {}), 202).json()["export_id"]
    assert refusal(customer("GET", f"/exports/{theirs}"), 404) == "not-found"


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("from=2198-01-01", "from"),
        ("from=2198-01-01&to=2198-02-01", "from"),
        ("from=2026-03-02&to=2026-03-01", "from"),
        ("from=2024-01-01&to=2026-01-01", "to"),
        ("from=2026-02-30", "from"),
        ("from=yesterday", "from"),
        ("to=2026-13-01", "to"),
        ("to=", "to"),
        ("group_by=colour", "group_by"),
        ("group_by=", "group_by"),
        ("group_by=day,job", "group_by"),
    ],
)
def test_usage_that_cannot_be_is_refused(customer: Caller, query: str, field: str) -> None:
    assert fields(customer("GET", f"/usage?{query}")) == [field]


def test_finance_alone_exports_and_audits(customer: Caller) -> None:
    made = expect(customer("POST", "/keys", {"name": "reader", "scopes": ["read"]}), 201).json()
    reader = Caller(customer.endpoint, made["secret"], customer.workspace_id)
    expect(reader("GET", "/usage"), 200)
    for method, path in (("POST", "/exports"), ("GET", "/exports"), ("POST", "/audits"), ("GET", "/audits")):
        assert refusal(reader(method, path, {} if method == "POST" else None), 403) == "forbidden"
