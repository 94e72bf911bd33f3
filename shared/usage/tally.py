"""What one operation adds to the figures. Pure: the same entry always adds the same.

Whatever a dimension groups by, its values add up to the total. So what an operation did is split where a dimension may
have several values of one operation, which is the entity alone: the call, the firing or the job itself is counted under
`NONE`, and each entity has its records and what they cost. Which grants paid for which part has no meaning of its own,
but must come out the same every time: grants pay in the order in which they were drawn, and what is owed comes last;
they pay for the trigger first, then for the entities by name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date
from enum import StrEnum

from shared.credits.model import Operation, OperationKind, RecordCounts

NONE = "-"
"""The value of a dimension where an operation has none: no job, nobody, or no record of any entity."""


class Dimension(StrEnum):
    """What figures are kept by. `TOTAL` has one value, `NONE`."""

    TOTAL = "total"
    JOB = "job"
    KIND = "kind"
    ACTOR = "actor"
    ENTITY = "entity"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What operations come to. All are whole numbers; `drawn` is credits by grant.

    `operations` counts entries of the log, of which `refused` came to nothing. `credits` were consumed, of which `owed`
    were not there; `settled` were paid later. So `sum(drawn) = credits - owed + settled`. `expired` and `void` left the
    account unused. The others are records.
    """

    operations: int = 0
    refused: int = 0
    credits: int = 0
    owed: int = 0
    settled: int = 0
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    deleted: int = 0
    expired: int = 0
    void: int = 0
    drawn: Mapping[str, int] = field(default_factory=dict)

    def __add__(self, other: Figures) -> Figures:
        drawn = dict(self.drawn)
        for grant_id, credits in other.drawn.items():
            drawn[grant_id] = drawn.get(grant_id, 0) + credits
        return Figures(drawn=drawn, **{name: getattr(self, name) + getattr(other, name) for name in COUNTS})

    def __bool__(self) -> bool:
        """Whether they come to anything."""
        return any(self.counts().values()) or any(self.drawn.values())

    @property
    def left(self) -> int:
        """Credits that left the account, whatever for."""
        return sum(self.drawn.values()) + self.expired + self.void

    def counts(self) -> dict[str, int]:
        """All but `drawn`, by name."""
        return {name: getattr(self, name) for name in COUNTS}

    @classmethod
    def total(cls, figures: Iterable[Figures]) -> Figures:
        return sum(figures, cls())


COUNTS = tuple(name for name in Figures.__dataclass_fields__ if name != "drawn")
"""The names of the figures that are one number each."""


@dataclass(frozen=True, slots=True, order=True)
class FiguresPlace:
    """Where figures are kept: what one value of a dimension comes to on one day (UTC)."""

    workspace_id: str
    day: date
    dimension: Dimension
    value: str


def tally(operation: Operation) -> dict[FiguresPlace, Figures]:
    """What the operation adds, and where."""
    parts = _by_entity(operation)
    whole = Figures.total(parts.values())
    values: dict[Dimension, dict[str, Figures]] = {
        Dimension.TOTAL: {NONE: whole},
        Dimension.JOB: {operation.job_id or NONE: whole},
        Dimension.KIND: {operation.kind.value: whole},
        Dimension.ACTOR: {operation.actor or NONE: whole},
        Dimension.ENTITY: parts,
    }
    day = operation.at.astimezone(UTC).date()
    return {
        FiguresPlace(operation.workspace_id, day, dimension, value): figures
        for dimension, by_value in values.items()
        for value, figures in by_value.items()
        if figures
    }


def _by_entity(operation: Operation) -> dict[str, Figures]:
    """The operation's parts. The trigger's has all that is no record, be it nothing but that it happened."""
    of_trigger = operation.credits - RecordCounts.total(operation.records.values()).credits
    purse = _Purse(operation)
    # What was settled has no records.
    paid = purse.take(of_trigger + operation.settled)
    parts = {
        entity: Figures(
            credits=counts.credits,
            created=counts.created,
            updated=counts.updated,
            unchanged=counts.unchanged,
            deleted=counts.deleted,
        )
        + purse.take(counts.credits)
        for entity, counts in sorted(operation.records.items())
    }
    unused = sum(draw.credits for draw in operation.withdrawn)
    is_expiry = operation.kind is OperationKind.EXPIRY
    trigger = Figures(
        operations=1,
        refused=int(operation.refused is not None),
        credits=of_trigger,
        settled=operation.settled,
        expired=unused if is_expiry else 0,
        void=0 if is_expiry else unused,
    )
    # Nothing is left over of an entry that adds up; of one that does not, no draw is lost here.
    return {NONE: trigger + paid + purse.take_all()} | parts


class _Purse:
    """What pays for an operation, in its order: each grant's part, then the debt."""

    def __init__(self, operation: Operation) -> None:
        self._left: list[tuple[str | None, int]] = [(draw.grant_id, draw.credits) for draw in operation.drawn]
        self._left.append((None, operation.owed))

    def take(self, credits: int) -> Figures:
        """So many credits from what is next, or as many as there are."""
        taken = []
        while credits > 0 and self._left:
            source, there = self._left.pop(0)
            part = min(there, credits)
            credits -= part
            taken.append((source, part))
            if part < there:
                self._left.insert(0, (source, there - part))
        return _paid_by(taken)

    def take_all(self) -> Figures:
        left, self._left = self._left, []
        return _paid_by(left)


def _paid_by(parts: Iterable[tuple[str | None, int]]) -> Figures:
    drawn: dict[str, int] = {}
    owed = 0
    for source, part in parts:
        if source is None:
            owed += part
        elif part:
            drawn[source] = drawn.get(source, 0) + part
    return Figures(owed=owed, drawn=drawn)
