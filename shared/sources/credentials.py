"""Credentials for sources, in Secrets Manager: in no definition, answer, log, or file of a run.

Whoever sets up a feed gives them and can never read them again; only the preparer reads them. They are bound to the
origin that the feed had when they were given: a feed that is pointed elsewhere does not take them along.
"""

from __future__ import annotations

import base64
import json
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from shared.times import parse_rfc3339, to_rfc3339

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient


@dataclass(frozen=True, slots=True, kw_only=True)
class BasicCredentials:
    """A name and a password (RFC 7617)."""

    username: str
    password: str = field(repr=False)

    def header(self) -> tuple[str, str]:
        pair = f"{self.username}:{self.password}".encode()
        return "Authorization", f"Basic {base64.b64encode(pair).decode()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class BearerCredentials:
    """A token (RFC 6750)."""

    token: str = field(repr=False)

    def header(self) -> tuple[str, str]:
        return "Authorization", f"Bearer {self.token}"


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderCredentials:
    """A header of the source's own, such as X-Api-Key."""

    name: str
    value: str = field(repr=False)

    def header(self) -> tuple[str, str]:
        return self.name, self.value


Credentials = BasicCredentials | BearerCredentials | HeaderCredentials
_KINDS: dict[str, type[BasicCredentials | BearerCredentials | HeaderCredentials]] = {
    "basic": BasicCredentials,
    "bearer": BearerCredentials,
    "header": HeaderCredentials,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialsNote:
    """What may be shown of credentials: their type, the username or the header's name, for which origin they are, and
    since when.
    """

    type: Literal["basic", "bearer", "header"]
    origin: str
    updated_at: datetime
    username: str | None = None
    header: str | None = None


@dataclass(frozen=True, slots=True)
class Secret:
    """Credentials as the preparer reads them; `version` differs whenever they were given anew."""

    credentials: Credentials
    origin: str
    version: str


class CredentialStore:
    """The credentials of all feeds, each in a secret of its own. All methods raise botocore's errors."""

    def __init__(self, client: SecretsManagerClient, prefix: str) -> None:
        self._client = client
        self._prefix = prefix

    def put(
        self, workspace_id: str, feed_id: str, credentials: Credentials, origin: str, now: datetime
    ) -> CredentialsNote:
        """Keeps credentials for the sources of `origin`, in place of those that were there."""
        note = _note(credentials, origin, now)
        # What may be shown is the secret's description, so that showing it takes no right to read the secret itself.
        # As it is written, not escaped: the longest username and origin fit the 2,048 characters of a description.
        shown = json.dumps(asdict(note) | {"updated_at": to_rfc3339(now)}, ensure_ascii=False)
        secret = json.dumps({"type": note.type, "origin": origin, **asdict(credentials)})
        name = self._name(workspace_id, feed_id)
        try:
            self._client.update_secret(SecretId=name, Description=shown, SecretString=secret)
        except self._client.exceptions.ResourceNotFoundException:
            self._client.create_secret(Name=name, Description=shown, SecretString=secret)
        return note

    def note(self, workspace_id: str, feed_id: str) -> CredentialsNote | None:
        """What may be shown of the feed's credentials; None when it has none."""
        try:
            described = self._client.describe_secret(SecretId=self._name(workspace_id, feed_id))
        except self._client.exceptions.ResourceNotFoundException:
            return None
        if described.get("DeletedDate") is not None:
            return None
        shown: dict[str, Any] = json.loads(described["Description"])
        return CredentialsNote(**shown | {"updated_at": parse_rfc3339(shown["updated_at"])})

    def secret(self, workspace_id: str, feed_id: str) -> Secret | None:
        """The feed's credentials themselves; None when it has none."""
        try:
            answer = self._client.get_secret_value(SecretId=self._name(workspace_id, feed_id))
        except self._client.exceptions.ResourceNotFoundException:
            return None
        except self._client.exceptions.InvalidRequestException:
            # Marked for deletion: by hand, or by us a moment ago.
            return None
        values: dict[str, str] = json.loads(answer["SecretString"])
        kind, origin = values.pop("type"), values.pop("origin")
        return Secret(_KINDS[kind](**values), origin, answer["VersionId"])

    def delete(self, workspace_id: str, feed_id: str) -> bool:
        """Forgets the feed's credentials, for good; False when there were none."""
        name = self._name(workspace_id, feed_id)
        if self.note(workspace_id, feed_id) is None:
            return False
        # At once: a secret that waits for its deletion would stand in the way of new ones for the same feed.
        self._client.delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)
        return True

    def _name(self, workspace_id: str, feed_id: str) -> str:
        return f"{self._prefix}{workspace_id}/{feed_id}"


def origin_of(url: str) -> str:
    """Scheme, host and port of an address: what credentials are bound to (RFC 6454)."""
    parts = urlsplit(url)
    host = (parts.hostname or "").rstrip(".")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}:{port}"


def _note(credentials: Credentials, origin: str, now: datetime) -> CredentialsNote:
    match credentials:
        case BasicCredentials():
            return CredentialsNote(type="basic", origin=origin, updated_at=now, username=credentials.username)
        case BearerCredentials():
            return CredentialsNote(type="bearer", origin=origin, updated_at=now)
        case HeaderCredentials():
            return CredentialsNote(type="header", origin=origin, updated_at=now, header=credentials.name)
