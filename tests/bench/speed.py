"""How fast one worker is beside what is written instead, and what it spends its time on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from shared.workspaces.store import Opened
from tests.bench.baselines import SERIAL, SIXTEEN, TRANSACTIONS, TRANSACTIONS_SIXTEEN
from tests.bench.feed import write_feed
from tests.bench.report import Compared, Figure, at_least
from tests.bench.wire import Network, Usage
from tests.bench.workbench import Import, Workbench

RECORDS = 1_000
ROUNDS = 9
SAMPLE = 200
"""Records that the others are timed on in each round: they take their time, and the same time for each."""

DELAYS = Network(request=0.005, transaction=0.025)
"""Of issue 2: about what a function meets in its own region."""

TIMES_AS_FAST = 20
WAITING_SHARE = 0.5


def side_by_side(workbench: Workbench, ours: Import) -> list[Compared]:
    """What `RECORDS` new records take in each way. `ours` is an import of as many."""
    ways = (SERIAL, SIXTEEN, TRANSACTIONS, TRANSACTIONS_SIXTEEN)
    compared = [Compared(way.name, RECORDS, way.write(workbench, RECORDS), way.is_exact) for way in ways]
    compared.append(Compared("this platform, the worker", RECORDS, ours.work, is_exact=True))
    compared.append(Compared("this platform, start to end", RECORDS, ours.whole, is_exact=True))
    return compared


@dataclass(slots=True)
class Race:
    """Seconds per record, round by round, over a network with `DELAYS`."""

    worker: list[float] = field(default_factory=list)
    whole: list[float] = field(default_factory=list)
    serial: list[float] = field(default_factory=list)
    sixteen: list[float] = field(default_factory=list)

    def figures(self) -> Iterator[Figure]:
        ratios = _ratios(self.serial, self.worker)
        yield at_least("one worker: times as fast as the serial one (median)", median(ratios), TIMES_AS_FAST, digits=1)
        yield Figure("the slowest round", min(ratios), digits=1)
        yield Figure("the fastest round", max(ratios), digits=1)
        whole = median(_ratios(self.serial, self.whole))
        yield Figure("with starting and preparing: times as fast as the serial one (median)", whole, digits=1)
        yield Figure(
            "16 at a time: times as fast as the serial one", median(_ratios(self.serial, self.sixteen)), digits=1
        )
        yield Figure("one worker: records per second (median)", 1 / median(self.worker))
        yield Figure("the serial one: records per second (median)", 1 / median(self.serial))


def race(workbench: Workbench, account: Opened, folder: Path) -> Race:
    """Lets them run in turns, so that a busy machine slows all of them."""
    result = Race()
    file = folder / "race.csv"
    for number in range(ROUNDS):
        write_feed(file, RECORDS, prefix=f"RACE{number}")
        serial = SERIAL.write(workbench, SAMPLE, DELAYS)
        ours = workbench.import_feed(account, file, DELAYS)
        sixteen = SIXTEEN.write(workbench, SAMPLE, DELAYS)
        result.serial.append(serial.seconds / SAMPLE)
        result.sixteen.append(sixteen.seconds / SAMPLE)
        result.worker.append(ours.work.seconds / RECORDS)
        result.whole.append(ours.whole.seconds / RECORDS)
    return result


def waiting(usage: Usage, rows: int) -> Iterator[Figure]:
    """What the worker's wall time is made of, in a run of `rows` records without injected delays."""
    share = usage.waiting_seconds / usage.seconds
    yield at_least("wall time during which a request is under way", share * 100, WAITING_SHARE * 100, "%", 0)
    yield Figure("wall time during which none is", (1 - share) * 100, "%")
    yield Figure("our process on a processor, of wall time", usage.processor_seconds / usage.seconds * 100, "%")
    yield Figure("records per second", rows / usage.seconds)
    yield Figure("our processor time per record", usage.processor_seconds / rows * 1_000_000, "µs")


def _ratios(theirs: Sequence[float], ours: Sequence[float]) -> list[float]:
    return [their / our for their, our in zip(theirs, ours, strict=True)]
