"""The operation log, as it is shown."""

from typing import Annotated, Self

from pydantic import Field

from functions.api.models.common import View, decimal_text
from functions.api.models.texts import (
    Count,
    CurrencyText,
    DecimalText,
    EntityText,
    GrantId,
    OperationId,
    RecordKeyText,
    Time,
    one_of,
    told,
)
from shared.credits import Action, Channel, Draw, Operation, OperationKind, RecordCounts
from shared.feeds.fields import ENTITY_PATTERN
from shared.months import month_text
from shared.times import to_rfc3339
from shared.tracing import WrittenRecord


class DrawnView(View):
    """What one grant paid of the operation, or what of it left the account unused."""

    grant_id: GrantId
    credits: Annotated[int, told(3, minimum=0)]
    unit_price: Annotated[DecimalText, told("0")]
    currency: CurrencyText

    @classmethod
    def of(cls, draw: Draw) -> Self:
        return cls(
            grant_id=draw.grant_id,
            credits=draw.credits,
            unit_price=decimal_text(draw.unit_price),
            currency=draw.currency,
        )


class MoneyView(View):
    """An exact amount."""

    currency: CurrencyText
    amount: Annotated[DecimalText, told("0")]


class RecordCountsView(View):
    """What became of one entity's records: `unchanged` were met, and not written; `credits` is what the others cost."""

    created: Count
    updated: Count
    unchanged: Count
    deleted: Count
    credits: Count

    @classmethod
    def of(cls, counts: RecordCounts) -> Self:
        return cls(
            created=counts.created,
            updated=counts.updated,
            unchanged=counts.unchanged,
            deleted=counts.deleted,
            credits=counts.credits,
        )


COUNTED = {"product": {"created": 1, "updated": 1, "unchanged": 0, "deleted": 0, "credits": 2}}


class OperationView(View):
    """What ran, for which job and run, how many credits it took, and from which grants they came.

    `job_version` is the version of the rule that fired. `refused` says why what was due did not happen; then it cost
    nothing.
    """

    operation_id: OperationId
    at: Time
    kind: Annotated[
        str,
        Field(
            description="What it was: a step of an import, a call to the API, a schedule's firing, firings of a rule, "
            "a debt that was settled; or what happened to grants: one expired, was made void, or was corrected."
        ),
        one_of(OperationKind, OperationKind.API_CALL),
    ]
    channel: Annotated[str, Field(description="Who called, and how."), one_of(Channel, Channel.API)]
    actor: Annotated[
        str | None,
        Field(
            description="Who or what had it done: an API key, a person, a schedule or a rule; null where nobody did."
        ),
        told("key_01KAMZ5Q00APVWEYWXCMJ7D3FR"),
    ]
    job_id: Annotated[str | None, Field(description="The feed, schedule or rule that it was for."), told(None)]
    job_version: Annotated[int | None, told(None)]
    run_id: Annotated[
        str | None, Field(description="The run that it was a part of, or the pass of a rule."), told(None)
    ]
    credits: Annotated[int, told(3, minimum=0)]
    owed: Annotated[Count, Field(description="How many of the credits were not there, and became a debt.")]
    actions: Annotated[
        dict[str, int],
        Field(description="How often it did what costs a credit."),
        told({"api_call": 1, "record_created": 1, "record_updated": 1}, propertyNames={"enum": [*Action]}),
    ]
    records: Annotated[
        dict[str, RecordCountsView],
        Field(description="What became of records, by entity."),
        told(COUNTED, propertyNames={"pattern": ENTITY_PATTERN}),
    ]
    drawn: list[DrawnView]
    withdrawn: Annotated[
        list[DrawnView],
        Field(description="What left the account unused: it expired, was made void, or was taken back."),
        told([]),
    ]
    cost: Annotated[list[MoneyView], Field(description="What the credits were worth, in each currency.")]
    description: Annotated[str, told("write product records")]
    refused: Annotated[str | None, told(None)]
    reference: Annotated[str | None, Field(description="The operator's name of a void or a correction."), told(None)]
    corrects: Annotated[str | None, Field(description="The month that a correction corrects."), told(None)]

    @classmethod
    def of(cls, operation: Operation) -> Self:
        return cls(
            operation_id=operation.operation_id,
            at=to_rfc3339(operation.at),
            kind=operation.kind.value,
            channel=operation.channel.value,
            actor=operation.actor,
            job_id=operation.job_id,
            job_version=operation.job_version,
            run_id=operation.run_id,
            credits=operation.credits,
            owed=operation.owed,
            actions={action.value: count for action, count in sorted(operation.actions.items())},
            records={entity: RecordCountsView.of(counts) for entity, counts in sorted(operation.records.items())},
            drawn=[DrawnView.of(draw) for draw in operation.drawn],
            withdrawn=[DrawnView.of(draw) for draw in operation.withdrawn],
            cost=[
                MoneyView(currency=currency, amount=decimal_text(amount))
                for currency, amount in sorted(operation.money().items())
            ],
            description=operation.description,
            refused=operation.refused and operation.refused.value,
            reference=operation.reference,
            corrects=month_text(operation.corrects),
        )


class WrittenRecordView(View):
    """A record that an operation wrote or deleted."""

    entity: EntityText
    key: RecordKeyText
    current: Annotated[
        bool | None,
        Field(
            description="Whether it still stands as the operation wrote it; null where there is no such record any "
            "more. After an edit by hand: whether a hand was the last to write it."
        ),
        told(True),
    ]

    @classmethod
    def of(cls, written: WrittenRecord) -> Self:
        return cls(entity=written.entity, key=written.key, current=written.current)
