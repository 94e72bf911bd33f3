"""Credits that leave an account unused: void, taken back, or lapsed. Once, exactly, whoever else is at the account."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

import pytest

from shared.credits import (
    Committed,
    GrantKind,
    Operation,
    OperationIdReused,
    OperationKind,
    OutOfCredits,
    Replayed,
    UnknownWorkspace,
)
from shared.credits.drawing import MAX_GRANTS_DRAWN
from shared.credits.withdrawals import NotThere, UnknownGrant, Withdrawal, Withdrawn
from shared.months import Month
from tests.support.faults import (
    Killed,
    Line,
    Send,
    answer_lost,
    conflict,
    killed_after_sending,
    killed_before_sending,
)
from tests.support.money import Account, HandClock

if TYPE_CHECKING:
    from botocore.awsrequest import AWSPreparedRequest, AWSResponse

OpenAccount = Callable[[int], Account]
Kind = Literal[OperationKind.VOID, OperationKind.CORRECTION]


def wanted(account: Account, kind: Kind = OperationKind.VOID, reference: str = "ticket 7", **more: Any) -> Withdrawal:
    given: dict[str, Any] = {
        "workspace_id": account.workspace_id,
        "kind": kind,
        "reference": reference,
        "reason": "given by mistake",
        "at": account.clock(),
    }
    return Withdrawal(**(given | more))


def told(operation: Operation) -> str:
    return ",".join(f"{draw.grant_id}:{draw.credits}" for draw in operation.withdrawn)


def of_kind(account: Account, kind: OperationKind) -> list[Operation]:
    return [entry for entry in account.operations() if entry.kind is kind]


def test_a_void_takes_what_is_left_of_a_grant_and_nothing_else(open_account: OpenAccount) -> None:
    account = open_account(10)
    gift = account.a_grant("gift", 100, GrantKind.PROMOTIONAL)
    account.ledger().grant(gift)
    account.ledger().commit(account.plan("charge", 30))
    outcome = account.ledger().withdraw(wanted(account, grant_id=gift.grant_id), told)
    assert isinstance(outcome, Withdrawn)
    assert [(draw.grant_id, draw.credits) for draw in outcome.operation.withdrawn] == [(gift.grant_id, 80)]
    balance = account.balance()
    assert (balance.available, balance.void, balance.consumed, balance.granted) == (0, 80, 30, 110)
    (entry,) = of_kind(account, OperationKind.VOID)
    assert (entry, entry.credits, entry.description) == (outcome.operation, 0, "given by mistake")
    account.check_the_figures(balance, account.operations())
    # What was given is still told as it was given.
    assert gift in account.ledger().grants(account.workspace_id)


def test_a_correction_takes_what_would_pay_next(open_account: OpenAccount) -> None:
    account = open_account(10)
    paid = account.a_grant("paid", 100)
    account.ledger().grant(paid)
    asked = wanted(account, OperationKind.CORRECTION, credits=25, corrects=Month(2026, 2))
    outcome = account.ledger().withdraw(asked, told)
    assert isinstance(outcome, Withdrawn)
    assert [draw.credits for draw in outcome.operation.withdrawn] == [10, 15]
    assert outcome.operation in account.operations()
    assert (outcome.operation.reference, outcome.operation.corrects) == ("ticket 7", Month(2026, 2))
    assert (account.balance().available, account.balance().void) == (85, 25)
    assert account.ledger().withdraw(wanted(account, reference="more", credits=86), told) == NotThere(85)
    assert account.balance().available == 85
    account.check_the_figures(account.balance(), account.operations())


def test_the_same_reference_is_one_withdrawal(open_account: OpenAccount, clock: HandClock) -> None:
    account = open_account(100)
    first = account.ledger().withdraw(wanted(account, credits=40), told)
    assert isinstance(first, Withdrawn)
    clock.advance(days=400)
    assert account.ledger().withdraw(wanted(account, credits=40), told) == Replayed(
        first.operation.operation_id, told(first.operation)
    )
    same = wanted(account, credits=40)
    others = (replace(same, reason="else"), replace(same, corrects=Month(2026, 2)))
    for other in (wanted(account, credits=41), wanted(account), *others):
        assert isinstance(account.ledger().withdraw(other, told), OperationIdReused)
    assert account.balance().void == 40


def test_what_is_not_there_cannot_be_taken(open_account: OpenAccount) -> None:
    account = open_account(5)
    assert account.ledger().withdraw(wanted(account, grant_id="gr_none"), told) == UnknownGrant("gr_none")
    assert account.ledger().withdraw(wanted(account, credits=6), told) == NotThere(5)
    assert account.ledger().withdraw(wanted(account, workspace_id="ws_none"), told) == UnknownWorkspace("ws_none")
    assert (account.balance().void, account.operations()) == (0, [])


def test_what_has_lapsed_expires_and_is_not_void(open_account: OpenAccount, clock: HandClock) -> None:
    account = open_account(0)
    brief = account.a_grant("brief", 50, lasts=timedelta(hours=1))
    account.ledger().grant(brief)
    account.ledger().commit(account.plan("charge", 20))
    clock.advance(hours=3)
    assert account.ledger().withdraw(wanted(account, grant_id=brief.grant_id), told) == NotThere(0)
    for _ in range(2):
        account.ledger().book_lapsed(account.workspace_id)
    balance = account.balance()
    assert (balance.available, balance.expired, balance.void) == (0, 30, 0)
    (entry,) = of_kind(account, OperationKind.EXPIRY)
    # At the moment at which it lapsed, whenever that is booked.
    assert entry.at == brief.expires_at
    assert [(draw.grant_id, draw.credits) for draw in entry.withdrawn] == [(brief.grant_id, 30)]
    account.check_the_figures(balance, account.operations())


def test_many_grants_lapse_at_once(open_account: OpenAccount, clock: HandClock) -> None:
    account = open_account(3)
    for number in range(MAX_GRANTS_DRAWN + 5):
        account.ledger().grant(account.a_grant(f"brief {number}", 2, lasts=timedelta(minutes=30 + number)))
    clock.advance(hours=2)
    account.ledger().book_lapsed(account.workspace_id)
    assert (account.balance().available, account.balance().expired) == (3, 2 * (MAX_GRANTS_DRAWN + 5))
    assert len(of_kind(account, OperationKind.EXPIRY)) == MAX_GRANTS_DRAWN + 5
    account.check_the_figures(account.balance(), account.operations())


def test_as_many_grants_as_a_charge_can_draw_on_can_be_taken_from(open_account: OpenAccount) -> None:
    account = open_account(1)
    for number in range(MAX_GRANTS_DRAWN - 1):
        account.ledger().grant(account.a_grant(f"small {number}", 1))
    outcome = account.ledger().withdraw(wanted(account, credits=MAX_GRANTS_DRAWN), told)
    assert isinstance(outcome, Withdrawn)
    assert account.balance().available == 0


def test_charges_and_withdrawals_at_once_spend_each_credit_once(open_account: OpenAccount) -> None:
    account = open_account(60)
    account.ledger().grant(account.a_grant("paid", 60))

    def charge(number: int) -> object:
        return account.ledger().commit(account.plan(f"charge {number}", 3))

    def take(number: int) -> object:
        return account.ledger().withdraw(wanted(account, reference=f"take {number // 2}", credits=5), told)

    with ThreadPoolExecutor(16) as pool:
        charged = [pool.submit(charge, number) for number in range(30)]
        taken = [pool.submit(take, number) for number in range(16)]
        charges = [each.result() for each in charged]
        takings = [each.result() for each in taken]
    assert all(isinstance(each, Committed | OutOfCredits) for each in charges)
    assert all(isinstance(each, Withdrawn | Replayed | NotThere) for each in takings), takings
    balance = account.balance()
    assert balance.consumed == 3 * sum(isinstance(each, Committed) for each in charges)
    assert balance.void == 5 * sum(isinstance(each, Withdrawn) for each in takings)
    assert balance.available == 120 - balance.consumed - balance.void
    account.check_the_figures(balance, account.operations())


def test_a_charge_between_the_look_and_the_withdrawal_is_seen(open_account: OpenAccount) -> None:
    account = open_account(50)
    client = account.world.dynamodb()

    def charge_meanwhile(_request: AWSPreparedRequest, send: Send) -> AWSResponse:
        account.ledger().commit(account.plan("meanwhile", 20))
        return send()

    script = iter([None, charge_meanwhile])
    Line(client, script=lambda _number, _operation: next(script, None))
    outcome = account.ledger(client).withdraw(wanted(account), told)
    assert isinstance(outcome, Withdrawn)
    assert [draw.credits for draw in outcome.operation.withdrawn] == [30]
    account.check_the_figures(account.balance(), account.operations())


@pytest.mark.parametrize("fault", [killed_before_sending, killed_after_sending])
@pytest.mark.parametrize("index", [0, 1])
def test_whoever_dies_over_it_leaves_all_or_nothing(open_account: OpenAccount, fault: Any, index: int) -> None:
    account = open_account(50)
    client = account.world.dynamodb()
    Line(client, script=lambda number, _operation: fault if number == index else None)
    with pytest.raises(Killed):
        account.ledger(client).withdraw(wanted(account, credits=20), told)
    account.check_the_figures(account.balance(), account.operations())
    again = account.ledger().withdraw(wanted(account, credits=20), told)
    assert isinstance(again, Withdrawn | Replayed)
    assert account.balance().void == 20
    account.check_the_figures(account.balance(), account.operations())


@pytest.mark.parametrize("fault", [answer_lost, conflict(), conflict(2)])
def test_what_goes_wrong_on_the_way_is_done_again_and_counts_once(open_account: OpenAccount, fault: Any) -> None:
    account = open_account(50)
    client = account.world.dynamodb()
    Line(client, script=lambda number, _operation: fault if number == 1 else None)
    outcome = account.ledger(client).withdraw(wanted(account, credits=20), told)
    assert isinstance(outcome, Withdrawn | Replayed)
    assert account.balance().void == 20
    account.check_the_figures(account.balance(), account.operations())
