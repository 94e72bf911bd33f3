"""Says whose API key or sign-in a request carries, and what it allows: a Lambda authorizer of type REQUEST for a REST
API.

A valid one is answered with a policy that allows the whole API of this stage: what it may do there is decided by its
scopes, at each route. Keys and tokens are never logged. An outage is let out as it is: API Gateway then refuses the
request with a 500 (design law 7, fail closed).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from shared.dynamo.client import dynamodb_client
from shared.settings import Settings
from shared.workspaces import Principal, authenticate, key_id_of

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from shared.people.tokens import SignIns

_SCHEME = "bearer"
_TOKEN = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*")
"""What could be a JWT; no key looks like it."""


@cache
def store() -> tuple[DynamoDBClient, str]:
    """Where keys are kept: connected to once."""
    return dynamodb_client(), Settings.from_environment().work_table


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
    token = bearer_token(event.get("headers") or {})
    principal = principal_of(token) if token else None
    if principal is None:
        raise Exception("Unauthorized")  # noqa: TRY002 - API Gateway knows this text, whatever the class
    return policy(principal, event["methodArn"])


def principal_of(presented: str) -> Principal | None:
    """Whose key or token it is; None for neither."""
    if key_id_of(presented) is not None:
        client, table = store()
        return authenticate(client, table, presented)
    return sign_ins().principal(presented) if _TOKEN.fullmatch(presented) else None


def bearer_token(headers: Mapping[str, str]) -> str | None:
    """The token of `Authorization: Bearer <token>`. The names of headers and schemes have no case (RFC 9110)."""
    value = next((value for name, value in headers.items() if name.lower() == "authorization"), "")
    scheme, _, token = value.strip().partition(" ")
    return token.strip() or None if scheme.lower() == _SCHEME else None


def policy(principal: Principal, method_arn: str) -> dict[str, Any]:
    """Allows every method of the API's stage, and tells the API who calls.

    `method_arn` reads `arn:…:{api}/{stage}/{method}/{path}`. A context holds no nulls and no lists.
    """
    api, stage, *_ = method_arn.split("/")
    context = {
        "key_id": principal.key_id,
        "scopes": " ".join(sorted(principal.scopes)),
        "channel": principal.channel.value,
    }
    if principal.workspace_id is not None:
        context["workspace_id"] = principal.workspace_id
    return {
        "principalId": principal.key_id,
        "policyDocument": {
            "Version": "2012-10-17",
            "Statement": [{"Action": "execute-api:Invoke", "Effect": "Allow", "Resource": f"{api}/{stage}/*"}],
        },
        "context": context,
    }
