"""The expressions that change a balance, held against rules of DynamoDB that the embedded stack does not enforce."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from shared.credits import (
    Balance,
    Channel,
    Draw,
    Grant,
    GrantKind,
    OpenGrant,
    Operation,
    OperationKind,
    account,
)
from shared.credits.drawing import MAX_GRANTS_DRAWN, pay

NOW = datetime(2026, 11, 22, 8, tzinfo=UTC)
MAX_EXPRESSION_BYTES = 4096


def open_grant(name: str, remaining: int, *, expires: bool = False) -> OpenGrant:
    return OpenGrant(
        grant_id=name,
        remaining=remaining,
        unit_price=Decimal("0.01"),
        currency="EUR",
        priority=30,
        granted_at=NOW,
        expires_at=NOW + timedelta(days=1) if expires else None,
    )


def balance(*grants: OpenGrant) -> Balance:
    left = sum(grant.remaining for grant in grants)
    return Balance(
        workspace_id="ws_1",
        available=left,
        owed=0,
        granted=left,
        consumed=0,
        expired=0,
        void=0,
        revision=1,
        base=left,
        level=100,
        grants=grants,
    )


def a_grant(name: str) -> Grant:
    return Grant(
        grant_id=name,
        workspace_id="ws_1",
        kind=GrantKind.PAID,
        credits=10,
        unit_price=Decimal("0.01"),
        currency="EUR",
        priority=30,
        granted_at=NOW,
    )


def paths(request: dict[str, object]) -> list[str]:
    """Every document path that an update expression sets or removes, its placeholders resolved."""
    names = request["ExpressionAttributeNames"]
    assert isinstance(names, dict)
    expression = str(request["UpdateExpression"])
    removed = expression.partition(" REMOVE ")[2].split(", ") if " REMOVE " in expression else []
    set_ = re.findall(r"(#[#.\w]+) = ", expression)
    return [".".join(names[part] for part in path.split(".")) for path in [*set_, *removed]]


def test_a_top_up_that_comes_again_after_it_was_used_up_names_no_path_twice() -> None:
    seen = balance(open_grant("again", 0), open_grant("other", 0), open_grant("left", 4))
    update = account.credit("credit", seen, a_grant("again"), settled=0).request["Update"]
    touched = paths(update)
    assert sorted(touched) == sorted(set(touched))
    assert "grants.other" in touched
    assert "grants.left" not in touched


@pytest.mark.parametrize("used_up", [0, 1, 25, 26, 500])
def test_however_many_grants_are_used_up_a_top_up_fits_an_expression(used_up: int) -> None:
    seen = balance(*(open_grant(f"gr_{number:026}", 0) for number in range(used_up)))
    update = account.credit("credit", seen, a_grant("new"), settled=0).request["Update"]
    assert len(update["UpdateExpression"]) <= MAX_EXPRESSION_BYTES
    assert len(paths(update)) == 7 + min(used_up, 25)


@pytest.mark.parametrize("expires", [False, True])
def test_a_charge_over_as_many_grants_as_may_be_drawn_fits_an_expression(*, expires: bool) -> None:
    seen = balance(*(open_grant(f"gr_{number:026}", 1, expires=expires) for number in range(MAX_GRANTS_DRAWN)))
    payment = pay(seen, MAX_GRANTS_DRAWN, 0, NOW)
    assert payment is not None
    update = account.charge("credit", seen, payment, owe_up_to=0, now=NOW).request["Update"]
    assert len(update["UpdateExpression"]) <= MAX_EXPRESSION_BYTES
    assert len(update["ConditionExpression"]) <= MAX_EXPRESSION_BYTES
    assert (":now" in update["ExpressionAttributeValues"]) is expires


def test_credits_spread_over_too_many_grants_are_refused_and_never_owed() -> None:
    seen = balance(*(open_grant(f"gr_{number}", 1) for number in range(MAX_GRANTS_DRAWN + 1)))
    assert pay(seen, MAX_GRANTS_DRAWN + 1, 1000, NOW) is None


def test_money_is_exact_beyond_the_usual_28_digits() -> None:
    operation = Operation(
        operation_id="op_1",
        workspace_id="ws_1",
        kind=OperationKind.IMPORT,
        channel=Channel.IMPORT,
        at=NOW,
        credits=12_345,
        fingerprint="",
        actions={},
        drawn=(Draw("gr_1", 12_345, Decimal("999999999999.999999999999"), "EUR"),),
    )
    assert operation.money() == {"EUR": Decimal("12344999999999999.999999987655")}
