"""Where credits went, from figures, grants and the account."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from shared.credits import Balance, Grant, GrantKind
from shared.usage import Figures, Grouping, Period, SoFar, UsageReport, usage_report

WORKSPACE = "ws_01KAMZ5Q000000000000000001"


def a_grant(name: str, credits: int, price: str, day: date, currency: str = "EUR") -> Grant:
    return Grant(
        grant_id=name,
        workspace_id=WORKSPACE,
        kind=GrantKind.PAID if Decimal(price) else GrantKind.FREE,
        credits=credits,
        unit_price=Decimal(price),
        currency=currency,
        priority=30,
        granted_at=datetime(day.year, day.month, day.day, 8, tzinfo=UTC),
    )


GRANTS = [
    a_grant("gr_free", 100, "0", date(2026, 10, 5)),
    a_grant("gr_euros", 1_000, "0.0080", date(2026, 11, 3)),
    a_grant("gr_dollars", 1_000, "0.123456789012345678901234", date(2026, 11, 4), "USD"),
]
BALANCE = Balance(
    workspace_id=WORKSPACE,
    available=0,
    owed=0,
    granted=2_100,
    consumed=130,
    expired=0,
    void=0,
    revision=3,
    base=1_000,
    level=100,
    grants=(),
)
ROWS = [
    (date(2026, 11, 1), "-", Figures(operations=1, credits=20, drawn={"gr_free": 20})),
    (date(2026, 11, 3), "-", Figures(operations=2, credits=51, owed=1, drawn={"gr_free": 40, "gr_euros": 10})),
    (date(2026, 11, 5), "-", Figures(operations=1, credits=3, drawn={"gr_dollars": 3}, expired=5)),
]
SO_FAR = SoFar(operations=9, credits=120, left={"2026-10": 40, "2026-11": 78})
NOVEMBER = Period(date(2026, 11, 1), date(2026, 11, 30))
SEEN = Period(date(2026, 11, 2), date(2026, 11, 5))


def report(grouping: Grouping, rows: list[tuple[date, str, Figures]] = ROWS, seen: Period = SEEN) -> UsageReport:
    return usage_report(NOVEMBER, seen, grouping, rows, GRANTS, SO_FAR, BALANCE)


def test_days_tell_what_was_granted_on_them_and_what_was_there_at_their_ends() -> None:
    told = report(Grouping.DAY)
    assert [(group.value, group.granted, group.available) for group in told.groups] == [
        ("2026-11-02", 0, 40),
        ("2026-11-03", 1_000, 990),
        ("2026-11-04", 1_000, 1_990),
        ("2026-11-05", 0, 1_982),
    ]
    assert [group.figures.credits for group in told.groups] == [0, 51, 0, 3]


def test_no_day_ends_below_zero_when_what_it_set_off_was_paid_from_what_came_later() -> None:
    """A step of a run that was interrupted on the 2nd, and went on with the credits of the 3rd."""
    late = [(date(2026, 11, 2), "-", Figures(operations=1, credits=90, drawn={"gr_free": 40, "gr_euros": 50}))]
    told = report(Grouping.DAY, rows=late)
    assert [group.available for group in told.groups] == [0, 970, 1_970, 1_970]


def test_money_is_exact_and_what_was_free_is_told_apart() -> None:
    total = report(Grouping.MONTH).total
    assert (total.free_credits, total.paid_credits, total.figures.owed) == (40, 13, 1)
    assert total.cost == {"EUR": Decimal("0.0800"), "USD": Decimal("0.370370367037037036703702")}


def test_money_of_very_many_credits_is_not_rounded() -> None:
    credits = 123_456_789_012
    rows = [(date(2026, 11, 4), "-", Figures(credits=credits, drawn={"gr_dollars": credits}))]
    assert report(Grouping.MONTH, rows).total.cost["USD"] == Decimal("15241578753.196160343319545924440808")


def test_what_was_consumed_and_is_not_counted_yet_is_told() -> None:
    assert report(Grouping.DAY).pending_credits == 10


@pytest.mark.parametrize("grouping", [Grouping.JOB, Grouping.ACTOR, Grouping.ENTITY, Grouping.KIND])
def test_values_are_ordered_by_what_they_used(grouping: Grouping) -> None:
    rows = [
        (date(2026, 11, 3), "b", Figures(credits=5, drawn={"gr_free": 5})),
        (date(2026, 11, 3), "a", Figures(credits=5, drawn={"gr_free": 5})),
        (date(2026, 11, 4), "c", Figures(credits=2, drawn={"gr_free": 2})),
        (date(2026, 11, 5), "c", Figures(credits=9, drawn={"gr_free": 9})),
    ]
    told = report(grouping, rows)
    assert [(group.value, group.figures.credits) for group in told.groups] == [("c", 11), ("a", 5), ("b", 5)]
    assert told.total.figures.credits == 21
    assert {group.available for group in told.groups} == {None}


def test_months_without_anything_are_told_as_well() -> None:
    told = report(Grouping.MONTH, seen=Period(date(2026, 9, 30), date(2026, 11, 5)))
    assert [(group.value, group.figures.operations) for group in told.groups] == [
        ("2026-09", 0),
        ("2026-10", 0),
        ("2026-11", 4),
    ]


def test_before_there_was_a_workspace_there_is_nothing() -> None:
    told = report(Grouping.DAY, [], Period(date(2026, 11, 5), date(2026, 11, 2)))
    assert (told.groups, told.total.figures) == ((), Figures())


def test_a_view_of_the_account_that_is_behind_the_figures_leaves_nothing_pending() -> None:
    told = usage_report(NOVEMBER, SEEN, Grouping.DAY, ROWS, GRANTS, SO_FAR, replace(BALANCE, consumed=100))
    assert told.pending_credits == 0
