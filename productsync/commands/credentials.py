"""`productsync feeds credentials`."""

from typing import Annotated, Any

import typer

from productsync.answers import SourceCredentials
from productsync.commands.session import Session, in_session
from productsync.output import moment
from productsync.sources import ask_for_secret

app = typer.Typer(no_args_is_help=True)

FeedId = Annotated[str, typer.Argument(metavar="FEED_ID", help="The feed.")]


@app.callback()
@in_session
def credentials(session: Session) -> None:
    """What a feed's source wants before it gives its file. Free, and never shown again."""


@app.command("set", no_args_is_help=True)
@in_session
def set_credentials(
    session: Session,
    feed_id: FeedId,
    username: Annotated[str | None, typer.Option(metavar="NAME", help="A username; its password is asked for.")] = None,
    bearer: Annotated[bool, typer.Option("--bearer", help="A token, which is asked for.")] = False,
    header: Annotated[
        str | None, typer.Option(metavar="NAME", help="A header such as X-Api-Key; its value is asked for.")
    ] = None,
) -> None:
    """Give a feed the credentials for its source. Free.

    The secret is asked for; a script sends it on the standard input, or has it in PRODUCTSYNC_SOURCE_SECRET. It goes
    to the host that the feed's source names now, and to no other.
    """
    if [username is not None, bearer, header is not None].count(True) != 1:
        raise typer.BadParameter("give one of --username, --bearer and --header")
    body: dict[str, Any]
    if username is not None:
        body = {"type": "basic", "username": username, "password": ask_for_secret("Password")}
    elif header is not None:
        body = {"type": "header", "name": header, "value": ask_for_secret(f"Value of {header}")}
    else:
        body = {"type": "bearer", "token": ask_for_secret("Token")}
    with session.client() as client:
        _tell(session, client.feeds.put_credentials(feed_id, body).body)


@app.command(no_args_is_help=True)
@in_session
def show(session: Session, feed_id: FeedId) -> None:
    """What is known of a feed's credentials: everything but the secret. Free."""
    with session.client() as client:
        _tell(session, client.feeds.credentials(feed_id).body)


@app.command(no_args_is_help=True)
@in_session
def delete(session: Session, feed_id: FeedId) -> None:
    """Forget a feed's credentials. Free."""
    with session.client() as client:
        answer = client.feeds.delete_credentials(feed_id).body
    if session.as_json:
        session.output.answer(answer)
    else:
        session.output.line(f"Forgot the credentials of {feed_id}.")


def _tell(session: Session, found: SourceCredentials) -> None:
    if session.as_json:
        session.output.answer(found)
        return
    session.output.facts(
        [
            ("Type", found["type"]),
            ("Username", found["username"]),
            ("Header", found["name"]),
            ("For", found["origin"]),
            ("Since", moment(found["updated_at"])),
        ]
    )
