"""The entries of the operation log that the ledger writes. Pure: what a void or a correction says of itself stands in
`withdrawals` and `restitutions`.
"""

from __future__ import annotations

from shared.channels import Channel
from shared.credits.drawing import Payment
from shared.credits.model import Balance, Draw, Grant, GrantKind, Operation, OperationKind
from shared.credits.plan import Plan
from shared.ids import fingerprint, operation_id


def entry_of(plan: Plan, payment: Payment) -> Operation:
    """The entry of what a plan does, and how it is paid."""
    return Operation(
        operation_id=plan.operation_id,
        workspace_id=plan.workspace_id,
        kind=plan.kind,
        channel=plan.channel,
        at=plan.at,
        credits=plan.credits,
        fingerprint=plan.fingerprint,
        actions=plan.actions,
        drawn=payment.draws,
        owed=payment.owed,
        job_id=plan.job_id,
        job_version=plan.job_version,
        run_id=plan.run_id,
        description=plan.description,
        refused=plan.refused,
        actor=plan.actor,
        records=plan.records,
        keys=plan.keys,
        step=plan.step,
    )


def expiry(balance: Balance, draw: Draw) -> Operation:
    """The entry of what a grant had left when it lapsed; at that moment, whenever it is booked."""
    (grant,) = (grant for grant in balance.grants if grant.grant_id == draw.grant_id)
    if grant.expires_at is None:
        raise AssertionError(f"{grant.grant_id} never lapses")
    return Operation(
        operation_id=operation_id(grant.expires_at, balance.workspace_id, "expiry", grant.grant_id),
        workspace_id=balance.workspace_id,
        kind=OperationKind.EXPIRY,
        channel=Channel.SCHEDULE,
        at=grant.expires_at,
        credits=0,
        fingerprint=fingerprint("expiry", grant.grant_id),
        actions={},
        withdrawn=(draw,),
        description="unused credits expired",
    )


def settlement_id(grant: Grant) -> str:
    """The operation that says what the grant paid of an earlier debt, if there was one."""
    return operation_id(grant.granted_at, grant.workspace_id, "settlement", grant.grant_id)


def settlement(grant: Grant, settled: int, actor: str | None) -> Operation:
    """The entry that says which grant paid an earlier debt. It consumes nothing: the debts were consumed when made."""
    return Operation(
        operation_id=settlement_id(grant),
        workspace_id=grant.workspace_id,
        kind=OperationKind.SETTLEMENT,
        channel=Channel.API,
        at=grant.granted_at,
        credits=0,
        fingerprint=fingerprint(grant.grant_id),
        actions={},
        drawn=(Draw(grant.grant_id, settled, grant.unit_price, grant.currency),),
        settled=settled,
        description=f"owed credits settled by a {'correction' if grant.kind is GrantKind.CORRECTION else 'top-up'}",
        actor=actor,
    )
