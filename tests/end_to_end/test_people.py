"""People on the deployed template: how they come in, what they may do, and which tokens are nobody's."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import boto3
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

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


def part(document: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(document).encode()).rstrip(b"=").decode()


def test_tokens_that_are_not_valid_learn_nothing(
    stack: EmbeddedStack, operator: Caller, customer: Caller, cognito: CognitoIdentityProviderClient
) -> None:
    tokens = tokens_of(stack, let_in(operator, customer.workspace_id))
    valid: str = tokens["IdToken"]
    head, body, signature = valid.split(".")
    claims = jwt.decode(valid, options={"verify_signature": False})
    kid = jwt.get_unverified_header(valid)["kid"]
    own_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    # Somebody else's pool, of the same account even.
    stranger = cognito.create_user_pool(PoolName="strangers")["UserPool"]["Id"]
    other_client = cognito.create_user_pool_client(
        UserPoolId=stack.outputs["SignIn"].partition("/")[0],
        ClientName="another",
        ExplicitAuthFlows=["ALLOW_USER_PASSWORD_AUTH"],
    )["UserPoolClient"]["ClientId"]
    of_another_client = cognito.initiate_auth(
        ClientId=other_client,
        AuthFlow="USER_PASSWORD_AUTH",
        AuthParameters={"USERNAME": claims["email"], "PASSWORD": PASSWORD},
    )["AuthenticationResult"]["IdToken"]
    bad = {
        "an access token": tokens["AccessToken"],
        "a refresh token": tokens["RefreshToken"],
        "of another client": of_another_client,
        "unsigned": f"{part({'alg': 'none', 'kid': kid})}.{body}.",
        "altered": f"{head}.{part(claims | {'custom:workspace_id': 'ws_other'})}.{signature}",
        "self-made": jwt.encode(claims, own_key, "RS256", headers={"kid": kid}),
        "of another pool": jwt.encode(
            claims | {"iss": f"https://x/{stranger}"}, own_key, "RS256", headers={"kid": "x"}
        ),
        "cut off": valid[:-10],
        "with more": valid + "A.b",
    }
    assert Caller(operator.endpoint, valid).get("/credits")["workspace_id"] == customer.workspace_id
    for name, token in bad.items():
        assert refusal(Caller(operator.endpoint, token)("GET", "/credits"), 401) == "unauthorized", name
    cognito.delete_user_pool(UserPoolId=stranger)
    assert law_4(customer)["consumed"] == 0
