"""Do the books balance? Pure; the answer is a list of what does not add up (law 4)."""

from __future__ import annotations

from collections.abc import Iterable

from shared.credits.model import Balance, Grant, Operation


def discrepancies(balance: Balance, grants: Iterable[Grant], operations: Iterable[Operation]) -> list[str]:
    """What contradicts itself between an account, its grants and its whole operation log; empty when the books
    balance.
    """
    given = list(grants)
    entries = list(operations)
    drawn: dict[str, int] = {}
    for entry in entries:
        for draw in entry.drawn:
            drawn[draw.grant_id] = drawn.get(draw.grant_id, 0) + draw.credits
    left = {grant.grant_id: grant.remaining for grant in balance.grants}
    checks = {
        "available": (balance.available, sum(left.values())),
        "granted": (balance.granted, sum(grant.credits for grant in given)),
        "consumed": (balance.consumed, sum(entry.credits for entry in entries)),
        "owed": (balance.owed, sum(entry.owed - entry.settled for entry in entries)),
        "granted - expired - void": (
            balance.granted - balance.expired - balance.void,
            balance.available + balance.consumed - balance.owed,
        ),
    } | {
        f"drawn from {grant.grant_id}": (drawn.get(grant.grant_id, 0), grant.credits - left.get(grant.grant_id, 0))
        for grant in given
        if balance.expired == 0 and balance.void == 0
    }
    overdrawn = {
        grant.grant_id: (drawn.get(grant.grant_id, 0), grant.credits - left.get(grant.grant_id, 0))
        for grant in given
        if drawn.get(grant.grant_id, 0) > grant.credits - left.get(grant.grant_id, 0)
    }
    found = [f"{name}: {one} and {other}" for name, (one, other) in checks.items() if one != other]
    found += [f"drawn from {grant_id}: {one} of {other}" for grant_id, (one, other) in overdrawn.items()]
    found += [f"{grant_id} is below zero: {remaining}" for grant_id, remaining in left.items() if remaining < 0]
    found += [
        f"{entry.operation_id} drew {sum(draw.credits for draw in entry.drawn)} for {entry.credits} credits"
        for entry in entries
        if sum(draw.credits for draw in entry.drawn) != entry.credits - entry.owed + entry.settled
    ]
    return found
