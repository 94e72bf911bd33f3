"""Paying for a read of records: a data call, one credit (design section 2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from functions.api.answers import REPLAYED, credit_headers
from functions.api.problems import Refusal, of_outcome
from functions.api.requests import request_id, requested_at
from functions.api.services import Services
from shared.credits import Action, Channel, Committed, OperationKind, Plan, Replayed, UnknownWorkspace
from shared.ids import fingerprint, operation_id


def charge_read(services: Services, workspace_id: str, event: Mapping[str, Any], what: str) -> dict[str, str]:
    """Charges the call and gives the headers that say so. Raises Refusal when the call cannot be paid for.

    It is called when the answer is already there, so that a call that is refused costs nothing. Reads go on when no
    credits are left, as a debt up to the deployment's cap.
    """
    at = requested_at(event)
    # Read first: workers spend at the same time, and the caller is told what is there now.
    balance = services.ledger.balance(workspace_id)
    if balance is None:
        raise Refusal(of_outcome(UnknownWorkspace(workspace_id)))
    plan = Plan(
        operation_id=operation_id(at, workspace_id, "request", request_id(event)),
        workspace_id=workspace_id,
        kind=OperationKind.API_CALL,
        channel=Channel.API,
        at=at,
        credits=services.settings.prices.cost({Action.API_CALL: 1}),
        fingerprint=fingerprint(event["httpMethod"], event["path"]),
        actions={Action.API_CALL: 1},
        description=what,
        owe_up_to=services.settings.owed_cap,
    )
    available = balance.spendable(services.clock())
    match services.ledger.commit(plan):
        case Committed(operation, left):
            return credit_headers(
                charged=operation.credits,
                available=available if left is None else left,
                operation_id=operation.operation_id,
            )
        case Replayed(paid_before):
            return REPLAYED | credit_headers(charged=0, available=available, operation_id=paid_before)
        case refused:
            raise Refusal(of_outcome(refused))
