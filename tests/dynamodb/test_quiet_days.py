"""Listings of the log that pass over the days on which nothing fits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from shared.credits import Ledger, OperationFilter, OperationKind, OperationLog, Verdict
from shared.ids import operation_id, time_of
from shared.usage import UsageCounter, quiet_days
from shared.usage.quiet import MOST_DAYS
from tests.support.money import MORNING, Account, plain_dynamodb

OpenAccount = Callable[[int], Account]

DAYS = 40
NOW = MORNING + timedelta(days=DAYS)
RARE = (3, 17)
"""Days on which the job that ran seldom ran."""


class Listing:
    """A workspace in which one job works every day and another seldom, and its log."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.client = plain_dynamodb(account.world)
        self.log = OperationLog(self.client, account.world.credit_table)
        self.ledger: Ledger = account.ledger()
        self.queries = 0
        self.client.meta.events.register("before-send.dynamodb.Query", self._count)
        for day in range(DAYS):
            self.commit(day, "busy")
        for day in RARE:
            self.commit(day, "rare")

    def commit(self, day: int, job: str) -> str:
        at = MORNING + timedelta(days=day)
        name = operation_id(at, self.account.workspace_id, job)
        plan = replace(self.account.plan(name, 1), operation_id=name, at=at, job_id=job, kind=OperationKind.IMPORT)
        self.ledger.commit(plan)
        return name

    def count(self) -> None:
        """Has the figures catch up."""
        world = self.account.world
        UsageCounter(self.client, world.usage_table, lambda: NOW).count(self.all())

    def wanted(self, **terms: Any) -> OperationFilter:
        return replace(OperationFilter(since=MORNING, until=NOW), **terms)

    def all(self, **terms: Any) -> list[Any]:
        return list(self.log.all(self.account.workspace_id, self.wanted(**terms)))

    def page_by_page(self, **terms: Any) -> list[Any]:
        """As the API tells it: each page passes over the days that are known to be quiet from there on."""
        found: list[Any] = []
        cursor, before = None, NOW
        while True:
            quiet = self.quiet(before, **terms)
            page = self.log.page(self.account.workspace_id, self.wanted(**terms), 7, cursor, quiet)
            found += page.operations
            cursor = page.cursor
            if cursor is None:
                return found
            before = time_of(cursor)

    def quiet(self, before: datetime = NOW, **terms: Any) -> frozenset[date]:
        world, workspace_id = self.account.world, self.account.workspace_id
        return quiet_days(self.ledger, world.usage_table, workspace_id, self.wanted(**terms), before, NOW)

    def _count(self, **_: object) -> None:
        self.queries += 1


@pytest.fixture
def listing(open_account: OpenAccount) -> Listing:
    return Listing(open_account(1000))


def test_a_job_that_ran_seldom_is_found_without_looking_through_the_others(listing: Listing) -> None:
    listing.count()
    quiet = listing.quiet(job_id="rare")
    expected = listing.all(job_id="rare")
    assert len(expected) == len(RARE)
    listing.queries = 0
    page = listing.log.page(listing.account.workspace_id, listing.wanted(job_id="rare"), 100, quiet=quiet)
    assert (list(page.operations), page.cursor) == (expected, None)
    today_and_yesterday = 2
    assert listing.queries == len(RARE) + today_and_yesterday


@pytest.mark.parametrize(
    "terms",
    [{"job_id": "busy"}, {"actor": "nobody"}, {"kind": OperationKind.RULE}, {"outcome": Verdict.REFUSED}],
)
def test_a_page_that_passes_over_days_tells_what_others_tell(listing: Listing, terms: dict[str, Any]) -> None:
    listing.count()
    assert listing.page_by_page(**terms) == listing.all(**terms)


def test_no_day_is_quiet_while_figures_are_behind(listing: Listing) -> None:
    listing.count()
    assert listing.quiet(job_id="rare")
    late = listing.commit(5, "rare")
    assert not listing.quiet(job_id="rare")
    listing.count()
    assert (MORNING + timedelta(days=5)).date() not in listing.quiet(job_id="rare")
    assert late in {entry.operation_id for entry in listing.all(job_id="rare")}


def test_nothing_is_passed_over_where_nothing_is_asked_for(listing: Listing) -> None:
    listing.count()
    assert not listing.quiet()
    assert not listing.quiet(run_id="run_1")


def test_days_that_ended_less_than_a_day_ago_are_looked_through(listing: Listing) -> None:
    listing.count()
    today = NOW.astimezone(UTC).date()
    assert max(listing.quiet(job_id="never")) == today - timedelta(days=2)


def test_of_a_long_period_the_newest_days_are_known(listing: Listing) -> None:
    listing.count()
    before = MORNING + timedelta(days=20)
    quiet = listing.quiet(before, since=MORNING - timedelta(days=1000), job_id="never")
    assert max(quiet) == before.date()
    assert len(quiet) == MOST_DAYS
