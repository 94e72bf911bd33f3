"""The demo: a catalogue imported on an embedded stack of its own, and every credit of it accounted for.

It does what a customer would, through the HTTP API alone, says at each step why it cost what it cost, and holds the
figures against what they have to be.
"""

import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from productsync import demo_feed
from productsync.answers import Operation, Run
from productsync.client import Client
from productsync.failures import CommandFailure, ExitCode
from productsync.files import feed_id_for
from productsync.importing import start_import, wait_for
from productsync.output import Cell, Column, Output, credits_text, number
from productsync.reports import actions_text, error_text, show_counts, show_credits, show_operations
from productsync.settings import Connection, Secret
from productsync.stack import EmbeddedStack

LOG_ENTRIES = 10
"""Entries of the operation log that the demo prints in full."""

ALL_OPERATIONS = 100_000
"""More entries of the operation log than any demo makes."""


class WrongFigures(CommandFailure):
    """Something cost other than it has to."""


class RunDidNotFinish(CommandFailure):
    """A run of the demo failed or stopped on its way."""

    exit_code = ExitCode.RUN_FAILED


@dataclass(frozen=True)
class Step:
    """One run of the demo: what it was for, how it ended, and what the call that started it cost."""

    title: str
    run: Run
    charged: int


@dataclass
class Demo:
    """A demo under way, on one workspace."""

    client: Client
    output: Output
    steps: list[Step] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def check(self, what: str, actual: object, expected: object) -> None:
        """Notes a figure that is not what it has to be. The demo goes on, so that all of them are seen."""
        if actual != expected:
            self.wrong.append(f"{what}: expected {expected}, got {actual}")

    def step(self, title: str, feed_id: str, file: Path, *, dry_run: bool = False) -> Run:
        """One run of a file, to its end. Raises RunDidNotFinish when it ends otherwise."""
        self.output.heading(f"{len(self.steps) + 1}. {title}")
        started = start_import(self.client, self.output, feed_id, file, dry_run=dry_run)
        run = wait_for(self.client, self.output, started.run)
        if run["state"] != "finished":
            raise RunDidNotFinish(f"{title}: the run is {run['state']}", error_text(run))
        show_counts(self.output, run)
        self.steps.append(Step(title, run, started.charged))
        self.check(f"{title}, the call that starts it", started.charged, 0 if dry_run else 1)
        self.check(f"{title}, credits", run["credits"], run["created"] + run["updated"])
        return run

    def why(self, text: str) -> None:
        """One line on why the last step cost what it cost."""
        self.output.line(text)

    def settle(self, granted: int) -> dict[str, Any]:
        """The balance and the log, as tables and as a document, each figure held against the others."""
        balance = self.client.credits().body
        operations = self.client.operations({}, limit=ALL_OPERATIONS)["items"]
        spent = sum(step.charged + (0 if step.run["dry_run"] else step.run["credits"]) for step in self.steps)
        self.check("Credits granted", balance["granted"], granted)
        self.check("Credits consumed", balance["consumed"], spent)
        self.check("Credits available", balance["available"], granted - spent)
        self.check("Credits in the operation log", sum(one["credits"] for one in operations), spent)
        for step in self.steps:
            if not step.run["dry_run"]:
                logged = sum(one["credits"] for one in operations if one["run_id"] == step.run["run_id"])
                self.check(f"{step.title}, credits in the log", logged, step.run["created"] + step.run["updated"])

        self.output.heading("Balance")
        show_credits(self.output, balance)
        self.output.heading("Operation log, by what it was for")
        _show_log_summary(self.output, self.steps, operations)
        self.output.heading(f"Operation log, the last {min(LOG_ENTRIES, len(operations))} of {len(operations)} entries")
        show_operations(self.output, operations[:LOG_ENTRIES])
        return {
            "steps": [{"title": step.title, "charged": step.charged, "run": step.run} for step in self.steps],
            "credits": balance,
            "operations": operations,
            "wrong": self.wrong,
        }


def run_demo(output: Output, feed: Path | None, preset: str | None) -> None:
    """Runs the demo, with the generated file or one of the user's, on an embedded stack that ends with it.

    Raises WrongFigures when something cost other than it has to.
    """
    with tempfile.TemporaryDirectory(prefix="productsync-demo-") as directory:
        folder = Path(directory)
        with _stack(output, folder / "stack") as stack, _workspace(output, stack) as (client, free):
            demo = Demo(client, output)
            bought = _generated(demo, folder) if feed is None else _of_the_user(demo, feed, preset)
            document = demo.settle(free + bought)
            if output.as_json:
                output.answer(document)
    if demo.wrong:
        raise WrongFigures("The demo's figures are not what they have to be", "; ".join(demo.wrong))
    output.line()
    output.line("Every figure is what it has to be: the runs, the log and the balance agree to the last credit.")


@contextmanager
def _stack(output: Output, directory: Path) -> Iterator[EmbeddedStack]:
    with output.stage("Starting an embedded stack for the demo alone") as stage:
        stack = EmbeddedStack.start(directory)
        stage.done(stack.endpoint)
    try:
        yield stack
    finally:
        with output.stage("Stopping it") as stage:
            stack.stop()


@contextmanager
def _workspace(output: Output, stack: EmbeddedStack) -> Iterator[tuple[Client, int]]:
    """A client of a new workspace, and the credits that it starts with."""
    operator_key = Secret(stack.operator_key, "the demo's stack")
    with output.stage("Creating a workspace") as stage:
        with Client(Connection(stack.endpoint, None, operator_key, None)) as operator:
            workspace = operator.create_workspace("Demo").body
        free = workspace["credits"]["available"]
        stage.done(f"{workspace['workspace_id']}, with {number(free)} free credits")
    api_key = Secret(workspace["api_key"]["secret"], "the demo's workspace")
    with Client(Connection(stack.endpoint, api_key, operator_key, None)) as client:
        yield client, free


def _generated(demo: Demo, folder: Path) -> int:
    """The main job: a preview, the import, the same file again, and one with a few changes. Tops up nothing: 0."""
    feed_id = "demo-supplier"
    first, later = folder / "supplier.csv", folder / "supplier-next-week.csv"
    with demo.output.stage("Writing a supplier's file") as stage:
        listed = demo_feed.products()
        demo_feed.write_feed(first, listed)
        demo_feed.write_feed(later, demo_feed.with_new_prices(listed))
        stage.done(f"{number(len(listed))} products, each in a category of its own")
    demo.client.put_feed(feed_id, demo_feed.DEFINITION)
    whole = demo_feed.PRODUCTS + demo_feed.CATEGORIES

    preview = demo.step("What would it cost? (a dry run)", feed_id, first, dry_run=True)
    demo.check("The preview", preview["credits"], whole)
    demo.why(
        f"{credits_text(preview['credits'])}: {number(demo_feed.PRODUCTS)} products and "
        f"{number(demo_feed.CATEGORIES)} categories are new, 1 credit each. Asking is free, and nothing was written."
    )
    run = demo.step("Import it", feed_id, first)
    demo.check("The import's records", run["created"], whole)
    demo.check("The import, credits", run["credits"], whole)
    for entity, count in (("product", demo_feed.PRODUCTS), ("category", demo_feed.CATEGORIES)):
        created = run["by_entity"][entity]["created"] if entity in run["by_entity"] else 0
        demo.check(f"The import, {entity} records", created, count)
    demo.why(f"{credits_text(run['credits'])} for the records, as previewed, and 1 for the call that started the run.")

    again = demo.step("Send the same file again", feed_id, first)
    demo.check("The same file again, credits", again["credits"], 0)
    demo.why("0 credits for the records: not one would change, so none was written. Only the call cost its 1 credit.")

    changed = demo.step("Send it with 37 new prices", feed_id, later)
    demo.check("The changed file, credits", changed["credits"], demo_feed.CHANGED)
    demo.check("The changed file, updates", changed["updated"], demo_feed.CHANGED)
    demo.why("37 credits: one for each product that really changed, and 1 more for the call.")
    return 0


def _of_the_user(demo: Demo, file: Path, preset: str | None) -> int:
    """A preview, the import and the same again, of the user's own file. Returns the credits that were topped up."""
    feed_id = feed_id_for(file, preset)
    demo.client.put_feed(feed_id, {"preset": preset, "skip_unchanged": True})
    preview = demo.step("What would it cost? (a dry run)", feed_id, file, dry_run=True)
    demo.why(
        f"{credits_text(preview['credits'])}: one for each record; {number(preview['duplicates'])} repeated and "
        f"{number(preview['rejected'])} unusable rows cost nothing. Asking is free, and nothing was written."
    )
    bought = _top_up_for(demo, preview["credits"])
    run = demo.step("Import it", feed_id, file)
    demo.check("The import, credits", run["credits"], preview["credits"])
    demo.why(f"{credits_text(run['credits'])} for the records, as previewed, and 1 for the call that started the run.")

    again = demo.step("Send the same file again", feed_id, file)
    demo.check("The same file again, credits", again["credits"], 0)
    demo.why("0 credits for the records: not one would change, so none was written. Only the call cost its 1 credit.")
    return bought


def _top_up_for(demo: Demo, price: int) -> int:
    """Buys what the free credits are short of, so that the run does not pause. Returns how many that were."""
    balance = demo.client.credits().body
    missing = price + 2 - balance["available"]  # two calls start a run
    if missing <= 0:
        return 0
    order = {"credits": missing, "unit_price": "0.01", "currency": balance["currency"], "reference": "demo"}
    demo.client.top_up(balance["workspace_id"], order)
    demo.why(f"That is more than the free credits, so the demo tops up {credits_text(missing)} at 0.01 each.")
    return missing


def _show_log_summary(output: Output, steps: list[Step], operations: list[Operation]) -> None:
    titles = {step.run["run_id"]: f"{place}. {step.title}" for place, step in enumerate(steps, start=1)}
    groups: dict[str, list[Operation]] = {title: [] for run_id, title in titles.items()}
    calls = "Calls that start a run (a dry run is free)"
    groups[calls] = []
    for one in operations:
        groups[titles.get(one["run_id"] or "", calls)].append(one)
    columns = [
        Column("For", wraps=True),
        Column("Entries", number=True, rank=3),
        Column("Actions", wraps=True, rank=2),
        Column("Credits", number=True),
        Column("Money", number=True, rank=1),
    ]
    rows: list[list[Cell]] = [
        [title, len(group), actions_text(_actions(group)) or None, sum(one["credits"] for one in group), _money(group)]
        for title, group in groups.items()
    ]
    output.table(columns, rows)


def _actions(operations: list[Operation]) -> dict[str, int]:
    total: dict[str, int] = defaultdict(int)
    for one in operations:
        for action, count in one["actions"].items():
            total[action] += count
    return total


def _money(operations: list[Operation]) -> str | None:
    total: dict[str, Decimal] = defaultdict(Decimal)
    for one in operations:
        for amount in one["cost"]:
            total[amount["currency"]] += Decimal(amount["amount"])
    return " + ".join(f"{amount} {currency}" for currency, amount in total.items()) or None
