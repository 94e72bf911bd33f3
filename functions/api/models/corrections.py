"""What finance does to grants that were given: voids and corrections."""

from decimal import Decimal
from typing import Annotated, Self, assert_never

from pydantic import ConfigDict, Field, StrictInt, model_validator
from pydantic_core import PydanticCustomError

from functions.api.models.common import MonthName, Request, View
from functions.api.models.operations import DrawnView
from functions.api.models.texts import OperationId, Time, WorkspaceId, one_of, told
from functions.api.models.workspaces import MAX_TOP_UP, Currency, ExpiresAt, Price, Reference, TopUpView
from functions.api.patterns import NOT_BLANK
from shared.credits import OperationKind
from shared.credits.restitutions import Restored
from shared.credits.withdrawals import Withdrawn
from shared.months import month_text, optional_month
from shared.times import to_rfc3339
from shared.workspaces.corrections import Correction

_OF_A_GRANT = ("unit_price", "currency", "expires_at")

Reason = Annotated[
    str,
    Field(
        min_length=1,
        max_length=500,
        pattern=NOT_BLANK,
        description="Why. It stands in the operation log, which the workspace reads too.",
        examples=["given by mistake"],
    ),
]


class VoidRequest(Request):
    """A grant to end. The same `reference` is the same void, however often it is sent."""

    reference: Reference
    reason: Reason


class CorrectionRequest(Request):
    """Credits to add, or below zero to take back. The same `reference` is the same correction, however often it is
    sent.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [
                {"properties": {"credits": {"minimum": 1}}},
                {"properties": {"credits": {"maximum": -1}, **{name: {"type": "null"} for name in _OF_A_GRANT}}},
            ]
        }
    )

    credits: Annotated[
        StrictInt,
        Field(
            ge=-MAX_TOP_UP,
            le=MAX_TOP_UP,
            description="Above zero a grant of so many; below zero so many are taken, from the grants that would pay "
            "next.",
            examples=[-25],
        ),
    ]
    reference: Reference
    reason: Reason
    unit_price: Annotated[
        Price | None, Field(description="Money per credit that is added; 0 when it is not given.", examples=[None])
    ] = None
    currency: Currency | None = None
    expires_at: ExpiresAt | None = None
    corrects: Annotated[
        MonthName | None,
        Field(
            description="The month (UTC) whose books it corrects, such as 2026-10, not in the future. The correction "
            "stays in the month in which it is made; exports say which one it is about.",
            examples=[None],
        ),
    ] = None

    @model_validator(mode="after")
    def _takes_or_adds(self) -> Self:
        if self.credits == 0:
            raise _problem("credits", "Input should not be 0")
        for field in _OF_A_GRANT:
            if self.credits < 0 and getattr(self, field) is not None:
                raise _problem(field, "Input is of credits that are added, and these are taken")
        return self

    def to_correction(self, workspace_id: str, default_currency: str, actor: str) -> Correction:
        return Correction(
            workspace_id=workspace_id,
            credits=self.credits,
            reference=self.reference,
            reason=self.reason,
            unit_price=Decimal(self.unit_price or 0),
            currency=self.currency or default_currency,
            expires_at=self.expires_at,
            actor=actor,
            corrects=optional_month(self.corrects),
        )


def _problem(field: str, message: str) -> PydanticCustomError:
    return PydanticCustomError("definition", "{field}: {message}", {"field": field, "message": message})


class CorrectionView(View):
    """What a void or a correction did: what was taken, or the grant that it became. `operation_id` is its entry in the
    operation log.
    """

    operation_id: OperationId
    workspace_id: WorkspaceId
    kind: Annotated[str, one_of([OperationKind.VOID, OperationKind.CORRECTION], OperationKind.CORRECTION)]
    at: Time
    credits: Annotated[int, Field(description="What was added; below zero, what was taken."), told(-25)]
    reference: Annotated[str, told("ticket-4711")]
    reason: Annotated[str, told("given by mistake")]
    withdrawn: Annotated[list[DrawnView], Field(description="What was taken, of each grant.")]
    corrects: Annotated[str | None, Field(description="The month whose books it corrects."), told(None)]
    grant: Annotated[TopUpView | None, Field(description="What the credits became that were added."), told(None)]

    @classmethod
    def of(cls, outcome: Withdrawn | Restored, reference: str) -> Self:
        operation = outcome.operation
        grant: TopUpView | None = None
        match outcome:
            case Restored():
                credits, grant = outcome.grant.credits, TopUpView.of(outcome.grant, outcome.settled)
            case Withdrawn():
                credits = -sum(draw.credits for draw in operation.withdrawn)
            case _:
                assert_never(outcome)
        return cls(
            operation_id=operation.operation_id,
            workspace_id=operation.workspace_id,
            kind=operation.kind.value,
            at=to_rfc3339(operation.at),
            credits=credits,
            reference=reference,
            reason=operation.description,
            withdrawn=[DrawnView.of(draw) for draw in operation.withdrawn],
            corrects=month_text(operation.corrects),
            grant=grant,
        )
