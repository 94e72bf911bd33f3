"""The first act: a catalogue is imported, and every credit of it accounted for."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from productsync.answers import Operation, Run
from productsync.client import Client, gather
from productsync.demo import feed as demo_feed
from productsync.demo.figures import ALL_OPERATIONS, CheckedFigures, RunDidNotFinish, credits_of, show_log_summary
from productsync.files import feed_id_for
from productsync.importing import start_import, wait_for
from productsync.operation_reports import show_operations
from productsync.output import Output, credits_text, number
from productsync.reports import error_text, show_counts, show_credits

LOG_ENTRIES = 10
"""Entries of the operation log that the demo prints in full."""


@dataclass(frozen=True)
class Step:
    """One run of the demo: what it was for, how it ended, and what the call that started it cost."""

    title: str
    run: Run
    charged: int


@dataclass
class ImportAct:
    """The act under way, on a workspace of its own that was given `free` credits."""

    client: Client
    free: int
    output: Output
    figures: CheckedFigures
    steps: list[Step] = field(default_factory=list)

    def step(self, title: str, feed_id: str, file: Path, *, dry_run: bool = False) -> Run:
        """One run of a file, to its end. Raises RunDidNotFinish when it ends otherwise."""
        self.output.heading(f"{len(self.steps) + 1}. {title}")
        started = start_import(self.client, self.output, feed_id, file, dry_run=dry_run)
        run = wait_for(self.client, self.output, started.run)
        if run["state"] != "finished":
            raise RunDidNotFinish(f"{title}: the run is {run['state']}", error_text(run))
        show_counts(self.output, run)
        self.steps.append(Step(title, run, started.charged))
        self.figures.check(f"{title}, the call that starts it", started.charged, 0 if dry_run else 1)
        self.figures.check(f"{title}, credits", run["credits"], run["created"] + run["updated"])
        return run

    def why(self, text: str) -> None:
        """One line on why the last step cost what it cost."""
        self.output.line(text)

    def settle(self, *, bought: int) -> dict[str, Any]:
        """The balance and the log, as tables and as a document, each figure held against the others."""
        balance = self.client.credits.get().body
        operations = gather(self.client.operations.list, limit=ALL_OPERATIONS)["items"]
        spent = sum(step.charged + (0 if step.run["dry_run"] else step.run["credits"]) for step in self.steps)
        granted = self.free + bought
        check = self.figures.check
        check("Credits granted", balance["granted"], granted)
        check("Credits consumed", balance["consumed"], spent)
        check("Credits available", balance["available"], granted - spent)
        check("Credits in the operation log", credits_of(operations), spent)
        for step in self.steps:
            if not step.run["dry_run"]:
                logged = credits_of(operations, step.run["run_id"])
                check(f"{step.title}, credits in the log", logged, step.run["created"] + step.run["updated"])

        self.output.heading("Balance")
        show_credits(self.output, balance)
        self.output.heading("Operation log, by what it was for")
        show_log_summary(self.output, self._by_step(operations))
        self.output.heading(f"Operation log, the last {min(LOG_ENTRIES, len(operations))} of {len(operations)} entries")
        show_operations(self.output, operations[:LOG_ENTRIES])
        return {
            "steps": [{"title": step.title, "charged": step.charged, "run": step.run} for step in self.steps],
            "credits": balance,
            "operations": operations,
        }

    def _by_step(self, operations: list[Operation]) -> dict[str, list[Operation]]:
        titles = {step.run["run_id"]: f"{place}. {step.title}" for place, step in enumerate(self.steps, start=1)}
        groups: dict[str, list[Operation]] = {title: [] for title in titles.values()}
        calls = "Calls that start a run (a dry run is free)"
        groups[calls] = []
        for one in operations:
            groups[titles.get(one["run_id"] or "", calls)].append(one)
        return groups


def import_generated(act: ImportAct, folder: Path) -> dict[str, Any]:
    """The main job: a preview, the import, the same file again, and one with a few changes. The act as a document."""
    feed_id = "demo-supplier"
    first, later = folder / "supplier.csv", folder / "supplier-next-week.csv"
    with act.output.stage("Writing a supplier's file") as stage:
        listed = demo_feed.products()
        demo_feed.write_feed(first, listed)
        demo_feed.write_feed(later, demo_feed.with_new_prices(listed))
        stage.done(f"{number(len(listed))} products, each in a category of its own")
    act.client.feeds.put(feed_id, demo_feed.DEFINITION)
    whole = demo_feed.PRODUCTS + demo_feed.CATEGORIES

    preview = act.step("What would it cost? (a dry run)", feed_id, first, dry_run=True)
    act.figures.check("The preview", preview["credits"], whole)
    act.why(
        f"{credits_text(preview['credits'])}: {number(demo_feed.PRODUCTS)} products and "
        f"{number(demo_feed.CATEGORIES)} categories are new, 1 credit each. Asking is free, and nothing was written."
    )
    run = act.step("Import it", feed_id, first)
    act.figures.check("The import's records", run["created"], whole)
    act.figures.check("The import, credits", run["credits"], whole)
    for entity, count in (("product", demo_feed.PRODUCTS), ("category", demo_feed.CATEGORIES)):
        created = run["by_entity"][entity]["created"] if entity in run["by_entity"] else 0
        act.figures.check(f"The import, {entity} records", created, count)
    act.why(f"{credits_text(run['credits'])} for the records, as previewed, and 1 for the call that started the run.")

    again = act.step("Send the same file again", feed_id, first)
    act.figures.check("The same file again, credits", again["credits"], 0)
    act.why("0 credits for the records: not one would change, so none was written. Only the call cost its 1 credit.")

    changed = act.step("Send it with 37 new prices", feed_id, later)
    act.figures.check("The changed file, credits", changed["credits"], demo_feed.CHANGED)
    act.figures.check("The changed file, updates", changed["updated"], demo_feed.CHANGED)
    act.why("37 credits: one for each product that really changed, and 1 more for the call.")
    return act.settle(bought=0)


def import_of_the_user(act: ImportAct, file: Path, preset: str | None) -> dict[str, Any]:
    """A preview, the import and the same again, of the user's own file. The act as a document."""
    feed_id = feed_id_for(file, preset)
    act.client.feeds.put(feed_id, {"preset": preset, "skip_unchanged": True})
    preview = act.step("What would it cost? (a dry run)", feed_id, file, dry_run=True)
    act.why(
        f"{credits_text(preview['credits'])}: one for each record; {number(preview['duplicates'])} repeated and "
        f"{number(preview['rejected'])} unusable rows cost nothing. Asking is free, and nothing was written."
    )
    bought = _top_up_for(act, preview["credits"])
    run = act.step("Import it", feed_id, file)
    act.figures.check("The import, credits", run["credits"], preview["credits"])
    act.why(f"{credits_text(run['credits'])} for the records, as previewed, and 1 for the call that started the run.")

    again = act.step("Send the same file again", feed_id, file)
    act.figures.check("The same file again, credits", again["credits"], 0)
    act.why("0 credits for the records: not one would change, so none was written. Only the call cost its 1 credit.")
    return act.settle(bought=bought)


def _top_up_for(act: ImportAct, price: int) -> int:
    """Buys what the free credits are short of, so that the run does not pause. Returns how many that were."""
    balance = act.client.credits.get().body
    missing = price + 2 - balance["available"]  # two calls start a run
    if missing <= 0:
        return 0
    order = {"credits": missing, "unit_price": "0.01", "currency": balance["currency"], "reference": "demo"}
    act.client.workspaces.top_up(balance["workspace_id"], order)
    act.why(f"That is more than the free credits, so the demo tops up {credits_text(missing)} at 0.01 each.")
    return missing
