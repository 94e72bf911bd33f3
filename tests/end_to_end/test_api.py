"""The API through API Gateway, on the deployed template: what an integrator, an operator and a stranger meet."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import httpx
import pytest

from shared import keys
from shared.dynamo.values import to_item
from shared.times import utc_now
from shared.workspaces import Scope, new_api_key, put_api_key
from tests.support.api import DEFINITION, Caller, define, expect, fields, law_4, refusal, upload, wait

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from productsync.stack import EmbeddedStack
    from tests.support.stack import Tables

# --- keys ---


@pytest.mark.parametrize("key", ["nonsense", "psk_01KAMZ5Q00APVWEYWXCMJ7D3FR_" + "x" * 43])
def test_a_stranger_is_told_nothing(stack: EmbeddedStack, key: str) -> None:
    assert refusal(Caller(stack.endpoint, key)("GET", "/credits"), 401) == "unauthorized"


def test_without_a_key_nothing_goes(stack: EmbeddedStack) -> None:
    response = httpx.get(f"{stack.endpoint}/v1/credits")
    assert refusal(response, 401) == "unauthorized"
    assert response.headers["WWW-Authenticate"] == "Bearer"


def test_a_revoked_key_stops_at_once(customer: Caller, dynamodb: DynamoDBClient, tables: Tables) -> None:
    customer.get("/credits")
    dynamodb.update_item(
        TableName=tables.work,
        Key=keys.api_key(f"key_{customer.key.split('_')[1]}").attributes(),
        UpdateExpression="SET revoked_at = :now",
        ExpressionAttributeValues=to_item({":now": "2026-11-22T08:00:00.000Z"}),
    )
    assert refusal(customer("GET", "/credits"), 401) == "unauthorized"


def test_each_scope_opens_its_own_calls(customer: Caller, dynamodb: DynamoDBClient, tables: Tables) -> None:
    define(customer)
    calls: dict[Scope, list[tuple[str, str, Any]]] = {
        Scope.READ: [
            ("GET", "/credits", None),
            ("GET", "/presets", None),
            ("GET", "/feeds", None),
            ("GET", "/feeds/main/runs", None),
            ("GET", "/operations", None),
            ("GET", "/records/product", None),
        ],
        Scope.WRITE: [
            ("POST", "/feeds/main/uploads", {"content_length": 1}),
            ("PUT", "/records/product/scoped", {"attributes": {}}),
            ("PATCH", "/records/product/scoped", {"attributes": {"n": 1}}),
            ("DELETE", "/records/product/scoped", None),
        ],
        Scope.CONFIGURE: [("PUT", "/feeds/main", DEFINITION)],
        Scope.OPERATOR: [("POST", "/workspaces", {"name": "x"})],
    }
    for scope in (Scope.READ, Scope.WRITE, Scope.CONFIGURE, Scope.FINANCE):
        key, text = new_api_key(customer.workspace_id, [scope], utc_now())
        dynamodb.put_item(**put_api_key(tables.work, key).request["Put"])
        holder = Caller(customer.endpoint, text)
        for needed, requests in calls.items():
            for method, path, body in requests:
                response = holder(method, path, body)
                if needed is scope:
                    assert response.is_success, (scope, path, response.text)
                else:
                    assert refusal(response, 403) == "forbidden"


def test_an_operator_has_no_workspace(operator: Caller) -> None:
    problem = expect(operator("GET", "/credits"), 403).json()
    assert "belongs to no workspace" in problem["detail"]


# --- workspaces and top-ups ---


def test_a_workspace_starts_with_5000_credits_and_shows_its_key_once(operator: Caller) -> None:
    key = uuid4().hex
    first = expect(operator("POST", "/workspaces", {"name": "Hansen"}, Idempotency_Key=key), 201)
    opened = first.json()
    assert opened["name"] == "Hansen"
    assert opened["credits"] == {"available": 5000}
    assert opened["api_key"]["scopes"] == ["read", "write", "configure", "finance"]
    again = expect(operator("POST", "/workspaces", {"name": "Hansen"}, Idempotency_Key=key), 201)
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.json() == {**opened, "api_key": {**opened["api_key"], "secret": None}}
    other = operator("POST", "/workspaces", {"name": "Jensen"}, Idempotency_Key=key)
    assert refusal(other, 409) == "idempotency-key-reused"
    assert Caller(operator.endpoint, opened["api_key"]["secret"]).available() == 5000


def test_a_top_up_counts_once_per_reference(operator: Caller, customer: Caller) -> None:
    path = f"/workspaces/{customer.workspace_id}/top-ups"
    body = {
        "credits": 250,
        "unit_price": "0.010",
        "currency": "EUR",
        "reference": "inv/1 ü",
        "expires_at": "2099-01-01T00:00:00.1239+01:00",
    }
    first = expect(operator("POST", path, body), 201)
    again = expect(operator("POST", path, body), 201)
    assert "Idempotency-Replayed" not in first.headers
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.json() == first.json()
    assert first.json() == {
        "grant_id": first.json()["grant_id"],
        "workspace_id": customer.workspace_id,
        "kind": "paid",
        "credits": 250,
        "unit_price": "0.010",
        "currency": "EUR",
        "reference": "inv/1 ü",
        "priority": 30,
        "granted_at": first.json()["granted_at"],
        "expires_at": "2098-12-31T23:00:00.123Z",
        "settled": 0,
    }
    assert refusal(operator("POST", path, {**body, "credits": 251}), 409) == "idempotency-key-reused"
    assert law_4(customer)["available"] == 5250
    assert refusal(operator("POST", "/workspaces/ws_none/top-ups", body), 404) == "not-found"
    assert refusal(customer("POST", path, body), 403) == "forbidden"


def test_a_top_up_says_what_it_paid_of_a_debt_also_when_it_is_sent_again(
    operator: Caller, customer: Caller, spend: Callable[..., None]
) -> None:
    spend(customer, 5000)
    for _ in range(3):
        expect(customer("GET", "/records/product"), 200)
    path = f"/workspaces/{customer.workspace_id}/top-ups"
    for reference, credits, settled in (("small", 2, 2), ("large", 10, 1), ("more", 10, 0)):
        body = {"credits": credits, "unit_price": "0.01", "reference": reference}
        first, again = (expect(operator("POST", path, body), 201).json() for _ in range(2))
        assert first["settled"] == settled
        assert again == first


def test_a_top_up_that_cannot_be_is_told_field_by_field(operator: Caller, customer: Caller) -> None:
    path = f"/workspaces/{customer.workspace_id}/top-ups"
    body = {"credits": 0, "unit_price": 0.1, "currency": "euro", "reference": "", "expires": "never"}
    assert fields(operator("POST", path, body)) == ["credits", "unit_price", "reference", "currency", "expires"]
    late = {"credits": 1, "unit_price": "1", "reference": "late", "expires_at": "2020-01-01T00:00:00Z"}
    assert fields(operator("POST", path, late)) == ["expires_at"]
    assert customer.available() == 5000


# --- bodies ---


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        (b"", 422, "validation"),
        (b"{", 400, "malformed-request"),
        (b'{"name": "x"', 400, "malformed-request"),
        (b'{"name": NaN}', 400, "malformed-request"),
        (b"[" * 5_000, 400, "malformed-request"),
        (b'{"name": ' + b"9" * 5_000 + b"}", 400, "malformed-request"),
        (b'{"name": 1e99999999999999999999}', 400, "malformed-request"),
        (b"[]", 422, "validation"),
        (b'"name"', 422, "validation"),
        (b'{"name": 7}', 422, "validation"),
        (b'{"name": ""}', 422, "validation"),
        (b'{"name": "x", "more": 1}', 422, "validation"),
        (b'{"name": "' + b"x" * 262_144 + b'"}', 413, "content-too-large"),
    ],
)
def test_a_body_that_cannot_be_taken_changes_nothing(operator: Caller, body: bytes, status: int, kind: str) -> None:
    assert refusal(operator("POST", "/workspaces", body), status) == kind


@pytest.mark.parametrize("content_type", ["application/json", "application/x-www-form-urlencoded", "text/plain"])
def test_content_types_are_not_looked_at(operator: Caller, content_type: str) -> None:
    expect(operator("POST", "/workspaces", {"name": "curl -d"}, Content_Type=content_type), 201)


def test_unknown_paths_and_methods_are_problems_too(customer: Caller) -> None:
    assert refusal(customer("GET", "/no-such-thing"), 404) == "not-found"
    assert fields(customer("GET", "/records/product/a/b/../../../no-such-thing")) == ["entity"]
    for method, path, allowed in (("PATCH", "/credits", "GET, OPTIONS"), ("DELETE", "/runs/run_1", "GET, OPTIONS")):
        answer = customer(method, path)
        assert refusal(answer, 405) == "method-not-allowed"
        assert answer.headers["Allow"] == allowed


# --- feeds ---


def test_a_feed_is_defined_shown_replaced_and_deleted(customer: Caller) -> None:
    first = expect(customer("PUT", "/feeds/main", {"preset": "shopify", "skip_unchanged": True}), 201).json()
    assert first["definition"] == {"preset": "shopify", "skip_unchanged": True}
    assert first["version"] == 1
    second = expect(customer("PUT", "/feeds/main", DEFINITION), 200).json()
    assert (second["version"], second["created_at"]) == (2, first["created_at"])
    assert customer.get("/feeds/main") == second
    expect(customer("PUT", "/feeds/second", {"preset": "akeneo"}), 201)
    page = customer.get("/feeds?limit=1")
    rest = customer.get(f"/feeds?limit=1&cursor={page['next_cursor']}")
    assert [feed["feed_id"] for feed in page["items"] + rest["items"]] == ["main", "second"]
    assert expect(customer("DELETE", "/feeds/main"), 204).content == b""
    assert refusal(customer("DELETE", "/feeds/main"), 404) == "not-found"
    assert refusal(customer("GET", "/feeds/main/runs"), 404) == "not-found"
    assert customer.available() == 5000


@pytest.mark.parametrize(
    ("definition", "named"),
    [
        ({}, ["format"]),
        ({"preset": "shopifi"}, ["preset"]),
        ({"format": {"type": "csv", "delimitter": ";"}, "entities": []}, ["format.delimitter", "entities"]),
        ({"format": {"type": "csv"}, "entities": [{"entity": "Product", "key": "sku"}]}, ["entities.0.entity"]),
        ({"format": {"type": "csv"}, "entities": [{"entity": "product", "key": 7}]}, ["entities.0.key"]),
        ({"preset": "shopify", "skip_unchanged": "perhaps"}, ["skip_unchanged"]),
    ],
)
def test_a_definition_that_cannot_be_names_its_fields(
    customer: Caller, definition: dict[str, Any], named: list[str]
) -> None:
    assert fields(customer("PUT", "/feeds/main", definition)) == named
    assert refusal(customer("GET", "/feeds/main"), 404) == "not-found"


@pytest.mark.parametrize("feed_id", ["Main", "-main", "a" * 65, "a.b"])
def test_a_feed_s_name_is_plain(customer: Caller, feed_id: str) -> None:
    assert fields(customer("PUT", f"/feeds/{feed_id}", DEFINITION)) == ["feed_id"]


def test_presets_are_listed_and_whole(customer: Caller) -> None:
    presets = customer.get("/presets")["items"]
    assert {"shopify", "woocommerce", "google_merchant", "akeneo", "magento"} <= {each["name"] for each in presets}
    for preset in presets:
        whole = customer.get(f"/presets/{preset['name']}")
        assert preset.items() <= whole.items()
        expect(customer("PUT", f"/feeds/{preset['name']}", whole["definition"]), 201)
    assert refusal(customer("GET", "/presets/none"), 404) == "not-found"


# --- strangers among customers ---


def test_another_workspace_s_things_do_not_exist(
    new_customer: Callable[[], Caller], add_record: Callable[[Caller, str, dict[str, Any]], None]
) -> None:
    owner, other = new_customer(), new_customer()
    define(owner)
    upload_id = upload(owner)
    started = expect(owner("POST", "/feeds/main/runs", {"upload_id": upload_id}), 202)
    run_id = started.json()["run_id"]
    wait(owner, run_id)
    add_record(owner, "secret", {})
    for method, path in (
        ("GET", "/feeds/main"),
        ("DELETE", "/feeds/main"),
        ("GET", "/feeds/main/runs"),
        ("GET", f"/runs/{run_id}"),
        ("POST", f"/runs/{run_id}/cancel"),
        ("POST", f"/runs/{run_id}/resume"),
        ("GET", f"/runs/{run_id}/rejections"),
        ("GET", f"/operations/{started.headers['X-Operation-Id']}"),
        ("GET", "/records/product/secret"),
        ("DELETE", "/records/product/secret"),
    ):
        assert refusal(other(method, path), 404) == "not-found", path
    define(other)
    # An upload belongs to the workspace and the feed that it was made for.
    assert refusal(other("POST", "/feeds/main/runs", {"upload_id": upload_id}), 409) == "upload-missing"
    assert other.get("/records/product")["items"] == []
    assert other.get(f"/operations?run_id={run_id}")["items"] == []
    assert len(other.get("/operations")["items"]) == 1
    # The same idempotency key is another one in another workspace.
    assert owner.get("/feeds/main")["version"] == 1
