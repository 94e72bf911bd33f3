"""Do the books balance? Pure; the answer is a list of what does not add up (law 4)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from shared.credits.model import Balance, Draw, Grant, Operation, OperationKind


def discrepancies(balance: Balance, grants: Iterable[Grant], operations: Iterable[Operation]) -> list[str]:
    """What contradicts itself between an account, its grants and its whole operation log; empty when the books
    balance.
    """
    given = list(grants)
    entries = list(operations)
    left = {grant.grant_id: grant.remaining for grant in balance.grants}
    expired = [draw for entry in entries if entry.kind is OperationKind.EXPIRY for draw in entry.withdrawn]
    void = [draw for entry in entries if entry.kind is not OperationKind.EXPIRY for draw in entry.withdrawn]
    gone = _by_grant(draw for entry in entries for draw in (*entry.drawn, *entry.withdrawn))
    checks = {
        "available": (balance.available, sum(left.values())),
        "granted": (balance.granted, sum(grant.credits for grant in given)),
        "consumed": (balance.consumed, sum(entry.credits for entry in entries)),
        "owed": (balance.owed, sum(entry.owed - entry.settled for entry in entries)),
        "expired": (balance.expired, sum(draw.credits for draw in expired)),
        "void": (balance.void, sum(draw.credits for draw in void)),
        "granted - expired - void": (
            balance.granted - balance.expired - balance.void,
            balance.available + balance.consumed - balance.owed,
        ),
    } | {
        f"gone from {grant.grant_id}": (gone[grant.grant_id], grant.credits - left.get(grant.grant_id, 0))
        for grant in given
    }
    found = [f"{name}: {one} and {other}" for name, (one, other) in checks.items() if one != other]
    unknown = gone.keys() - {grant.grant_id for grant in given}
    found += [f"{grant_id} was never given, and {gone[grant_id]} are gone from it" for grant_id in sorted(unknown)]
    found += [f"{grant_id} is below zero: {remaining}" for grant_id, remaining in left.items() if remaining < 0]
    found += [
        f"{entry.operation_id} drew {sum(draw.credits for draw in entry.drawn)} for {entry.credits} credits"
        for entry in entries
        if sum(draw.credits for draw in entry.drawn) != entry.credits - entry.owed + entry.settled
    ]
    return found


def _by_grant(draws: Iterable[Draw]) -> Counter[str]:
    gone: Counter[str] = Counter()
    for draw in draws:
        gone[draw.grant_id] += draw.credits
    return gone
