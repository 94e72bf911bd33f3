"""Prepares a run: from its file, uploaded or fetched, to the records that a worker carries out. Free of charge."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from shared.feeds import FeedDefinition, FeedUnreadable, resolve
from shared.feeds.preparing import PreparedFeed, prepare
from shared.runs.artifacts import ArtifactMissing, Manifest, RunArtifacts, UploadReplaced
from shared.runs.model import Counts, Failure, Run, RunState, failed
from shared.runs.pulling import Overtaken, PullRoom, pull
from shared.runs.store import Doorbell, RunStore
from shared.sources.errors import SourceFailed
from shared.times import Clock, utc_now

_UPLOAD = "upload"
_SHOW_PROGRESS_EVERY = timedelta(seconds=10)
"""How often a run whose file takes long to read writes how far it is."""


@dataclass(frozen=True, slots=True)
class PrepareRoom:
    """What preparing takes. `workdir` is local disk for the upload, the folding and the prepared records; without
    `pulling` only runs on uploads can be prepared.
    """

    runs: RunStore
    artifacts: RunArtifacts
    clock: Clock = utc_now
    workdir: Path | None = None
    pulling: PullRoom | None = None


def prepare_run(
    room: PrepareRoom, workspace_id: str, run_id: str, out_of_time: Callable[[], bool] = lambda: False
) -> Run | None:
    """Prepares a run: fetches its file where nobody sent one, and reads it. Fails the run with a reason when its source
    gives no file, or its file cannot be read as a whole, or not before `out_of_time`.

    Returns the run as it stands afterwards, None when there is none. Preparing twice does no harm: the same files are
    written again, and the run moves on once. Raises StoreUnavailable and botocore's errors.
    """
    run = seen = room.runs.get(workspace_id, run_id)
    if run is None or seen is None or run.state is not RunState.PREPARING:
        return run
    definition = FeedDefinition.model_validate_json(room.artifacts.definition(run))
    with tempfile.TemporaryDirectory(dir=room.workdir) as folder:
        workdir = Path(folder)
        try:
            run = _with_file(room, run, definition, workdir / _UPLOAD)
            after = run if run.state.is_over else _prepared(room, run, definition, workdir, out_of_time)
        except FeedUnreadable as problem:
            after = failed(run, Failure(problem.code, problem.detail, problem.row, problem.column), room.clock())
        except SourceFailed as problem:
            after = failed(run, Failure(problem.code, problem.detail), room.clock())
        except Overtaken:
            return room.runs.get(workspace_id, run_id)
    doorbell = None if after.state.is_over else Doorbell.IMPORT
    return after if room.runs.move(seen, after, doorbell) else room.runs.get(workspace_id, run_id)


def give_up(room: PrepareRoom, workspace_id: str, run_id: str) -> Run | None:
    """Fails a run that could not be prepared after all tries, through no fault of its file. Its records cost
    nothing.
    """
    run = room.runs.get(workspace_id, run_id)
    if run is None or run.state is not RunState.PREPARING:
        return run
    failure = Failure(
        "internal_error", "the file could not be prepared; start the run again, or ask for help with its run_id"
    )
    after = failed(run, failure, room.clock())
    return after if room.runs.move(run, after) else room.runs.get(workspace_id, run_id)


def _with_file(room: PrepareRoom, run: Run, definition: FeedDefinition, target: Path) -> Run:
    """The run with its file in `target`, or at its end where there is nothing new to read."""
    if definition.pulls:
        if room.pulling is None:
            raise AssertionError(f"run {run.run_id} is to be pulled, and there is nothing to pull with")
        run = pull(room.pulling, run, definition, target)
    if not run.state.is_over and not target.exists():
        _download(room, run, target)
    return run


def _prepared(
    room: PrepareRoom, run: Run, definition: FeedDefinition, workdir: Path, out_of_time: Callable[[], bool]
) -> Run:
    """The run with its records prepared. Raises FeedUnreadable."""
    run = replace(run, preparation=secrets.token_hex(8))
    feed = prepare(workdir / _UPLOAD, definition, workdir, progress=_progress(room, run, out_of_time))
    manifest = Manifest(feed.mapped, resolve(definition).skip_unchanged)
    room.artifacts.put_prepared(run, feed.records_path, feed.rejections_path, manifest)
    now = room.clock()
    return replace(
        run,
        state=RunState.RUNNING,
        records=feed.records,
        rows_read=feed.rows_read,
        duplicates=feed.duplicates,
        rejected=feed.rejected,
        by_entity=_counts(feed),
        updated_at=now,
        step_at=now,
    )


def _download(room: PrepareRoom, run: Run, target: Path) -> None:
    """Raises FeedUnreadable when there is nothing to read, or something else than the run was started on."""
    try:
        room.artifacts.download_upload(run, target)
    except ArtifactMissing as error:
        raise FeedUnreadable("upload_missing", "the uploaded file is no longer there; upload it again") from error
    except UploadReplaced as error:
        detail = "another file was uploaded in its place after the run was started; start a run on what is there now"
        raise FeedUnreadable("upload_replaced", detail) from error


def _progress(room: PrepareRoom, run: Run, out_of_time: Callable[[], bool]) -> Callable[[int], None]:
    """What preparing calls now and then: it shows how far it is, and stops a file that takes too long."""
    shown_at = run.updated_at

    def progress(rows_read: int) -> None:
        nonlocal shown_at
        if out_of_time():
            detail = (
                f"{rows_read:,} rows were read in the time that preparing a file may take, and there are more; "
                "split the file and import its parts"
            )
            raise FeedUnreadable("too_many_rows", detail)
        now = room.clock()
        if now - shown_at >= _SHOW_PROGRESS_EVERY:
            room.runs.move(run, replace(run, rows_read=rows_read, updated_at=now))
            shown_at = now

    return progress


def _counts(feed: PreparedFeed) -> dict[str, Counts]:
    return {
        entity: Counts(duplicates=counts.duplicates, rejected=counts.rejected)
        for entity, counts in feed.by_entity.items()
    }
