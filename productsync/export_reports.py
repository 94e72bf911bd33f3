"""What people are told about exports: the books of a month, what its lines add up to, and its files."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Literal

from rich.text import Text

from productsync.answers import Books, Export, ExportTotals, Worth
from productsync.importing import size_text
from productsync.output import Cell, Column, Output, clean, moment
from productsync.usage_reports import money_of, records_text, saved_text


def show_export(output: Output, export: Export) -> None:
    """One export in full."""
    output.facts(
        [
            ("Export", export["export_id"]),
            ("Month", export["month"]),
            ("State", export["state"]),
            ("Requested", moment(export["requested_at"])),
            ("Ended", moment(export["finished_at"])),
            ("Lines", export["lines"]),
            ("Failure", export["failure"]),
        ]
    )
    if export["books"] is not None:
        show_books(output, export["books"])
    if export["totals"] is not None:
        _show_totals(output, export["totals"])
    if export["books"] is not None:
        _show_verdict(output, export)
    if export["files"]:
        _show_files(output, export)


def show_exports(output: Output, exports: Iterable[Export]) -> None:
    """A list of exports."""
    columns = [
        Column("Requested", rank=2),
        Column("Month"),
        Column("State"),
        Column("Lines", number=True, rank=1),
        Column("Credits", number=True, rank=3),
        Column("Cost", number=True, rank=4),
        Column("Export"),
    ]
    rows: list[list[Cell]] = [
        [
            moment(one["requested_at"]),
            one["month"],
            one["state"],
            one["lines"],
            one["totals"] and one["totals"]["credits"],
            one["totals"] and _worth(one["totals"]["cost"]),
            one["export_id"],
        ]
        for one in exports
    ]
    output.table(columns, rows, empty="No exports yet.")


def show_books(output: Output, books: Books) -> None:
    """The account from the beginning of the month to its end, as a sum that can be followed line by line."""
    output.heading("Books, in credits")
    opening, closing = books["opening"], books["closing"]
    moves: list[tuple[str, int]] = [
        ("+ granted", books["granted"]),
        ("- expired", books["expired"]),
        ("- void", books["void"]),
        ("- taken back", books["corrected_down"]),
        ("- consumed", books["consumed"]),
        ("+ owed", books["owed"]),
        ("- settled", books["settled"]),
    ]
    rows: list[list[Cell]] = [
        ["Opening", opening["available"], opening["owed"]],
        *([name, amount, _of_debt(name, amount)] for name, amount in moves),
        ["Closing", closing["available"], closing["owed"]],
    ]
    output.table([Column(""), Column("Available", number=True), Column("Owed", number=True)], rows)


def _of_debt(name: str, amount: int) -> Cell:
    """What a move does to what is owed."""
    return {"+ owed": amount, "- settled": amount}.get(name, "")


def _show_totals(output: Output, totals: ExportTotals) -> None:
    output.heading("All lines")
    output.facts(
        [
            ("Operations", totals["operations"]),
            ("Refused", totals["refused"] or None),
            ("Credits used", totals["credits"]),
            ("Their cost", _worth(totals["cost"])),
            ("Left unused", _worth(totals["unused"])),
            ("Bought", money_of({"currency": one["currency"], "amount": one["amount"]} for one in totals["billed"])),
            ("Records", records_text(totals["records"])),
            ("Credits saved", saved_text(totals["records"]["unchanged"])),
        ]
    )


def _worth(worths: Iterable[Worth]) -> str | None:
    """What credits were worth, in each currency; what was given away was worth nothing in most months."""
    kinds: tuple[tuple[Literal["paid", "free", "corrected"], str], ...] = (
        ("paid", ""),
        ("free", " given away"),
        ("corrected", " given back"),
    )
    told = [f"{one[kind]} {one['currency']}{what}" for one in worths for kind, what in kinds if Decimal(one[kind])]
    return " + ".join(told) or None


def is_closed(export: Export) -> bool:
    """Whether the month was over when its export was asked for: then its books have to add up."""
    return export["requested_at"][: len("2026-11")] > export["month"]


def _show_verdict(output: Output, export: Export) -> None:
    output.line()
    if not export["disagreements"]:
        agrees = ", and the account agrees" if export["account"] else ""
        output.line(Text(f"The books add up{agrees}.", style="green"))
        return
    for one in export["disagreements"]:
        output.line(Text(f"The books do not add up: {clean(one)}.", style="yellow"))
    if not is_closed(export):
        output.line("The month goes on: what was charged while the export was made shows here too.")


def _show_files(output: Output, export: Export) -> None:
    output.heading("Files")
    columns = [
        Column("File"),
        Column("Lines", number=True),
        Column("Size", number=True),
        Column("SHA-256", rank=1),
    ]
    rows: list[list[Cell]] = [
        [file["name"], file["lines"], size_text(file["bytes"]), file["sha256"]] for file in export["files"]
    ]
    output.table(columns, rows)
