"""Many workers drain one balance to exactly zero (laws 1, 3 and 4)."""

from __future__ import annotations

import multiprocessing
import random
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from datetime import timedelta

import pytest

from shared.credits import Committed, GrantKind, Ledger, OutOfCredits, Replayed
from tests.support.money import Account, HandClock, World

OpenAccount = Callable[[int], Account]


def drain(account: Account, ledger: Ledger, worker: str, spent: Callable[[int], object] = lambda _credits: None) -> int:
    """Charges amounts of all sizes until not one credit is left, and repeats some charges. Answers with its sum."""
    chance = random.Random(worker)
    total, size = 0, chance.randint(1, 5)
    for number in range(100_000):
        plan = account.plan(f"{worker} {number}", size)
        outcome = ledger.commit(plan)
        if isinstance(outcome, Committed):
            total += size
            spent(size)
            if chance.random() < 0.2:
                assert isinstance(ledger.commit(plan), Replayed)
            size = chance.randint(1, 5)
        else:
            assert isinstance(outcome, OutOfCredits), outcome
            assert outcome.available < size
            if outcome.available <= 0:
                return total
            size = outcome.available
    raise AssertionError("the balance has no end")


def in_threads(work: Callable[[int], int], threads: int = 32) -> int:
    together = threading.Barrier(threads)

    def start(number: int) -> int:
        together.wait()
        return work(number)

    with ThreadPoolExecutor(threads) as pool:
        return sum(pool.map(start, range(threads), timeout=120))


def check_a_drain(account: Account, threads: int, *, shared: bool) -> None:
    client = account.world.dynamodb()
    one = account.ledger(client)
    total = in_threads(
        lambda number: drain(account, one if shared else account.ledger(client), f"thread {number}"), threads
    )
    assert total == account.starter
    assert account.balance().available == 0
    account.check_the_books()


@pytest.mark.parametrize("shared", [True, False], ids=["one ledger", "a ledger each"])
def test_32_threads_drain_one_balance_to_exactly_zero(open_account: OpenAccount, *, shared: bool) -> None:
    check_a_drain(open_account(700), 32, shared=shared)


def in_another_process(world: World, workspace_id: str, worker: str) -> int:
    account = Account(world, 0, workspace_id=workspace_id)
    return drain(account, account.ledger(), worker)


def test_4_processes_drain_one_balance_to_exactly_zero(open_account: OpenAccount) -> None:
    account = open_account(800)
    # Fresh interpreters: they share nothing with this one, not even what a fork would.
    with ProcessPoolExecutor(4, mp_context=multiprocessing.get_context("spawn")) as pool:
        working = [
            pool.submit(in_another_process, account.world, account.workspace_id, f"process {number}")
            for number in range(4)
        ]
        totals = [future.result(timeout=120) for future in working]
    assert sum(totals) == 800
    assert account.balance().available == 0
    account.check_the_books()


def test_a_drain_over_several_grants_of_which_one_expires_on_the_way(
    open_account: OpenAccount, clock: HandClock
) -> None:
    account = open_account(50)
    ledger = account.ledger()
    expiring = account.a_grant("expiring", 300, GrantKind.PROMOTIONAL, lasts=timedelta(hours=1))
    ledger.grant(expiring)
    ledger.grant(account.a_grant("bought", 120))
    ledger.grant(account.a_grant("bought later", 80, price="0.02"))
    lock, spent = threading.Lock(), [0]

    def hours_pass(credits: int) -> None:
        with lock:
            spent[0] += credits
            # In the middle of the grant that expires. Charges that are under way were planned in time.
            if spent[0] >= 200 and clock.now < expiring.granted_at + timedelta(hours=1):
                clock.advance(hours=1)

    client = account.world.dynamodb()
    total = in_threads(lambda number: drain(account, account.ledger(client), f"thread {number}", hours_pass), 16)

    balance = account.balance()
    left = {grant.grant_id: grant.remaining for grant in balance.grants}
    lapsed = left.pop(expiring.grant_id)
    assert 0 < lapsed <= 150
    assert set(left.values()) == {0}
    assert total == 550 - lapsed
    assert balance.available == balance.lapsed(clock()) == lapsed
    drawn: Counter[str] = Counter()
    for operation in account.operations():
        drawn.update({draw.grant_id: draw.credits for draw in operation.drawn})
    assert drawn[expiring.grant_id] == 300 - lapsed
    account.check_the_books()


def test_a_drain_while_credits_come_in_ends_at_exactly_zero(open_account: OpenAccount) -> None:
    account = open_account(100)
    client = account.world.dynamodb()
    top_ups = iter([account.a_grant(f"drip {number}", 50) for number in range(8)])
    lock = threading.Lock()

    def work(number: int) -> int:
        ledger = account.ledger(client)
        total = drain(account, ledger, f"thread {number}")
        while True:
            with lock:
                grant = next(top_ups, None)
            if grant is None:
                return total + drain(account, ledger, f"thread {number} at the end")
            ledger.grant(grant)
            total += drain(account, ledger, f"thread {number} after {grant.reference}")

    assert in_threads(work, 8) == 500
    assert account.balance().available == 0
    account.check_the_books()
