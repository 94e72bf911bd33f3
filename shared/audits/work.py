"""What an audit has counted so far: all that the next worker needs to go on. JSON can keep it.

Its size grows with the grants, the entities and the sample, and not with the log.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from shared.audits.model import MAX_DIFFERENCES
from shared.audits.samples import MAX_ENTITIES, Drawn, Named, Starts
from shared.channels import Channel
from shared.credits import Operation
from shared.credits.audit import Difference, Recount
from shared.ids import time_of
from shared.keys import Item
from shared.times import parse_rfc3339, to_rfc3339

LATE = timedelta(days=2)
"""How far back the log is read again when the account has moved meanwhile: entries are dated by their trigger, which
may be long before they are committed.
"""


MAX_DOUBTS = 50
"""Records that are looked for once more; more than the differences that are told."""


class Phase(StrEnum):
    """What an audit is at: counting the log, following operations down to their records and records up to their
    operations, looking once more for what neither had told of, comparing the usage figures.
    """

    LOG = "log"
    OPERATIONS = "operations"
    RECORDS = "records"
    DOUBTS = "doubts"
    USAGE = "usage"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Doubt:
    """A record that is not there though `operation_id` wrote it and nothing in the log deleted it; or, without an
    operation, one that is there though no person's entry names it. The entry may have come since the log was read.
    """

    entity: str
    key: str
    operation_id: str | None


@dataclass(slots=True)
class Work:
    """`day` and `after` are where the log is read on; `opening` is the account before this round of reading, and
    `settled` the recount of all days before `recent_from`, with which another round begins. `figures` are what the log
    comes to day by day, in the terms of the usage figures. `by_hand` and `deleted` are the records that, by the log,
    people have written and anybody has deleted. `position` is where the later phases are.
    """

    phase: Phase
    day: datetime
    recent_from: datetime
    opening: Item | None
    drawn: Drawn
    starts: Starts
    by_hand: Named
    deleted: Named
    after: str | None = None
    sweeps: int = 1
    rounds: int = 1
    differed: bool = False
    exact: bool | None = None
    recount: Recount = field(default_factory=Recount)
    settled: dict[str, Any] | None = None
    figures: dict[str, list[int]] = field(default_factory=dict)
    entities: dict[str, None] = field(default_factory=dict)
    position: int = 0
    traced: int = 0
    followed: int = 0
    records: int = 0
    doubts: list[Doubt] = field(default_factory=list)
    repaired: int = 0
    differences: list[Difference] = field(default_factory=list)
    difference_count: int = 0

    @classmethod
    def begin(cls, workspace_id: str, audit_id: str, opening: Item | None, now: datetime) -> Work:
        """The first sweep: from the day of the workspace's birth, which its identifier carries."""
        return cls(
            phase=Phase.LOG,
            day=day_of(time_of(workspace_id)),
            recent_from=day_of(now - LATE),
            opening=opening,
            drawn=Drawn(audit_id),
            starts=Starts(audit_id),
            by_hand=Named(audit_id),
            deleted=Named(audit_id),
        )

    def sweep_again(self, workspace_id: str, opening: Item | None, now: datetime) -> None:
        """Reads the whole log anew."""
        self.day, self.after = day_of(time_of(workspace_id)), None
        self.recent_from = day_of(now - LATE)
        self.opening, self.settled, self.recount, self.figures = opening, None, Recount(), {}
        self.sweeps, self.rounds, self.differed = self.sweeps + 1, 1, False

    def read_recent_again(self, workspace_id: str, opening: Item | None) -> None:
        """Reads only the last days anew, on what was counted before them."""
        self.opening, self.after = opening, None
        self.rounds += 1
        if self.settled is None:
            self.day, self.recount = day_of(time_of(workspace_id)), Recount()
        else:
            self.day, self.recount = self.recent_from, Recount.from_values(self.settled)
        again_from = _name_of(self.day)
        self.figures = {day: figures for day, figures in self.figures.items() if day < again_from}

    def add_figures(self, figures: Sequence[int]) -> None:
        """Adds those of one entry to the day that is being read."""
        day = _name_of(self.day)
        known = self.figures.get(day)
        self.figures[day] = list(figures) if known is None else [a + b for a, b in zip(known, figures, strict=True)]

    def note(self, difference: Difference) -> None:
        """Counts a difference, and keeps the first ones. What was found from both sides is told once."""
        if difference in self.differences:
            return
        self.difference_count += 1
        if len(self.differences) < MAX_DIFFERENCES:
            self.differences.append(difference)

    def meet_names(self, entry: Operation) -> None:
        """Keeps in mind which records a person has written, and which were deleted. An entry of several names does not
        say which of them it deleted: any of them may be one.
        """
        by_hand = entry.channel is Channel.PERSON and not entry.actions
        for entity, names in entry.keys.items():
            if by_hand:
                self.by_hand.add(entity, names)
            if entity in entry.records and entry.records[entity].deleted:
                self.deleted.add(entity, names)

    def doubt(self, entity: str, record_key: str, operation_id: str | None) -> None:
        """Has the record looked for once more, unless the log has told of it; the first ones."""
        told = self.by_hand if operation_id is None else self.deleted
        if len(self.doubts) < MAX_DOUBTS and not told.may_hold(entity, record_key):
            self.doubts.append(Doubt(entity, record_key, operation_id))

    def settle_doubts(self) -> None:
        """Notes what the log does not tell of even now."""
        doubts, self.doubts = self.doubts, []
        for each in doubts:
            self.doubt(each.entity, each.key, each.operation_id)
        for each in self.doubts:
            self.note(_in_words(each))
        self.doubts = []

    def meet_entity(self, entity: str) -> None:
        if len(self.entities) < MAX_ENTITIES:
            self.entities[entity] = None

    def to_values(self) -> dict[str, Any]:
        return {
            "phase": self.phase.value,
            "day": to_rfc3339(self.day),
            "recent_from": to_rfc3339(self.recent_from),
            "opening": self.opening,
            "drawn": self.drawn.in_order(),
            "starts": self.starts.keys,
            "by_hand": self.by_hand.to_value(),
            "deleted": self.deleted.to_value(),
            "after": self.after,
            "sweeps": self.sweeps,
            "rounds": self.rounds,
            "differed": self.differed,
            "exact": self.exact,
            "recount": self.recount.to_values(),
            "settled": self.settled,
            "figures": self.figures,
            "entities": list(self.entities),
            "position": self.position,
            "traced": self.traced,
            "followed": self.followed,
            "doubts": [[each.entity, each.key, each.operation_id] for each in self.doubts],
            "records": self.records,
            "repaired": self.repaired,
            "differences": [[each.rule, each.expected, each.found, each.where] for each in self.differences],
            "difference_count": self.difference_count,
        }

    @classmethod
    def from_values(cls, audit_id: str, values: Mapping[str, Any]) -> Work:
        """What `to_values` gave. Without names, as `without_names` leaves it, any record may be one that was named."""
        return cls(
            phase=Phase(values["phase"]),
            day=parse_rfc3339(values["day"]),
            recent_from=parse_rfc3339(values["recent_from"]),
            opening=values["opening"],
            drawn=Drawn.of(audit_id, values["drawn"]),
            starts=Starts(audit_id, dict(values["starts"])),
            by_hand=Named.of(audit_id, values.get("by_hand")),
            deleted=Named.of(audit_id, values.get("deleted")),
            after=values["after"],
            sweeps=values["sweeps"],
            rounds=values["rounds"],
            differed=values["differed"],
            exact=values["exact"],
            recount=Recount.from_values(values["recount"]),
            settled=values["settled"],
            figures={day: list(figures) for day, figures in values["figures"].items()},
            entities=dict.fromkeys(values["entities"]),
            position=values["position"],
            traced=values["traced"],
            followed=values.get("followed", 0),
            doubts=[Doubt(*each) for each in values.get("doubts", ())],
            records=values["records"],
            repaired=values["repaired"],
            differences=[Difference(*each) for each in values["differences"]],
            difference_count=values["difference_count"],
        )


def without_names(values: dict[str, Any]) -> dict[str, Any]:
    """What is to be kept, without the names of records: what grows with the grants needs the room. Vanished records are
    not looked for then.
    """
    return values | {"by_hand": None, "deleted": None, "doubts": []}


def _in_words(doubt: Doubt) -> Difference:
    record = f"{doubt.entity} {doubt.key}"
    if doubt.operation_id is None:
        return Difference("a record was written by an operation", "an entry that names it", "none", record)
    return Difference("a record stays until an operation deletes it", record, "neither", doubt.operation_id)


def day_of(at: datetime) -> datetime:
    """The beginning of the day (UTC)."""
    return at.replace(hour=0, minute=0, second=0, microsecond=0)


def _name_of(day: datetime) -> str:
    return f"{day:%Y-%m-%d}"
