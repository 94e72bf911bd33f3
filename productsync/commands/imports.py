"""`productsync import`."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from productsync.answers import Run
from productsync.client import Client, gather
from productsync.commands.session import Session, in_session
from productsync.failures import ExitCode
from productsync.files import feed_id_for
from productsync.importing import (
    Imported,
    NoDefinition,
    credits_to_go,
    definition_of,
    exit_code_of,
    start_import,
    wait_for,
)
from productsync.output import Output, count_text
from productsync.reports import (
    SHOWN_REJECTIONS,
    cost_text,
    error_text,
    pause_text,
    preview_text,
    show_counts,
    show_rejections,
)

app = typer.Typer()


@app.command("import", no_args_is_help=True)
@in_session
def import_file(
    session: Session,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, readable=True, help="A supplier's file.")
    ],
    preset: Annotated[str | None, typer.Option(help="How to read it: see `productsync feeds presets`.")] = None,
    feed: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            metavar="DEFINITION",
            help="A definition, as JSON; with --preset it overrides parts of that.",
        ),
    ] = None,
    feed_id: Annotated[
        str | None,
        typer.Option(help="The feed to save the definition as, or to take it from. Default: named after the file."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say exactly what it would cost. Writes nothing and is free.")
    ] = False,
    skip_unchanged: Annotated[
        bool | None,
        typer.Option(
            "--skip-unchanged/--no-skip-unchanged",
            help="Leave records alone that would not change (free), or write them again (1 credit each).",
            show_default="skip",
        ),
    ] = None,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Start the run and leave.")] = False,
) -> None:
    """Import a file: 1 credit for the call, and 1 for each record that it creates or updates.

    Rows of the same key are one record and cost one credit. Records that would not change cost nothing, and a dry run
    is free. A run that meets the end of the credits pauses there, and goes on by itself after a top-up.

    Exit codes: 0 finished, 3 the run failed or was cancelled, 4 it is paused, 1 the API refused, 2 usage.
    """
    definition = definition_of(preset, feed, skip_unchanged=skip_unchanged)
    if definition is None and feed_id is None:
        raise NoDefinition(
            "It has to be known how to read the file",
            hint="Give --preset (see `productsync feeds presets`), --feed with a definition, or a saved --feed-id.",
        )
    feed_id = feed_id or feed_id_for(file, preset)
    output = session.output
    with session.client() as client:
        if definition is not None:
            client.feeds.put(feed_id, definition)
        imported = start_import(client, output, feed_id, file, dry_run=dry_run)
        if no_wait:
            tell_started(session, imported.run)
            return
        run = follow(client, output, imported.run)
        finish(session, client, Imported(run, imported.charged))


def follow(client: Client, output: Output, run: Run) -> Run:
    """Waits for a run. When the person has enough of waiting, says how to find it again: the run itself goes on."""
    try:
        return wait_for(client, output, run)
    except KeyboardInterrupt:
        output.note("")
        output.note("The run goes on by itself.")
        output.note(f"  productsync runs show {run['run_id']} --wait")
        output.note(f"  productsync runs cancel {run['run_id']}")
        raise


def finish(session: Session, client: Client, imported: Imported) -> None:
    """Reports a run that was waited for, and ends the command with the code that says what became of it."""
    run, output = imported.run, session.output
    if session.as_json:
        output.answer(run)
    else:
        _report(client, output, imported)
    if (code := exit_code_of(run)) is not ExitCode.OK:
        raise typer.Exit(code)


def tell_started(session: Session, run: Run) -> None:
    """Says how to find a run that nobody waits for."""
    if session.as_json:
        session.output.answer(run)
        return
    session.output.line(f"Started {run['run_id']}.")
    session.output.line(f"  productsync runs show {run['run_id']} --wait")


def _report(client: Client, output: Output, imported: Imported) -> None:
    run = imported.run
    balance = client.credits.get().body
    if run["state"] == "failed":
        output.note(f"The run failed. {error_text(run) or ''}".rstrip())
    output.line()
    show_counts(output, run)
    output.line()
    read = "its source is unmodified" if run.get("unmodified") else f"{count_text(run['rows_read'], 'row')} read"
    output.line(f"Run {run['run_id']}: {run['state']}, {read}.")
    if run["dry_run"]:
        available = run.get("credits_available")
        output.line(preview_text(run, balance["available"] if available is None else available))
    else:
        output.line(cost_text(run, imported.charged, balance["available"]))
    if run["state"] == "paused":
        for line in pause_text(run, credits_to_go(client, output, run), balance["workspace_id"]):
            output.line(line)
    if run["rejected"]:
        _report_rejections(client, output, run)


def _report_rejections(client: Client, output: Output, run: Run) -> None:
    output.heading("Rejected rows")
    first = gather(partial(client.runs.rejections, run["run_id"]), limit=SHOWN_REJECTIONS)
    show_rejections(output, first["items"])
    if first["next_cursor"] is not None:
        output.line(f"The rest: productsync runs rejections {run['run_id']}")
