"""The books of a month: what its lines add up to, and whether that is what the account says (law 4)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple

from shared.credits import GrantKind, RecordCounts
from shared.credits.model import EXACT
from shared.exports.cells import plain
from shared.exports.lines import Line, LineType


class LineGroup(NamedTuple):
    """Lines that are summed together: of one type, paid by one kind of grant, at prices in one currency."""

    line_type: LineType
    grant_kind: GrantKind | None
    currency: str | None


@dataclass(slots=True)
class GroupSums:
    """What the lines of a group add up to."""

    lines: int = 0
    quantity: int = 0
    credits: int = 0
    balance_change: int = 0
    owed_change: int = 0
    cost: Decimal = Decimal(0)
    billed: Decimal = Decimal(0)

    def add(self, other: Line | GroupSums, lines: int) -> None:
        self.lines += lines
        self.quantity += other.quantity
        self.credits += other.credits
        self.balance_change += other.balance_change
        self.owed_change += other.owed_change
        if other.cost:
            self.cost = EXACT.add(self.cost, other.cost)
        if other.billed:
            self.billed = EXACT.add(self.billed, other.billed)


@dataclass(slots=True)
class Sums:
    """What lines add up to, exactly, in any order. `billed` is what was invoiced, by the top-up's reference."""

    groups: dict[LineGroup, GroupSums] = field(default_factory=dict)
    operations: int = 0
    refused: int = 0
    records: RecordCounts = field(default_factory=RecordCounts)
    billed: dict[str, tuple[str, Decimal]] = field(default_factory=dict)

    def add(self, lines: Iterable[Line]) -> None:
        counts: list[RecordCounts] = []
        for line in lines:
            group = LineGroup(line.line_type, line.grant_kind, line.currency)
            if group not in self.groups:
                self.groups[group] = GroupSums()
            self.groups[group].add(line, 1)
            if line.operation_id is not None and line.line_id.endswith("-0"):
                self.operations += 1
                self.refused += line.refused is not None
                if line.records is not _NO_RECORDS:
                    counts.append(line.records)
            if line.billed:
                self._bill(line.reference or line.line_id, line.currency or "", line.billed)
        self.records += RecordCounts.total(counts)

    def __add__(self, other: Sums) -> Sums:
        total = Sums(
            operations=self.operations + other.operations,
            refused=self.refused + other.refused,
            records=self.records + other.records,
        )
        for part in (self, other):
            for group, figures in part.groups.items():
                total.groups.setdefault(group, GroupSums()).add(figures, figures.lines)
            for reference, (currency, amount) in part.billed.items():
                total._bill(reference, currency, amount)
        return total

    @property
    def lines(self) -> int:
        return sum(figures.lines for figures in self.groups.values())

    def of(self, *types: LineType) -> Iterator[tuple[LineGroup, GroupSums]]:
        """The groups of these types of line, in an order that is always the same."""
        for group in sorted(self.groups, key=lambda one: [part or "" for part in one]):
            if group.line_type in types:
                yield group, self.groups[group]

    def quantity(self, *types: LineType) -> int:
        return sum(figures.quantity for _, figures in self.of(*types))

    def to_values(self) -> dict[str, Any]:
        """As JSON and a database can keep it; money is text."""
        return {
            "groups": [
                [
                    *group,
                    figures.lines,
                    figures.quantity,
                    figures.credits,
                    figures.balance_change,
                    figures.owed_change,
                    plain(figures.cost),
                    plain(figures.billed),
                ]
                for group, figures in self.of(*LineType)
            ],
            "operations": self.operations,
            "refused": self.refused,
            "records": [
                self.records.created,
                self.records.updated,
                self.records.unchanged,
                self.records.deleted,
                self.records.credits,
            ],
            "billed": [[reference, currency, plain(amount)] for reference, (currency, amount) in self.billed.items()],
        }

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> Sums:
        """Reads what `to_values` gave; nothing at all is no lines."""
        if not values:
            return cls()
        sums = cls(operations=values["operations"], refused=values["refused"], records=RecordCounts(*values["records"]))
        for row in values["groups"]:
            group, figures = _to_group(row)
            sums.groups[group] = figures
        for reference, currency, amount in values["billed"]:
            sums.billed[reference] = (currency, Decimal(amount))
        return sums

    def _bill(self, reference: str, currency: str, amount: Decimal) -> None:
        _, before = self.billed.get(reference, (currency, Decimal(0)))
        self.billed[reference] = (currency, EXACT.add(before, amount))


_NO_RECORDS = Line.__dataclass_fields__["records"].default
"""What a line has that tells of none: most lines of most months."""


def _to_group(row: Sequence[Any]) -> tuple[LineGroup, GroupSums]:
    line_type, kind, currency, lines, quantity, credits, balance_change, owed_change, cost, billed = row
    group = LineGroup(LineType(line_type), None if kind is None else GrantKind(kind), currency)
    return group, GroupSums(lines, quantity, credits, balance_change, owed_change, Decimal(cost), Decimal(billed))


@dataclass(frozen=True, slots=True)
class Standing:
    """What an account holds at one moment: credits to spend, and what is owed."""

    available: int
    owed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """An account from the beginning of a month to its end, or to the moment at which it was read. Whole credits.

    `granted` is all that came, of which `corrected_up` by corrections; `void` and `corrected_down` are what was taken
    back. `granted - expired - void - corrected_down = change of available + consumed - change of owed`.
    """

    opening: Standing
    granted: int
    corrected_up: int
    expired: int
    void: int
    corrected_down: int
    consumed: int
    owed: int
    settled: int
    closing: Standing

    def to_values(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "opening": {"available": self.opening.available, "owed": self.opening.owed},
            "granted": self.granted,
            "corrected_up": self.corrected_up,
            "expired": self.expired,
            "void": self.void,
            "corrected_down": self.corrected_down,
            "consumed": self.consumed,
            "owed": self.owed,
            "settled": self.settled,
            "closing": {"available": self.closing.available, "owed": self.closing.owed},
        }


def books_of(opening: Standing, sums: Sums) -> Books:
    """The books that begin with `opening` and to which these lines were added."""
    corrected_up = (figures for group, figures in sums.of(LineType.GRANT) if group.grant_kind is GrantKind.CORRECTION)
    everything = list(sums.groups.values())
    return Books(
        opening=opening,
        granted=sums.quantity(LineType.GRANT),
        corrected_up=sum(figures.quantity for figures in corrected_up),
        expired=sums.quantity(LineType.EXPIRY),
        void=sums.quantity(LineType.VOID),
        corrected_down=sums.quantity(LineType.CORRECTION),
        consumed=sum(figures.credits for figures in everything),
        owed=sum(figures.owed_change for _, figures in sums.of(LineType.USAGE)),
        settled=sums.quantity(LineType.SETTLEMENT),
        closing=Standing(
            opening.available + sum(figures.balance_change for figures in everything),
            opening.owed + sum(figures.owed_change for figures in everything),
        ),
    )


def disagreements(books: Books, account: Standing | None = None) -> tuple[str, ...]:
    """What is wrong with the books, in words; nothing when they balance. `account` is what the account itself says at
    the end of them, None where nobody knows.
    """
    return tuple(_disagreements(books, account))


def _disagreements(books: Books, account: Standing | None) -> Iterator[str]:
    given = books.granted - books.expired - books.void - books.corrected_down
    change = books.closing.available - books.opening.available
    debt = books.closing.owed - books.opening.owed
    if given != change + books.consumed - debt:
        yield f"{given} credits came and stayed, and {change + books.consumed - debt} were used or are there"
    if debt != books.owed - books.settled:
        yield f"the debt changed by {debt}, and {books.owed} was owed and {books.settled} settled"
    for moment, standing in (("beginning", books.opening), ("end", books.closing)):
        if min(standing.available, standing.owed) < 0:
            yield f"at the {moment} {standing.available} credits are available and {standing.owed} owed"
    if account is not None and account != books.closing:
        yield (
            f"the account has {account.available} credits and owes {account.owed}, "
            f"and by the lines it is {books.closing.available} and {books.closing.owed}"
        )
