"""Somebody of the shop, who signs in as people do."""

import secrets

from productsync.client import Client
from productsync.failures import shown_once
from productsync.settings import Secret
from productsync.sign_in import AppClient, NewPasswordWanted, UserPool
from productsync.stack import EmbeddedStack

EMAIL = "anna@shop.example"


def sign_in(stack: EmbeddedStack, operator: Client, workspace_id: str) -> Secret:
    """Lets a person in to the workspace, who chooses a password of their own. The token that they show to the API."""
    added = operator.workspaces.add_person(workspace_id, EMAIL).body
    pool = UserPool(AppClient.parse(stack.outputs["SignIn"], stack.state.aws_endpoint))
    tokens = pool.sign_in(EMAIL, shown_once(added["temporary_password"], EMAIL, hint="Play the demo again."))
    if isinstance(tokens, NewPasswordWanted):
        tokens = pool.choose_password(tokens, f"Aa1-{secrets.token_urlsafe(16)}")
    return Secret(tokens["IdToken"], f"the sign-in of {EMAIL}")
