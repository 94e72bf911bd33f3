"""Exports one month of so many operations and says what it took, as JSON: in a process of its own, so that its memory
is its own.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from shared.channels import Channel
from shared.credits import Draw, Grant, GrantKind, Operation, OperationKind, OperationLog, RecordCounts
from shared.credits.operations import put_operation
from shared.exports.books import Sums
from shared.exports.focus import Account
from shared.exports.formats import LINES_PER_PART, Format, file_name
from shared.exports.parts import PartWriter
from shared.exports.sources import sources_of
from shared.ids import new_workspace_id, operation_id, time_of
from shared.months import Month
from tests.bench.prepare_once import peak

MONTH = Month(2026, 11)
DAYS = 30
PAGE = 1_000
"""Entries of a page: about the 1 MB that a query answers with."""

TWO_GRANTS_EVERY = 20
"""One operation in so many is paid by two grants, and becomes two lines."""

WORKSPACE = new_workspace_id(MONTH.start)
GRANTS = [
    Grant(
        grant_id=f"gr_{number}",
        workspace_id=WORKSPACE,
        kind=kind,
        credits=10**9,
        unit_price=Decimal(price),
        currency="EUR",
        priority=number,
        granted_at=MONTH.start,
        reference=f"invoice {number}",
    )
    for number, (kind, price) in enumerate(((GrantKind.FREE, "0"), (GrantKind.PAID, "0.0123")))
]


def entry(number: int, at: datetime) -> Operation:
    """The n-th operation of a month of some feeds, with one or two grants that paid."""
    credits = 2 + number % 96
    parts = (1, credits - 1) if number % TWO_GRANTS_EVERY == 0 else (0, credits)
    drawn = [
        Draw(grant.grant_id, part, grant.unit_price, grant.currency)
        for grant, part in zip(GRANTS, parts, strict=True)
        if part
    ]
    return Operation(
        operation_id=operation_id(at, WORKSPACE, str(number)),
        workspace_id=WORKSPACE,
        kind=OperationKind.IMPORT,
        channel=Channel.IMPORT,
        at=at,
        credits=credits,
        fingerprint="0123456789abcdef0123",
        actions={},
        drawn=tuple(drawn),
        job_id=f"feed-{number % 60}",
        run_id=f"run_{number // 1000:026}",
        description="Step of an import",
        actor=f"key_{number % 20:026}",
        records={"product": RecordCounts(credits - 1, 1, number % 7, 0, credits)},
    )


def write_log(folder: Path, operations: int) -> None:
    """Writes the log as DynamoDB would answer: a file for each day, a line for each page of a query."""
    folder.mkdir()
    per_day, rest = divmod(operations, DAYS)
    step = timedelta(milliseconds=86_400_000 // (per_day + rest + 1))
    for number in range(DAYS):
        day = MONTH.start + timedelta(days=number)
        count = per_day + (rest if number == 0 else 0)
        with _of_day(folder, day).open("w") as pages:
            for first in range(0, count, PAGE):
                made = (entry(place, day + step * place) for place in range(first, min(first + PAGE, count)))
                items = [put_operation("log", one).request["Put"]["Item"] for one in made]
                pages.write(json.dumps({"Items": items}) + "\n")


class StoredPages:
    """As much of a DynamoDB client as reading the log forward needs: it answers with what `write_log` wrote."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get_paginator(self, name: str) -> SimpleNamespace:
        assert name == "query"
        return SimpleNamespace(paginate=self._pages)

    def _pages(self, **query: Any) -> Iterator[dict[str, Any]]:
        day = time_of(query["ExpressionAttributeValues"][":lowest"]["S"])
        with _of_day(self._folder, day).open() as pages:
            yield from map(json.loads, pages)


def main(log: Path, target: Path) -> None:
    """Exports the log in `log` to files in `target`."""
    client: Any = StoredPages(log)
    start = time.perf_counter()
    sources = sources_of(OperationLog(client, "log"), GRANTS, WORKSPACE, MONTH, MONTH.end, None)
    sums, size, part = Sums(), 0, 0
    source = next(sources, None)
    while source is not None:
        part += 1
        with ExitStack() as files:
            sinks = {form: files.enter_context((target / file_name(form, part)).open("wb")) for form in Format}
            writer = PartWriter(sinks, Account.of(WORKSPACE, MONTH, GRANTS))
            while source is not None and writer.lines + len(source.lines) <= LINES_PER_PART:
                for line in source.lines:
                    writer.write(line)
                source = next(sources, None)
            size += sum(summary.bytes for summary in writer.close())
        sums += writer.sums
    seconds = time.perf_counter() - start
    answer = {
        "operations": sums.operations,
        "lines": sums.lines,
        "bytes": size,
        "parts": part,
        "seconds": seconds,
        "peak": peak(),
    }
    sys.stdout.write(json.dumps(answer))


def _of_day(folder: Path, day: datetime) -> Path:
    return folder / f"{day.astimezone(UTC):%Y-%m-%d}.jsonl"


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
