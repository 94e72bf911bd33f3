"""`productsync feeds`."""

from pathlib import Path
from typing import Annotated

import typer

from productsync.client import gather
from productsync.commands import credentials
from productsync.commands.session import Session, in_session
from productsync.importing import NoDefinition, definition_of
from productsync.output import Column, moment
from productsync.sources import parse_source, source_text

app = typer.Typer(no_args_is_help=True)
app.add_typer(credentials.app, name="credentials")

FeedId = Annotated[str, typer.Argument(metavar="FEED_ID", help="The feed.")]


@app.callback()
@in_session
def feeds(session: Session) -> None:
    """How files become records: saved definitions, and the presets they build on. All of it is free."""


@app.command("list")
@in_session
def list_feeds(
    session: Session,
    limit: Annotated[int, typer.Option(min=1, help="How many.")] = 50,
    cursor: Annotated[str | None, typer.Option(help="Go on after an earlier listing.")] = None,
) -> None:
    """The saved feeds. Free."""
    with session.client() as client:
        page = gather(client.feeds.list, limit=limit, cursor=cursor)
    if session.as_json:
        session.output.answer(page)
        return
    session.output.table(
        [
            Column("Feed"),
            Column("Preset"),
            Column("Source", wraps=True, rank=3),
            Column("Version", number=True, rank=2),
            Column("Changed", rank=1),
        ],
        [
            [
                feed["feed_id"],
                feed["definition"].get("preset"),
                source_text(feed["definition"]) or "upload",
                feed["version"],
                moment(feed["updated_at"]),
            ]
            for feed in page["items"]
        ],
        empty="No feeds yet.",
    )


@app.command(no_args_is_help=True)
@in_session
def show(session: Session, feed_id: FeedId) -> None:
    """One feed's definition. Free."""
    with session.client() as client:
        feed = client.feeds.get(feed_id).body
    if session.as_json:
        session.output.answer(feed)
        return
    session.output.facts(
        [
            ("Feed", feed["feed_id"]),
            ("Source", source_text(feed["definition"])),
            ("Version", feed["version"]),
            ("Created", moment(feed["created_at"])),
            ("Changed", moment(feed["updated_at"])),
        ]
    )
    session.output.definition(feed["definition"])


@app.command(no_args_is_help=True)
@in_session
def put(
    session: Session,
    feed_id: FeedId,
    preset: Annotated[str | None, typer.Option(help="A preset to build on; see `feeds presets`.")] = None,
    feed: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, metavar="FILE", help="A definition, as JSON.")
    ] = None,
    skip_unchanged: Annotated[
        bool | None,
        typer.Option("--skip-unchanged/--no-skip-unchanged", help="Leave records alone that would not change."),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(metavar="SOURCE", help="Where its file is: https://…, s3://BUCKET/KEY, or upload."),
    ] = None,
) -> None:
    """Save a feed's definition, in place of the one it has. Free.

    With --source alone the rest of a saved definition stays.
    """
    definition = definition_of(preset, feed, skip_unchanged=skip_unchanged)
    if definition is None and source is None:
        raise NoDefinition("A feed needs a definition", "give --preset, --feed, or both")
    with session.client() as client:
        if definition is None:
            definition = client.feeds.get(feed_id).body["definition"]
        if source is not None:
            definition["source"] = parse_source(source)
        saved = client.feeds.put(feed_id, definition).body
    if session.as_json:
        session.output.answer(saved)
    else:
        session.output.line(f"Saved {saved['feed_id']}, version {saved['version']}.")


@app.command(no_args_is_help=True)
@in_session
def delete(session: Session, feed_id: FeedId) -> None:
    """Delete a feed's definition; what it imported stays. Free."""
    with session.client() as client:
        answer = client.feeds.delete(feed_id).body
    if session.as_json:
        session.output.answer(answer)
    else:
        session.output.line(f"Deleted {feed_id}.")


@app.command()
@in_session
def presets(
    session: Session,
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Show this one in full.")] = None,
) -> None:
    """The definitions that come with the service, one for each kind of shop. Free."""
    with session.client() as client:
        if name is not None:
            preset = client.presets.get(name).body
            if session.as_json:
                session.output.answer(preset)
            else:
                session.output.line(preset["description"])
                session.output.definition(preset["definition"])
            return
        page = client.presets.list().body
    if session.as_json:
        session.output.answer(page)
        return
    session.output.table(
        [
            Column("Preset"),
            Column("Formats", wraps=True, rank=1),
            Column("Records", wraps=True),
            Column("For", wraps=True),
        ],
        [
            [one["name"], ", ".join(one["formats"]), ", ".join(one["entities"]), one["description"]]
            for one in page["items"]
        ],
    )
