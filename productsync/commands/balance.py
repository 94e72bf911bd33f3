"""`productsync credits` and `productsync top-up`."""

from decimal import Decimal, InvalidOperation
from typing import Annotated, Any

import typer

from productsync.commands.session import Session, in_session
from productsync.output import credits_text, moment
from productsync.reports import show_correction, show_credits
from productsync.times import rfc3339

app = typer.Typer()
account = typer.Typer(invoke_without_command=True)


def _price(text: str | None) -> str | None:
    """Money stays the decimal text it was typed as; it only has to be one."""
    if text is None:
        return None
    try:
        price = Decimal(text)
    except InvalidOperation:
        price = Decimal(-1)
    if not price.is_finite() or price < 0:
        raise typer.BadParameter(f"{text!r} is not an amount of money, such as 0.01")
    return text


@account.callback()
@in_session
def show_balance(session: Session) -> None:
    """The balance and the grants it consists of. Free.

    Without a command: show it.
    """
    if session.subcommand is not None:
        return
    with session.client() as client:
        balance = client.credits.get().body
    if session.as_json:
        session.output.answer(balance)
    else:
        show_credits(session.output, balance)


@account.command(no_args_is_help=True)
@in_session
def correct(
    session: Session,
    *,
    reference: Annotated[str, typer.Option(help="The ticket; the same one twice corrects once.")],
    reason: Annotated[str, typer.Option(help="Why. It stands in the operation log, which the workspace reads too.")],
    give: Annotated[int | None, typer.Option(min=1, metavar="CREDITS", help="Add so many, as a grant.")] = None,
    take: Annotated[int | None, typer.Option(min=1, metavar="CREDITS", help="Take so many back.")] = None,
    workspace_id: Annotated[str | None, typer.Option(help="The workspace. Default: the one of the API key.")] = None,
    unit_price: Annotated[
        str | None, typer.Option(callback=_price, metavar="AMOUNT", help="With --give: the price of one. Default: 0.")
    ] = None,
    currency: Annotated[str | None, typer.Option(help="Of the unit price. Default: the deployment's.")] = None,
    expires_at: Annotated[
        str | None,
        typer.Option(metavar="TIME", callback=rfc3339, help="With --give: when what is left of it is lost (RFC 3339)."),
    ] = None,
    corrects: Annotated[
        str | None, typer.Option(metavar="YYYY-MM", help="The month whose books it corrects, when it is a late one.")
    ] = None,
) -> None:
    """Correct the credits of a workspace, with a reason (operator). Idempotent by its reference. Free.

    Nothing that was given or spent is changed: what is given is a grant, which settles first what is owed, and what is
    taken leaves the grants that would pay next.
    """
    if (give is None) == (take is None):
        raise typer.BadParameter("say either --give or --take")
    with session.client() as client:
        answer = client.workspaces.correct(
            workspace_id or client.credits.get().body["workspace_id"],
            give or -(take or 0),
            reference=reference,
            reason=reason,
            unit_price=unit_price,
            currency=currency,
            expires_at=expires_at,
            corrects=corrects,
        )
    if session.as_json:
        session.output.answer(answer.body)
    else:
        show_correction(session.output, answer.body, replayed=answer.replayed)


@app.command("top-up", no_args_is_help=True)
@in_session
def top_up(
    session: Session,
    amount: Annotated[int, typer.Argument(metavar="CREDITS", min=1, help="How many credits.")],
    *,
    unit_price: Annotated[str, typer.Option(callback=_price, metavar="AMOUNT", help="The price of one credit.")],
    reference: Annotated[str, typer.Option(help="The invoice or order; the same one twice grants once.")],
    workspace_id: Annotated[str | None, typer.Option(help="The workspace. Default: the one of the API key.")] = None,
    currency: Annotated[str | None, typer.Option(help="Of the unit price. Default: the deployment's.")] = None,
    expires_at: Annotated[
        str | None, typer.Option(metavar="TIME", callback=rfc3339, help="When what is left of it is lost (RFC 3339).")
    ] = None,
    promotional: Annotated[bool, typer.Option("--promotional", help="Given, not sold.")] = False,
    priority: Annotated[
        int | None,
        typer.Option(min=0, max=1000, help="The lowest is drawn first. Default: 30; 20 of a promotional one."),
    ] = None,
) -> None:
    """Grant credits to a workspace (operator). Idempotent by its reference. Free."""
    order: dict[str, Any] = {"credits": amount, "unit_price": unit_price, "reference": reference}
    if expires_at is not None:
        order["expires_at"] = expires_at
    if promotional:
        order["kind"] = "promotional"
    if priority is not None:
        order["priority"] = priority
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
            ("Priority", grant["priority"]),
            ("Reference", grant["reference"]),
            ("Expires", moment(grant["expires_at"]) or "never"),
            ("Settled a debt of", credits_text(grant["settled"]) if grant["settled"] else None),
        ]
    )
