"""API keys: how they are made, kept and recognised.

A key reads `psk_<ULID>_<secret>`. The ULID names the key and is no secret; the rest is 256 random bits. Only the
SHA-256 of the whole text is stored: with that much entropy a slow password hash would protect nothing more, and cost
every call.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from shared import keys
from shared.credits import Channel
from shared.dynamo.values import from_item, to_item
from shared.dynamo.writes import Write, put_new
from shared.ids import new_key_id
from shared.keys import Item
from shared.times import Clock, parse_rfc3339, to_rfc3339
from shared.workspaces.model import Principal, Scope

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_SECRET_BYTES = 32
_KEY_TEXT = re.compile(r"psk_(?P<ulid>[0-9A-HJKMNP-TV-Z]{26})_[A-Za-z0-9_-]{43}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A key as it is stored: everything but its text. `workspace_id` is None for an operator's."""

    key_id: str
    digest: str
    workspace_id: str | None
    scopes: tuple[Scope, ...]
    created_at: datetime
    revoked_at: datetime | None = None


def new_api_key(workspace_id: str | None, scopes: Iterable[Scope], now: datetime) -> tuple[ApiKey, str]:
    """A new key and its text, which is shown to its owner once and kept nowhere."""
    key_id = new_key_id(now)
    text = f"psk_{key_id.removeprefix('key_')}_{secrets.token_urlsafe(_SECRET_BYTES)}"
    key = ApiKey(key_id=key_id, digest=_digest(text), workspace_id=workspace_id, scopes=tuple(scopes), created_at=now)
    return key, text


def key_id_of(text: str) -> str | None:
    """The identifier that a key's text carries; None for text that no key looks like."""
    match = _KEY_TEXT.fullmatch(text)
    return f"key_{match['ulid']}" if match else None


def put_api_key(table: str, key: ApiKey) -> Write:
    """Writes a key, once."""
    values: dict[str, Any] = {
        "key_id": key.key_id,
        "digest": key.digest,
        "workspace_id": key.workspace_id,
        "scopes": [scope.value for scope in key.scopes],
        "created_at": to_rfc3339(key.created_at),
        "revoked_at": key.revoked_at and to_rfc3339(key.revoked_at),
    }
    present = {name: value for name, value in values.items() if value is not None}
    return put_new(table, keys.api_key(key.key_id).attributes() | to_item(present))


def create_operator_key(client: DynamoDBClient, work_table: str, clock: Clock) -> str:
    """Makes a key for the people who run the deployment, and answers with its text. Needs write access to the table."""
    key, text = new_api_key(None, [Scope.OPERATOR], clock())
    client.put_item(**put_api_key(work_table, key).request["Put"])
    return text


def authenticate(client: DynamoDBClient, table: str, presented: str) -> Principal | None:
    """Whose key was presented; None when it is none of ours, or revoked.

    One read, and none for text that no key looks like.
    """
    key_id = key_id_of(presented)
    if key_id is None:
        return None
    # Consistent: a key that was revoked a moment ago is revoked.
    answer = client.get_item(TableName=table, Key=keys.api_key(key_id).attributes(), ConsistentRead=True)
    if "Item" not in answer:
        return None
    key = _to_api_key(answer["Item"])
    if not hmac.compare_digest(key.digest, _digest(presented)) or key.revoked_at is not None:
        return None
    return Principal(key.workspace_id, key.key_id, frozenset(key.scopes), Channel.API)


def _to_api_key(item: Item) -> ApiKey:
    values = from_item(item)
    revoked_at = values.get("revoked_at")
    return ApiKey(
        key_id=values["key_id"],
        digest=values["digest"],
        workspace_id=values.get("workspace_id"),
        scopes=tuple(Scope(scope) for scope in values["scopes"]),
        created_at=parse_rfc3339(values["created_at"]),
        revoked_at=None if revoked_at is None else parse_rfc3339(revoked_at),
    )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
