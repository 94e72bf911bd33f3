"""A pass: one execution of a scheduled rule over all records of its entity."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from shared.runs.model import MAX_DETAIL_CHARACTERS, Failure, PauseReason


class PassState(StrEnum):
    """`running` works, `paused` waits for credits, the others are the end. A pass is `cancelled` when its owner has
    changed or deleted its rule meanwhile.
    """

    RUNNING = "running"
    PAUSED = "paused"
    FINISHED = "finished"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_over(self) -> bool:
        return self in (PassState.FINISHED, PassState.FAILED, PassState.CANCELLED)


@dataclass(frozen=True, slots=True)
class PassCounts:
    """What became of the records that a pass has examined, and the credits that its firings cost, records included.

    `fired` counts firings, `updated` and `created` the records that they changed and made. `unchanged` are those that
    matched and would not have changed, `failed` those for which the rule could not be computed.
    """

    fired: int = 0
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    failed: int = 0
    credits: int = 0

    def __add__(self, other: PassCounts) -> PassCounts:
        return PassCounts(
            fired=self.fired + other.fired,
            created=self.created + other.created,
            updated=self.updated + other.updated,
            unchanged=self.unchanged + other.unchanged,
            failed=self.failed + other.failed,
            credits=self.credits + other.credits,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RulePass:
    """A pass as it stands at one moment. It moves by replacing one whole pass with the next (see
    `shared.rules.passes.store`).

    It goes by the version of the rule that it began with. `position` counts the records that are done, and `cursor` is
    the place behind the last of them in the listing of the entity; None at the start. `step_at` dates the operation of
    the next step: the moment at which the pass last moved on, so that every worker that plans this step gives its
    operation the same identifier. `leg` counts the workers that it was handed to. `needed` are the credits that a
    paused pass waits for: what the firing at which it stopped costs.
    """

    pass_id: str
    workspace_id: str
    rule_id: str
    rule_version: int
    entity: str
    schedule_id: str | None
    state: PassState
    created_at: datetime
    updated_at: datetime
    step_at: datetime
    leg: int = 0
    position: int = 0
    cursor: str | None = None
    counts: PassCounts = PassCounts()
    noted: str | None = None
    finished_at: datetime | None = None
    paused_at: datetime | None = None
    pause_reason: PauseReason | None = None
    needed: int = 0
    failure: Failure | None = None

    @property
    def examined(self) -> int:
        """Records that the rule has looked at."""
        return self.position


def paused(rule_pass: RulePass, needed: int, now: datetime) -> RulePass:
    """The pass waiting for credits: `needed` of them, for its next firing."""
    return replace(
        rule_pass,
        state=PassState.PAUSED,
        paused_at=now,
        pause_reason=PauseReason.OUT_OF_CREDITS,
        needed=needed,
        updated_at=now,
    )


def resumed(rule_pass: RulePass, now: datetime) -> RulePass:
    """The pass going on from where it paused."""
    return replace(
        rule_pass,
        state=PassState.RUNNING,
        paused_at=None,
        pause_reason=None,
        needed=0,
        updated_at=now,
        step_at=now,
    )


def finished(rule_pass: RulePass, now: datetime) -> RulePass:
    """The pass at its end, with every record done."""
    return replace(rule_pass, state=PassState.FINISHED, finished_at=now, updated_at=now)


def ended(rule_pass: RulePass, state: PassState, failure: Failure, now: datetime) -> RulePass:
    """The pass ended before its end, failed or cancelled, and why. A detail that is too long is cut."""
    if len(failure.detail) > MAX_DETAIL_CHARACTERS:
        failure = replace(failure, detail=failure.detail[: MAX_DETAIL_CHARACTERS - 1] + "…")
    return replace(
        rule_pass,
        state=state,
        failure=failure,
        finished_at=now,
        updated_at=now,
        paused_at=None,
        pause_reason=None,
        needed=0,
    )
