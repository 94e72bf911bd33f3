"""Exports of months: whole whatever happens to their workers, one at a time, and equal to the log and the account."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from types import SimpleNamespace

import pytest

from shared import keys
from shared.dynamo.values import to_item
from shared.exports.commands import AskForExport, FutureMonth, ask_for_export, ask_for_monthly_export
from shared.exports.model import STALLED_AFTER, Export, ExportState
from shared.exports.worker import disagrees, work
from shared.months import Month
from shared.usage import UsageCounter
from tests.support import faults
from tests.support.exports import Exporting, after, at, never
from tests.support.faults import Line
from tests.support.money import AT_ONCE, MORNING, Account, HandClock, plain_dynamodb

OpenAccount = Callable[[int], Account]
MARCH, APRIL = Month(2026, 3), Month(2026, 4)


def a_story(account: Account, *, lines_per_part: int = 1_000_000) -> Exporting:
    """A starter batch, two top-ups at different prices, and calls between them, on different days of March."""
    exporting = Exporting(account, lines_per_part)
    for day, credits in ((3, 1), (4, 3)):
        account.clock.now = at(day)
        exporting.charge(f"call {day}", credits)
    account.clock.now = at(10)
    exporting.top_up("invoice 1", 4, "0.0123")
    exporting.charge("call 10", 5)
    account.clock.now = at(20)
    exporting.top_up("invoice 2", 10, "0.0047")
    exporting.charge("call 20", 5)
    account.clock.advance(minutes=1)
    return exporting


def check(exporting: Exporting, export: Export) -> None:
    """A ready export of the whole story: whole, without doubles, and equal to the account."""
    assert (export.state, export.failure) == (ExportState.READY, None)
    rows = exporting.rows(export)
    lines = [row["line_id"] for row in rows]
    assert len(lines) == len(set(lines)) == export.lines
    assert [row["at"] for row in rows] == sorted(row["at"] for row in rows)
    balance = exporting.account.balance()
    assert sum(int(row["credits"]) for row in rows) == balance.consumed == 14
    assert sum(int(row["balance_change"]) for row in rows) == balance.available
    log = exporting.account.operations()
    assert {row["operation_id"] for row in rows} - {""} == {entry.operation_id for entry in log}
    spent = sum((entry.money().get("EUR", Decimal(0)) for entry in log), Decimal(0))
    assert sum(Decimal(row["cost"]) for row in rows) == spent
    assert sum(Decimal(row["billed"]) for row in rows) == Decimal("0.0962")
    manifest = exporting.manifest(export)
    assert manifest["books"]["closing"] == {"available": balance.available, "owed": balance.owed}
    assert manifest["disagreements"] == []
    assert manifest["totals"]["lines"] == export.lines
    focus = exporting.rows(export, "focus")
    assert [row["x_LineId"] for row in focus] == lines
    expected = {name for part in range(1, export.parts + 1) for name in names(part)}
    published = exporting.published(export.month)
    assert {key.rpartition("/")[2] for key in published} == expected
    assert len(published) == 2 * export.parts
    of_export = f"exports/{exporting.workspace_id}/{export.month}/{export.export_id}/"
    assert exporting.keys(of_export) == {file.key for file in export.files} | {of_export + "manifest.json"}
    # Nothing is under way any more: the next one that is asked for is another.
    assert exporting.ask().export_id != export.export_id


def only(number: int, fault: faults.Fault) -> faults.Script:
    """The fault meets one request."""
    return lambda index, _operation: fault if index == number else None


def names(part: int) -> set[str]:
    return {f"lines-{part:05}.parquet", f"focus-{part:05}.csv"}


def test_a_month_becomes_files_that_add_up_to_the_account(open_account: OpenAccount) -> None:
    exporting = a_story(open_account(5))
    export = exporting.ask()
    done = work(exporting.room(), exporting.workspace_id, export.export_id, never, export.leg)
    assert done is not None
    assert done == exporting.now(export)
    assert (done.parts, len(done.files)) == (1, 3)
    check(exporting, done)


@pytest.mark.parametrize("lines", [1, 2, 3, 4, 5])
def test_parts_end_between_entries_and_together_are_the_whole(open_account: OpenAccount, lines: int) -> None:
    exporting = a_story(open_account(5), lines_per_part=lines)
    export = exporting.ask()
    done = work(exporting.room(), exporting.workspace_id, export.export_id, never, export.leg)
    assert done is not None
    assert done.parts > 1
    # One entry was paid by two grants: its lines stay together.
    assert all(file.lines <= max(lines, 2) for file in done.files)
    check(exporting, done)


def test_a_worker_without_time_hands_over_and_its_old_message_calls_for_nothing(open_account: OpenAccount) -> None:
    exporting = a_story(open_account(5))
    export = exporting.ask()
    legs = 0
    while not export.is_over:
        before = export.leg
        found = work(exporting.room(), exporting.workspace_id, export.export_id, after(0), export.leg)
        assert found is not None
        late = work(exporting.room(), exporting.workspace_id, export.export_id, never, before) if found.leg else None
        assert late is None or late == exporting.now(export)
        export, legs = exporting.now(export), legs + 1
        assert legs < 20
    # Each leg writes one entry, or one grant.
    assert (export.parts, legs) == (7, 7)
    check(exporting, export)


def test_a_worker_killed_anywhere_leaves_an_export_that_the_next_one_finishes(
    open_account: OpenAccount, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("botocore.endpoint.time", SimpleNamespace(sleep=lambda _seconds: None))
    number, killed = 0, True
    while killed:
        for fault in (faults.killed_before_sending, faults.killed_after_sending):
            clock.now = MORNING
            exporting = a_story(open_account(5), lines_per_part=4)
            export = exporting.ask()
            dynamodb, s3 = exporting.account.world.dynamodb(), exporting.account.world.s3()
            Line(dynamodb, s3, script=only(number, fault))
            try:
                work(exporting.room(dynamodb, s3), exporting.workspace_id, export.export_id, never, export.leg)
                killed = False
            except faults.Killed:
                found = exporting.now(export)
                # The message that nobody has acknowledged comes again.
                work(exporting.room(), exporting.workspace_id, export.export_id, never, found.leg)
            check(exporting, exporting.now(export))
        number += 1
    assert number > 20


def test_two_workers_at_one_export_make_one(open_account: OpenAccount) -> None:
    exporting = a_story(open_account(5), lines_per_part=2)
    export = exporting.ask()
    with ThreadPoolExecutor(4) as pool:
        rooms = [exporting.room(exporting.account.world.dynamodb(), exporting.account.world.s3()) for _ in range(4)]
        calls = [pool.submit(work, room, exporting.workspace_id, export.export_id, never, 0) for room in rooms]
        for call in calls:
            call.result()
    work(exporting.room(), exporting.workspace_id, export.export_id, never, 0)
    done = exporting.now(export)
    assert done.state is ExportState.READY
    lines = [row["line_id"] for row in exporting.rows(done)]
    assert len(lines) == len(set(lines)) == done.lines == 8
    assert sum(int(row["balance_change"]) for row in exporting.rows(done)) == exporting.account.balance().available


def test_asked_for_twice_at_once_it_is_one_export_with_two_answers(open_account: OpenAccount) -> None:
    exporting = Exporting(open_account(5))
    wish = AskForExport(exporting.workspace_id, MARCH)
    now = exporting.account.clock()
    stores = [exporting.store(exporting.account.world.dynamodb()) for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda store: ask_for_export(store, wish, now), stores))
    assert len({answer.export_id for answer in answers if isinstance(answer, Export)}) == 1
    assert not [answer for answer in answers if isinstance(answer, FutureMonth)]
    (listed,) = exporting.store().page(exporting.workspace_id, 10).exports
    assert listed == answers[0]
    # Another month is another export.
    assert exporting.ask(Month(2026, 2)).export_id != listed.export_id


def test_a_month_of_which_there_is_nothing_is_a_valid_export(open_account: OpenAccount) -> None:
    exporting = Exporting(open_account(5))
    for month in (MARCH.previous, Month(2001, 1)):
        export = exporting.ask(month)
        done = work(exporting.room(), exporting.workspace_id, export.export_id, never, 0)
        assert done is not None
        assert (done.state, done.lines, len(done.files)) == (ExportState.READY, 0, 3)
        assert exporting.rows(done) == exporting.rows(done, "focus") == []
        books = exporting.manifest(done)["books"]
        assert (books["opening"], books["closing"], books["consumed"]) == (
            {"available": 0, "owed": 0},
            {"available": 0, "owed": 0},
            0,
        )


def test_the_future_has_no_exports(open_account: OpenAccount) -> None:
    exporting = Exporting(open_account(5))
    outcome = ask_for_export(exporting.store(), AskForExport(exporting.workspace_id, APRIL), exporting.account.clock())
    assert outcome == FutureMonth(APRIL)
    assert exporting.store().page(exporting.workspace_id, 10).exports == ()


def test_a_later_month_opens_with_what_the_one_before_closed_with(open_account: OpenAccount) -> None:
    exporting = a_story(open_account(5))
    account = exporting.account
    account.clock.now = at(2, month=4)
    exporting.charge("call in april", 2)
    account.clock.advance(minutes=1)
    counter = UsageCounter(
        plain_dynamodb(account.world), account.world.usage_table, clock=account.clock, backoff=AT_ONCE
    )
    counter.count(account.operations())
    reports = {}
    for month in (MARCH, APRIL):
        done = work(exporting.room(), exporting.workspace_id, exporting.ask(month).export_id, never, 0)
        assert done is not None
        assert done.report is not None
        assert not disagrees(done)
        reports[month] = done.report
    assert reports[MARCH]["books"]["closing"] == reports[APRIL]["books"]["opening"] == {"available": 5, "owed": 0}
    # Nobody looked at the account when March ended; what was counted of it says the same.
    assert reports[MARCH]["account"] == reports[MARCH]["books"]["closing"]
    assert reports[APRIL]["account"] == reports[APRIL]["books"]["closing"] == {"available": 3, "owed": 0}
    assert reports[APRIL]["disagreements"] == []


def test_an_entry_that_is_gone_from_a_month_that_is_over_is_noticed(open_account: OpenAccount) -> None:
    exporting = a_story(open_account(5))
    account = exporting.account
    account.clock.now = at(2, month=4)
    counter = UsageCounter(
        plain_dynamodb(account.world), account.world.usage_table, clock=account.clock, backoff=AT_ONCE
    )
    counter.count(account.operations())
    gone = next(entry for entry in account.operations() if entry.credits > entry.owed)
    plain_dynamodb(account.world).delete_item(
        TableName=account.world.credit_table,
        Key=keys.operation(account.workspace_id, gone.operation_id).attributes(),
    )
    done = work(exporting.room(), exporting.workspace_id, exporting.ask(MARCH).export_id, never, 0)
    assert done is not None
    assert disagrees(done)


def test_exported_again_the_newest_is_what_is_published_and_the_first_is_kept(open_account: OpenAccount) -> None:
    exporting = a_story(open_account(5), lines_per_part=1)
    first = work(exporting.room(), exporting.workspace_id, exporting.ask().export_id, never, 0)
    exporting.lines_per_part = 1_000_000
    exporting.account.clock.advance(minutes=1)
    exporting.charge("one more", 1)
    second = work(exporting.room(), exporting.workspace_id, exporting.ask().export_id, never, 0)
    assert first is not None
    assert second is not None
    assert (first.parts > 1, second.parts) == (True, 1)
    assert second.lines == first.lines + 1
    assert len(exporting.published(MARCH)) == 2
    assert len(exporting.rows(first)) == first.lines
    listed = exporting.store().page(exporting.workspace_id, 1)
    assert listed.exports == (second,)
    assert exporting.store().page(exporting.workspace_id, 1, listed.cursor).exports == (first,)


def test_one_that_nobody_works_on_is_called_for_again(open_account: OpenAccount) -> None:
    exporting = a_story(open_account(5))
    export = exporting.ask()
    exporting.account.clock.now += STALLED_AFTER - timedelta(seconds=1)
    assert exporting.ask() == export
    exporting.account.clock.advance(seconds=1)
    again = exporting.ask()
    assert (again.export_id, again.leg) == (export.export_id, 1)
    done = work(exporting.room(), exporting.workspace_id, export.export_id, never, 1)
    assert done is not None
    assert done.state is ExportState.READY


def test_one_firing_of_the_schedule_is_one_export_however_often_it_comes(open_account: OpenAccount) -> None:
    exporting = a_story(open_account(5))
    scheduled = at(2, month=4)
    exporting.account.clock.now = scheduled + timedelta(seconds=30)

    def fire() -> Export:
        now = exporting.account.clock()
        asked = ask_for_monthly_export(exporting.store(), exporting.workspace_id, MARCH, scheduled, now)
        assert isinstance(asked, Export)
        return asked

    first = fire()
    done = work(exporting.room(), exporting.workspace_id, first.export_id, never, 0)
    assert done is not None
    assert fire() == done
    assert len(exporting.store().page(exporting.workspace_id, 10).exports) == 1


def test_a_log_that_cannot_be_told_fails_the_export_with_a_reason(open_account: OpenAccount) -> None:
    exporting = a_story(open_account(5))
    account = exporting.account
    (grant, *_) = account.ledger().grants(exporting.workspace_id)
    plain_dynamodb(account.world).delete_item(
        TableName=account.world.credit_table, Key=keys.grant(exporting.workspace_id, grant.grant_id).attributes()
    )
    export = exporting.ask()
    done = work(exporting.room(), exporting.workspace_id, export.export_id, never, 0)
    assert done is not None
    assert done.state is ExportState.FAILED
    assert grant.grant_id in (done.failure or "")
    # It is out of the way.
    assert exporting.ask().export_id != export.export_id


def test_books_that_are_wrong_say_so(open_account: OpenAccount) -> None:
    exporting = a_story(open_account(5))
    account = exporting.account
    plain_dynamodb(account.world).update_item(
        TableName=account.world.credit_table,
        Key=keys.balance(exporting.workspace_id).attributes(),
        UpdateExpression="SET available = available + :more",
        ExpressionAttributeValues=to_item({":more": 7}),
    )
    done = work(exporting.room(), exporting.workspace_id, exporting.ask().export_id, never, 0)
    assert done is not None
    assert done.report is not None
    (difference,) = done.report["disagreements"]
    assert "the account has 12 credits" in difference
    assert done.state is ExportState.READY


def test_an_export_that_there_is_none_of_is_nothing(open_account: OpenAccount) -> None:
    exporting = Exporting(open_account(5))
    assert work(exporting.room(), exporting.workspace_id, "exp_01KAN2QJ9V3X5Z7B1D4F6H8K0M", never, 0) is None
