"""Audits, as they are shown."""

from typing import Annotated, Self

from pydantic import Field

from functions.api.models.common import View, time_text
from functions.api.models.texts import AuditId, Count, Time, one_of, told
from shared.audits.model import Audit, AuditState
from shared.credits.audit import Difference
from shared.times import to_rfc3339


class DifferenceView(View):
    """One thing that does not add up: what was to be expected by the log, or by the thing itself, and what is there."""

    rule: Annotated[str, told("consumed")]
    expected: Annotated[str, told("800")]
    found: Annotated[str, told("795")]
    where: Annotated[str, Field(description="The operation, record, grant or day."), told("the account")]

    @classmethod
    def of(cls, difference: Difference) -> Self:
        return cls(rule=difference.rule, expected=difference.expected, found=difference.found, where=difference.where)


class AuditView(View):
    """An audit of the workspace's books. `differences` are the first of `difference_count`."""

    audit_id: AuditId
    state: Annotated[
        str, Field(description="`failed` says nothing about the books."), one_of(AuditState, AuditState.FINISHED)
    ]
    requested_at: Time
    finished_at: Annotated[str | None, told("2026-11-22T08:00:04.567Z", format="date-time")]
    progress: Annotated[float, Field(description="From 0 to 1."), told(1.0, minimum=0, maximum=1)]
    balanced: Annotated[
        bool | None, Field(description="Whether nothing was found; null until it is known."), told(True)
    ]
    exact: Annotated[
        bool | None,
        Field(
            description="Whether the account stood still while its log was counted. Where it did not, the log lies "
            "between what the account was before and after."
        ),
        told(True),
    ]
    operations: Annotated[int, Field(description="Entries of the log, all of which were counted."), told(41, minimum=0)]
    traced: Annotated[int, Field(description="Those that were followed down to their records."), told(38, minimum=0)]
    records: Annotated[
        int, Field(description="Records that were followed up to their operations."), told(750, minimum=0)
    ]
    repaired: Annotated[
        Count, Field(description="Operations that usage had not counted yet, and that it has counted now.")
    ]
    difference_count: Count
    differences: Annotated[list[DifferenceView], Field(description="The first 20."), told([])]
    failure: Annotated[str | None, told(None)]

    @classmethod
    def of(cls, audit: Audit) -> Self:
        return cls(
            audit_id=audit.audit_id,
            state=audit.state.value,
            requested_at=to_rfc3339(audit.requested_at),
            finished_at=time_text(audit.finished_at),
            progress=audit.progress,
            balanced=audit.balanced,
            exact=audit.exact,
            operations=audit.operations,
            traced=audit.traced,
            records=audit.records,
            repaired=audit.repaired,
            difference_count=audit.difference_count,
            differences=[DifferenceView.of(difference) for difference in audit.differences],
            failure=audit.failure,
        )
