"""The last look: where the shop's credits went, and the books of its month, which finance takes home as files."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from productsync.answers import Credits, Export, Operation, Usage
from productsync.client import Client
from productsync.demo.figures import CheckedFigures
from productsync.demo.waiting import until
from productsync.export_reports import show_books
from productsync.exporting import Format, download, wait_for_export
from productsync.output import Output, count_text, credits_text, number
from productsync.usage_reports import show_jobs

STEPS = 2


@dataclass(frozen=True)
class BooksAct:
    """The act under way, on a workspace that nothing moves any more: its balance and its whole log."""

    client: Client
    balance: Credits
    operations: list[Operation]
    output: Output
    figures: CheckedFigures


def books(act: BooksAct, folder: Path, *, steps_before: int) -> dict[str, Any]:
    """Usage as it was counted meanwhile, and an export of the month; the act as a document."""
    act.output.heading(f"{steps_before + 1}. Where did the shop's credits go?")
    usage = _counted(act)
    act.output.heading(f"{steps_before + 2}. The month as files, for finance")
    export = wait_for_export(act.client, act.output, act.client.exports.request(usage["to"][:7]).body)
    files = download(act.client, act.output, export, folder, Format.ALL)
    _compare(act, usage, export)
    return {"usage": usage, "export": export, "files": [path.name for path in files]}


def _counted(act: BooksAct) -> Usage:
    """Usage is counted beside the charges, moments later: it says itself when all of them are in it."""
    with act.output.stage("Adding up the operation log") as stage:

        def look() -> Usage | None:
            found = act.client.usage.get(group_by="job").body
            stage.detail(f"{credits_text(found['pending_credits'])} still to be counted")
            return found if found["pending_credits"] == 0 else None

        usage = until("Usage of all credits", look)
        jobs = sum(one["credits"] > 0 for one in usage["groups"])
        stage.done(f"{credits_text(usage['total']['credits'])} by {count_text(jobs, 'job')}")
    show_jobs(act.output, usage)
    total = usage["total"]
    act.figures.check("Usage by job, credits", sum(one["credits"] for one in usage["groups"]), total["credits"])
    act.figures.check("Usage, free and paid", total["free_credits"] + total["paid_credits"], total["credits"])
    act.output.line(
        f"{number(total['unchanged'])} records were met unchanged: so many credits were saved. Asking is free, and "
        "takes as long after a million operations."
    )
    return usage


def _compare(act: BooksAct, usage: Usage, export: Export) -> None:
    """The export against the usage, the balance and the log."""
    check = act.figures.check
    books, totals = export["books"], export["totals"]
    if books is None or totals is None:
        check("The books of an export that is ready", None, "books and totals")
        return
    show_books(act.output, books)
    left = (books["closing"]["available"], books["closing"]["owed"])
    check("The export's closing balance", left, (act.balance["available"], act.balance["owed"]))
    check("What the export says does not add up", export["disagreements"], [])
    check("The export's credits, and those of usage", totals["credits"], usage["total"]["credits"])
    paid = _money((one["currency"], one["paid"]) for one in totals["cost"])
    logged = _money((one["currency"], one["amount"]) for operation in act.operations for one in operation["cost"])
    check("The export's money, and that of the log", paid, logged)
    told = " + ".join(f"{amount} {currency}" for currency, amount in paid.items()) or "nothing"
    act.output.line(
        f"{count_text(export['lines'], 'line')}, the same in CSV, Parquet and FOCUS: {credits_text(totals['credits'])} "
        f"worth {told}. They close at the balance, {number(left[0])}."
    )


def _money(amounts: Iterable[tuple[str, str]]) -> dict[str, Decimal]:
    """Added up by currency; nothing is left out."""
    total: dict[str, Decimal] = {}
    for currency, amount in amounts:
        if Decimal(amount):
            total[currency] = total.get(currency, Decimal(0)) + Decimal(amount)
    return total
