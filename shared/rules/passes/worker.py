"""Carries out a pass: goes through the records of an entity, and lets a rule fire on them step by step.

It works as a run does (see `shared.runs.worker`). Whatever happens to a worker, the pass stands where its cursor
stands, and the next worker goes on from there. The cursor is also what makes it once: the rule fires on a record in the
transaction that moves the pass behind it. A listing is no snapshot: records that are made meanwhile may be met or not,
but none is met twice.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import assert_never

from shared.catalog import READ_BATCH, Record, RecordName, RecordPage, to_record
from shared.credits import Committed, OperationIdReused, Outcome, OutOfCredits, Replayed, Stale, UnknownWorkspace
from shared.credits.drawing import drawable
from shared.dynamo.transactions import NotStorable, StoreUnavailable
from shared.keys import Item
from shared.rules.evaluation import examiner_of
from shared.rules.firing import FiringRoom
from shared.rules.meters import Meter, count_failures, count_firings, hour_of, to_meter
from shared.rules.model import Failed, NoMatch, Rule
from shared.rules.passes.model import PassCounts, PassState, RulePass, ended, finished, paused, resumed
from shared.rules.passes.steps import Looked, Step, next_step
from shared.rules.passes.store import PassStore, move_pass
from shared.rules.planning import plan_failures, plan_firings
from shared.runs.commands import STALLED_AFTER
from shared.runs.model import Failure

_PAGE = 1_000
"""Records that are read at once; fewer when they are large (see `CatalogStore.page`)."""

_SHOW_PROGRESS_EVERY = timedelta(seconds=10)
"""How often a pass that fires on nothing still writes how far it is."""

_MAX_REPLANS = 40
"""Attempts at one step while people or other automation keep changing its records."""


class Overtaken(Exception):
    """Another worker moved the pass. Look again, and go on from there."""


class _RuleMoved(Exception):
    """The rule is no longer the one that was read: changed, deleted or suspended."""


class _FiredTooOften(Exception):
    """The rule has fired as often as it may within this hour, and is due again."""


@dataclass(frozen=True, slots=True)
class PassRoom:
    """What carrying out a pass takes."""

    firing: FiringRoom
    passes: PassStore


def work(
    room: PassRoom, workspace_id: str, pass_id: str, out_of_time: Callable[[], bool], leg: int | None = None
) -> RulePass | None:
    """Works on a pass until it is over, pauses for credits, or `out_of_time` says to hand over to a new invocation.

    `leg` is the one that the call to work names: a call for a leg that was handed over since is out of date, and does
    nothing. Returns the pass as this worker left it, None when there is none. Safe to call for the same pass any number
    of times, also at once. Five requests, one for each of the shards of a listing, one for each transaction of up to 96
    records, and one for each 100 records of a page that might be created; more for large entities and records, and
    where something changes in between. Raises StoreUnavailable and botocore's errors; the pass then goes on when its
    message comes again.
    """
    while True:
        rule_pass = room.passes.get(workspace_id, pass_id)
        if rule_pass is None or (leg is not None and rule_pass.leg != leg):
            return rule_pass
        try:
            after = _go_on(room, rule_pass, out_of_time)
        except Overtaken:
            continue
        if after is not None:
            return after


def _go_on(room: PassRoom, rule_pass: RulePass, out_of_time: Callable[[], bool]) -> RulePass | None:
    """Works on the pass from where it is; None when it has to be looked at again."""
    if rule_pass.state is PassState.PAUSED:
        rule_pass = _second_look(room, rule_pass)
    if rule_pass.state is not PassState.RUNNING:
        return rule_pass
    rules = room.firing.rules.all(rule_pass.workspace_id)
    rule = next((each for each in rules if each.rule_id == rule_pass.rule_id), None)
    if rule is None:
        return _end(room, rule_pass, PassState.CANCELLED, Failure("rule_deleted", "the rule was deleted"))
    if (ending := _ending(rule_pass, rule)) is not None:
        return _end(room, rule_pass, *ending)
    rule_pass = _dated(room, rule_pass)
    try:
        after = _Leg(room, rule_pass, rule, frozenset(each.rule_id for each in rules)).walk(out_of_time)
    except _FiredTooOften:
        room.firing.rules.suspend(rule, room.firing.clock())
        return None
    except _RuleMoved:
        if room.firing.rules.get(rule.workspace_id, rule.rule_id) == rule:
            raise StoreUnavailable(f"the meter of rule {rule.rule_id} does not go with the rule") from None
        return None
    return None if after.state is PassState.PAUSED else after


def _second_look(room: PassRoom, rule_pass: RulePass) -> RulePass:
    """A paused pass, or the same pass going on when there are credits after all.

    A top-up between the last refusal and the pause found nothing that it could have resumed. So every worker that meets
    a paused pass, the one that paused it first, looks at the balance once more.
    """
    now = room.firing.clock()
    balance = room.firing.ledger.balance(rule_pass.workspace_id)
    if balance is None or drawable(balance, now) < rule_pass.needed:
        return rule_pass
    going_on = resumed(rule_pass, now)
    if not room.passes.move(rule_pass, going_on):
        raise Overtaken
    return going_on


def _dated(room: PassRoom, rule_pass: RulePass) -> RulePass:
    """The pass, whose next step is dated now if it has stood still for long, as a run's is (`shared.runs.worker`)."""
    now = room.firing.clock()
    if now - rule_pass.step_at < STALLED_AFTER:
        return rule_pass
    going_on = replace(rule_pass, updated_at=now, step_at=now)
    if not room.passes.move(rule_pass, going_on):
        raise Overtaken
    return going_on


def _ending(rule_pass: RulePass, rule: Rule) -> tuple[PassState, Failure] | None:
    """How a pass ends whose rule is not what it began with; None while it is."""
    if rule.version != rule_pass.rule_version:
        detail = "the rule was changed; what the pass had fired on before stays, and the next pass goes by the new one"
        return PassState.CANCELLED, Failure("rule_changed", detail)
    if rule.suspended_at is not None:
        detail = "the rule is suspended: it has fired as often as it may within an hour"
        return PassState.FAILED, Failure("rule_suspended", detail)
    if not rule.definition.enabled:
        return PassState.CANCELLED, Failure("rule_disabled", "the rule is disabled")
    return None


def _end(room: PassRoom, rule_pass: RulePass, state: PassState, failure: Failure) -> RulePass:
    """Ends a pass that can not go on; what it has written stays written and paid for."""
    after = ended(rule_pass, state, failure, room.firing.clock())
    if not room.passes.move(rule_pass, after):
        raise Overtaken
    return after


class _Leg:
    """One worker's way with one pass, from where it found it.

    `anchor` is the pass as the table holds it. `pass` is ahead of it by records that cost nothing: they are kept in
    memory until a step, a pause or the end writes them too. `waiting` are the records looked at and not yet done, and
    `known` says which of the places where they would create records are taken.
    """

    def __init__(self, room: PassRoom, rule_pass: RulePass, rule: Rule, rule_ids: Collection[str]) -> None:
        self._room = room
        self._rule = rule
        self._rule_ids = rule_ids
        self._anchor = rule_pass
        self._pass = rule_pass
        self._examine = examiner_of(rule)
        self._limit = room.firing.limits.per_hour(rule)
        self._waiting: deque[Looked] = deque()
        self._known: dict[RecordName, bool] = {}
        # Of those before it, what was noted is only known by place: records may have changed since.
        self._noted_before = rule_pass.noted or ""
        self._noted: set[str] = set()
        # Read once: in a new hour the first transaction would be refused without it.
        self._meter: Meter | None = room.firing.meters.get(rule.workspace_id, rule.rule_id)
        # Firings that one step may have at most: what is left of the hour, or one where the database has refused more.
        self._allowance: int | None = None
        self._one_by_one = False

    def walk(self, out_of_time: Callable[[], bool]) -> RulePass:
        with ThreadPoolExecutor(1, thread_name_prefix="read-ahead") as pool:
            for page in self._pages(pool):
                seen_all = self._look_at(page.records, out_of_time)
                while (step := self._step()).is_full:
                    if not self._advance(step, last=False):
                        return self._pass
                    if out_of_time():
                        return self._hand_over()
                is_last = seen_all and page.cursor is None
                if not is_last and (not seen_all or out_of_time()):
                    # What waits for a fuller step goes now: however short a leg is, it moves the pass on.
                    return self._hand_over() if self._do_the_rest(last=False) else self._pass
                self._show_progress()
        if not self._do_the_rest(last=True):
            return self._pass
        return self._pass if self._pass.state.is_over else self._move(finished(self._pass, self._room.firing.clock()))

    def _pages(self, pool: ThreadPoolExecutor) -> Iterator[RecordPage]:
        """The entity's remaining records, one page ahead. They may grow old: conditions notice, and nothing is lost."""
        ahead = pool.submit(self._read, self._pass.cursor)
        while True:
            page = ahead.result()
            if page.cursor is None:
                yield page
                return
            ahead = pool.submit(self._read, page.cursor)
            yield page

    def _read(self, cursor: str | None) -> RecordPage:
        return self._room.firing.catalog.page(self._anchor.workspace_id, self._anchor.entity, _PAGE, cursor)

    def _look_at(self, records: Sequence[Record], out_of_time: Callable[[], bool]) -> bool:
        """Lets the rule look at the records, at the first in any case; False when time is over before the last."""
        before = len(self._waiting)
        for record in records:
            self._waiting.append(Looked.at(record, self._examine(record)))
            if out_of_time():
                break
        seen_all = len(self._waiting) - before == len(records)
        wanted = {place for looked in self._waiting for place in looked.targets}
        self._known = {place: there for place, there in self._known.items() if place in wanted}
        self._look_up(wanted)
        return seen_all

    def _look_up(self, places: Iterable[RecordName]) -> None:
        """Finds out which places are taken, after all that this worker has written."""
        unknown = [place for place in places if place not in self._known]
        for first in range(0, len(unknown), READ_BATCH):
            some = unknown[first : first + READ_BATCH]
            found = self._room.firing.catalog.existing(self._anchor.workspace_id, some)
            self._known |= {place: place in found for place in some}

    def _step(self, budget: int | None = None) -> Step:
        return next_step(
            self._rule,
            self._waiting,
            {place for place, there in self._known.items() if there},
            self._room.firing.prices,
            budget=budget,
            # The meter's condition knows of no limit where a firing begins an hour.
            max_firings=1 if self._one_by_one else self._limit if self._allowance is None else self._allowance,
        )

    def _do_the_rest(self, *, last: bool) -> bool:
        """Does all that waits; False when the pass paused instead."""
        while self._waiting:
            if not self._advance(self._step(), last=last):
                return False
        return True

    def _advance(self, step: Step, *, last: bool) -> bool:
        """Does the next step's worth of the records that wait; False when the pass paused instead."""
        budget = None
        for _ in range(_MAX_REPLANS):
            self._note_failures(step)
            if not step.firings:
                self._done(step, self._after(step))
                if step.unpaid is not None:
                    self._move(paused(self._pass, step.unpaid, self._room.firing.clock()))
                return step.unpaid is None
            outcome = self._commit(step, finishing=last and step.length == len(self._waiting))
            match outcome:
                case Committed():
                    return True
                case OutOfCredits(available=available):
                    budget = available
                case Stale(cursor_moved=False, writes=refused):
                    self._see(step, refused)
                case Stale() | Replayed():
                    raise Overtaken
                case OperationIdReused() | UnknownWorkspace():
                    raise AssertionError(f"pass {self._pass.pass_id} cannot be paid for: {outcome}")
                case NotStorable():
                    self._single_out(step, outcome)
                case _:
                    assert_never(outcome)
            step = self._step(budget)
        raise StoreUnavailable(f"the records of pass {self._pass.pass_id} changed under {_MAX_REPLANS} attempts")

    def _commit(self, step: Step, *, finishing: bool) -> Outcome | NotStorable:
        """Sends one step through the ledger, and takes it as done when it is committed."""
        room, anchor = self._room.firing, self._anchor
        now = room.clock()
        after = finished(self._after(step), now) if finishing else self._after(step)
        planned = plan_firings(
            self._rule,
            step.firings,
            lambda credits: count_firings(
                room.rules.table,
                self._rule,
                self._meter,
                firings=len(step.firings),
                credits=credits,
                limit=self._limit,
                now=now,
            ),
            rule_ids=self._rule_ids,
            catalog_table=room.catalog.table,
            prices=room.prices,
            at=anchor.step_at,
            now=now,
            # The same for every worker that sees the pass there, whatever it finds on the records.
            trigger=(anchor.pass_id, str(anchor.position)),
            cursor=move_pass(self._room.passes.table, anchor, after),
            run_id=anchor.pass_id,
        )
        try:
            outcome = room.ledger.commit(planned.plan)
        except NotStorable as error:
            return error
        if isinstance(outcome, Committed):
            self._anchor = after
            self._meter = self._allowance = None
            self._known |= {(made.entity, made.key): True for each in step.firings for made in each.creations}
            self._done(step, after)
        return outcome

    def _note_failures(self, step: Step) -> None:
        """Puts those of the step's failures into the log that are not there, free, and counts them with it.

        By itself, before the step: how far it was noted is part of the pass, so that each failure is noted once.
        """
        fresh = [failure for _, failure in step.failures if self._is_fresh(failure.trigger)]
        if not fresh:
            return
        now = self._room.firing.clock()
        after = replace(
            self._pass,
            counts=self._pass.counts + PassCounts(failed=len(fresh)),
            noted=max(self._pass.noted or "", fresh[-1].trigger),
            updated_at=now,
            step_at=now,
        )
        reason = f"{fresh[0].record.key}: {fresh[0].reason}"
        table = self._room.firing.rules.table
        plan = plan_failures(
            self._rule,
            [replace(each, trigger=f"{self._anchor.pass_id}/{each.trigger}") for each in fresh],
            count_failures(table, self._rule, failures=len(fresh), reason=reason, now=now),
            at=self._anchor.step_at,
            run_id=self._anchor.pass_id,
        )
        plan = replace(plan, cursor=move_pass(self._room.passes.table, self._anchor, after))
        match self._room.firing.ledger.commit(plan):
            case Committed():
                self._anchor = self._pass = after
                self._noted.update(each.trigger for each in fresh)
            case Stale(cursor_moved=False):
                raise _RuleMoved
            case Stale() | Replayed():
                raise Overtaken
            case outcome:
                raise AssertionError(f"a note of pass {self._anchor.pass_id} is free, and met {outcome}")

    def _is_fresh(self, place: str) -> bool:
        return place > self._noted_before and place not in self._noted

    def _see(self, step: Step, refused: Mapping[int, Item | None]) -> None:
        """Takes in what a refusal showed: of the meter, which stands first, and of the records (law 6)."""
        if 0 in refused:
            self._see_meter(refused[0])
        position = 1
        for index, firing in zip(step.places, step.firings, strict=True):
            if position in refused:
                item = refused[position]
                looked = self._waiting[index]
                now = to_record(item) if item else None
                self._waiting[index] = (
                    Looked.at(now, self._examine(now)) if now else Looked.at(looked.record, NoMatch())
                )
                self._look_up(self._waiting[index].targets)
            for nth, creation in enumerate(firing.creations, position + 1):
                if nth in refused:
                    self._known[creation.entity, creation.key] = True
            position += firing.records

    def _see_meter(self, item: Item | None) -> None:
        meter = None if item is None else to_meter(item)
        if meter is None or meter.version != self._rule.version:
            raise _RuleMoved
        self._meter = meter
        fired = meter.fired_in_hour if meter.hour >= hour_of(self._room.firing.clock()) else 0
        self._allowance = self._limit - fired
        if self._allowance <= 0:
            raise _FiredTooOften

    def _single_out(self, step: Step, error: NotStorable) -> None:
        """What the database refuses, of all that is let through, is one record's fault: found by going one by one."""
        if len(step.firings) > 1:
            self._one_by_one = True
            return
        (index,) = step.places
        self._waiting[index] = Looked.at(self._waiting[index].record, Failed(f"the database refused it: {error}"))
        self._one_by_one = False

    def _after(self, step: Step) -> RulePass:
        """The pass when the step is done: its cursor behind the last record, its counts with all of them."""
        if not step.length:
            return self._pass
        now = self._room.firing.clock()
        cursor = self._waiting[step.length - 1].cursor
        noted = self._pass.noted
        return replace(
            self._pass,
            cursor=cursor,
            position=self._pass.position + step.length,
            counts=self._pass.counts + step.counts(self._room.firing.prices),
            noted=noted if noted is not None and noted > cursor else None,
            updated_at=now,
            step_at=now,
        )

    def _done(self, step: Step, after: RulePass) -> None:
        self._pass = after
        for _ in range(step.length):
            self._waiting.popleft()

    def _hand_over(self) -> RulePass:
        """Leaves the rest to a new invocation."""
        leg, now = self._pass.leg + 1, self._room.firing.clock()
        return self._move(replace(self._pass, leg=leg, updated_at=now), rings=True)

    def _show_progress(self) -> None:
        overdue = self._room.firing.clock() - self._anchor.updated_at >= _SHOW_PROGRESS_EVERY
        if overdue and self._pass is not self._anchor:
            self._move(self._pass)

    def _move(self, after: RulePass, *, rings: bool = False) -> RulePass:
        """Writes the pass, where nothing is to be paid."""
        if not self._room.passes.move(self._anchor, after, rings=rings):
            raise Overtaken
        self._anchor = self._pass = after
        return after
