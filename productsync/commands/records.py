"""`productsync records`."""

from typing import Annotated, Any

import simplejson
import typer

from productsync.answers import Record
from productsync.client import MAX_PAGE, Answer
from productsync.commands.session import Session, in_session
from productsync.output import Column, Output, credits_text, moment, number, shorten
from productsync.reports import value_text

app = typer.Typer(no_args_is_help=True)

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
    limit: Annotated[int, typer.Option(min=1, max=MAX_PAGE, help="How many; one page is one call.")] = 20,
    cursor: Annotated[str | None, typer.Option(help="Go on after an earlier listing.")] = None,
) -> None:
    """One page of an entity's records. Costs 1 credit."""
    with session.client() as client:
        answer = client.records(entity, limit=limit, cursor=cursor)
    page, output = answer.body, session.output
    if session.as_json:
        output.answer(page)
        return
    output.table(
        [
            Column("Key", wraps=True),
            Column("Version", number=True, rank=1),
            Column("Updated", rank=1),
            Column("Attributes", wraps=True),
        ],
        [
            [one["key"], one["version"], moment(one["updated_at"]), _in_short(one["attributes"])]
            for one in page["items"]
        ],
        empty="No such records.",
    )
    if page["next_cursor"] is not None:
        output.note(f"There are more: --cursor {page['next_cursor']} (1 credit)")
    _tell_cost(output, answer)


@app.command(no_args_is_help=True)
@in_session
def get(session: Session, entity: Entity, key: Key) -> None:
    """One record. Costs 1 credit."""
    with session.client() as client:
        answer = client.record(entity, key)
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
        write = client.put_record if replace else client.patch_record
        answer = write(entity, key, wanted)
    _show(session, answer)


@app.command(no_args_is_help=True)
@in_session
def delete(session: Session, entity: Entity, key: Key) -> None:
    """Delete a record. Costs 1 credit; free for a person (`login`)."""
    with session.client() as client:
        answer = client.delete_record(entity, key)
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


def _in_short(attributes: dict[str, Any]) -> str:
    return shorten(", ".join(f"{name}: {value_text(value, 30)}" for name, value in attributes.items()), 100)


def _tell_cost(output: Output, answer: Answer[Any]) -> None:
    if answer.charged is not None and answer.available is not None:
        output.note(f"This call cost {credits_text(answer.charged)}; {number(answer.available)} available.")
