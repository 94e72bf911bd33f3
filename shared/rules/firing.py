"""Rules fire on what has changed: matched, planned in batches, and paid for through the ledger (design section 8).

The records come along with their changes, as a stream's images or read a moment ago. They may be old: each commit is
conditional on the version that was seen, and what a refusal shows is looked at anew. What has fired is remembered by
the marks on the records alone, so that the same changes may come any number of times, and at several workers at once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import NoReturn, assert_never

from shared.catalog import READ_BATCH, CatalogStore, Record, RecordName, to_record
from shared.credits import (
    Committed,
    Ledger,
    OperationIdReused,
    OutOfCredits,
    PriceList,
    Replayed,
    Stale,
    UnknownWorkspace,
)
from shared.dynamo.transactions import NotStorable, StoreUnavailable
from shared.keys import Item
from shared.rules.changes import due_depth
from shared.rules.evaluation import examiner_of
from shared.rules.meters import Meter, MeterStore, count_failures, count_firings, hour_of, to_meter
from shared.rules.model import Change, Creation, Effect, Failed, Rule
from shared.rules.planning import (
    Failure,
    Firing,
    Planned,
    firing_of,
    plan_failures,
    plan_firings,
    plan_too_deep,
    step_length,
    trigger_of,
    written_size,
)
from shared.rules.store import RuleStore
from shared.times import Clock, utc_now

_MAX_REPLANS = 40
"""Attempts at the firings of one rule on one batch, while people and other automation keep changing the records."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleLimits:
    """What keeps rules from running away: how many may set each other off in a row, and how often one may fire within
    an hour (UTC).
    """

    max_depth: int
    firings_per_hour: int

    def per_hour(self, rule: Rule) -> int:
        own = rule.definition.max_firings_per_hour
        return self.firings_per_hour if own is None else min(own, self.firings_per_hour)


@dataclass(frozen=True, slots=True, kw_only=True)
class FiringRoom:
    """What it takes to let rules fire."""

    rules: RuleStore
    meters: MeterStore
    catalog: CatalogStore
    ledger: Ledger
    prices: PriceList
    limits: RuleLimits
    clock: Clock = utc_now


class WaitReason(StrEnum):
    """Why changes have to wait."""

    OUT_OF_CREDITS = "out_of_credits"
    OUT_OF_TIME = "out_of_time"


@dataclass(slots=True)
class Unsettled:
    """Changes that rules could not act on yet, one for each record, and why."""

    changes: dict[RecordName, Change] = field(default_factory=dict)
    reasons: set[WaitReason] = field(default_factory=set)

    def add(self, change: Change, reason: WaitReason) -> None:
        self.changes[change.entity, change.key] = change
        self.reasons.add(reason)


@dataclass(slots=True, eq=False)
class _Subject:
    """A record on its way through the rules: what has changed, and the record as it was last seen, None once it is
    gone.
    """

    change: Change
    record: Record | None

    @property
    def place(self) -> RecordName:
        return self.change.entity, self.change.key


@dataclass(frozen=True, slots=True)
class _Ready:
    """A firing that waits for its transaction, and the bytes that it writes."""

    subject: _Subject
    firing: Firing
    size: int


@dataclass(frozen=True, slots=True)
class _Opened:
    """What the rule comes to on a record as it was seen; `depth` is that of what it would write."""

    record: Record
    effect: Effect
    depth: int


@dataclass(frozen=True, slots=True)
class _Allowance:
    """How often the rule may fire yet within the hour."""

    hour: str
    firings: int


class _RulesChanged(Exception):
    """The rule is no longer the one that was read: changed, deleted or suspended."""


def fire(
    room: FiringRoom,
    workspace_id: str,
    changes: Iterable[tuple[Change, Record | None]],
    at: datetime,
    out_of_time: Callable[[], bool] = lambda: False,
) -> Unsettled:
    """Lets the workspace's rules act on the changes: each rule once on each that it is due for.

    Each change comes with its record as it was seen, None if it is gone. Rules go in the order of their identifiers,
    and each sees what those before it have written. `at` dates the operations. One request for the rules, one for each
    transaction of up to 97 records, one for each 100 records that might be created, one for each rule that this process
    has not seen fire in this hour; more where something has changed in between. Raises StoreUnavailable and botocore's
    errors; all may then come again.
    """
    batch = [_Subject(change, record) for change, record in changes]
    unsettled = Unsettled()
    done: set[tuple[str, int]] = set()
    for _ in range(_MAX_REPLANS):
        rules = room.rules.all(workspace_id)
        rule_ids = frozenset(rule.rule_id for rule in rules)
        try:
            for rule in rules:
                if rule.fires and (rule.rule_id, rule.version) not in done:
                    _Turn(room, rule, rule_ids, at, out_of_time).take(batch, unsettled)
                    done.add((rule.rule_id, rule.version))
        except _RulesChanged:
            continue
        return unsettled
    raise StoreUnavailable(f"the rules of {workspace_id} changed under {_MAX_REPLANS} looks")


class _Turn:
    """One rule's turn on one batch.

    `open` are the records on which the rule has an effect that is not committed. Creations are claimed in their order:
    where several records would have the same one created, the first that fires does, and the others fire only if they
    do something else.
    """

    def __init__(
        self, room: FiringRoom, rule: Rule, rule_ids: frozenset[str], at: datetime, out_of_time: Callable[[], bool]
    ) -> None:
        self._room = room
        self._rule = rule
        self._rule_ids = rule_ids
        self._at = at
        self._out_of_time = out_of_time
        self._examine = examiner_of(rule)
        self._open: dict[_Subject, _Opened] = {}
        self._failures: dict[RecordName, Failure] = {}
        self._too_deep: dict[RecordName, tuple[Record, str]] = {}
        self._known: dict[RecordName, bool] = {}
        self._meter: Meter | None = None
        self._budget: int | None = None
        self._allowance: _Allowance | None = None
        self._one_by_one = False

    def take(self, batch: Iterable[_Subject], unsettled: Unsettled) -> None:
        """Fires wherever the rule is due and has an effect; what has to wait is added to `unsettled`."""
        for subject in batch:
            if self._depth(subject) is not None:
                # A rule may take its time over one record, and over the next.
                if self._out_of_time():
                    unsettled.add(subject.change, WaitReason.OUT_OF_TIME)
                else:
                    self._look(subject)
        reason = self._carry_out()
        if reason is not None:
            for subject in self._open:
                unsettled.add(subject.change, reason)
        self._note()

    def _depth(self, subject: _Subject) -> int | None:
        """The depth of what the rule is due for on the record, None if it is not."""
        return None if subject.record is None else due_depth(self._rule, subject.change, subject.record)

    def _look(self, subject: _Subject) -> None:
        """Opens the record, as it was last seen, if the rule has an effect on it."""
        self._open.pop(subject, None)
        self._failures.pop(subject.place, None)
        record, depth = subject.record, self._depth(subject)
        if record is None or depth is None:
            return
        match self._examine(record):
            case Effect() as effect:
                self._open[subject] = _Opened(record, effect, depth + 1)
            case Failed(reason):
                self._fail(subject, record, reason)

    def _fail(self, subject: _Subject, record: Record, reason: str) -> None:
        self._open.pop(subject, None)
        self._failures[subject.place] = Failure(record, reason, trigger_of(subject.change))

    def _carry_out(self) -> WaitReason | None:
        """Fires until nothing is open, or says why the rest has to wait."""
        for _ in range(_MAX_REPLANS):
            ready = self._ready()
            if not ready:
                return None
            if self._is_free_and_must_not_be(ready):
                return WaitReason.OUT_OF_CREDITS
            self._begin_the_hour()
            while ready:
                if self._out_of_time():
                    return WaitReason.OUT_OF_TIME
                step = ready[: self._step_length(ready)]
                if not step:
                    return WaitReason.OUT_OF_CREDITS
                if not self._commit(step):
                    break
                ready = ready[len(step) :]
        raise StoreUnavailable(f"records under rule {self._rule.rule_id} changed under {_MAX_REPLANS} attempts")

    def _is_free_and_must_not_be(self, ready: Sequence[_Ready]) -> bool:
        """Whether the rule would fire although credits are out, because that costs nothing in this deployment. Where it
        costs something the charge itself decides.
        """
        if any(self._room.prices.cost(each.firing.actions) for each in ready):
            return False
        balance = self._room.ledger.balance(self._rule.workspace_id)
        return balance is not None and balance.is_exhausted(self._room.clock())

    def _begin_the_hour(self) -> None:
        """Reads the meter before what may be the rule's first firing in this hour."""
        if self._meter is None and not self._room.meters.has_fired(self._rule, hour_of(self._room.clock())):
            self._take_in(self._room.meters.get(self._rule.workspace_id, self._rule.rule_id))

    def _step_length(self, ready: Sequence[_Ready]) -> int:
        within = step_length(
            [each.firing for each in ready],
            [each.size for each in ready],
            self._room.prices,
            budget=self._budget,
        )
        if self._budget == 0:
            return 0
        # The meter's condition knows of no limit where a firing begins an hour.
        most = 1 if self._one_by_one else self._room.limits.per_hour(self._rule)
        if self._allowance is not None and self._allowance.hour == hour_of(self._room.clock()):
            if self._allowance.firings == 0:
                self._suspend()
            most = min(most, self._allowance.firings)
        return min(within, most)

    def _ready(self) -> list[_Ready]:
        """The firings that the open records come to now. Closes those that come to nothing, are too deep, or too
        large.
        """
        self._look_up(creation for opened in self._open.values() for creation in opened.effect.creations)
        ready: list[_Ready] = []
        there = {place for place, is_there in self._known.items() if is_there}
        claimed: set[RecordName] = set()
        for subject, opened in list(self._open.items()):
            if self._firing(subject, opened, there) is None:
                del self._open[subject]
                continue
            firing = self._firing(subject, opened, there | claimed)
            if firing is None:
                continue
            if firing.depth > self._room.limits.max_depth:
                del self._open[subject]
                self._too_deep[subject.place] = (firing.record, firing.trigger)
                continue
            size = written_size(self._rule, firing)
            if isinstance(size, Failed):
                self._fail(subject, firing.record, size.reason)
                continue
            claimed.update((each.entity, each.key) for each in firing.creations)
            ready.append(_Ready(subject, firing, size))
        return ready

    def _firing(self, subject: _Subject, opened: _Opened, taken: Collection[RecordName]) -> Firing | None:
        trigger = trigger_of(subject.change)
        return firing_of(opened.record, opened.effect, taken, depth=opened.depth, trigger=trigger)

    def _look_up(self, creations: Iterable[Creation]) -> None:
        """Finds out which places of creations are taken, once for each place."""
        places = dict.fromkeys((each.entity, each.key) for each in creations)
        unknown = [place for place in places if place not in self._known]
        for first in range(0, len(unknown), READ_BATCH):
            some = unknown[first : first + READ_BATCH]
            found = self._room.catalog.existing(self._rule.workspace_id, some)
            self._known |= {place: place in found for place in some}

    def _commit(self, step: Sequence[_Ready]) -> bool:
        """One transaction; False when it was refused, and the open records have to be looked at anew."""
        planned = self._plan(step)
        try:
            outcome = self._room.ledger.commit(planned.plan)
        except NotStorable as error:
            # What the database refuses, of all that we let through, is one record's fault: found by going one by one.
            if len(step) > 1:
                self._one_by_one = True
            else:
                self._fail(step[0].subject, step[0].firing.record, f"the database refused it: {error}")
            return False
        match outcome:
            case Committed(operation=operation):
                self._done(step, planned.records, operation.credits)
                return True
            case OutOfCredits(available=available):
                self._budget = available
            case Stale(writes=refused):
                self._see(step, refused)
            case Replayed():
                # It was committed before, and whoever did it was cut off. What it wrote is for the rules that follow.
                self._see_now(step)
            case UnknownWorkspace():
                self._open.clear()
            case OperationIdReused():
                raise AssertionError(f"{planned.plan.operation_id} is taken by something else")
            case _:
                assert_never(outcome)
        return False

    def _plan(self, step: Sequence[_Ready]) -> Planned:
        now = self._room.clock()
        firings = [each.firing for each in step]
        limit = self._room.limits.per_hour(self._rule)
        return plan_firings(
            self._rule,
            firings,
            lambda credits: count_firings(
                self._room.rules.table,
                self._rule,
                self._meter,
                firings=len(firings),
                credits=credits,
                limit=limit,
                now=now,
            ),
            rule_ids=self._rule_ids,
            catalog_table=self._room.catalog.table,
            prices=self._room.prices,
            at=self._at,
            now=now,
        )

    def _done(self, step: Sequence[_Ready], records: Sequence[Record], credits: int) -> None:
        for each, record in zip(step, records, strict=True):
            each.subject.record = record
            del self._open[each.subject]
            self._known |= {(creation.entity, creation.key): True for creation in each.firing.creations}
        # This hour is begun now, if it was not before.
        self._meter = None
        self._room.meters.note_fired(self._rule, hour_of(self._room.clock()))
        if self._budget is not None:
            self._budget -= credits
        if self._allowance is not None:
            self._allowance = replace(self._allowance, firings=self._allowance.firings - len(step))

    def _see(self, step: Sequence[_Ready], refused: Mapping[int, Item | None]) -> None:
        """Takes in what a refusal showed: of the meter, which stands first, and of the records."""
        if 0 in refused:
            item = refused[0]
            self._take_in(None if item is None else to_meter(item))
        position = 1
        for each in step:
            if position in refused:
                item = refused[position]
                each.subject.record = to_record(item) if item else None
                self._look(each.subject)
            for nth, creation in enumerate(each.firing.creations, position + 1):
                if nth in refused:
                    self._known[creation.entity, creation.key] = True
            position += each.firing.records

    def _take_in(self, meter: Meter | None) -> None:
        """Goes by the meter as it was just seen. Raises _RulesChanged when it is not this version's."""
        if meter is None or meter.version != self._rule.version:
            raise _RulesChanged
        self._meter = meter
        hour = hour_of(self._room.clock())
        fired = meter.fired_in_hour if meter.hour >= hour else 0
        self._allowance = _Allowance(hour, max(0, self._room.limits.per_hour(self._rule) - fired))

    def _see_now(self, step: Sequence[_Ready]) -> None:
        """Reads the records of a step that was committed before."""
        places = [each.subject.place for each in step]
        found = self._room.catalog.get_many(self._rule.workspace_id, places)
        for each in step:
            each.subject.record = found.get(each.subject.place)
            del self._open[each.subject]

    def _suspend(self) -> NoReturn:
        """The rule has fired as often as it may within this hour. It is not looked at again until its owner puts it."""
        self._note()
        self._room.rules.suspend(self._rule, self._room.clock())
        raise _RulesChanged

    def _note(self) -> None:
        """Writes into the log, free, what did not fire, and why. The meter refuses for a rule that has changed."""
        if self._failures:
            failures = list(self._failures.values())
            reason = f"{failures[0].record.key}: {failures[0].reason}"
            now = self._room.clock()
            meter = count_failures(self._room.rules.table, self._rule, failures=len(failures), reason=reason, now=now)
            self._room.ledger.commit(plan_failures(self._rule, failures, meter))
        if self._too_deep:
            stopped = list(self._too_deep.values())
            self._room.ledger.commit(plan_too_deep(self._rule, stopped, self._room.limits.max_depth))
