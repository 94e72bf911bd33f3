"""The auditor finds every kind of wrong (law 4)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from shared.credits import (
    Action,
    Balance,
    Channel,
    Draw,
    Grant,
    GrantKind,
    OpenGrant,
    Operation,
    OperationKind,
    RecordCounts,
    RefusalReason,
)
from shared.credits.audit import discrepancies, doubled
from shared.credits.model import StepRecords

AT = datetime(2026, 3, 2, 8, tzinfo=UTC)
DAY = (AT.replace(hour=0), AT.replace(hour=0) + timedelta(days=1))


@dataclass(frozen=True)
class Books:
    """What the auditor looks at: two grants of 10 and 5, of which 8 were consumed, 1 of it owed and then settled."""

    balance: Balance
    grants: tuple[Grant, ...]
    operations: tuple[Operation, ...]

    def wrongs(self) -> list[str]:
        return discrepancies(self.balance, iter(self.grants), iter(self.operations))


def open_grant(name: str, remaining: int) -> OpenGrant:
    return OpenGrant(
        grant_id=name, remaining=remaining, unit_price=Decimal(0), currency="EUR", priority=1, granted_at=AT
    )


def given(name: str, credits: int) -> Grant:
    return Grant(
        grant_id=name,
        workspace_id="ws",
        kind=GrantKind.PAID,
        credits=credits,
        unit_price=Decimal(0),
        currency="EUR",
        priority=1,
        granted_at=AT,
    )


def entry(name: str, credits: int, *drawn: tuple[str, int], owed: int = 0, settled: int = 0) -> Operation:
    return Operation(
        operation_id=name,
        workspace_id="ws",
        kind=OperationKind.API_CALL,
        channel=Channel.API,
        at=AT,
        credits=credits,
        fingerprint="",
        actions={Action.API_CALL: credits},
        drawn=tuple(Draw(grant, part, Decimal(0), "EUR") for grant, part in drawn),
        owed=owed,
        settled=settled,
    )


def withdrawal(name: str, kind: OperationKind, grant: str, credits: int) -> Operation:
    """The entry of credits that left unused."""
    return replace(entry(name, 0), kind=kind, actions={}, withdrawn=(Draw(grant, credits, Decimal(0), "EUR"),))


RIGHT = Books(
    Balance(
        workspace_id="ws",
        available=7,
        owed=0,
        granted=15,
        consumed=8,
        expired=0,
        void=0,
        revision=2,
        base=5,
        level=100,
        grants=(open_grant("first", 3), open_grant("second", 4)),
    ),
    (given("first", 10), given("second", 5)),
    (
        entry("op 1", 4, ("first", 4)),
        entry("op 2", 3, ("first", 3)),
        entry("op 3", 1, owed=1),
        entry("settlement", 0, ("second", 1), settled=1),
    ),
)


def balance(**changes: Any) -> Callable[[Books], Books]:
    return lambda books: replace(books, balance=replace(books.balance, **changes))


def log(*operations: Operation) -> Callable[[Books], Books]:
    return lambda books: replace(books, operations=operations)


WITHDRAWN = Books(
    replace(RIGHT.balance, available=2, expired=3, void=2, grants=(open_grant("second", 2),)),
    RIGHT.grants,
    (
        *RIGHT.operations,
        withdrawal("expiry", OperationKind.EXPIRY, "first", 3),
        withdrawal("void", OperationKind.VOID, "second", 1),
        withdrawal("correction", OperationKind.CORRECTION, "second", 1),
    ),
)
"""The same, of which 3 have expired, 1 was made void and 1 was taken back."""

WRONGS = [
    pytest.param(balance(available=8), {"available", "granted - expired - void"}, id="more available than in grants"),
    pytest.param(balance(consumed=9), {"consumed", "granted - expired - void"}, id="consumed without an entry"),
    pytest.param(balance(owed=1), {"owed", "granted - expired - void"}, id="a debt without an entry"),
    pytest.param(balance(granted=16), {"granted", "granted - expired - void"}, id="granted without a grant"),
    pytest.param(balance(void=1), {"void", "granted - expired - void"}, id="void that nobody took"),
    pytest.param(balance(expired=1), {"expired", "granted - expired - void"}, id="expired that nobody took"),
    pytest.param(
        balance(grants=(open_grant("first", 4), open_grant("second", 3))),
        {"gone from first", "gone from second"},
        id="taken from another grant than the log says",
    ),
    pytest.param(
        balance(grants=(open_grant("first", -1), open_grant("second", 8))),
        {"gone from first", "gone from second", "first is below zero"},
        id="below zero",
    ),
    pytest.param(log(*RIGHT.operations[1:]), {"consumed", "gone from first"}, id="an entry is missing"),
    pytest.param(
        log(*RIGHT.operations, RIGHT.operations[0]), {"consumed", "gone from first"}, id="an entry is there twice"
    ),
    pytest.param(
        log(entry("op 1", 4, ("first", 3)), *RIGHT.operations[1:]),
        {"gone from first", "an entry draws what it costs"},
        id="an entry that drew too little",
    ),
    pytest.param(
        log(entry("op 1", 4, ("nobody gave this", 4)), *RIGHT.operations[1:]),
        {"gone from first", "nobody gave this was never given"},
        id="drawn from a grant that nobody gave",
    ),
    pytest.param(log(*RIGHT.operations[:3]), {"owed", "gone from second"}, id="a debt that was settled by nobody"),
    pytest.param(
        lambda books: replace(books, grants=books.grants[:1]),
        {"granted", "second was never given"},
        id="a grant whose item is missing",
    ),
]


def test_books_that_balance_have_no_discrepancies() -> None:
    assert RIGHT.wrongs() == []


def test_a_grant_that_was_used_up_and_forgotten_is_accounted_for() -> None:
    used_up = Books(
        replace(RIGHT.balance, available=4, consumed=11, grants=(open_grant("second", 4),)),
        RIGHT.grants,
        (*RIGHT.operations, entry("op 4", 3, ("first", 3))),
    )
    assert used_up.wrongs() == []


def test_credits_that_left_unused_are_accounted_for() -> None:
    assert WITHDRAWN.wrongs() == []


@pytest.mark.parametrize(
    ("number", "found"),
    [(-3, {"expired", "gone from first"}), (-2, {"void", "gone from second"}), (-1, {"void", "gone from second"})],
)
def test_what_left_unused_has_an_entry_of_its_kind(number: int, found: set[str]) -> None:
    entries = list(WITHDRAWN.operations)
    del entries[number]
    assert {wrong.partition(":")[0] for wrong in replace(WITHDRAWN, operations=tuple(entries)).wrongs()} == found
    entries = list(WITHDRAWN.operations)
    other = OperationKind.VOID if entries[number].kind is OperationKind.EXPIRY else OperationKind.EXPIRY
    entries[number] = replace(entries[number], kind=other)
    told = {wrong.partition(":")[0] for wrong in replace(WITHDRAWN, operations=tuple(entries)).wrongs()}
    assert told == {"expired", "void"}


@pytest.mark.parametrize(("change", "found"), WRONGS)
def test_every_kind_of_wrong_is_found(change: Callable[[Books], Books], found: set[str]) -> None:
    wrongs = change(RIGHT).wrongs()
    # The longest name first: one is the beginning of another.
    names = sorted(found, key=len, reverse=True)
    assert {next((name for name in names if wrong.startswith(name)), wrong) for wrong in wrongs} == found


def test_terms_that_differ_are_told_by_their_names() -> None:
    until = AT + timedelta(days=30)
    edited = replace(RIGHT, grants=(replace(RIGHT.grants[0], priority=3, expires_at=until), *RIGHT.grants[1:]))
    (told,) = [each for each in edited.wrongs() if each.startswith("the terms of")]
    assert "0 EUR a credit, priority 3, expires 2026-04-01T08:00:00.000Z expected" in told
    assert "0 EUR a credit, priority 1, expires never found" in told


def a_step(name: str, position: int, run_id: str = "run_1") -> Operation:
    return replace(entry(name, 1, ("a", 1)), run_id=run_id, step=StepRecords(position, 10 * position, 1))


def a_creation(name: str, key: str) -> Operation:
    return replace(entry(name, 1, ("a", 1)), records={"product": RecordCounts(created=1)}, keys={"product": (key,)})


EXPIRY = withdrawal("e1", OperationKind.EXPIRY, "a", 3)
SETTLEMENT = replace(entry("s1", 0, ("a", 1), settled=1), kind=OperationKind.SETTLEMENT)


@pytest.mark.parametrize(
    ("one", "other", "rule"),
    [
        (a_step("o1", 50), a_step("o2", 50), "one entry of each step run_1 50"),
        (EXPIRY, replace(EXPIRY, operation_id="e2"), "one entry of each expiry a"),
        (SETTLEMENT, replace(SETTLEMENT, operation_id="s2"), "one entry of each settlement a"),
        (a_creation("c1", "sku"), a_creation("c2", "sku"), "one entry of each api_call"),
    ],
)
def test_two_entries_of_one_trigger_are_told(one: Operation, other: Operation, rule: str) -> None:
    (found,) = doubled([one, entry("between", 0), other], *DAY)
    assert (found.rule, found.expected, found.where) == (rule, one.operation_id, other.operation_id)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        # The same entry is told of by its identifier.
        (a_step("o1", 50), a_step("o1", 50)),
        (a_step("o1", 50), a_step("o2", 51)),
        (a_step("o1", 50), a_step("o2", 50, "run_2")),
        (a_step("o1", 50), replace(a_step("o2", 50), refused=RefusalReason.OUT_OF_CREDITS)),
        (EXPIRY, withdrawal("e2", OperationKind.EXPIRY, "b", 3)),
        (EXPIRY, withdrawal("v1", OperationKind.VOID, "a", 3)),
        # Two equal reads at one moment are two reads.
        (entry("o1", 1, ("a", 1)), entry("o2", 1, ("a", 1))),
        (a_creation("c1", "sku"), a_creation("c2", "other")),
        (a_creation("c1", "sku"), replace(a_creation("c2", "sku"), at=AT + timedelta(milliseconds=1))),
    ],
)
def test_entries_of_several_triggers_are_none_too_many(one: Operation, other: Operation) -> None:
    assert list(doubled([one, other], *DAY)) == []


def test_a_record_that_was_deleted_in_between_is_made_twice_at_one_moment() -> None:
    one, other = a_creation("c1", "sku"), a_creation("c2", "sku")
    gone = {"product": RecordCounts(deleted=1)}
    deletion = replace(a_creation("d1", "sku"), records=gone, at=AT - timedelta(seconds=9))
    assert list(doubled([deletion, one, other], *DAY)) == []
    of_another = replace(deletion, keys={"product": ("other",)})
    assert [each.where for each in doubled([of_another, one, other], *DAY)] == ["c2"]


def test_what_lies_at_the_edge_of_what_was_read_is_not_called_double() -> None:
    """The deletion in between may be on the next page, or on the one before."""
    one, other = a_creation("c1", "sku"), a_creation("c2", "sku")
    begin, end = DAY
    near = timedelta(seconds=59)
    for since, until in ((AT - near, end), (begin, AT + near)):
        assert list(doubled([one, other], since, until)) == []
        # There is one step at a position, wherever it lies.
        assert len(list(doubled([a_step("o1", 50), a_step("o2", 50)], since, until))) == 1
