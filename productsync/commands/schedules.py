"""`productsync schedules`."""

from typing import Annotated, Any

import typer

from productsync.answers import Schedule
from productsync.client import Client, gather
from productsync.commands.session import Session, in_session
from productsync.failures import ApiProblem
from productsync.output import moment
from productsync.schedule_reports import show_schedule, show_schedules

app = typer.Typer(no_args_is_help=True)

ScheduleId = Annotated[str, typer.Argument(metavar="SCHEDULE_ID", help="The schedule.")]

_OWNED = ("feed_id", "rule_id", "expression", "time_zone", "enabled", "description")
"""The fields that an owner sets."""

_JOBS = frozenset({"feed_id", "rule_id"})
"""Those that say what is done; a schedule has one of them."""


@app.callback()
@in_session
def schedules(session: Session) -> None:
    """When feeds are pulled, and rules run, by themselves. All of it is free; each firing costs 1 credit, and what it
    changes its own.
    """


@app.command("list")
@in_session
def list_schedules(
    session: Session,
    limit: Annotated[int, typer.Option(min=1, help="How many.")] = 50,
    cursor: Annotated[str | None, typer.Option(help="Go on after an earlier listing.")] = None,
) -> None:
    """The schedules, and when each fires next. Free."""
    with session.client() as client:
        page = gather(client.schedules.list, limit=limit, cursor=cursor)
    if session.as_json:
        session.output.answer(page)
        return
    show_schedules(session.output, page["items"])
    if page["next_cursor"] is not None:
        session.output.note(f"There are more: --cursor {page['next_cursor']}")


@app.command(no_args_is_help=True)
@in_session
def show(session: Session, schedule_id: ScheduleId) -> None:
    """One schedule: when it fires next, what it has cost, and what it would cost more or less often. Free."""
    with session.client() as client:
        schedule = client.schedules.get(schedule_id).body
    _print(session, schedule)


@app.command("set", no_args_is_help=True)
@in_session
def set_schedule(
    session: Session,
    schedule_id: ScheduleId,
    feed_id: Annotated[str | None, typer.Option(help="The feed to pull; it has a source of its own.")] = None,
    rule_id: Annotated[str | None, typer.Option(help="Instead of a feed: the rule to run.")] = None,
    expression: Annotated[
        str | None,
        typer.Option(help='"rate(1 hour)", "cron(0 6 ? * MON-FRI *)" or "at(2027-01-31T08:00:00)".'),
    ] = None,
    time_zone: Annotated[str | None, typer.Option(metavar="ZONE", help="Such as Europe/Berlin. Default: UTC.")] = None,
    description: Annotated[str | None, typer.Option(help="For people.")] = None,
    enabled: Annotated[bool | None, typer.Option("--enabled/--disabled", help="Default: enabled.")] = None,
) -> None:
    """Make a schedule, or change one: what is left out stays as it is. Free.

    A new one needs --feed-id or --rule-id, and --expression. A rate is counted from when the schedule was last set.
    """
    if feed_id is not None and rule_id is not None:
        raise typer.BadParameter("a schedule pulls a feed or runs a rule: give --feed-id or --rule-id, and not both")
    given = {
        "feed_id": feed_id,
        "rule_id": rule_id,
        "expression": expression,
        "time_zone": time_zone,
        "enabled": enabled,
        "description": description,
    }
    changes = {name: value for name, value in given.items() if value is not None}
    with session.client() as client:
        known = _known(client, schedule_id)
        if known is None and not (changes.keys() & _JOBS and "expression" in changes):
            raise typer.BadParameter(
                f"there is no schedule {schedule_id} yet; a new one needs --feed-id or --rule-id, and --expression"
            )
        schedule = client.schedules.put(schedule_id, _changed(known, changes)).body
    _print(session, schedule)


@app.command(no_args_is_help=True)
@in_session
def enable(session: Session, schedule_id: ScheduleId) -> None:
    """Let a schedule fire. Out of credits it waits for a top-up all the same. Free."""
    schedule = _switch(session, schedule_id, enabled=True)
    if session.as_json:
        session.output.answer(schedule)
        return
    then = f"next at {moment(schedule['next_firings'][0])}" if schedule["next_firings"] else "with no firing to come"
    if schedule["state"] == "paused":
        then = "and fires when there are credits again"
    session.output.line(f"{schedule_id} is enabled, {then}.")


@app.command(no_args_is_help=True)
@in_session
def disable(session: Session, schedule_id: ScheduleId) -> None:
    """Keep a schedule from firing until it is enabled again; a top-up does not wake it. Free."""
    schedule = _switch(session, schedule_id, enabled=False)
    if session.as_json:
        session.output.answer(schedule)
    else:
        session.output.line(f"{schedule_id} is disabled.")


@app.command(no_args_is_help=True)
@in_session
def delete(session: Session, schedule_id: ScheduleId) -> None:
    """Delete a schedule; what it imported stays. Free."""
    with session.client() as client:
        answer = client.schedules.delete(schedule_id).body
    if session.as_json:
        session.output.answer(answer)
    else:
        session.output.line(f"Deleted {schedule_id}.")


def _switch(session: Session, schedule_id: str, *, enabled: bool) -> Schedule:
    with session.client() as client:
        known = client.schedules.get(schedule_id).body
        if known["enabled"] is enabled:
            # Setting it anew would count its rate from now.
            return known
        return client.schedules.put(schedule_id, _owned(known) | {"enabled": enabled}).body


def _known(client: Client, schedule_id: str) -> Schedule | None:
    try:
        return client.schedules.get(schedule_id).body
    except ApiProblem as problem:
        if problem.status == 404:
            return None
        raise


def _changed(schedule: Schedule | None, changes: dict[str, Any]) -> dict[str, Any]:
    """What its owner said, and now says; nothing was said of one that is new. A job takes the place of the other."""
    kept = {} if schedule is None else _owned(schedule)
    if changes.keys() & _JOBS:
        kept = {name: value for name, value in kept.items() if name not in _JOBS}
    return kept | changes


def _owned(schedule: Schedule) -> dict[str, Any]:
    """What its owner said."""
    return {name: value for name, value in schedule.items() if name in _OWNED and value is not None}


def _print(session: Session, schedule: Schedule) -> None:
    if session.as_json:
        session.output.answer(schedule)
    else:
        show_schedule(session.output, schedule)
