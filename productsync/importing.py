"""Importing a file through the API: the feed, the upload, the run, and waiting for what becomes of it."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from productsync.answers import Run
from productsync.client import Client
from productsync.failures import ApiProblem, CommandFailure, ExitCode
from productsync.files import read_definition
from productsync.looking import Sleep, waits
from productsync.output import Output, Stage, count_text, number

ENDED = frozenset({"finished", "failed", "cancelled"})
"""States that a run never leaves."""


class NoDefinition(CommandFailure):
    """It was not said how to read the file."""

    exit_code = ExitCode.USAGE


@dataclass(frozen=True)
class Imported:
    """A run as it was when it was started or waited for, and what the call that started it cost (credits)."""

    run: Run
    charged: int


def definition_of(preset: str | None, file: Path | None, *, skip_unchanged: bool | None) -> dict[str, Any] | None:
    """The feed definition that the options describe, None when they describe none.

    Fields of the file override the preset's; the preset named on the command line wins over one named in the file.
    """
    if preset is None and file is None:
        if skip_unchanged is not None:
            raise NoDefinition("--skip-unchanged is part of a definition", "give --preset or --feed with it")
        return None
    definition = read_definition(file) if file is not None else {}
    if preset is not None:
        definition["preset"] = preset
    if skip_unchanged is not None:
        definition["skip_unchanged"] = skip_unchanged
    return definition


def start_import(client: Client, output: Output, feed_id: str, file: Path, *, dry_run: bool) -> Imported:
    """Uploads a file for a feed and starts a run of it."""
    size = file.stat().st_size
    ticket = client.feeds.request_upload(feed_id, content_length=size, file_name=file.name).body
    with output.stage(f"Uploading {file.name}", total=size) as stage:
        client.feeds.send(ticket, file, progress=stage.advance_to)
        stage.done(size_text(size))
    return start_run(client, feed_id, ticket["upload_id"], dry_run=dry_run)


def start_run(client: Client, feed_id: str, upload_id: str | None, *, dry_run: bool) -> Imported:
    """Starts a run of what was uploaded, or of what the feed's source holds."""
    started = client.runs.start(feed_id, upload_id, dry_run=dry_run)
    charged = started.charged or 0
    if started.replayed and started.operation_id is not None:
        # The answer to the first attempt was lost, but not what it cost.
        charged = client.operations.get(started.operation_id).body["credits"]
    return Imported(started.body, charged)


def wait_for(client: Client, output: Output, run: Run, *, name: str | None = None, sleep: Sleep = time.sleep) -> Run:
    """Follows a run until it has ended or is paused."""
    with output.stage(name or ("Previewing" if run["dry_run"] else "Importing"), total=1.0) as stage:
        for wait in waits():
            if _has_come_to_rest(run):
                break
            sleep(wait)
            run = client.runs.get(run["run_id"]).body
            _show(run, stage)
        if exit_code_of(run) is ExitCode.OK:
            stage.done(outcome_text(run))
        else:
            stage.failed(outcome_text(run))
    return run


def credits_to_go(client: Client, output: Output, run: Run) -> int | None:
    """How many credits a paused run still needs: a dry run of the same file tells, and is free.

    None when it cannot be told: the upload has expired, or the feed writes unchanged records again, so that a dry run
    counts those too that this run has written already.
    """
    feed = client.feeds.get(run["feed_id"]).body
    if feed["definition"].get("skip_unchanged") is False:
        return None
    try:
        preview = client.runs.start(run["feed_id"], run["upload_id"], dry_run=True).body
    except ApiProblem:
        return None
    preview = wait_for(client, output, preview, name="Counting what is still to pay (a dry run)")
    return preview["credits"] if preview["state"] == "finished" else None


def exit_code_of(run: Run) -> ExitCode:
    """What the shell is told of a run that was waited for."""
    match run["state"]:
        case "failed" | "cancelled":
            return ExitCode.RUN_FAILED
        case "paused":
            return ExitCode.RUN_PAUSED
        case _:
            return ExitCode.OK


def outcome_text(run: Run) -> str:
    """A run's outcome in a few words."""
    state = run["state"]
    if state == "failed" and run["error"] is not None:
        return f"failed ({run['error']['code']})"
    if run.get("unmodified"):
        return f"{state}, the source is unmodified"
    counts = [
        f"{number(run['created'])} created",
        f"{number(run['updated'])} updated",
        f"{number(run['unchanged'])} unchanged",
    ]
    return f"{state}, {', '.join(counts)}"


def size_text(size: int) -> str:
    """A file's size for people, in decimal units as file managers show it."""
    value = float(size)
    for unit in ("bytes", "kB", "MB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "bytes" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} GB"


def _has_come_to_rest(run: Run) -> bool:
    return run["state"] in ENDED or run["state"] == "paused"


def _show(run: Run, stage: Stage) -> None:
    stage.advance_to(float(run["progress"]))
    if run["state"] == "preparing":
        stage.detail(f"preparing, {count_text(run['rows_read'], 'row')}")
    else:
        stage.detail(outcome_text(run))
