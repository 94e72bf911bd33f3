"""`productsync stack`, `productsync up` and `productsync down`."""

from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from productsync.commands.session import Session, in_session
from productsync.failures import NotConnected
from productsync.settings import running_stack, state_directory

if TYPE_CHECKING:
    from productsync.stack import StackState

app = typer.Typer()


@app.command()
@in_session
def stack(session: Session) -> None:
    """The endpoint and the operator key of the running embedded stack."""
    state = running_stack(session.home)
    if state is None:
        raise NotConnected("No embedded stack is running", hint="Start one with `productsync up` (or `make up`).")
    _show(session, state)


@app.command()
@in_session
def up(session: Session) -> None:
    """Start the embedded stack, and leave it running until `productsync down`.

    One that runs already stays, with its data; it is given the code and the template as they are now.
    """
    from productsync.stack.embedded import up as start  # noqa: PLC0415  it loads the AWS libraries

    with session.output.stage("Starting the embedded stack") as stage:
        running, is_new = start(state_directory(session.home))
        stage.done("up" if is_new else "it was up already")
    _show(session, running.state)


@app.command()
@in_session
def down(session: Session) -> None:
    """Stop the embedded stack. Its data is gone."""
    from productsync.stack.embedded import down as stop  # noqa: PLC0415  it loads the AWS libraries

    stopped = stop(state_directory(session.home))
    if session.as_json:
        session.output.answer({"stopped": stopped})
    else:
        session.output.line("Stopped." if stopped else "No embedded stack was running.")


def _show(session: Session, state: "StackState") -> None:
    if session.as_json:
        session.output.answer(asdict(state))
        return
    session.output.facts([("Endpoint", state.endpoint), ("Operator key", state.operator_key)])
