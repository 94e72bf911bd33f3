"""Runs and what they rejected."""

from typing import Annotated, Self

from pydantic import Field, StrictBool

from functions.api.models.common import Request, View, time_text
from shared.runs.artifacts import Rejection
from shared.runs.model import Counts, Run
from shared.times import to_rfc3339


class RunRequest(Request):
    """A run to start: of this feed, on this upload, or on what its source holds now."""

    upload_id: Annotated[
        str | None,
        Field(pattern=r"^up_[0-9A-HJKMNP-TV-Z]{26}$", description="Without one, the file is fetched from the source."),
    ] = None
    dry_run: Annotated[StrictBool, Field(description="Only count what the run would do and cost. Free.")] = False


class CountsView(View):
    """What became of the records of one entity, and the credits for it (in a dry run: what it would cost)."""

    created: int
    updated: int
    unchanged: int
    duplicates: int
    rejected: int
    credits: int

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

    reason: str
    since: str


class RunErrorView(View):
    """Why a run failed, and where in the file, if there is a place to name."""

    code: str
    detail: str
    row: int | None
    column: str | None


class RunView(View):
    """A run as it stands."""

    run_id: str
    feed_id: str
    state: str
    dry_run: bool
    channel: str
    upload_id: str
    schedule_id: Annotated[str | None, Field(description="The schedule that started it, if one did.")]
    unmodified: Annotated[
        bool, Field(description="Whether it ended at once: the source holds what the last run took from it.")
    ]
    rows_read: int
    created: int
    updated: int
    unchanged: int
    duplicates: int
    rejected: int
    credits: int
    progress: Annotated[float, Field(ge=0, le=1)]
    by_entity: dict[str, CountsView]
    created_at: str
    updated_at: str
    finished_at: str | None
    paused: PausedView | None
    error: RunErrorView | None
    credits_available: Annotated[int | None, Field(description="Of a dry run: what was available to pay for it.")]

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

    row: int
    column: str | None
    entity: str | None
    key: str | None
    reason: str

    @classmethod
    def of(cls, rejection: Rejection) -> Self:
        return cls(
            row=rejection.row,
            column=rejection.column,
            entity=rejection.entity,
            key=rejection.key,
            reason=rejection.reason,
        )
