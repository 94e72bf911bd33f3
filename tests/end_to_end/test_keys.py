"""API keys on the deployed template: made, listed, rotated, revoked, and each counted by itself."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import httpx
import pytest

from productsync.stack import EmbeddedStack
from shared import keys
from shared.pace import PaceLimits, PaceStore
from shared.times import parse_rfc3339, to_rfc3339, utc_now
from tests.support.api import Caller, expect, fields, refusal
from tests.support.people import person_of

if TYPE_CHECKING:
    from mypy_boto3_apigateway import APIGatewayClient
    from mypy_boto3_dynamodb import DynamoDBClient

    from tests.support.stack import Tables

READING = {"name": "Nightly stock sync", "scopes": ["read"]}
NEVER_MADE = "key_01KAMZ5Q00APVWEYWXCMJ7D3FR"


def create(caller: Caller, **changes: Any) -> dict[str, Any]:
    return dict(expect(caller("POST", "/keys", READING | changes), 201).json())


def rotate(caller: Caller, key_id: str, **body: Any) -> dict[str, Any]:
    return dict(expect(caller("POST", f"/keys/{key_id}/rotate", body), 201).json())


def revoke(caller: Caller, key_id: str) -> None:
    expect(caller("DELETE", f"/keys/{key_id}"), 204)


def holder(caller: Caller, made: dict[str, Any]) -> Caller:
    return Caller(caller.endpoint, made["secret"], caller.workspace_id)


def listed(caller: Caller) -> dict[str, dict[str, Any]]:
    return {key["key_id"]: key for key in caller.get("/keys")["items"]}


# --- a key's life ---


def test_a_key_is_made_used_listed_and_revoked(customer: Caller) -> None:
    before = utc_now()
    made = create(customer)
    assert made["secret"].startswith(made["prefix"])
    assert (made["name"], made["scopes"], made["state"]) == ("Nightly stock sync", ["read"], "active")
    assert (made["expires_at"], made["revoked_at"], made["last_used_at"], made["replaced_by"]) == (None,) * 4
    shown = listed(customer)[made["key_id"]]
    assert shown == {name: value for name, value in made.items() if name != "secret"}
    user = holder(customer, made)
    assert user.get("/credits")["workspace_id"] == customer.workspace_id
    used_at = listed(customer)[made["key_id"]]["last_used_at"]
    assert before <= parse_rfc3339(used_at) <= utc_now()
    # To ten minutes: the next use is not noted.
    user.get("/credits")
    assert listed(customer)[made["key_id"]]["last_used_at"] == used_at

    revoke(customer, made["key_id"])
    assert refusal(user("GET", "/credits"), 401) == "unauthorized"
    ended = listed(customer)[made["key_id"]]
    assert ended["state"] == "revoked"
    revoke(customer, made["key_id"])
    assert listed(customer)[made["key_id"]] == ended
    assert refusal(customer("POST", f"/keys/{made['key_id']}/rotate", {}), 409) == "key-is-over"


def test_the_first_key_is_one_of_them(customer: Caller) -> None:
    (first,) = customer.get("/keys")["items"]
    assert (first["name"], first["scopes"]) == ("first key", ["read", "write", "configure", "finance"])
    assert first["created_by"] is None
    assert customer.key.startswith(first["prefix"])


def test_a_listing_has_pages_with_the_newest_first(customer: Caller) -> None:
    made = [create(customer, name=f"number {number}")["key_id"] for number in range(4)]
    found: list[str] = []
    query: str | None = ""
    while query is not None:
        page = customer.get(f"/keys?limit=2{query}")
        found += [key["key_id"] for key in page["items"]]
        query = f"&cursor={page['next_cursor']}" if page["next_cursor"] else None
    assert found[:-1] == list(reversed(made))
    assert len(found) == 5
    assert fields(customer("GET", "/keys?cursor=AAAA")) == ["cursor"]


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({"scopes": []}, "scopes"),
        ({"scopes": ["read", "read"]}, "scopes"),
        ({"scopes": ["everything"]}, "scopes.0"),
        ({"name": " "}, "name"),
        ({"name": "n" * 101}, "name"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({"secret": "psk_mine"}, "secret"),
    ],
)
def test_what_cannot_be_a_key_is_refused_by_its_field(customer: Caller, changes: dict[str, Any], wrong: str) -> None:
    assert fields(customer("POST", "/keys", READING | changes)) == [wrong]
    assert len(listed(customer)) == 1


def test_a_key_ends_when_it_was_to_end(customer: Caller) -> None:
    later = utc_now().replace(year=utc_now().year + 1)
    assert create(customer, expires_at=to_rfc3339(later))["expires_at"] == to_rfc3339(later)


def test_retries_with_an_idempotency_key_make_one_key_and_show_its_secret_once(customer: Caller) -> None:
    retry = uuid4().hex
    first = expect(customer("POST", "/keys", READING, Idempotency_Key=retry), 201).json()
    again = expect(customer("POST", "/keys", READING, Idempotency_Key=retry), 201)
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.json() == first | {"secret": None}
    path, retry = f"/keys/{first['key_id']}/rotate", uuid4().hex
    second = expect(customer("POST", path, {}, Idempotency_Key=retry), 201).json()
    again = expect(customer("POST", path, {}, Idempotency_Key=retry), 201)
    assert again.json() == second | {"secret": None}
    assert len(listed(customer)) == 3


def test_no_secret_is_stored_anywhere(customer: Caller, stack: EmbeddedStack) -> None:
    made = expect(customer("POST", "/keys", READING, Idempotency_Key=uuid4().hex), 201).json()
    secret = made["secret"].removeprefix(made["prefix"] + "_")
    table = stack.outputs["WorkTable"]
    pages = stack.aws.dynamodb().get_paginator("scan").paginate(TableName=table)
    items = [str(item) for page in pages for item in page["Items"]]
    assert any(made["key_id"] in item for item in items)
    assert not any(secret in item for item in items)


# --- rotation ---


def test_a_rotated_key_is_good_for_the_overlap(customer: Caller) -> None:
    old = create(customer)
    new = rotate(customer, old["key_id"], overlap_seconds=3600)
    assert (new["name"], new["scopes"]) == (old["name"], old["scopes"])
    holder(customer, old).get("/credits")
    holder(customer, new).get("/credits")
    shown = listed(customer)[old["key_id"]]
    assert (shown["state"], shown["replaced_by"]) == ("active", new["key_id"])
    good_for = parse_rfc3339(shown["expires_at"]) - parse_rfc3339(new["created_at"])
    assert good_for.total_seconds() == 3600
    again = expect(customer("POST", f"/keys/{old['key_id']}/rotate", {}), 409).json()
    assert (again["type"], again["replaced_by"]) == ("/problems/key-is-replaced", new["key_id"])


def test_without_an_overlap_the_old_key_ends_at_once(customer: Caller) -> None:
    old = create(customer)
    new = rotate(customer, old["key_id"], overlap_seconds=0)
    assert refusal(holder(customer, old)("GET", "/credits"), 401) == "unauthorized"
    holder(customer, new).get("/credits")
    assert listed(customer)[old["key_id"]]["state"] == "expired"


def test_a_day_is_what_an_overlap_lasts_if_nothing_is_said(customer: Caller) -> None:
    old = create(customer)
    new = rotate(customer, old["key_id"])
    expires_at = parse_rfc3339(listed(customer)[old["key_id"]]["expires_at"])
    assert (expires_at - parse_rfc3339(new["created_at"])).days == 1
    for seconds in (-1, 2_592_001, 1.5, "60"):
        assert fields(customer("POST", f"/keys/{new['key_id']}/rotate", {"overlap_seconds": seconds})) == [
            "overlap_seconds"
        ]


# --- rights ---


def test_keys_are_for_whoever_configures(customer: Caller) -> None:
    made = create(customer, scopes=["read", "write", "finance"])
    user = holder(customer, made)
    requests: list[tuple[str, str, Any]] = [
        ("GET", "/keys", None),
        ("POST", "/keys", READING),
        ("POST", f"/keys/{made['key_id']}/rotate", {}),
        ("DELETE", f"/keys/{made['key_id']}", None),
    ]
    for method, path, body in requests:
        assert refusal(user(method, path, body), 403) == "forbidden", path
    user.get("/credits")


def test_nobody_gets_more_by_making_or_rotating_a_key(customer: Caller) -> None:
    (first,) = listed(customer)
    configuring = holder(customer, create(customer, scopes=["configure"]))
    for scopes in (["read"], ["configure", "finance"], ["operator"]):
        problem = expect(configuring("POST", "/keys", READING | {"scopes": scopes}), 403).json()
        assert scopes[-1] in problem["detail"]
    assert refusal(configuring("POST", f"/keys/{first}/rotate", {}), 403) == "forbidden"
    create(configuring, scopes=["configure"])
    # Not even the first key makes operators.
    assert refusal(customer("POST", "/keys", READING | {"scopes": ["operator"]}), 403) == "forbidden"
    # To take away needs no more than to configure.
    revoke(configuring, first)
    assert refusal(customer("GET", "/credits"), 401) == "unauthorized"


def test_a_key_that_ends_makes_none_that_outlives_it_and_rotates_itself_alone(customer: Caller) -> None:
    (first,) = listed(customer)
    end = utc_now() + timedelta(hours=1)
    scopes = ["read", "configure"]
    made = create(customer, scopes=scopes, expires_at=to_rfc3339(end))
    assert made["created_by"] == first
    ending = holder(customer, made)
    for expires_at in (None, to_rfc3339(end + timedelta(seconds=1))):
        problem = expect(ending("POST", "/keys", READING | {"expires_at": expires_at}), 403).json()
        assert problem["type"] == "/problems/forbidden"
        assert made["expires_at"] in problem["detail"]
    shorter = create(ending, expires_at=made["expires_at"])
    assert shorter["created_by"] == made["key_id"]
    problem = expect(ending("POST", f"/keys/{shorter['key_id']}/rotate", {}), 403).json()
    assert (problem["type"], made["expires_at"] in problem["detail"]) == ("/problems/forbidden", True)
    new = rotate(ending, made["key_id"])
    assert new["created_by"] == made["key_id"]
    assert parse_rfc3339(new["expires_at"]) - parse_rfc3339(new["created_at"]) == end - parse_rfc3339(
        made["created_at"]
    )


def test_keys_are_not_made_faster_than_somebody_needs_them_but_revoked_at_any_time(
    customer: Caller, dynamodb: DynamoDBClient, tables: Tables
) -> None:
    made, now = create(customer), utc_now()
    pace = PaceStore(dynamodb, tables.work, PaceLimits(per_hour=1_000, per_day=1_000))
    for at in (now, now + timedelta(hours=1)):
        # As if they had made many already, also if the next hour or day begins meanwhile.
        assert pace.count_on(keys.key_changes_of_day(customer.workspace_id, at), 400, at) is None
    for path, body in (("/keys", READING), (f"/keys/{made['key_id']}/rotate", {})):
        refused = customer("POST", path, body)
        assert refusal(refused, 429) == "too-many-requests"
        assert 0 < int(refused.headers["Retry-After"]) <= 86_400
        assert "API keys" in refused.json()["detail"]
    revoke(customer, made["key_id"])
    assert refusal(holder(customer, made)("GET", "/credits"), 401) == "unauthorized"


def test_another_workspace_s_key_looks_like_none_at_all(new_customer: Callable[[], Caller], operator: Caller) -> None:
    mine, theirs = new_customer(), new_customer()
    (key_id,) = listed(theirs)
    for stranger in (mine, operator):
        for method, path, body in (("POST", "/keys/{}/rotate", {}), ("DELETE", "/keys/{}", None)):
            answers = [stranger(method, path.format(one), body) for one in (key_id, NEVER_MADE, "key_")]
            told = [expect(answer, 404).json() | {"request_id": ""} for answer in answers]
            assert told[0]["detail"].replace(key_id, NEVER_MADE) == told[1]["detail"]
            assert told[0] | {"detail": ""} == told[1] | {"detail": ""} == told[2] | {"detail": ""}
        assert key_id not in listed(stranger)
    theirs.get("/credits")


def test_operators_manage_operators_keys(operator: Caller) -> None:
    assert refusal(operator("POST", "/keys", READING), 403) == "forbidden"
    made = create(operator, name="Billing", scopes=["operator"])
    colleague = holder(operator, made)
    expect(colleague("POST", "/workspaces", {"name": "Acme"}), 201)
    new = rotate(colleague, made["key_id"], overlap_seconds=0)
    assert refusal(colleague("GET", "/keys"), 401) == "unauthorized"
    revoke(operator, new["key_id"])
    assert refusal(holder(operator, new)("GET", "/keys"), 401) == "unauthorized"
    assert {key["scopes"][0] for key in listed(operator).values()} == {"operator"}


def test_a_person_makes_a_key_with_what_people_may_do(stack: EmbeddedStack, operator: Caller, customer: Caller) -> None:
    person = person_of(stack, operator, customer.workspace_id)
    made = create(person, scopes=["read", "write", "configure"])
    assert made["created_by"].startswith("person_")
    holder(customer, made).get("/credits")
    assert refusal(person("POST", "/keys", READING | {"scopes": ["finance"]}), 403) == "forbidden"


# --- whose calls are counted ---


@pytest.fixture
def gateway(stack: EmbeddedStack) -> APIGatewayClient:
    return stack.aws.apigateway()


def usage_keys(gateway: APIGatewayClient) -> dict[str, str]:
    """What API Gateway has: names and values."""
    pages = gateway.get_paginator("get_api_keys").paginate(includeValues=True)
    return {one["name"]: one["value"] for page in pages for one in page["items"]}


def test_api_gateway_has_a_key_for_each_that_is_good(customer: Caller, gateway: APIGatewayClient) -> None:
    (first,) = listed(customer)
    old = create(customer)
    new = rotate(customer, old["key_id"], overlap_seconds=0)
    known = usage_keys(gateway)
    for key_id in (first, new["key_id"]):
        assert known[f"productsync-{key_id}"] == key_id.removeprefix("key_")
    assert f"productsync-{old['key_id']}" not in known
    revoke(customer, new["key_id"])
    assert f"productsync-{new['key_id']}" not in usage_keys(gateway)


def test_an_opening_that_is_repeated_leaves_no_usage_key_behind(operator: Caller, gateway: APIGatewayClient) -> None:
    retry = uuid4().hex
    opened = expect(operator("POST", "/workspaces", {"name": "Hansen"}, Idempotency_Key=retry), 201).json()
    before = usage_keys(gateway)
    assert f"productsync-{opened['api_key']['key_id']}" in before
    expect(operator("POST", "/workspaces", {"name": "Hansen"}, Idempotency_Key=retry), 201)
    assert usage_keys(gateway) == before


def test_a_key_that_calls_too_fast_is_told_to_wait_and_no_other_is(tmp_path_factory: pytest.TempPathFactory) -> None:
    """On AWS the authorizer names the usage key; the embedded API Gateway finds it in a header of the call."""
    slow = {"KeyRate": "1", "KeyBurst": "3"}
    with EmbeddedStack.start(tmp_path_factory.mktemp("slow"), parameters=slow) as stack:
        operator = Caller(stack.endpoint, stack.operator_key)
        opened = expect(operator("POST", "/workspaces", {"name": "Acme"}), 201).json()
        customer = Caller(stack.endpoint, opened["api_key"]["secret"], opened["workspace_id"])
        greedy, modest = create(customer), create(customer)

        def ask(made: dict[str, Any]) -> httpx.Response:
            identifier = made["key_id"].removeprefix("key_")
            return holder(customer, made)("GET", "/credits", x_api_key=identifier)

        with ThreadPoolExecutor(16) as threads:
            answers = list(threads.map(lambda _: ask(greedy), range(64)))
        assert {answer.status_code for answer in answers} == {200, 429}
        refused = next(answer for answer in answers if answer.status_code == 429)
        assert refusal(refused, 429) == "too-many-requests"
        assert int(refused.headers["Retry-After"]) >= 1
        expect(ask(modest), 200)
