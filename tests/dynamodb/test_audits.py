"""Audits on the embedded DynamoDB: healthy books are clean, and each planted damage is named."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from shared import keys
from shared.audits import samples
from shared.audits.commands import STALLED_AFTER, ask_for_audit
from shared.audits.model import Audit, AuditState
from shared.audits.worker import work
from shared.credits import ClientCall, GrantKind, Operation, OperationKind, Plan
from shared.credits.audit import Difference
from shared.credits.operations import put_operation
from shared.credits.withdrawals import Withdrawal, Withdrawn
from shared.ids import operation_id
from shared.tracing import RecordsForgotten
from shared.usage.store import SoFar, UsageStore
from shared.usage.tally import Dimension
from shared.workspaces.directory import WorkspaceDirectory
from shared.workspaces.store import Opened, WorkspaceStore
from tests.dynamodb.test_account_machine import AccountMachine
from tests.support.auditing import Audited, always_after, never, room_of, telling, written_by
from tests.support.faults import Killed, Line, Script, killed_before_sending
from tests.support.money import AT_ONCE, MORNING, Account, World, plain_dynamodb


@pytest.fixture
def books(open_account: Callable[[int], Account]) -> Audited:
    """A workspace with a little of everything in its books: charges, a top-up, a void, an expiry, a debt that was
    settled.
    """
    here = Audited(open_account(20))
    account, ledger = here.account, here.account.ledger()
    here.charge("first", 5)
    here.charge("second", 6)
    ledger.grant(account.a_grant("gift", 30, GrantKind.PROMOTIONAL, lasts=timedelta(hours=1)))
    here.charge("third", 12)
    ledger.grant(account.a_grant("mistake", 7))
    voided = ledger.withdraw(
        Withdrawal(
            workspace_id=account.workspace_id,
            kind=OperationKind.VOID,
            reference="ticket",
            reason="given by mistake",
            at=account.clock(),
            grant_id=account.a_grant("mistake", 7).grant_id,
        ),
        lambda _operation: "",
    )
    assert isinstance(voided, Withdrawn)
    account.clock.advance(hours=2)
    account.ledger().book_lapsed(account.workspace_id)
    here.charge("a read that is owed", 4, owe_up_to=10)
    account.ledger().grant(account.a_grant("bought", 50, price="0.02"))
    here.charge("fourth", 8)
    here.count_usage()
    return here


def test_healthy_books_are_clean(books: Audited) -> None:
    audit = books.audit()
    assert audit.differences == ()
    assert audit.balanced is True
    assert audit.exact is True
    assert audit.state is AuditState.FINISHED
    assert audit.progress == 1
    assert audit.operations == len(books.account.operations())
    assert audit.traced == 5
    assert audit.records == len(books.account.records())
    assert audit.repaired == 0


def test_books_of_nothing_are_clean(open_account: Callable[[int], Account]) -> None:
    audit = Audited(open_account(0)).audit()
    assert (audit.differences, audit.balanced, audit.operations) == ((), True, 0)


# --- damages ---


def balance_of(here: Audited) -> keys.Key:
    return keys.balance(here.workspace_id)


def entry_of(here: Audited, trigger: str) -> keys.Key:
    return keys.operation(here.workspace_id, here.account.id_of(trigger))


def grant_of(here: Audited, reference: str) -> keys.Key:
    return keys.grant(here.workspace_id, here.account.a_grant(reference, 1).grant_id)


def credit(here: Audited) -> str:
    return here.account.world.credit_table


def catalog(here: Audited) -> str:
    return here.account.world.catalog_table


def usage(here: Audited) -> str:
    return here.account.world.usage_table


def available_is_edited(here: Audited) -> None:
    here.edit(credit(here), balance_of(here), available=1000)


def consumed_is_edited(here: Audited) -> None:
    here.edit(credit(here), balance_of(here), consumed=12)


def available_and_consumed_are_edited(here: Audited) -> None:
    """So that the account agrees with itself."""
    balance = here.account.balance()
    bought = here.account.a_grant("bought", 1).grant_id
    here.edit(
        credit(here),
        balance_of(here),
        available=balance.available + 5,
        consumed=balance.consumed - 5,
        **{f"grants__{bought}__remaining": balance.available + 5},
    )


def the_remainder_of_a_grant_is_edited(here: Audited) -> None:
    bought = here.account.a_grant("bought", 1).grant_id
    here.edit(credit(here), balance_of(here), **{f"grants__{bought}__remaining": 49})


def a_debt_is_edited_away(here: Audited) -> None:
    here.charge("a large read", 60, owe_up_to=100)
    balance = here.account.balance()
    here.edit(credit(here), balance_of(here), owed=0, consumed=balance.consumed - balance.owed)


def an_operation_is_removed(here: Audited) -> None:
    here.remove(credit(here), entry_of(here, "second"))


def an_operation_is_doubled(here: Audited) -> None:
    (original,) = (one for one in here.account.operations() if one.operation_id == here.account.id_of("second"))
    copy = replace(original, operation_id=operation_id(MORNING, "another identifier"))
    here.put(credit(here), put_operation(credit(here), copy).request["Put"]["Item"])


def an_entry_is_copied_as_it_is(here: Audited) -> None:
    item = here.item(credit(here), entry_of(here, "second"))
    here.put(credit(here), item | {"sk": {"S": operation_id(MORNING, "another identifier")}})


def the_credits_of_an_operation_are_edited(here: Audited) -> None:
    here.edit(credit(here), entry_of(here, "first"), credits=4)


def what_an_operation_drew_is_edited(here: Audited) -> None:
    drawn = here.account.a_grant("starter", 1).grant_id
    here.edit(credit(here), entry_of(here, "first"), drawn=[[drawn, 1, "0", "EUR"]])


def the_price_of_what_was_drawn_is_edited(here: Audited) -> None:
    bought = here.account.a_grant("bought", 1).grant_id
    here.edit(credit(here), entry_of(here, "fourth"), drawn=[[bought, 8, "0.01", "EUR"]])


def an_operation_is_made_unreadable(here: Audited) -> None:
    here.edit(credit(here), entry_of(here, "first"), kind="present")


def a_figure_of_an_operation_is_no_number(here: Audited) -> None:
    here.edit(credit(here), entry_of(here, "first"), credits="three")


def a_figure_of_the_account_is_no_number(here: Audited) -> None:
    here.edit(credit(here), balance_of(here), consumed="many")


def a_record_is_made_unreadable(here: Audited) -> None:
    here.edit(catalog(here), keys.record(here.workspace_id, "product", "first-1"), created_at="yesterday")


def an_operation_is_moved_to_another_time(here: Audited) -> None:
    here.edit(credit(here), entry_of(here, "first"), at="2026-02-01T08:00:00.000Z")


def an_expiry_is_removed(here: Audited) -> None:
    (expiry,) = (one for one in here.account.operations() if one.kind is OperationKind.EXPIRY)
    here.remove(credit(here), keys.operation(here.workspace_id, expiry.operation_id))


def a_void_is_removed(here: Audited) -> None:
    (void,) = (one for one in here.account.operations() if one.kind is OperationKind.VOID)
    here.remove(credit(here), keys.operation(here.workspace_id, void.operation_id))


def a_settlement_is_removed(here: Audited) -> None:
    (settlement,) = (one for one in here.account.operations() if one.kind is OperationKind.SETTLEMENT)
    here.remove(credit(here), keys.operation(here.workspace_id, settlement.operation_id))


def a_grant_is_removed(here: Audited) -> None:
    here.remove(credit(here), grant_of(here, "bought"))


def the_credits_of_a_grant_are_edited(here: Audited) -> None:
    here.edit(credit(here), grant_of(here, "bought"), credits=51)


def the_price_of_a_grant_is_edited(here: Audited) -> None:
    here.edit(credit(here), grant_of(here, "bought"), unit_price="0.01")


def the_account_is_removed(here: Audited) -> None:
    here.remove(credit(here), balance_of(here))


def a_record_without_operation_is_written(here: Audited) -> None:
    item = here.item(catalog(here), keys.record(here.workspace_id, "product", "first-1"))
    place = keys.record(here.workspace_id, "product", "smuggled")
    here.put(catalog(here), item | place.attributes() | {"operation_id": {"S": operation_id(MORNING, "nobody")}})


def a_record_of_nobody_is_written(here: Audited) -> None:
    item = here.item(catalog(here), keys.record(here.workspace_id, "product", "first-0"))
    del item["operation_id"]
    here.put(catalog(here), item | keys.record(here.workspace_id, "product", "smuggled").attributes())


def a_record_is_removed(here: Audited) -> None:
    here.remove(catalog(here), keys.record(here.workspace_id, "product", "third-3"))


def a_record_names_an_operation_that_never_wrote_it(here: Audited) -> None:
    item = here.item(catalog(here), keys.record(here.workspace_id, "product", "first-1"))
    here.put(catalog(here), item | keys.record(here.workspace_id, "product", "smuggled").attributes())


def an_operation_hides_what_it_wrote(here: Audited) -> None:
    here.edit(credit(here), entry_of(here, "first"), keys={"product": ["first-0", "first-1"]})


def usage_figures_are_edited_up(here: Audited) -> None:
    here.edit(usage(here), keys.usage(here.workspace_id, MORNING, Dimension.TOTAL, "-"), credits=1000)


def usage_figures_are_edited_down(here: Audited) -> None:
    here.edit(usage(here), keys.usage(here.workspace_id, MORNING, Dimension.TOTAL, "-"), credits=1)


def usage_figures_by_kind_are_edited(here: Audited) -> None:
    here.edit(usage(here), keys.usage(here.workspace_id, MORNING, Dimension.KIND, "api_call"), created=1)


def usage_figures_are_no_numbers(here: Audited) -> None:
    here.edit(usage(here), keys.usage(here.workspace_id, MORNING, Dimension.TOTAL, "-"), credits="many")


def what_was_counted_in_all_is_edited_up(here: Audited) -> None:
    here.edit(usage(here), keys.usage_so_far(here.workspace_id), credits=1000)


def what_was_counted_in_all_is_removed(here: Audited) -> None:
    here.remove(usage(here), keys.usage_so_far(here.workspace_id))


def what_left_in_a_month_is_edited(here: Audited) -> None:
    here.edit(usage(here), keys.usage_so_far(here.workspace_id), **{f"left_{MORNING:%Y-%m}": 1})


def an_expiry_is_booked_twice(here: Audited) -> None:
    (expiry,) = (one for one in here.account.operations() if one.kind is OperationKind.EXPIRY)
    copy = replace(expiry, operation_id=operation_id(expiry.at, "another identifier"))
    here.put(credit(here), put_operation(credit(here), copy).request["Put"]["Item"])


def a_settlement_is_booked_twice(here: Audited) -> None:
    (settlement,) = (one for one in here.account.operations() if one.kind is OperationKind.SETTLEMENT)
    copy = replace(settlement, operation_id=operation_id(settlement.at, "another identifier"))
    here.put(credit(here), put_operation(credit(here), copy).request["Put"]["Item"])


DAMAGES: list[tuple[Callable[[Audited], None], str]] = [
    (available_is_edited, "available"),
    (consumed_is_edited, "granted - expired - void"),
    (available_and_consumed_are_edited, "consumed"),
    (the_remainder_of_a_grant_is_edited, "available"),
    (a_debt_is_edited_away, "consumed"),
    (an_operation_is_removed, "consumed"),
    (an_operation_is_doubled, "one entry of each api_call"),
    (an_expiry_is_booked_twice, "one entry of each expiry gr_"),
    (a_settlement_is_booked_twice, "one entry of each settlement gr_"),
    (an_entry_is_copied_as_it_is, "an entry lies under its own identifier"),
    (the_credits_of_an_operation_are_edited, "an entry draws what it costs"),
    (what_an_operation_drew_is_edited, "an entry draws what it costs"),
    (the_price_of_what_was_drawn_is_edited, "the price of"),
    (an_operation_is_made_unreadable, "an item of the books can be read"),
    (a_figure_of_an_operation_is_no_number, "an item of the books can be read"),
    (a_figure_of_the_account_is_no_number, "an item of the books can be read"),
    (a_record_is_made_unreadable, "the records that an operation wrote can be read"),
    (an_operation_is_moved_to_another_time, "an entry's time is its identifier's"),
    (an_expiry_is_removed, "expired"),
    (a_void_is_removed, "void"),
    (a_settlement_is_removed, "owed"),
    (a_grant_is_removed, "granted"),
    (the_credits_of_a_grant_are_edited, "granted"),
    (the_price_of_a_grant_is_edited, "the terms of"),
    (the_account_is_removed, "a workspace has an account"),
    (a_record_without_operation_is_written, "a record names an operation of the log"),
    (a_record_of_nobody_is_written, "a record was written by an operation"),
    (a_record_is_removed, "a record stays until an operation deletes it"),
    (a_record_names_an_operation_that_never_wrote_it, "a record was written by the operation that it names"),
    (an_operation_hides_what_it_wrote, "an operation names as many records as it wrote"),
    (usage_figures_are_edited_up, "usage figures are what the log comes to"),
    (usage_figures_are_edited_down, "usage figures are what the log comes to"),
    (usage_figures_are_no_numbers, "usage figures can be read"),
    (usage_figures_by_kind_are_edited, "usage figures by kind add up to the total"),
    (what_was_counted_in_all_is_edited_up, "usage figures in all are what the months come to"),
    (what_was_counted_in_all_is_removed, "usage figures in all are what the months come to"),
    (what_left_in_a_month_is_edited, "usage figures in all are what the months come to"),
]


@pytest.mark.parametrize(("damage", "rule"), [pytest.param(*each, id=each[0].__name__) for each in DAMAGES])
def test_every_damage_is_found(books: Audited, damage: Callable[[Audited], None], rule: str) -> None:
    damage(books)
    audit = books.audit()
    assert audit.balanced is False
    assert audit.difference_count >= len(audit.differences) > 0
    assert audit.differences[0].rule.startswith(rule), audit.differences
    assert audit.state is AuditState.FINISHED


def test_an_operation_whose_records_cannot_be_read_is_told(books: Audited) -> None:
    def trace(operation: Operation) -> Iterator[tuple[str, str]]:
        if operation.operation_id == books.account.id_of("second"):
            raise ValueError("no such line")
        return written_by(operation)

    books.room = replace(books.room, trace=trace)
    (difference,) = books.audit().differences
    assert difference.rule == "an operation names the records that it wrote"
    assert difference.found == "ValueError: no such line"


def test_operations_whose_records_are_forgotten_are_counted_and_not_followed(books: Audited) -> None:
    def trace(operation: Operation) -> Iterator[tuple[str, str]]:
        if operation.operation_id == books.account.id_of("second"):
            raise RecordsForgotten
        return written_by(operation)

    books.room = replace(books.room, trace=trace)
    audit = books.audit()
    assert (audit.differences, audit.traced) == ((), 4)


def test_only_the_first_differences_are_told(books: Audited) -> None:
    for number in range(30):
        item = books.item(catalog(books), keys.record(books.workspace_id, "product", "first-1"))
        place = keys.record(books.workspace_id, "product", f"smuggled-{number}")
        nobody = operation_id(MORNING, f"nobody {number}")
        books.put(catalog(books), item | place.attributes() | {"operation_id": {"S": nobody}})
    audit = books.audit()
    assert (audit.difference_count, len(audit.differences)) == (30, 20)


# --- what is behind, and no damage ---


def test_usage_figures_that_are_behind_are_brought_up_to_the_log(books: Audited) -> None:
    books.charge("not counted yet", 3)
    audit = books.audit()
    assert (audit.differences, audit.repaired) == ((), 1)
    assert books.audit().repaired == 0


class CountingMeanwhile(UsageStore):
    """Figures that go on being counted while an audit is between two looks at them."""

    def __init__(self, here: Audited, charges: Iterator[str]) -> None:
        super().__init__(here.dynamodb, usage(here))
        self._here, self._charges = here, charges

    def so_far(self, workspace_id: str) -> SoFar:
        self._count()
        found = super().so_far(workspace_id)
        self._count()
        return found

    def _count(self) -> None:
        for name in self._charges:
            self._here.charge(name)
            self._here.count_usage()
            return


def test_what_is_counted_while_the_figures_are_compared_is_no_damage(books: Audited) -> None:
    names = iter([f"meanwhile {number}" for number in range(6)])
    figures = replace(books.room.usage, store=CountingMeanwhile(books, names))
    assert figures.check_so_far(books.workspace_id, books.account.clock()).differences == ()
    # The first look was enough, though something was counted on either side of it.
    assert len(list(names)) == 4
    what_was_counted_in_all_is_edited_up(books)
    more = iter([f"more {number}" for number in range(2)])
    figures = replace(books.room.usage, store=CountingMeanwhile(books, more))
    (difference,) = figures.check_so_far(books.workspace_id, books.account.clock()).differences
    assert difference.found == "credits 1006"


def test_figures_of_long_ago_are_only_told_of(books: Audited) -> None:
    books.charge("not counted", 3)
    books.account.clock.advance(days=50)
    audit = books.audit()
    assert [difference.rule for difference in audit.differences] == ["usage figures are what the log comes to"]
    assert audit.differences[0].expected.startswith("operations 9, credits 38")
    assert audit.repaired == 0


def test_a_record_that_was_deleted_or_written_by_hand_is_no_damage(books: Audited) -> None:
    books.by_hand("first-1", deletes=True)
    books.by_hand("first-2")
    assert books.audit().differences == ()


@pytest.mark.parametrize("units", [1, 3, 1_000])
def test_what_people_do_while_an_audit_is_made_is_no_damage(books: Audited, units: int) -> None:
    """The log was read when they begin, and their entries lie in days that it has passed."""
    clock = books.account.clock
    began = clock()
    edits = iter([("first-1", True), ("second-0", False), ("third-1", True), ("third-2", False)])

    def trace(operation: Operation) -> Iterator[tuple[str, str]]:
        places = list(written_by(operation))
        for record_key, deletes in edits:
            clock.advance(minutes=1)
            books.by_hand(record_key, deletes=deletes, at=began - timedelta(hours=30) if deletes else None)
        return iter(places)

    books.room = replace(books.room, trace=trace)
    audit = books.audit(lambda: always_after(units))
    assert next(edits, None) is None
    assert (audit.differences, audit.balanced) == ((), True)


def test_records_in_doubt_are_told_once_the_log_was_read_again(books: Audited) -> None:
    books.by_hand("first-1", deletes=True)
    a_record_is_removed(books)
    a_record_of_nobody_is_written(books)
    for units in (1, 1_000):
        audit = books.audit(lambda units=units: always_after(units))  # type: ignore[misc]
        assert [(each.rule, each.where) for each in audit.differences] == [
            ("a record stays until an operation deletes it", books.account.id_of("third")),
            ("a record was written by an operation", "product smuggled"),
        ]


def test_of_more_records_than_it_keeps_in_mind_it_tells_nothing_wrong(
    books: Audited, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(samples, "MAX_NAMED", 1)
    books.by_hand("first-1", deletes=True)
    books.by_hand("first-2", deletes=True)
    a_record_is_removed(books)
    assert books.audit().differences == ()


def test_every_record_of_a_large_step_is_looked_for(open_account: Callable[[int], Account]) -> None:
    here = Audited(open_account(300))
    written = [here.charge(f"part {number}", 90) for number in range(3)]
    names = [record_key for operation in written for record_key in operation.keys["product"]]
    large = written[0].operation_id

    def trace(operation: Operation) -> Iterator[tuple[str, str]]:
        return (("product", each) for each in names) if operation.operation_id == large else written_by(operation)

    here.room = replace(here.room, trace=trace)
    here.edit(credit(here), keys.operation(here.workspace_id, large), records={"product": [270, 0, 0, 0, 90]})
    here.remove(catalog(here), keys.record(here.workspace_id, "product", names[-1]))
    found = here.audit().differences
    assert Difference("a record stays until an operation deletes it", f"product {names[-1]}", "neither", large) in found


# --- going on ---


@pytest.mark.parametrize("units", [1, 2, 7])
def test_an_audit_is_handed_over_between_any_two_units(books: Audited, units: int) -> None:
    whole = books.audit()
    in_parts = books.audit(lambda: always_after(units))
    assert in_parts.leg > 1
    assert replace(in_parts, audit_id="", leg=0) == replace(whole, audit_id="")


def test_damages_are_found_in_instalments_too(books: Audited) -> None:
    an_operation_is_removed(books)
    whole = books.audit()
    in_parts = books.audit(lambda: always_after(1))
    assert in_parts.differences == whole.differences


def killing_at(number: int) -> Script:
    """Kills who sends the request of this number."""
    return lambda index, _operation: killed_before_sending if index == number else None


def test_an_audit_that_is_killed_anywhere_goes_on(books: Audited) -> None:
    account, whole = books.account, books.audit()
    number = 0
    while True:
        asked = ask_for_audit(books.room.audits, books.workspace_id, account.clock())
        client = account.world.dynamodb()
        Line(client, script=killing_at(number))
        try:
            done = work(room_of(account.world, account.clock, client), books.workspace_id, asked.audit_id, 0, never)
        except Killed:
            done = work(books.room, books.workspace_id, asked.audit_id, 0, never)
            number += 7
            assert done is not None
            assert replace(done, audit_id=whole.audit_id) == whole
        else:
            assert done is not None
            assert done.state is AuditState.FINISHED
            assert number > 20
            return


def test_a_message_of_an_earlier_leg_does_nothing(books: Audited) -> None:
    asked = ask_for_audit(books.room.audits, books.workspace_id, books.account.clock())
    first = work(books.room, books.workspace_id, asked.audit_id, 0, always_after(2))
    assert first is not None
    assert first.leg == 1
    assert work(books.room, books.workspace_id, asked.audit_id, 0, never) == first
    second = work(books.room, books.workspace_id, asked.audit_id, 1, never)
    assert second is not None
    assert second.balanced is True
    assert work(books.room, books.workspace_id, asked.audit_id, 1, never) == second
    assert work(books.room, books.workspace_id, "audit_01KJPRZB00FV4EM0783THG4AKK", 0, never) is None


# --- asking ---


def test_one_audit_of_a_workspace_is_under_way_at_a_time(books: Audited) -> None:
    now = books.account.clock()
    with ThreadPoolExecutor(8) as pool:
        asked = list(pool.map(lambda _: ask_for_audit(books.room.audits, books.workspace_id, now), range(8)))
    assert len({audit.audit_id for audit in asked}) == 1
    done = books.audit()
    assert done.audit_id == asked[0].audit_id
    assert ask_for_audit(books.room.audits, books.workspace_id, now).audit_id != done.audit_id


def test_an_audit_that_stands_still_is_called_for_again(books: Audited) -> None:
    clock, audits = books.account.clock, books.room.audits
    asked = ask_for_audit(audits, books.workspace_id, clock())
    clock.advance(seconds=STALLED_AFTER.total_seconds() - 1)
    assert ask_for_audit(audits, books.workspace_id, clock()) == asked
    clock.advance(seconds=1)
    again = ask_for_audit(audits, books.workspace_id, clock())
    assert (again.audit_id, again.leg) == (asked.audit_id, 1)
    item = books.item(books.account.world.work_table, keys.audit(books.workspace_id, asked.audit_id))
    assert item["doorbell"] == {"S": "audit"}
    assert item["leg"] == {"N": "1"}


def test_audits_are_listed_newest_first(books: Audited) -> None:
    made: list[Audit] = []
    for _ in range(5):
        books.account.clock.advance(minutes=1)
        made.insert(0, books.audit())
    first = books.room.audits.page(books.workspace_id, 2)
    second = books.room.audits.page(books.workspace_id, 3, first.cursor)
    assert [*first.audits, *second.audits] == made
    assert second.cursor is None
    with pytest.raises(ValueError, match="identifier"):
        books.room.audits.page(books.workspace_id, 2, "nonsense")


# --- samples ---


def test_a_large_workspace_is_sampled(books: Audited, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples, "MAX_TRACED", 2)
    monkeypatch.setattr(samples, "RECORDS_PER_SHARD", 1)
    audit = books.audit()
    assert (audit.differences, audit.traced) == ((), 2)
    assert 0 < audit.records <= keys.RECORD_SHARDS
    an_operation_hides_what_it_wrote(books)
    assert any(books.audit().differences for _ in range(40))


# --- under load ---


def audits_while(here: Audited, charge: Callable[[int, int], object], workers: int, charges: int) -> list[Audit]:
    """The audits that are made one after the other while so many workers charge."""

    def work_off(worker: int) -> None:
        for number in range(charges):
            charge(worker, number)

    made: list[Audit] = []
    with ThreadPoolExecutor(workers) as pool:
        charging = [pool.submit(work_off, worker) for worker in range(workers)]
        while not made or not all(each.done() for each in charging):
            made.append(here.audit(lambda: always_after(5) if len(made) % 2 else never))
        for each in charging:
            each.result()
    return made


def test_an_audit_finds_nothing_while_eight_workers_charge(open_account: Callable[[int], Account]) -> None:
    here = Audited(open_account(100_000))
    here.charge("before", 3)

    def charge(worker: int, number: int) -> None:
        here.charge(f"worker {worker} charge {number}", 1 + number % 3)
        if number % 10 == 9:
            here.account.ledger().grant(here.account.a_grant(f"{worker} {number}", 5))

    audits = audits_while(here, charge, workers=8, charges=15)
    assert [audit.differences for audit in audits] == [()] * len(audits)
    after = here.audit()
    assert (after.differences, after.exact, after.operations) == ((), True, 1 + 8 * 15)


def test_a_damage_is_found_while_workers_charge(open_account: Callable[[int], Account]) -> None:
    here = Audited(open_account(100_000))
    removed = here.charge("removed", 80)
    here.charge("stays", 3)
    here.remove(credit(here), keys.operation(here.workspace_id, removed.operation_id))
    audits = audits_while(here, lambda worker, number: here.charge(f"{worker} {number}", 1), workers=4, charges=10)
    assert all(audit.balanced is False for audit in audits)
    assert removed.operation_id in {difference.expected for audit in audits for difference in audit.differences}


# --- any history ---


class AuditedMachine(AccountMachine):
    """The stories of accounts, at the end of which the books are audited."""

    def _plan(self, trigger: str, credits: int, *, owing: bool = False, call: ClientCall | None = None) -> Plan:
        plan = telling(super()._plan(trigger, credits, owing=owing, call=call))
        self.plans[trigger] = plan
        return plan

    def teardown(self) -> None:
        super().teardown()
        here = Audited(self.account)
        here.count_usage()
        audit = here.audit()
        assert audit.differences == ()
        assert audit.exact is True
        assert audit.repaired == 0


def test_the_books_of_any_history_are_clean(world: World) -> None:
    run_state_machine_as_test(
        type("AuditedMachineHere", (AuditedMachine,), {"world": world}),
        settings=settings(
            max_examples=15,
            stateful_step_count=25,
            derandomize=True,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


# --- the directory of all workspaces ---


def test_every_workspace_that_was_opened_is_in_the_directory(world: World) -> None:
    dynamodb = plain_dynamodb(world)
    store = WorkspaceStore(dynamodb, world.work_table, world.credit_table, backoff=AT_ONCE)
    opened = [store.open("Acme", 10, "EUR", idempotency_key=None, now=MORNING) for _ in range(20)]
    listed = list(WorkspaceDirectory(dynamodb, world.work_table).all())
    assert len(listed) == len(set(listed))
    assert {one.workspace.workspace_id for one in opened if isinstance(one, Opened)} <= set(listed)
