"""What an export says, line by line. Pure: an entry of the log, or a grant, becomes lines; all formats write the same
ones, in the same order.

An operation becomes one line for each grant that paid for it, and one for what it owes, so that each line has one
price. Sums over lines are the books: `credits` adds up to what was consumed, `balance_change` to the change of what is
available, `owed_change` to that of the debt, and `cost` to the money that the drawn credits were worth.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, localcontext
from enum import StrEnum

from shared.credits import Draw, Grant, GrantKind, Operation, OperationKind, RecordCounts
from shared.credits.model import EXACT
from shared.months import month_text


class LineType(StrEnum):
    """What a line tells: work that was done, a debt that was paid, credits that came, or credits that left unused."""

    USAGE = "usage"
    SETTLEMENT = "settlement"
    GRANT = "grant"
    EXPIRY = "expiry"
    VOID = "void"
    CORRECTION = "correction"


_NO_RECORDS = RecordCounts()


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line. Every figure is exact.

    `credits` is what the line consumed, drawn or owed. `quantity` is the credits that the line is about, whatever
    became of them: never negative. `cost` is `quantity * unit_price` where credits were drawn or left unused, 0 where
    they came or are owed; `billed` is what a purchase was invoiced, 0 for all else. Counts of records stand on the
    first line of an operation only, so that they add up too. `reference` is what an operator called a grant, a void or
    a correction; `corrects` is the month that a correction corrects (`2026-10`), where it names one.
    """

    line_id: str
    line_type: LineType
    at: datetime
    workspace_id: str
    operation_id: str | None = None
    kind: OperationKind | None = None
    channel: str | None = None
    actor: str | None = None
    job_id: str | None = None
    run_id: str | None = None
    description: str = ""
    refused: str | None = None
    quantity: int = 0
    credits: int = 0
    balance_change: int = 0
    owed_change: int = 0
    grant_id: str | None = None
    grant_kind: GrantKind | None = None
    unit_price: Decimal | None = None
    currency: str | None = None
    cost: Decimal = Decimal(0)
    billed: Decimal = Decimal(0)
    reference: str | None = None
    corrects: str | None = None
    valid_until: datetime | None = None
    records: RecordCounts = _NO_RECORDS


_LINE_TYPES = {
    OperationKind.SETTLEMENT: LineType.SETTLEMENT,
    OperationKind.EXPIRY: LineType.EXPIRY,
    OperationKind.VOID: LineType.VOID,
    OperationKind.CORRECTION: LineType.CORRECTION,
}
"""Of entries that are no usage; all others are."""


def lines_of(operation: Operation, kinds: Mapping[str, GrantKind]) -> Iterator[Line]:
    """The lines of an entry of the log; `kinds` are those of the workspace's grants.

    A correction that gives credits has a line that says so, without credits: they come with the line of its grant.
    """
    line_type = _LINE_TYPES.get(operation.kind, LineType.USAGE)
    parts = [_drawn(operation, draw, kinds) for draw in operation.drawn]
    parts += [_withdrawn(draw, kinds) for draw in operation.withdrawn]
    if operation.owed:
        parts.append({"quantity": operation.owed, "credits": operation.owed, "owed_change": operation.owed})
    for number, part in enumerate(parts or [{}]):
        yield Line(
            line_id=f"{operation.operation_id}-{number}",
            line_type=line_type,
            at=operation.at,
            workspace_id=operation.workspace_id,
            operation_id=operation.operation_id,
            kind=operation.kind,
            channel=operation.channel.value,
            actor=operation.actor,
            job_id=operation.job_id,
            run_id=operation.run_id,
            description=operation.description,
            refused=operation.refused and operation.refused.value,
            reference=operation.reference,
            corrects=month_text(operation.corrects),
            records=RecordCounts.total(operation.records.values()) if number == 0 else _NO_RECORDS,
            **part,  # type: ignore[arg-type]
        )


def line_of_grant(grant: Grant) -> Line:
    """The line of credits that came. Only what was bought is billed: what is given away has no price, and what a
    correction gives back was billed before.
    """
    is_bought = grant.kind is GrantKind.PAID
    return Line(
        line_id=grant.grant_id,
        line_type=LineType.GRANT,
        at=grant.granted_at,
        workspace_id=grant.workspace_id,
        description=f"{grant.kind.value} credits",
        quantity=grant.credits,
        balance_change=grant.credits,
        grant_id=grant.grant_id,
        grant_kind=grant.kind,
        unit_price=grant.unit_price,
        currency=grant.currency,
        billed=_money(grant.credits, grant.unit_price) if is_bought else Decimal(0),
        reference=grant.reference,
        corrects=month_text(grant.corrects),
        valid_until=grant.expires_at,
    )


def _drawn(operation: Operation, draw: Draw, kinds: Mapping[str, GrantKind]) -> dict[str, object]:
    """What a grant paid: of the operation itself, or, in a settlement, of what was consumed before."""
    is_settlement = operation.kind is OperationKind.SETTLEMENT
    return _part(draw, kinds) | {
        "credits": 0 if is_settlement else draw.credits,
        "owed_change": -draw.credits if is_settlement else 0,
    }


def _withdrawn(draw: Draw, kinds: Mapping[str, GrantKind]) -> dict[str, object]:
    """What left the account unused: nothing was consumed."""
    return _part(draw, kinds)


def _part(draw: Draw, kinds: Mapping[str, GrantKind]) -> dict[str, object]:
    return {
        "quantity": draw.credits,
        "balance_change": -draw.credits,
        "grant_id": draw.grant_id,
        "grant_kind": kinds[draw.grant_id],
        "unit_price": draw.unit_price,
        "currency": draw.currency,
        "cost": _money(draw.credits, draw.unit_price),
    }


def _money(credits: int, unit_price: Decimal) -> Decimal:
    with localcontext(EXACT):
        return credits * unit_price
