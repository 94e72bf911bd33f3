"""Nobody gets at what is another's, by any route of the template: not to read it, to change it, to learn that it is
there, or to make somebody pay.

A shop has one of everything. Whoever is not of the shop tries every route on it; before and after, everything that the
deployment holds is compared. The stack is this module's own, so that nobody else changes anything meanwhile.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3
import httpx
import pytest

from functions.authorizer import handler as authorizer
from productsync.stack import EmbeddedStack
from shared import keys
from shared.dynamo.values import to_item
from tests.support.api import Caller, expect, refusal, wait
from tests.support.api import upload as send_file
from tests.support.holdings import Deployment, Holdings, differences
from tests.support.people import PASSWORD, let_in, person_of, tokens_of
from tests.support.sample_calls import CALLS, PUBLIC, THE_REST, Request, is_public, request, requests, routes
from tests.support.sample_calls import without_names as told
from tests.support.tokens import Mint, own_key
from tests.support.waiting import until

if TYPE_CHECKING:
    from mypy_boto3_cognito_idp import CognitoIdentityProviderClient

pytestmark = pytest.mark.slow

MARK = "zanzibar"
"""Stands in everything of the shop that somebody could want to read, and in nothing else."""

NOBODYS = {
    "workspace_id": "ws_01JZZZZZZZZZZZZZZZZZZZZZZZ",
    "grant_id": "gr_01JZZZZZZZZZZZZZZZZZZZZZZZ",
    "key_id": "key_01JZZZZZZZZZZZZZZZZZZZZZZZ",
    "run_id": "run_01JZZZZZZZZZZZZZZZZZZZZZZZ",
    "export_id": "exp_01JZZZZZZZZZZZZZZZZZZZZZZZ",
    "audit_id": "audit_01JZZZZZZZZZZZZZZZZZZZZZZZ",
    "upload_id": "up_01JZZZZZZZZZZZZZZZZZZZZZZZ",
    "operation_id": "op_01JZZZZZZZZZZZZZZZZZZZZZZZ",
    "feed_id": "the-feed-of-nobody",
    "schedule_id": "the-schedule-of-nobody",
    "rule_id": "the-rule-of-nobody",
    "entity": "entity_of_nobody",
    "key": "the key / of nobody",
    "name": "shopify",
}
"""Names of what never existed, as long as the shop's."""

SOURCE = {"type": "http", "url": f"http://localhost:9/{MARK}.csv"}
DEFINITION = {
    "format": {"type": "csv"},
    "entities": [{"entity": "entity_of_a_shop", "key": "sku", "attributes": {MARK: "title"}}],
    "source": SOURCE,
}
RULE = {
    "entity": "entity_of_a_shop",
    "trigger": {"on": ["updated"], "attributes": ["price"]},
    "condition": "price > 10",
    "actions": [{"set": MARK, "to": {"expression": "price * 1.2"}}],
    "description": MARK,
}
SCHEDULE = {
    "feed_id": "the-feed-of-a-shop",
    "expression": "cron(0 6 1 1 ? *)",
    "enabled": False,
    "description": MARK,
}


@dataclass(frozen=True)
class World:
    """The shop, what it has, and who else there is."""

    stack: EmbeddedStack
    deployment: Deployment
    http: httpx.Client
    operator: Caller
    shop: Caller
    person: Caller
    names: dict[str, str]
    bad: dict[str, dict[str, str]]
    """Headers of calls whose credential is no good, by what is wrong with it."""

    def new_workspace(self) -> Caller:
        return opened(self.operator)

    def send(self, headers: dict[str, str], wanted: Request) -> httpx.Response:
        url = f"{self.stack.endpoint}/v1{wanted.path}"
        return self.http.request(wanted.method, url, content=wanted.body, headers=headers)

    def send_all(self, headers: dict[str, str], wanted: list[Request]) -> list[httpx.Response]:
        with ThreadPoolExecutor(8) as pool:
            return list(pool.map(lambda each: self.send(headers, each), wanted))


def opened(operator: Caller) -> Caller:
    answer = expect(operator("POST", "/workspaces", {"name": f"{MARK} & Sons"}), 201).json()
    return Caller(operator.endpoint, answer["api_key"]["secret"], answer["workspace_id"])


def bearer(credential: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {credential}"}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with EmbeddedStack.start(tmp_path_factory.mktemp("isolation")) as stack:
        operator = Caller(stack.endpoint, stack.operator_key)
        shop = opened(operator)
        names = one_of_everything(shop)
        tokens = tokens_of(stack, let_in(operator, shop.workspace_id, f"{MARK}@shop.example"))
        person = Caller(stack.endpoint, tokens["IdToken"], shop.workspace_id)
        person.get("/credits")
        bad = {name: bearer(text) for name, text in (bad_keys(stack, shop) | bad_tokens(stack, tokens)).items()}
        with httpx.Client(timeout=60) as http:
            yield World(stack, Deployment(stack), http, operator, shop, person, names, bad | bad_headers(shop))


def one_of_everything(shop: Caller) -> dict[str, str]:
    """Names of what the shop has."""
    feed_id, entity, key = SCHEDULE["feed_id"], RULE["entity"], "the key / of a shop"
    expect(shop("PUT", f"/feeds/{feed_id}", DEFINITION), 201)
    credentials = {"type": "basic", "username": MARK, "password": MARK}
    expect(shop("PUT", f"/feeds/{feed_id}/credentials", credentials), 200)
    upload_id = send_file(shop, f"sku,title\na,{MARK}\n,{MARK}\n".encode(), str(feed_id))
    body = {"upload_id": upload_id}
    run = expect(shop("POST", f"/feeds/{feed_id}/runs", body, Idempotency_Key="the-key-of-a-shop"), 202).json()
    assert wait(shop, run["run_id"])["rejected"] == 1
    expect(shop("PUT", "/schedules/the-schedule-of-a-shop", SCHEDULE), 201)
    expect(shop("PUT", "/rules/the-rule-of-a-shop", RULE), 201)
    path = f"/records/{entity}/the%20key%20%2F%20of%20a%20shop"
    written = expect(shop("PUT", path, {"attributes": {"title": MARK}}, Idempotency_Key="the-key-of-a-shop"), 201)
    expect(shop("PUT", f"/records/{entity}/batch", {"attributes": {"title": MARK}}), 201)
    export_id = expect(shop("POST", "/exports", {}), 202).json()["export_id"]
    audit_id = expect(shop("POST", "/audits"), 202).json()["audit_id"]
    for path in (f"/exports/{export_id}", f"/audits/{audit_id}"):
        until(lambda: shop.get(path)["finished_at"])  # noqa: B023
    return {
        "workspace_id": shop.workspace_id,
        "grant_id": shop.get("/credits")["grants"][0]["grant_id"],
        "key_id": new_key(shop, MARK)["key_id"],
        "run_id": run["run_id"],
        "export_id": export_id,
        "audit_id": audit_id,
        "upload_id": upload_id,
        "operation_id": written.headers["X-Operation-Id"],
        "feed_id": str(feed_id),
        "schedule_id": "the-schedule-of-a-shop",
        "rule_id": "the-rule-of-a-shop",
        "entity": str(entity),
        "key": key,
        "name": "shopify",
    }


def new_key(owner: Caller, name: str, *scopes: str) -> dict[str, Any]:
    body = {"name": name, "scopes": scopes or ("read", "write", "configure", "finance")}
    return dict(expect(owner("POST", "/keys", body), 201).json())


def bad_keys(stack: EmbeddedStack, shop: Caller) -> dict[str, str]:
    """Keys of the shop that are no good, or not any more. Each of them was good, unless it never was."""
    revoked, rotated, expired = (new_key(shop, MARK) for _ in range(3))
    for each in (revoked, rotated, expired):
        Caller(shop.endpoint, each["secret"]).get("/credits")
    expect(shop("DELETE", f"/keys/{revoked['key_id']}"), 204)
    expect(shop("POST", f"/keys/{rotated['key_id']}/rotate", {"overlap_seconds": 0}), 201)
    stack.aws.dynamodb().update_item(
        TableName=stack.outputs["WorkTable"],
        Key=keys.api_key(expired["key_id"]).attributes(),
        UpdateExpression="SET expires_at = :past",
        ExpressionAttributeValues=to_item({":past": "2026-01-01T00:00:00.000Z"}),
    )
    return {
        "a revoked key": revoked["secret"],
        "a key that was rotated away": rotated["secret"],
        "an expired key": expired["secret"],
        "the name of a key, and another secret": shop.key[:-43] + "x" * 43,
        "a key that was cut off": shop.key[:-1],
        "a key that never was": f"psk_{NOBODYS['key_id'].removeprefix('key_')}_{'x' * 43}",
        "the identifier of a key": f"key_{shop.key.split('_')[1]}",
        "nonsense": "nonsense",
    }


def bad_tokens(stack: EmbeddedStack, tokens: dict[str, Any]) -> dict[str, str]:
    """Tokens of the shop's person, each wrong in one thing."""
    pool_id, _, client_id = stack.outputs["SignIn"].partition("/")
    mint = Mint.of(stack, pool_id, tokens["IdToken"])
    # What this mint makes is as good as the pool's own: so what is refused below is refused for what it says.
    assert Caller(stack.endpoint, mint.signed()).get("/credits")["state"] == "active"
    issuer = mint.claims()["iss"]
    return {
        "an access token": tokens["AccessToken"],
        "a refresh token": tokens["RefreshToken"],
        "an expired token": mint.expired(),
        "an unsigned token": mint.unsigned(),
        "an unsigned token with a signature": mint.unsigned("c2ln"),
        "HS256 with the public key": mint.hs256_with_the_public_key(),
        "the wrong issuer": mint.signed({"iss": f"{issuer[:-9]}StrangePo"}),
        "the wrong audience": mint.signed({"aud": client_id[::-1]}),
        "the wrong use": mint.signed({"token_use": "access"}),
        "a key pair of one's own": mint.signed(key=own_key()),
        "a key that the pool does not have": mint.signed(key=own_key(), kid="another"),
        "a token that was altered": mint.altered({"email": "eve@shop.example"}),
        "a token without a workspace": mint.signed({"custom:workspace_id": ""}),
        "a token that was cut off": mint.model[:-10],
        "a token with more": f"{mint.model}A.b",
        "a token of another pool": of_another_pool(stack, mint),
        "a token of another client": of_another_client(stack, str(mint.claims()["email"])),
    }


def of_another_pool(stack: EmbeddedStack, mint: Mint) -> str:
    """A token that somebody else's pool signed, in the same account and for an address that it knows too."""
    cognito = boto3.client("cognito-idp", endpoint_url=stack.state.aws_endpoint, region_name=stack.state.region)
    pool_id = cognito.create_user_pool(
        PoolName="strangers", Schema=[{"Name": "workspace_id", "AttributeDataType": "String", "Mutable": True}]
    )["UserPool"]["Id"]
    client_id = cognito.create_user_pool_client(
        UserPoolId=pool_id, ClientName="strangers", ExplicitAuthFlows=["ALLOW_USER_PASSWORD_AUTH"]
    )["UserPoolClient"]["ClientId"]
    workspace_id = str(mint.claims()["custom:workspace_id"])
    cognito.admin_create_user(
        UserPoolId=pool_id,
        Username="eve",
        UserAttributes=[{"Name": "custom:workspace_id", "Value": workspace_id}],
    )
    cognito.admin_set_user_password(UserPoolId=pool_id, Username="eve", Password=PASSWORD, Permanent=True)
    return signed_in(cognito, client_id, "eve")


def of_another_client(stack: EmbeddedStack, email: str) -> str:
    """A token that the person has of the same pool, for another application."""
    cognito = boto3.client("cognito-idp", endpoint_url=stack.state.aws_endpoint, region_name=stack.state.region)
    client_id = cognito.create_user_pool_client(
        UserPoolId=stack.outputs["SignIn"].partition("/")[0],
        ClientName="another",
        ExplicitAuthFlows=["ALLOW_USER_PASSWORD_AUTH"],
    )["UserPoolClient"]["ClientId"]
    return signed_in(cognito, client_id, email)


def signed_in(cognito: CognitoIdentityProviderClient, client_id: str, name: str) -> str:
    answer = cognito.initiate_auth(
        ClientId=client_id,
        AuthFlow="USER_PASSWORD_AUTH",
        AuthParameters={"USERNAME": name, "PASSWORD": PASSWORD},
    )
    return str(answer["AuthenticationResult"]["IdToken"])


def bad_headers(shop: Caller) -> dict[str, dict[str, str]]:
    """A good key in a place or a shape in which no credential is taken."""
    basic = base64.b64encode(f"{shop.key}:".encode()).decode()
    return {
        "no credential": {},
        "an empty one": {"Authorization": ""},
        "only its scheme": {"Authorization": "Bearer"},
        "another scheme": {"Authorization": f"Basic {basic}"},
        "no scheme": {"Authorization": shop.key},
        "two credentials": {"Authorization": f"Bearer {shop.key} {shop.key}"},
        "another header": {"X-Api-Key": shop.key},
        "what API Gateway counts by": {"X-Api-Key": shop.key.split("_")[1]},
        "a cookie": {"Cookie": f"Authorization=Bearer {shop.key}"},
    }


# --- the routes ---


def test_every_route_of_the_template_is_tried() -> None:
    protected = {route for route in routes() if not is_public(route)} - THE_REST
    assert {route for route in protected if route not in CALLS} == set(), "give these a call in sample_calls.py"
    assert {route for route in CALLS if route not in protected} == set(), "these routes are gone"
    assert [each.route for each in requests(NOBODYS) if "{" in each.path] == [], "nothing is named by these"
    assert set(routes()) >= PUBLIC


def test_what_is_public_tells_nothing_of_anybody(world: World) -> None:
    before = world.deployment.at_rest()
    for route in (route for route in routes() if is_public(route)):
        method, _, path = route.partition(" ")
        for name, value in world.names.items():
            path = path.replace(f"{{{name}}}", value).replace(f"{{{name}+}}", value)
        wanted = Request(route, method, path.replace("{proxy+}", "credits"))
        answers = [world.send(headers, wanted) for headers in ({}, world.bad["nonsense"], bearer(world.shop.key))]
        assert {answer.status_code for answer in answers} <= {200, 204}, route
        assert len({answer.text for answer in answers}) == 1, route
        assert MARK not in answers[0].text, route
    assert differences(before, world.deployment.holdings()) == []


# --- credentials that are no good ---


def test_a_credential_that_is_no_good_opens_nothing(world: World) -> None:
    """Every route without a credential, and with one that is no good. The others that are no good are tried on the same
    route below: each refusal costs the embedded API Gateway a new process, and all of them minutes.
    """
    before = world.deployment.at_rest()
    wanted = [*requests(world.names), Request("no route", "GET", "/nothing/here"), Request("no route", "PUT", "/feeds")]
    names = sorted(world.bad.keys() - {"no credential"})
    sent = [("no credential", each) for each in wanted]
    sent += [(names[number % len(names)], each) for number, each in enumerate(wanted)]
    assert {name for name, _ in sent} == set(world.bad)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda each: world.send(world.bad[each[0]], each[1]), sent))
    for (name, each), answer in zip(sent, answers, strict=True):
        assert refusal(answer, 401) == "unauthorized", (name, each.route)
        assert answer.headers["WWW-Authenticate"] == "Bearer"
    # All of them read the same, whatever is asked for: not even which paths there are can be learned.
    assert len({told(answer.text, world.names) for answer in answers}) == 1
    assert differences(before, world.deployment.holdings()) == []


def test_every_route_is_behind_the_authorizer(world: World) -> None:
    gateway, api = world.stack.aws.apigateway(), world.stack.outputs["ApiId"]
    authorizers = {each["id"]: each["name"] for each in gateway.get_authorizers(restApiId=api)["items"]}
    found = {}
    for resource in gateway.get_resources(restApiId=api, limit=500)["items"]:
        for method in resource.get("resourceMethods", {}):
            deployed = gateway.get_method(restApiId=api, resourceId=resource["id"], httpMethod=method)
            guard = authorizers.get(deployed.get("authorizerId", ""), deployed["authorizationType"])
            found[f"{method} {resource['path']}"] = guard
    assert set(found) == set(routes())
    assert {route for route, guard in found.items() if guard != "ApiKeys"} == {
        route for route in routes() if is_public(route)
    }


def test_the_authorizer_refuses_every_bad_credential_for_every_route(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of them, with the function as it is deployed, in this process."""
    functions = world.stack.aws.session.client("lambda", endpoint_url=world.stack.aws.endpoint)
    (name,) = [
        each["FunctionName"]
        for each in functions.list_functions(MaxItems=50)["Functions"]
        if each["Handler"] == "functions.authorizer.handler.handler"
    ]
    variables = functions.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
    here = {"AWS_ENDPOINT_URL": world.stack.state.aws_endpoint, "AWS_DEFAULT_REGION": world.stack.state.region}
    for variable, value in {**variables, **here}.items():
        monkeypatch.setenv(variable, value)
    remembered = [each for each in vars(authorizer).values() if hasattr(each, "cache_clear")]
    for each in remembered:
        each.cache_clear()
    before = world.deployment.at_rest()
    try:
        good = authorizer.handler(authorizer_event("GET /feeds", bearer(world.shop.key)), None)
        assert good["context"]["workspace_id"] == world.shop.workspace_id
        for route in CALLS:
            for headers in world.bad.values():
                with pytest.raises(Exception, match=r"^Unauthorized$"):
                    authorizer.handler(authorizer_event(route, headers), None)
    finally:
        for each in remembered:
            each.cache_clear()
    assert differences(before, world.deployment.holdings()) == []


def authorizer_event(route: str, headers: dict[str, str]) -> dict[str, Any]:
    """What API Gateway asks the authorizer; only what it goes by."""
    method, _, resource = route.partition(" ")
    arn = f"arn:aws:execute-api:eu-central-1:123456789012:a1b2c3d4e5/v1/{method}{resource}"
    return {"type": "REQUEST", "methodArn": arn, "resource": resource, "httpMethod": method, "headers": headers}


# --- callers of another workspace ---


def shape(answer: httpx.Response, names: dict[str, str]) -> tuple[Any, ...]:
    """All that an answer tells, but for the names that were asked for."""
    charged = answer.headers.get("X-Credits-Charged")
    headers = sorted(name for name in answer.headers if name != "content-length")
    return answer.status_code, tuple(headers), charged, told(answer.text, names)


def not_of(owner: Caller, before: Holdings, after: Holdings) -> list[str]:
    """The places that changed although nothing there says that they are the workspace's."""
    own = [owner.workspace_id, *(key["key_id"] for key in owner.get("/keys")["items"])]
    changed = {place: f"{place} {after.get(place)}" for place in differences(before, after)}
    return [place for place, content in changed.items() if not any(name in content for name in own)]


# What must be refused comes first: what a stranger puts under a name of the shop's is there from then on, as their own.


def is_refused_elsewhere(route: str) -> bool:
    return CALLS[route].elsewhere >= 400


def is_read_elsewhere(route: str) -> bool:
    return not is_refused_elsewhere(route) and route.startswith("GET ")


def is_written_elsewhere(route: str) -> bool:
    return not is_refused_elsewhere(route) and not route.startswith("GET ")


def is_meter(place: str) -> bool:
    """What counts how fast a person goes: their own, and no credits."""
    return "#PERSON#" in place


@pytest.mark.parametrize("channel", ["key", "person"])
def test_from_another_workspace_everything_is_as_if_it_were_not_there(world: World, channel: str) -> None:
    stranger = world.new_workspace()
    caller = (
        stranger if channel == "key" else person_of(world.stack, world.operator, stranger.workspace_id, in_finance=True)
    )
    caller.get("/credits")
    balance = stranger.get("/credits")
    before = world.deployment.at_rest()
    for routes_of in (is_refused_elsewhere, is_read_elsewhere, is_written_elsewhere):
        tried = [route for route in CALLS if routes_of(route)]
        assert tried
        asked = world.send_all(bearer(caller.key), [request(route, world.names) for route in tried])
        unknown = world.send_all(bearer(caller.key), [request(route, NOBODYS) for route in tried])
        for route, answer, other in zip(tried, asked, unknown, strict=True):
            assert answer.status_code == CALLS[route].elsewhere, (route, answer.text)
            # Where nothing is named, there is nothing to tell apart.
            if request(route, world.names) != request(route, NOBODYS):
                assert shape(answer, world.names) == shape(other, NOBODYS), route
            assert MARK not in answer.text, route
        if routes_of is is_refused_elsewhere:
            changed = differences(before, world.deployment.holdings())
            assert [place for place in changed if not is_meter(place)] == []
            assert stranger.get("/credits") == balance
    after = world.deployment.holdings()
    assert [place for place in differences(before, after) if world.shop.workspace_id in place] == []
    assert not_of(stranger, before, after) == []


def test_nothing_of_the_shop_s_helps_a_stranger_along(world: World) -> None:
    """Cursors, uploads, idempotency keys and identifiers in bodies are worth nothing in another workspace."""
    stranger = world.new_workspace()
    feed_id, entity = world.names["feed_id"], world.names["entity"]
    definition = {name: value for name, value in DEFINITION.items() if name != "source"}
    expect(stranger("PUT", f"/feeds/{feed_id}", definition), 201)
    listings = ("/feeds", f"/records/{entity}", "/operations", "/keys", "/schedules", "/rules", "/exports", "/audits")
    cursors = {listing: world.shop.get(f"{listing}?limit=1")["next_cursor"] for listing in listings}
    assert sum(cursor is not None for cursor in cursors.values()) >= 3
    before = world.deployment.at_rest()
    # The upload is the shop's, and so is what its key was answered.
    body = {"upload_id": world.names["upload_id"]}
    started = stranger("POST", f"/feeds/{feed_id}/runs", body, Idempotency_Key="the-key-of-a-shop")
    never_sent = stranger("POST", f"/feeds/{feed_id}/runs", {"upload_id": NOBODYS["upload_id"]})
    assert refusal(started, 409) == "upload-missing"
    assert shape(started, world.names) == shape(never_sent, NOBODYS)
    assert stranger.available() == 5000
    assert differences(before, world.deployment.holdings()) == []

    path = f"/records/{entity}/the%20key%20%2F%20of%20a%20shop"
    own = stranger("PUT", path, {"attributes": {"title": MARK}}, Idempotency_Key="the-key-of-a-shop")
    assert "Idempotency-Replayed" not in expect(own, 201).headers
    assert own.headers["X-Operation-Id"] != world.names["operation_id"]

    for listing, cursor in cursors.items():
        if cursor is not None:
            answer = stranger("GET", f"{listing}?cursor={cursor}")
            assert answer.status_code in {200, 422}, (listing, answer.text)
            for name in ("run_id", "key_id", "operation_id", "schedule_id", "rule_id", "workspace_id"):
                assert world.names[name] not in answer.text, listing
    after = world.deployment.holdings()
    assert [place for place in differences(before, after) if world.shop.workspace_id in place] == []


# --- operators, and keys that allow something else ---


def as_operator(route: str) -> bool:
    return "operator" in CALLS[route].scopes


def refused_alike(world: World, headers: dict[str, str], allowed: Callable[[str], bool]) -> None:
    """Every route that is not allowed is a 403, which is the same whether what is asked for exists or not."""
    before = world.deployment.at_rest()
    tried = [route for route in CALLS if not allowed(route)]
    asked = world.send_all(headers, [request(route, world.names) for route in tried])
    unknown = world.send_all(headers, [request(route, NOBODYS) for route in tried])
    for route, answer, other in zip(tried, asked, unknown, strict=True):
        assert refusal(answer, 403) == "forbidden", route
        assert shape(answer, world.names) == shape(other, NOBODYS), route
    assert differences(before, world.deployment.holdings()) == []


def test_an_operator_s_key_is_of_no_workspace(world: World) -> None:
    refused_alike(world, bearer(world.operator.key), as_operator)


def test_an_operator_does_not_get_at_a_workspace_s_keys(world: World) -> None:
    before = world.deployment.at_rest()
    listed = expect(world.operator("GET", "/keys"), 200)
    assert MARK not in listed.text
    for route in ("POST /keys/{key_id}/rotate", "DELETE /keys/{key_id}"):
        answers = [
            (world.send(bearer(world.operator.key), request(route, names)), names) for names in (world.names, NOBODYS)
        ]
        assert [answer.status_code for answer, _ in answers] == [404, 404], route
        assert len({shape(answer, names) for answer, names in answers if answer.headers}) == 1
    assert differences(before, world.deployment.holdings()) == []


@pytest.mark.parametrize("channel", ["key", "person"])
def test_nobody_of_a_workspace_is_an_operator(world: World, channel: str) -> None:
    caller = world.shop if channel == "key" else world.person
    refused_alike(world, bearer(caller.key), lambda route: CALLS[route].scopes != ("operator",))


@pytest.mark.parametrize("missing", ["read", "write", "configure"])
def test_a_key_with_every_scope_but_the_one_that_is_needed_is_refused(world: World, missing: str) -> None:
    others = {"read", "write", "configure", "finance"} - {missing}
    key = new_key(world.shop, MARK, *sorted(others))["secret"]
    assert len([route for route in CALLS if others.isdisjoint(CALLS[route].scopes)]) > 8
    # It is noted that a key was used, though not at every call: before it is looked at what there is.
    assert Caller(world.stack.endpoint, key)("GET", "/nothing").status_code == 404
    refused_alike(world, bearer(key), lambda route: not others.isdisjoint(CALLS[route].scopes))
