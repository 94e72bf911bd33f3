"""Says whose API key or sign-in a request carries, and what it allows: a Lambda authorizer of type REQUEST for a REST
API. It is also the authorizer of what everybody may ask for, since API Gateway counts only the calls that one has seen.

A valid one is answered with a policy that allows the whole API of this stage: what it may do there is decided by its
scopes, at each route. Keys and tokens are never logged. An outage is let out as it is: API Gateway then refuses the
request with a 500 (design law 7, fail closed).
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from functions.authorizer.settings import AuthorizerSettings
from shared.dynamo.client import dynamodb_client
from shared.times import utc_now
from shared.workspaces import ApiKey, Principal, authenticate, is_use_due, key_id_of, note_use

if TYPE_CHECKING:
    from datetime import datetime

    from mypy_boto3_dynamodb import DynamoDBClient

    from shared.people.tokens import SignIns

logger = logging.getLogger(__name__)

_SCHEME = "bearer"
_TOKEN = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*")
"""What could be a JWT; no key looks like it."""

_PUBLIC = {"/docs", "/openapi.json"}
"""What everybody may get. Beside it everybody may ask what a browser asks before a call (OPTIONS)."""

_BRIEF = Config(connect_timeout=1, read_timeout=1, retries={"mode": "standard", "total_max_attempts": 1})
"""For what nobody should wait for."""


@cache
def settings() -> AuthorizerSettings:
    """The function's environment."""
    return AuthorizerSettings.from_environment()


@cache
def store() -> DynamoDBClient:
    """Where keys are kept: connected to once."""
    return dynamodb_client()


@cache
def notes() -> DynamoDBClient:
    """Where uses of keys are noted: the same table, without patience."""
    return dynamodb_client(_BRIEF)


@cache
def sign_ins() -> SignIns:
    """What recognises people. Its cryptography is loaded for the first of them: most calls carry a key."""
    from shared.people.settings import PeopleSettings  # noqa: PLC0415
    from shared.people.tokens import SignIns  # noqa: PLC0415

    return SignIns(PeopleSettings.from_environment())


def handler(event: Mapping[str, Any], _context: object) -> dict[str, Any]:
    """The policy for the caller. Raises `Exception("Unauthorized")`, in exactly these words, for anybody else: API
    Gateway makes it a 401 (AWS documentation, "Output from an API Gateway Lambda authorizer").
    """
    method, resource = event["httpMethod"], event["resource"]
    public = public_resources(method, resource)
    if public:
        # Whoever it is: no credential is looked at, and none is passed on.
        usage_identifier = settings().preflight if method == "OPTIONS" else settings().documents
        return _allowed(event["methodArn"], public, "anyone", usage_identifier)
    token = bearer_token(event.get("headers") or {})
    answer = answer_to(token, event["methodArn"]) if token else None
    if answer is None:
        raise Exception("Unauthorized")  # noqa: TRY002 - API Gateway knows this text, whatever the class
    return answer


def answer_to(presented: str, method_arn: str) -> dict[str, Any] | None:
    """The policy for whoever's key or token it is; None for nobody's."""
    if key_id_of(presented) is not None:
        now = utc_now()
        key = authenticate(store(), settings().work_table, presented, now)
        if key is None:
            return None
        _note_use(key, now)
        return policy(key.principal, method_arn, settings().usage_of(key, now))
    person = sign_ins().principal(presented) if _TOKEN.fullmatch(presented) else None
    return None if person is None else policy(person, method_arn, settings().people)


def public_resources(method: str, resource: str) -> tuple[str, ...]:
    """The part of the API that everybody may ask for, if this is it: `GET/docs`. Nothing for all else.

    It goes by the route, which API Gateway has found, and by nothing that the caller says besides. API Gateway finds
    the same route where a slash follows, and holds the path as it was sent against the policy.
    """
    if method == "OPTIONS":
        return ("OPTIONS/*",)
    return (f"GET{resource}", f"GET{resource}/") if method == "GET" and resource in _PUBLIC else ()


def bearer_token(headers: Mapping[str, str]) -> str | None:
    """The token of `Authorization: Bearer <token>`. The names of headers and schemes have no case (RFC 9110)."""
    value = next((value for name, value in headers.items() if name.lower() == "authorization"), "")
    scheme, _, token = value.strip().partition(" ")
    return token.strip() or None if scheme.lower() == _SCHEME else None


def policy(principal: Principal, method_arn: str, usage_identifier: str) -> dict[str, Any]:
    """Allows every method of the API's stage, tells the API who calls, and API Gateway whose call to count.

    A context holds no nulls and no lists.
    """
    context = {
        "key_id": principal.key_id,
        "scopes": " ".join(sorted(principal.scopes)),
        "channel": principal.channel.value,
    }
    if principal.workspace_id is not None:
        context["workspace_id"] = principal.workspace_id
    return _allowed(method_arn, ("*",), principal.key_id, usage_identifier) | {"context": context}


def _allowed(method_arn: str, what: tuple[str, ...], caller: str, usage_identifier: str) -> dict[str, Any]:
    """`method_arn` reads `arn:…:{api}/{stage}/{method}/{path}`; `what` are parts of that stage."""
    api, stage, *_ = method_arn.split("/")
    resources = [f"{api}/{stage}/{part}" for part in what]
    return {
        "principalId": caller,
        "policyDocument": {
            "Version": "2012-10-17",
            "Statement": [{"Action": "execute-api:Invoke", "Effect": "Allow", "Resource": resources}],
        },
        "usageIdentifierKey": usage_identifier,
    }


def _note_use(key: ApiKey, now: datetime) -> None:
    """Notes that the key is used, now and then. Nobody is refused because that failed: it says nothing about the key,
    and the next call will try again.
    """
    if not is_use_due(key, now):
        return
    try:
        note_use(notes(), settings().work_table, key, now)
    except (BotoCoreError, ClientError) as error:
        logger.warning("the use of %s was not noted: %s", key.key_id, type(error).__name__)
