"""Usage keys: what is asked of API Gateway, and what becomes of its refusals."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from shared.workspaces.api_keys import UsageKey
from shared.workspaces.usage_keys import UsageKeys, UsageSettings

if TYPE_CHECKING:
    from mypy_boto3_apigateway import APIGatewayClient

KEY_ID = "key_01KAMZ5Q00APVWEYWXCMJ7D3FR"
SETTINGS = UsageSettings(stack_name="acme", plan_name="acme-keys", operators_gateway_id="0p3r4t0r50")
CREATED = {
    "name": f"acme-{KEY_ID}",
    "description": "Counts the calls of this API key; it opens nothing",
    "enabled": True,
    "value": "01KAMZ5Q00APVWEYWXCMJ7D3FR",
    "tags": {"Project": "productsync", "Stack": "acme"},
}
OF_OPERATORS = {"keyId": "0p3r4t0r50", "limit": 500}
PLANS = {"items": [{"id": "others", "name": "acme-people"}, {"id": "plan01", "name": "acme-keys"}]}
IN_PLAN = {"usagePlanId": "plan01", "keyId": "q1w2e3r4t5", "keyType": "API_KEY"}
REMOVED = {"apiKey": "q1w2e3r4t5"}


@pytest.fixture
def client() -> APIGatewayClient:
    return boto3.client("apigateway", region_name="eu-central-1")


@pytest.fixture
def gateway(client: APIGatewayClient) -> Iterator[Stubber]:
    """API Gateway: it answers what a test tells it to, and refuses any other request."""
    with Stubber(client) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


@pytest.fixture
def usage(client: APIGatewayClient) -> UsageKeys:
    return UsageKeys(SETTINGS, lambda: client)


def test_a_usage_key_is_made_and_put_into_the_plan_that_has_the_operators_key(
    gateway: Stubber, usage: UsageKeys
) -> None:
    gateway.add_response("create_api_key", {"id": "q1w2e3r4t5"}, CREATED)
    gateway.add_response("get_usage_plans", PLANS, OF_OPERATORS)
    gateway.add_response("create_usage_plan_key", {}, IN_PLAN)
    assert usage.add(KEY_ID) == UsageKey("01KAMZ5Q00APVWEYWXCMJ7D3FR", "q1w2e3r4t5")
    # The plan is looked for once.
    gateway.add_response("create_api_key", {"id": "q1w2e3r4t5"}, CREATED)
    gateway.add_response("create_usage_plan_key", {}, IN_PLAN)
    assert usage.add(KEY_ID) is not None


def test_aws_takes_its_value() -> None:
    """20 to 128 letters and digits (AWS documentation, "Usage plans and API keys for REST APIs")."""
    assert 20 <= len(CREATED["value"]) <= 128  # type: ignore[arg-type]  # it is text
    assert str(CREATED["value"]).isalnum()


def test_where_the_account_has_no_more_a_key_shares_one(gateway: Stubber, usage: UsageKeys) -> None:
    gateway.add_client_error("create_api_key", "LimitExceededException", http_status_code=429)
    assert usage.add(KEY_ID) is None


def test_an_outage_is_no_reason_to_share_one(gateway: Stubber, usage: UsageKeys) -> None:
    gateway.add_client_error("create_api_key", "TooManyRequestsException", http_status_code=429)
    with pytest.raises(ClientError, match="TooManyRequests"):
        usage.add(KEY_ID)


@pytest.mark.parametrize("found", [PLANS, None])
def test_one_that_is_in_no_plan_is_removed_again(
    gateway: Stubber, usage: UsageKeys, found: dict[str, Any] | None
) -> None:
    gateway.add_response("create_api_key", {"id": "q1w2e3r4t5"}, CREATED)
    if found is None:
        gateway.add_client_error("get_usage_plans", "AccessDeniedException", http_status_code=403)
    else:
        gateway.add_response("get_usage_plans", found, OF_OPERATORS)
        gateway.add_client_error("create_usage_plan_key", "BadRequestException", http_status_code=400)
    gateway.add_response("delete_api_key", {}, REMOVED)
    with pytest.raises(ClientError):
        usage.add(KEY_ID)


def test_removing_again_is_no_news(gateway: Stubber, usage: UsageKeys, caplog: pytest.LogCaptureFixture) -> None:
    gateway.add_response("delete_api_key", {}, REMOVED)
    usage.remove("q1w2e3r4t5")
    gateway.add_client_error("delete_api_key", "NotFoundException", http_status_code=404)
    usage.remove("q1w2e3r4t5")
    assert caplog.text == ""


def test_one_that_is_left_behind_is_told_in_the_log_and_stops_nobody(
    gateway: Stubber, usage: UsageKeys, caplog: pytest.LogCaptureFixture
) -> None:
    gateway.add_client_error("delete_api_key", "TooManyRequestsException", http_status_code=429)
    usage.remove("q1w2e3r4t5")
    assert "q1w2e3r4t5" in caplog.text
