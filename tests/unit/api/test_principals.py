"""Who may do what."""

from __future__ import annotations

from typing import Any

import pytest

from functions.api.principals import principal_of, require_any, workspace_of
from functions.api.problems import Refusal
from shared.credits import Channel
from shared.workspaces import Principal, Scope


def event(scopes: str, workspace_id: str | None = "ws_1") -> dict[str, Any]:
    context = {"key_id": "key_1", "scopes": scopes, "channel": "api"}
    if workspace_id is not None:
        context["workspace_id"] = workspace_id
    return {"requestContext": {"authorizer": context}}


def test_the_principal_is_the_one_that_the_authorizer_found() -> None:
    assert principal_of(event("read write")) == Principal(
        "ws_1", "key_1", frozenset({Scope.READ, Scope.WRITE}), Channel.API
    )
    assert workspace_of(event("read")) == "ws_1"


@pytest.mark.parametrize("scope", [Scope.READ, Scope.WRITE, Scope.CONFIGURE, Scope.FINANCE])
def test_a_scope_allows_itself_and_nothing_else(scope: Scope) -> None:
    require_any(event(scope.value), [scope])
    others = " ".join(other.value for other in Scope if other is not scope)
    with pytest.raises(Refusal, match=scope.value) as refusal:
        require_any(event(others), [scope])
    assert refusal.value.problem.status == 403


def test_any_one_of_the_scopes_is_enough() -> None:
    for held in ("configure", "read operator"):
        require_any(event(held), [Scope.CONFIGURE, Scope.OPERATOR])
    with pytest.raises(Refusal, match="configure or operator"):
        require_any(event("read write finance"), [Scope.CONFIGURE, Scope.OPERATOR])


def test_an_operator_has_no_workspace_and_a_workspace_no_operator() -> None:
    require_any(event("operator", None), [Scope.OPERATOR])
    require_any(event("operator", None), [Scope.CONFIGURE, Scope.OPERATOR])
    with pytest.raises(Refusal, match="belongs to no workspace"):
        require_any(event("operator read", None), [Scope.READ])
    with pytest.raises(Refusal, match="operator"):
        require_any(event("read write configure finance"), [Scope.OPERATOR])


def test_without_a_workspace_there_is_none_to_work_in() -> None:
    with pytest.raises(AssertionError, match="operators"):
        workspace_of(event("operator", None))
