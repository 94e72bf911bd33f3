"""What owners do with their API keys: make, rotate and revoke them.

Nobody can give away what they do not have: a key is made, or rotated, only with scopes that the caller has, and by a
key that is to end only for as long as that one lives. Revoking takes none of this, since it only takes away.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from shared import keys
from shared.channels import Channel
from shared.dynamo.writes import Write
from shared.pace import PaceLimits, PaceStore, TooFast
from shared.workspaces.api_keys import ApiKey, KeyState, new_api_key
from shared.workspaces.key_store import MAX_KEYS, Changed, Kept, KeyStore, TooManyKeys
from shared.workspaces.model import Principal, Scope
from shared.workspaces.usage_keys import UsageKeys

_LOOKS = 5
"""How often a key is looked at again because somebody changed it meanwhile. It can be replaced once, and be revoked
once.
"""

_LONGEST = timedelta(days=36_500)
"""What a lifetime counts for at most: more would leave the calendar, if it began anew."""


KEY_PACE = PaceLimits(per_hour=60, per_day=200)
"""How often an owner may make and end keys: each time API Gateway's control plane is asked for something, which takes
five keys a second of all owners together (AWS documentation, "Amazon API Gateway quotas").
"""


@dataclass(frozen=True, slots=True)
class KeyRoom:
    """Where keys are kept, where their calls are counted, and where it is counted how often they are made and ended."""

    store: KeyStore
    usage: UsageKeys
    pace: PaceStore


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedKey:
    """A key to be made."""

    name: str
    scopes: tuple[Scope, ...]
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that was made, and its text."""

    key: ApiKey
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ScopesNotHeld:
    """The caller has not got these scopes. Nothing was done."""

    scopes: tuple[Scope, ...]


@dataclass(frozen=True, slots=True)
class OutlivesCaller:
    """The caller's own key ends at `expires_at`, and the new one would not. Nothing was done."""

    expires_at: datetime


@dataclass(frozen=True, slots=True)
class NotItself:
    """The caller's own key ends at `expires_at`: it rotates no other, whose successor might not. Nothing was done."""

    expires_at: datetime


@dataclass(frozen=True, slots=True)
class OverBeforeItBegins:
    """The key would have expired already. Nothing was done."""


@dataclass(frozen=True, slots=True)
class UnknownKey:
    """There is no such key, or it is somebody else's."""


@dataclass(frozen=True, slots=True)
class KeyIsOver:
    """The key is expired or revoked: there is nothing to replace. Nothing was done."""

    state: KeyState


@dataclass(frozen=True, slots=True)
class KeyIsReplaced:
    """The key was rotated before, and another has taken its place. Nothing was done."""

    replaced_by: str


Remember = Callable[[ApiKey], Sequence[Write]]


def _nothing(_key: ApiKey) -> Sequence[Write]:
    return ()


CreateOutcome = NewKey | ScopesNotHeld | OverBeforeItBegins | OutlivesCaller | TooManyKeys | TooFast
RotateOutcome = NewKey | UnknownKey | ScopesNotHeld | NotItself | KeyIsReplaced | KeyIsOver | TooManyKeys | TooFast
RevokeOutcome = ApiKey | UnknownKey


def create_key(
    room: KeyRoom, caller: Principal, wanted: WantedKey, now: datetime, remember: Remember = _nothing
) -> CreateOutcome:
    """Makes a key for the caller's workspace, or for operators if the caller is one.

    `remember` gives what is written in the same transaction: that this call has made this key.
    """
    refusal = _refusal_to_make(room.store, wanted, caller, now)
    if refusal is not None:
        return refusal
    if not room.store.has_room(caller.workspace_id, now):
        return TooManyKeys(MAX_KEYS)
    too_fast = _keep_pace(room, caller, now)
    if too_fast is not None:
        return too_fast
    key, secret = new_api_key(
        caller.workspace_id,
        wanted.scopes,
        now,
        name=wanted.name,
        created_by=caller.key_id,
        expires_at=wanted.expires_at,
    )
    key = counted(room.usage, key)
    outcome = room.store.add(key, now, beside=remember(key))
    if isinstance(outcome, TooManyKeys):
        forget(room.usage, key)
        return outcome
    _forget_lapsed(room.usage, outcome)
    return NewKey(key, secret)


def rotate_key(
    room: KeyRoom,
    caller: Principal,
    key_id: str,
    overlap: timedelta,
    now: datetime,
    remember: Remember = _nothing,
) -> RotateOutcome:
    """Makes a key of the same name and scopes, which takes the place of this one; both are good for `overlap`.

    `remember` is as for `create_key`.

    A key that was to live for so long is followed by one that lives as long. A key is replaced once: after that it is
    its successor that can be rotated, so that keys follow each other in one line.
    """
    for _ in range(_LOOKS):
        old = room.store.get(caller.workspace_id, key_id)
        if old is None:
            return UnknownKey()
        refusal = _refusal_to_rotate(room.store, old, caller, now)
        if refusal is not None:
            return refusal
        if overlap and not room.store.has_room(caller.workspace_id, now):
            return TooManyKeys(MAX_KEYS)
        # At each attempt, since each asks for a usage key.
        too_fast = _keep_pace(room, caller, now)
        if too_fast is not None:
            return too_fast
        outcome = _put_in_place(room, old, caller, overlap, now, remember)
        if not isinstance(outcome, Changed):
            return outcome
    raise AssertionError(f"{key_id} was replaced or revoked more often than a key can be")


def revoke_key(room: KeyRoom, caller: Principal, key_id: str, now: datetime) -> RevokeOutcome:
    """Ends a key at once, however often it is asked for.

    It counts, so that making and ending keys in turns is bounded, but it is refused to nobody: whoever has lost a key
    must be able to end it although its finder makes others with it. A key ends once, so there is a bound all the same.
    """
    for _ in range(_LOOKS):
        key = room.store.get(caller.workspace_id, key_id)
        if key is None:
            return UnknownKey()
        if key.state(now) is KeyState.REVOKED:
            return key
        outcome = room.store.revoke(key, now)
        if isinstance(outcome, Kept):
            forget(room.usage, key)
            _forget_lapsed(room.usage, outcome)
            _keep_pace(room, caller, now)
            return outcome.key
    raise AssertionError(f"{key_id} was revoked more often than a key can be")


def counted(usage: UsageKeys | None, key: ApiKey) -> ApiKey:
    """The key with a usage key of its own, which is there before it. Without `usage` it shares one."""
    return key if usage is None else replace(key, usage=usage.add(key.key_id))


def forget(usage: UsageKeys | None, key: ApiKey) -> None:
    """Removes the usage key of a key that is good no longer, or was never written."""
    if usage is not None and key.usage is not None:
        usage.remove(key.usage.gateway_id)


def _refusal_to_make(
    store: KeyStore, wanted: WantedKey, caller: Principal, now: datetime
) -> ScopesNotHeld | OverBeforeItBegins | OutlivesCaller | None:
    """Why the caller cannot make such a key."""
    missing = _missing(wanted.scopes, caller)
    if missing:
        return ScopesNotHeld(missing)
    if wanted.expires_at is not None and wanted.expires_at <= now:
        return OverBeforeItBegins()
    end = _end_of(store, caller)
    if end is None or (wanted.expires_at is not None and wanted.expires_at <= end):
        return None
    return OutlivesCaller(end)


def _refusal_to_rotate(
    store: KeyStore, old: ApiKey, caller: Principal, now: datetime
) -> ScopesNotHeld | NotItself | KeyIsOver | KeyIsReplaced | None:
    """Why the caller cannot rotate the key as it is."""
    missing = _missing(old.scopes, caller)
    if missing:
        return ScopesNotHeld(missing)
    end = None if old.key_id == caller.key_id else _end_of(store, caller)
    if end is not None:
        return NotItself(end)
    state = old.state(now)
    if old.replaced_by is not None and state is not KeyState.REVOKED:
        return KeyIsReplaced(old.replaced_by)
    return None if state is KeyState.ACTIVE else KeyIsOver(state)


def _put_in_place(
    room: KeyRoom, old: ApiKey, caller: Principal, overlap: timedelta, now: datetime, remember: Remember
) -> NewKey | TooManyKeys | Changed:
    lifetime = None if old.expires_at is None else min(old.expires_at - old.created_at, _LONGEST)
    new, secret = new_api_key(
        old.workspace_id,
        old.scopes,
        now,
        name=old.name,
        created_by=caller.key_id,
        expires_at=None if lifetime is None else now + lifetime,
    )
    new = counted(room.usage, new)
    outcome = room.store.rotate(old, new, now + overlap, now, beside=remember(new))
    if not isinstance(outcome, Kept):
        forget(room.usage, new)
        return outcome
    if outcome.key.state(now) is not KeyState.ACTIVE:
        forget(room.usage, outcome.key)
    _forget_lapsed(room.usage, outcome)
    return NewKey(new, secret)


def _missing(scopes: tuple[Scope, ...], caller: Principal) -> tuple[Scope, ...]:
    return tuple(scope for scope in scopes if scope not in caller.scopes)


def _end_of(store: KeyStore, caller: Principal) -> datetime | None:
    """When the caller's own key expires: that of a key which was rotated, too. None for people, and for keys without an
    end.
    """
    if caller.channel is not Channel.API:
        return None
    own = store.get(caller.workspace_id, caller.key_id)
    if own is None:
        raise AssertionError(f"{caller.key_id} has called, and keys are never deleted")
    return own.expires_at


def _keep_pace(room: KeyRoom, caller: Principal, now: datetime) -> TooFast | None:
    """Counts a change of the owner's keys, unless it is one too many."""
    return room.pace.count_on(keys.key_changes_of_day(caller.workspace_id, now), 1, now)


def _forget_lapsed(usage: UsageKeys, kept: Kept) -> None:
    for gateway_id in kept.forgotten:
        usage.remove(gateway_id)
