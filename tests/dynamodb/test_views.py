"""What a ledger remembers of an account, for how long it is told as what is there, and when it is read anew."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from shared import keys
from shared.credits import Committed, OutOfCredits, UnknownWorkspace
from shared.credits.plan import ClientCall
from shared.dynamo.reads import Place
from tests.support.faults import Line
from tests.support.money import Account, HandClock

OpenAccount = Callable[[int], Account]
FRESH = timedelta(seconds=10)


def test_a_look_brings_the_account_along_for_the_charge_that_follows(open_account: OpenAccount) -> None:
    account = open_account(5)
    client = account.world.dynamodb()
    line = Line(client)
    ledger = account.ledger(client)
    call = ClientCall(keys.call(account.workspace_id, "POST", "k"), "asked", "")
    starter = account.a_grant("starter", 5)
    there = Place(account.world.credit_table, keys.grant(account.workspace_id, starter.grant_id))
    nowhere = Place(account.world.catalog_table, keys.record(account.workspace_id, "product", "none"))
    looked = ledger.look(account.workspace_id, [nowhere, there], call=call)
    assert looked.balance is not None
    assert (looked.balance.available, looked.told) == (5, None)
    assert looked.items[0] is None
    assert looked.items[1] is not None
    assert isinstance(ledger.commit(account.plan("charge", 2)), Committed)
    assert line.requests == ["BatchGetItem", "TransactWriteItems"]


def test_a_view_is_as_old_as_what_it_was_reckoned_from(open_account: OpenAccount, clock: HandClock) -> None:
    account = open_account(50)
    ledger = account.ledger()
    ledger.balance(account.workspace_id)
    clock.advance(seconds=9)
    ledger.commit(account.plan("ours", 2))
    account.ledger().commit(account.plan("theirs", 30))
    seen = ledger.last_seen(account.workspace_id, within=FRESH)
    assert seen is not None
    assert seen.available == 48
    clock.advance(seconds=2)
    # Our own charge has not made it any younger: others may have spent since it was read.
    assert ledger.last_seen(account.workspace_id, within=FRESH) is None
    outcome = ledger.commit(account.plan("ours again", 2))
    assert isinstance(outcome, Committed)
    assert outcome.available == 16


def test_nobody_is_refused_on_what_was_seen_before(open_account: OpenAccount) -> None:
    account = open_account(1)
    ledger = account.ledger()
    ledger.commit(account.plan("the last one", 1))
    assert ledger.short_of(account.workspace_id, 1, owe_up_to=0, within=FRESH) == OutOfCredits(1, 0, 0)
    assert ledger.short_of(account.workspace_id, 1, owe_up_to=1, within=FRESH) is None
    account.ledger().grant(account.a_grant("top-up", 10))
    assert ledger.short_of(account.workspace_id, 10, owe_up_to=0, within=FRESH) is None
    assert ledger.short_of("ws_none", 1, owe_up_to=0, within=FRESH) == UnknownWorkspace("ws_none")


def test_what_was_seen_a_moment_ago_is_not_read_again(open_account: OpenAccount, clock: HandClock) -> None:
    account = open_account(10)
    client = account.world.dynamodb()
    line = Line(client)
    ledger = account.ledger(client)
    for _ in range(3):
        assert ledger.short_of(account.workspace_id, 1, owe_up_to=0, within=FRESH) is None
    assert line.requests == ["GetItem"]
    clock.advance(seconds=11)
    assert ledger.short_of(account.workspace_id, 1, owe_up_to=0, within=FRESH) is None
    assert line.requests == ["GetItem", "GetItem"]
