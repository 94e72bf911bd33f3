"""The account's items and the only expressions that change them.

The balance is one small item that all charges of a workspace meet on; under 1 KB a charge of it costs one write unit
(two in a transaction). Each condition has a name of its own below; a transaction is refused when one does not hold.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from itertools import islice
from typing import Any, Literal

from shared import keys
from shared.credits.drawing import Payment, after
from shared.credits.levels import FULL, least_at, level_of
from shared.credits.model import Balance, Draw, Grant, GrantKind, OpenGrant
from shared.dynamo.values import from_item, to_attribute, to_item
from shared.dynamo.writes import Write, put_new
from shared.keys import Item
from shared.months import month_text, optional_month
from shared.times import optional_rfc3339, parse_rfc3339, to_rfc3339

_FORGOTTEN_AT_ONCE = 25
"""Grants that are used up and leave the balance item when another is added."""


def to_balance(item: Item) -> Balance:
    values = from_item(item)
    grants = tuple(_to_open_grant(grant_id, values["grants"][grant_id]) for grant_id in sorted(values["grants"]))
    return Balance(
        workspace_id=values["workspace_id"],
        available=values["available"],
        owed=values["owed"],
        granted=values["granted"],
        consumed=values["consumed"],
        expired=values["expired"],
        void=values["void"],
        revision=values["revision"],
        base=values["base"],
        level=values["level"],
        grants=grants,
    )


def to_grant(item: Item) -> Grant:
    values = from_item(item)
    return Grant(
        grant_id=values["grant_id"],
        workspace_id=values["workspace_id"],
        kind=GrantKind(values["kind"]),
        credits=values["credits"],
        unit_price=Decimal(values["unit_price"]),
        currency=values["currency"],
        priority=values["priority"],
        granted_at=parse_rfc3339(values["granted_at"]),
        expires_at=optional_rfc3339(values.get("expires_at")),
        reference=values.get("reference"),
        corrects=optional_month(values.get("corrects")),
    )


def open_account(table: str, grant: Grant) -> tuple[Write, ...]:
    """The writes that give a new workspace its account and its starter grant, once."""
    values = {
        "workspace_id": grant.workspace_id,
        "available": grant.credits,
        "owed": 0,
        "granted": grant.credits,
        "consumed": 0,
        "expired": 0,
        "void": 0,
        "revision": 1,
        "base": grant.credits,
        "level": FULL,
        "grants": {grant.grant_id: _open_grant_values(grant, grant.credits)},
    }
    balance = keys.balance(grant.workspace_id).attributes() | to_item(values)
    return (put_new(table, balance), put_grant(table, grant))


def put_grant(table: str, grant: Grant) -> Write:
    """Writes the grant itself, once: its identifier comes from its reference."""
    values = {
        "grant_id": grant.grant_id,
        "workspace_id": grant.workspace_id,
        "kind": grant.kind.value,
        "credits": grant.credits,
        "reference": grant.reference,
        "corrects": month_text(grant.corrects),
    } | _open_grant_values(grant, grant.credits)
    del values["remaining"]
    present = {name: value for name, value in values.items() if value is not None}
    return put_new(table, keys.grant(grant.workspace_id, grant.grant_id).attributes() | to_item(present))


def charge(table: str, balance: Balance, payment: Payment, *, owe_up_to: int, now: datetime) -> Write:
    """Takes the payment out of the account, if the account still stands as the payment assumes."""
    names: dict[str, str] = {}
    values: dict[str, Any] = {
        ":revision": balance.revision,
        ":drawn": payment.drawn,
        ":credits": payment.drawn + payment.owed,
    }
    changes = ["#available = #available - :drawn", "#consumed = #consumed + :credits"]
    order_of_drawing_is_right = "#revision = :revision"
    conditions = [order_of_drawing_is_right]
    left = after(balance, payment)
    if payment.drawn and (least := least_at(left.level, left.base)):
        # The view may be old: then others have spent since, and the charge may cross a threshold that it does not see.
        values[":least"] = payment.drawn + least
        no_lower_level_is_reached = "#available >= :least"
        conditions.append(no_lower_level_is_reached)
    if left.level != balance.level:
        values[":level"] = left.level
        changes.append("#level = :level")
    for position, draw in enumerate(payment.draws):
        grant, part = f"#grants.#grant{position}", f":part{position}"
        names[f"#grant{position}"] = draw.grant_id
        values[part] = draw.credits
        changes.append(f"{grant}.#remaining = {grant}.#remaining - {part}")
        enough_is_left = f"{grant}.#remaining >= {part}"
        conditions.append(enough_is_left)
        if draw.expires:
            not_expired = f"{grant}.#expires_at > :now"
            conditions.append(not_expired)
    if any(draw.expires for draw in payment.draws):
        values[":now"] = to_rfc3339(now)
    if payment.owed:
        values |= {":owed": payment.owed, ":debt_before": owe_up_to - payment.owed}
        changes.append("#owed = #owed + :owed")
        debt_stays_within_its_cap = "#owed <= :debt_before"
        conditions.append(debt_stays_within_its_cap)
    return _update(table, balance.workspace_id, changes, [], conditions, names, values)


def credit(table: str, balance: Balance, grant: Grant, *, settled: int) -> Write:
    """Adds a grant, of which `settled` credits pay the debt first, and forgets grants that are used up.

    Not the grant itself, if it was given before: DynamoDB refuses an expression that names a path twice before it looks
    at any condition. And not too many at once: an expression has 4 KB at most.
    """
    names = {"#new": grant.grant_id}
    values = {
        ":revision": balance.revision,
        ":one": 1,
        ":owed": balance.owed,
        ":granted": grant.credits,
        ":settled": settled,
        ":added": grant.credits - settled,
        ":level": level_of(balance.available + grant.credits - settled, grant.credits),
        ":new": _open_grant_values(grant, grant.credits - settled),
    }
    changes = [
        "#available = #available + :added",
        "#granted = #granted + :granted",
        "#owed = #owed - :settled",
        "#revision = #revision + :one",
        "#base = :granted",
        "#level = :level",
        "#grants.#new = :new",
    ]
    removals = []
    used_up = (one for one in balance.grants if one.remaining == 0 and one.grant_id != grant.grant_id)
    for position, spent in enumerate(islice(used_up, _FORGOTTEN_AT_ONCE)):
        names[f"#spent{position}"] = spent.grant_id
        removals.append(f"#grants.#spent{position}")
    no_other_grant_came_between = "#revision = :revision"
    debt_is_as_seen = "#owed = :owed"
    conditions = [no_other_grant_came_between, debt_is_as_seen]
    return _update(table, balance.workspace_id, changes, removals, conditions, names, values)


def withdraw(table: str, balance: Balance, draws: Sequence[Draw], *, into: Literal["expired", "void"]) -> Write:
    """Takes credits out of the account unused, and counts them as expired or as void.

    The revision moves: every view from before is refused and drawn from anew.
    """
    left = {grant.grant_id: grant.remaining for grant in balance.grants}
    credits = sum(draw.credits for draw in draws)
    names: dict[str, str] = {}
    values: dict[str, Any] = {
        ":revision": balance.revision,
        ":one": 1,
        ":credits": credits,
        ":seen": balance.level,
        ":level": min(balance.level, level_of(balance.available - credits, balance.base)),
    }
    changes = [
        "#available = #available - :credits",
        f"#{into} = #{into} + :credits",
        "#revision = #revision + :one",
        "#level = :level",
    ]
    no_grant_came_between = "#revision = :revision"
    no_threshold_was_crossed_between = "#level = :seen"
    conditions = [no_grant_came_between, no_threshold_was_crossed_between]
    for position, draw in enumerate(draws):
        names[f"#grant{position}"] = draw.grant_id
        values |= {f":seen{position}": left[draw.grant_id], f":left{position}": left[draw.grant_id] - draw.credits}
        changes.append(f"#grants.#grant{position}.#remaining = :left{position}")
        nothing_more_was_drawn = f"#grants.#grant{position}.#remaining = :seen{position}"
        conditions.append(nothing_more_was_drawn)
    return _update(table, balance.workspace_id, changes, [], conditions, names, values)


def _update(
    table: str,
    workspace_id: str,
    changes: Sequence[str],
    removals: Sequence[str],
    conditions: Sequence[str],
    names: dict[str, str],
    values: Mapping[str, Any],
) -> Write:
    expression = "SET " + ", ".join(changes)
    if removals:
        expression += " REMOVE " + ", ".join(removals)
    condition = " AND ".join(conditions)
    # Each placeholder stands for the attribute of its own name, if `names` says nothing else: half of the words of this
    # trade are reserved in DynamoDB's expressions.
    used = {f"#{name}": name for name in re.findall(r"#(\w+)", expression + condition)}
    request: dict[str, Any] = {
        "TableName": table,
        "Key": keys.balance(workspace_id).attributes(),
        "UpdateExpression": expression,
        "ConditionExpression": condition,
        "ExpressionAttributeNames": used | names,
        "ExpressionAttributeValues": {name: to_attribute(value) for name, value in values.items()},
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }
    return Write({"Update": request})


def _open_grant_values(grant: Grant, remaining: int) -> dict[str, Any]:
    values: dict[str, Any] = {
        "remaining": remaining,
        # Text, so that 0.010 stays 0.010: a price is a decimal with the digits it was agreed with.
        "unit_price": str(grant.unit_price),
        "currency": grant.currency,
        "priority": grant.priority,
        "granted_at": to_rfc3339(grant.granted_at),
    }
    if grant.expires_at is not None:
        values["expires_at"] = to_rfc3339(grant.expires_at)
    return values


def _to_open_grant(grant_id: str, values: Mapping[str, Any]) -> OpenGrant:
    return OpenGrant(
        grant_id=grant_id,
        remaining=values["remaining"],
        unit_price=Decimal(values["unit_price"]),
        currency=values["currency"],
        priority=values["priority"],
        granted_at=parse_rfc3339(values["granted_at"]),
        expires_at=optional_rfc3339(values.get("expires_at")),
    )
