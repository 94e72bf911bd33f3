"""`productsync grants`."""

from typing import Annotated

import typer

from productsync.commands.session import Session, in_session
from productsync.reports import show_correction, show_grants

app = typer.Typer(no_args_is_help=True)

OfWorkspace = Annotated[str | None, typer.Option(help="The workspace (operator). Default: the one of the API key.")]


@app.callback()
@in_session
def grants(session: Session) -> None:
    """What a workspace was given: bought, given away, given back."""


@app.command("list")
@in_session
def list_grants(session: Session, workspace_id: OfWorkspace = None) -> None:
    """The grants of a workspace, and what is left of each. Free."""
    with session.client() as client:
        answer = client.credits.get() if workspace_id is None else client.workspaces.credits(workspace_id)
    found = answer.body["grants"]
    if session.as_json:
        session.output.answer({"items": found})
    else:
        show_grants(session.output, found)


@app.command(no_args_is_help=True)
@in_session
def void(
    session: Session,
    grant_id: Annotated[str, typer.Argument(metavar="GRANT_ID", help="The grant.")],
    reference: Annotated[str, typer.Option(help="The ticket; the same one twice is one void.")],
    reason: Annotated[str, typer.Option(help="Why. It stands in the operation log, which the workspace reads too.")],
    workspace_id: OfWorkspace = None,
) -> None:
    """Take all that is left of a grant out of the account (operator). Idempotent by its reference. Free."""
    with session.client() as client:
        answer = client.workspaces.void_grant(
            workspace_id or client.credits.get().body["workspace_id"], grant_id, reference=reference, reason=reason
        )
    if session.as_json:
        session.output.answer(answer.body)
    else:
        show_correction(session.output, answer.body, replayed=answer.replayed)
