"""What the next step of a pass is. Pure: what the rule has found on the records in, firings out.

A step takes records in the order of the listing, as many as one transaction holds or as the credits pay for. Records on
which nothing is to be done ride along for nothing. Those on which the rule fails are noted before (see
`shared.rules.passes.worker`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from shared.catalog import Record, RecordName, cursor_behind
from shared.credits import Action, PriceList
from shared.rules.model import Effect, Examined, Failed, NoChange, NoMatch, Rule
from shared.rules.passes.model import PassCounts
from shared.rules.planning import MAX_RECORDS, Failure, Firing, firing_of, step_length, written_size

MAX_STEP_RECORDS = 10_000
"""Records that one step takes, written or not: those that wait for a step are held in memory, most without what they
hold."""

_MAX_WRITTEN = MAX_RECORDS - 1
"""Records that one step writes: the pass itself is in its transaction too."""

_DEPTH = 1
"""Of what a pass writes: no rule has set it off."""


@dataclass(frozen=True, slots=True)
class Looked:
    """A record as it was seen, and what the rule has found on it."""

    record: Record
    found: Examined

    @classmethod
    def at(cls, record: Record, found: Examined) -> Looked:
        """What holds no more of the record than is still needed: many may wait for a step that passes them over."""
        return cls(record if isinstance(found, Effect) else replace(record, attributes={}), found)

    @property
    def cursor(self) -> str:
        """The place behind the record in the listing."""
        return cursor_behind(self.record.key)

    @property
    def targets(self) -> list[RecordName]:
        """The places of the records that the rule would create."""
        creations = self.found.creations if isinstance(self.found, Effect) else ()
        return [(creation.entity, creation.key) for creation in creations]


@dataclass(frozen=True, slots=True)
class Step:
    """The first `length` of the records that wait: those that the rule fires on, at `places` among them, those it fails
    on, and those that stay as they are although they match.

    `is_full` says that no further record could join. `unpaid` is what the firing costs that the credits end at; None
    where they do not end.
    """

    length: int
    firings: tuple[Firing, ...]
    places: tuple[int, ...]
    failures: tuple[tuple[int, Failure], ...]
    unchanged: int
    is_full: bool
    unpaid: int | None = None

    def counts(self, prices: PriceList) -> PassCounts:
        """What the step adds to the pass; its failures are counted when they are noted."""
        actions = [firing.actions for firing in self.firings]
        return PassCounts(
            fired=len(self.firings),
            created=sum(each.get(Action.RECORD_CREATED, 0) for each in actions),
            updated=sum(each.get(Action.RECORD_UPDATED, 0) for each in actions),
            unchanged=self.unchanged,
            credits=sum(map(prices.cost, actions)),
        )


def next_step(
    rule: Rule,
    waiting: Sequence[Looked],
    taken: Collection[RecordName],
    prices: PriceList,
    *,
    budget: int | None = None,
    max_firings: int | None = None,
) -> Step:
    """What one transaction takes of the records that wait, in their order, for `budget` credits at most.

    `taken` are the places of creations that have a record. Of several records that would have the same one created the
    first does so; the others fire only if they do something else.
    """
    walk = _Walk(rule, taken, prices)
    for index, looked in enumerate(islice(waiting, MAX_STEP_RECORDS)):
        walk.pass_by(index, looked)
        if walk.is_more_than_one_transaction:
            break
    return walk.cut(budget, max_firings, full_at=MAX_STEP_RECORDS)


class _Walk:
    """Goes along the records that wait, and finds the firings."""

    def __init__(self, rule: Rule, taken: Collection[RecordName], prices: PriceList) -> None:
        self._rule = rule
        self._taken = set(taken)
        self._prices = prices
        self._length = 0
        self._written = 0
        self._firings: list[tuple[int, Firing, int]] = []
        self._failures: list[tuple[int, Failure]] = []
        self._unchanged: list[int] = []

    @property
    def is_more_than_one_transaction(self) -> bool:
        return self._written > _MAX_WRITTEN

    def pass_by(self, index: int, looked: Looked) -> None:
        self._length = index + 1
        match looked.found:
            case NoMatch():
                pass
            case NoChange():
                self._unchanged.append(index)
            case Failed(reason):
                self._fail(index, looked.record, reason)
            case Effect() as effect:
                self._fire(index, looked.record, effect)

    def _fire(self, index: int, record: Record, effect: Effect) -> None:
        # The place of the record in the pass names the step, not the firing: see `shared.rules.passes.worker`.
        firing = firing_of(record, effect, self._taken, depth=_DEPTH, trigger="")
        if firing is None:
            self._unchanged.append(index)
            return
        size = written_size(self._rule, firing)
        if isinstance(size, Failed):
            self._fail(index, record, size.reason)
        else:
            self._firings.append((index, firing, size))
            self._taken.update((creation.entity, creation.key) for creation in firing.creations)
            self._written += firing.records

    def _fail(self, index: int, record: Record, reason: str) -> None:
        self._failures.append((index, Failure(replace(record, attributes={}), reason, cursor_behind(record.key))))

    def cut(self, budget: int | None, max_firings: int | None, *, full_at: int) -> Step:
        """The step: what fits of what was passed by."""
        firings = [firing for _, firing, _ in self._firings]
        sizes = [size for _, _, size in self._firings]
        fitting = step_length(firings, sizes, self._prices, max_records=_MAX_WRITTEN)
        if max_firings is not None:
            fitting = min(fitting, max_firings)
        paid = step_length(firings[:fitting], sizes[:fitting], self._prices, budget=budget, max_records=_MAX_WRITTEN)
        unpaid = self._prices.cost(firings[paid].actions) if paid < fitting else None
        length = self._firings[paid][0] if paid < len(firings) else self._length
        written = sum(firing.records for firing in firings[:paid])
        return Step(
            length=length,
            firings=tuple(firings[:paid]),
            places=tuple(index for index, _, _ in self._firings[:paid]),
            failures=tuple(each for each in self._failures if each[0] < length),
            unchanged=sum(index < length for index in self._unchanged),
            is_full=paid < len(firings) or written == _MAX_WRITTEN or length >= full_at,
            unpaid=unpaid,
        )
