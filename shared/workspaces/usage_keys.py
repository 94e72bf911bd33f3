"""How API Gateway is told whose calls to count: each API key of ours has a key of API Gateway's in a usage plan.

API Gateway throttles by its own keys, which the authorizer names for each call (`usageIdentifierKey`). They open
nothing: their values are identifiers and no secrets. What is done to them fails safely. One that was made for nothing,
or that was left behind, stands for a key that nobody can use; a key that has none shares one with others.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from shared.workspaces.api_keys import UsageKey

if TYPE_CHECKING:
    from mypy_boto3_apigateway import APIGatewayClient

logger = logging.getLogger(__name__)

_CONFIG = Config(connect_timeout=3, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 4})
_MOST_PLANS = 500
"""Usage plans on one page (AWS documentation, "GetUsagePlans")."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageSettings:
    """Which usage plan keys belong to, and how they are marked as this deployment's.

    `operators_gateway_id` is a key that the template has put into the plan, that of operators without one of their own.
    The plan's own identifier cannot be told to the function: the plan needs the API's stage, which needs the function.
    """

    stack_name: str
    plan_name: str
    operators_gateway_id: str

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> UsageSettings:
        """Raises KeyError for what is missing: such a function must not start."""
        return cls(
            stack_name=environment["STACK_NAME"],
            plan_name=environment["USAGE_PLAN_NAME"],
            operators_gateway_id=environment["OPERATORS_GATEWAY_KEY_ID"],
        )


def connect() -> APIGatewayClient:
    """API Gateway's control plane."""
    return boto3.client("apigateway", config=_CONFIG)


class UsageKeys:
    """Makes and removes keys of API Gateway's. It connects when the first one is made: few calls need it."""

    def __init__(self, settings: UsageSettings, connect: Callable[[], APIGatewayClient] = connect) -> None:
        self._settings = settings
        self._connect = connect

    def add(self, key_id: str) -> UsageKey | None:
        """A new one, in the usage plan; None where the account has as many as AWS lets it have.

        Raises botocore's errors for outages. What was made until then is removed, as far as that can be done.
        """
        identifier = key_id.removeprefix("key_")
        try:
            made = self._client.create_api_key(
                name=f"{self._settings.stack_name}-{key_id}",
                description="Counts the calls of this API key; it opens nothing",
                enabled=True,
                value=identifier,
                tags={"Project": "productsync", "Stack": self._settings.stack_name},
            )
        except self._client.exceptions.LimitExceededException:
            logger.warning("there is no usage key left for %s: it shares one", key_id)
            return None
        usage = UsageKey(identifier, made["id"])
        try:
            self._client.create_usage_plan_key(usagePlanId=self._plan_id, keyId=usage.gateway_id, keyType="API_KEY")
        except (BotoCoreError, ClientError):
            self.remove(usage.gateway_id)
            raise
        return usage

    def remove(self, gateway_id: str) -> None:
        """Removes it, and from the plan with it. A failure is only logged, since nobody could do better: it leaves one
        that stands for no key any more (docs/deploy.md says how to find those).
        """
        try:
            self._client.delete_api_key(apiKey=gateway_id)
        except self._client.exceptions.NotFoundException:
            return
        except (BotoCoreError, ClientError) as error:
            logger.warning("the usage key %s is left behind: %s", gateway_id, type(error).__name__)

    @cached_property
    def _client(self) -> APIGatewayClient:
        return self._connect()

    @cached_property
    def _plan_id(self) -> str:
        """The plan of this name that has the operators' key."""
        wanted = self._settings
        found = self._client.get_usage_plans(keyId=wanted.operators_gateway_id, limit=_MOST_PLANS)["items"]
        return next(plan["id"] for plan in found if plan["name"] == wanted.plan_name)
