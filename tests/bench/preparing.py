"""Preparing a large feed: the memory that it takes, and whether a row takes as long as in a small one."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from tests.bench.feed import write_feed
from tests.bench.report import Figure, at_most

ROWS, FEW_ROWS = 1_000_000, 10_000
ROUNDS = 3
SMALL_RUNS = 5
MEGABYTE = 1024 * 1024
PEAK_MEGABYTES = 512
SLOWER_BY = 1.3
REPEAT_EVERY = 50
"""One row in so many repeats a product from far above, so that folding has something to do."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """One preparation: `peak` is resident memory in bytes, `seconds` is wall time without starting Python."""

    rows: int
    seconds: float
    peak: int

    @property
    def microseconds_per_row(self) -> float:
        return self.seconds / self.rows * 1_000_000


def prepare_apart(source: Path, rows: int) -> Prepared:
    """Prepares a feed of so many rows in a process of its own."""
    with TemporaryDirectory(dir=source.parent) as workdir:
        command = [sys.executable, "-m", "tests.bench.prepare_once", str(source), workdir]
        answer = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    assert answer["rows_read"] == rows, answer
    assert answer["duplicates"] == rows // REPEAT_EVERY, answer
    return Prepared(rows, answer["seconds"], answer["peak"])


def figures(rows: int, folder: Path) -> Iterator[Figure]:
    """The bounds are for 1,000,000 rows; with fewer they are held all the same, and say less."""
    small_feed, large_feed = folder / "small.csv", folder / "large.csv"
    write_feed(small_feed, FEW_ROWS, repeat_every=REPEAT_EVERY)
    write_feed(large_feed, rows, repeat_every=REPEAT_EVERY)
    small: list[Prepared] = []
    large: list[Prepared] = []
    # In turns, so that a busy machine slows both.
    for _ in range(ROUNDS):
        small += [prepare_apart(small_feed, FEW_ROWS) for _ in range(SMALL_RUNS)]
        large.append(prepare_apart(large_feed, rows))
    usual, many = (median(each.microseconds_per_row for each in runs) for runs in (small, large))
    yield at_most(f"{rows:,} rows: peak of resident memory", _peak(large), PEAK_MEGABYTES, "MB")
    yield at_most(f"time per row, at {rows:,} over that at {FEW_ROWS:,}", many / usual, SLOWER_BY, digits=2)
    yield Figure(f"{rows:,} rows: time per row (median of {len(large)})", many, "µs", digits=1)
    yield Figure(f"{FEW_ROWS:,} rows: time per row (median of {len(small)})", usual, "µs", digits=1)
    yield Figure(f"{FEW_ROWS:,} rows: peak of resident memory", _peak(small), "MB")


def _peak(runs: list[Prepared]) -> float:
    return max(each.peak for each in runs) / MEGABYTE
