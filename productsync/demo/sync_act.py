"""The third act: a sync every minute, credits that end in the middle of it, and a top-up that lets it go on.

A supplier's stock changes by more than there are credits for. What must hold: the credits end at exactly 0, with as
many records written as credits spent; automation stops in EventBridge Scheduler itself; a person edits all the same;
and after a top-up all of it goes on by itself, with not one row lost or paid twice.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from productsync.answers import Credits, Operation, Record, Run, Schedule
from productsync.client import Client, gather
from productsync.demo.figures import ALL_OPERATIONS, CheckedFigures, RunDidNotFinish, credits_of, show_log_summary
from productsync.demo.supplier import ENTITY, PRODUCTS, SOLD, Supplier, after_sales, definition, stock_at_first
from productsync.demo.waiting import PATIENCE, until
from productsync.importing import ENDED, outcome_text, start_run, wait_for
from productsync.output import Output, credits_text, number
from productsync.reports import error_text, show_counts, show_credits
from productsync.stack import EmbeddedStack

FEED = "supplier-stock"
SCHEDULE = "every-minute"
EXPRESSION = "rate(1 minute)"
MINUTE = 60.0

_TITLES = ("The schedule fires", "Automation stops", "People are not blocked", "A top-up lets it go on", "The books")
STEPS = len(_TITLES)

TOP_UP = 1_000
UNIT_PRICE = "0.01"

EDITED = f"ST-{PRODUCTS:05d}"
"""The last product of the file: the sync has not come to it when the credits end."""

EDIT = {"shelf": "window, left"}
"""An attribute that the feed does not map."""


@dataclass(frozen=True)
class SyncAct:
    """The act under way, on a workspace of its own that was given `free` credits.

    `person` is a client of somebody who has signed in, `operator` one that may top up. `copy_state` asks EventBridge
    Scheduler for the state of the schedule as it holds it.
    """

    person: Client
    operator: Client
    workspace_id: str
    free: int
    supplier: Supplier
    copy_state: Callable[[], str]
    output: Output
    figures: CheckedFigures


@dataclass(frozen=True)
class Prepared:
    """What was set up before the schedule fires."""

    schedule: Schedule
    first: Run


@dataclass(frozen=True)
class Stopped:
    """The moment at which the credits are out: the sync's run, and what the log holds."""

    run: Run
    operations: list[Operation]


def copy_state(stack: EmbeddedStack, workspace_id: str) -> Callable[[], str]:
    """Asks EventBridge Scheduler itself, not the tables of the platform."""
    client = stack.aws.scheduler()
    where = {"GroupName": stack.outputs["ScheduleGroup"], "Name": f"{workspace_id}.{SCHEDULE}"}
    return lambda: client.get_schedule(**where)["State"]


def prepare_sync(act: SyncAct) -> Prepared:
    """The feed, its schedule, and a first sync by hand; then the supplier sells a lot, for the schedule to find."""
    output, check = act.output, act.figures.check
    act.person.feeds.put(FEED, definition(act.supplier.url))
    output.line(
        f"The supplier's server: {act.supplier.url}, a CSV file of {number(PRODUCTS)} products and their stock."
    )
    wanted = {"feed_id": FEED, "expression": EXPRESSION, "description": "Keeps the stock in step with the supplier's"}
    with output.stage("Scheduling a sync of it") as stage:
        schedule = act.person.schedules.put(SCHEDULE, wanted).body
        stage.done(f"{EXPRESSION}, first due at {schedule['next_firings'][0][11:16]} UTC, give or take a minute")
    triggers = {one["expression"]: one["per_month"]["triggers"] for one in schedule["frequencies"]}
    monthly, daily = schedule["expected"]["per_month"]["triggers"], triggers.get("rate(1 day)")
    check("Firings in 30 days, as it is and daily", (monthly, daily), ("43200", "30"))
    output.line(
        f"A firing costs 1 credit: {number(int(monthly))} in 30 days, before any record; {daily} if it fired once a "
        "day. The schedule itself shows both, so that its owner can choose."
    )
    _becomes(act, "ENABLED")

    started = start_run(act.person, FEED, None, dry_run=False)
    run = wait_for(act.person, output, started.run, name="First sync, started by hand")
    if run["state"] != "finished":
        raise RunDidNotFinish(f"The first sync is {run['state']}", error_text(run))
    left = act.person.credits.get().body["available"]
    check("The first sync, the call of a person", started.charged, 0)
    check("The first sync, records", run["created"], PRODUCTS)
    check("The first sync, credits", run["credits"], PRODUCTS)
    check("Credits after the first sync", left, act.free - PRODUCTS)
    act.supplier.offers(after_sales(stock_at_first()))
    output.line(
        f"{credits_text(run['credits'])} for {number(run['created'])} new records; {number(left)} are left. Now the "
        f"supplier sells: the stock of {number(SOLD)} products changes, more than there are credits for."
    )
    return Prepared(schedule, run)


def sync(act: SyncAct, prepared: Prepared, *, steps_before: int) -> dict[str, Any]:
    """The act itself, from the firing to the last figure. The act as a document."""
    step = {title: f"{place}. {title}" for place, title in enumerate(_TITLES, start=steps_before + 1)}
    output = act.output
    output.heading(step["The schedule fires"])
    stopped = _credits_end(act, _fired(act, prepared.schedule))
    output.heading(step["Automation stops"])
    paused = _automation_stops(act)
    output.heading(step["People are not blocked"])
    edited = _edit_by_hand(act)
    output.heading(step["A top-up lets it go on"])
    run = _goes_on(act, stopped.run)
    output.heading(step["The books"])
    return {
        "first_sync": prepared.first,
        "stopped": {"run": stopped.run, "credits": paused, "scheduler_state": "DISABLED"},
        "hand_edit": edited,
        "finished": {"run": run, "scheduler_state": "ENABLED"},
        **_settle(act, prepared.first, stopped, run),
    }


def _fired(act: SyncAct, schedule: Schedule) -> Run:
    """The run that the schedule starts by itself."""
    # The API tells the minute, which is all that AWS promises; here a rate counts from when the schedule was made.
    due = datetime.fromisoformat(schedule["updated_at"]) + timedelta(seconds=MINUTE)
    with act.output.stage("Waiting for EventBridge Scheduler to fire", total=MINUTE) as stage:

        def look() -> Run | None:
            left = (due - datetime.now(UTC)).total_seconds()
            stage.advance_to(min(MINUTE, MINUTE - left))
            if left > 0:
                stage.detail(f"due in {left:.0f} s")
                return None
            stage.detail("due; on this machine it looks every 10 s")
            runs = act.person.runs.list(FEED, limit=100).body["items"]
            return next((run for run in reversed(runs) if run.get("schedule_id") == SCHEDULE), None)

        run = until("A firing of the schedule", look, patience=2 * MINUTE + PATIENCE)
        stage.done(f"{SCHEDULE} fired, and started {run['run_id']}")
    return run


def _credits_end(act: SyncAct, started: Run) -> Stopped:
    """Follows the run to its pause, and counts what it has written by then."""
    check = act.figures.check
    run = _follow(act, "Syncing", started["run_id"], "paused")
    show_counts(act.output, run)
    balance, operations = act.person.credits.get().body, _log(act)
    fired = credits_of(_firings(operations))
    check("The sync at its pause, why", run["paused"] and run["paused"]["reason"], "out_of_credits")
    check("The sync at its pause, records", run["updated"], act.free - PRODUCTS - fired)
    check("The sync at its pause, credits", run["credits"], run["updated"])
    check("The sync at its pause, credits in the log", credits_of(operations, run["run_id"]), run["updated"])
    check("Credits at the pause", (balance["available"], balance["owed"]), (0, 0))
    first, later = stock_at_first(), after_sales(stock_at_first())
    stock = {key: record["attributes"].get("stock") for key, record in _catalogue(act).items()}
    new = sum(stock.get(sku) == count != first[sku] for sku, count in later.items())
    old = sum(stock.get(sku) == count != later[sku] for sku, count in first.items())
    check("Products with their new stock at the pause", new, run["credits"])
    check("Products that still wait at the pause", old, SOLD - run["credits"])
    act.output.line(
        f"{fired} for the firing, then 1 for each record, until the balance was exactly 0: {number(new)} products have "
        f"their new stock, and the other {number(old)} wait, neither written nor paid."
    )
    return Stopped(run, operations)


def _automation_stops(act: SyncAct) -> Credits:
    """The guard's work, as EventBridge Scheduler and the API show it."""
    check = act.figures.check
    _becomes(act, "DISABLED")

    def look() -> Credits | None:
        balance = act.person.credits.get().body
        return balance if balance["paused"] is not None and balance["paused"]["since"] is not None else None

    balance = until("The pause of automation", look)
    paused = balance["paused"]
    check("State of the account", balance["state"], "paused")
    check("Why automation is paused", paused and paused["reason"], "out_of_credits")
    check("What waits", paused and paused["waiting"], {"schedules": 1, "runs": 1, "passes": 0, "changes": False})
    schedule = act.person.schedules.get(SCHEDULE).body
    check("The schedule, wanted and effective", (schedule["enabled"], schedule["state"]), (True, "paused"))
    show_credits(act.output, balance)
    act.output.line("Its owner still wants the schedule (`enabled: true`); what comes of it is `paused`.")
    return balance


def _edit_by_hand(act: SyncAct) -> Record:
    """A person changes a record that the sync has still to come to."""
    with act.output.stage(f"Editing {EDITED} by hand") as stage:
        answer = act.person.records.patch(ENTITY, EDITED, EDIT)
        charged = answer.charged or 0  # of what is free an answer need not speak
        stage.done(f"its shelf is now '{answer.body['attributes'].get('shelf')}', for {credits_text(charged)}")
    act.figures.check("The hand edit, credits", charged, 0)
    act.figures.check("The hand edit", answer.body["attributes"].get("shelf"), EDIT["shelf"])
    act.output.line("A hand edit needs no credit. The feed does not map `shelf`: the sync has to leave it alone.")
    return answer.body


def _goes_on(act: SyncAct, stopped: Run) -> Run:
    """A top-up, and nothing else: nobody resumes anything."""
    currency = act.person.credits.get().body["currency"]
    order = {"credits": TOP_UP, "unit_price": UNIT_PRICE, "currency": currency, "reference": "demo"}
    with act.output.stage("Topping up") as stage:
        granted = act.operator.workspaces.top_up(act.workspace_id, order).body
        stage.done(f"{credits_text(granted['credits'])} at {UNIT_PRICE} {currency} each")
    _becomes(act, "ENABLED")
    run = _follow(act, "The same run goes on by itself", stopped["run_id"], "finished")
    show_counts(act.output, run)
    act.figures.check("The sync, records", (run["created"], run["updated"]), (0, SOLD))
    act.figures.check("The sync, credits", run["credits"], SOLD)
    act.output.line(
        f"{credits_text(run['credits'])} in all, 1 for each product that changed: {number(stopped['credits'])} before "
        f"the top-up, {number(run['credits'] - stopped['credits'])} after it."
    )
    return run


def _settle(act: SyncAct, first: Run, stopped: Stopped, run: Run) -> dict[str, Any]:
    """Every record against the supplier's file, and every credit against the log."""
    output, check = act.output, act.figures.check
    # The minute of its next firing may be near, and the figures are to stand still.
    act.person.schedules.delete(SCHEDULE)
    _compare(act)
    balance, operations = act.person.credits.get().body, _log(act)
    before = {one["operation_id"] for one in stopped.operations}
    steps = [one for one in operations if one["run_id"] == run["run_id"]]
    known = {
        "First sync, by hand": [one for one in operations if one["run_id"] == first["run_id"]],
        "The schedule's firings": _firings(operations),
        "The sync, until the credits ended": [one for one in steps if one["operation_id"] in before],
        "The sync, after the top-up": [one for one in steps if one["operation_id"] not in before],
    }
    counted = {one["operation_id"] for group in known.values() for one in group}
    spent = PRODUCTS + credits_of(_firings(operations)) + SOLD
    by_hand = [one for one in operations if one["operation_id"] not in counted]
    check("What people did by hand, credits", credits_of(by_hand), 0)
    check("The log's entries, each once", len({one["operation_id"] for one in operations}), len(operations))
    check("Credits of the sync in the log", credits_of(steps), SOLD)
    check("Records of the sync in the log", sum(one["actions"].get("record_updated", 0) for one in steps), SOLD)
    check("Credits in the sync's operation log", credits_of(operations), spent)
    check("Credits granted to the shop", balance["granted"], act.free + TOP_UP)
    check("Credits consumed by the shop", balance["consumed"], spent)
    check("Credits left to the shop", (balance["available"], balance["owed"]), (act.free + TOP_UP - spent, 0))
    check("The shop's account", (balance["state"], balance["paused"]), ("active", None))
    show_log_summary(output, {**known, "What people did by hand": by_hand})
    output.line()
    show_credits(output, balance)
    return {"credits": balance, "operations": operations}


def _compare(act: SyncAct) -> None:
    """Not a row lost, not a row written twice: the catalogue is the supplier's file, by so many writes and no more."""
    with act.output.stage("Comparing the catalogue with the supplier's file") as stage:
        catalogue, wanted = _catalogue(act), after_sales(stock_at_first())
        same = sum(sku in catalogue and catalogue[sku]["attributes"].get("stock") == wanted[sku] for sku in wanted)
        stage.done(f"{number(same)} of {number(PRODUCTS)} products as the supplier has them")
    act.figures.check("Products as the supplier has them", (same, len(catalogue)), (PRODUCTS, PRODUCTS))
    writes = sum(record["version"] for record in catalogue.values())
    act.figures.check("Writes of records", writes, PRODUCTS + SOLD + 1)
    edited = catalogue.get(EDITED, {"attributes": {}})["attributes"]
    act.figures.check("The hand edit after the sync", edited.get("shelf"), EDIT["shelf"])
    act.figures.check("The stock of what was edited by hand", edited.get("stock"), wanted[EDITED])
    act.output.line(
        f"{number(writes)} writes made them: {number(PRODUCTS)} creations, {number(SOLD)} changes of stock, 1 edit by "
        f"hand. {EDITED} has both its new stock and its shelf."
    )


def _becomes(act: SyncAct, state: str) -> None:
    """Waits until EventBridge Scheduler has the schedule in a state."""
    with act.output.stage("Asking EventBridge Scheduler for the schedule") as stage:

        def look() -> bool | None:
            found = act.copy_state()
            stage.detail(found)
            return True if found == state else None

        until(f"The schedule {state} in EventBridge Scheduler", look)
        stage.done(f"it is {state}")


def _follow(act: SyncAct, title: str, run_id: str, wanted: str) -> Run:
    """Looks at a run until it is in the wanted state. Raises RunDidNotFinish when it ends in another."""
    with act.output.stage(title, total=1.0) as stage:

        def look() -> Run | None:
            run = act.person.runs.get(run_id).body
            stage.advance_to(float(run["progress"]))
            stage.detail(outcome_text(run))
            return run if run["state"] in ENDED | {wanted} else None

        run = until(f"{title}: {wanted}", look)
        stage.done(outcome_text(run))
    if run["state"] != wanted:
        raise RunDidNotFinish(f"{title}: the run is {run['state']}, not {wanted}", error_text(run))
    return run


def _catalogue(act: SyncAct) -> dict[str, Record]:
    """Every product, by its key, read by a person: free."""
    return {record["key"]: record for record in act.person.records.all(ENTITY)}


def _log(act: SyncAct) -> list[Operation]:
    return gather(act.person.operations.list, limit=ALL_OPERATIONS)["items"]


def _firings(operations: list[Operation]) -> list[Operation]:
    return [one for one in operations if one["kind"] == "scheduled_job"]
