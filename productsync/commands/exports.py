"""`productsync export`."""

from pathlib import Path
from typing import Annotated

import typer

from productsync import times
from productsync.answers import Export
from productsync.client import Client, gather
from productsync.commands.session import Session, in_session
from productsync.export_reports import is_closed, show_export, show_exports
from productsync.exporting import Format, download, left_from_before, wait_for_export
from productsync.failures import ExitCode

app = typer.Typer(invoke_without_command=True)

ExportId = Annotated[str, typer.Argument(metavar="EXPORT_ID", help="The export.")]
ToOption = Annotated[
    Path,
    typer.Option("--to", metavar="FOLDER", file_okay=False, help="Where the files go; it is made if need be."),
]
FormatOption = Annotated[Format, typer.Option("--format", help="Which files.")]


@app.callback()
@in_session
def export(
    session: Session,
    month: Annotated[
        str | None, typer.Option(metavar="MONTH", callback=times.month, help="A month, such as 2026-11. Default: this.")
    ] = None,
    to: ToOption = Path(),
    wanted: FormatOption = Format.ALL,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Ask for it and leave.")] = False,
) -> None:
    """Usage and purchases of a month as files: CSV, Parquet, and FOCUS (for a key with the scope finance). Free.

    Without a command: ask for a month, wait for it, and download its files and their manifest, each named after its
    month and held against its checksum. Exit code 1 when the books of a month that is over do not add up.
    """
    if session.subcommand is not None:
        return
    with session.client() as client:
        asked = client.exports.request(month).body
        if no_wait:
            _tell_asked(session, asked)
            return
        _fetch(session, client, _follow(session, client, asked), to, wanted)


@app.command("list")
@in_session
def list_exports(
    session: Session,
    limit: Annotated[int, typer.Option(min=1, help="How many.")] = 20,
    cursor: Annotated[str | None, typer.Option(help="Go on after an earlier listing.")] = None,
) -> None:
    """The exports of the workspace, newest first. Free."""
    with session.client() as client:
        page = gather(client.exports.list, limit=limit, cursor=cursor)
    if session.as_json:
        session.output.answer(page)
        return
    show_exports(session.output, page["items"])
    if page["next_cursor"] is not None:
        session.output.note(f"There are more: --cursor {page['next_cursor']}")


@app.command(no_args_is_help=True)
@in_session
def show(session: Session, export_id: ExportId) -> None:
    """One export: the books of its month, what its lines add up to, and its files. Free."""
    with session.client() as client:
        found = client.exports.get(export_id).body
    if session.as_json:
        session.output.answer(found)
    else:
        show_export(session.output, found)


@app.command("download", no_args_is_help=True)
@in_session
def download_export(
    session: Session, export_id: ExportId, to: ToOption = Path(), wanted: FormatOption = Format.ALL
) -> None:
    """Download the files of an export, when they are there, each held against its checksum. Free."""
    with session.client() as client:
        found = client.exports.get(export_id).body
        _fetch(session, client, _follow(session, client, found), to, wanted)


def _follow(session: Session, client: Client, asked: Export) -> Export:
    """Waits for an export. When the person has enough of waiting, says how to find it again."""
    try:
        return wait_for_export(client, session.output, asked)
    except KeyboardInterrupt:
        session.output.note("")
        session.output.note("The export goes on by itself.")
        session.output.note(f"  productsync export download {asked['export_id']}")
        raise


def _fetch(session: Session, client: Client, ready: Export, to: Path, wanted: Format) -> None:
    output = session.output
    fetched = download(client, output, ready, to, wanted)
    if session.as_json:
        output.answer(ready)
    else:
        show_export(output, ready)
        output.line()
        output.line(f"Saved in {to.resolve()}: {', '.join(path.name for path in fetched)}")
    for path in left_from_before(to, ready, fetched):
        output.note(f"{path.name} is from an earlier export, and no part of this one.")
    if ready["disagreements"] and is_closed(ready):
        raise typer.Exit(ExitCode.PROBLEM)


def _tell_asked(session: Session, asked: Export) -> None:
    if session.as_json:
        session.output.answer(asked)
        return
    session.output.line(f"Asked for {asked['month']}: {asked['export_id']}.")
    session.output.line(f"  productsync export download {asked['export_id']}")
