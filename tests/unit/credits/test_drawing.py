"""Which grants pay (design section 2): priority, then soonest expiry, then oldest; money exact to the last digit."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import permutations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from shared.credits import Action, Balance, Channel, Draw, OpenGrant, Operation, OperationKind, PriceList
from shared.credits.account import charge
from shared.credits.drawing import (
    MAX_GRANTS_DRAWN,
    Payment,
    after,
    draw,
    drawable,
    drawing_order,
    pay,
    withdrawable,
    withdrawal,
)

NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)
HOUR = timedelta(hours=1)


def grant(
    name: str, remaining: int = 10, *, priority: int = 1, lasts: timedelta | None = None, age: timedelta = HOUR
) -> OpenGrant:
    return OpenGrant(
        grant_id=name,
        remaining=remaining,
        unit_price=Decimal("0.01"),
        currency="EUR",
        priority=priority,
        granted_at=NOW - age,
        expires_at=None if lasts is None else NOW + lasts,
    )


def balance(*grants: OpenGrant, owed: int = 0) -> Balance:
    available = sum(each.remaining for each in grants)
    return Balance(
        workspace_id="ws",
        available=available,
        owed=owed,
        granted=available,
        consumed=owed,
        expired=0,
        void=0,
        revision=1,
        base=available,
        level=100,
        grants=grants,
    )


IN_ORDER = [
    grant("a", priority=1, lasts=HOUR, age=3 * HOUR),
    grant("b", priority=1, lasts=HOUR, age=HOUR),
    grant("c", priority=1, lasts=HOUR, age=HOUR),
    grant("d", priority=1, lasts=2 * HOUR, age=9 * HOUR),
    grant("e", priority=1, age=9 * HOUR),
    grant("f", priority=2, lasts=HOUR, age=9 * HOUR),
    grant("g", priority=2),
]


def test_the_order_is_total_and_does_not_depend_on_how_the_grants_come() -> None:
    for mixed in permutations(IN_ORDER):
        assert drawing_order(mixed) == IN_ORDER


@pytest.mark.parametrize(
    ("credits", "parts"),
    [
        (0, {}),
        (1, {"first": 1}),
        (3, {"first": 3}),
        (4, {"first": 3, "second": 1}),
        (8, {"first": 3, "second": 5}),
        (9, None),
    ],
)
def test_draws_in_order_and_not_from_what_is_empty_or_expired(credits: int, parts: dict[str, int] | None) -> None:
    account = balance(
        grant("expired", 100, priority=0, lasts=-HOUR),
        grant("expires now", 100, priority=0, lasts=timedelta(0)),
        grant("empty", 0, priority=0),
        grant("second", 5, priority=2),
        grant("first", 3, priority=1),
    )
    drawn = draw(account, credits, NOW)
    assert (None if drawn is None else {each.grant_id: each.credits for each in drawn}) == parts
    assert account.spendable(NOW) == 8
    assert account.lapsed(NOW) == 200


@pytest.mark.parametrize(
    ("credits", "owed", "cap", "payment"),
    [
        (3, 0, 0, "drawn"),
        (4, 0, 0, None),
        (4, 0, 3, None),
        (4, 0, 4, "owed"),
        (4, 1, 4, None),
        (4, 6, 10, "owed"),
        (3, 10, 10, "drawn"),
        (0, 10, 0, "drawn"),
    ],
)
def test_what_is_not_there_is_owed_up_to_the_cap(credits: int, owed: int, cap: int, payment: str | None) -> None:
    paid = pay(balance(grant("only", 3), owed=owed), credits, cap, NOW)
    if payment is None:
        assert paid is None
    else:
        assert paid is not None
        assert (paid.drawn, paid.owed) == ((credits, 0) if payment == "drawn" else (0, credits))


GRANTS = st.lists(
    st.builds(
        grant,
        st.uuids().map(str),
        st.integers(0, 20),
        priority=st.integers(0, 2),
        lasts=st.none() | st.integers(-2, 3).map(lambda hours: hours * HOUR),
        age=st.integers(0, 3).map(lambda hours: hours * HOUR),
    ),
    max_size=6,
)


@given(GRANTS, st.integers(0, 60), st.integers(0, 20), st.integers(0, 40))
def test_a_payment_is_whole_and_leaves_nothing_below_zero(
    grants: list[OpenGrant], credits: int, owed: int, cap: int
) -> None:
    before = balance(*grants, owed=owed)
    payment = pay(before, credits, cap, NOW)
    if payment is None:
        assert before.spendable(NOW) < credits
        assert owed + credits > cap
        return
    left = after(before, payment)
    assert payment.drawn + payment.owed == credits
    assert left.available == sum(each.remaining for each in left.grants) == before.available - payment.drawn
    assert min((each.remaining for each in left.grants), default=0) >= 0
    assert left.granted == left.available + left.consumed - left.owed
    assert left.lapsed(NOW) == before.lapsed(NOW)


@given(GRANTS, st.integers(1, 30), st.integers(1, 30))
def test_two_payments_draw_as_one_would(grants: list[OpenGrant], one: int, other: int) -> None:
    before = balance(*grants)
    both = pay(before, one + other, 0, NOW)
    assume(both is not None)
    first = pay(before, one, 0, NOW)
    assert first is not None
    assert both is not None
    second = pay(after(before, first), other, 0, NOW)
    assert second is not None
    assert after(after(before, first), second) == after(before, both)


def test_one_charge_draws_on_no_more_grants_than_its_expressions_have_room_for() -> None:
    account = balance(*(grant(f"{number:029}", 1, lasts=HOUR) for number in range(100)))
    assert drawable(account, NOW) == MAX_GRANTS_DRAWN
    assert pay(account, MAX_GRANTS_DRAWN + 1, 0, NOW) is None
    payment = pay(account, MAX_GRANTS_DRAWN, 0, NOW)
    assert payment is not None
    request = charge("table", account, payment, owe_up_to=0, now=NOW).request["Update"]
    # AWS documentation, "Service, account, and table quotas": the size of an expression.
    assert max(len(request["ConditionExpression"]), len(request["UpdateExpression"])) <= 4096


def test_after_a_debt_nothing_is_drawn() -> None:
    left = after(balance(grant("only", 3)), Payment((), 5))
    assert (left.available, left.owed, left.consumed) == (3, 5, 5)


# --- money and prices ---


def operation(*draws: Draw) -> Operation:
    return Operation(
        operation_id="op",
        workspace_id="ws",
        kind=OperationKind.IMPORT,
        channel=Channel.IMPORT,
        at=NOW,
        credits=sum(each.credits for each in draws),
        fingerprint="",
        actions={},
        drawn=draws,
    )


def test_money_is_exact_and_kept_apart_by_currency() -> None:
    paid = operation(
        Draw("starter", 5, Decimal(0), "EUR"),
        Draw("a", 3, Decimal("0.1"), "EUR"),
        Draw("b", 1, Decimal("0.00000000000001"), "EUR"),
        Draw("c", 7, Decimal("0.010"), "USD"),
    )
    assert paid.money() == {"EUR": Decimal("0.30000000000001"), "USD": Decimal("0.070")}
    assert str(paid.money()["USD"]) == "0.070"
    assert operation().money() == {}
    assert operation(*[Draw("a", 1, Decimal("0.1"), "EUR")] * 10).money() == {"EUR": Decimal(1)}


def test_every_action_costs_one_credit_unless_a_deployment_says_otherwise() -> None:
    assert {PriceList().price(action) for action in Action} == {1}
    prices = PriceList.from_json('{"record_updated": 2, "api_call": 0}')
    assert [prices.price(action) for action in Action] == [1, 2, 1, 1, 0]
    assert prices.cost({Action.RECORD_CREATED: 3, Action.RECORD_UPDATED: 4, Action.API_CALL: 9}) == 11
    assert prices.cost({}) == 0


@pytest.mark.parametrize(
    "text",
    [
        '{"record_created": -1}',
        '{"record_created": 1.5}',
        '{"record_created": "1"}',
        '{"record_created": true}',
        '{"unknown": 1}',
        "{",
        '{"record_created": null}',
    ],
)
def test_a_price_list_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        PriceList.from_json(text)


def test_a_grant_that_is_named_is_found_behind_more_than_one_charge_can_draw_on() -> None:
    before = [grant(f"{number:02}", 1) for number in range(MAX_GRANTS_DRAWN)]
    account = balance(*before, grant("last", 5, priority=2))
    assert withdrawal(account, "last", None, NOW) == (Draw("last", 5, Decimal("0.01"), "EUR"),)
    assert withdrawable(account, "last", NOW) == 5
    # What nobody names is taken from those that would pay next, and no more of them than an expression can hold.
    assert withdrawal(account, None, MAX_GRANTS_DRAWN + 1, NOW) is None
    assert withdrawable(account, None, NOW) == MAX_GRANTS_DRAWN


def test_nothing_is_taken_of_what_has_lapsed() -> None:
    account = balance(grant("over", 5, lasts=timedelta(0)), grant("left", 3))
    assert withdrawal(account, "over", None, NOW) is None
    assert withdrawable(account, "over", NOW) == 0
    assert withdrawable(account, None, NOW) == 3
