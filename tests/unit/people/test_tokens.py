"""Who a token is taken for, and all the tokens that are taken for nobody's."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from shared.credits import Channel
from shared.people.settings import PeopleSettings
from shared.people.tokens import KeysUnavailable, SignIns
from shared.workspaces import Principal, Scope

SETTINGS = PeopleSettings(pool_id="eu-central-1_AbCd12345", client_id="5example6client7")
ISSUER = "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_AbCd12345"
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
HUMAN = frozenset({Scope.READ, Scope.WRITE, Scope.CONFIGURE})


def public_key(key: rsa.RSAPrivateKey, kid: str = "k1") -> dict[str, Any]:
    jwk: dict[str, Any] = jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    return jwk | {"kid": kid, "alg": "RS256", "use": "sig"}


def claims(**changes: Any) -> dict[str, Any]:
    now = int(time.time())
    usual = {
        "sub": "5c1e1f0e-0000-4000-8000-000000000001",
        "iss": ISSUER,
        "aud": SETTINGS.client_id,
        "token_use": "id",
        "iat": now,
        "exp": now + 3600,
        "email": "ada@acme.example",
        "custom:workspace_id": "ws_01KAMZ5Q000000000000000001",
    }
    return {name: value for name, value in (usual | changes).items() if value is not None}


def signed(
    key: Any = KEY,
    kid: str | None = "k1",
    algorithm: str = "RS256",
    *,
    also: Mapping[str, Any] = MappingProxyType({}),
    **changes: Any,
) -> str:
    """A token with claims that are changed by name, `also` those whose names Python cannot spell; None leaves out."""
    return jwt.encode(claims(**changes, **also), key, algorithm, headers={} if kid is None else {"kid": kid})


def part(document: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(document).encode()).rstrip(b"=").decode()


class Pool:
    """A user pool's keys, and how often they were asked for."""

    def __init__(self, *keys: dict[str, Any]) -> None:
        self.document = json.dumps({"keys": list(keys)}).encode()
        self.asked: list[str] = []
        self.seconds = 0.0

    def fetch(self, url: str) -> bytes:
        self.asked.append(url)
        return self.document

    def sign_ins(self, settings: PeopleSettings = SETTINGS) -> SignIns:
        return SignIns(settings, fetch=self.fetch, monotonic=lambda: self.seconds)


@pytest.fixture
def pool() -> Pool:
    return Pool(public_key(KEY))


def test_a_valid_token_is_a_person_of_the_workspace_that_it_names(pool: Pool) -> None:
    assert pool.sign_ins().principal(signed()) == Principal(
        "ws_01KAMZ5Q000000000000000001", "person_5c1e1f0e-0000-4000-8000-000000000001", HUMAN, Channel.PERSON
    )


@pytest.mark.parametrize(
    ("groups", "scopes"),
    [
        (["finance"], HUMAN | {Scope.FINANCE}),
        (["others", "finance"], HUMAN | {Scope.FINANCE}),
        (["operator"], HUMAN),
        ("finance", HUMAN),
    ],
)
def test_finance_is_a_group(pool: Pool, groups: Any, scopes: frozenset[Scope]) -> None:
    principal = pool.sign_ins().principal(signed(also={"cognito:groups": groups}))
    assert principal is not None
    assert principal.scopes == scopes


def pem_of_the_public_key() -> bytes:
    return KEY.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def hs256_with_the_public_key() -> str:
    """The old trick: the public key, which everybody knows, as the secret of an HMAC."""
    head = f"{part({'alg': 'HS256', 'typ': 'JWT', 'kid': 'k1'})}.{part(claims())}"
    secret = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256)
    signature = secret.sign(head.encode(), pem_of_the_public_key())
    return f"{head}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def altered() -> str:
    head, _, signature = signed().split(".")
    return f"{head}.{part(claims(**{'custom:workspace_id': 'ws_other'}))}.{signature}"


REFUSED: dict[str, Callable[[], str]] = {
    "expired": lambda: signed(iat=int(time.time()) - 7200, exp=int(time.time()) - 3600),
    "of the future": lambda: signed(iat=int(time.time()) + 3600, exp=int(time.time()) + 7200),
    "without an expiry": lambda: signed(exp=None),
    "without a subject": lambda: signed(sub=None),
    "another issuer": lambda: signed(iss="https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_Other"),
    "without an issuer": lambda: signed(iss=None),
    "another audience": lambda: signed(aud="another-client"),
    "without an audience": lambda: signed(aud=None),
    "an access token": lambda: signed(token_use="access"),
    "without a use": lambda: signed(token_use=None),
    "without a workspace": lambda: signed(also={"custom:workspace_id": None}),
    "an empty workspace": lambda: signed(also={"custom:workspace_id": ""}),
    "a workspace that is no text": lambda: signed(also={"custom:workspace_id": ["ws_1"]}),
    "another key": lambda: signed(OTHER_KEY),
    "a key that is not known": lambda: signed(OTHER_KEY, kid="k2"),
    "no key named": lambda: signed(kid=None),
    "unsigned": lambda: f"{part({'alg': 'none', 'kid': 'k1'})}.{part(claims())}.",
    "unsigned, with a signature": lambda: f"{part({'alg': 'none', 'kid': 'k1'})}.{part(claims())}.c2ln",
    "HS256 with the public key": hs256_with_the_public_key,
    "PS256": lambda: signed(algorithm="PS256"),
    "RS512": lambda: signed(algorithm="RS512"),
    "altered": altered,
    "no JSON": lambda: "a.b.c",
    "a header that is a list": lambda: f"{part(['RS256'])}.{part(claims())}.c2ln",
    "claims that are a list": lambda: jwt.api_jws.encode(b"[]", KEY, "RS256", headers={"kid": "k1"}),
}


@pytest.mark.parametrize("name", REFUSED)
def test_other_tokens_are_nobody_s(pool: Pool, name: str) -> None:
    assert pool.sign_ins().principal(REFUSED[name]()) is None


def test_the_keys_are_fetched_once(pool: Pool) -> None:
    sign_ins = pool.sign_ins()
    assert all(sign_ins.principal(signed()) for _ in range(5))
    assert pool.asked == [f"{ISSUER}/.well-known/jwks.json"]


def test_keys_that_are_not_known_are_asked_for_again_but_not_at_every_call(pool: Pool) -> None:
    sign_ins = pool.sign_ins()
    assert sign_ins.principal(signed()) is not None
    pool.document = json.dumps({"keys": [public_key(OTHER_KEY, "k2")]}).encode()
    assert [sign_ins.principal(signed(OTHER_KEY, "k2")) for _ in range(5)] == [None] * 5
    assert len(pool.asked) == 1
    pool.seconds += 61
    assert sign_ins.principal(signed(OTHER_KEY, "k2")) is not None
    # The pool no longer signs with the old one.
    assert sign_ins.principal(signed()) is None
    assert len(pool.asked) == 2


@pytest.mark.parametrize(
    "document", [b"", b"<html>", b"{}", b"[]", b'{"keys": [{"kty": "RSA", "kid": "k1"}]}', b"null"]
)
def test_a_pool_that_names_no_keys_is_an_outage_and_no_answer(pool: Pool, document: bytes) -> None:
    pool.document = document
    with pytest.raises(KeysUnavailable):
        pool.sign_ins().principal(signed())


def test_keys_of_other_kinds_are_passed_over() -> None:
    symmetric = {"kty": "oct", "kid": "k0", "k": "c2VjcmV0", "alg": "HS256"}
    assert Pool(symmetric, public_key(KEY)).sign_ins().principal(signed()) is not None


def test_a_pool_behind_an_endpoint_of_its_own_keeps_its_issuer() -> None:
    settings = PeopleSettings.from_environment(
        {
            "PEOPLE_POOL_ID": SETTINGS.pool_id,
            "PEOPLE_CLIENT_ID": SETTINGS.client_id,
            "AWS_ENDPOINT_URL": "http://127.0.0.1:4566/",
        }
    )
    assert settings.issuer == ISSUER
    assert settings.keys_url == "http://127.0.0.1:4566/eu-central-1_AbCd12345/.well-known/jwks.json"
