"""Who calls: from the authorizer's context alone, never from a path or a body (design section 9)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from functions.api.problems import Refusal, forbidden
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


def workspace_of(event: Mapping[str, Any], scope: Scope) -> str:
    """The caller's own workspace. Raises Refusal when their key does not allow `scope`, or belongs to no workspace."""
    principal = principal_of(event)
    if principal.workspace_id is None:
        raise Refusal(forbidden("An operator's key belongs to no workspace; use a key of the workspace."))
    _require(principal, scope)
    return principal.workspace_id


def require_operator(event: Mapping[str, Any]) -> None:
    """Raises Refusal for everybody but operators."""
    _require(principal_of(event), Scope.OPERATOR)


def _require(principal: Principal, scope: Scope) -> None:
    if scope not in principal.scopes:
        raise Refusal(forbidden(f"This call needs a key with the scope {scope.value}."))
