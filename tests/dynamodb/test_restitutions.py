"""Credits that a correction adds: a grant and the entry that says why, together and once, whoever else is at the
account.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from shared.credits import Committed, Granted, GrantKind, OperationIdReused, OperationKind, Replayed, UnknownWorkspace
from shared.credits.restitutions import Restitution, Restored
from shared.credits.withdrawals import Withdrawal, Withdrawn
from shared.months import Month
from tests.support.faults import Killed, Line, answer_lost, conflict, killed_after_sending, killed_before_sending
from tests.support.money import Account, HandClock

OpenAccount = Callable[[int], Account]


def wanted(account: Account, credits: int = 40, **more: Any) -> Restitution:
    given: dict[str, Any] = {
        "workspace_id": account.workspace_id,
        "credits": credits,
        "unit_price": Decimal(0),
        "currency": "EUR",
        "reference": "ticket 7",
        "reason": "the import ran twice",
        "at": account.clock(),
    }
    return Restitution(**(given | more))


def told(outcome: Restored) -> str:
    return f"{outcome.grant.credits}, of which {outcome.settled} settled"


def check(account: Account) -> None:
    account.check_the_figures(account.balance(), account.operations())


def test_a_correction_is_a_grant_and_an_entry_that_says_why(open_account: OpenAccount, clock: HandClock) -> None:
    account = open_account(10)
    clock.advance(hours=1)
    outcome = account.ledger().restore(wanted(account, expires_at=clock() + timedelta(days=1)), told)
    assert isinstance(outcome, Restored)
    grant = outcome.grant
    assert (grant.kind, grant.credits, grant.reference, grant.granted_at) == (
        GrantKind.CORRECTION,
        40,
        "ticket 7",
        clock(),
    )
    assert grant in account.ledger().grants(account.workspace_id)
    (entry,) = account.operations()
    assert entry == outcome.operation
    assert (entry.kind, entry.credits, entry.at, entry.description, entry.drawn, entry.withdrawn) == (
        OperationKind.CORRECTION,
        0,
        clock(),
        "the import ran twice",
        (),
        (),
    )
    assert (account.balance().available, account.balance().granted) == (50, 50)
    check(account)


def test_a_late_correction_says_which_month_it_is_about(open_account: OpenAccount) -> None:
    account = open_account(10)
    month = Month(2026, 2)
    given = account.ledger().restore(wanted(account, corrects=month), told)
    assert isinstance(given, Restored)
    assert given.grant in account.ledger().grants(account.workspace_id)
    assert account.operations() == [given.operation]
    assert (given.operation.reference, given.operation.corrects) == ("ticket 7", month)
    assert (given.grant.reference, given.grant.corrects) == ("ticket 7", month)
    assert isinstance(account.ledger().restore(wanted(account, corrects=month), told), Replayed)
    check(account)


def test_it_settles_what_is_owed_first_like_a_top_up(open_account: OpenAccount, clock: HandClock) -> None:
    account = open_account(0)
    assert isinstance(account.ledger().commit(account.plan("read", 12, owe_up_to=20)), Committed)
    clock.advance(hours=1)
    outcome = account.ledger().restore(wanted(account), told)
    assert isinstance(outcome, Restored)
    assert outcome.settled == 12
    balance = account.balance()
    assert (balance.available, balance.owed, balance.granted) == (28, 0, 40)
    (settlement,) = [entry for entry in account.operations() if entry.kind is OperationKind.SETTLEMENT]
    assert (settlement.settled, settlement.description) == (12, "owed credits settled by a correction")
    assert [(draw.grant_id, draw.credits) for draw in settlement.drawn] == [(outcome.grant.grant_id, 12)]
    check(account)


def test_the_same_reference_is_one_correction(open_account: OpenAccount, clock: HandClock) -> None:
    account = open_account(100)
    first = account.ledger().restore(wanted(account), told)
    assert isinstance(first, Restored)
    clock.advance(days=400)
    same = (wanted(account), wanted(account, unit_price=Decimal("0.000")))
    for again in same:
        outcome = account.ledger().restore(again, told)
        assert outcome == Replayed(first.operation.operation_id, "40, of which 0 settled")
    others = (
        wanted(account, 41),
        wanted(account, reason="another"),
        wanted(account, unit_price=Decimal("0.01")),
        wanted(account, currency="USD"),
        wanted(account, expires_at=clock() + timedelta(days=1)),
        wanted(account, corrects=Month(2026, 10)),
    )
    for other in others:
        assert account.ledger().restore(other, told) == OperationIdReused(first.operation.operation_id)
    assert account.balance().available == 140
    assert account.ledger().restore(replace(wanted(account), workspace_id="ws_none"), told) == UnknownWorkspace(
        "ws_none"
    )


def test_one_reference_never_both_gives_and_takes(open_account: OpenAccount) -> None:
    account = open_account(100)

    def taking(reference: str) -> Withdrawal:
        return Withdrawal(
            workspace_id=account.workspace_id,
            kind=OperationKind.CORRECTION,
            reference=reference,
            reason="the import ran twice",
            at=account.clock(),
            credits=40,
        )

    assert isinstance(account.ledger().restore(wanted(account), told), Restored)
    assert isinstance(account.ledger().withdraw(taking("ticket 7"), str), OperationIdReused)
    assert isinstance(account.ledger().withdraw(taking("ticket 8"), str), Withdrawn)
    assert isinstance(account.ledger().restore(wanted(account, reference="ticket 8"), told), OperationIdReused)
    assert account.balance().available == 100
    check(account)


def test_corrections_top_ups_and_charges_at_once_lose_and_double_nothing(open_account: OpenAccount) -> None:
    account = open_account(60)
    top_ups = [account.a_grant(f"paid {number}", 5) for number in range(6)]

    def charge(number: int) -> object:
        return account.ledger().commit(account.plan(f"charge {number}", 2))

    def give_back(number: int) -> object:
        return account.ledger().restore(wanted(account, 7, reference=f"ticket {number // 2}"), told)

    with ThreadPoolExecutor(12) as pool:
        charges = [pool.submit(charge, number) for number in range(20)]
        given = [pool.submit(give_back, number) for number in range(12)]
        topped_up = [pool.submit(account.ledger().grant, grant) for grant in top_ups]
        outcomes = [each.result() for each in given]
        assert all(isinstance(each.result(), Committed) for each in charges)
        assert all(isinstance(each.result(), Granted) for each in topped_up)
    assert sum(isinstance(each, Restored) for each in outcomes) == 6
    assert sum(isinstance(each, Replayed) for each in outcomes) == 6
    balance = account.balance()
    assert (balance.granted, balance.consumed) == (60 + 6 * 5 + 6 * 7, 40)
    check(account)


@pytest.mark.parametrize("fault", [killed_before_sending, killed_after_sending])
@pytest.mark.parametrize("index", [0, 1])
def test_whoever_dies_over_it_leaves_all_or_nothing(open_account: OpenAccount, fault: Any, index: int) -> None:
    account = open_account(50)
    client = account.world.dynamodb()
    Line(client, script=lambda number, _operation: fault if number == index else None)
    with pytest.raises(Killed):
        account.ledger(client).restore(wanted(account), told)
    check(account)
    again = account.ledger().restore(wanted(account), told)
    assert isinstance(again, Restored | Replayed)
    assert account.balance().available == 90
    check(account)


@pytest.mark.parametrize("fault", [answer_lost, conflict(), conflict(3)])
def test_what_goes_wrong_on_the_way_is_done_again_and_counts_once(open_account: OpenAccount, fault: Any) -> None:
    account = open_account(50)
    client = account.world.dynamodb()
    Line(client, script=lambda number, _operation: fault if number == 1 else None)
    assert isinstance(account.ledger(client).restore(wanted(account), told), Restored | Replayed)
    assert account.balance().available == 90
    check(account)
