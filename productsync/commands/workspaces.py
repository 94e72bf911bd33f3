"""`productsync workspaces`."""

from typing import Annotated

import typer

from productsync.commands.session import Session, in_session
from productsync.failures import shown_once
from productsync.output import credits_text
from productsync.settings import API_KEY_VARIABLE, SavedKey, save_key

app = typer.Typer(no_args_is_help=True)


@app.callback()
@in_session
def workspaces(session: Session) -> None:
    """Customers' accounts: their catalogue, their automation, their credits."""


@app.command(no_args_is_help=True)
@in_session
def create(session: Session, name: Annotated[str, typer.Argument(metavar="NAME", help="What people call it.")]) -> None:
    """Create a workspace with its starter credits and its first key (operator). Free.

    The key is shown this once. On the embedded stack the commands that follow use it by themselves.
    """
    connection = session.connection()
    with session.client() as client:
        workspace = client.workspaces.create(name).body
    key = workspace["api_key"]
    secret = shown_once(
        key["secret"],
        f"The workspace {workspace['workspace_id']}",
        hint="Create another one, and leave this one empty.",
    )
    output = session.output
    if session.as_json:
        output.answer(workspace)
    else:
        output.facts(
            [
                ("Workspace", workspace["workspace_id"]),
                ("Name", workspace["name"]),
                ("Credits", credits_text(workspace["credits"]["available"])),
                ("API key", secret),
                ("Scopes", ", ".join(key["scopes"])),
            ]
        )
    if connection.stack is not None:
        path = save_key(session.home, connection.stack, SavedKey(workspace["workspace_id"], name, secret))
        output.note(f"The key is kept in {path} for the commands that follow.")
    else:
        output.note(f"Keep the key now: it is never shown again. The commands take it from {API_KEY_VARIABLE}.")
