"""Books what is left of a grant at the moment when it expires.

The event is the input of the grant's schedule (see `shared.workspaces.expiries`). It only says where to look: whatever
has lapsed in that workspace by now is booked, once, however often and by whomever this is called. So an outage is let
out as it is, to be tried again, and only what no later try could read is dropped.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger

from functions.dead_letters import as_called
from shared.credits import Ledger
from shared.dynamo.client import dynamodb_client
from shared.settings import Settings

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

logger = Logger()


class TooEarly(Exception):
    """The grant has not lapsed yet. Its schedule is gone after this call, so the call has to be made again."""


@dataclass(frozen=True, slots=True)
class Due:
    """What an event calls for."""

    workspace_id: str
    grant_id: str


@cache
def ledger() -> Ledger:
    return Ledger(dynamodb_client(), Settings.from_environment().credit_table)


@logger.inject_lambda_context(clear_state=True)
def handler(event: Any, _context: LambdaContext) -> dict[str, int] | None:
    """Books, and says what the account shows then; nobody but tests waits to hear it. None for what calls for nothing.

    Raises TooEarly, StoreUnavailable and botocore's errors, so that it is called again.
    """
    try:
        due = due_of(event)
    except ValueError:
        logger.exception("what came is no expiry of a grant of ours")
        return None
    logger.append_keys(workspace_id=due.workspace_id, grant_id=due.grant_id)
    balance = ledger().book_lapsed(due.workspace_id)
    if balance is None:
        logger.error("there is no such account")
        return None
    if any(grant.grant_id == due.grant_id and grant.remaining for grant in balance.grants):
        raise TooEarly(f"{due.grant_id} has credits left that have not lapsed")
    figures = {"available": balance.available, "expired": balance.expired}
    logger.info("booked what has lapsed", extra=figures)
    return figures


def due_of(event: Any) -> Due:
    """What the event calls for. Raises ValueError when it calls for nothing."""
    event = as_called(event)
    if not isinstance(event, Mapping):
        raise ValueError(f"an event is an object, not {type(event).__name__}")
    return Due(_name(event.get("workspace_id")), _name(event.get("grant_id")))


def _name(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("the event names no workspace, or no grant")
    return value
