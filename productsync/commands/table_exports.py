"""`productsync export from-table`: for audits that must not touch what is running."""

import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from productsync import times
from productsync.commands.session import Session, in_session
from productsync.failures import CommandFailure, ExitCode
from productsync.output import Cell, Column, count_text

app = typer.Typer()

_COLUMNS = (
    Column("Workspace"),
    Column("Month"),
    Column("Lines", number=True),
    Column("Granted", number=True, rank=1),
    Column("Consumed", number=True),
    Column("Available", number=True),
    Column("Owed", number=True, rank=1),
    Column("Books"),
)


class TableNotExported(CommandFailure):
    """The folder holds no export of the credit table, or nothing of what was asked for."""


@app.command("from-table", no_args_is_help=True)
@in_session
def from_table(
    session: Session,
    source: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="The exported table: the folder of its manifest-summary.json.")
    ],
    to: Annotated[Path, typer.Option("--to", help="Where to write; each month gets a folder WORKSPACE/MONTH.")],
    month: Annotated[
        str | None, typer.Option(metavar="MONTH", callback=times.month, help="A month, such as 2026-11. Default: all.")
    ] = None,
    workspace_id: Annotated[str | None, typer.Option("--workspace", help="One workspace. Default: all.")] = None,
) -> None:
    """Write a month's files from DynamoDB's own export of the credit table, the same bytes as the API's.

    It reads the folder and nothing else: neither the API nor AWS is asked. Exit code 1 when books do not balance.
    """
    # The rest of the command line starts without what writes Parquet.
    from shared.exports.table_export import Wanted, write_all  # noqa: PLC0415
    from shared.exports.table_files import TableExportUnreadable  # noqa: PLC0415
    from shared.months import Month  # noqa: PLC0415

    wanted = Wanted(workspace_id, None if month is None else Month.parse(month))
    written: list[dict[str, Any]] = []
    try:
        with tempfile.TemporaryDirectory(prefix="productsync-") as scratch:
            for each in write_all(source, to, Path(scratch), wanted):
                written.append(
                    {
                        "workspace_id": each.workspace_id,
                        "month": str(each.month),
                        "folder": str(each.folder),
                        "lines": each.lines,
                        "books": each.books.to_values(),
                        "disagreements": list(each.disagreements),
                    }
                )
                session.output.note(f"{each.folder}: {count_text(each.lines, 'line')}")
    except (TableExportUnreadable, OSError) as error:
        raise TableNotExported(
            "The exported table cannot be read", str(error), hint="docs/exports.md says how to export it and copy it."
        ) from error
    if not written:
        raise TableNotExported("Nothing to write", f"the table was exported before {month}, or no workspace was there")
    _show(session, written)
    if any(each["disagreements"] for each in written):
        raise typer.Exit(ExitCode.PROBLEM)


def _show(session: Session, written: list[dict[str, Any]]) -> None:
    if session.as_json:
        session.output.answer({"items": written})
        return
    rows: list[list[Cell]] = [
        [
            each["workspace_id"],
            each["month"],
            each["lines"],
            each["books"]["granted"],
            each["books"]["consumed"],
            each["books"]["closing"]["available"],
            each["books"]["closing"]["owed"],
            "; ".join(each["disagreements"]) or "balance",
        ]
        for each in written
    ]
    session.output.table(_COLUMNS, rows)
