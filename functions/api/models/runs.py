"""Runs and what they rejected."""

from typing import Annotated, Self

from pydantic import Field, StrictBool

from functions.api.models.common import Request, View, time_text
from functions.api.models.texts import Count, Name, RunId, Time, UploadId, one_of, told
from functions.api.patterns import UPLOAD_PATTERN
from shared.credits import Channel
from shared.runs.artifacts import Rejection
from shared.runs.model import Counts, PauseReason, Run, RunState
from shared.times import to_rfc3339


class RunRequest(Request):
    """A run to start: of this feed, on this upload, or on what its source holds now."""

    upload_id: Annotated[
        str | None,
        Field(pattern=UPLOAD_PATTERN, description="Without one, the file is fetched from the source."),
    ] = None
    dry_run: Annotated[StrictBool, Field(description="Only count what the run would do and cost. Free.")] = False


class CountsView(View):
    """What became of the records of one entity, and the credits for it (in a dry run: what it would cost)."""

    created: Annotated[int, told(120, minimum=0)]
    updated: Annotated[int, told(38, minimum=0)]
    unchanged: Annotated[int, told(842, minimum=0)]
    duplicates: Count
    rejected: Count
    credits: Annotated[int, told(158, minimum=0)]

    @classmethod
    def of(cls, counts: Counts) -> Self:
        return cls(
            created=counts.created,
            updated=counts.updated,
            unchanged=counts.unchanged,
            duplicates=counts.duplicates,
            rejected=counts.rejected,
            credits=counts.credits,
        )


class PausedView(View):
    """Why a run waits, and since when."""

    reason: Annotated[str, one_of(PauseReason, PauseReason.OUT_OF_CREDITS)]
    since: Time


class RunErrorView(View):
    """Why a run failed, and where in the file, if there is a place to name."""

    code: Annotated[str, told("unknown_column")]
    detail: Annotated[str, told("The file has no column sku.")]
    row: Annotated[int | None, told(1, minimum=0)]
    column: Annotated[str | None, told("sku")]


_BY_ENTITY = {
    "product": {"created": 120, "updated": 38, "unchanged": 842, "duplicates": 0, "rejected": 0, "credits": 158}
}


class RunView(View):
    """A run as it stands."""

    run_id: RunId
    feed_id: Name
    state: Annotated[
        str,
        Field(description="`preparing` and `running` work, `paused` waits for credits, the others are the end."),
        one_of(RunState, RunState.FINISHED),
    ]
    dry_run: bool
    channel: Annotated[str, Field(description="Who started it, and how."), one_of(Channel, Channel.API)]
    upload_id: UploadId
    schedule_id: Annotated[
        str | None, Field(description="The schedule that started it; null where none did."), told(None)
    ]
    unmodified: Annotated[
        bool, Field(description="Whether it ended at once: the source holds what the last run took from it.")
    ]
    rows_read: Annotated[int, told(1000, minimum=0)]
    created: Annotated[int, told(120, minimum=0)]
    updated: Annotated[int, told(38, minimum=0)]
    unchanged: Annotated[int, told(842, minimum=0)]
    duplicates: Annotated[Count, Field(description="Rows that were folded into others of the same key.")]
    rejected: Annotated[Count, Field(description="Rows, and records of them, that cannot be written.")]
    credits: Annotated[int, Field(description="Of its records; in a dry run: what they would cost."), told(158)]
    progress: Annotated[float, Field(ge=0, le=1, examples=[1])]
    by_entity: Annotated[dict[str, CountsView], told(_BY_ENTITY)]
    created_at: Time
    updated_at: Time
    finished_at: Time | None
    paused: Annotated[PausedView | None, told(None)]
    error: Annotated[RunErrorView | None, told(None)]
    credits_available: Annotated[
        int | None, Field(description="Of a dry run: what was available to pay for it."), told(None)
    ]

    @classmethod
    def of(cls, run: Run) -> Self:
        totals = run.totals
        paused = None
        if run.pause_reason is not None and run.paused_at is not None:
            paused = PausedView(reason=run.pause_reason.value, since=to_rfc3339(run.paused_at))
        error = None
        if run.failure is not None:
            error = RunErrorView(
                code=run.failure.code, detail=run.failure.detail, row=run.failure.row, column=run.failure.column
            )
        return cls(
            run_id=run.run_id,
            feed_id=run.feed_id,
            state=run.state.value,
            dry_run=run.dry_run,
            channel=run.channel.value,
            upload_id=run.upload_id,
            schedule_id=run.schedule_id,
            unmodified=run.unmodified,
            rows_read=run.rows_read,
            created=totals.created,
            updated=totals.updated,
            unchanged=totals.unchanged,
            duplicates=run.duplicates,
            rejected=run.rejected,
            credits=totals.credits,
            progress=run.progress,
            by_entity={entity: CountsView.of(counts) for entity, counts in run.by_entity.items()},
            created_at=to_rfc3339(run.created_at),
            updated_at=to_rfc3339(run.updated_at),
            finished_at=time_text(run.finished_at),
            paused=paused,
            error=error,
            credits_available=run.credits_available,
        )


class RejectionView(View):
    """A row, or a record of it, that could not be written, and why."""

    row: Annotated[int, told(17, minimum=0)]
    column: Annotated[str | None, told("price")]
    entity: Annotated[str | None, told("product")]
    key: Annotated[str | None, told("M8/40")]
    reason: Annotated[str, told("'n/a' is no number")]

    @classmethod
    def of(cls, rejection: Rejection) -> Self:
        return cls(
            row=rejection.row,
            column=rejection.column,
            entity=rejection.entity,
            key=rejection.key,
            reason=rejection.reason,
        )
