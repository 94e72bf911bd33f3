"""A run: one execution of a feed, from the moment it is asked for to its end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from enum import StrEnum

from shared.credits import Channel


class RunState(StrEnum):
    """`preparing` and `running` work, `paused` waits for credits, the others are the end."""

    PREPARING = "preparing"
    RUNNING = "running"
    PAUSED = "paused"
    FINISHED = "finished"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_over(self) -> bool:
        return self in (RunState.FINISHED, RunState.FAILED, RunState.CANCELLED)


class PauseReason(StrEnum):
    """Why a run waits."""

    OUT_OF_CREDITS = "out_of_credits"


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of the records of one entity, and the credits that they cost (in a dry run: would cost)."""

    created: int = 0
    updated: int = 0
    unchanged: int = 0
    duplicates: int = 0
    rejected: int = 0
    credits: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(getattr(self, each.name) + getattr(other, each.name) for each in fields(Counts)))

    @classmethod
    def total(cls, counts: Iterable[Counts]) -> Counts:
        return sum(counts, cls())


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far a run is: `position` records of its prepared file are done, which end at byte `offset`."""

    position: int = 0
    offset: int = 0


_OUR_FAILURES = frozenset({"internal_error", "not_storable"})
"""Codes of failures that nobody outside could have avoided, and that somebody here has to look at."""

MAX_DETAIL_CHARACTERS = 500
"""Of a failure that is kept: it may repeat what a file or a server says, and a run is a small item."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a run failed, in words for the one who sent the file; row and column where there is one to name."""

    code: str
    detail: str
    row: int | None = None
    column: str | None = None

    @property
    def is_ours(self) -> bool:
        """Whether it failed through no fault of its file, its source, or its owner."""
        return self.code in _OUR_FAILURES


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run as it stands at one moment. It moves by replacing one whole run with the next (see `shared.runs.store`).

    `step_at` dates the operation of the next step: the moment at which the cursor last moved, or at which the run was
    taken up again after it had stood still, so that every worker that plans this step gives its operation the same
    identifier. `upload_etag` tells the upload from another
    under the same identifier; `preparation` names the preparation whose files this
    run goes by. `leg` counts the workers that it was handed to. `records` counts what preparing found, `rejected`
    the rows and records that cannot be written. `schedule_id` names the schedule that started it, if one did, and
    `started_by` the key, the person or the schedule that did. `noted` counts, by entity, the unchanged records that the
    operation log was told of.
    `unmodified` says that its source holds what the last run took from it: there was nothing to do.
    """

    run_id: str
    workspace_id: str
    feed_id: str
    upload_id: str
    channel: Channel
    dry_run: bool
    state: RunState
    created_at: datetime
    updated_at: datetime
    step_at: datetime
    upload_etag: str = ""
    preparation: str = ""
    leg: int = 0
    cursor: Cursor = Cursor()
    records: int = 0
    rows_read: int = 0
    duplicates: int = 0
    rejected: int = 0
    by_entity: Mapping[str, Counts] = field(default_factory=dict)
    finished_at: datetime | None = None
    paused_at: datetime | None = None
    pause_reason: PauseReason | None = None
    failure: Failure | None = None
    credits_available: int | None = None
    schedule_id: str | None = None
    started_by: str | None = None
    noted: Mapping[str, int] = field(default_factory=dict)
    unmodified: bool = False

    @property
    def totals(self) -> Counts:
        """The sums over all entities; for `duplicates` and `rejected` see the run itself, which also counts whole
        rows.
        """
        return Counts.total(self.by_entity.values())

    @property
    def unnoted(self) -> dict[str, int]:
        """Unchanged records of each entity that the operation log was not told of yet. Of a dry run it is told
        nothing.
        """
        if self.dry_run:
            return {}
        left = {entity: counts.unchanged - self.noted.get(entity, 0) for entity, counts in self.by_entity.items()}
        return {entity: count for entity, count in left.items() if count}

    @property
    def progress(self) -> float:
        """From 0 to 1, in records done of records prepared."""
        if self.state is RunState.FINISHED:
            return 1.0
        return self.cursor.position / self.records if self.records else 0.0


def resumed(run: Run, now: datetime) -> Run:
    """The run going on from where it paused."""
    return replace(run, state=RunState.RUNNING, paused_at=None, pause_reason=None, updated_at=now, step_at=now)


def noted(run: Run) -> Run:
    """The run when the operation log has been told of all its unchanged records. Of a dry run it is told nothing."""
    if run.dry_run:
        return run
    return replace(run, noted={entity: each.unchanged for entity, each in run.by_entity.items() if each.unchanged})


def finished(run: Run, now: datetime) -> Run:
    """The run at its end, with everything done."""
    return replace(run, state=RunState.FINISHED, finished_at=now, updated_at=now)


def failed(run: Run, failure: Failure, now: datetime) -> Run:
    """The run at its end, because it can never go on. A detail that is too long is cut."""
    if len(failure.detail) > MAX_DETAIL_CHARACTERS:
        failure = replace(failure, detail=failure.detail[: MAX_DETAIL_CHARACTERS - 1] + "…")
    return replace(run, state=RunState.FAILED, failure=failure, finished_at=now, updated_at=now)
