"""The operation log, as it is shown."""

from typing import Self

from functions.api.models.common import View, decimal_text
from shared.credits import Operation
from shared.times import to_rfc3339


class DrawnView(View):
    """What one grant paid of the operation."""

    grant_id: str
    credits: int
    unit_price: str
    currency: str


class MoneyView(View):
    """An exact amount."""

    currency: str
    amount: str


class OperationView(View):
    """What ran, for which job and run, how many credits it took, and from which grants they came.

    `job_version` is the version of the rule that fired. `refused` says why what was due did not happen; then it cost
    nothing.
    """

    operation_id: str
    at: str
    kind: str
    channel: str
    job_id: str | None
    job_version: int | None
    run_id: str | None
    credits: int
    owed: int
    actions: dict[str, int]
    drawn: list[DrawnView]
    cost: list[MoneyView]
    description: str
    refused: str | None

    @classmethod
    def of(cls, operation: Operation) -> Self:
        return cls(
            operation_id=operation.operation_id,
            at=to_rfc3339(operation.at),
            kind=operation.kind.value,
            channel=operation.channel.value,
            job_id=operation.job_id,
            job_version=operation.job_version,
            run_id=operation.run_id,
            credits=operation.credits,
            owed=operation.owed,
            actions={action.value: count for action, count in operation.actions.items()},
            drawn=[
                DrawnView(
                    grant_id=draw.grant_id,
                    credits=draw.credits,
                    unit_price=decimal_text(draw.unit_price),
                    currency=draw.currency,
                )
                for draw in operation.drawn
            ],
            cost=[
                MoneyView(currency=currency, amount=decimal_text(amount))
                for currency, amount in sorted(operation.money().items())
            ],
            description=operation.description,
            refused=operation.refused and operation.refused.value,
        )
