"""What people are told about schedules: when they fire, what they have cost, and what they would cost."""

from collections.abc import Iterable
from decimal import Decimal

from productsync.answers import ExpectedCost, Schedule, ScheduleCost, ScheduleSummary
from productsync.output import Cell, Column, Output, count_text, credits_text, moment, number

_STATES = {"paused": "paused: out of credits; it goes on by itself after a top-up"}


def show_schedules(output: Output, schedules: Iterable[ScheduleSummary]) -> None:
    """A list of schedules."""
    columns = [
        Column("Schedule"),
        Column("Feed or rule", wraps=True, rank=2),
        Column("Fires", wraps=True),
        Column("Zone", rank=3),
        Column("State"),
        Column("Runs a day", number=True, rank=4),
        Column("Next", rank=1),
    ]
    rows: list[list[Cell]] = [
        [
            one["schedule_id"],
            _job(one),
            one["expression"],
            one["time_zone"],
            one["state"],
            _amount(one["runs_per_day"]),
            _next(one),
        ]
        for one in schedules
    ]
    output.table(columns, rows, empty="No schedules yet.")


def show_schedule(output: Output, schedule: Schedule) -> None:
    """One schedule in full, and the answer to how often it should fire."""
    output.facts(
        [
            ("Schedule", schedule["schedule_id"]),
            ("Feed", schedule["feed_id"]),
            ("Rule", schedule["rule_id"]),
            ("Fires", f"{schedule['expression']}, {schedule['time_zone']}"),
            ("State", _STATES.get(schedule["state"], schedule["state"])),
            ("About", schedule["description"] or None),
            ("Changed", moment(schedule["updated_at"])),
            ("Last run", schedule["last_run_id"]),
            *_past(schedule["cost"]),
        ]
    )
    if schedule["next_firings"]:
        output.heading("Next firings")
        for at in schedule["next_firings"]:
            output.line(moment(at) or at)
    output.heading("What it costs, and would cost at another frequency, in credits")
    columns = [
        Column("Fires", wraps=True),
        Column("Runs a day", number=True, rank=3),
        Column("Triggers a day", number=True, rank=2),
        Column("Records a day", number=True, rank=2),
        Column("All a day", number=True, rank=1),
        Column("All in 30 days", number=True),
    ]
    rows = [_expected(f"{schedule['expression']} (this one)", schedule["expected"])]
    rows += [_expected(each["expression"], each) for each in schedule["frequencies"]]
    output.table(columns, rows)
    if schedule["expected"]["per_day"]["records"] is None:
        output.line("What the records cost is not known before the first run: no history yet.")
    else:
        output.line(
            "The records are the average of what this schedule did; the triggers follow from how often it fires."
        )


def _job(schedule: ScheduleSummary) -> str | None:
    return schedule["feed_id"] if schedule["rule_id"] is None else f"rule {schedule['rule_id']}"


def _past(cost: ScheduleCost) -> list[tuple[str, Cell]]:
    firings = ", ".join(f"{number(cost[name])} {name}" for name in ("started", "skipped", "refused"))
    spent = f"{number(cost['trigger_credits'])} for triggers + {number(cost['record_credits'])} for records"
    return [
        (f"Last {count_text(cost['days'], 'day')}", f"{credits_text(cost['credits'])}: {spent}"),
        ("Firings", firings),
    ]


def _expected(fires: str, cost: ExpectedCost) -> list[Cell]:
    day, month = cost["per_day"], cost["per_month"]
    return [
        fires,
        _amount(cost["runs_per_day"]),
        _amount(day["triggers"]),
        None if day["records"] is None else _amount(day["records"]),
        _all(day["triggers"], day["total"]),
        _all(month["triggers"], month["total"]),
    ]


def _all(triggers: str, total: str | None) -> str:
    return f"{_amount(triggers)} + records" if total is None else _amount(total)


def _amount(text: str) -> str:
    """A decimal for people: 1,234.5."""
    return f"{Decimal(text):,f}"


def _next(schedule: ScheduleSummary) -> str | None:
    return moment(schedule["next_firings"][0]) if schedule["next_firings"] else None
