"""`productsync records`."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import simplejson
import typer

from productsync.answers import Record
from productsync.client import MAX_PAGE, Answer, Client, Listing, pages
from productsync.commands.session import Session, in_session
from productsync.failures import CommandFailure, ExitCode
from productsync.files import UnusableFile
from productsync.output import Cell, Column, Output, count_text, credits_text, moment, number, shorten
from productsync.pushing import Pushed, RecordFile
from productsync.pushing import push as push_rows
from productsync.reports import value_text
from productsync.times import rfc3339

app = typer.Typer(no_args_is_help=True)

_STANDARD_INPUT = Path("-")

SHOWN_REFUSALS = 20
"""Refused records that people are shown; a program is given all."""

Entity = Annotated[str, typer.Argument(metavar="ENTITY", help="product, category, variant, ...")]
Key = Annotated[str, typer.Argument(metavar="KEY", help="The record's key.")]


@app.callback()
@in_session
def records(session: Session) -> None:
    """What is in the catalogue. Reading and writing it are data calls; for a person (`login`) they are free."""


@app.command("list", no_args_is_help=True)
@in_session
def list_records(
    session: Session,
    entity: Entity,
    updated_since: Annotated[
        str | None,
        typer.Option(metavar="TIME", callback=rfc3339, help="Only what was written then or later (RFC 3339)."),
    ] = None,
    prefix: Annotated[str | None, typer.Option(metavar="TEXT", help="Only keys that begin with this.")] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Every page, of 100 records each; with --json a record to a line.")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, max=MAX_PAGE, help="How many; one page is one call.")] = 20,
    cursor: Annotated[str | None, typer.Option(help="Go on after an earlier listing.")] = None,
) -> None:
    """One page of an entity's records, or with --all every one. Costs 1 credit for each page; free for a person."""
    output = session.output
    with session.client() as client:
        listing = partial(client.records.list, entity, updated_since=updated_since, key_prefix=prefix)
        if everything:
            _list_all(output, listing, cursor)
            return
        answer = listing(limit=limit, cursor=cursor)
    page = answer.body
    if session.as_json:
        output.answer(page)
        return
    more = page["next_cursor"]
    _table(output, map(_in_short, page["items"]), empty="No such records." if more is None else "None so far.")
    if more is not None:
        output.note(f"There are more: --cursor {more} (1 credit)")
    _tell_cost(output, answer)


def _list_all(output: Output, listing: Listing[Record], cursor: str | None) -> None:
    """Every record: as JSON Lines while they come, or as one table with a line of each."""
    rows: list[list[Cell]] = []
    seen = cost = 0
    available: int | None = None
    try:
        with output.stage("Reading") as stage:
            for answer in pages(listing, cursor=cursor):
                for record in answer.body["items"]:
                    if output.as_json:
                        output.json_line(record)
                    else:
                        rows.append(_in_short(record))
                seen += len(answer.body["items"])
                cost, available = cost + (answer.charged or 0), answer.available
                stage.detail(count_text(seen, "record"))
                cursor = answer.body["next_cursor"]
            stage.done(count_text(seen, "record"))
    except CommandFailure as failure:
        # What was read is paid for; the rest need not cost it again.
        failure.hint = f"The first {number(seen)} were read. Go on: --all --cursor {cursor}" if cursor else failure.hint
        raise
    _table(output, rows, empty="No such records.")
    if available is not None:
        output.note(f"Reading them cost {credits_text(cost)}; {number(available)} available.")


@app.command(no_args_is_help=True)
@in_session
def push(
    session: Session,
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="JSON Lines, or a JSON array, of {key, attributes} or {key, method, attributes, if_version}; or -.",
        ),
    ],
    entity: Entity,
) -> None:
    """Write the records of a file, 90 at a time: 1 credit for each such call, and 1 for each record that it changes.

    `method` is PUT unless it says PATCH or DELETE. What is refused is listed, and keeps none of the others from being
    written; then the exit code is 1. Pushing the same file again writes only what is not as in the file.
    """
    pushed = Pushed()
    try:
        with session.client() as client, _opened(file) as rows:
            _push(session.output, client, entity, rows, pushed)
    except (CommandFailure, KeyboardInterrupt) as stopped:
        if pushed.records:
            _report(session.output, pushed)
        if isinstance(stopped, CommandFailure) and pushed.calls:
            stopped.hint = stopped.hint or "What was pushed before is written. Pushing the file again does the rest."
        raise
    _report(session.output, pushed)
    if pushed.refused:
        raise typer.Exit(ExitCode.PROBLEM)


@contextmanager
def _opened(file: Path) -> Iterator[RecordFile]:
    """The records of a file, or of the standard input for `-`."""
    if file == _STANDARD_INPUT:
        yield RecordFile(sys.stdin.buffer, "The standard input")
        return
    try:
        stream = file.open("rb")
    except OSError as error:
        raise UnusableFile(f"Cannot read {file}", error.strerror) from error
    with stream:
        yield RecordFile(stream, str(file), file.stat().st_size)


def _push(output: Output, client: Client, entity: str, rows: RecordFile, pushed: Pushed) -> None:
    with output.stage("Pushing", total=1.0) as stage:
        try:
            for so_far in push_rows(client, entity, rows, pushed):
                stage.advance_to(rows.progress)
                stage.detail(count_text(so_far.records, "record"))
        except CommandFailure:
            stage.failed(f"stopped after {count_text(pushed.records, 'record')}")
            raise
        stage.done(count_text(pushed.records, "record"))


def _report(output: Output, pushed: Pushed) -> None:
    if output.as_json:
        output.answer(pushed.document())
        return
    parts = [f"{number(count)} {what}" for what, count in pushed.counts.items()]
    output.line(f"{', '.join(parts)}; {number(len(pushed.refused))} refused.")
    if pushed.credits is None:
        output.line("What it cost is in the log: `productsync operations`.")
    elif pushed.calls:
        left = "" if pushed.available is None else f"; {number(pushed.available)} available"
        calls = count_text(pushed.calls, "call")
        output.line(f"It cost {credits_text(pushed.credits)} for {calls} and what they changed{left}.")
    if not pushed.refused:
        return
    output.heading("Refused")
    output.table(
        [Column("Where"), Column("Key", wraps=True), Column("Status", number=True, rank=1), Column("Why", wraps=True)],
        [[one.place, one.key, one.status, one.detail] for one in pushed.refused[:SHOWN_REFUSALS]],
    )
    if len(pushed.refused) > SHOWN_REFUSALS:
        output.line(f"And {number(len(pushed.refused) - SHOWN_REFUSALS)} more: --json lists them all.")


@app.command(no_args_is_help=True)
@in_session
def get(session: Session, entity: Entity, key: Key) -> None:
    """One record. Costs 1 credit."""
    with session.client() as client:
        answer = client.records.get(entity, key)
    _show(session, answer)


def _attributes(texts: list[str]) -> list[str]:
    """Refuses what is no attribute before anything is sent."""
    for text in texts:
        _attribute(text)
    return texts


@app.command("set", no_args_is_help=True)
@in_session
def set_record(
    session: Session,
    entity: Entity,
    key: Key,
    attributes: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME=TEXT|NAME:=JSON...",
            callback=_attributes,
            help="`title=Drill` is text, `price:=12.50` JSON (a number, true, a list, ...), `note:=null` removes.",
        ),
    ],
    replace: Annotated[
        bool, typer.Option("--replace", help="These attributes and no others; creates the record if it is not there.")
    ] = False,
) -> None:
    """Change a record's attributes. Costs 1 credit, and 1 if the record changes; free for a person (`login`)."""
    wanted = dict(map(_attribute, attributes))
    with session.client() as client:
        write = client.records.put if replace else client.records.patch
        answer = write(entity, key, wanted)
    _show(session, answer)


@app.command(no_args_is_help=True)
@in_session
def delete(session: Session, entity: Entity, key: Key) -> None:
    """Delete a record. Costs 1 credit; free for a person (`login`)."""
    with session.client() as client:
        answer = client.records.delete(entity, key)
    if session.as_json:
        session.output.answer(answer.body)
        return
    session.output.line(f"Deleted: {entity} {key}.")
    _tell_cost(session.output, answer)


def _attribute(text: str) -> tuple[str, Any]:
    """`title=Drill` or `price:=12.50`: a name and its value, numbers exact."""
    name, separator, value = text.partition("=")
    is_json = name.endswith(":")
    name = name.removesuffix(":")
    if not separator or not name:
        raise typer.BadParameter(f"{text!r} is not NAME=TEXT or NAME:=JSON")
    if not is_json:
        return name, value
    try:
        return name, simplejson.loads(value, use_decimal=True)
    except ValueError as error:
        raise typer.BadParameter(f"{value!r} of {name} is not JSON; {name}={value} would be text") from error


def _show(session: Session, answer: Answer[Record]) -> None:
    record, output = answer.body, session.output
    if session.as_json:
        output.answer(record)
        return
    output.facts(
        [
            ("Record", f"{record['entity']} {record['key']}"),
            ("Version", record["version"]),
            ("Created", moment(record["created_at"])),
            ("Updated", moment(record["updated_at"])),
            ("Paid by", record["operation_id"] or "nobody: written by hand"),
        ]
    )
    for rule_id, wrote in record.get("rules", {}).items():
        output.line(f"The rule {rule_id} last wrote version {wrote['version']}, paid by {wrote['operation_id']}.")
    output.line()
    attributes = record["attributes"]
    output.table(
        [Column("Attribute"), Column("Value")], [[name, value_text(value)] for name, value in attributes.items()]
    )
    _tell_cost(output, answer)


def _table(output: Output, rows: Iterable[Sequence[Cell]], *, empty: str) -> None:
    output.table(
        [
            Column("Key", wraps=True),
            Column("Version", number=True, rank=1),
            Column("Updated", rank=1),
            Column("Attributes", wraps=True),
        ],
        list(rows),
        empty=empty,
    )


def _in_short(record: Record) -> list[Cell]:
    """A record's line of a table, which does not keep the rest of it."""
    attributes = ", ".join(f"{name}: {value_text(value, 30)}" for name, value in record["attributes"].items())
    return [record["key"], record["version"], moment(record["updated_at"]), shorten(attributes, 100)]


def _tell_cost(output: Output, answer: Answer[Any]) -> None:
    if answer.charged is not None and answer.available is not None:
        output.note(f"This call cost {credits_text(answer.charged)}; {number(answer.available)} available.")
