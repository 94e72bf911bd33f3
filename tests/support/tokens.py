"""Tokens as a user pool would sign them, and forged ones: each is wrong in one thing, and right in all others."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import jwt
from cryptography.hazmat.primitives import hashes, hmac, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

if TYPE_CHECKING:
    from productsync.stack import EmbeddedStack

NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True)
class Mint:
    """Signs tokens with a pool's own key, so that what is refused is refused for its claims and not its signature.

    `model` is a valid ID token of somebody who signed in.
    """

    key: rsa.RSAPrivateKey
    model: str

    @classmethod
    def of(cls, stack: EmbeddedStack, pool_id: str, model: str) -> Mint:
        """The mint of a pool of the embedded Cognito, which keeps its keys beside its other state."""
        (path,) = stack.directory.rglob(f"{pool_id}-id.pem")
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
        assert isinstance(key, rsa.RSAPrivateKey)
        return cls(key, model)

    @property
    def kid(self) -> str:
        """The name of the key, which tokens carry."""
        return str(jwt.get_unverified_header(self.model)["kid"])

    def claims(self, changes: Mapping[str, Any] = NOTHING) -> dict[str, Any]:
        """The model's claims, with some changed."""
        return jwt.decode(self.model, options={"verify_signature": False}) | dict(changes)

    def signed(
        self, changes: Mapping[str, Any] = NOTHING, *, key: rsa.RSAPrivateKey | None = None, kid: str | None = None
    ) -> str:
        return jwt.encode(self.claims(changes), key or self.key, "RS256", headers={"kid": kid or self.kid})

    def expired(self) -> str:
        hour_ago = int(time.time()) - 3600
        return self.signed({"iat": hour_ago - 900, "auth_time": hour_ago - 900, "exp": hour_ago})

    def unsigned(self, signature: str = "") -> str:
        return f"{_part({'alg': 'none', 'kid': self.kid})}.{_part(self.claims())}.{signature}"

    def hs256_with_the_public_key(self) -> str:
        """The old trick: the public key, which everybody may know, as the secret of an HMAC."""
        pem = self.key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        told = f"{_part({'alg': 'HS256', 'typ': 'JWT', 'kid': self.kid})}.{_part(self.claims())}"
        signature = hmac.HMAC(pem, hashes.SHA256())
        signature.update(told.encode())
        return f"{told}.{_base64(signature.finalize())}"

    def altered(self, changes: Mapping[str, Any]) -> str:
        """The model with other claims, and the signature that it had."""
        head, _, signature = self.model.split(".")
        return f"{head}.{_part(self.claims(changes))}.{signature}"


def own_key() -> rsa.RSAPrivateKey:
    """A key pair of one's own."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def _part(document: Any) -> str:
    return _base64(json.dumps(document).encode())


def _base64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
