"""What people are told about runs and balances: tables, and one line on why something cost what it cost."""

from collections.abc import Iterable

import simplejson

from productsync.answers import Correction, Credits, Grant, Rejection, Run
from productsync.operation_reports import show_parts
from productsync.output import Cell, Column, Output, count_text, credits_text, moment, number, shorten

SHOWN_REJECTIONS = 5
COUNTS = ("created", "updated", "unchanged", "duplicates", "rejected", "credits")


def show_counts(output: Output, run: Run) -> None:
    """What became of a run's records, by entity."""
    if not run["by_entity"]:
        return
    ranks = {"unchanged": 1, "duplicates": 2, "rejected": 2}
    columns = [
        Column("Entity"),
        *(Column(name.capitalize(), number=True, rank=ranks.get(name, 0)) for name in COUNTS),
    ]
    rows: list[list[Cell]] = [
        [entity, *(int(counts[name]) for name in COUNTS)]  # type: ignore[literal-required]  # COUNTS are its keys
        for entity, counts in sorted(run["by_entity"].items())
    ]
    if len(rows) != 1:
        rows.append(["all", *(int(run[name]) for name in COUNTS)])  # type: ignore[literal-required]  # the same
    output.table(columns, rows)


def show_run(output: Output, run: Run) -> None:
    """One run in full."""
    output.facts(
        [
            ("Run", run["run_id"]),
            ("Feed", run["feed_id"]),
            ("State", f"{run['state']} (dry run)" if run["dry_run"] else run["state"]),
            ("Progress", f"{float(run['progress']):.0%}"),
            ("Schedule", run.get("schedule_id")),
            ("Source", "unmodified" if run.get("unmodified") else None),
            ("Rows read", run["rows_read"]),
            ("Started", moment(run["created_at"])),
            ("Ended", moment(run["finished_at"])),
            ("Paused", _pause_text(run)),
            ("Error", error_text(run)),
        ]
    )
    output.line()
    show_counts(output, run)


def show_runs(output: Output, runs: Iterable[Run], feed_id: str | None = None) -> None:
    """A list of runs, of one feed or (None) of all."""
    ranks = {"created": 3, "updated": 3, "unchanged": 4, "rejected": 4, "credits": 1}
    columns = [
        Column("Started", rank=2),
        Column("State", wraps=True),
        Column("Feed", wraps=True, rank=1),
        *(Column(name.capitalize(), number=True, rank=ranks[name]) for name in COUNTS if name != "duplicates"),
        Column("Run"),
    ]
    rows: list[list[Cell]] = [
        [
            moment(run["created_at"]),
            f"{run['state']}, dry run" if run["dry_run"] else run["state"],
            run["feed_id"],
            run["created"],
            run["updated"],
            run["unchanged"],
            run["rejected"],
            run["credits"],
            run["run_id"],
        ]
        for run in runs
    ]
    output.table(columns, rows, empty="No runs yet." if feed_id is None else f"No runs of {feed_id}.")


def show_rejections(output: Output, rejections: Iterable[Rejection]) -> None:
    """Rows that could not be records, and why."""
    rows: list[list[Cell]] = [
        [one["row"], _text(one["column"]), one["entity"], one["key"], one["reason"]] for one in rejections
    ]
    columns = [
        Column("Row", number=True),
        Column("Column", wraps=True, rank=1),
        Column("Entity", rank=2),
        Column("Key", wraps=True, rank=1),
        Column("Reason", wraps=True),
    ]
    output.table(columns, rows, empty="No row was rejected.")


def show_credits(output: Output, balance: Credits) -> None:
    """A balance and its grants, those that are drawn first on top."""
    output.facts(
        [
            ("Workspace", balance["workspace_id"]),
            ("Available", f"{credits_text(balance['available'])} ({balance['state']})"),
            ("Paused", _automation_text(balance)),
            ("Waiting", _waiting_text(balance)),
            ("Owed", balance["owed"] or None),
            ("Granted", balance["granted"]),
            ("Consumed", balance["consumed"]),
            ("Expired", balance["expired"] or None),
            ("Void or taken back", balance["void"] or None),
        ]
    )
    output.line()
    columns = [
        Column("Grant"),
        Column("Remaining", number=True),
        Column("Of", number=True, rank=1),
        Column("Unit price", number=True, rank=2),
        Column("Expires", rank=3),
        Column("Reference", wraps=True, rank=4),
    ]
    rows: list[list[Cell]] = [
        [
            grant["kind"],
            grant["remaining"],
            grant["credits"],
            f"{grant['unit_price']} {grant['currency']}",
            moment(grant["expires_at"]) or "never",
            grant["reference"],
        ]
        for grant in balance["grants"]
    ]
    output.table(columns, rows, empty="No grants.")


def show_grants(output: Output, grants: Iterable[Grant]) -> None:
    """Grants by their identifiers, with the order in which they are drawn."""
    columns = [
        Column("Grant"),
        Column("Kind"),
        Column("Remaining", number=True),
        Column("Of", number=True, rank=1),
        Column("Priority", number=True, rank=3),
        Column("Unit price", number=True, rank=4),
        Column("Expires", rank=2),
        Column("Reference", wraps=True, rank=5),
    ]
    rows: list[list[Cell]] = [
        [
            grant["grant_id"],
            grant["kind"],
            grant["remaining"],
            grant["credits"],
            grant["priority"],
            f"{grant['unit_price']} {grant['currency']}",
            moment(grant["expires_at"]) or "never",
            grant["reference"],
        ]
        for grant in grants
    ]
    output.table(columns, rows, empty="No grants.")


def show_correction(output: Output, correction: Correction, *, replayed: bool) -> None:
    """What a void or a correction did."""
    credits, grant = correction["credits"], correction["grant"]
    verb = "Made void" if correction["kind"] == "void" else "Given back" if credits > 0 else "Taken back"
    output.line(f"{verb}{' already' if replayed else ''}: {credits_text(abs(credits))}.")
    output.facts(
        [
            ("Workspace", correction["workspace_id"]),
            ("Reference", correction["reference"]),
            ("Reason", correction["reason"]),
            ("Corrects", correction.get("corrects")),
            ("Operation", correction["operation_id"]),
            ("Grant", grant and grant["grant_id"]),
            ("Settled a debt of", credits_text(grant["settled"]) if grant and grant["settled"] else None),
        ]
    )
    if correction["withdrawn"]:
        output.line()
        show_parts(output, "Taken from", correction["withdrawn"])


def preview_text(run: Run, available: int) -> str:
    """What a dry run found: the price of the run, against what is there."""
    price = run["credits"]
    text = f"Would cost {number(price)} of {number(available)} available."
    if price > available:
        text += (
            f" That is {credits_text(price - available)} short, besides the call that starts it:"
            " the run would spend what there is, pause there, and go on after a top-up."
        )
    return text


def cost_text(run: Run, charged: int, available: int) -> str:
    """What a run has cost so far, and what is left. `charged` is what the call that started it cost."""
    parts = [f"{credits_text(run['credits'])} for the records"]
    if charged:
        parts.append(f"{charged:,} for the call that started the run")
    return f"Cost: {' + '.join(parts)}. Available now: {number(available)}."


def pause_text(run: Run, to_go: int | None, workspace_id: str) -> list[str]:
    """What a paused run waits for, the command that lets it go on, and the one that follows it."""
    written = count_text(run["created"] + run["updated"], "record")
    need = "After a top-up it goes on by itself, from exactly there."
    if to_go is not None:
        need = f"It needs {credits_text(to_go)} more, and then goes on by itself, from exactly there."
    amount = str(to_go) if to_go else "CREDITS"
    return [
        f"Paused, out of credits, after writing {written}. {need}",
        f"  productsync top-up {amount} --workspace-id {workspace_id} --unit-price PRICE --reference INVOICE",
        f"  productsync runs show {run['run_id']}",
    ]


def error_text(run: Run) -> str | None:
    """Why a run failed, and where in the file."""
    error = run["error"]
    if error is None:
        return None
    place = [f"row {error['row']}"] if error.get("row") is not None else []
    place += [f"column {error['column']}"] if error.get("column") is not None else []
    where = f" ({', '.join(place)})" if place else ""
    return f"{error['code']}: {error['detail']}{where}"


def value_text(value: object, length: int = 10_000) -> str:
    """An attribute's value on one line; what is not plain text is shown as JSON."""
    text = value if isinstance(value, str) else simplejson.dumps(value, use_decimal=True, ensure_ascii=False)
    return shorten(text, length)


def _automation_text(balance: Credits) -> str | None:
    paused = balance["paused"]
    if paused is None:
        return None
    reason = paused["reason"].replace("_", " ")
    return reason if paused["since"] is None else f"{reason}, since {moment(paused['since'])}"


def _waiting_text(balance: Credits) -> str | None:
    """What goes on by itself after a top-up."""
    if balance["paused"] is None:
        return None
    waiting = balance["paused"]["waiting"]
    told = [f"{name}: {number(waiting[name])}" for name in ("schedules", "runs", "passes") if waiting[name]]
    return ", ".join([*told, *(["changes for rules"] if waiting["changes"] else [])]) or "nothing"


def _pause_text(run: Run) -> str | None:
    paused = run["paused"]
    return None if paused is None else f"{paused['reason'].replace('_', ' ')}, since {moment(paused['since'])}"


def _text(value: str | int | None) -> str | None:
    return None if value is None else str(value)
