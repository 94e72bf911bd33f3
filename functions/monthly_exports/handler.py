"""Asks for the exports of the month that is over, for every workspace (finance's schedule, template.yaml).

It may be called twice, or be cut off and called again: each firing asks once for each workspace, whatever was asked for
before. A workspace of which none can be asked for keeps nobody else from theirs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger

from functions.dead_letters import as_called
from functions.every_workspace import ask_of_all
from shared.dynamo.client import dynamodb_client
from shared.exports.commands import ask_for_monthly_export
from shared.exports.store import ExportStore
from shared.months import Month
from shared.settings import Settings
from shared.times import parse_rfc3339, utc_now
from shared.workspaces.directory import WorkspaceDirectory

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

logger = Logger()


@dataclass(frozen=True, slots=True)
class Room:
    """What asking takes."""

    directory: WorkspaceDirectory
    exports: ExportStore


@cache
def room() -> Room:
    settings, dynamodb = Settings.from_environment(), dynamodb_client()
    return Room(
        WorkspaceDirectory(dynamodb, settings.work_table),
        ExportStore(dynamodb, settings.work_table),
    )


@logger.inject_lambda_context(clear_state=True)
def handler(event: Any, _context: LambdaContext) -> dict[str, int]:
    """Says of how many workspaces an export is on its way. Raises SomeNotAsked where that is not all of them, and
    botocore's errors where they cannot be listed: so it is called again.
    """
    now = utc_now()
    scheduled_at = scheduled_time_of(event, now)
    month = Month.of(scheduled_at).previous
    logger.append_keys(month=str(month))

    def ask(workspace_id: str) -> None:
        ask_for_monthly_export(room().exports, workspace_id, month, scheduled_at, now)

    return ask_of_all(room().directory.all(), ask)


def scheduled_time_of(event: Any, now: datetime) -> datetime:
    """The time of the firing, which is the same at every attempt; this day's beginning where the event does not say:
    what fires it on the embedded stack leaves the placeholder as it is.
    """
    event = as_called(event)
    text = event.get("scheduled_at") if isinstance(event, Mapping) else None
    try:
        return parse_rfc3339(text) if isinstance(text, str) else _midnight(now)
    except ValueError:
        return _midnight(now)


def _midnight(now: datetime) -> datetime:
    return now.replace(hour=0, minute=0, second=0, microsecond=0)
