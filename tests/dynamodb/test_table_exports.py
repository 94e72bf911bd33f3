"""Files from an exported table: the same bytes as the files of the API's export, and nothing live is touched."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from typer.testing import CliRunner

from productsync.cli import app
from shared import keys
from shared.credits import GrantKind
from shared.dynamo.values import to_attribute, to_item
from shared.exports.model import Export, ExportState
from shared.exports.table_export import MonthWritten, Wanted, write_all
from shared.exports.table_files import TableExportUnreadable
from shared.exports.worker import work
from shared.keys import Item
from shared.months import Month
from shared.usage import UsageCounter
from tests.support.exports import Exporting, at, never
from tests.support.money import AT_ONCE, Account, plain_dynamodb
from tests.support.table_exports import write_table_export

OpenAccount = Callable[[int], Account]
MARCH, APRIL, MAY = Month(2026, 3), Month(2026, 4), Month(2026, 5)


def a_story(account: Account) -> Exporting:
    """March and April, with two prices, and what is in the table besides."""
    exporting = Exporting(account, lines_per_part=3)
    for month in (3, 4):
        for day in (3, 4, 10):
            account.clock.now = at(day, month)
            exporting.charge(f"call {day}.{month}", 1)
        account.clock.now = at(20, month)
        exporting.top_up(f"invoice {month}", 10, f"0.01{month}0")
        exporting.charge(f"call 20.{month}", 5)
    account.clock.advance(minutes=1)
    world = account.world
    counter = UsageCounter(plain_dynamodb(world), world.usage_table, clock=account.clock, backoff=AT_ONCE)
    counter.count(account.operations())
    return exporting


def items_of(account: Account) -> list[Item]:
    """Everything of the account, and something else of the same table."""
    client, table = plain_dynamodb(account.world), account.world.credit_table
    days = [at(1) + timedelta(days=day) for day in range(-31, 70)]
    partitions = [keys.balance(account.workspace_id).pk, keys.grants(account.workspace_id)]
    partitions += [keys.operations_of_day(account.workspace_id, day) for day in days]
    items: list[Item] = []
    for partition in partitions:
        values = {":pk": to_attribute(partition)}
        found = client.query(TableName=table, KeyConditionExpression="pk = :pk", ExpressionAttributeValues=values)
        items += found["Items"]
    call = keys.call(account.workspace_id, "records", "a key")
    return [*items, call.attributes() | to_item({"workspace_id": account.workspace_id, "fingerprint": "f"})]


def exported(exporting: Exporting, month: Month) -> Export:
    """The API's export of the month."""
    asked = exporting.ask(month)
    done = work(exporting.room(), exporting.workspace_id, asked.export_id, never, asked.leg)
    assert done is not None
    assert done.state is ExportState.READY
    return done


def from_table(
    folder: Path, items: list[Item], exported_at: datetime, wanted: Wanted | None = None
) -> list[MonthWritten]:
    """What becomes of an export of the table; in `folder`, below `to`."""
    source = write_table_export(folder / "export", items, exported_at)
    scratch = folder / "scratch"
    scratch.mkdir()
    return list(write_all(source, folder / "to", scratch, wanted or Wanted(lines_per_part=3)))


def test_files_are_those_of_the_live_export_byte_for_byte(open_account: OpenAccount, tmp_path: Path) -> None:
    exporting = a_story(open_account(10))
    months = from_table(tmp_path, items_of(exporting.account), exporting.account.clock())
    of_story = [each for each in months if each.lines]
    assert [each.month for each in of_story if each.month >= MARCH] == [MARCH, APRIL]
    for each in of_story:
        if each.month < MARCH:
            continue
        live = exported(exporting, each.month)
        assert live.parts >= 2
        assert {path.name for path in each.folder.iterdir()} == {file.name for file in live.files} | {"manifest.json"}
        for file in live.files:
            assert (each.folder / file.name).read_bytes() == exporting.read(file.key), file.name
        manifest, live_manifest = json.loads((each.folder / "manifest.json").read_text()), exporting.manifest(live)
        for part in ("books", "totals", "files", "disagreements"):
            assert manifest[part] == live_manifest[part], part
        assert each.disagreements == ()


def test_each_month_begins_where_the_one_before_ended(open_account: OpenAccount, tmp_path: Path) -> None:
    exporting = a_story(open_account(10))
    months = from_table(tmp_path, items_of(exporting.account), exporting.account.clock())
    for before, after in pairwise(months):
        assert (after.books.opening, after.month) == (before.books.closing, before.month.next)
    assert months[-1].books.closing.available == exporting.account.balance().available
    only = from_table(tmp_path / "april", items_of(exporting.account), at(25, 4), Wanted(month=APRIL, lines_per_part=3))
    assert [replace(each, folder=tmp_path) for each in only] == [replace(months[-1], folder=tmp_path)]


def test_an_account_that_is_not_what_its_log_says_is_told(open_account: OpenAccount, tmp_path: Path) -> None:
    exporting = a_story(open_account(10))
    items = items_of(exporting.account)
    (balance,) = [item for item in items if item["sk"] == {"S": "BALANCE"}]
    balance["available"] = {"N": "1000000"}
    last = from_table(tmp_path, items, exporting.account.clock())[-1]
    assert "the account has 1000000 credits" in last.disagreements[0]


def test_what_is_no_entry_of_ours_is_refused_with_its_row(open_account: OpenAccount, tmp_path: Path) -> None:
    exporting = a_story(open_account(10))
    items = items_of(exporting.account)
    entries = [item for item in items if "operation_id" in item]
    entries[0]["kind"] = {"S": "magic"}
    with pytest.raises(TableExportUnreadable, match=r"json.gz, row \d+: not as this system writes it .*magic"):
        from_table(tmp_path, items, exporting.account.clock())


@pytest.mark.parametrize(
    ("name", "value"), [("credits", {"S": "many"}), ("credits", {"N": "9" * 30}), ("description", {"N": "1"})]
)
def test_a_hostile_entry_ends_with_a_message(open_account: OpenAccount, tmp_path: Path, name: str, value: Item) -> None:
    exporting = a_story(open_account(10))
    items = items_of(exporting.account)
    entry = next(item for item in items if "operation_id" in item)
    entry[name] = value
    # What an entry costs is nothing that a line is made of, if no grant says so.
    entry |= {"owed": value} if name == "credits" else {}
    with pytest.raises(TableExportUnreadable, match="not as this system writes it"):
        from_table(tmp_path, items, exporting.account.clock())


def test_a_workspace_whose_name_leads_out_of_the_folder_is_refused(open_account: OpenAccount, tmp_path: Path) -> None:
    account = open_account(10)
    text = json.dumps(items_of(account)).replace(account.workspace_id, f"../../{account.workspace_id}")
    with pytest.raises(TableExportUnreadable, match="no workspace has this identifier"):
        from_table(tmp_path, json.loads(text), account.clock())


def test_an_item_that_is_there_twice_is_refused(open_account: OpenAccount, tmp_path: Path) -> None:
    exporting = a_story(open_account(10))
    items = items_of(exporting.account)
    with pytest.raises(TableExportUnreadable, match="is there twice"):
        from_table(tmp_path, [*items, items[0]], exporting.account.clock())


def test_the_command_writes_the_files_and_tells_what_they_add_up_to(open_account: OpenAccount, tmp_path: Path) -> None:
    account = open_account(10)
    exporting = a_story(account)
    exporting.account.ledger().grant(account.a_grant("campaign", 5, GrantKind.PROMOTIONAL))
    source = write_table_export(tmp_path / "export", items_of(account), account.clock())
    to = tmp_path / "to"
    result = CliRunner().invoke(
        app, ["export", "from-table", str(source), "--to", str(to), "--month", "2026-04", "--json"]
    )
    assert result.exit_code == 0, result.output
    (told,) = json.loads(result.stdout)["items"]
    assert told["books"]["closing"]["available"] == account.balance().available
    assert (to / account.workspace_id / "2026-04" / "manifest.json").exists()
