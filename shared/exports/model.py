"""What an export of a month is, and how it gets on.

An export stands where its item stands: behind its last whole part. Whatever a worker has in memory, or in files that
the item does not name, counts for nothing; kill it anywhere, and the next goes on from there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from shared.months import Month

STALLED_AFTER = timedelta(minutes=16)
"""When nobody has moved an export for so long, nobody works on it: longer than a worker may run (template.yaml)."""


class ExportState(StrEnum):
    """How far it is. One that has its report and is not published yet is still `preparing`."""

    PREPARING = "preparing"
    READY = "ready"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class ExportFile:
    """One file of an export. `key` is where it lies in the bucket, `sha256` in hexadecimal digits."""

    name: str
    format: str
    part: int
    lines: int
    bytes: int
    sha256: str
    key: str


@dataclass(frozen=True, slots=True)
class Position:
    """A place between two entries: behind the one of this time and identifier."""

    at: datetime
    identifier: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """An export of one workspace's month.

    `position` is where the next part begins, None at the beginning; `parts`, `lines` and `files` are what is there so
    far, and `sums` what the lines of whole parts add up to, as `shared.exports.books` keeps it. `report` is what the
    manifest says in the end: it is there once all parts are, and nothing about it changes any more. `requested_by` is
    the key or the person that asked, None for the monthly schedule. `leg` counts the workers that were called.
    """

    export_id: str
    workspace_id: str
    month: Month
    state: ExportState
    requested_at: datetime
    updated_at: datetime
    requested_by: str | None = None
    leg: int = 0
    position: Position | None = None
    parts: int = 0
    lines: int = 0
    files: tuple[ExportFile, ...] = ()
    sums: Mapping[str, Any] = field(default_factory=dict)
    report: Mapping[str, Any] | None = None
    finished_at: datetime | None = None
    failure: str | None = None

    @property
    def is_over(self) -> bool:
        return self.state is not ExportState.PREPARING

    def is_stalled(self, now: datetime) -> bool:
        """Whether nobody seems to work on it any more."""
        return not self.is_over and now - self.updated_at >= STALLED_AFTER


def rung_again(export: Export, now: datetime) -> Export:
    """The export for its next worker."""
    return replace(export, leg=export.leg + 1, updated_at=now)


def failed(export: Export, reason: str, now: datetime) -> Export:
    """The export that never will be ready."""
    return replace(export, state=ExportState.FAILED, failure=reason, updated_at=now, finished_at=now)


def ready(export: Export, now: datetime) -> Export:
    """The export whose files may be fetched."""
    return replace(export, state=ExportState.READY, updated_at=now, finished_at=now)
