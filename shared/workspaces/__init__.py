"""Workspaces: how they are opened and topped up, their keys, and who a key stands for.

Only what the authorizer needs can be had from here: it loads nothing else at a cold start. The rest is in `store`,
`top_ups`, `key_store` and `key_commands`.
"""

from shared.workspaces.api_keys import (
    ApiKey,
    KeyState,
    authenticate,
    is_use_due,
    key_id_of,
    new_api_key,
    note_use,
    put_api_key,
)
from shared.workspaces.model import WORKSPACE_SCOPES, Principal, Scope, Workspace

__all__ = [
    "WORKSPACE_SCOPES",
    "ApiKey",
    "KeyState",
    "Principal",
    "Scope",
    "Workspace",
    "authenticate",
    "is_use_due",
    "key_id_of",
    "new_api_key",
    "note_use",
    "put_api_key",
]
