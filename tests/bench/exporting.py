"""Exporting a month: the memory that it takes, and whether an operation takes as long as in a small month.

The log comes from files of pages such as DynamoDB answers with: a million entries in the embedded DynamoDB would
measure that one. Reading them is part of the export, from the text of a page on.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from tests.bench.export_once import write_log
from tests.bench.report import Figure, at_most

OPERATIONS, FEW_OPERATIONS = 1_000_000, 10_000
ROUNDS = 3
SMALL_RUNS = 5
MEGABYTE = 1024 * 1024
PEAK_MEGABYTES = 512
SLOWER_BY = 1.3


@dataclass(frozen=True, slots=True)
class Exported:
    """One export: `peak` is resident memory in bytes, `seconds` is wall time without starting Python."""

    operations: int
    lines: int
    bytes: int
    seconds: float
    peak: int

    @property
    def microseconds_per_operation(self) -> float:
        return self.seconds / self.operations * 1_000_000


def export_apart(log: Path, operations: int) -> Exported:
    """Exports so many operations in a process of its own."""
    with TemporaryDirectory(dir=log.parent) as target:
        command = [sys.executable, "-m", "tests.bench.export_once", str(log), target]
        answer = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    assert answer["operations"] == operations, answer
    return Exported(operations, answer["lines"], answer["bytes"], answer["seconds"], answer["peak"])


def figures(folder: Path) -> Iterator[Figure]:
    """Bounds of memory and of growth; the rest is told."""
    small_log, large_log = folder / "small-log", folder / "large-log"
    write_log(small_log, FEW_OPERATIONS)
    write_log(large_log, OPERATIONS)
    small: list[Exported] = []
    large: list[Exported] = []
    # In turns, so that a busy machine slows both.
    for _ in range(ROUNDS):
        small += [export_apart(small_log, FEW_OPERATIONS) for _ in range(SMALL_RUNS)]
        large.append(export_apart(large_log, OPERATIONS))
    usual, many = (median(each.microseconds_per_operation for each in runs) for runs in (small, large))
    yield at_most(f"{OPERATIONS:,} operations: peak of resident memory", _peak(large), PEAK_MEGABYTES, "MB")
    yield at_most(f"time per operation, at {OPERATIONS:,} over {FEW_OPERATIONS:,}", many / usual, SLOWER_BY, digits=2)
    yield Figure(f"{OPERATIONS:,} operations: lines in each format", large[0].lines)
    yield Figure(f"{OPERATIONS:,} operations: all files together", large[0].bytes / MEGABYTE, "MB")
    yield Figure(f"{OPERATIONS:,} operations: time per operation (median of {len(large)})", many, "µs", digits=1)
    yield Figure(f"{FEW_OPERATIONS:,} operations: time per operation (median of {len(small)})", usual, "µs", digits=1)
    yield Figure(f"{FEW_OPERATIONS:,} operations: peak of resident memory", _peak(small), "MB")


def _peak(runs: list[Exported]) -> float:
    return max(each.peak for each in runs) / MEGABYTE
