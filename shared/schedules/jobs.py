"""What a schedule starts: runs of a feed, or passes of a rule. Firings are the same for both; here is what differs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from shared import keys
from shared.credits import Channel, Ledger, RefusalReason
from shared.dynamo.writes import Write
from shared.feeds.definition import FeedDefinition
from shared.feeds.store import FeedStore, StoredFeed
from shared.keys import Key
from shared.rules.model import Rule
from shared.rules.passes.commands import is_stalled as pass_is_stalled
from shared.rules.passes.commands import new_pass, resume_pass
from shared.rules.passes.model import RulePass
from shared.rules.passes.store import PassStore, put_new_pass
from shared.rules.store import RuleStore
from shared.runs.artifacts import RunArtifacts
from shared.runs.commands import is_stalled, new_run, resume_run
from shared.runs.model import Run
from shared.runs.store import RunStore, put_new_run
from shared.schedules.history import DayTally, name_of_rule
from shared.schedules.model import ScheduleDefinition
from shared.schedules.syncs import LatestSync

Job = StoredFeed | Rule
"""What a schedule names, as it is now: a feed that pulls, or a scheduled rule."""

Work = Run | RulePass
"""What a schedule starts of its job."""

_LISTED_RUNS = 20
"""The newest runs of a feed, among which one that people or the API have started is looked for: their dry runs, and
what else they have started since, may stand before it."""

_FILES_KEPT = timedelta(days=400)
"""A run that was started longer ago has lost its files, and goes on no more."""


@dataclass(frozen=True, slots=True)
class JobRoom:
    """What it takes to start runs and passes."""

    feeds: FeedStore
    runs: RunStore
    artifacts: RunArtifacts
    rules: RuleStore
    passes: PassStore


def find_job(room: JobRoom, workspace_id: str, wanted: ScheduleDefinition) -> Job | RefusalReason | None:
    """What the schedule names, or why nothing can be started of it; None for a rule that its owner has disabled."""
    if wanted.rule_id is not None:
        return _runnable(room.rules.get(workspace_id, wanted.rule_id))
    feed = None if wanted.feed_id is None else room.feeds.get(workspace_id, wanted.feed_id)
    if feed is None:
        return RefusalReason.FEED_DELETED
    return feed if FeedDefinition.model_validate_json(feed.definition).pulls else RefusalReason.NOTHING_TO_PULL


def _runnable(rule: Rule | None) -> Rule | RefusalReason | None:
    if rule is None:
        return RefusalReason.RULE_DELETED
    if not rule.definition.enabled:
        return None
    if not rule.definition.trigger.is_scheduled:
        return RefusalReason.RULE_NOT_SCHEDULED
    return rule if rule.suspended_at is None else RefusalReason.RULE_SUSPENDED


def job_id(job: Job) -> str:
    return job.rule_id if isinstance(job, Rule) else job.feed_id


def job_name(job: Job) -> str:
    """What the history of a schedule calls it (see `shared.schedules.history`)."""
    return name_of_rule(job.rule_id) if isinstance(job, Rule) else job.feed_id


def latest_of(job: Job, workspace_id: str) -> Key:
    """Where the last of its runs or passes that a schedule started is pointed to."""
    if isinstance(job, Rule):
        return keys.latest_rule_pass(workspace_id, job.rule_id)
    return keys.latest_sync(workspace_id, job.feed_id)


def work_id(work: Work) -> str:
    """Its identifier, as the operation log calls it."""
    return work.pass_id if isinstance(work, RulePass) else work.run_id


def with_work(day: DayTally, work: Work) -> DayTally:
    """The day with what the run or pass has done."""
    return day.with_run(work.counts if isinstance(work, RulePass) else work.totals)


def find_work(room: JobRoom, job: Job, workspace_id: str, latest: LatestSync | None) -> Work | None:
    """The run or pass that is pointed to, as it is now."""
    if latest is None:
        return None
    store = room.passes if isinstance(job, Rule) else room.runs
    return store.get(workspace_id, latest.run_id)


def find_going(room: JobRoom, job: Job, workspace_id: str, before: Work | None, now: datetime) -> Work | None:
    """What goes on of the job, if there is something; a paused run is not over, and a dry run is in nobody's way.

    `before` is the last that a schedule started, read as it is. Nothing but schedules starts passes of a rule. Runs
    that people and the API have started are listed a moment late: one that they start at the very moment of a firing
    may go on beside it.
    """
    if before is not None and not before.state.is_over:
        return before
    if isinstance(job, Rule):
        return None
    listed = room.runs.page(
        workspace_id,
        job.feed_id,
        newest=now,
        oldest=max(job.created_at, now - _FILES_KEPT),
        limit=_LISTED_RUNS,
        cursor=None,
    )
    return next((run for run in listed.runs if not run.dry_run and not run.state.is_over), None)


def new_work(room: JobRoom, job: Job, workspace_id: str, schedule_id: str, now: datetime) -> tuple[Work, Write]:
    """A run or a pass, which begins when it is written."""
    if isinstance(job, Rule):
        rule_pass = new_pass(job, schedule_id=schedule_id, now=now)
        return rule_pass, put_new_pass(room.passes.table, rule_pass)
    run = new_run(
        room.artifacts,
        job.definition,
        workspace_id=workspace_id,
        feed_id=job.feed_id,
        channel=Channel.SCHEDULE,
        now=now,
        schedule_id=schedule_id,
    )
    return run, put_new_run(room.runs.table, run)


def ring_again(room: JobRoom, ledger: Ledger, work: Work, now: datetime) -> None:
    """Calls a worker to what nobody seems to work on: its message was lost in a long outage. Without this, every firing
    to come would be skipped.
    """
    if isinstance(work, RulePass):
        if pass_is_stalled(work, now):
            resume_pass(room.passes, ledger, work, now)
    elif is_stalled(work, now):
        resume_run(room.runs, ledger, work, now)
