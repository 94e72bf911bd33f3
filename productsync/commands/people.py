"""`productsync people`, `productsync login` and `productsync logout`."""

import os
import time
from typing import Annotated

import typer

from productsync.client import Client
from productsync.commands.session import Session, in_session
from productsync.failures import NotConnected, shown_once
from productsync.settings import API_KEY_VARIABLE, SIGN_IN_VARIABLE, Connection, Secret, sign_in_place, state_directory
from productsync.sign_in import (
    NewPasswordWanted,
    SignedIn,
    SignInRefused,
    UserPool,
    forget,
    remember,
    remembered,
    signed_in,
)

app = typer.Typer(no_args_is_help=True)
"""What an operator does about people."""
own = typer.Typer()
"""What people do themselves."""

Email = Annotated[str, typer.Argument(metavar="EMAIL", help="What they sign in with.")]


@app.callback()
@in_session
def people(session: Session) -> None:
    """Who may sign in to a workspace and edit by hand. Free, like all that people do by hand."""


@app.command(no_args_is_help=True)
@in_session
def add(
    session: Session,
    email: Email,
    workspace_id: Annotated[str | None, typer.Option(help="The workspace. Default: the one of the API key.")] = None,
) -> None:
    """Let a person sign in to a workspace (operator). Free.

    The temporary password is shown this once: hand it over. Before their first sign-in the same command gives another.
    """
    with session.client() as client:
        person = client.workspaces.add_person(workspace_id or client.credits.get().body["workspace_id"], email).body
    password = shown_once(person["temporary_password"], person["email"], hint="The same command gives another.")
    if session.as_json:
        session.output.answer(person)
        return
    session.output.facts(
        [
            ("Person", person["person_id"]),
            ("Workspace", person["workspace_id"]),
            ("E-mail", person["email"]),
            ("Password", password),
        ]
    )
    session.output.note("It works once, within a week: at the first sign-in they choose their own.")


@own.command(no_args_is_help=True)
@in_session
def login(
    session: Session,
    email: Email,
    at: Annotated[
        str | None,
        typer.Option(
            metavar="POOL/CLIENT", help=f"Where; default: {SIGN_IN_VARIABLE}, then the running embedded stack."
        ),
    ] = None,
) -> None:
    """Sign in as a person: what is done by hand is free. The commands that follow are theirs until `logout`.

    It asks for the password. With a temporary one it asks for their own as well.
    """
    connection = session.connection()
    place = sign_in_place(connection, at, os.environ)
    pool = UserPool(place)
    tokens = pool.sign_in(email, typer.prompt("Password", hide_input=True, err=True))
    if isinstance(tokens, NewPasswordWanted):
        session.output.note("This password was a temporary one. Choose your own.")
        chosen = typer.prompt("New password", hide_input=True, confirmation_prompt=True, err=True)
        tokens = pool.choose_password(tokens, chosen)
    person = signed_in(connection.endpoint, email, place, tokens, now=time.time())
    workspace_id = _workspace_of(connection, person)
    path = remember(state_directory(session.home), person)
    if session.as_json:
        session.output.answer({"email": email, "workspace_id": workspace_id})
    else:
        session.output.line(f"Signed in to {workspace_id} as {email}.")
    session.output.note(f"The sign-in is kept in {path} for the commands that follow.")
    if os.environ.get(API_KEY_VARIABLE):
        session.output.note(f"{API_KEY_VARIABLE} is set, and comes before it.")


@own.command()
@in_session
def logout(session: Session) -> None:
    """Sign out: the commands that follow use a key again. Free."""
    directory = state_directory(session.home)
    person = remembered(directory, session.connection().endpoint)
    if person is None:
        raise NotConnected("Nobody is signed in")
    forget(directory)
    try:
        UserPool(person.place).sign_out(person.refresh_token)
    except SignInRefused as refused:
        session.output.note(f"The sign-in had ended already: {refused.detail}")
    if session.as_json:
        session.output.answer({"email": person.email})
    else:
        session.output.line(f"Signed out: {person.email}.")


def _workspace_of(connection: Connection, person: SignedIn) -> str:
    """The workspace that the person is of, asked of the API: so a sign-in that it does not take is not kept."""
    theirs = Connection(
        endpoint=connection.endpoint,
        api_key=Secret(person.id_token, "this sign-in"),
        operator_key=None,
        stack=connection.stack,
    )
    with Client(theirs) as client:
        return client.credits.get().body["workspace_id"]
