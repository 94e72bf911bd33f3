"""Asks for an audit of every workspace, once a day (template.yaml).

One that is called twice, or cut off and called again, does no harm: while an audit is under way it is the answer. A
workspace of which none can be asked for keeps nobody else from theirs.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger

from shared.audits.commands import ask_for_audit
from shared.audits.store import AuditStore
from shared.dynamo.client import dynamodb_client
from shared.settings import Settings
from shared.times import utc_now
from shared.workspaces.directory import WorkspaceDirectory

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

logger = Logger()


class SomeNotAsked(Exception):
    """Of some workspaces no audit could be asked for; the log says of which, and why."""


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
    """Says of how many workspaces an audit is under way. Raises SomeNotAsked where that is not all of them, so that it
    is called again; and botocore's errors where they cannot be listed.
    """
    asked = failed = 0
    for workspace_id in room().directory.all():
        try:
            ask_for_audit(room().audits, workspace_id, utc_now())
        except Exception:
            # Whatever is wrong with this one, the next may be well.
            logger.exception("no audit was asked for", extra={"workspace_id": workspace_id})
            failed += 1
        else:
            asked += 1
    logger.info("asked for audits", extra={"workspaces": asked, "failed": failed})
    if failed:
        raise SomeNotAsked(f"{failed} workspaces")
    return {"asked": asked}
