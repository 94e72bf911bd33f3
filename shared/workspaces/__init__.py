"""Workspaces: how they are opened and topped up, their keys, and who a key stands for."""

from shared.workspaces.api_keys import ApiKey, authenticate, create_operator_key, key_id_of, new_api_key, put_api_key
from shared.workspaces.model import WORKSPACE_SCOPES, Principal, Scope, Workspace
from shared.workspaces.store import IdempotencyKeyReused, Opened, WorkspaceStore
from shared.workspaces.top_ups import ExpiresInThePast, TopUp, TopUpOutcome, top_up

__all__ = [
    "WORKSPACE_SCOPES",
    "ApiKey",
    "ExpiresInThePast",
    "IdempotencyKeyReused",
    "Opened",
    "Principal",
    "Scope",
    "TopUp",
    "TopUpOutcome",
    "Workspace",
    "WorkspaceStore",
    "authenticate",
    "create_operator_key",
    "key_id_of",
    "new_api_key",
    "put_api_key",
    "top_up",
]
