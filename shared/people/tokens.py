"""Recognising a person by the ID token of a sign-in: a JWT that the user pool signed.

Nothing in a token is believed before its signature is checked, and the one algorithm is RS256, whatever the token says.
The workspace is an attribute that only an operator sets (template.yaml): an access token would not carry it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import jwt

from shared.channels import Channel
from shared.people.settings import PeopleSettings
from shared.workspaces import Principal, Scope

_ALGORITHM = "RS256"
_CLAIMS = ("aud", "exp", "iat", "iss", "sub", "token_use")
_PERSON_SCOPES = frozenset({Scope.READ, Scope.WRITE, Scope.CONFIGURE})
_FINANCE_GROUP = "finance"
_WORKSPACE_CLAIM = "custom:workspace_id"
_CLOCK_SKEW_SECONDS = 5
_FETCH_SECONDS = 3
_MAX_KEYS_BYTES = 100_000
_ASK_AGAIN_SECONDS = 60
"""How long a key that is not known is not asked for again: a forged token must not cost a request to the pool."""


class KeysUnavailable(Exception):
    """The user pool does not say which keys it signs with, so nobody can be recognised."""


def fetch_keys(url: str) -> bytes:
    """What the user pool answers about its keys. Raises KeysUnavailable."""
    try:
        with urlopen(url, timeout=_FETCH_SECONDS) as answer:  # noqa: S310 - the address is the deployment's own
            return bytes(answer.read(_MAX_KEYS_BYTES))
    except (URLError, TimeoutError) as error:
        raise KeysUnavailable(str(error)) from error


class SignIns:
    """Recognises people. The pool's keys are fetched once, and again when a token names another."""

    def __init__(
        self,
        settings: PeopleSettings,
        *,
        fetch: Callable[[str], bytes] = fetch_keys,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._fetch = fetch
        self._monotonic = monotonic
        self._keys: dict[str, jwt.PyJWK] = {}
        self._fetched_at: float | None = None

    def principal(self, token: str) -> Principal | None:
        """Who signed in; None for a token that is not valid, or of nobody's workspace. Raises KeysUnavailable."""
        try:
            key = self._key(str(jwt.get_unverified_header(token).get("kid")))
            if key is None:
                return None
            claims = jwt.decode(
                token,
                key,
                algorithms=[_ALGORITHM],
                issuer=self._settings.issuer,
                audience=self._settings.client_id,
                leeway=_CLOCK_SKEW_SECONDS,
                options={"require": list(_CLAIMS)},
            )
        except jwt.InvalidTokenError:
            return None
        return _principal_of(claims)

    def _key(self, key_id: str) -> jwt.PyJWK | None:
        if key_id not in self._keys and self._may_ask():
            self._keys = _signing_keys(self._fetch(self._settings.keys_url))
            self._fetched_at = self._monotonic()
        return self._keys.get(key_id)

    def _may_ask(self) -> bool:
        return self._fetched_at is None or self._monotonic() - self._fetched_at >= _ASK_AGAIN_SECONDS


def _signing_keys(document: bytes) -> dict[str, jwt.PyJWK]:
    """The pool's keys by their identifiers. Raises KeysUnavailable for what is no set of keys."""
    try:
        found = json.loads(document)["keys"]
        usable = [one for one in found if one["kty"] == "RSA" and one.get("alg", _ALGORITHM) == _ALGORITHM]
        return {one["kid"]: jwt.PyJWK(one, algorithm=_ALGORITHM) for one in usable}
    except (KeyError, TypeError, ValueError, jwt.PyJWTError) as error:
        raise KeysUnavailable("the user pool's answer is no set of keys") from error


def _principal_of(claims: Mapping[str, Any]) -> Principal | None:
    workspace_id, use = claims.get(_WORKSPACE_CLAIM), claims["token_use"]
    if use != "id" or not isinstance(workspace_id, str) or not workspace_id:
        return None
    groups = claims.get("cognito:groups", [])
    is_finance = isinstance(groups, list) and _FINANCE_GROUP in groups
    scopes = _PERSON_SCOPES | {Scope.FINANCE} if is_finance else _PERSON_SCOPES
    return Principal(workspace_id, f"person_{claims['sub']}", scopes, Channel.PERSON)
