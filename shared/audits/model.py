"""An audit of one workspace's books: what was asked, how far it is, and what it found."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from shared.credits.audit import Difference

MAX_DIFFERENCES = 20
"""Differences that a report names; beyond them it says how many there are."""


class AuditState(StrEnum):
    """`failed` says that the audit could not be made, and nothing about the books."""

    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"

    @property
    def is_over(self) -> bool:
        return self is not AuditState.RUNNING


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """One audit. `requested_by` is an API key or a person; None for the daily one.

    `leg` counts the workers that it was handed to. `progress` runs from 0 to 1. `operations` are the entries of the log
    that were recounted, all of them; `traced` those that were followed down to their records, and `records` the records
    that were followed up to theirs. `exact` says that the account stood still while the log was counted, so that they
    were compared to the credit; where it moved all the while, the log lies between what the account was before and
    after. `differences` are the first of `difference_count`. `repaired` are entries that the usage figures had missed
    and that were counted into them.
    """

    audit_id: str
    workspace_id: str
    state: AuditState
    requested_at: datetime
    updated_at: datetime
    requested_by: str | None = None
    finished_at: datetime | None = None
    leg: int = 0
    progress: float = 0.0
    operations: int = 0
    traced: int = 0
    records: int = 0
    exact: bool | None = None
    repaired: int = 0
    differences: tuple[Difference, ...] = ()
    difference_count: int = 0
    failure: str | None = None

    @property
    def balanced(self) -> bool | None:
        """Whether nothing was found; None until it is known."""
        return self.difference_count == 0 if self.state is AuditState.FINISHED else None
