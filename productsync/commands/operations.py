"""`productsync operations`."""

from enum import StrEnum
from functools import partial
from typing import Annotated

import typer

from productsync.client import gather
from productsync.commands.session import Session, in_session
from productsync.operation_reports import show_operation, show_operations, show_written
from productsync.times import rfc3339

app = typer.Typer(invoke_without_command=True)

OperationId = Annotated[str, typer.Argument(metavar="OPERATION_ID", help="The entry.")]


class Outcome(StrEnum):
    """What became of an operation."""

    CHARGED = "charged"
    REFUSED = "refused"
    FREE = "free"


@app.callback()
@in_session
def operations(
    session: Session,
    *,
    job_id: Annotated[
        str | None,
        typer.Option("--feed-id", "--schedule-id", "--rule-id", help="Only what this feed, schedule or rule used."),
    ] = None,
    run_id: Annotated[str | None, typer.Option(help="Only what this run used.")] = None,
    kind: Annotated[
        str | None,
        typer.Option(
            help="Only this kind: import, api_call, scheduled_job, rule, settlement, expiry, void, correction."
        ),
    ] = None,
    actor: Annotated[str | None, typer.Option(help="Only what this key, person, schedule or rule did.")] = None,
    outcome: Annotated[
        Outcome | None, typer.Option(help="Only what cost credits, what was refused, or what was free and happened.")
    ] = None,
    since: Annotated[
        str | None,
        typer.Option("--from", "--since", metavar="TIME", callback=rfc3339, help="Not before this time (UTC)."),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option("--to", "--until", metavar="TIME", callback=rfc3339, help="Not after this time (UTC)."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many.")] = 20,
    cursor: Annotated[str | None, typer.Option(help="Go on after an earlier listing.")] = None,
) -> None:
    """The operation log: what used the credits, newest first. Free.

    Without a command: list it.
    """
    if session.subcommand is not None:
        return
    filters = {"from": since, "to": until, "kind": kind, "job_id": job_id, "run_id": run_id}
    filters |= {"actor": actor, "outcome": outcome}
    with session.client() as client:
        page = gather(partial(client.operations.list, filters), limit=limit, cursor=cursor)
    if session.as_json:
        session.output.answer(page)
        return
    show_operations(session.output, page["items"], is_filtered=cursor is not None or any(filters.values()))
    if page["next_cursor"] is not None:
        session.output.note(f"There are more: --cursor {page['next_cursor']}")


@app.command(no_args_is_help=True)
@in_session
def show(session: Session, operation_id: OperationId) -> None:
    """One entry of the log, with the grants that paid, or that lost credits. Free."""
    with session.client() as client:
        operation = client.operations.get(operation_id).body
    if session.as_json:
        session.output.answer(operation)
    else:
        show_operation(session.output, operation)


@app.command(no_args_is_help=True)
@in_session
def records(
    session: Session,
    operation_id: OperationId,
    limit: Annotated[int, typer.Option(min=1, help="How many.")] = 100,
    cursor: Annotated[str | None, typer.Option(help="Go on after an earlier listing.")] = None,
) -> None:
    """The records that an operation wrote or deleted, and whether they still stand so. Free."""
    with session.client() as client:
        page = gather(partial(client.operations.records, operation_id), limit=limit, cursor=cursor)
    if session.as_json:
        session.output.answer(page)
        return
    show_written(session.output, page["items"])
    if page["next_cursor"] is not None:
        session.output.note(f"There are more: --cursor {page['next_cursor']}")
