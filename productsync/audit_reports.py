"""What people are told about audits: whether the books balance, and if not, where to look first."""

from collections.abc import Iterable

from rich.text import Text

from productsync.answers import Audit, Difference
from productsync.output import Cell, Column, Output, clean, count_text, moment, number


def show_audit(output: Output, audit: Audit) -> None:
    """One audit: what was examined, and what was found."""
    output.facts(
        [
            ("Audit", audit["audit_id"]),
            ("State", audit["state"]),
            ("Progress", f"{float(audit['progress']):.0%}" if audit["state"] == "running" else None),
            ("Requested", moment(audit["requested_at"])),
            ("Ended", moment(audit["finished_at"])),
            ("Operations recounted", audit["operations"]),
            ("Of them, followed to their records", audit["traced"]),
            ("Records followed to their operations", audit["records"]),
            ("Compared", _compared(audit)),
            ("Repaired", _repaired(audit)),
            ("Failure", audit["failure"]),
        ]
    )
    if audit["balanced"] is None:
        return
    output.line()
    if audit["balanced"]:
        output.line(Text("The books balance.", style="green"))
        return
    count = audit["difference_count"]
    output.line(Text(f"The books do not balance: {count_text(count, 'difference')}.", "bold red"))
    if audit["differences"]:
        output.line(f"The first: {_words(audit['differences'][0])}")
    _show_differences(output, audit)


def show_audits(output: Output, audits: Iterable[Audit]) -> None:
    """A list of audits."""
    columns = [
        Column("Requested", rank=1),
        Column("State"),
        Column("Books"),
        Column("Operations", number=True, rank=2),
        Column("Differences", number=True, rank=3),
        Column("Audit"),
    ]
    rows: list[list[Cell]] = [
        [
            moment(one["requested_at"]),
            one["state"],
            None if one["balanced"] is None else "balance" if one["balanced"] else Text("do not balance", "bold red"),
            one["operations"],
            one["difference_count"],
            one["audit_id"],
        ]
        for one in audits
    ]
    output.table(columns, rows, empty="No audits yet.")


def outcome_text(audit: Audit) -> str:
    """An audit's outcome in a few words."""
    operations = count_text(audit["operations"], "operation")
    if audit["balanced"] is None:
        return operations
    count = audit["difference_count"]
    return f"{operations}, {count_text(count, 'difference') if count else 'no differences'}"


def _show_differences(output: Output, audit: Audit) -> None:
    columns = [
        Column("What", wraps=True),
        Column("Expected", wraps=True),
        Column("Found", wraps=True),
        Column("Where", wraps=True, rank=1),
    ]
    rows: list[list[Cell]] = [
        [one["rule"], one["expected"], one["found"], one["where"] or None] for one in audit["differences"]
    ]
    output.line()
    output.table(columns, rows)
    more = audit["difference_count"] - len(rows)
    if more > 0:
        output.line(f"And {number(more)} more.")


def _words(difference: Difference) -> str:
    place = f" ({difference['where']})" if difference["where"] else ""
    return clean(f"{difference['rule']}: {difference['expected']} expected, {difference['found']} found{place}.")


def _compared(audit: Audit) -> str | None:
    if audit["exact"] is None:
        return None
    return (
        "to the credit" if audit["exact"] else "between what the account was before and after: it moved all the while"
    )


def _repaired(audit: Audit) -> str | None:
    entries = count_text(audit["repaired"], "entry", "entries")
    return f"{entries} that the usage figures had missed" if audit["repaired"] else None
