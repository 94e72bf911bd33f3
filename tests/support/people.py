"""Somebody who signs in to the deployed user pool, as the command line does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

import boto3

from productsync.sign_in import AppClient, NewPasswordWanted, UserPool
from tests.support.api import Caller, expect

if TYPE_CHECKING:
    from productsync.stack import EmbeddedStack

PASSWORD = "Correct-horse-12"


def user_pool(stack: EmbeddedStack) -> UserPool:
    """Where people sign in."""
    return UserPool(AppClient.parse(stack.outputs["SignIn"], stack.state.aws_endpoint))


def let_in(operator: Caller, workspace_id: str, email: str | None = None) -> dict[str, Any]:
    """Adds a person, and answers with who they are and their temporary password."""
    body = {"email": email or f"{uuid4().hex}@acme.example"}
    return dict(expect(operator("POST", f"/workspaces/{workspace_id}/people", body), 201).json())


def tokens_of(stack: EmbeddedStack, added: dict[str, Any]) -> dict[str, Any]:
    """Signs a person in for the first time, who chooses a password."""
    pool = user_pool(stack)
    wanted = pool.sign_in(added["email"], added["temporary_password"])
    assert isinstance(wanted, NewPasswordWanted)
    return pool.choose_password(wanted, PASSWORD)


def person_of(stack: EmbeddedStack, operator: Caller, workspace_id: str, *, in_finance: bool = False) -> Caller:
    """Somebody who has signed in to the workspace; `in_finance`, from its finance department."""
    added = let_in(operator, workspace_id)
    if in_finance:
        pool, _, _ = stack.outputs["SignIn"].partition("/")
        cognito = boto3.client(
            "cognito-idp",
            endpoint_url=stack.state.aws_endpoint,
            region_name=stack.state.region,
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )
        cognito.admin_add_user_to_group(UserPoolId=pool, Username=added["email"], GroupName="finance")
    tokens = tokens_of(stack, added)
    return Caller(operator.endpoint, tokens["IdToken"], workspace_id)
