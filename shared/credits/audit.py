"""Do the books balance (law 4)? A recount folds the log entry by entry, in memory that grows with the grants and not
with the log, and is then held against the account. Pure.

The account may move while the log is read. All that is compared here only ever rises (what was consumed, what is gone
of a grant), so a recount that was made between two looks at the account lies between what these two have seen. When
they have seen the same, that is an exact comparison; else it is a sound one: it finds nothing where nothing is wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from shared.credits.model import Balance, Draw, Grant, OpenGrant, Operation, OperationKind, RecordCounts
from shared.credits.prices import Action
from shared.times import to_rfc3339

MAX_WRONG_ENTRIES = 20
"""Entries that contradict themselves and are named; beyond that they are only counted."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that does not add up: `expected` by the log, or by the entry itself, and `found` instead."""

    rule: str
    expected: str
    found: str
    where: str = ""

    def __str__(self) -> str:
        place = f" ({self.where})" if self.where else ""
        return f"{self.rule}: {self.expected} expected, {self.found} found{place}"


@dataclass(slots=True)
class GoneOfGrant:
    """What entries say is gone of one grant, and at which price; `mixed` when they do not agree on that."""

    credits: int
    unit_price: Decimal
    currency: str
    mixed: bool = False

    def add(self, draw: Draw) -> None:
        self.credits += draw.credits
        self.mixed = self.mixed or (draw.unit_price, draw.currency) != (self.unit_price, self.currency)


@dataclass(slots=True)
class Recount:
    """What the log comes to, as far as it was read. The order of entries does not matter; none may be added twice."""

    entries: int = 0
    consumed: int = 0
    owed: int = 0
    settled: int = 0
    expired: int = 0
    void: int = 0
    gone: dict[str, GoneOfGrant] = field(default_factory=dict)
    wrong_entries: list[Difference] = field(default_factory=list)
    wrong: int = 0

    def add(self, entry: Operation) -> None:
        self.entries += 1
        self.consumed += entry.credits
        self.owed += entry.owed
        self.settled += entry.settled
        if entry.kind is OperationKind.EXPIRY:
            self.expired += _credits(entry.withdrawn)
        else:
            self.void += _credits(entry.withdrawn)
        for draw in (*entry.drawn, *entry.withdrawn):
            if draw.grant_id not in self.gone:
                self.gone[draw.grant_id] = GoneOfGrant(0, draw.unit_price, draw.currency)
            self.gone[draw.grant_id].add(draw)
        for difference in of_entry(entry):
            self.note(difference)

    def note(self, difference: Difference) -> None:
        """Keeps a difference that one entry shows by itself; the first ones with their words."""
        self.wrong += 1
        if len(self.wrong_entries) < MAX_WRONG_ENTRIES:
            self.wrong_entries.append(difference)

    def gone_of(self, grant_id: str) -> int:
        return self.gone[grant_id].credits if grant_id in self.gone else 0

    def to_values(self) -> dict[str, Any]:
        """As JSON can keep it, for whoever goes on counting."""
        sums = (self.entries, self.consumed, self.owed, self.settled, self.expired, self.void, self.wrong)
        return {
            "sums": sums,
            "gone": {
                grant_id: [gone.credits, str(gone.unit_price), gone.currency, gone.mixed]
                for grant_id, gone in self.gone.items()
            },
            "wrong_entries": [[each.rule, each.expected, each.found, each.where] for each in self.wrong_entries],
        }

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> Recount:
        entries, consumed, owed, settled, expired, void, wrong = values["sums"]
        return cls(
            entries=entries,
            consumed=consumed,
            owed=owed,
            settled=settled,
            expired=expired,
            void=void,
            gone={
                grant_id: GoneOfGrant(credits, Decimal(price), currency, mixed)
                for grant_id, (credits, price, currency, mixed) in values["gone"].items()
            },
            wrong_entries=[Difference(*each) for each in values["wrong_entries"]],
            wrong=wrong,
        )


def of_entry(entry: Operation) -> Iterator[Difference]:
    """What an entry contradicts itself in."""
    name, drawn = entry.operation_id, _credits(entry.drawn)
    if drawn != entry.credits - entry.owed + entry.settled:
        yield Difference(
            "an entry draws what it costs", str(entry.credits - entry.owed + entry.settled), str(drawn), name
        )
    amounts = (entry.credits, entry.owed, entry.settled, *(draw.credits for draw in (*entry.drawn, *entry.withdrawn)))
    if min(amounts) < 0 or entry.owed > entry.credits:
        yield Difference("an entry's figures are no less than 0", "0 or more", str(min(amounts)), name)
    if (entry.refused is not None or not entry.actions) and entry.credits:
        yield Difference("what does nothing costs nothing", "0", str(entry.credits), name)
    if not entry.records:
        return
    counts = RecordCounts.total(entry.records.values())
    if counts.credits > entry.credits:
        yield Difference("records cost no more than their entry", f"at most {entry.credits}", str(counts.credits), name)
    charged = (Action.RECORD_CREATED, counts.created), (Action.RECORD_UPDATED, counts.updated)
    for action, count in charged:
        if entry.actions.get(action, 0) > count:
            yield Difference(
                f"as many records as the entry's {action.value}", str(entry.actions[action]), str(count), name
            )


def doubled(entries: Sequence[Operation], since: datetime, until: datetime) -> Iterator[Difference]:
    """Entries among these that are of one and the same trigger: there is one entry of each. What lies close together
    can be compared like this; nobody keeps the triggers of a whole log in mind. `entries` are all those from `since`
    until `until`.

    A record may be made twice at one moment, when it is deleted in between: the calls are dated by when they came, and
    committed when it is their turn. So those are passed over whose deletion is among the entries, or might lie just
    beyond them.
    """
    deleted = {name for entry in entries if _deletes(entry) for name in _names(entry)}
    first: dict[tuple[object, ...], str] = {}
    for entry in entries:
        trigger = _trigger(entry)
        is_creation = entry.step is None and bool(entry.keys)
        is_near_the_edge = not since + _TURN <= entry.at <= until - _TURN
        if is_creation and (is_near_the_edge or not deleted.isdisjoint(_names(entry))):
            continue
        if trigger is None:
            continue
        name = first.setdefault(trigger, entry.operation_id)
        if name != entry.operation_id:
            what = _words(part for part in trigger[:_NAMED_PARTS] if part is not None)
            yield Difference(f"one entry of each {what}", name, f"{entry.operation_id} too", entry.operation_id)


_TURN = timedelta(minutes=1)
"""How long after it came a call may be committed: the API's function has half of that."""

_NAMED_PARTS = 3
"""Of what tells triggers apart, those that a person reads come first."""


def _names(entry: Operation) -> set[tuple[str, str]]:
    """The records that the entry names."""
    return {(entity, record_key) for entity, written in entry.keys.items() for record_key in written}


def _deletes(entry: Operation) -> bool:
    return any(counts.deleted for counts in entry.records.values())


def _trigger(entry: Operation) -> tuple[object, ...] | None:
    """What no two entries have in common; None where an entry does not tell, as two equal reads do not."""
    if entry.step is not None and entry.refused is None:
        return ("step", entry.run_id, entry.step.position)
    if entry.kind in (OperationKind.EXPIRY, OperationKind.SETTLEMENT):
        return (entry.kind.value, *sorted({draw.grant_id for draw in (*entry.drawn, *entry.withdrawn)}))
    if RecordCounts.total(entry.records.values()).created and entry.keys:
        # The same records do not come into being twice by the same request at the same millisecond.
        written = tuple((entity, *names) for entity, names in sorted(entry.keys.items()))
        return (entry.kind.value, entry.job_id, entry.actor, entry.at, entry.fingerprint, entry.run_id, written)
    return None


def movement(balance: Balance) -> tuple[int, ...]:
    """What every entry that costs anything, and every grant, moves: equal twice, nothing was booked in between."""
    return (balance.granted, balance.consumed, balance.owed, balance.expired, balance.void, balance.revision)


def differences(recount: Recount, grants: Iterable[Grant], opening: Balance, closing: Balance) -> Iterator[Difference]:
    """What contradicts itself between log and grants on one side, and the account on the other; nothing when the books
    balance. What an entry shows by itself comes first, and then what the account does: it is the nearest to the cause.

    They must have been read in this order: the account (`opening`), the log, the grants, the account (`closing`). Then
    a grant that an entry names, or the account before it, is among the grants.
    """
    given = {grant.grant_id: grant for grant in grants}
    yield from recount.wrong_entries
    yield from _of_itself(closing)
    yield from _between("granted", sum(grant.credits for grant in given.values()), opening.granted, closing.granted)
    yield from _between("consumed", recount.consumed, opening.consumed, closing.consumed)
    drawn_before, drawn_after = _drawn(opening), _drawn(closing)
    yield from _between(
        "owed", recount.owed - recount.settled, opening.consumed - drawn_after, closing.consumed - drawn_before
    )
    yield from _between("expired", recount.expired, opening.expired, closing.expired)
    yield from _between("void", recount.void, opening.void, closing.void)
    left_before = {grant.grant_id: grant for grant in opening.grants}
    left_after = {grant.grant_id: grant for grant in closing.grants}
    for name, grant in given.items():
        # The account forgets grants that are used up. One that it did not know before may also have come in between.
        whole = grant.credits if opening.revision != closing.revision else 0
        before = left_before[name].remaining if name in left_before else whole
        after = left_after[name].remaining if name in left_after else 0
        yield from _between(f"gone from {name}", recount.gone_of(name), grant.credits - before, grant.credits - after)
        yield from _terms(grant, left_after.get(name) or left_before.get(name), recount.gone.get(name))
    for name in sorted(recount.gone.keys() - given.keys()):
        yield Difference(f"{name} was never given", "a grant", f"{recount.gone_of(name)} credits gone from it", name)
    for name in sorted(left_before.keys() - given.keys() - recount.gone.keys()):
        yield Difference(
            f"{name} was never given", "a grant", f"{left_before[name].remaining} credits left of it", name
        )


def discrepancies(balance: Balance, grants: Iterable[Grant], operations: Iterable[Operation]) -> list[str]:
    """What contradicts itself between an account, its grants and its whole operation log, in words; empty when the
    books balance. For an account that nothing moves meanwhile.
    """
    recount = Recount()
    for entry in operations:
        recount.add(entry)
    return [str(difference) for difference in differences(recount, grants, balance, balance)]


def _of_itself(balance: Balance) -> Iterator[Difference]:
    """What the account contradicts itself in, whatever the log says."""
    left = sum(grant.remaining for grant in balance.grants)
    if balance.available != left:
        yield Difference("available", str(left), str(balance.available), "what is left of all grants")
    one, other = balance.granted - balance.expired - balance.void, balance.available + balance.consumed - balance.owed
    if one != other:
        rule = "granted - expired - void"
        yield Difference(rule, str(one), str(other), "available + consumed - owed")
    for grant in balance.grants:
        if grant.remaining < 0:
            yield Difference(f"{grant.grant_id} is below zero", "0 or more", str(grant.remaining), grant.grant_id)


def _between(rule: str, counted: int, low: int, high: int) -> Iterator[Difference]:
    if not low <= counted <= high:
        yield Difference(rule, str(counted), str(low) if low == high else f"{low} to {high}", "the account")


def _drawn(balance: Balance) -> int:
    """What grants have paid: for what was consumed at once, or later, when a debt was settled."""
    return balance.consumed - balance.owed


def _terms(grant: Grant, still_open: OpenGrant | None, gone: GoneOfGrant | None) -> Iterator[Difference]:
    """A grant's price is what its credits are worth wherever they are told of."""
    terms = (grant.unit_price, grant.currency)
    if still_open is not None:
        known = (still_open.unit_price, still_open.currency, still_open.priority, still_open.expires_at)
        given = (*terms, grant.priority, grant.expires_at)
        if known != given:
            rule = f"the terms of {grant.grant_id}"
            yield Difference(rule, _terms_in_words(*given), _terms_in_words(*known), "the account")
    if gone is not None and (gone.mixed or (gone.unit_price, gone.currency) != terms):
        found = "several prices" if gone.mixed else _words((gone.unit_price, gone.currency))
        yield Difference(f"the price of {grant.grant_id}", _words(terms), found, "the log")


def _terms_in_words(unit_price: Decimal, currency: str, priority: int, expires_at: datetime | None) -> str:
    until = "never" if expires_at is None else to_rfc3339(expires_at)
    return f"{unit_price} {currency} a credit, priority {priority}, expires {until}"


def _words(parts: Iterable[object]) -> str:
    return " ".join("-" if part is None else str(part) for part in parts)


def _credits(draws: Iterable[Draw]) -> int:
    return sum(draw.credits for draw in draws)
