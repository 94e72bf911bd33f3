"""The ledger's outcomes and their precedence (design sections 4 and 5), each as a story on a fresh workspace.

Two ledgers stand for two processes: each remembers what it saw last, and so knows less than the other did since.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest

from shared import keys
from shared.credits import (
    ClientCall,
    Committed,
    Draw,
    Granted,
    GrantKind,
    GrantReferenceReused,
    GrantReplayed,
    Ledger,
    OperationIdReused,
    OperationKind,
    OutOfCredits,
    Plan,
    Replayed,
    Stale,
    UnknownWorkspace,
)
from shared.dynamo.values import to_item
from shared.dynamo.writes import Write
from tests.support.faults import Line
from tests.support.money import Account, HandClock, World, plain_dynamodb, stored_bytes

OpenAccount = Callable[[int], Account]


def drawn(outcome: object) -> list[int]:
    assert isinstance(outcome, Committed), outcome
    return [draw.credits for draw in outcome.operation.drawn]


# --- once (law 2) ---


def test_the_retry_of_the_operation_that_spent_the_last_credit_is_a_replay(open_account: OpenAccount) -> None:
    account = open_account(1)
    ledger = account.ledger()
    plan = account.plan("last")

    assert isinstance(ledger.commit(plan), Committed)
    assert ledger.commit(plan) == Replayed(plan.operation_id, None)
    assert account.ledger().commit(plan) == Replayed(plan.operation_id, None)
    account.check_the_books()


def test_the_retry_is_a_replay_for_a_ledger_that_still_remembers_a_credit(open_account: OpenAccount) -> None:
    account = open_account(1)
    remembers = account.ledger()
    remembers.balance(account.workspace_id)
    plan = account.plan("last")
    account.ledger().commit(plan)

    # Both the entry and the balance refuse this; the entry is read first.
    assert remembers.commit(plan) == Replayed(plan.operation_id, None)
    account.check_the_books()


def test_a_retry_is_a_replay_months_later_and_charges_nothing(open_account: OpenAccount, clock: HandClock) -> None:
    account = open_account(10)
    remembers = account.ledger()
    plan = account.plan("once", 3)
    remembers.commit(plan)
    clock.advance(days=200)

    for ledger in (remembers, account.ledger()):
        assert ledger.commit(plan) == Replayed(plan.operation_id, None)
    assert account.balance().available == 7


def test_the_same_identifier_for_something_else_is_refused_even_without_credits(open_account: OpenAccount) -> None:
    account = open_account(1)
    remembers = account.ledger()
    remembers.balance(account.workspace_id)
    account.ledger().commit(account.plan("trigger"))
    other = account.plan("trigger", asks="something else")

    for ledger in (remembers, account.ledger()):
        assert ledger.commit(other) == OperationIdReused(other.operation_id)
    account.check_the_books()


def call(account: Account, *, asked: str = "this", answer: str = '{"run_id":"run_1"}') -> ClientCall:
    return ClientCall(keys.call(account.workspace_id, "POST /runs", "client-key"), asked, answer)


@pytest.mark.parametrize("starter", [1, 5], ids=["with the last credit", "with credits left"])
@pytest.mark.parametrize("cold", [True, False], ids=["cold", "remembering"])
def test_an_idempotency_key_answers_what_it_answered(open_account: OpenAccount, starter: int, *, cold: bool) -> None:
    account = open_account(starter)
    ledger = account.ledger()
    ledger.balance(account.workspace_id)
    first = account.plan("first attempt", call=call(account))
    account.ledger().commit(first)

    again = account.ledger() if cold else ledger
    retry = account.plan("second attempt", call=call(account, answer='{"run_id":"run_2"}'))
    assert again.commit(retry) == Replayed(first.operation_id, '{"run_id":"run_1"}')
    other = account.plan("third attempt", call=call(account, asked="that"))
    assert again.commit(other) == OperationIdReused(first.operation_id)
    account.check_the_books()


def test_the_idempotency_key_is_judged_before_the_entry(open_account: OpenAccount) -> None:
    account = open_account(5)
    answered = account.plan("answered", call=call(account))
    account.ledger().commit(answered)
    account.ledger().commit(account.plan("known"))

    both = account.plan("known", asks="something else", call=call(account))
    assert account.ledger().commit(both) == Replayed(answered.operation_id, call(account).answer)


# --- the precedence of refusals ---


@dataclass(frozen=True)
class Wrong:
    """What is wrong with a plan, in any combination."""

    known: bool = False
    reused: bool = False
    unpaid: bool = False
    moved: bool = False
    written: bool = False


@pytest.mark.parametrize("remembers", [False, True], ids=["cold", "remembering"])
@pytest.mark.parametrize(
    ("wrong", "outcome"),
    [
        (Wrong(known=True, unpaid=True, moved=True, written=True), Replayed),
        (Wrong(known=True, unpaid=True), Replayed),
        (Wrong(known=True, moved=True), Replayed),
        (Wrong(known=True, written=True), Replayed),
        (Wrong(known=True), Replayed),
        (Wrong(reused=True, unpaid=True, moved=True, written=True), OperationIdReused),
        (Wrong(reused=True, unpaid=True), OperationIdReused),
        (Wrong(reused=True, moved=True), OperationIdReused),
        (Wrong(reused=True), OperationIdReused),
        (Wrong(unpaid=True, moved=True, written=True), OutOfCredits),
        (Wrong(unpaid=True, moved=True), OutOfCredits),
        (Wrong(unpaid=True, written=True), OutOfCredits),
        (Wrong(unpaid=True), OutOfCredits),
        (Wrong(moved=True, written=True), Stale),
        (Wrong(moved=True), Stale),
        (Wrong(written=True), Stale),
        (Wrong(), Committed),
    ],
    ids=lambda value: (
        "+".join(name for name in ("known", "reused", "unpaid", "moved", "written") if getattr(value, name)) or "fine"
        if isinstance(value, Wrong)
        else value.__name__
    ),
)
def test_outcomes_in_their_order_of_precedence(
    open_account: OpenAccount, wrong: Wrong, outcome: type, *, remembers: bool
) -> None:
    account = open_account(4)
    client = plain_dynamodb(account.world)
    ledger = account.ledger()
    if remembers:
        ledger.balance(account.workspace_id)
    if wrong.known or wrong.reused:
        account.ledger().commit(account.plan("step", 1, asks="another thing" if wrong.reused else ""))
    if wrong.unpaid:
        account.ledger().commit(account.plan("spender", account.balance().available))
    if wrong.written:
        client.put_item(**account.new_record("row", "by hand").request["Put"])
    place = keys.run(account.workspace_id, "run_of_the_story")
    client.put_item(
        TableName=account.world.work_table,
        Item=place.attributes() | to_item({"position": 97 if wrong.moved else 0}),
    )
    cursor = Write(
        {
            "Update": {
                "TableName": account.world.work_table,
                "Key": place.attributes(),
                "UpdateExpression": "SET #position = :next",
                "ConditionExpression": "#position = :seen",
                "ExpressionAttributeNames": {"#position": "position"},
                "ExpressionAttributeValues": to_item({":seen": 0, ":next": 1}),
                "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
            }
        }
    )
    before = account.balance()

    seen = ledger.commit(account.plan("step", 1, cursor=cursor, writes=[account.new_record("row", "step")]))

    assert isinstance(seen, outcome), seen
    if isinstance(seen, Stale):
        assert seen.cursor_moved is wrong.moved
        assert set(seen.writes) == ({0} if wrong.written else set())
    if isinstance(seen, OutOfCredits):
        assert seen == OutOfCredits(1, 0, 0)
    if not isinstance(seen, Committed):
        assert account.balance() == before


def test_nothing_is_charged_to_a_workspace_that_does_not_exist(world: World, clock: HandClock) -> None:
    account = Account(world, 0, clock, workspace_id="ws_01ARZ3NDEKTSV4RRFFQ69G5FAV")
    plan = account.plan("into the void")

    assert account.ledger().commit(plan) == UnknownWorkspace(account.workspace_id)
    assert account.ledger().grant(account.a_grant("gift", 5)) == UnknownWorkspace(account.workspace_id)
    assert account.records() == {}


def test_a_workspace_whose_account_is_gone_is_unknown_to_a_ledger_that_remembers_it(open_account: OpenAccount) -> None:
    account = open_account(3)
    ledger = account.ledger()
    ledger.balance(account.workspace_id)
    place = keys.balance(account.workspace_id).attributes()
    plain_dynamodb(account.world).delete_item(TableName=account.world.credit_table, Key=place)

    assert ledger.commit(account.plan("too late")) == UnknownWorkspace(account.workspace_id)


# --- drawing ---


def test_a_charge_is_drawn_across_grants_in_their_order(open_account: OpenAccount) -> None:
    account = open_account(2)
    ledger = account.ledger()
    ledger.grant(account.a_grant("bought", 10, price="0.02"))
    ledger.grant(account.a_grant("gift that lasts", 2, GrantKind.PROMOTIONAL, price="0.00"))
    ledger.grant(account.a_grant("gift that ends", 2, GrantKind.PROMOTIONAL, lasts=timedelta(days=1), price="0.00"))

    outcome = ledger.commit(account.plan("all of it", 9))

    assert isinstance(outcome, Committed)
    order = ["starter", "gift that ends", "gift that lasts", "bought"]
    assert [draw.grant_id for draw in outcome.operation.drawn] == [account.a_grant(name, 1).grant_id for name in order]
    assert drawn(outcome) == [2, 2, 2, 3]
    assert outcome.operation.money() == {"EUR": 3 * account.a_grant("bought", 1, price="0.02").unit_price}
    assert outcome.available == 7
    account.check_the_books()


def test_a_grant_that_expires_in_between_pays_no_more(open_account: OpenAccount, clock: HandClock) -> None:
    account = open_account(0)
    ledger = account.ledger()
    ledger.grant(account.a_grant("gift", 10, GrantKind.PROMOTIONAL, lasts=timedelta(hours=1)))
    ledger.grant(account.a_grant("bought", 3))
    assert drawn(ledger.commit(account.plan("in time", 4))) == [4]
    clock.advance(hours=1)

    outcome = ledger.commit(account.plan("after", 2))
    assert [draw.grant_id for draw in outcome.operation.drawn] == [account.a_grant("bought", 1).grant_id]  # type: ignore[union-attr]
    # 7 lapsed credits are still in the books, and pay for nothing.
    assert ledger.commit(account.plan("too much", 2)) == OutOfCredits(2, 1, 0)
    assert account.balance().available == 7
    account.check_the_books()


def test_an_expiry_that_was_brought_forward_is_seen_by_a_ledger_that_remembers_the_old_one(
    open_account: OpenAccount, clock: HandClock
) -> None:
    account = open_account(0)
    ledger = account.ledger()
    grant = account.a_grant("gift", 10, GrantKind.PROMOTIONAL, lasts=timedelta(days=9))
    ledger.grant(grant)
    ledger.balance(account.workspace_id)
    plain_dynamodb(account.world).update_item(
        TableName=account.world.credit_table,
        Key=keys.balance(account.workspace_id).attributes(),
        UpdateExpression="SET grants.#grant.expires_at = :now",
        ExpressionAttributeNames={"#grant": grant.grant_id},
        ExpressionAttributeValues={":now": {"S": "2026-03-02T08:00:00.000Z"}},
    )
    clock.advance(minutes=1)

    assert ledger.commit(account.plan("late")) == OutOfCredits(1, 0, 0)


# --- remembered views are old in both directions ---


def test_an_empty_view_does_not_refuse_what_another_ledger_made_possible(open_account: OpenAccount) -> None:
    account = open_account(1)
    ledger = account.ledger()
    ledger.commit(account.plan("last"))
    assert ledger.commit(account.plan("one more")) == OutOfCredits(1, 0, 0)
    account.ledger().grant(account.a_grant("bought", 5))

    assert isinstance(ledger.commit(account.plan("one more")), Committed)
    account.check_the_books()


def test_a_rich_view_does_not_spend_what_another_ledger_has_spent(open_account: OpenAccount) -> None:
    account = open_account(10)
    ledger = account.ledger()
    ledger.balance(account.workspace_id)
    account.ledger().commit(account.plan("others", 8))

    assert ledger.commit(account.plan("too much", 3)) == OutOfCredits(3, 2, 0)
    assert isinstance(ledger.commit(account.plan("just enough", 2)), Committed)
    assert account.balance().spendable(account.clock()) == 0
    account.check_the_books()


def test_a_view_from_before_a_grant_does_not_draw_in_the_wrong_order(open_account: OpenAccount) -> None:
    account = open_account(0)
    ledger = account.ledger()
    ledger.grant(account.a_grant("bought", 10))
    ledger.balance(account.workspace_id)
    gift = account.a_grant("gift", 10, GrantKind.PROMOTIONAL)
    account.ledger().grant(gift)

    outcome = ledger.commit(account.plan("free first", 4))
    assert isinstance(outcome, Committed)
    assert outcome.operation.drawn == (Draw(gift.grant_id, 4, gift.unit_price, "EUR"),)


# --- reads on credit ---


def test_reads_go_on_as_debts_up_to_the_cap_and_the_next_top_up_settles_them_first(open_account: OpenAccount) -> None:
    account = open_account(1)
    ledger = account.ledger()
    for number in range(4):
        outcome = ledger.commit(
            account.plan(f"read {number}", writes=[account.new_record(f"r{number}", f"read {number}")], owe_up_to=3)
        )
        assert isinstance(outcome, Committed)
        assert outcome.operation.owed == (0 if number == 0 else 1)
    assert ledger.commit(account.plan("past the cap", owe_up_to=3)) == OutOfCredits(1, 0, 3)
    assert ledger.commit(account.plan("a write")) == OutOfCredits(1, 0, 3)

    granted = account.ledger().grant(account.a_grant("bought", 10))
    assert isinstance(granted, Granted)
    assert granted.settled == 3
    balance = account.balance()
    assert (balance.available, balance.owed, balance.consumed, balance.granted) == (7, 0, 4, 11)
    settlement = next(entry for entry in account.operations() if entry.kind is OperationKind.SETTLEMENT)
    assert [draw.credits for draw in settlement.drawn] == [3]
    assert sum(entry.credits for entry in account.operations()) == 4
    account.check_the_books()


def test_a_small_top_up_settles_what_it_can(open_account: OpenAccount) -> None:
    account = open_account(0)
    ledger = account.ledger()
    ledger.commit(account.plan("read", 5, owe_up_to=10))
    for reference, settled, owed in (("small", 2, 3), ("large", 3, 0)):
        granted = ledger.grant(account.a_grant(reference, settled))
        assert isinstance(granted, Granted)
        assert (granted.settled, account.balance().owed) == (settled, owed)
    assert ledger.commit(account.plan("more")) == OutOfCredits(1, 0, 0)
    account.check_the_books()


def test_two_ledgers_together_owe_no_more_than_the_cap(open_account: OpenAccount) -> None:
    account = open_account(0)
    one, other = account.ledger(), account.ledger()
    for ledger in (one, other):
        ledger.balance(account.workspace_id)
    assert isinstance(one.commit(account.plan("one", 2, owe_up_to=3)), Committed)
    assert other.commit(account.plan("other", 2, owe_up_to=3)) == OutOfCredits(2, 0, 2)
    account.check_the_books()


def test_a_view_from_before_a_top_up_does_not_owe_what_can_be_paid(open_account: OpenAccount) -> None:
    account = open_account(0)
    ledger = account.ledger()
    ledger.balance(account.workspace_id)
    account.ledger().grant(account.a_grant("bought", 5))

    outcome = ledger.commit(account.plan("read", 2, owe_up_to=9))
    assert isinstance(outcome, Committed)
    assert (outcome.operation.owed, drawn(outcome)) == (0, [2])


# --- grants ---


def test_a_top_up_is_given_once_for_each_reference(open_account: OpenAccount, clock: HandClock) -> None:
    account = open_account(1)
    grant = account.a_grant("invoice 1", 10)
    assert account.ledger().grant(grant) == Granted(grant, 0)
    clock.advance(days=40)

    later = account.a_grant("invoice 1", 10)
    assert account.ledger().grant(later) == GrantReplayed(grant)
    assert account.ledger().grant(replace(later, credits=11)) == GrantReferenceReused(grant)
    assert account.balance().granted == 11
    account.check_the_books()


def test_the_replay_of_a_top_up_settles_nothing_again(open_account: OpenAccount) -> None:
    account = open_account(0)
    ledger = account.ledger()
    ledger.commit(account.plan("read", 2, owe_up_to=5))
    grant = account.a_grant("invoice 1", 1)
    ledger.grant(grant)
    assert ledger.grant(grant) == GrantReplayed(grant)
    assert account.balance().owed == 1
    account.check_the_books()


def test_a_top_up_forgets_grants_that_are_used_up_but_not_those_that_lapsed(
    open_account: OpenAccount, clock: HandClock
) -> None:
    account = open_account(2)
    ledger = account.ledger()
    ledger.grant(account.a_grant("gift", 5, GrantKind.PROMOTIONAL, lasts=timedelta(hours=1)))
    ledger.commit(account.plan("some", 3))
    clock.advance(hours=2)
    ledger.grant(account.a_grant("bought", 5))

    assert {grant.grant_id for grant in account.balance().grants} == {
        account.a_grant(name, 1).grant_id for name in ("gift", "bought")
    }
    account.check_the_books()


# --- what it costs ---


@pytest.fixture
def counted(world: World) -> tuple[Any, Line]:
    client = world.dynamodb()
    return client, Line(client)


def test_the_usual_charge_is_one_request_and_two_write_units_of_balance(
    open_account: OpenAccount, counted: tuple[Any, Line]
) -> None:
    account = open_account(3)
    client, line = counted
    ledger = Ledger(client, account.world.credit_table, clock=account.clock)
    for number in range(4):
        # A lasting price: five open grants with everything that a grant can have.
        grant = account.a_grant(
            f"bought {number}", 1_000_000, price="0.00123", lasts=timedelta(days=365), priority=100 + number
        )
        account.ledger().grant(grant)
    ledger.commit(account.plan("first"))
    line.requests.clear()

    plan = account.plan("usual")
    assert isinstance(ledger.commit(plan), Committed)
    assert line.requests == ["TransactWriteItems"]
    item = plain_dynamodb(account.world).get_item(
        TableName=account.world.credit_table, Key=keys.balance(account.workspace_id).attributes()
    )["Item"]
    assert len(item["grants"]["M"]) == 5
    assert stored_bytes(item) <= 1024


def test_what_a_first_charge_a_refusal_and_a_replay_take(open_account: OpenAccount, counted: tuple[Any, Line]) -> None:
    account = open_account(2)
    client, line = counted
    ledger = Ledger(client, account.world.credit_table, clock=account.clock)
    stories: list[tuple[Plan, list[str]]] = [
        (account.plan("first"), ["GetItem", "TransactWriteItems"]),
        (account.plan("first"), ["TransactWriteItems"]),
        (account.plan("second"), ["TransactWriteItems"]),
        (account.plan("third"), ["TransactGetItems"]),
        (account.plan("free", 0), ["TransactWriteItems"]),
    ]
    for plan, requests in stories:
        line.requests.clear()
        ledger.commit(plan)
        assert line.requests == requests
