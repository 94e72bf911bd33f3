"""People on the deployed template: how they come in, what they may do, and which tokens are nobody's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import boto3
import pytest

from productsync.sign_in import SignInRefused
from tests.support.api import Caller, define, expect, fields, law_4, refusal, upload, wait
from tests.support.people import PASSWORD, let_in, person_of, tokens_of, user_pool

if TYPE_CHECKING:
    from mypy_boto3_cognito_idp import CognitoIdentityProviderClient

    from productsync.stack import EmbeddedStack


@pytest.fixture(scope="module")
def cognito(stack: EmbeddedStack) -> CognitoIdentityProviderClient:
    """The user pool, as the owner of the account sees it."""
    return boto3.client("cognito-idp", endpoint_url=stack.state.aws_endpoint, region_name=stack.state.region)


@pytest.fixture
def person(stack: EmbeddedStack, operator: Caller, customer: Caller) -> Caller:
    return person_of(stack, operator, customer.workspace_id)


def test_an_operator_lets_a_person_in_who_chooses_a_password(
    stack: EmbeddedStack, operator: Caller, customer: Caller
) -> None:
    added = let_in(operator, customer.workspace_id)
    assert added["workspace_id"] == customer.workspace_id
    # Until they come, they may be given another password; the first is then no good.
    again = let_in(operator, customer.workspace_id, added["email"])
    assert again["person_id"] == added["person_id"]
    pool = user_pool(stack)
    with pytest.raises(SignInRefused):
        pool.sign_in(added["email"], added["temporary_password"])
    tokens = tokens_of(stack, again)
    person = Caller(operator.endpoint, tokens["IdToken"])
    assert person.get("/credits")["workspace_id"] == customer.workspace_id
    # From then on it is their own business.
    path = f"/workspaces/{customer.workspace_id}/people"
    assert refusal(operator("POST", path, {"email": added["email"]}), 409) == "person-exists"
    signed_in_again = pool.sign_in(added["email"], PASSWORD)
    assert isinstance(signed_in_again, dict)
    renewed = pool.renew(tokens["RefreshToken"])
    assert Caller(operator.endpoint, renewed["IdToken"]).get("/credits")["workspace_id"] == customer.workspace_id


def test_only_operators_let_people_in(operator: Caller, customer: Caller, person: Caller) -> None:
    path = f"/workspaces/{customer.workspace_id}/people"
    body = {"email": "eve@acme.example"}
    assert refusal(customer("POST", path, body), 403) == "forbidden"
    assert refusal(person("POST", path, body), 403) == "forbidden"
    assert refusal(operator("POST", "/workspaces/ws_none/people", body), 404) == "not-found"
    for email in ("eve", "eve@", "@acme.example", "eve adams@acme.example", "eve@acme", "e" * 120 + "@acme.example"):
        assert fields(operator("POST", path, {"email": email})) == ["email"]


def test_what_a_person_does_by_hand_is_free_and_an_import_s_records_are_not(customer: Caller, person: Caller) -> None:
    define(person)
    started = expect(person("POST", "/feeds/main/runs", {"upload_id": upload(person)}), 202).json()
    run = wait(person, started["run_id"])
    assert (run["state"], run["channel"], run["credits"]) == ("finished", "person", 3)
    assert person.get("/records/product/a")["attributes"] == {"title": "Drill"}
    assert len(person.get("/records/product")["items"]) == 3
    assert law_4(customer)["consumed"] == 3


def test_a_person_is_of_one_workspace_and_sees_no_other(new_customer: Any, person: Caller) -> None:
    other: Caller = new_customer()
    expect(other("PUT", "/records/product/theirs", {"attributes": {"n": 1}}), 201)
    assert refusal(person("GET", "/records/product/theirs"), 404) == "not-found"
    assert refusal(person("PATCH", "/records/product/theirs", {"attributes": {"n": 2}}), 404) == "not-found"
    assert refusal(person("DELETE", "/records/product/theirs"), 404) == "not-found"
    expect(person("PUT", "/records/product/theirs", {"attributes": {"mine": 1}}), 201)
    assert other.get("/records/product/theirs")["attributes"] == {"n": 1}


def test_the_pool_lets_nobody_in_by_themselves_and_nobody_change_workspaces(
    stack: EmbeddedStack, cognito: CognitoIdentityProviderClient
) -> None:
    pool_id, _, client_id = stack.outputs["SignIn"].partition("/")
    pool = cognito.describe_user_pool(UserPoolId=pool_id)["UserPool"]
    assert pool["AdminCreateUserConfig"]["AllowAdminCreateUserOnly"] is True
    (workspace,) = [one for one in pool["SchemaAttributes"] if one["Name"] == "custom:workspace_id"]
    assert workspace["Mutable"] is False
    client = cognito.describe_user_pool_client(UserPoolId=pool_id, ClientId=client_id)["UserPoolClient"]
    assert client["WriteAttributes"] == ["email"]
    assert "custom:workspace_id" in client["ReadAttributes"]
