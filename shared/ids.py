"""Identifiers: ULIDs with a prefix that says what they name.

A ULID is 48 bits of milliseconds and 80 bits of anything, so an identifier tells when its thing began and sorts by
that time. Keys rely on it: the partition of an operation is the day that its identifier carries (see `shared.keys`).
"""

from __future__ import annotations

import hashlib
import secrets
from datetime import UTC, datetime, timedelta

from ulid import ULID

ULID_PATTERN = "[0-7][0-9A-HJKMNP-TV-Z]{25}"
_EPOCH = datetime.fromtimestamp(0, UTC)


def pattern_of(prefix: str) -> str:
    """The expression that identifiers with this prefix fit, in Python's dialect and in JSON Schema's."""
    return f"^{prefix}_{ULID_PATTERN}$"


def new_workspace_id(at: datetime) -> str:
    return _identifier("ws", at, secrets.token_bytes(10))


def new_run_id(at: datetime) -> str:
    return _identifier("run", at, secrets.token_bytes(10))


def new_upload_id(at: datetime) -> str:
    return _identifier("up", at, secrets.token_bytes(10))


def new_key_id(at: datetime) -> str:
    return _identifier("key", at, secrets.token_bytes(10))


def new_pass_id(at: datetime) -> str:
    return _identifier("pass", at, secrets.token_bytes(10))


def new_audit_id(at: datetime) -> str:
    return _identifier("audit", at, secrets.token_bytes(10))


def new_export_id(at: datetime) -> str:
    return _identifier("exp", at, secrets.token_bytes(10))


def export_id(at: datetime, *origin: str) -> str:
    """The identifier of an export that a schedule asks for: the same firing is the same export."""
    return _identifier("exp", at, _digest(origin))


def grant_id(at: datetime, *origin: str) -> str:
    """The identifier of a grant: the same origin (a workspace and its reference) at the same time is the same grant."""
    return _identifier("gr", at, _digest(origin))


def operation_id(at: datetime, *trigger: str) -> str:
    """The identifier of an operation, decided by its trigger alone: the same at every retry (design section 3).

    `at` is the time of the trigger, not of the attempt; `trigger` names it, for example a workspace, run and position.
    """
    return _identifier("op", at, _digest(trigger))


def first_operation_id(at: datetime) -> str:
    """The lowest identifier that an operation triggered at `at` could have."""
    return _identifier("op", at, bytes(10))


def last_operation_id(at: datetime) -> str:
    """The highest identifier that an operation triggered at `at` could have."""
    return _identifier("op", at, b"\xff" * 10)


def time_of(identifier: str) -> datetime:
    """When the thing that `identifier` names began. Raises ValueError when it is not one of our identifiers."""
    _, separator, ulid = identifier.partition("_")
    if not separator:
        raise ValueError(f"{identifier!r} is not an identifier")
    milliseconds = int.from_bytes(ULID.from_str(ulid).bytes[:6], "big")
    try:
        return datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (OverflowError, OSError) as error:
        raise ValueError(f"{identifier!r} carries no time") from error


def fingerprint(*parts: str) -> str:
    """A short digest that tells whether two requests under one identifier ask for the same thing."""
    return _digest(parts).hex()


def _identifier(prefix: str, at: datetime, tail: bytes) -> str:
    milliseconds = (at - _EPOCH) // timedelta(milliseconds=1)
    return f"{prefix}_{ULID.from_bytes(milliseconds.to_bytes(6, 'big') + tail)}"


def _digest(parts: tuple[str, ...]) -> bytes:
    digest = hashlib.sha256()
    for part in parts:
        encoded = part.encode()
        # The length before each part keeps ("ab", "c") and ("a", "bc") apart.
        digest.update(len(encoded).to_bytes(8, "big"))
        digest.update(encoded)
    return digest.digest()[:10]
