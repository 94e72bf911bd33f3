"""`productsync records`."""

from typing import Annotated, Any

import typer

from productsync.client import MAX_PAGE, Answer
from productsync.commands.session import Session, in_session
from productsync.output import Column, Output, credits_text, moment, number, shorten
from productsync.reports import value_text

app = typer.Typer(no_args_is_help=True)

Entity = Annotated[str, typer.Argument(metavar="ENTITY", help="product, category, variant, ...")]


@app.callback()
@in_session
def records(session: Session) -> None:
    """What is in the catalogue. Reading it through the API is a data call: 1 credit each."""


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
def get(
    session: Session, entity: Entity, key: Annotated[str, typer.Argument(metavar="KEY", help="The record's key.")]
) -> None:
    """One record. Costs 1 credit."""
    with session.client() as client:
        answer = client.record(entity, key)
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
            ("Paid by", record["operation_id"]),
        ]
    )
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
