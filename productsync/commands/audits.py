"""`productsync audit`."""

import time
from typing import Annotated

import typer

from productsync.answers import Audit
from productsync.audit_reports import outcome_text, show_audit, show_audits
from productsync.client import Client, gather
from productsync.commands.session import Session, in_session
from productsync.failures import AuditFailed, ExitCode
from productsync.looking import Sleep, waits
from productsync.output import Output

app = typer.Typer(invoke_without_command=True)


@app.callback()
@in_session
def audit(
    session: Session,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Ask for it and leave.")] = False,
) -> None:
    """Recount the books from the operation log (for a key with the scope finance). Free.

    Without a command: ask for an audit, and wait for what it finds. Exit code 1 when the books do not balance.
    """
    if session.subcommand is not None:
        return
    with session.client() as client:
        asked = client.audits.request().body
        if not no_wait:
            _finish(session, _follow(session, client, asked))
            return
    if session.as_json:
        session.output.answer(asked)
        return
    session.output.line(f"Asked for {asked['audit_id']}.")
    session.output.line(f"  productsync audit show {asked['audit_id']} --wait")


@app.command("list")
@in_session
def list_audits(
    session: Session,
    limit: Annotated[int, typer.Option(min=1, help="How many.")] = 20,
    cursor: Annotated[str | None, typer.Option(help="Go on after an earlier listing.")] = None,
) -> None:
    """The audits of the workspace, newest first: those that were asked for, and the daily ones. Free."""
    with session.client() as client:
        page = gather(client.audits.list, limit=limit, cursor=cursor)
    if session.as_json:
        session.output.answer(page)
        return
    show_audits(session.output, page["items"])
    if page["next_cursor"] is not None:
        session.output.note(f"There are more: --cursor {page['next_cursor']}")


@app.command(no_args_is_help=True)
@in_session
def show(
    session: Session,
    audit_id: Annotated[str, typer.Argument(metavar="AUDIT_ID", help="The audit.")],
    wait: Annotated[bool, typer.Option("--wait", help="Follow it until it ends; exit codes as of audit.")] = False,
) -> None:
    """One audit, and what it found. Free."""
    with session.client() as client:
        found = client.audits.get(audit_id).body
        if wait:
            _finish(session, _follow(session, client, found))
            return
    _print(session, found)


def wait_for_audit(client: Client, output: Output, audit: Audit, *, sleep: Sleep = time.sleep) -> Audit:
    """Follows an audit until it ends. Raises AuditFailed when it could not be made."""
    with output.stage("Recounting the books", total=1.0) as stage:
        for wait in waits():
            if audit["state"] != "running":
                break
            sleep(wait)
            audit = client.audits.get(audit["audit_id"]).body
            stage.advance_to(float(audit["progress"]))
            stage.detail(outcome_text(audit))
        if audit["balanced"]:
            stage.done(outcome_text(audit))
        else:
            stage.failed("failed" if audit["balanced"] is None else outcome_text(audit))
    if audit["state"] == "failed":
        raise AuditFailed(f"{audit['audit_id']} failed", audit["failure"], hint="It says nothing about the books.")
    return audit


def _follow(session: Session, client: Client, asked: Audit) -> Audit:
    """Waits for an audit. When the person has enough of waiting, says how to find it again."""
    try:
        return wait_for_audit(client, session.output, asked)
    except KeyboardInterrupt:
        session.output.note("")
        session.output.note("The audit goes on by itself.")
        session.output.note(f"  productsync audit show {asked['audit_id']} --wait")
        raise


def _finish(session: Session, audit: Audit) -> None:
    _print(session, audit)
    if not audit["balanced"]:
        raise typer.Exit(ExitCode.PROBLEM)


def _print(session: Session, audit: Audit) -> None:
    if session.as_json:
        session.output.answer(audit)
    else:
        show_audit(session.output, audit)
