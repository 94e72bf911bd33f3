"""Prepares one feed and says what it took, as JSON: run in a process of its own, so that its memory is its own."""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

from shared.feeds import FeedDefinition
from shared.feeds.preparing import prepare
from tests.bench.feed import DEFINITION


def main(source: Path, workdir: Path) -> None:
    definition = FeedDefinition.model_validate_json(DEFINITION)
    start = time.perf_counter()
    feed = prepare(source, definition, workdir)
    seconds = time.perf_counter() - start
    answer = {
        "rows_read": feed.rows_read,
        "records": feed.records,
        "duplicates": feed.duplicates,
        "seconds": seconds,
        "peak": peak(),
    }
    sys.stdout.write(json.dumps(answer))


def peak() -> int:
    """The most memory that this process ever had resident, in bytes."""
    status = Path("/proc/self/status")
    if status.exists():
        # What getrusage answers on Linux began before this program: it includes the process that started it.
        line = next(line for line in status.read_text(encoding="ascii").splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    # macOS counts in bytes.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
