"""Paying for data calls, and saying what they cost (design section 2). People pay nothing, and are told no prices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from functions.api.answers import REPLAYED, credit_headers
from functions.api.principals import principal_of
from functions.api.problems import Refusal, of_outcome
from functions.api.requests import request_id, requested_at
from functions.api.services import Services
from shared.credits import Action, Channel, Committed, OperationKind, Plan, Replayed, UnknownWorkspace
from shared.ids import fingerprint, operation_id


def spendable(services: Services, workspace_id: str) -> int:
    """Credits that are there now. Raises Refusal when there is no such account.

    It is asked before a call is charged: workers spend at the same time, and the caller is told what is there now.
    """
    balance = services.ledger.balance(workspace_id)
    if balance is None:
        raise Refusal(of_outcome(UnknownWorkspace(workspace_id)))
    return balance.spendable(services.clock())


def price_headers(outcome: Committed | Replayed, available: int) -> dict[str, str]:
    """What a call cost that was carried out now, or before; `available` is what was there when it came."""
    if isinstance(outcome, Replayed):
        return REPLAYED | credit_headers(charged=0, available=available, operation_id=outcome.operation_id)
    return credit_headers(
        charged=outcome.operation.credits,
        available=available if outcome.available is None else outcome.available,
        operation_id=outcome.operation.operation_id,
    )


def charge_read(services: Services, workspace_id: str, event: Mapping[str, Any], what: str) -> dict[str, str]:
    """Charges a read of records and gives the headers that say so. Raises Refusal when it cannot be paid for.

    It is called when the answer is already there, so that a call that is refused costs nothing. Reads go on when no
    credits are left, as a debt up to the deployment's cap. A person reads for nothing.
    """
    channel = principal_of(event).channel
    if channel is Channel.PERSON:
        return {}
    at = requested_at(event)
    available = spendable(services, workspace_id)
    plan = Plan(
        operation_id=operation_id(at, workspace_id, "request", request_id(event)),
        workspace_id=workspace_id,
        kind=OperationKind.API_CALL,
        channel=channel,
        at=at,
        credits=services.settings.prices.cost({Action.API_CALL: 1}),
        fingerprint=fingerprint(event["httpMethod"], event["path"]),
        actions={Action.API_CALL: 1},
        description=what,
        owe_up_to=services.settings.owed_cap,
    )
    match services.ledger.commit(plan):
        case Committed() | Replayed() as outcome:
            return price_headers(outcome, available)
        case refused:
            raise Refusal(of_outcome(refused))
