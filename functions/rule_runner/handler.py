"""Lets rules act on what changes in the catalogue, whoever changes it (design section 8).

The catalogue table's stream calls this with batches of writes. Each workspace in a batch is taken by itself: what
cannot be done for one now goes to its backlog, so that no other waits for it. Only when not even that can be written
does Lambda get its records back, from the first of them on; what had been done by then is found done by its marks.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property, partial
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

from shared.catalog import CatalogStore, Record, RecordName, to_record
from shared.credits import Ledger
from shared.dynamo.client import dynamodb_client
from shared.rules.backlog import BacklogRoom, BacklogStore, act
from shared.rules.changes import change_between, merged
from shared.rules.expressions import parse
from shared.rules.firing import FiringRoom, RuleLimits
from shared.rules.meters import MeterStore
from shared.rules.model import Change
from shared.rules.store import RuleStore
from shared.settings import RuleSettings, Settings

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

HAND_OVER_BEFORE_TIMEOUT_MS = 20_000
"""What is left of the function's time when the rest goes to the backlog: a transaction takes a fraction of a second."""

SLICE_SECONDS = 15
"""What one workspace gets of the function's time, since others of its batch may wait; a worker does the rest."""

# What reads expressions is made while the function starts, and not while its first batch waits.
parse("true")

logger = Logger()
metrics = Metrics(namespace="ProductSync")


@cache
def room() -> BacklogRoom:
    settings, rules = Settings.from_environment(), RuleSettings.from_environment()
    dynamodb = dynamodb_client()
    return BacklogRoom(
        FiringRoom(
            rules=RuleStore(dynamodb, settings.work_table),
            meters=MeterStore(dynamodb, settings.work_table),
            catalog=CatalogStore(dynamodb, settings.catalog_table),
            ledger=Ledger(dynamodb, settings.credit_table),
            prices=settings.prices,
            limits=RuleLimits(max_depth=rules.max_depth, firings_per_hour=rules.firings_per_hour),
        ),
        BacklogStore(dynamodb, settings.work_table),
    )


@dataclass
class WorkspaceBatch:
    """What a batch holds of one workspace: its changes in their order, the newest image of each record, and the number
    in the stream that the workspace begins with.
    """

    begins_at: str
    written: list[Change] = field(default_factory=list)
    records: dict[RecordName, Record] = field(default_factory=dict)

    def add(self, change: Change | None, record: Record) -> None:
        # Writes that change no attribute set nothing off, but carry marks that others must see.
        self.records[record.entity, record.key] = record
        if change is not None:
            self.written.append(change)

    @cached_property
    def changes(self) -> dict[RecordName, Change]:
        """One change for each record; asked for when all is added."""
        return merged(self.written)


def grouped(event: Mapping[str, Any]) -> dict[str, WorkspaceBatch]:
    """The batch by workspace, in the order in which workspaces appear. What cannot be read is logged and passed over:
    no later try would find more in it.
    """
    groups: dict[str, WorkspaceBatch] = {}
    for entry in event["Records"]:
        try:
            images = entry["dynamodb"]
            number = images["SequenceNumber"]
            if "NewImage" not in images:
                continue
            after = to_record(images["NewImage"])
            before = to_record(images["OldImage"]) if "OldImage" in images else None
            change = change_between(before, after)
        except (KeyError, TypeError, ValueError, AttributeError):
            logger.exception("what came is no record of ours", extra={"event_id": entry.get("eventID")})
            continue
        groups.setdefault(after.workspace_id, WorkspaceBatch(number)).add(change, after)
    return {workspace_id: group for workspace_id, group in groups.items() if group.changes}


def attend(workspace_id: str, group: WorkspaceBatch, out_of_time: Callable[[], bool]) -> bool:
    """Lets the workspace's rules act; False when that failed."""
    changes = [(change, group.records[place]) for place, change in group.changes.items()]
    at = max(record.updated_at for _, record in changes)
    try:
        act(room(), workspace_id, changes, at, out_of_time)
    except Exception:
        logger.exception("rules could not act; what has changed waits")
        return False
    return True


def keep(workspace_id: str, group: WorkspaceBatch) -> bool:
    """Lets everything of the workspace wait and calls a worker for it; False when that failed too."""
    try:
        room().backlog.add(workspace_id, group.changes.values(), room().firing.clock(), ring=True)
    except Exception:
        logger.exception("what has changed could not be kept either")
        return False
    return True


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, list[dict[str, str]]]:
    """Reports the first record from which on Lambda has to call again, if any."""

    def out_of_time(since: float) -> bool:
        nearly_timed_out = context.get_remaining_time_in_millis() < HAND_OVER_BEFORE_TIMEOUT_MS
        return nearly_timed_out or time.monotonic() - since >= SLICE_SECONDS

    failed: list[str] = []
    put_off = 0
    for workspace_id, group in grouped(event).items():
        logger.append_keys(workspace_id=workspace_id)
        if not attend(workspace_id, group, partial(out_of_time, time.monotonic())):
            put_off += 1
            if not keep(workspace_id, group):
                failed.append(group.begins_at)
    metrics.add_metric("RuleBatchesPutOff", MetricUnit.Count, put_off)
    # Numbers are texts of digits; Lambda goes on from the lowest that is reported.
    return {"batchItemFailures": [{"itemIdentifier": number} for number in sorted(failed, key=int)[:1]]}
