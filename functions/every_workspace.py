"""What the calendar asks of every workspace, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from aws_lambda_powertools import Logger

logger = Logger(child=True)


class SomeNotAsked(Exception):
    """It could not be asked of some workspaces; the log says of which, and why."""


def ask_of_all(workspace_ids: Iterable[str], ask: Callable[[str], object]) -> dict[str, int]:
    """Says of how many it was asked. One of which it cannot be asked keeps nobody else waiting; then it raises
    SomeNotAsked in the end, so that the function is called again.
    """
    asked = failed = 0
    for workspace_id in workspace_ids:
        try:
            ask(workspace_id)
        except Exception:
            # Whatever is wrong with this one, the next may be well.
            logger.exception("a workspace could not be asked for", extra={"workspace_id": workspace_id})
            failed += 1
        else:
            asked += 1
    logger.info("asked of every workspace", extra={"workspaces": asked, "failed": failed})
    if failed:
        raise SomeNotAsked(f"{failed} workspaces")
    return {"asked": asked}
