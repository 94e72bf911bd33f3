"""Makes an audit: counts the log, compares, and follows a sample of operations and records to each other.

It goes in small units, and hands over between two of them when its time is over: a worker holds nothing that matters.
It has no right to mend the books, and does not. Only usage figures, which are derived, are brought up to the log.

The order of reading is what makes it sound beside workers that charge meanwhile. Entries are dated by their trigger and
may be committed much later, so no day of the log is ever closed: the account is read first, then the log from the
workspace's birth to today, then the grants, then the account again. What the log comes to lies between the two looks at
the account, and is what they say when these are the same. When they are not, the last days are read again, with the
account before and after, until it stands still. Where that contradicts what the whole sweep has found, an entry may
have come into an older day, and the whole log is read again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from shared import keys
from shared.audits.figures import Checked, UsageBooks, months_between
from shared.audits.model import Audit, AuditState
from shared.audits.reading import UNREADABLE, BooksReader, LogPage, readable_balance
from shared.audits.samples import RecordReader, some_of, writes_records, written_count
from shared.audits.store import AuditStore, failed
from shared.audits.work import Phase, Work, day_of
from shared.catalog import CatalogStore, Record, RecordName
from shared.credits import Balance, Operation
from shared.credits.audit import Difference, differences, doubled, movement
from shared.dynamo.reads import READ_BATCH
from shared.ids import time_of
from shared.keys import Item
from shared.times import Clock, utc_now
from shared.tracing import RecordsForgotten

MAX_ROUNDS = 5
"""How often the last days are read in one sweep, while the account moves."""

MAX_SWEEPS = 3
"""How often the whole log is read, while what is found contradicts itself."""

TRACED_AT_ONCE = 25
"""Operations that are followed down to their records in one unit of work: each may need a file of its run."""

MAX_FOLLOWED = 10_000
"""Records that are looked for because an operation says it wrote them: all, while there are no more; beyond that up to
`READ_BATCH` of each operation.
"""

_LOOKS = 2
"""How often the last days are read again for records in doubt: when the first look comes, the entry may just be about
to be seen.
"""

_CLAIMS_KEPT = 2_000
"""Operations whose records are kept in mind: a step of an import has written records of many shards."""

Trace = Callable[[Operation], Iterable[RecordName]]


@dataclass(frozen=True, slots=True)
class AuditRoom:
    """What auditing takes. `trace` gives the records that an operation has written or deleted, and raises
    RecordsForgotten where nobody knows any more.
    """

    audits: AuditStore
    books: BooksReader
    catalog: CatalogStore
    records: RecordReader
    usage: UsageBooks
    trace: Trace
    clock: Clock = utc_now


def work(room: AuditRoom, workspace_id: str, audit_id: str, leg: int, out_of_time: Callable[[], bool]) -> Audit | None:
    """Goes on with an audit until it is over or the time is; None when there is none.

    Only in the leg that was called for: a message that comes late or twice finds it elsewhere. Raises StoreUnavailable
    and errors of botocore; the same leg may then be begun again.
    """
    taken = room.audits.take(workspace_id, audit_id)
    if taken is None:
        return None
    audit, kept = taken
    if audit.state.is_over or audit.leg != leg:
        return audit
    if kept is None:
        state = Work.begin(workspace_id, audit_id, room.books.balance(workspace_id), room.clock())
    else:
        state = Work.from_values(audit_id, kept)
    auditor = _Auditor(room, workspace_id, state)
    while state.phase is not Phase.DONE:
        if out_of_time():
            after = replace(_shown(audit, state, room.clock()), leg=audit.leg + 1)
            moved = room.audits.move(audit, after, state.to_values(), rings=True)
            return after if moved else audit
        auditor.step()
    now = room.clock()
    after = replace(_shown(audit, state, now), state=AuditState.FINISHED, finished_at=now, progress=1.0)
    return after if room.audits.move(audit, after, None) else audit


def give_up(room: AuditRoom, workspace_id: str, audit_id: str, leg: int, error: Exception) -> Audit | None:
    """Fails an audit that broke off at the last try of this leg, so that another may be asked for; returns it as it is
    then, and None when there is none. One that is over, or that another worker was called to, is left alone.

    Of `error` only the kind is told: its text may hold anything. Raises StoreUnavailable and errors of botocore.
    """
    audit = room.audits.get(workspace_id, audit_id)
    if audit is None or audit.state.is_over or audit.leg != leg:
        return audit
    reason = f"The audit broke off at the last of its tries, with {type(error).__name__}. The operators are told."
    after = failed(audit, reason, room.clock())
    return after if room.audits.move(audit, after, None) else room.audits.get(workspace_id, audit_id)


def _shown(audit: Audit, state: Work, now: datetime) -> Audit:
    """The audit with what is known by now."""
    return replace(
        audit,
        updated_at=now,
        progress=_progress(state, time_of(audit.workspace_id), now),
        operations=state.recount.entries,
        traced=state.traced,
        records=state.records,
        exact=state.exact,
        repaired=state.repaired,
        differences=tuple(state.differences),
        difference_count=state.difference_count,
    )


def _progress(state: Work, born: datetime, now: datetime) -> float:
    """A guess by phases, and within the log by days."""
    days = max((now - day_of(born)).days + 1, 1)
    match state.phase:
        case Phase.LOG:
            return 0.6 * min((state.day - day_of(born)).days / days, 1.0)
        case Phase.OPERATIONS:
            return 0.6
        case Phase.RECORDS:
            return 0.7
        case _:
            return 0.9


@dataclass(slots=True)
class _Auditor:
    """One workspace's audit, a unit of work at a time."""

    room: AuditRoom
    workspace_id: str
    state: Work
    _claims: OrderedDict[str, frozenset[RecordName] | None] = field(default_factory=OrderedDict)

    def step(self) -> None:
        match self.state.phase:
            case Phase.LOG:
                self._count()
            case Phase.OPERATIONS:
                self._trace_operations()
            case Phase.RECORDS:
                self._trace_records()
            case Phase.DOUBTS:
                self._look_again()
            case Phase.USAGE:
                self._compare_usage()
            case Phase.DONE:
                raise AssertionError("an audit that is over has no next step")

    # --- the log ---

    def _count(self) -> None:
        """One page of the log; behind the last one, a look at the account."""
        state = self.state
        if state.day > day_of(self.room.clock()):
            self._close_round()
            return
        if state.day == state.recent_from and state.after is None:
            state.settled = state.recount.to_values()
        page = self.room.books.entries(self.workspace_id, state.day, state.after)
        for entry in page.entries:
            state.recount.add(entry)
            state.add_figures(self.room.usage.sums_of(entry))
            state.meet_names(entry)
            for entity in entry.records:
                state.meet_entity(entity)
            if writes_records(entry):
                state.drawn.offer(entry.operation_id)
        for difference in (*page.wrong, *doubled(page.entries, *self._span(page))):
            state.recount.note(difference)
        state.after = page.after
        if page.after is None:
            state.day += timedelta(days=1)

    def _span(self, page: LogPage) -> tuple[datetime, datetime]:
        """From when until when the page holds every entry of the day that is being read."""
        day, state = self.state.day, self.state
        since = day if state.after is None or not page.entries else page.entries[0].at
        until = day + timedelta(days=1) if page.after is None or not page.entries else page.entries[-1].at
        return since, until

    def _close_round(self) -> None:
        """Compares what was counted with the account before and after; or has it counted again."""
        state, books = self.state, self.room.books
        grants, found = books.grants(self.workspace_id)
        before, after = _balance(state.opening), _balance(books.balance(self.workspace_id))
        quiet = True
        if isinstance(after, Difference):
            found += [*state.recount.wrong_entries, after]
        elif isinstance(before, Difference):
            found += [*state.recount.wrong_entries, before]
        else:
            found += differences(state.recount, grants, before, after)
            quiet = movement(before) == movement(after)
        if not self._is_settled(bool(found), quiet):
            return
        state.exact = quiet
        for difference in found:
            state.note(difference)
        # Of those that entries show by themselves only the first are kept in words.
        state.difference_count += state.recount.wrong - len(state.recount.wrong_entries)
        state.phase = Phase.OPERATIONS

    def _is_settled(self, differs: bool, quiet: bool) -> bool:
        """Whether what this round has found counts; where it does not, the next one is begun.

        What differs has to do so twice in a row: while a charge is just being committed, a query may not see its entry
        yet. What begins to differ in a later round may be an entry that has come into an older day meanwhile.
        """
        state = self.state
        if differs and (state.differed or (state.rounds > 1 and state.sweeps >= MAX_SWEEPS)):
            return True
        if not differs and (quiet or state.rounds >= MAX_ROUNDS):
            return True
        opening = self.room.books.balance(self.workspace_id)
        if differs and state.rounds > 1:
            state.sweep_again(self.workspace_id, opening, self.room.clock())
        else:
            state.differed = differs
            state.read_recent_again(self.workspace_id, opening)
        return False

    # --- from operations to records ---

    def _trace_operations(self) -> None:
        """Some of the drawn operations: as many records as they say, and what stands there now."""
        state = self.state
        drawn = state.drawn.in_order()[state.position : state.position + TRACED_AT_ONCE]
        if not drawn:
            state.phase, state.position = Phase.RECORDS, 0
            return
        for operation in self.room.books.some_entries(self.workspace_id, drawn).values():
            self._trace_operation(operation)
        state.position += len(drawn)

    def _trace_operation(self, operation: Operation) -> None:
        name, state = operation.operation_id, self.state
        try:
            places = list(self.room.trace(operation))
        except RecordsForgotten:
            return
        except UNREADABLE as error:
            told = f"{type(error).__name__}: {error}"
            state.note(Difference("an operation names the records that it wrote", "records", told, name))
            return
        state.traced += 1
        claimed = written_count(operation)
        if len(places) != claimed or len(set(places)) != len(places):
            state.note(
                Difference("an operation names as many records as it wrote", str(claimed), str(len(places)), name)
            )
        self._keep_claims(name, frozenset(places))
        for entity, record_key in places:
            state.starts.offer(entity, record_key)
        # What is left of a large step is met from the records' side.
        left = max(MAX_FOLLOWED - state.followed, READ_BATCH)
        chosen = some_of(state.drawn.audit_id, name, list(dict.fromkeys(places)), left)
        state.followed += len(chosen)
        for start in range(0, len(chosen), READ_BATCH):
            self._trace_some(name, chosen[start : start + READ_BATCH])

    def _trace_some(self, name: str, places: Sequence[RecordName]) -> None:
        """Records that the operation says it has written: they are there, or were deleted since; and who wrote one
        after it is in the log too.
        """
        state = self.state
        try:
            found = self.room.catalog.get_many(self.workspace_id, places)
        except UNREADABLE as error:
            told = f"{type(error).__name__}: {error}"
            state.note(Difference("the records that an operation wrote can be read", "their attributes", told, name))
            return
        for entity, record_key in places:
            if (entity, record_key) not in found:
                state.doubt(entity, record_key, name)
        others = [record for record in found.values() if record.operation_id not in (None, name)]
        self._have_entries(others)

    # --- from records to operations ---

    def _trace_records(self) -> None:
        """Records of one shard of one entity: each names an operation of the log, and that one says it wrote it."""
        state = self.state
        entities = list(state.entities)
        if state.position >= len(entities) * keys.RECORD_SHARDS:
            state.phase, state.position = Phase.DOUBTS, 0
            state.day, state.after = state.recent_from, None
            return
        index, shard = divmod(state.position, keys.RECORD_SHARDS)
        entity = entities[index]
        records: list[Record] = []
        for each in self.room.records.some(self.workspace_id, entity, shard, state.starts.of(entity, shard)):
            if isinstance(each, Difference):
                state.note(each)
            else:
                records.append(each)
        state.records += len(records)
        for record in records:
            if record.operation_id is None:
                state.doubt(entity, record.key, None)
        for operation in self._have_entries(record for record in records if record.operation_id is not None):
            claims = self._claims_of(operation)
            for record in records:
                is_of_it = record.operation_id == operation.operation_id
                if claims is not None and is_of_it and (record.entity, record.key) not in claims:
                    state.note(
                        Difference(
                            "a record was written by the operation that it names",
                            f"{entity} {record.key} among its records",
                            "not among them",
                            operation.operation_id,
                        )
                    )
        state.position += 1

    # --- what neither had told of ---

    def _look_again(self) -> None:
        """One more page of the last days of the log: what is in doubt may have been written or deleted since."""
        state = self.state
        if not state.doubts or state.position >= _LOOKS:
            state.settle_doubts()
            state.phase, state.position = Phase.USAGE, 0
            return
        page = self.room.books.entries(self.workspace_id, state.day, state.after)
        for entry in page.entries:
            state.meet_names(entry)
        state.after = page.after
        if page.after is None:
            state.day += timedelta(days=1)
        if state.day > day_of(self.room.clock()):
            state.position += 1
            state.day, state.after = state.recent_from, None

    # --- the usage figures ---

    def _compare_usage(self) -> None:
        """One month of the figures that are derived from the log, or, at the end, what was counted in all.

        They come last: so they had time to be counted.
        """
        state, now = self.state, self.room.clock()
        months = months_between(time_of(self.workspace_id), now)
        if state.position >= len(months):
            self._check_usage(lambda: self.room.usage.check_so_far(self.workspace_id, now), "all months")
            state.phase = Phase.DONE
            return
        month = months[state.position]
        logged = {day: sums for day, sums in state.figures.items() if day.startswith(f"{month:%Y-%m}")}
        state.position += 1
        self._check_usage(lambda: self.room.usage.check(self.workspace_id, month, logged, now), f"{month:%Y-%m}")

    def _check_usage(self, check: Callable[[], Checked], where: str) -> None:
        """Notes what the check finds, or that it cannot read the figures."""
        try:
            checked = check()
        except UNREADABLE as error:
            told = f"{type(error).__name__}: {error}"
            self.state.note(Difference("usage figures can be read", "whole numbers", told, where))
            return
        self.state.repaired += checked.repaired
        for difference in checked.differences:
            self.state.note(difference)

    # --- what both directions need ---

    def _have_entries(self, records: Iterable[Record]) -> list[Operation]:
        """The operations that these records name; tells of those that are not in the log.

        A record is written in the transaction of its entry: whoever sees it finds the entry.
        """
        by_operation: dict[str, Record] = {}
        for record in records:
            by_operation.setdefault(record.operation_id or "", record)
        names = list(by_operation)
        found: dict[str, Operation] = {}
        for start in range(0, len(names), READ_BATCH):
            found |= self.room.books.some_entries(self.workspace_id, names[start : start + READ_BATCH])
        for name in names:
            if name not in found:
                record = by_operation[name]
                rule = "a record names an operation of the log"
                self.state.note(Difference(rule, name, "no such entry", f"{record.entity} {record.key}"))
        return list(found.values())

    def _claims_of(self, operation: Operation) -> frozenset[RecordName] | None:
        """The records that an operation has written; None when that cannot be told any more."""
        name = operation.operation_id
        if name not in self._claims:
            try:
                self._keep_claims(name, frozenset(self.room.trace(operation)))
            except (RecordsForgotten, *UNREADABLE):
                self._keep_claims(name, None)
        return self._claims[name]

    def _keep_claims(self, name: str, places: frozenset[RecordName] | None) -> None:
        self._claims[name] = places
        if len(self._claims) > _CLAIMS_KEPT:
            self._claims.popitem(last=False)


def _balance(item: Item | None) -> Balance | Difference:
    if item is None:
        return Difference("a workspace has an account", "a balance", "none")
    return readable_balance(item)
