"""`productsync credits` and `productsync top-up`."""

from decimal import Decimal, InvalidOperation
from typing import Annotated, Any

import typer

from productsync.commands.session import Session, in_session
from productsync.output import credits_text, moment
from productsync.reports import show_credits
from productsync.times import rfc3339

app = typer.Typer()


def _price(text: str) -> str:
    """Money stays the decimal text it was typed as; it only has to be one."""
    try:
        price = Decimal(text)
    except InvalidOperation:
        price = Decimal(-1)
    if not price.is_finite() or price < 0:
        raise typer.BadParameter(f"{text!r} is not an amount of money, such as 0.01")
    return text


@app.command("credits")
@in_session
def show_balance(session: Session) -> None:
    """The balance and the grants it consists of. Free."""
    with session.client() as client:
        balance = client.credits.get().body
    if session.as_json:
        session.output.answer(balance)
    else:
        show_credits(session.output, balance)


@app.command("top-up", no_args_is_help=True)
@in_session
def top_up(
    session: Session,
    amount: Annotated[int, typer.Argument(metavar="CREDITS", min=1, help="How many credits.")],
    unit_price: Annotated[str, typer.Option(callback=_price, metavar="AMOUNT", help="The price of one credit.")],
    reference: Annotated[str, typer.Option(help="The invoice or order; the same one twice grants once.")],
    workspace_id: Annotated[str | None, typer.Option(help="The workspace. Default: the one of the API key.")] = None,
    currency: Annotated[str | None, typer.Option(help="Of the unit price. Default: the deployment's.")] = None,
    expires_at: Annotated[
        str | None, typer.Option(metavar="TIME", callback=rfc3339, help="When what is left of it is lost (RFC 3339).")
    ] = None,
    promotional: Annotated[bool, typer.Option("--promotional", help="Given, not sold.")] = False,
) -> None:
    """Grant credits to a workspace (operator). Idempotent by its reference. Free."""
    order: dict[str, Any] = {"credits": amount, "unit_price": unit_price, "reference": reference}
    if expires_at is not None:
        order["expires_at"] = expires_at
    if promotional:
        order["kind"] = "promotional"
    if currency is not None:
        order["currency"] = currency
    with session.client() as client:
        answer = client.workspaces.top_up(workspace_id or client.credits.get().body["workspace_id"], order)
    grant = answer.body
    if session.as_json:
        session.output.answer(grant)
        return
    verb = "Granted already" if answer.replayed else "Granted"
    session.output.line(f"{verb}: {credits_text(grant['credits'])} to {grant['workspace_id']}.")
    session.output.facts(
        [
            ("Grant", grant["grant_id"]),
            ("Kind", grant["kind"]),
            ("Unit price", f"{grant['unit_price']} {grant['currency']}"),
            ("Reference", grant["reference"]),
            ("Expires", moment(grant["expires_at"]) or "never"),
            ("Settled a debt of", credits_text(grant["settled"]) if grant["settled"] else None),
        ]
    )
