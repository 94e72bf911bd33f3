"""`productsync runs`."""

from functools import partial
from typing import Annotated

import typer

from productsync.answers import Page, Run
from productsync.client import Client, every, gather
from productsync.commands.imports import finish, follow, tell_started
from productsync.commands.session import Session, in_session
from productsync.importing import Imported, start_run
from productsync.reports import show_rejections, show_run, show_runs

app = typer.Typer(invoke_without_command=True)

RunId = Annotated[str, typer.Argument(metavar="RUN_ID", help="The run.")]
FeedOption = Annotated[str | None, typer.Option("--feed-id", help="Only this feed's.")]
LimitOption = Annotated[int, typer.Option("--limit", min=1, help="How many.")]
CursorOption = Annotated[str | None, typer.Option("--cursor", help="Go on after an earlier listing.")]


@app.callback()
@in_session
def runs(session: Session, feed_id: FeedOption = None, limit: LimitOption = 20) -> None:
    """Imports that ran or are running, newest first. Free.

    Without a command: list them.
    """
    if session.subcommand is None:
        _list(session, feed_id, limit, None)


@app.command("list")
@in_session
def list_runs(
    session: Session, feed_id: FeedOption = None, limit: LimitOption = 20, cursor: CursorOption = None
) -> None:
    """The runs of one feed, or the newest of every feed. Free."""
    if cursor is not None and feed_id is None:
        raise typer.BadParameter("a cursor belongs to one feed's listing: give --feed-id too")
    _list(session, feed_id, limit, cursor)


@app.command(no_args_is_help=True)
@in_session
def start(
    session: Session,
    feed_id: Annotated[str, typer.Argument(metavar="FEED_ID", help="A feed whose definition has a source.")],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say exactly what it would cost. Writes nothing and is free.")
    ] = False,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Start the run and leave.")] = False,
) -> None:
    """Fetch a feed's file from its source and import it: 1 credit for the call, and 1 for each record that it writes.

    A source that holds what the last run took from it ends the run at once. Exit codes as of import.
    """
    with session.client() as client:
        started = start_run(client, feed_id, None, dry_run=dry_run)
        if not no_wait:
            finish(session, client, Imported(follow(client, session.output, started.run), started.charged))
            return
    tell_started(session, started.run)


@app.command(no_args_is_help=True)
@in_session
def show(
    session: Session,
    run_id: RunId,
    wait: Annotated[bool, typer.Option("--wait", help="Follow it until it ends; exit codes as of import.")] = False,
) -> None:
    """One run, with its counts by entity. Free."""
    with session.client() as client:
        run = client.runs.get(run_id).body
        if wait:
            finish(session, client, Imported(follow(client, session.output, run), 0))
            return
    _print(session, run)


@app.command(no_args_is_help=True)
@in_session
def resume(
    session: Session,
    run_id: RunId,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Tell it to go on, and leave.")] = False,
) -> None:
    """Let a run go on that stands still although there are credits: 1 credit for each record it still writes.

    A run that was paused for lack of credits goes on by itself after a top-up. The call is free, and refused while no
    credits are there. Exit codes as of import.
    """
    with session.client() as client:
        run = client.runs.resume(run_id).body
        if not no_wait:
            finish(session, client, Imported(follow(client, session.output, run), 0))
            return
    _print(session, run)


@app.command(no_args_is_help=True)
@in_session
def cancel(session: Session, run_id: RunId) -> None:
    """End a run. What it has written stays, and stays paid. Free."""
    with session.client() as client:
        run = client.runs.cancel(run_id).body
    _print(session, run)


@app.command(no_args_is_help=True)
@in_session
def rejections(session: Session, run_id: RunId, limit: LimitOption = 50, cursor: CursorOption = None) -> None:
    """The rows that could not be records, and why. Free, and so were they."""
    with session.client() as client:
        page = gather(partial(client.runs.rejections, run_id), limit=limit, cursor=cursor)
    if session.as_json:
        session.output.answer(page)
        return
    show_rejections(session.output, page["items"])
    if page["next_cursor"] is not None:
        session.output.note(f"There are more: --cursor {page['next_cursor']}")


def _list(session: Session, feed_id: str | None, limit: int, cursor: str | None) -> None:
    with session.client() as client:
        if feed_id is None:
            page = _newest(client, limit)
        else:
            page = gather(partial(client.runs.list, feed_id), limit=limit, cursor=cursor)
    if session.as_json:
        session.output.answer(page)
        return
    show_runs(session.output, page["items"], feed_id)
    if page["next_cursor"] is not None:
        session.output.note(f"There are more: --cursor {page['next_cursor']}")


def _newest(client: Client, limit: int) -> Page[Run]:
    """The newest runs of all feeds. The API lists runs feed by feed, and each feed may have the newest ones."""
    found: list[Run] = []
    for feed in every(client.feeds.list):
        found.extend(gather(partial(client.runs.list, feed["feed_id"]), limit=limit)["items"])
    found.sort(key=lambda run: (run["created_at"], run["run_id"]), reverse=True)
    return {"items": found[:limit], "next_cursor": None}


def _print(session: Session, run: Run) -> None:
    if session.as_json:
        session.output.answer(run)
    else:
        show_run(session.output, run)
