"""Opening a workspace: itself, its first key, its credit account and its starter grant, all in one transaction."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from shared import keys
from shared.credits import DRAWING_PRIORITY, Grant, GrantKind, account
from shared.dynamo.transactions import Backoff, transact_write
from shared.dynamo.values import from_item, to_item
from shared.dynamo.writes import put_new
from shared.ids import fingerprint, grant_id, new_workspace_id
from shared.keys import Item, Key
from shared.times import parse_rfc3339, to_rfc3339
from shared.workspaces.api_keys import new_api_key
from shared.workspaces.directory import put_pointer
from shared.workspaces.key_commands import counted, forget
from shared.workspaces.key_store import put_first
from shared.workspaces.model import WORKSPACE_SCOPES, Scope, Workspace

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from shared.workspaces.usage_keys import UsageKeys

_FIRST_KEY = "first key"
_OPERATORS = "operators"
_CREATE = "create-workspace"


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A workspace as it was opened.

    `secret` is the text of its first key; None when the workspace was opened before, since it is not kept.
    """

    workspace: Workspace
    key_id: str
    scopes: tuple[Scope, ...]
    starter_credits: int
    secret: str | None


@dataclass(frozen=True, slots=True)
class IdempotencyKeyReused:
    """The same idempotency key, but for another workspace. Nothing was written."""

    workspace_id: str


class WorkspaceStore:
    """Opens workspaces."""

    def __init__(
        self,
        client: DynamoDBClient,
        work_table: str,
        credit_table: str,
        *,
        usage: UsageKeys | None = None,
        backoff: Backoff | None = None,
    ) -> None:
        self._client = client
        self._work_table = work_table
        self._credit_table = credit_table
        self._usage = usage
        self._backoff = backoff or Backoff()

    def open(
        self, name: str, starter_credits: int, currency: str, *, idempotency_key: str | None, now: datetime
    ) -> Opened | IdempotencyKeyReused:
        """Opens a workspace, once per idempotency key if there is one.

        A replay cannot show the secret again: only its digest is kept. Whoever lost the first answer opens another
        workspace, under another idempotency key.
        """
        workspace = Workspace(workspace_id=new_workspace_id(now), name=name, created_at=now)
        key, secret = new_api_key(workspace.workspace_id, WORKSPACE_SCOPES, now, name=_FIRST_KEY)
        key = counted(self._usage, key)
        opened = Opened(
            workspace=workspace,
            key_id=key.key_id,
            scopes=key.scopes,
            starter_credits=starter_credits,
            secret=secret,
        )
        writes = [
            put_new(self._work_table, _item(keys.workspace(workspace.workspace_id), _workspace_values(workspace))),
            *put_first(self._work_table, key),
            *account.open_account(self._credit_table, _starter_grant(workspace, starter_credits, currency)),
            put_pointer(self._work_table, workspace.workspace_id),
        ]
        if idempotency_key is not None:
            writes.insert(0, put_new(self._work_table, _item(_call_key(idempotency_key), _call_values(opened))))
        refused = transact_write(self._client, [write.request for write in writes], self._backoff)
        if refused is None:
            return opened
        forget(self._usage, key)
        known = refused.reasons[0]
        if idempotency_key is None or known is None or known.item is None:
            # All other identifiers here are new.
            raise AssertionError(f"an identifier of {workspace.workspace_id} is taken")
        return _replay(known.item, name)


def _starter_grant(workspace: Workspace, credits: int, currency: str) -> Grant:
    return Grant(
        grant_id=grant_id(workspace.created_at, workspace.workspace_id, "starter"),
        workspace_id=workspace.workspace_id,
        kind=GrantKind.FREE,
        credits=credits,
        unit_price=Decimal(0),
        currency=currency,
        priority=DRAWING_PRIORITY[GrantKind.FREE],
        granted_at=workspace.created_at,
    )


def _call_key(idempotency_key: str) -> Key:
    # A workspace's identifier begins with `ws_`, so the operators' calls share the key's form with none of them.
    return keys.call(_OPERATORS, _CREATE, idempotency_key)


def _item(key: Key, values: dict[str, Any]) -> Item:
    return key.attributes() | to_item(values)


def _workspace_values(workspace: Workspace) -> dict[str, Any]:
    return {
        "workspace_id": workspace.workspace_id,
        "name": workspace.name,
        "created_at": to_rfc3339(workspace.created_at),
    }


def _call_values(opened: Opened) -> dict[str, Any]:
    return _workspace_values(opened.workspace) | {
        "fingerprint": fingerprint(opened.workspace.name),
        "key_id": opened.key_id,
        "scopes": [scope.value for scope in opened.scopes],
        "starter_credits": opened.starter_credits,
    }


def _replay(item: Item, name: str) -> Opened | IdempotencyKeyReused:
    values = from_item(item)
    if values["fingerprint"] != fingerprint(name):
        return IdempotencyKeyReused(values["workspace_id"])
    return Opened(
        workspace=Workspace(
            workspace_id=values["workspace_id"],
            name=values["name"],
            created_at=parse_rfc3339(values["created_at"]),
        ),
        key_id=values["key_id"],
        scopes=tuple(Scope(scope) for scope in values["scopes"]),
        starter_credits=values["starter_credits"],
        secret=None,
    )
