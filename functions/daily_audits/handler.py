"""Asks for an audit of every workspace, once a day (template.yaml).

One that is called twice, or cut off and called again, does no harm: while an audit is under way it is the answer. A
workspace of which none can be asked for keeps nobody else from theirs.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger

from functions.every_workspace import ask_of_all
from shared.audits.commands import ask_for_audit
from shared.audits.store import AuditStore
from shared.dynamo.client import dynamodb_client
from shared.settings import Settings
from shared.times import utc_now
from shared.workspaces.directory import WorkspaceDirectory

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

logger = Logger()


@dataclass(frozen=True, slots=True)
class Room:
    """What asking takes."""

    directory: WorkspaceDirectory
    audits: AuditStore


@cache
def room() -> Room:
    settings, dynamodb = Settings.from_environment(), dynamodb_client()
    return Room(WorkspaceDirectory(dynamodb, settings.work_table), AuditStore(dynamodb, settings.work_table))


@logger.inject_lambda_context(clear_state=True)
def handler(_event: Any, _context: LambdaContext) -> dict[str, int]:
    """Says of how many workspaces an audit is under way. Raises SomeNotAsked where that is not all of them, and
    botocore's errors where they cannot be listed: so it is called again.
    """
    return ask_of_all(
        room().directory.all(), lambda workspace_id: ask_for_audit(room().audits, workspace_id, utc_now())
    )
