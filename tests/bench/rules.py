"""What rules cost and how fast they fire: on stream images of real imports, read and delivered here.

What is called is the code behind the rule runner and the rule worker, in the bench's own process, so that every request
that it makes can be seen.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path
from statistics import median
from typing import Any

from functions.rule_runner.handler import WorkspaceBatch, grouped
from shared.catalog import CatalogStore, to_record
from shared.catalog.records import record_size
from shared.credits import Ledger, PriceList
from shared.keys import RECORD_SHARDS
from shared.rules.backlog import BacklogRoom, BacklogStore, DrainOutcome, act, drain
from shared.rules.definition import RuleDefinition
from shared.rules.evaluation import compile_rule
from shared.rules.firing import FiringRoom, RuleLimits
from shared.rules.meters import MeterStore
from shared.rules.model import NoMatch, Rule
from shared.rules.passes import PassState, PassStore, new_pass, put_new_pass
from shared.rules.passes.worker import PassRoom, work
from shared.rules.store import RuleStore
from shared.times import utc_now
from tests.bench.accounts import Accounts
from tests.bench.baselines import SERIAL, TRANSACTIONS
from tests.bench.feed import write_feed
from tests.bench.report import Compared, Figure, at_least, at_most, exactly
from tests.bench.speed import DELAYS
from tests.bench.wire import NO_DELAY, Network, Usage
from tests.bench.workbench import BUCKET, CATALOG_TABLE, CREDIT_TABLE, CREDITS, TABLES, WORK_TABLE, Workbench
from tests.support.money import World
from tests.support.rules import Stream

RECORDS = 1_000
REQUESTS = 30
WRITE_UNITS = 2_150
"""Of issue 4: for as many firings, each of which changes one record of 0.7 KB."""

AS_IMPORTED = 97
"""Changes in a batch that holds what one transaction of an import has written."""

QUIET = 10_000
MANY_RULES = 20
ROUNDS = 3
SAMPLE = 60
"""Firings that an engine is timed on in each round that commits them one by one."""

TIMES_AS_FAST = 10
"""As an engine that is as exact. No issue asks for it: a warning, should it ever be lost."""
AROUND_A_PASS = 5
PASS_PAGE, PASS_STEP = 1_000, 96
"""Requests of a pass: so many, one for each shard of the listing, one for each page of so many records, and one for
each transaction of so many.
"""

LIMITS = RuleLimits(max_depth=5, firings_per_hour=1_000_000)

MARGIN = RuleDefinition.model_validate(
    {
        "entity": "product",
        "trigger": {"on": ["created", "updated"], "attributes": ["price"]},
        "condition": "price > 0",
        "actions": [{"set": "price_gross", "to": {"expression": "price * 1.19", "decimals": 2}}],
    }
)
"""Changes every record."""

DEAR = MARGIN.model_copy(update={"condition": 'price > 100000 and brand == "Nordwerk"'})
"""Holds for none."""


@dataclass(frozen=True, slots=True)
class Stock:
    """A workspace whose products were imported a moment ago, and what the stream says of it."""

    workspace_id: str
    images: Sequence[Mapping[str, Any]]


class Bench:
    """Workspaces with rules. `workbench` has a stream on its catalogue that nobody else reads."""

    def __init__(self, workbench: Workbench, folder: Path) -> None:
        self._workbench = workbench
        self._folder = folder
        self._client = workbench.dynamodb
        self._accounts = Accounts(self._client, CREDIT_TABLE, WORK_TABLE)
        self._rules = RuleStore(self._client, WORK_TABLE)
        self._passes = PassStore(self._client, WORK_TABLE)
        self._stream = Stream(World(workbench.endpoint, *TABLES, BUCKET))

    # --- what there is ---

    def stock(self, records: int) -> Stock:
        """Imports so many products into a new workspace."""
        file = self._folder / "rules.csv"
        write_feed(file, records, prefix="SKU")
        account = self._workbench.open_workspace(CREDITS)
        self._workbench.import_feed(account, file)
        workspace_id = account.workspace.workspace_id
        images = self._stream.take(workspace_id)
        assert len(images) == records, len(images)
        return Stock(workspace_id, images)

    def put_rule(self, workspace_id: str, definition: RuleDefinition, rule_id: str = "margin") -> Rule:
        rule = self._rules.put(workspace_id, rule_id, definition, utc_now(), seen=None)
        assert rule is not None
        return rule

    def spend_all(self, workspace_id: str) -> None:
        ledger = self._accounts.ledger()
        balance = ledger.balance(workspace_id)
        assert balance is not None
        self._accounts.charge(ledger, workspace_id, balance.available)

    def top_up(self, workspace_id: str) -> None:
        self._accounts.top_up(workspace_id, CREDITS)

    # --- what rules do ---

    def deliver(
        self, stock: Stock, at_once: int = RECORDS, *, network: Network = NO_DELAY, stays_warm: bool = True
    ) -> Usage:
        """A rule runner takes the workspace's images, so many in each batch, from a cold start. One that does not stay
        warm remembers nothing from batch to batch.
        """
        room = self._room()
        with self._workbench.wire.measured(network) as usage:
            for first in range(0, len(stock.images), at_once):
                for workspace_id, group in grouped({"Records": stock.images[first : first + at_once]}).items():
                    _attend(room if stays_warm else self._room(), workspace_id, group)
        return usage

    def drain(self, workspace_id: str) -> Usage:
        """A rule worker that was called drains the backlog, from a cold start."""
        room = self._room()
        room.backlog.ring(workspace_id, utc_now())
        backlog = room.backlog.get(workspace_id)
        assert backlog is not None
        with self._workbench.wire.measured() as usage:
            outcome = drain(room, workspace_id, backlog.leg)
        assert outcome is DrainOutcome.DONE, outcome
        return usage

    def go_through(self, rule: Rule) -> tuple[int, Usage]:
        """A rule worker takes a scheduled rule through its records, from a cold start; and on how many it fired."""
        begun = new_pass(rule, schedule_id=None, now=utc_now())
        self._client.put_item(**put_new_pass(WORK_TABLE, begun).request["Put"])
        room = PassRoom(self._room().firing, self._passes)
        with self._workbench.wire.measured() as usage:
            after = work(room, rule.workspace_id, begun.pass_id, lambda: False)
        assert after is not None
        assert after.state is PassState.FINISHED, after
        return after.counts.fired, usage

    def fired(self, rule: Rule) -> int:
        meter = MeterStore(self._client, WORK_TABLE).get(rule.workspace_id, rule.rule_id)
        assert meter is not None
        return meter.firings

    def sizes(self, workspace_id: str) -> list[int]:
        """Bytes of the workspace's products as they lie in the table."""
        found: list[int] = []
        cursor = None
        while True:
            page = CatalogStore(self._client, CATALOG_TABLE).page(workspace_id, "product", RECORDS, cursor)
            found += map(record_size, page.records)
            cursor = page.cursor
            if cursor is None:
                return found

    def _room(self) -> BacklogRoom:
        """A function with nothing in memory."""
        firing = FiringRoom(
            rules=self._rules,
            meters=MeterStore(self._client, WORK_TABLE),
            catalog=CatalogStore(self._client, CATALOG_TABLE),
            ledger=Ledger(self._client, CREDIT_TABLE),
            prices=PriceList(),
            limits=LIMITS,
        )
        return BacklogRoom(firing, BacklogStore(self._client, WORK_TABLE))

    def engines(self, network: Network, records: int) -> tuple[Usage, Usage]:
        """The same firings by engines that commit one by one: a charge and a put for each, a transaction for each."""
        return SERIAL.write(self._workbench, records, network), TRANSACTIONS.write(self._workbench, records, network)


def _attend(room: BacklogRoom, workspace_id: str, group: WorkspaceBatch) -> None:
    """What the rule runner does for a workspace (see its handler)."""
    changes = [(change, group.records[place]) for place, change in group.changes.items()]
    at = max(record.updated_at for _, record in changes)
    act(room, workspace_id, changes, at, lambda: False)


# --- firings ---


def firings(bench: Bench) -> tuple[list[Figure], list[Compared]]:
    """What 1,000 firings take that change one record each; and beside engines that commit one by one."""
    figures: list[Figure] = []
    compared: list[Compared] = []
    ways: dict[str, Callable[[Stock], Usage]] = {
        "in one batch": bench.deliver,
        f"in batches of {AS_IMPORTED}": lambda stock: bench.deliver(stock, AS_IMPORTED),
    }
    sizes: list[int] = []
    for how, deliver in ways.items():
        stock, rule = _with_margin(bench)
        usage = deliver(stock)
        assert bench.fired(rule) == RECORDS
        sizes += bench.sizes(stock.workspace_id)
        figures += [
            at_most(f"{RECORDS:,} firings {how}: requests", usage.request_count, REQUESTS),
            at_most(f"{RECORDS:,} firings {how}: write units", usage.write_units, WRITE_UNITS),
            Figure(f"{RECORDS:,} firings {how}: requests that were refused", usage.refused),
            Figure(f"{RECORDS:,} firings {how}: write units of those that were refused, at most", usage.refused_units),
        ]
        compared.append(Compared(f"this platform, {how}", RECORDS, usage, is_exact=True))
        again = deliver(stock)
        assert bench.fired(rule) == RECORDS
        figures.append(exactly(f"the same again, {how}: write units", again.write_units, 0))
    stock, rule = _with_margin(bench)
    cold = bench.deliver(stock, AS_IMPORTED, stays_warm=False)
    figures += [
        Figure(f"in batches of {AS_IMPORTED}, each by a runner that starts cold: requests", cold.request_count),
        Figure(f"in batches of {AS_IMPORTED}, each by a runner that starts cold: write units", cold.write_units),
        Figure("a record afterwards, on average", sum(sizes) / len(sizes), "bytes"),
        at_most("a record afterwards, the largest", max(sizes), 1_024, "bytes"),
    ]
    serial, transactions = bench.engines(NO_DELAY, RECORDS)
    compared.append(Compared("an engine: a charge and a put for each", RECORDS, serial, is_exact=False))
    compared.append(Compared("an engine: a transaction for each", RECORDS, transactions, is_exact=True))
    return figures, compared


def _with_margin(bench: Bench) -> tuple[Stock, Rule]:
    stock = bench.stock(RECORDS)
    return stock, bench.put_rule(stock.workspace_id, MARGIN)


@dataclass(slots=True)
class Race:
    """Seconds per firing, round by round, over a network with `DELAYS`."""

    ours: list[float] = field(default_factory=list)
    serial: list[float] = field(default_factory=list)
    transactions: list[float] = field(default_factory=list)

    def figures(self) -> Iterator[Figure]:
        to_transactions = _ratios(self.transactions, self.ours)
        yield at_least(
            "times as fast as a transaction for each (median)", median(to_transactions), TIMES_AS_FAST, digits=1
        )
        yield Figure("the slowest round", min(to_transactions), digits=1)
        yield Figure("the fastest round", max(to_transactions), digits=1)
        yield Figure(
            "times as fast as a charge and a put for each (median)",
            median(_ratios(self.serial, self.ours)),
            digits=1,
        )
        ways = {
            "this platform": self.ours,
            "a transaction for each": self.transactions,
            "a charge and a put for each": self.serial,
        }
        for name, seconds in ways.items():
            yield Figure(f"{name}: records per second (median)", 1 / median(seconds))


def race(bench: Bench) -> Race:
    """Lets them run in turns, so that a busy machine slows all of them."""
    result = Race()
    for _ in range(ROUNDS):
        stock, _rule = _with_margin(bench)
        result.ours.append(bench.deliver(stock, network=DELAYS).seconds / RECORDS)
        serial, transactions = bench.engines(DELAYS, SAMPLE)
        result.serial.append(serial.seconds / SAMPLE)
        result.transactions.append(transactions.seconds / SAMPLE)
    return result


def _ratios(theirs: Sequence[float], ours: Sequence[float]) -> list[float]:
    return [their / our for their, our in zip(theirs, ours, strict=True)]


# --- what does not fire, passes, and what waits ---


def quiet(bench: Bench) -> Iterator[Figure]:
    """Changes that no condition holds for, and a pass that fires on nothing."""
    stock = bench.stock(QUIET)
    batches = ceil(QUIET / RECORDS)
    rule = bench.put_rule(stock.workspace_id, DEAR)
    one = bench.deliver(stock)
    yield exactly(f"{QUIET:,} changes that nothing holds for: write units", one.write_units, 0)
    yield exactly(f"{QUIET:,} changes in {batches} batches: requests", one.request_count, batches)
    for number in range(1, MANY_RULES):
        bench.put_rule(stock.workspace_id, DEAR, f"margin-{number}")
    many = bench.deliver(stock)
    yield exactly(f"the same with {MANY_RULES} rules: write units", many.write_units, 0)
    yield exactly(f"the same with {MANY_RULES} rules: requests", many.request_count, batches)
    yield Figure("our processor time per change, with one rule", one.processor_seconds / QUIET * 1_000_000, "µs")
    yield Figure(
        "our processor time per change, for each further rule",
        (many.processor_seconds - one.processor_seconds) / QUIET / (MANY_RULES - 1) * 1_000_000,
        "µs",
        digits=1,
    )
    yield Figure("of it: the condition alone", _condition_seconds(rule, stock) / QUIET * 1_000_000, "µs", digits=1)
    nightly = bench.put_rule(stock.workspace_id, _nightly(DEAR), "nightly")
    fired, usage = bench.go_through(nightly)
    assert fired == 0
    bound = _listing(QUIET)
    yield at_most(f"a pass over {QUIET:,} that changes none: write units", usage.write_units, 15)
    yield at_most(f"a pass over {QUIET:,} that changes none: requests", usage.request_count, bound)


def _condition_seconds(rule: Rule, stock: Stock) -> float:
    """How long a rule takes to find that it does not hold for any of the records."""
    records = [to_record(image["dynamodb"]["NewImage"]) for image in stock.images]
    examine = compile_rule(rule).examine
    # What else is in memory here is not to be gone through meanwhile.
    gc.collect()
    start = time.process_time()
    examined = [examine(record) for record in records]
    seconds = time.process_time() - start
    assert all(each == NoMatch() for each in examined)
    return seconds


def passes(bench: Bench) -> Iterator[Figure]:
    """A scheduled rule that changes every record."""
    stock = bench.stock(RECORDS)
    fired, usage = bench.go_through(bench.put_rule(stock.workspace_id, _nightly(MARGIN), "nightly"))
    assert fired == RECORDS
    bound = _listing(RECORDS) + ceil(RECORDS / PASS_STEP)
    yield at_most(f"a pass over {RECORDS:,} that changes all: requests", usage.request_count, bound)
    yield at_most(f"a pass over {RECORDS:,} that changes all: write units", usage.write_units, WRITE_UNITS)


def _listing(records: int) -> int:
    """Requests of a pass that fires on nothing."""
    return AROUND_A_PASS + RECORD_SHARDS + ceil(records / PASS_PAGE)


def _nightly(definition: RuleDefinition) -> RuleDefinition:
    return RuleDefinition.model_validate(definition.to_json() | {"trigger": {"on": ["schedule"]}})


def backlog(bench: Bench) -> Iterator[Figure]:
    """Changes that have to wait for a top-up, and are drained after it."""
    stock, rule = _with_margin(bench)
    bench.spend_all(stock.workspace_id)
    kept = bench.deliver(stock)
    again = bench.deliver(stock)
    assert bench.fired(rule) == 0
    bench.top_up(stock.workspace_id)
    drained = bench.drain(stock.workspace_id)
    assert bench.fired(rule) == RECORDS
    for what, usage in {
        "put off": kept,
        "put off again, by changes that are there": again,
        "drained": drained,
    }.items():
        yield Figure(f"{RECORDS:,} changes {what}: requests", usage.request_count)
        yield Figure(f"{RECORDS:,} changes {what}: write units", usage.write_units)
