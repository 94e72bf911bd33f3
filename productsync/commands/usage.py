"""`productsync usage`."""

from datetime import date
from enum import StrEnum
from http import HTTPStatus
from typing import Annotated

import typer

from productsync import times
from productsync.answers import Usage
from productsync.client import Client
from productsync.commands.session import Session, in_session
from productsync.failures import ApiProblem
from productsync.usage_reports import Outlook, first_of_pace, outlook_of, show_usage, show_usage_by

app = typer.Typer()


class Grouping(StrEnum):
    """What figures are grouped by."""

    DAY = "day"
    JOB = "job"
    KIND = "kind"
    ACTOR = "actor"
    ENTITY = "entity"
    MONTH = "month"


@app.command("usage")
@in_session
def usage(
    session: Session,
    month: Annotated[
        str | None, typer.Option(metavar="MONTH", callback=times.month, help="A month, such as 2026-11. Default: this.")
    ] = None,
    since: Annotated[
        str | None, typer.Option("--from", metavar="DAY", callback=times.day, help="The first day (UTC).")
    ] = None,
    until: Annotated[
        str | None, typer.Option("--to", metavar="DAY", callback=times.day, help="The last day (UTC), included.")
    ] = None,
    by: Annotated[Grouping | None, typer.Option(help="All the figures of each of these, instead of pictures.")] = None,
) -> None:
    """Where the credits went: by day and by job, the balance over time, and how long it lasts. Free.

    Exact figures of this month, or of other days (at most 366). The pace is the mean of the last seven days, or of
    those since the workspace was opened.
    """
    if month is not None:
        if (since, until) != (None, None):
            raise typer.BadParameter("say either --month, or --from and --to")
        since, until = times.days_of(month)
    with session.client() as client:
        found = client.usage.get(since, until, group_by=by or Grouping.DAY).body
        if session.as_json:
            session.output.answer(found)
            return
        outlook = _outlook(client, found)
        if by is not None:
            show_usage_by(session.output, found, outlook)
            return
        by_job = _by_job(client, found)
    show_usage(session.output, found, by_job, outlook)


def _by_job(client: Client, found: Usage) -> Usage | None:
    """None where a long period has more jobs than one answer holds: its days are shown all the same."""
    try:
        return client.usage.get(found["from"], found["to"], group_by=Grouping.JOB).body
    except ApiProblem as problem:
        if problem.status != HTTPStatus.UNPROCESSABLE_ENTITY:
            raise
        return None


def _outlook(client: Client, found: Usage) -> Outlook | None:
    """How long the credits last, where the period goes on; of one that is over it would say nothing."""
    today = times.today()
    if not found["from"] <= today.isoformat() <= found["to"]:
        return None
    return outlook_of(client.credits.get().body["available"], _last_days(client, found, today)["groups"], today)


def _last_days(client: Client, found: Usage, today: date) -> Usage:
    since = first_of_pace(today).isoformat()
    if found["group_by"] == Grouping.DAY and found["from"] <= since:
        return found
    return client.usage.get(since, today.isoformat(), group_by=Grouping.DAY).body
