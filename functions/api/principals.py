"""Who calls: from the authorizer's context alone, never from a path or a body (design section 9)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from functions.api.problems import Refusal, forbidden, out_of_scope
from shared.credits import Channel
from shared.workspaces import Principal, Scope


def principal_of(event: Mapping[str, Any]) -> Principal:
    """The principal that the authorizer found."""
    context = event["requestContext"]["authorizer"]
    return Principal(
        workspace_id=context.get("workspace_id"),
        key_id=context["key_id"],
        scopes=frozenset(Scope(scope) for scope in context["scopes"].split()),
        channel=Channel(context["channel"]),
    )


def workspace_of(event: Mapping[str, Any]) -> str:
    """The caller's own workspace. Routes that operators may call as well ask `principal_of`."""
    workspace_id = principal_of(event).workspace_id
    if workspace_id is None:
        raise AssertionError("the route lets operators through, who belong to no workspace")
    return workspace_id


def require_any(event: Mapping[str, Any], scopes: Iterable[Scope]) -> None:
    """Raises Refusal for whoever has none of the scopes. Operators have no workspace, and pass as operators only."""
    principal = principal_of(event)
    wanted = tuple(scopes)
    if principal.workspace_id is None and Scope.OPERATOR not in wanted:
        raise Refusal(forbidden("An operator's key belongs to no workspace; use a key of the workspace."))
    if principal.scopes.isdisjoint(wanted):
        raise Refusal(out_of_scope(wanted))
