"""API keys: what they are, and how they are recognised.

A key reads `psk_<ULID>_<secret>`. The ULID names the key and is no secret; the rest is 256 random bits. Only the
SHA-256 of the whole text is stored: with that much entropy a slow password hash would protect nothing more, and cost
every call. This module is what the authorizer loads at every cold start; `key_store` keeps keys.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from shared import keys
from shared.channels import Channel
from shared.dynamo.values import from_item, to_item
from shared.dynamo.writes import Write, put_new
from shared.ids import ULID_PATTERN, new_key_id
from shared.keys import Item
from shared.times import optional_rfc3339, parse_rfc3339, to_rfc3339
from shared.workspaces.model import Principal, Scope

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

USE_NOTED_EVERY = timedelta(minutes=10)
"""How old what is known of a key's last use may be: noting each use would double what a call costs."""

_SECRET_BYTES = 32
_KEY_TEXT = re.compile(rf"psk_(?P<ulid>{ULID_PATTERN})_[A-Za-z0-9_-]{{43}}")


class KeyState(StrEnum):
    """Whether a key is good, and if not, why."""

    ACTIVE = "active"
    EXPIRED = "expired"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True)
class UsageKey:
    """The key of API Gateway by which it counts the calls of one of ours (`usage_keys`).

    `identifier` is its value, which the authorizer names; `gateway_id` is what API Gateway calls it.
    """

    identifier: str
    gateway_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A key as it is stored: everything but its text. `workspace_id` is None for an operator's.

    `last_used_at` is true to `USE_NOTED_EVERY`. `replaced_by` is the key that took its place when it was rotated.
    `created_by` is the key, or the person, that made it: None for a first key, which nobody of its owner has made, and
    for those of before that was noted. A key without a `usage` of its own shares one.
    """

    key_id: str
    digest: str
    workspace_id: str | None
    name: str
    scopes: tuple[Scope, ...]
    created_at: datetime
    created_by: str | None = None
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None
    replaced_by: str | None = None
    usage: UsageKey | None = None

    def state(self, now: datetime) -> KeyState:
        """From the moment on at which it expires, a key is expired."""
        if self.revoked_at is not None:
            return KeyState.REVOKED
        if self.expires_at is not None and self.expires_at <= now:
            return KeyState.EXPIRED
        return KeyState.ACTIVE

    @property
    def principal(self) -> Principal:
        """Who calls with it."""
        return Principal(self.workspace_id, self.key_id, frozenset(self.scopes), Channel.API)


def new_api_key(
    workspace_id: str | None,
    scopes: Iterable[Scope],
    now: datetime,
    *,
    name: str = "",
    created_by: str | None = None,
    expires_at: datetime | None = None,
) -> tuple[ApiKey, str]:
    """A new key and its text, which is shown to its owner once and kept nowhere."""
    key_id = new_key_id(now)
    text = f"psk_{key_id.removeprefix('key_')}_{secrets.token_urlsafe(_SECRET_BYTES)}"
    key = ApiKey(
        key_id=key_id,
        digest=_digest(text),
        workspace_id=workspace_id,
        name=name,
        scopes=tuple(scopes),
        created_at=now,
        created_by=created_by,
        expires_at=expires_at,
    )
    return key, text


def key_id_of(text: str) -> str | None:
    """The identifier that a key's text carries; None for text that no key looks like."""
    match = _KEY_TEXT.fullmatch(text)
    return f"key_{match['ulid']}" if match else None


def put_api_key(table: str, key: ApiKey) -> Write:
    """Writes a key, once. Only with what `key_store` writes beside it is it listed, too."""
    values: dict[str, Any] = {
        "key_id": key.key_id,
        "digest": key.digest,
        "workspace_id": key.workspace_id,
        "name": key.name,
        "scopes": [scope.value for scope in key.scopes],
        "created_at": to_rfc3339(key.created_at),
        "created_by": key.created_by,
        "expires_at": key.expires_at and to_rfc3339(key.expires_at),
        "revoked_at": key.revoked_at and to_rfc3339(key.revoked_at),
        "usage_identifier": key.usage and key.usage.identifier,
        "gateway_key_id": key.usage and key.usage.gateway_id,
    }
    present = {name: value for name, value in values.items() if value is not None}
    return put_new(table, keys.api_key(key.key_id).attributes() | to_item(present))


def authenticate(client: DynamoDBClient, table: str, presented: str, now: datetime) -> ApiKey | None:
    """The key that was presented; None when it is none of ours, or revoked, or expired.

    One read, and none for text that no key looks like.
    """
    key_id = key_id_of(presented)
    if key_id is None:
        return None
    # Consistent: a key that was revoked a moment ago is revoked.
    answer = client.get_item(TableName=table, Key=keys.api_key(key_id).attributes(), ConsistentRead=True)
    if "Item" not in answer:
        return None
    key = to_api_key(answer["Item"])
    is_genuine = hmac.compare_digest(key.digest, _digest(presented))
    return key if is_genuine and key.state(now) is KeyState.ACTIVE else None


def is_use_due(key: ApiKey, now: datetime) -> bool:
    """Whether it is time to note that the key is used."""
    return key.last_used_at is None or now - key.last_used_at >= USE_NOTED_EVERY


def note_use(client: DynamoDBClient, table: str, key: ApiKey, now: datetime) -> None:
    """Notes that the key is used, unless somebody else has noted it meanwhile."""
    # Only of what is there: an update would make an item of a key that is gone.
    it_exists = "attribute_exists(pk)"
    nobody_was_faster = "(attribute_not_exists(last_used_at) OR last_used_at <= :due)"
    try:
        client.update_item(
            TableName=table,
            Key=keys.api_key(key.key_id).attributes(),
            UpdateExpression="SET last_used_at = :now",
            ConditionExpression=f"{it_exists} AND {nobody_was_faster}",
            ExpressionAttributeValues=to_item({":now": to_rfc3339(now), ":due": to_rfc3339(now - USE_NOTED_EVERY)}),
        )
    except client.exceptions.ConditionalCheckFailedException:
        return


def to_api_key(item: Item) -> ApiKey:
    """A key as it is stored. Keys of the time before they had names have an empty one."""
    values = from_item(item)
    usage = UsageKey(values["usage_identifier"], values["gateway_key_id"]) if "usage_identifier" in values else None
    return ApiKey(
        key_id=values["key_id"],
        digest=values["digest"],
        workspace_id=values.get("workspace_id"),
        name=values.get("name", ""),
        scopes=tuple(Scope(scope) for scope in values["scopes"]),
        created_at=parse_rfc3339(values["created_at"]),
        created_by=values.get("created_by"),
        expires_at=optional_rfc3339(values.get("expires_at")),
        revoked_at=optional_rfc3339(values.get("revoked_at")),
        last_used_at=optional_rfc3339(values.get("last_used_at")),
        replaced_by=values.get("replaced_by"),
        usage=usage,
    )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
