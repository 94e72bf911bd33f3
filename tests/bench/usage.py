"""What it takes to count operations into usage, and to answer for a month of a million of them.

The million is not counted one by one here: the figures of such a month are put into the table with the updates that the
counter sends, and 10,000 operations of another workspace are counted the usual way, to show that as many requests
answer for them.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from math import ceil
from typing import Any

from shared.channels import Channel
from shared.credits import Action, Draw, Grant, GrantKind, Ledger, Operation, OperationKind, RecordCounts
from shared.ids import grant_id, operation_id
from shared.times import utc_now
from shared.usage import MOST_FIGURES, Dimension, Figures, Grouping, UsageCounter
from shared.usage.store import add_figures, add_so_far
from shared.usage.tally import NONE, FiguresPlace
from shared.workspaces.store import Opened, WorkspaceStore
from tests.bench.api import Api, Request
from tests.bench.report import Figure, at_most, exactly
from tests.bench.workbench import CREDIT_TABLE, USAGE_TABLE, WORK_TABLE, Workbench

MILLION = 1_000_000
COUNTED = 10_000
"""Operations that are really counted, over the same days."""
DAYS = 31
VALUES = {Dimension.TOTAL: 1, Dimension.JOB: 60, Dimension.KIND: 4, Dimension.ACTOR: 20, Dimension.ENTITY: 12}
"""Values of each dimension, all of them on every day."""
GRANTS = 3
MOST_REQUESTS = 10
"""Requests that an answer may take (issue 6)."""
PER_1000 = 1_000
BATCH = 90
"""Entries that the stream brings at once (`BatchSize` in template.yaml)."""
STEP = 97
"""Records of a step of an import."""


@dataclass(frozen=True, slots=True)
class Shop:
    """A workspace that was opened at the beginning of a month that is over."""

    opened: Opened
    grants: Sequence[Grant]
    month: date

    @property
    def workspace_id(self) -> str:
        return self.opened.workspace.workspace_id

    def at(self, number: int, of: int) -> datetime:
        """When the `number`-th of so many operations was triggered: they are spread evenly over the month."""
        return datetime.combine(self.month, datetime.min.time(), UTC) + timedelta(days=DAYS) * number / of

    def day(self, number: int) -> date:
        return self.month + timedelta(days=number)


class Bench:
    """The counter and the API's code on one embedded DynamoDB."""

    def __init__(self, workbench: Workbench) -> None:
        self._workbench = workbench
        self._dynamodb = workbench.dynamodb
        self._api: Api = workbench.api()
        self._counter = UsageCounter(self._dynamodb, USAGE_TABLE, utc_now)
        self._month = date(utc_now().year - 1, 1, 1)

    def costs(self) -> Iterator[Figure]:
        """Counting 1,000 operations of one kind. Each has a marker of two write units; updates are shared by those of
        one transaction that add to the same figures.
        """
        batches_of_stream = ceil(PER_1000 / BATCH)
        for what, operations, most in (
            # A transaction holds fewer than 90 operations with their figures.
            ("calls of 3 keys, one workspace", self._calls(self._open(), PER_1000), 2 * batches_of_stream),
            ("calls of 20 workspaces in turn, over a month", self._side_by_side(), 6 * batches_of_stream),
            (f"steps of imports, {PER_1000 * STEP:,} records", self._steps(self._open()), 2 * batches_of_stream),
        ):
            batches = [operations[start : start + BATCH] for start in range(0, len(operations), BATCH)]
            with self._workbench.wire.measured() as taken:
                counted = sum(self._counter.count(batch).new for batch in batches)
            assert counted == PER_1000, counted
            yield at_most(f"{PER_1000:,} {what}: requests", taken.request_count, most)
            yield Figure(f"{PER_1000:,} {what}: write units", taken.write_units)
            with self._workbench.wire.measured() as again:
                assert sum(self._counter.count(batch).new for batch in batches) == 0
            yield at_most(f"the same {PER_1000:,} brought again: write units", again.write_units, 0)

    def answers(self) -> Iterator[Figure]:
        """What each grouping of a month takes, authorizer included."""
        large, small = self._open(), self._open()
        self._put_a_million(large)
        calls = self._calls(small, COUNTED)
        for start in range(0, COUNTED, BATCH):
            self._counter.count(calls[start : start + BATCH])
        for grouping in Grouping:
            requests, read_units, total = self._ask(large, grouping)
            yield at_most(f"a month of {MILLION:,} by {grouping}: requests", requests, MOST_REQUESTS)
            yield Figure(f"a month of {MILLION:,} by {grouping}: read units", read_units)
            assert total["operations"] == MILLION, total
            of_few, _, total = self._ask(small, grouping)
            assert (total["operations"], total["credits"]) == (COUNTED, COUNTED), total
            yield exactly(f"a month of {COUNTED:,} by {grouping}: requests", of_few, requests)

    def most(self) -> Iterator[Figure]:
        """About as much as one report may read: a month of so many actors, each on every day."""
        shop, actors = self._open(), MOST_FIGURES // DAYS
        items = [
            add_figures(
                USAGE_TABLE, FiguresPlace(shop.workspace_id, shop.day(day), Dimension.ACTOR, f"key_{number:026d}"), each
            )
            for number in range(actors)
            for each in [_figures(shop, PER_1000)]
            for day in range(DAYS)
        ]
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(self._send, items))
        before = time.process_time()
        requests, read_units, _ = self._ask(shop, Grouping.ACTOR)
        seconds = time.process_time() - before
        yield Figure(f"{len(items):,} figures: requests", requests)
        yield Figure(f"{len(items):,} figures: read units", read_units)
        yield Figure(f"{len(items):,} figures: processor time", seconds, "s", digits=2)

    def _ask(self, shop: Shop, grouping: Grouping) -> tuple[int, float, Mapping[str, Any]]:
        """The requests and read units that an answer takes of a function that starts cold, and its total."""
        self._api.forget()
        query = {"from": shop.month.isoformat(), "to": shop.day(DAYS - 1).isoformat(), "group_by": grouping.value}
        wanted = Request("GET", "/usage", query=query)
        with self._workbench.wire.measured(reads=True) as taken:
            answer = self._api.call(self._api.authorize(str(shop.opened.secret), wanted), wanted)
        assert answer.status == 200, answer
        assert answer.body["pending_credits"] == 0, answer
        return taken.request_count, taken.read_units, answer.body["total"]

    def _open(self) -> Shop:
        then = datetime.combine(self._month, datetime.min.time(), UTC)
        store = WorkspaceStore(self._dynamodb, WORK_TABLE, CREDIT_TABLE)
        opened = store.open("bench", MILLION, "EUR", idempotency_key=None, now=then)
        assert isinstance(opened, Opened)
        workspace_id = opened.workspace.workspace_id
        ledger = Ledger(self._dynamodb, CREDIT_TABLE)
        for number in range(1, GRANTS):
            ledger.grant(_bought(workspace_id, number, then))
        return Shop(opened, ledger.grants(workspace_id), self._month)

    def _calls(self, shop: Shop, count: int) -> list[Operation]:
        """Reads by three keys, a credit each."""
        return [
            _operation(shop, shop.at(number, count), number, OperationKind.API_CALL, 1, actor=f"key_{number % 3}")
            for number in range(count)
        ]

    def _side_by_side(self) -> list[Operation]:
        each = [self._calls(self._open(), PER_1000 // 20) for _ in range(20)]
        return [operation for together in zip(*each, strict=True) for operation in together]

    def _steps(self, shop: Shop) -> list[Operation]:
        """Of one run after another, in one hour, as a large import leaves them."""
        begin = shop.at(0, 1)
        written = {"product": RecordCounts(created=STEP, credits=STEP)}
        return [
            _operation(
                shop,
                begin + timedelta(seconds=number),
                number,
                OperationKind.IMPORT,
                STEP,
                actor="nightly",
                job_id=f"feed-{number // 250}",
                records=written,
            )
            for number in range(PER_1000)
        ]

    def _put_a_million(self, shop: Shop) -> None:
        """The figures of a month of a million operations, a credit each, as evenly as whole numbers are."""
        totals: dict[FiguresPlace, Figures] = {}
        for day in range(DAYS):
            of_day = _share(MILLION, DAYS, day)
            for dimension, values in VALUES.items():
                for number in range(values):
                    figures = _figures(shop, _share(of_day, values, number))
                    value = NONE if dimension is Dimension.TOTAL else f"{dimension}-{number}"
                    place = FiguresPlace(shop.workspace_id, shop.day(day), dimension, value)
                    self._send(add_figures(USAGE_TABLE, place, figures))
                    if dimension is Dimension.TOTAL:
                        totals[place] = figures
        self._send(add_so_far(USAGE_TABLE, totals))

    def _send(self, write: Any) -> None:
        self._dynamodb.update_item(**write.request["Update"])


def _bought(workspace_id: str, number: int, at: datetime) -> Grant:
    return Grant(
        grant_id=grant_id(at, workspace_id, str(number)),
        workspace_id=workspace_id,
        kind=GrantKind.PAID,
        credits=MILLION,
        unit_price=Decimal("0.0123") / number,
        currency="EUR",
        priority=30,
        granted_at=at,
        reference=f"invoice {number}",
    )


def _operation(
    shop: Shop, at: datetime, number: int, kind: OperationKind, credits: int, *, actor: str, **more: Any
) -> Operation:
    grant = shop.grants[number % len(shop.grants)]
    return Operation(
        operation_id=operation_id(at, shop.workspace_id, str(number)),
        workspace_id=shop.workspace_id,
        kind=kind,
        channel=Channel.API,
        at=at,
        credits=credits,
        fingerprint="bench",
        actions={Action.API_CALL: credits},
        drawn=(Draw(grant.grant_id, credits, grant.unit_price, grant.currency),),
        actor=actor,
        **more,
    )


def _share(whole: int, parts: int, number: int) -> int:
    """The `number`-th of so many equal parts; together they are the whole."""
    return whole * (number + 1) // parts - whole * number // parts


def _figures(shop: Shop, operations: int) -> Figures:
    drawn = {grant.grant_id: _share(operations, GRANTS, number) for number, grant in enumerate(shop.grants)}
    return Figures(operations=operations, credits=operations, created=operations, unchanged=operations, drawn=drawn)
