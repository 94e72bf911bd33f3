"""A run that nobody sent a file for fetches it from the source of its feed, and keeps it as its upload.

The file is fetched to local disk first, and kept when it is whole: what fails on the way leaves nothing behind. It is
kept once: of two preparers of the same run, the file of the one that is faster counts for both.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from shared.dynamo.transactions import StoreUnavailable
from shared.feeds import FeedDefinition, resolve
from shared.runs.artifacts import RunArtifacts
from shared.runs.model import Run, RunState, finished
from shared.runs.store import RunStore
from shared.sources.fetching import NOTHING_KNOWN, Unmodified, Validators
from shared.sources.puller import Errand, Puller
from shared.sources.store import LastFile, LastFileStore
from shared.times import Clock

_ATTEMPTS = 10
"""At remembering a file, while other runs of the feed do the same."""

_MAX_BESIDE = 50
"""Runs that are remembered as going on beside another; somebody who starts more than that at once means it."""


class Overtaken(Exception):
    """Somebody else moved the run, such as a person who cancelled it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PullRoom:
    """What it takes to fetch the file of a run, and to know whether it is still the last one."""

    runs: RunStore
    artifacts: RunArtifacts
    puller: Puller
    last_files: LastFileStore
    clock: Clock


def pull(room: PullRoom, run: Run, definition: FeedDefinition, target: Path) -> Run:
    """The run with its file, which lies in `target` unless an earlier preparer kept it; or, where the source holds
    what the feed's last run took from it, the run at its end (which is then still to be written).

    Safe to call again, wherever a call ended: it fetches until a file is kept, and never after that. Raises
    SourceFailed, Overtaken, StoreUnavailable and botocore's errors.
    """
    if not run.upload_etag:
        etag = room.artifacts.upload_etag(run)
        if etag is None:
            errand = room.puller.errand(run.workspace_id, run.feed_id, definition)
            outcome = room.puller.fetch(errand, target, _known(room, run, definition, errand))
            if isinstance(outcome, Unmodified):
                return finished(replace(run, unmodified=True), room.clock())
            etag = room.artifacts.keep_upload(run, target)
            if etag is None:
                target.unlink()
                return pull(room, run, definition, target)
            _remember(room, run, outcome.validators, errand.fingerprint)
        with_file = replace(run, upload_etag=etag, updated_at=room.clock())
        if not room.runs.move(run, with_file):
            raise Overtaken
        run = with_file
    # Of a file that was uploaded nothing is known, and neither of one that was kept by a preparer that was then killed.
    _remember(room, run, NOTHING_KNOWN, "")
    return run


def _known(room: PullRoom, run: Run, definition: FeedDefinition, errand: Errand) -> Validators | None:
    """The validators of the file that the catalogue holds already; None where it has to be fetched in any case."""
    if run.dry_run or not resolve(definition).skip_unchanged:
        return None
    last = room.last_files.get(run.workspace_id, run.feed_id)
    if last is None or last.fingerprint != errand.fingerprint or not last.validators.tell_something:
        return None
    took_it = room.runs.get(run.workspace_id, last.run_id)
    # Of two preparers of one run the first may have found the source unmodified, and the second another file: the run
    # ended before it took that to the catalogue.
    has_it = took_it is not None and took_it.state is RunState.FINISHED and not took_it.unmodified
    return last.validators if has_it else None


def _remember(room: PullRoom, run: Run, validators: Validators, fingerprint: str) -> None:
    """Notes that the run takes its file to the catalogue, before it takes anything of it.

    While runs that took theirs earlier go on beside it, either may have the last word on a record: the validators are
    then worth nothing, and the next run fetches the file whatever they say.
    """
    if run.dry_run:
        return
    for _ in range(_ATTEMPTS):
        seen = room.last_files.get(run.workspace_id, run.feed_id)
        earlier = () if seen is None else (seen.run_id, *seen.beside)
        if seen is not None and seen.run_id == run.run_id and not validators.tell_something:
            return
        beside = tuple(run_id for run_id in earlier if run_id != run.run_id and _goes_on(room, run, run_id))
        last = LastFile(run.run_id, NOTHING_KNOWN if beside else validators, fingerprint, beside[:_MAX_BESIDE])
        if room.last_files.put(run.workspace_id, run.feed_id, last, seen):
            return
    raise StoreUnavailable(f"the last file of feed {run.feed_id} changed under {_ATTEMPTS} attempts")


def _goes_on(room: PullRoom, run: Run, other_id: str) -> bool:
    other = room.runs.get(run.workspace_id, other_id)
    return other is not None and not other.state.is_over
