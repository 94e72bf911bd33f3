"""What runs cost in requests and write units, and that neither grows with what lies around them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from pathlib import Path

from shared.catalog.records import Record, record_size
from shared.credits import Channel, Ledger, Operation, OperationKind
from shared.credits.levels import THRESHOLDS
from shared.credits.operations import put_operation
from shared.ids import fingerprint, operation_id
from shared.keys import Item
from shared.times import utc_now
from shared.workspaces.store import Opened
from tests.bench.feed import attributes_of, key_of, write_feed
from tests.bench.report import Figure, at_most, exactly
from tests.bench.workbench import CREDIT_TABLE, Import, Workbench

LARGE = 20_000
AROUND_A_RUN = 5
"""Requests for starting and finishing a run, besides those that do its records (issue 2)."""
WRITE_UNITS_PER_1000 = 2_080
FEW_LEFT = 20
"""Credits that are left of an import's: fewer than every threshold of them."""
OTHER_WORKSPACES = 300
OLD_OPERATIONS = 3_000


@dataclass(frozen=True, slots=True)
class Life:
    """A feed's first import, one in which every record changed, and that one sent again."""

    rows: int
    created: Import
    updated: Import
    unchanged: Import


def live(workbench: Workbench, account: Opened, folder: Path, rows: int, prefix: str) -> Life:
    """Imports a feed of `rows` products three times over. `prefix` keeps it apart from other feeds' products."""
    first, second = folder / f"{prefix}-first.csv", folder / f"{prefix}-second.csv"
    write_feed(first, rows, prefix=prefix)
    write_feed(second, rows, prefix=prefix, edition=1)
    life = Life(rows, *(workbench.import_feed(account, file) for file in (first, second, second)))
    for made, expected in ((life.created, (rows, 0, 0)), (life.updated, (0, rows, 0)), (life.unchanged, (0, 0, rows))):
        totals = made.run.totals
        assert (totals.created, totals.updated, totals.unchanged) == expected, made.run
    return life


def costs(life: Life) -> list[Figure]:
    """The bounds of design section 11 and issue 2."""
    rows = life.rows
    return [
        *_of_changes(f"{rows:,} created", life.created, rows),
        *_of_changes(f"{rows:,} updated", life.updated, rows),
        at_most(f"{rows:,} unchanged: requests", life.unchanged.whole.request_count, ceil(rows / 100) + 9),
        at_most(f"{rows:,} unchanged: write units", life.unchanged.whole.write_units, 15 * ceil(rows / LARGE)),
    ]


def through_the_api(workbench: Workbench, account: Opened, folder: Path, rows: int) -> Figure:
    """All requests of a run, those of the authorizer and of the API's handler included."""
    file = folder / "api.csv"
    write_feed(file, rows, prefix="API")
    made = workbench.import_feed(account, file, api=workbench.api())
    bound = ceil(rows / 97) + ceil(rows / 100) + 4 + AROUND_A_RUN
    return at_most(f"{rows:,} created: requests of all, started through the API", made.whole.request_count, bound)


def levels(workbench: Workbench, folder: Path, small: Life) -> Iterator[Figure]:
    """The same import by a workspace that falls under every threshold with it: telling so has to cost nothing."""
    file, account = folder / "levels.csv", workbench.open_workspace(small.rows + FEW_LEFT)
    write_feed(file, small.rows, prefix="LEVELS")
    made = workbench.import_feed(account, file).whole
    balance = Ledger(workbench.dynamodb, CREDIT_TABLE).balance(account.workspace.workspace_id)
    assert balance is not None
    assert balance.level == min(THRESHOLDS), balance
    what = f"{small.rows:,} created, from 100 % to under {balance.level} % of the grant"
    plain = small.created.whole
    yield exactly(f"{what}: requests", made.request_count, plain.request_count)
    yield exactly(f"{what}: write units", made.write_units, plain.write_units)


def record_bytes(account: Opened) -> Figure:
    """The mean size of the records that are written."""
    now, workspace_id = utc_now(), account.workspace.workspace_id
    numbers = range(0, LARGE, 97)
    sizes = [
        record_size(
            Record(
                workspace_id=workspace_id,
                entity="product",
                key=key_of(number, "P"),
                attributes=attributes_of(number, 0, "P"),
                version=1,
                created_at=now,
                updated_at=now,
                operation_id=operation_id(now, workspace_id),
            )
        )
        for number in numbers
    ]
    return Figure("a record as it lies in the table, on average", sum(sizes) / len(sizes), "bytes")


def surround(workbench: Workbench, account: Opened) -> None:
    """Gives the workspace an operation log of two years, and many neighbours."""
    now, workspace_id = utc_now(), account.workspace.workspace_id
    age = timedelta(days=730) / OLD_OPERATIONS
    entries = [_old_operation(workspace_id, now - number * age) for number in range(OLD_OPERATIONS)]
    for start in range(0, len(entries), 25):
        batch = entries[start : start + 25]
        workbench.dynamodb.batch_write_item(RequestItems={CREDIT_TABLE: [{"PutRequest": {"Item": e}} for e in batch]})
    for _ in range(OTHER_WORKSPACES):
        workbench.open_workspace()


def growth(alone: Life, surrounded: Life, large: Life) -> Iterator[Figure]:
    """The same feed in an empty workspace and in a full one; and the share of one record in a small and a large run."""
    for what in ("created", "updated", "unchanged"):
        before, after = getattr(alone, what).whole, getattr(surrounded, what).whole
        yield at_most(f"{alone.rows:,} {what}, surrounded: requests", after.request_count, before.request_count)
        yield at_most(f"{alone.rows:,} {what}, surrounded: write units", after.write_units, before.write_units)
    for what in ("created", "updated", "unchanged"):
        small, many = getattr(alone, what).whole, getattr(large, what).whole
        yield at_most(
            f"{what}: requests per 1,000 in a run of {large.rows:,}",
            many.request_count * 1000 / large.rows,
            small.request_count * 1000 / alone.rows,
            digits=2,
        )
        yield at_most(
            f"{what}: write units per 1,000 in a run of {large.rows:,}",
            many.write_units * 1000 / large.rows,
            small.write_units * 1000 / alone.rows,
            digits=2,
        )


def _of_changes(what: str, made: Import, rows: int) -> list[Figure]:
    write_units = made.whole.write_units * 1000 / rows
    return [
        at_most(f"{what}: requests of the worker", made.work.request_count, ceil(rows / 97) + ceil(rows / 100) + 4),
        at_most(f"{what}: requests to start and prepare", made.around.request_count, AROUND_A_RUN),
        at_most(f"{what}: write units per 1,000", write_units, WRITE_UNITS_PER_1000, digits=1),
    ]


def _old_operation(workspace_id: str, at: datetime) -> Item:
    operation = Operation(
        operation_id=operation_id(at, workspace_id, "old"),
        workspace_id=workspace_id,
        kind=OperationKind.IMPORT,
        channel=Channel.IMPORT,
        at=at,
        credits=0,
        fingerprint=fingerprint("old"),
        actions={},
        description="an operation of long ago",
    )
    item: Item = put_operation(CREDIT_TABLE, operation).request["Put"]["Item"]
    return item
