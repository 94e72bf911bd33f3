"""Which records an operation wrote: its entry names them, or says where in the prepared file of its run they stand.

The entry of a step of a run holds one bit for each record that the step passed: a thousand names would make every step
dearer. So the names of what an import wrote are told for as long as the bucket keeps the files of its run; the entry
itself, with its counts, stays.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice

from shared.catalog import CatalogStore, LastWrite, RecordName
from shared.credits import Channel, Operation, StepRecords
from shared.runs.artifacts import ArtifactMissing, RunArtifacts
from shared.runs.model import Cursor
from shared.runs.store import RunStore


class RecordsForgotten(Exception):
    """Which records an operation wrote is told no more: the files of its run have expired. Its entry still counts
    them.
    """


@dataclass(frozen=True, slots=True)
class WrittenRecord:
    """A record that an operation wrote or deleted. `current` says whether it still stands as the operation wrote it;
    None where there is no such record any more. A hand leaves no name on a record: of a hand edit it says whether a
    hand was the last to write it, at that time or later.
    """

    entity: str
    key: str
    current: bool | None


@dataclass(frozen=True, slots=True)
class WrittenPage:
    """Records in the order in which the operation names them; with a `cursor` there are more."""

    records: tuple[WrittenRecord, ...]
    cursor: str | None


@dataclass(frozen=True, slots=True)
class Tracer:
    """Follows operations to their records."""

    runs: RunStore
    artifacts: RunArtifacts
    catalog: CatalogStore

    def records_written(self, operation: Operation) -> Iterator[RecordName]:
        """The entity and the key of each record that the operation wrote or deleted, each once, in a fixed order.

        A step of a run takes a request for the run, and one for each 4 MB of its prepared file that the step's records
        lie in. Raises RecordsForgotten, before the first record, when the files have expired; and botocore's errors.
        """
        if operation.step is not None:
            yield from self._of_step(operation, operation.step)
        for entity in sorted(operation.keys):
            yield from ((entity, key) for key in operation.keys[entity])

    def page(self, operation: Operation, limit: int, cursor: str | None = None) -> WrittenPage:
        """Up to `limit` of them (`READ_BATCH` at most), beside the catalogue as it is now: one request of it. What is
        before the page is passed over in memory: a step holds a thousand records at most, so a page reads the run's
        prepared file from where the step begins.

        Raises as `records_written` does, StoreUnavailable, and ValueError for a cursor that no page gave.
        """
        first = _position(cursor)
        places = list(islice(self.records_written(operation), first, first + limit + 1))
        if cursor is not None and not places:
            raise ValueError("the cursor is behind the last record")
        here = places[:limit]
        standing = self.catalog.last_written(operation.workspace_id, here)
        records = tuple(_written(operation, place, standing.get(place)) for place in here)
        return WrittenPage(records, str(first + limit) if len(places) > limit else None)

    def _of_step(self, operation: Operation, step: StepRecords) -> Iterator[RecordName]:
        run = None if operation.run_id is None else self.runs.get(operation.workspace_id, operation.run_id)
        if run is None:
            raise RecordsForgotten(operation.operation_id)
        there = replace(run, cursor=Cursor(step.position, step.offset))
        prepared = islice(self.artifacts.records(there), step.written.bit_length())
        try:
            for nth, each in enumerate(prepared):
                if step.written >> nth & 1:
                    yield each.entity, each.key
        except ArtifactMissing as error:
            raise RecordsForgotten(operation.operation_id) from error


def _written(operation: Operation, place: RecordName, standing: LastWrite | None) -> WrittenRecord:
    if standing is None:
        return WrittenRecord(*place, current=None)
    return WrittenRecord(*place, current=_stands(operation, standing))


def _stands(operation: Operation, last: LastWrite) -> bool:
    """Whether the last write of the record was the operation's."""
    by_hand = operation.channel is Channel.PERSON and not operation.actions
    if by_hand:
        return last.operation_id is None and last.updated_at >= operation.at
    return last.operation_id == operation.operation_id


def _position(cursor: str | None) -> int:
    if cursor is None:
        return 0
    if not (cursor.isascii() and cursor.isdecimal()):
        raise ValueError("the cursor is not one that a listing gave")
    return int(cursor)
