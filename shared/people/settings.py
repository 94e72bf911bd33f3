"""Which user pool people sign in to, read from the environment once, when a function starts (see template.yaml)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass


def pool_id_of(environment: Mapping[str, str] = os.environ) -> str:
    """The user pool. Raises KeyError when it is missing."""
    return environment["PEOPLE_POOL_ID"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PeopleSettings:
    """A Cognito user pool and the app client that tokens must have been made for.

    `endpoint` is where an embedded AWS answers; None is AWS itself.
    """

    pool_id: str
    client_id: str
    endpoint: str | None = None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> PeopleSettings:
        """Raises KeyError for what is missing."""
        return cls(
            pool_id=pool_id_of(environment),
            client_id=environment["PEOPLE_CLIENT_ID"],
            endpoint=environment.get("AWS_ENDPOINT_URL"),
        )

    @property
    def issuer(self) -> str:
        """Who the pool's tokens say made them (AWS documentation, "Verifying JSON web tokens")."""
        region, _, _ = self.pool_id.partition("_")
        return f"https://cognito-idp.{region}.amazonaws.com/{self.pool_id}"

    @property
    def keys_url(self) -> str:
        """Where the public keys are that the pool signs with."""
        base = self.issuer if self.endpoint is None else f"{self.endpoint.rstrip('/')}/{self.pool_id}"
        return f"{base}/.well-known/jwks.json"
