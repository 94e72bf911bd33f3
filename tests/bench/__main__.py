"""`python -m tests.bench`: measures, prints, and ends with an error when a figure misses its bound."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from rich.console import Console

from productsync.stack import EmbeddedStack
from tests.bench import (
    calls,
    cost,
    deployed,
    deployed_rules,
    exporting,
    guard,
    loading,
    preparing,
    rules,
    speed,
    traffic,
    usage,
)
from tests.bench.report import Report
from tests.bench.workbench import Workbench, embedded_workbench

SMALL = speed.RECORDS
MACHINE_WIDTH = 110
"""Columns where there is no terminal to ask: a log of the tables must not break them."""


class Part(StrEnum):
    """What can be measured by itself."""

    RUNS = "runs"
    RACE = "race"
    GUARD = "guard"
    RULES = "rules"
    API = "api"
    PREPARING = "preparing"
    EXPORTS = "exports"
    USAGE = "usage"


def main(
    rows: Annotated[
        int, typer.Option(envvar="ROWS", min=preparing.FEW_ROWS, help="Rows of the large feed that is prepared.")
    ] = preparing.ROWS,
    part: Annotated[Part | None, typer.Option(envvar="PART", help="Only this part.")] = None,
) -> None:
    """Counts requests and write units, measures speed and memory, and holds them against their bounds."""
    console = Console()
    if not console.is_terminal:
        console.width = MACHINE_WIDTH
    report = Report(console)
    with TemporaryDirectory(prefix="productsync-bench-") as name:
        folder = Path(name)
        if part in {None, Part.RUNS}:
            with embedded_workbench(folder / "stack") as workbench:
                _runs(report, workbench, folder)
        if part in {None, Part.RACE}:
            with embedded_workbench(folder / "race-stack") as workbench:
                _race(report, workbench, folder)
        if part in {None, Part.GUARD}:
            with EmbeddedStack.start(folder / "guard-stack") as stack:
                _guard(report, stack)
        if part in {None, Part.RULES}:
            with embedded_workbench(folder / "rules-stack", catalog_stream=True) as workbench:
                _rules(report, rules.Bench(workbench, folder))
            with EmbeddedStack.start(folder / "deployed-rules-stack") as stack:
                _deployed_rules(report, stack, folder)
        if part in {None, Part.API}:
            with embedded_workbench(folder / "api-stack") as workbench:
                _calls(report, workbench, folder)
            with EmbeddedStack.start(folder / "deployed-api-stack") as stack:
                _traffic(report, stack)
        if part in {None, Part.USAGE}:
            with embedded_workbench(folder / "usage-stack") as workbench:
                _usage(report, workbench)
        _files(report, part, rows, folder)
    if report.missed:
        console.print(f"[bold red]{len(report.missed)} figure(s) missed.[/bold red]")
        raise typer.Exit(1)
    console.print("Every figure is within its bound.")


def _runs(report: Report, workbench: Workbench, folder: Path) -> None:
    """Everything that needs a DynamoDB."""
    console = report.console
    with console.status(f"Importing {SMALL:,} records, then the same changed, then unchanged"):
        small = cost.live(workbench, workbench.open_workspace(), folder, SMALL, "SMALL")
    busy = workbench.open_workspace()
    with console.status(f"The same with {cost.LARGE:,} records"):
        large = cost.live(workbench, busy, folder, cost.LARGE, "LARGE")
    with console.status("Starting a run through the API"):
        through_the_api = cost.through_the_api(workbench, busy, folder, SMALL)
    with console.status("Falling under thresholds on the way"):
        levels = list(cost.levels(workbench, folder, small))
    figures = [cost.record_bytes(busy), *cost.costs(small), *cost.costs(large), through_the_api, *levels]
    report.show("DynamoDB requests and write units", figures)

    with console.status("The same again beside what is in that catalogue, an old log and many workspaces"):
        cost.surround(workbench, busy)
        surrounded = cost.live(workbench, busy, folder, SMALL, "SURROUNDED")
    report.show("They do not grow", cost.growth(small, surrounded, large))

    with console.status("Writing as many records in other ways"):
        compared = speed.side_by_side(workbench, surrounded.created)
    report.compare(f"What {SMALL:,} new records take, on the embedded DynamoDB", compared)

    usage = large.created.work
    report.show(f"The worker in a run of {cost.LARGE:,} new records", speed.waiting(usage, cost.LARGE))


def _race(report: Report, workbench: Workbench, folder: Path) -> None:
    """On an embedded AWS of its own: one that holds much pauses now and then, and slows whoever runs then."""
    with report.console.status("Letting them run in turns, over a network with delays"):
        race = speed.race(workbench, workbench.open_workspace(), folder)
    report.show("With 5 ms injected for each request and 25 ms for each transaction", race.figures())


def _guard(report: Report, stack: EmbeddedStack) -> None:
    """The credit guard: its own requests, in this process and on tables of its own; and as it is deployed."""
    console, endpoint = report.console, stack.state.aws_endpoint
    workbench = Workbench(endpoint)
    workbench.create()
    bench = guard.Bench(workbench, stack.aws, endpoint)
    platform = deployed.Deployed(stack, bench)
    with console.status(f"Charging {deployed.CHARGES:,} times on the deployed platform"):
        charged = list(platform.quiet_charges())
    report.show(f"Whom {deployed.CHARGES:,} charges call that reach no zero", charged)
    with console.status("Pausing and resuming schedules"):
        guarded = [bench.guard(size) for size in guard.SIZES]
    report.show("Pausing and resuming schedules: what the guard takes", guard.costs(guarded))
    with console.status("The same on the deployed platform"):
        switched = list(platform.switches())
    report.show("Pausing and resuming schedules: from the charge to the last of them", switched)


def _rules(report: Report, bench: rules.Bench) -> None:
    """Rules that fire on what changed, on stream images that the bench delivers."""
    console = report.console
    with console.status("Letting rules race with engines that commit one by one, over a network with delays"):
        race = rules.race(bench)
    with console.status(f"Firing {rules.RECORDS:,} times"):
        figures, compared = rules.firings(bench)
    with console.status(f"Looking at {rules.QUIET:,} changes for nothing"):
        quiet = list(rules.quiet(bench))
    with console.status("Going through all records"):
        passes = list(rules.passes(bench))
    with console.status("Waiting for credits"):
        backlog = list(rules.backlog(bench))
    report.show(f"{rules.RECORDS:,} firings that change one record each", figures)
    report.compare(f"What {rules.RECORDS:,} firings take, on the embedded DynamoDB", compared)
    report.show("Firings with 5 ms injected for each request and 25 ms for each transaction", race.figures())
    report.show("Rules that do not fire", quiet)
    report.show("Scheduled rules", passes)
    report.show("Changes that wait for credits", backlog)


def _deployed_rules(report: Report, stack: EmbeddedStack, folder: Path) -> None:
    with report.console.status(f"Importing {rules.RECORDS:,} records into the deployed platform, with a rule"):
        figures = list(deployed_rules.behind_an_import(stack, folder))
    report.show("Rules on the deployed platform", figures)


def _calls(report: Report, workbench: Workbench, folder: Path) -> None:
    """The API's code: what its calls take, and what it takes to load it."""
    with report.console.status("Calling the API"):
        bills = list(calls.Bench(workbench, folder).bills())
    report.bill("Calls to the API (times are medians; with delays: 5 ms a request, 25 ms a transaction)", bills)
    with report.console.status("Loading the API's code"):
        loaded = list(loading.figures(folder))
    report.show("Loading the functions' code, in processor time (medians)", loaded)


def _traffic(report: Report, stack: EmbeddedStack) -> None:
    with report.console.status("Calling the deployed platform"):
        figures = list(traffic.Bench(stack).figures())
    report.show("Calls to the deployed platform", figures)


def _files(report: Report, part: Part | None, rows: int, folder: Path) -> None:
    """What comes in and goes out as files, in processes of their own."""
    if part in {None, Part.PREPARING}:
        _preparing(report, rows, folder)
    if part in {None, Part.EXPORTS}:
        _exporting(report, folder)


def _usage(report: Report, workbench: Workbench) -> None:
    bench = usage.Bench(workbench)
    with report.console.status("Counting operations"):
        costs = list(bench.costs())
    report.show("Counting operations into usage", costs)
    with report.console.status(f"Asking for a month of {usage.MILLION:,} operations"):
        answers = list(bench.answers())
    report.show("Usage of a month", answers)
    with report.console.status("Asking for as much as one call may read"):
        most = list(bench.most())
    report.show("The largest report", most)


def _exporting(report: Report, folder: Path) -> None:
    with report.console.status(f"Exporting {exporting.OPERATIONS:,} operations"):
        figures = list(exporting.figures(folder))
    report.show("Exporting a month", figures)


def _preparing(report: Report, rows: int, folder: Path) -> None:
    title = "Preparing a feed"
    if rows != preparing.ROWS:
        title += f" of {rows:,} rows (the bounds are for {preparing.ROWS:,})"
    with report.console.status(f"Preparing {rows:,} rows"):
        figures = list(preparing.figures(rows, folder))
    report.show(title, figures)


if __name__ == "__main__":
    typer.run(main)
