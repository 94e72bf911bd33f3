"""`productsync keys`."""

import sys
from typing import Annotated

import typer

from productsync.answers import NewKey
from productsync.client import Client, gather
from productsync.client.accounts import KeysGroup
from productsync.commands.session import Session, in_session
from productsync.failures import shown_once
from productsync.output import Column, Output, count_text, moment
from productsync.settings import API_KEY_VARIABLE, Connection, SavedKey, save_key, saved_key
from productsync.times import rfc3339

app = typer.Typer(no_args_is_help=True)

OVERLAP_SECONDS = 24 * 60 * 60
"""How long a key that is rotated stays good, unless it is said; the API's own default."""

KeyId = Annotated[str, typer.Argument(metavar="KEY_ID", help="The key: `key_...`.")]
Operators = Annotated[bool, typer.Option("--operators", help="The operators' keys, with the operator key.")]


@app.callback()
@in_session
def keys(session: Session) -> None:
    """What programs show to the API: keys, each with a name and scopes. All of it is free."""


@app.command("list")
@in_session
def list_keys(
    session: Session,
    operators: Operators = False,
    limit: Annotated[int, typer.Option(min=1, help="How many.")] = 50,
    cursor: Annotated[str | None, typer.Option(help="Go on after an earlier listing.")] = None,
) -> None:
    """The keys, without their secrets, and when each was last used. Free."""
    with session.client() as client:
        page = gather(_group(client, operators).list, limit=limit, cursor=cursor)
    output = session.output
    if session.as_json:
        output.answer(page)
        return
    output.table(
        [
            Column("Key"),
            Column("Name", wraps=True),
            Column("State"),
            Column("Scopes", wraps=True, rank=1),
            Column("Last used", rank=1),
            Column("Expires", rank=2),
            Column("Created", rank=3),
            Column("Made by", rank=3),
            Column("Replaced by", rank=3),
        ],
        [
            [
                key["key_id"],
                key["name"],
                key["state"],
                ", ".join(key["scopes"]),
                moment(key["last_used_at"]) or "never",
                moment(key["expires_at"]) or "never",
                moment(key["created_at"]),
                key["created_by"],
                key["replaced_by"],
            ]
            for key in page["items"]
        ],
        empty="No keys yet.",
    )
    if page["next_cursor"] is not None:
        output.note(f"There are more: --cursor {page['next_cursor']}")


@app.command(no_args_is_help=True)
@in_session
def create(
    session: Session,
    name: Annotated[str, typer.Argument(metavar="NAME", help="What it is for: `the shop's ERP`.")],
    scopes: Annotated[
        list[str],
        typer.Option(
            "--scope", metavar="SCOPE", help="read, write, configure or finance; give it again for each. You need it."
        ),
    ],
    expires_at: Annotated[
        str | None, typer.Option(metavar="TIME", callback=rfc3339, help="When it ends by itself (RFC 3339).")
    ] = None,
    operators: Operators = False,
) -> None:
    """Make a key. Its secret is shown this once, and kept nowhere. Free."""
    with session.client() as client:
        key = _group(client, operators).create(name, scopes, expires_at=expires_at).body
    _show_new(session, key)
    session.output.note(f"Keep the key now: it is never shown again. The commands take it from {API_KEY_VARIABLE}.")


@app.command(no_args_is_help=True)
@in_session
def rotate(
    session: Session,
    key_id: KeyId,
    overlap_seconds: Annotated[
        int,
        typer.Option(min=0, max=2_592_000, help="How long the old key stays good; 0 ends it at once."),
    ] = OVERLAP_SECONDS,
    keep: Annotated[
        bool | None,
        typer.Option(
            "--keep/--no-keep",
            help="When these commands use the old key, kept from the embedded stack: use the new one from now on.",
            show_default="ask, on a terminal",
        ),
    ] = None,
    operators: Operators = False,
) -> None:
    """Make a key of the same name and scopes in place of another one. The secret is shown this once. Free.

    The old key stays good for a day unless --overlap-seconds says otherwise: time to hand the new one out.
    """
    connection = session.connection()
    with session.client() as client:
        key = _group(client, operators).rotate(key_id, overlap_seconds=overlap_seconds).body
    secret = _show_new(session, key)
    output = session.output
    then = f"is good for {count_text(overlap_seconds, 'second')} more" if overlap_seconds else "has ended"
    output.note(f"Keep the key now: it is never shown again. The old one, {key_id}, {then}.")
    if operators:
        return
    if (kept := _kept(session, connection, key_id)) is not None:
        _offer_to_keep(session, connection, SavedKey(kept.workspace_id, kept.name, secret), keep)
    elif connection.api_key is not None and _is_text_of(key_id, connection.api_key.value):
        output.note(f"It is the key that these commands use, from {connection.api_key.origin}: give the new one there.")


@app.command(no_args_is_help=True)
@in_session
def revoke(session: Session, key_id: KeyId, operators: Operators = False) -> None:
    """End a key at once. Whoever still uses it is refused. Free."""
    with session.client() as client:
        answer = _group(client, operators).revoke(key_id).body
    if session.as_json:
        session.output.answer(answer)
    else:
        session.output.line(f"Revoked {key_id}.")


def _group(client: Client, operators: bool) -> KeysGroup:
    return client.operator_keys if operators else client.keys


def _show_new(session: Session, key: NewKey) -> str:
    """Shows a new key, and gives its secret. Raises SecretLost."""
    hint = f"End it and make another one: `productsync keys revoke {key['key_id']}`."
    secret = shown_once(key["secret"], f"The key {key['key_id']}", hint=hint)
    output: Output = session.output
    if session.as_json:
        output.answer(key)
    output.facts(
        [
            ("Key", key["key_id"]),
            ("Name", key["name"]),
            ("Secret", secret),
            ("Scopes", ", ".join(key["scopes"])),
            ("Expires", moment(key["expires_at"]) or "never"),
        ]
    )
    return secret


def _kept(session: Session, connection: Connection, key_id: str) -> SavedKey | None:
    """The key that is kept for the embedded stack, if it is this one and these commands use it."""
    if connection.stack is None or connection.api_key is None:
        return None
    kept = saved_key(session.home, connection.stack)
    is_it = kept is not None and kept.secret == connection.api_key.value and _is_text_of(key_id, kept.secret)
    return kept if is_it else None


def _is_text_of(key_id: str, text: str) -> bool:
    """Whether a key's text is that of this key: `psk_<ULID>_...` is `key_<ULID>`."""
    return text.startswith(f"psk_{key_id.removeprefix('key_')}_")


def is_asked() -> bool:
    """Whether somebody sits there who can answer."""
    return sys.stdin.isatty()


def _offer_to_keep(session: Session, connection: Connection, new: SavedKey, keep: bool | None) -> None:
    """Keeps the new key for the commands that follow, if that is wanted."""
    if keep is None:
        question = "These commands use the old key. Use the new one?"
        keep = is_asked() and not session.as_json and typer.confirm(question, default=True, err=True)
    if keep and connection.stack is not None:
        path = save_key(session.home, connection.stack, new)
        session.output.note(f"The key is kept in {path} for the commands that follow.")
    else:
        session.output.note("These commands go on with the old key, as long as it is good (--keep).")
