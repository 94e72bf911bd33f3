"""Paying for data calls, and saying what they cost (design section 2). People pay nothing for what they do by hand, and
are told no prices; but no hand does it faster than a person can.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from functions.api.answers import REPLAYED, credit_headers
from functions.api.principals import principal_of
from functions.api.problems import Problem, Refusal, of_outcome, out_of_pace, too_many_free_reads
from functions.api.requests import request_id, requested_at
from functions.api.services import Services, person_pace
from shared.credits import Action, Channel, Committed, OperationKind, Plan, Replayed
from shared.ids import fingerprint, operation_id
from shared.pace import TooFast

_FRESH = timedelta(seconds=10)
"""How long a balance that was seen counts as what is there, where the call itself reads none."""


def keep_pace(event: Mapping[str, Any], weight: int = 1) -> None:
    """Counts a call that a person makes by hand. Raises Refusal (429) when it is one more than a hand can make."""
    if principal_of(event).channel is Channel.PERSON:
        _count(event, weight, out_of_pace)


def keep_pace_of_free_reads(event: Mapping[str, Any]) -> None:
    """Counts a call that reads much and costs nobody anything, whoever makes it: a key has the pace of a person here.
    Raises Refusal (429) when it is one too many.
    """
    by_hand = principal_of(event).channel is Channel.PERSON
    _count(event, 1, out_of_pace if by_hand else too_many_free_reads)


def _count(event: Mapping[str, Any], weight: int, refused: Callable[[TooFast, int], Problem]) -> None:
    """Counts for whoever calls; an operator, who belongs to no workspace, has no pace."""
    principal, now = principal_of(event), requested_at(event)
    if principal.workspace_id is None:
        return
    too_fast = person_pace().count(principal.workspace_id, principal.key_id, weight, now)
    if too_fast is not None:
        raise Refusal(refused(too_fast, too_fast.seconds_left(now)))


def price_headers(services: Services, event: Mapping[str, Any], outcome: Committed | Replayed) -> dict[str, str]:
    """What a call cost that was carried out now, or before, and what is left to spend. A person is told no prices, only
    which operation has paid for what they sent in bulk, and whether the answer was given before.
    """
    principal = principal_of(event)
    if principal.channel is Channel.PERSON or principal.workspace_id is None:
        if isinstance(outcome, Replayed):
            return REPLAYED
        return {"X-Operation-Id": outcome.operation.operation_id} if outcome.operation.credits else {}
    if isinstance(outcome, Replayed):
        available = _available(services, principal.workspace_id)
        return REPLAYED | credit_headers(charged=0, available=available, operation_id=outcome.operation_id)
    left = outcome.available
    return credit_headers(
        charged=outcome.operation.credits,
        available=_available(services, principal.workspace_id) if left is None else left,
        operation_id=outcome.operation.operation_id,
    )


def _available(services: Services, workspace_id: str) -> int:
    """What is there to spend, as it was seen last."""
    balance = services.ledger.last_seen(workspace_id) or services.ledger.balance(workspace_id)
    return 0 if balance is None else balance.spendable(services.clock())


def require_credits(services: Services, workspace_id: str, event: Mapping[str, Any]) -> None:
    """Raises Refusal for a read that could not be paid for, before a lot is looked through for it.

    It takes no request that charging it would not take: whoever is charged next goes by the balance that was seen here.
    """
    if principal_of(event).channel is Channel.PERSON:
        return
    settings = services.settings
    price = settings.prices.cost({Action.API_CALL: 1})
    refusal = services.ledger.short_of(workspace_id, price, owe_up_to=settings.owed_cap, within=_FRESH)
    if refusal is not None:
        raise Refusal(of_outcome(refusal))


def charge_read(services: Services, workspace_id: str, event: Mapping[str, Any], what: str) -> dict[str, str]:
    """Charges a read of records and gives the headers that say so. Raises Refusal when it cannot be paid for.

    It is called when the answer is already there, so that a call that is refused costs nothing. Reads go on when no
    credits are left, as a debt up to the deployment's cap. A person reads for nothing.

    It takes one request, the transaction that charges: the balance was read along with the record, or a moment ago.
    """
    principal = principal_of(event)
    if principal.channel is Channel.PERSON:
        return {}
    at = requested_at(event)
    plan = Plan(
        operation_id=operation_id(at, workspace_id, "request", request_id(event)),
        workspace_id=workspace_id,
        kind=OperationKind.API_CALL,
        channel=principal.channel,
        at=at,
        credits=services.settings.prices.cost({Action.API_CALL: 1}),
        fingerprint=fingerprint(event["httpMethod"], event["path"]),
        actions={Action.API_CALL: 1},
        description=what,
        owe_up_to=services.settings.owed_cap,
        actor=principal.key_id,
    )
    match services.ledger.commit(plan):
        case Committed() | Replayed() as outcome:
            return price_headers(services, event, outcome)
        case refused:
            raise Refusal(of_outcome(refused))
