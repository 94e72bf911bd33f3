"""Counting operations into figures, each once.

Entries of the log arrive at least once, in any order and from several at a time. So each operation has a marker, which
is written in the same transaction as what the operation adds, on condition that it is not there. Many operations share
one transaction and its updates; of a transaction that is refused, those that were counted before are dropped, and the
rest is sent again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from shared import keys
from shared.credits.model import Operation
from shared.dynamo.transactions import MAX_TRANSACTION_ITEMS, Backoff, NotStorable, Refused, transact_write
from shared.dynamo.values import to_item
from shared.dynamo.writes import Write, put_new
from shared.times import Clock
from shared.usage.store import add_figures, add_so_far
from shared.usage.tally import Dimension, Figures, FiguresPlace, tally

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

REMEMBERED = timedelta(days=45)
"""How long an operation is known to be counted: longer than any stream keeps it, so that a gap of weeks can still be
repaired by counting everything again.
"""

RECOUNTABLE = REMEMBERED - timedelta(days=1)
"""How old an operation may be that is offered again."""

_MOST_GRANTS = 120
"""Grants that one update names at most: an expression has 4 KB and 300 operators."""


@dataclass(frozen=True, slots=True)
class Counted:
    """How many operations were added to the figures, and how many had been counted before. DynamoDB refuses the figures
    of those that are `refused`, whenever they are offered.
    """

    new: int = 0
    before: int = 0
    refused: tuple[Operation, ...] = ()

    def __add__(self, other: Counted) -> Counted:
        return Counted(self.new + other.new, self.before + other.before, self.refused + other.refused)


@dataclass(slots=True)
class Bundle:
    """Operations that are counted in one transaction."""

    operations: dict[str, Operation] = field(default_factory=dict)
    figures: dict[FiguresPlace, Figures] = field(default_factory=dict)
    workspaces: set[str] = field(default_factory=set)
    grants: set[str] = field(default_factory=set)

    def takes(self, operation: Operation, added: dict[FiguresPlace, Figures]) -> bool:
        """Whether the operation fits in beside the others."""
        items = (
            len(self.operations.keys() | {operation.operation_id})
            + len(self.figures.keys() | added.keys())
            + len(self.workspaces | {operation.workspace_id})
        )
        grants = self.grants.union(draw.grant_id for draw in operation.drawn)
        return not self.operations or (items <= MAX_TRANSACTION_ITEMS and len(grants) <= _MOST_GRANTS)

    def add(self, operation: Operation, added: dict[FiguresPlace, Figures]) -> None:
        self.operations[operation.operation_id] = operation
        self.workspaces.add(operation.workspace_id)
        self.grants.update(draw.grant_id for draw in operation.drawn)
        for place, figures in added.items():
            self.figures[place] = self.figures[place] + figures if place in self.figures else figures


def bundles(operations: Iterable[Operation]) -> Iterator[Bundle]:
    """The operations in as few transactions as they fit in: those that add to the same figures lie side by side."""
    once = {operation.operation_id: operation for operation in operations}
    bundle = Bundle()
    for operation in sorted(once.values(), key=lambda one: (one.workspace_id, one.operation_id)):
        added = tally(operation)
        if not bundle.takes(operation, added):
            yield bundle
            bundle = Bundle()
        bundle.add(operation, added)
    if bundle.operations:
        yield bundle


class UsageCounter:
    """Adds operations to the figures. Safe to use from any number of processes at once."""

    def __init__(self, client: DynamoDBClient, table: str, clock: Clock, backoff: Backoff | None = None) -> None:
        self._client = client
        self._table = table
        self._clock = clock
        self._backoff = backoff or Backoff()

    def count(self, operations: Iterable[Operation]) -> Counted:
        """Counts those that were not counted yet. Raises StoreUnavailable and botocore's errors: then some may be
        counted and some not, and all may be offered again.
        """
        return sum((self.count_bundle(bundle) for bundle in bundles(operations)), Counted())

    def count_bundle(self, bundle: Bundle) -> Counted:
        """Counts what `bundles` has put together, and raises as `count` does."""
        try:
            return self._count(bundle)
        except NotStorable:
            alone = list(bundle.operations.values())
            if len(alone) == 1:
                return Counted(refused=tuple(alone))
            # One of them spoils it for all: each by itself, once.
            return sum((self.count_bundle(one) for each in alone for one in bundles([each])), Counted())

    def _count(self, bundle: Bundle) -> Counted:
        """One transaction, and another without those that turned out to be counted."""
        pending = list(bundle.operations.values())
        before = 0
        while True:
            writes = self._writes(pending, bundle.figures)
            refused = transact_write(self._client, [write.request for write in writes], self._backoff)
            if refused is None:
                return Counted(len(pending), before)
            left = _not_refused(pending, refused)
            before += len(pending) - len(left)
            if not left:
                return Counted(0, before)
            pending = left
            (bundle,) = bundles(pending)

    def _writes(self, operations: Sequence[Operation], figures: dict[FiguresPlace, Figures]) -> list[Write]:
        forget_at = int((self._clock() + REMEMBERED).timestamp())
        marks = [
            put_new(
                self._table,
                keys.counted(one.workspace_id, one.operation_id).attributes() | to_item({"forget_at": forget_at}),
            )
            for one in operations
        ]
        totals = {place: added for place, added in figures.items() if place.dimension is Dimension.TOTAL}
        by_workspace: dict[str, list[FiguresPlace]] = {}
        for place in totals:
            by_workspace.setdefault(place.workspace_id, []).append(place)
        return [
            *marks,
            *(add_figures(self._table, place, added) for place, added in figures.items() if added),
            *(add_so_far(self._table, {place: totals[place] for place in by_workspace[ws]}) for ws in by_workspace),
        ]


def _not_refused(operations: Sequence[Operation], refused: Refused) -> list[Operation]:
    """Those whose markers did not exist; markers are the first items, and all that has a condition."""
    return [one for one, reason in zip(operations, refused.reasons, strict=False) if reason is None]
