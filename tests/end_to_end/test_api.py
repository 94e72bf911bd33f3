"""The API through API Gateway, on the deployed template: what an integrator, an operator and a stranger meet."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote
from uuid import uuid4

import httpx
import pytest
import simplejson

from shared import keys
from shared.catalog import Record, put_record
from shared.credits import Action, Channel, Committed, Ledger, OperationKind, Plan
from shared.dynamo.values import to_item
from shared.ids import operation_id
from shared.times import utc_now
from shared.workspaces import Scope, new_api_key, put_api_key

if TYPE_CHECKING:
    from decimal import Decimal

    from mypy_boto3_dynamodb import DynamoDBClient

    from productsync.stack import EmbeddedStack
    from tests.support.stack import Tables

DEFINITION = {
    "format": {"type": "csv"},
    "entities": [{"entity": "product", "key": "sku", "attributes": {"title": "title"}}],
}
CSV = b"sku,title\na,Drill\nb,Saw\nc/1,Plane\n"
OVER = ("finished", "failed", "cancelled", "paused")


@dataclass(frozen=True)
class Caller:
    """Somebody with a key."""

    endpoint: str
    key: str
    workspace_id: str = ""

    def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        content = body if body is None or isinstance(body, bytes) else simplejson.dumps(body).encode()
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        return httpx.request(
            method,
            f"{self.endpoint}/v1{path}",
            content=content,
            headers={"Authorization": f"Bearer {self.key}", **names},
            timeout=60,
        )

    def get(self, path: str, status: int = 200) -> Any:
        return expect(self("GET", path), status).json()

    def available(self) -> int:
        return int(self.get("/credits")["available"])


def expect(response: httpx.Response, status: int) -> httpx.Response:
    assert response.status_code == status, response.text
    assert response.headers["X-Request-Id"]
    if status >= 400:
        problem = response.json()
        assert response.headers["Content-Type"] == "application/problem+json"
        assert problem["status"] == status
        assert problem["request_id"] == response.headers["X-Request-Id"]
        assert {"type", "title", "detail"} <= problem.keys()
    return response


def refusal(response: httpx.Response, status: int) -> str:
    """The kind of problem."""
    return str(expect(response, status).json()["type"]).removeprefix("/problems/")


def fields(response: httpx.Response) -> list[str]:
    return [error["field"] for error in expect(response, 422).json()["errors"]]


@pytest.fixture(scope="session")
def operator(stack: EmbeddedStack) -> Caller:
    return Caller(stack.endpoint, stack.operator_key)


@pytest.fixture
def new_customer(operator: Caller) -> Callable[[], Caller]:
    """Opens a workspace with 5,000 credits."""

    def open_workspace() -> Caller:
        opened = expect(operator("POST", "/workspaces", {"name": "Acme"}), 201).json()
        return Caller(operator.endpoint, opened["api_key"]["secret"], opened["workspace_id"])

    return open_workspace


@pytest.fixture
def customer(new_customer: Callable[[], Caller]) -> Caller:
    return new_customer()


@pytest.fixture
def spend(dynamodb: DynamoDBClient, tables: Tables) -> Callable[[Caller, int], None]:
    """Charges a customer's account as automation would; what is not there is owed."""

    def charge(customer: Caller, credits: int) -> None:
        now = utc_now()
        plan = Plan(
            operation_id=operation_id(now, customer.workspace_id, uuid4().hex),
            workspace_id=customer.workspace_id,
            kind=OperationKind.API_CALL,
            channel=Channel.API,
            at=now,
            credits=credits,
            fingerprint="spent",
            actions={Action.API_CALL: credits},
            owe_up_to=1_000,
        )
        assert isinstance(Ledger(dynamodb, tables.credit).commit(plan), Committed)

    return charge


@pytest.fixture
def add_record(dynamodb: DynamoDBClient, tables: Tables) -> Callable[[Caller, str, dict[str, Any]], None]:
    """Writes a record, free, as a person would."""

    def write(customer: Caller, key: str, attributes: dict[str, Any]) -> None:
        now = utc_now()
        record = Record(
            workspace_id=customer.workspace_id,
            entity="product",
            key=key,
            attributes=attributes,
            version=1,
            created_at=now,
            updated_at=now,
            operation_id=None,
        )
        dynamodb.put_item(**put_record(tables.catalog, record, None).request["Put"])

    return write


def define(customer: Caller, feed_id: str = "main") -> None:
    expect(customer("PUT", f"/feeds/{feed_id}", DEFINITION), 201)


def upload(customer: Caller, content: bytes = CSV, feed_id: str = "main") -> str:
    place = expect(customer("POST", f"/feeds/{feed_id}/uploads", {"content_length": len(content)}), 201).json()
    sent = httpx.request(place["method"], place["url"], content=content, headers=place["headers"], timeout=60)
    assert sent.status_code == 200, sent.text
    return str(place["upload_id"])


def wait(customer: Caller, run_id: str) -> dict[str, Any]:
    deadline = time.monotonic() + 60
    while (run := customer.get(f"/runs/{run_id}"))["state"] not in OVER:
        assert time.monotonic() < deadline, run
        time.sleep(0.1)
    return dict(run)


def law_4(customer: Caller) -> dict[str, Any]:
    view = customer.get("/credits")
    assert view["granted"] - view["expired"] - view["void"] == view["available"] + view["consumed"] - view["owed"]
    assert view["available"] == sum(grant["remaining"] for grant in view["grants"])
    return dict(view)


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
        Scope.WRITE: [("POST", "/feeds/main/uploads", {"content_length": 1})],
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
    }
    assert refusal(operator("POST", path, {**body, "credits": 251}), 409) == "idempotency-key-reused"
    assert law_4(customer)["available"] == 5250
    assert refusal(operator("POST", "/workspaces/ws_none/top-ups", body), 404) == "not-found"
    assert refusal(customer("POST", path, body), 403) == "forbidden"


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
    assert refusal(customer("GET", "/records/product/a/b/../../../no-such-thing"), 404) == "not-found"
    assert refusal(customer("PATCH", "/credits"), 404) == "not-found"
    assert refusal(customer("DELETE", "/runs/run_1"), 404) == "not-found"


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


# --- uploads ---


def test_an_upload_takes_the_size_that_was_signed_and_no_other(customer: Caller) -> None:
    define(customer)
    place = expect(customer("POST", "/feeds/main/uploads", {"content_length": 5}), 201).json()
    assert place["method"] == "PUT"
    assert place["max_bytes"] == 1_073_741_824
    alone = {"If-None-Match": place["headers"]["If-None-Match"]}
    assert httpx.put(place["url"], content=b"123456", headers=alone).status_code == 403
    assert httpx.put(place["url"], content=b"12345", headers=alone).status_code == 200


def test_an_upload_cannot_be_replaced_once_it_is_there(customer: Caller, stack: EmbeddedStack) -> None:
    define(customer)
    place = expect(customer("POST", "/feeds/main/uploads", {"content_length": 5}), 201).json()
    # The header is signed: without it the place takes nothing, and with it nothing twice.
    assert httpx.put(place["url"], content=b"first").status_code == 403
    assert httpx.put(place["url"], content=b"first", headers=place["headers"]).status_code == 200
    assert httpx.put(place["url"], content=b"other", headers=place["headers"]).status_code == 412
    assert httpx.put(place["url"], content=b"other").status_code == 403
    key = f"uploads/{customer.workspace_id}/main/{place['upload_id']}"
    stored = stack.aws.s3().get_object(Bucket=stack.outputs["DataBucket"], Key=key)
    assert stored["Body"].read() == b"first"


def test_an_upload_needs_a_feed_and_a_possible_size(customer: Caller) -> None:
    assert refusal(customer("POST", "/feeds/main/uploads", {"content_length": 1}), 404) == "not-found"
    define(customer)
    assert fields(customer("POST", "/feeds/main/uploads", {})) == ["content_length"]
    assert refusal(customer("POST", "/feeds/main/uploads", {"content_length": 2**31}), 413) == "content-too-large"
    assert fields(customer("POST", "/feeds/main/uploads", {"content_length": -1})) == ["content_length"]


# --- runs ---


def test_an_import_from_upload_to_records(customer: Caller) -> None:
    define(customer)
    started = expect(customer("POST", "/feeds/main/runs", {"upload_id": upload(customer)}), 202)
    assert started.headers["X-Credits-Charged"] == "1"
    assert started.headers["X-Credits-Available"] == "4999"
    run = wait(customer, started.json()["run_id"])
    assert (run["state"], run["created"], run["credits"], run["progress"]) == ("finished", 3, 3, 1.0)
    assert run["by_entity"]["product"]["created"] == 3
    assert law_4(customer)["available"] == 4996

    operations = customer.get(f"/operations?run_id={run['run_id']}")["items"]
    assert sum(operation["credits"] for operation in operations) == run["credits"]
    assert {operation["kind"] for operation in operations} == {"import"}
    the_call = customer.get(f"/operations/{started.headers['X-Operation-Id']}")
    assert (the_call["kind"], the_call["job_id"], the_call["run_id"], the_call["credits"]) == (
        "api_call",
        "main",
        None,
        1,
    )
    everything = customer.get("/operations")
    assert sum(operation["credits"] for operation in everything["items"]) == 4
    assert everything["next_cursor"] is None

    again = expect(customer("POST", "/feeds/main/runs", {"upload_id": upload(customer)}), 202).json()
    assert wait(customer, again["run_id"])["unchanged"] == 3
    assert [each["run_id"] for each in customer.get("/feeds/main/runs")["items"]] == [again["run_id"], run["run_id"]]
    assert customer.get(f"/runs/{run['run_id']}/rejections") == {"items": [], "next_cursor": None}


def test_a_dry_run_is_free_and_says_what_is_there_to_pay_it(customer: Caller) -> None:
    define(customer)
    body = {"upload_id": upload(customer), "dry_run": True}
    started = expect(customer("POST", "/feeds/main/runs", body), 202)
    assert started.headers["X-Credits-Charged"] == "0"
    run = wait(customer, started.json()["run_id"])
    assert (run["state"], run["dry_run"], run["created"], run["credits"]) == ("finished", True, 3, 3)
    assert run["credits_available"] == 5000
    assert customer.available() == 5000
    assert refusal(customer("GET", "/records/product/a"), 404) == "not-found"


def test_rows_that_cannot_be_records_are_listed_in_pages(customer: Caller) -> None:
    define(customer)
    upload_id = upload(customer, b"sku,title\n,one\na,two\n,three\n")
    run = expect(customer("POST", "/feeds/main/runs", {"upload_id": upload_id}), 202).json()
    assert wait(customer, run["run_id"])["rejected"] == 2
    page = customer.get(f"/runs/{run['run_id']}/rejections?limit=1")
    rest = customer.get(f"/runs/{run['run_id']}/rejections?limit=1&cursor={page['next_cursor']}")
    assert [each["row"] for each in page["items"] + rest["items"]] == [2, 4]


def test_a_start_with_an_idempotency_key_happens_once_and_is_charged_once(customer: Caller) -> None:
    define(customer)
    body = {"upload_id": upload(customer)}
    key = "nightly 2026-11-22 #1 ~!"
    first = expect(customer("POST", "/feeds/main/runs", body, Idempotency_Key=key), 202)
    run = wait(customer, first.json()["run_id"])
    again = expect(customer("POST", "/feeds/main/runs", body, Idempotency_Key=key), 202)
    assert again.json() == first.json()
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.headers["X-Credits-Charged"] == "0"
    assert again.headers["X-Operation-Id"] == first.headers["X-Operation-Id"]
    other = {"upload_id": upload(customer)}
    assert refusal(customer("POST", "/feeds/main/runs", other, Idempotency_Key=key), 409) == "idempotency-key-reused"
    assert [each["run_id"] for each in customer.get("/feeds/main/runs")["items"]] == [run["run_id"]]
    assert law_4(customer)["consumed"] == 4


def test_a_retry_is_answered_when_the_upload_is_long_gone(customer: Caller, stack: EmbeddedStack) -> None:
    define(customer)
    body = {"upload_id": upload(customer)}
    first = expect(customer("POST", "/feeds/main/runs", body, Idempotency_Key="k"), 202).json()
    wait(customer, first["run_id"])
    key = f"uploads/{customer.workspace_id}/main/{body['upload_id']}"
    stack.aws.s3().delete_object(Bucket=stack.outputs["DataBucket"], Key=key)
    assert expect(customer("POST", "/feeds/main/runs", body, Idempotency_Key="k"), 202).json() == first
    assert refusal(customer("POST", "/feeds/main/runs", body, Idempotency_Key="l"), 409) == "upload-missing"


def test_a_retry_is_answered_when_the_feed_was_deleted_since(customer: Caller) -> None:
    define(customer)
    body = {"upload_id": upload(customer)}
    first = expect(customer("POST", "/feeds/main/runs", body, Idempotency_Key="k"), 202).json()
    wait(customer, first["run_id"])
    expect(customer("DELETE", "/feeds/main"), 204)
    again = expect(customer("POST", "/feeds/main/runs", body, Idempotency_Key="k"), 202)
    assert again.json() == first
    assert again.headers["Idempotency-Replayed"] == "true"
    assert refusal(customer("POST", "/feeds/main/runs", body, Idempotency_Key="l"), 404) == "not-found"


def test_a_start_that_cannot_be_costs_nothing(customer: Caller) -> None:
    never_sent = "up_01KAMZ8A000000000000000001"
    assert refusal(customer("POST", "/feeds/main/runs", {"upload_id": never_sent}), 404) == "not-found"
    define(customer)
    assert refusal(customer("POST", "/feeds/main/runs", {"upload_id": never_sent}), 409) == "upload-missing"
    assert fields(customer("POST", "/feeds/main/runs", {"upload_id": "../x"})) == ["upload_id"]
    assert fields(customer("POST", "/feeds/main/runs", {"upload_id": never_sent, "dry_run": "yes"})) == ["dry_run"]
    long_key = customer("POST", "/feeds/main/runs", {"upload_id": never_sent}, Idempotency_Key="k" * 256)
    assert fields(long_key) == ["idempotency-key"]
    assert law_4(customer)["consumed"] == 0


def test_a_run_pauses_where_its_credits_end_and_goes_on_when_told(
    operator: Caller, customer: Caller, spend: Callable[[Caller, int], None]
) -> None:
    define(customer)
    upload_id = upload(customer)
    spend(customer, 4997)
    run = expect(customer("POST", "/feeds/main/runs", {"upload_id": upload_id}), 202).json()
    paused = wait(customer, run["run_id"])
    assert (paused["state"], paused["created"]) == ("paused", 2)
    assert paused["paused"]["reason"] == "out_of_credits"
    assert law_4(customer)["state"] == "exhausted"

    problem = expect(customer("POST", f"/runs/{run['run_id']}/resume"), 402).json()
    assert (problem["type"], problem["available"]) == ("/problems/out-of-credits", 0)
    start = expect(customer("POST", "/feeds/main/runs", {"upload_id": upload_id}), 402).json()
    assert (start["needed"], start["available"], start["owed"]) == (1, 0, 0)

    top_up = {"credits": 10, "unit_price": "0.01", "reference": "inv-1"}
    expect(operator("POST", f"/workspaces/{customer.workspace_id}/top-ups", top_up), 201)
    expect(customer("POST", f"/runs/{run['run_id']}/resume"), 202)
    finished = wait(customer, run["run_id"])
    assert (finished["state"], finished["created"], finished["credits"]) == ("finished", 3, 3)
    assert law_4(customer)["available"] == 9
    assert refusal(customer("POST", f"/runs/{run['run_id']}/resume"), 409) == "run-is-not-paused"
    assert refusal(customer("POST", f"/runs/{run['run_id']}/cancel"), 409) == "run-is-over"


def test_a_paused_run_can_be_cancelled(customer: Caller, spend: Callable[[Caller, int], None]) -> None:
    define(customer)
    upload_id = upload(customer)
    spend(customer, 4999)
    run = expect(customer("POST", "/feeds/main/runs", {"upload_id": upload_id}), 202).json()
    assert wait(customer, run["run_id"])["state"] == "paused"
    cancelled = expect(customer("POST", f"/runs/{run['run_id']}/cancel"), 202).json()
    assert cancelled["state"] == "cancelled"
    assert cancelled["finished_at"] is not None


def test_runs_are_listed_in_pages(customer: Caller) -> None:
    define(customer)
    body = {"upload_id": upload(customer), "dry_run": True}
    started = [expect(customer("POST", "/feeds/main/runs", body), 202).json()["run_id"] for _ in range(3)]
    found, path = [], "/feeds/main/runs?limit=2"
    while True:
        page = customer.get(path)
        found += [run["run_id"] for run in page["items"]]
        if page["next_cursor"] is None:
            break
        path = f"/feeds/main/runs?limit=2&cursor={page['next_cursor']}"
    assert found == sorted(started, reverse=True)


# --- records ---

KEYS = ["plain", "M8/40", "a b", "ü", "100%", "x?y#z", 'q"uote\\', "a+b", "..", "日本", "A > B > C"]


def test_records_are_read_under_any_key_and_cost_one_credit_each(
    customer: Caller, add_record: Callable[[Caller, str, dict[str, Any]], None]
) -> None:
    for number, key in enumerate(KEYS):
        add_record(customer, key, {"title": key})
        encoded = quote(key, safe="").replace(".", "%2E")
        response = expect(customer("GET", f"/records/product/{encoded}"), 200)
        assert response.json()["key"] == key
        assert response.json()["operation_id"] is None
        assert response.headers["X-Credits-Charged"] == "1"
        assert response.headers["X-Credits-Available"] == str(4999 - number)
        operation = customer.get(f"/operations/{response.headers['X-Operation-Id']}")
        assert (operation["kind"], operation["credits"], operation["actions"]) == ("api_call", 1, {"api_call": 1})
    listed, path = [], "/records/product?limit=4"
    while True:
        page = customer.get(path)
        listed += [record["key"] for record in page["items"]]
        if page["next_cursor"] is None:
            break
        path = f"/records/product?limit=4&cursor={page['next_cursor']}"
    assert sorted(listed) == sorted(KEYS)
    assert law_4(customer)["consumed"] == len(KEYS) + 3


def test_a_record_s_numbers_are_exact(
    customer: Caller, add_record: Callable[[Caller, str, dict[str, Any]], None]
) -> None:
    digits = "12345678901234567890.123456789012345678"
    number: Decimal = simplejson.loads(digits, use_decimal=True)
    add_record(customer, "n", {"price": number, "count": 3, "tags": ["a", {"deep": True}], "nothing": None})
    text = expect(customer("GET", "/records/product/n"), 200).text
    assert f'"price":{digits}' in text
    assert simplejson.loads(text, use_decimal=True)["attributes"] == {
        "price": number,
        "count": 3,
        "tags": ["a", {"deep": True}],
        "nothing": None,
    }


def test_what_is_not_there_costs_nothing(customer: Caller) -> None:
    assert refusal(customer("GET", "/records/product/none"), 404) == "not-found"
    assert refusal(customer("GET", "/records/product/" + "x" * 1_500), 404) == "not-found"
    assert refusal(customer("GET", "/records/Product/a"), 404) == "not-found"
    assert refusal(customer("GET", "/records/Product"), 404) == "not-found"
    assert fields(customer("GET", "/records/product?limit=0")) == ["limit"]
    assert fields(customer("GET", "/records/product?limit=101")) == ["limit"]
    assert fields(customer("GET", "/records/product?cursor=nonsense")) == ["cursor"]
    assert law_4(customer)["consumed"] == 0


def test_a_page_of_large_records_fits_into_an_answer(
    customer: Caller, add_record: Callable[[Caller, str, dict[str, Any]], None]
) -> None:
    for number in range(12):
        add_record(customer, f"large-{number}", {"text": "x" * 390_000})
    first = customer.get("/records/product?limit=100")
    assert 0 < len(first["items"]) < 12
    found, cursor = len(first["items"]), first["next_cursor"]
    while cursor is not None:
        page = customer.get(f"/records/product?limit=100&cursor={cursor}")
        found, cursor = found + len(page["items"]), page["next_cursor"]
    assert found == 12


def test_reads_go_on_as_a_debt_up_to_its_cap_and_a_top_up_settles_it(
    operator: Caller,
    customer: Caller,
    add_record: Callable[[Caller, str, dict[str, Any]], None],
    spend: Callable[[Caller, int], None],
) -> None:
    add_record(customer, "a", {"title": "Drill"})
    spend(customer, 5000)
    read = expect(customer("GET", "/records/product/a"), 200)
    assert (read.headers["X-Credits-Charged"], read.headers["X-Credits-Available"]) == ("1", "0")
    view = law_4(customer)
    assert (view["state"], view["owed"], view["consumed"]) == ("exhausted", 1, 5001)
    assert customer.get(f"/operations/{read.headers['X-Operation-Id']}")["owed"] == 1

    spend(customer, 998)
    expect(customer("GET", "/records/product/a"), 200)
    problem = expect(customer("GET", "/records/product/a"), 402).json()
    assert (problem["needed"], problem["available"], problem["owed"]) == (1, 0, 1000)
    assert refusal(customer("GET", "/records/product"), 402) == "out-of-credits"
    assert law_4(customer)["owed"] == 1000
    # What only asks about automation is free, and goes on.
    customer.get("/operations")

    top_up = {"credits": 1500, "unit_price": "0.01", "currency": "EUR", "reference": "inv-1"}
    expect(operator("POST", f"/workspaces/{customer.workspace_id}/top-ups", top_up), 201)
    view = law_4(customer)
    assert (view["state"], view["available"], view["owed"], view["consumed"]) == ("active", 500, 0, 6000)
    (settlement,) = customer.get("/operations?kind=settlement")["items"]
    assert (settlement["credits"], settlement["cost"]) == (0, [{"currency": "EUR", "amount": "10.00"}])


# --- the log ---


def test_the_log_is_filtered_and_listed_in_pages(
    customer: Caller, add_record: Callable[[Caller, str, dict[str, Any]], None]
) -> None:
    add_record(customer, "a", {})
    ids = [customer("GET", "/records/product/a").headers["X-Operation-Id"] for _ in range(5)]
    found, path = [], "/operations?limit=2"
    while True:
        page = customer.get(path)
        found += [operation["operation_id"] for operation in page["items"]]
        if page["next_cursor"] is None:
            break
        path = f"/operations?limit=2&cursor={page['next_cursor']}"
    assert found == ids[::-1]
    middle = customer.get(f"/operations/{ids[2]}")["at"]
    since = customer.get(f"/operations?from={middle}&something=else")["items"]
    until = customer.get(f"/operations?to={middle}")["items"]
    assert ids[2] in {each["operation_id"] for each in since} & {each["operation_id"] for each in until}
    assert len(since) + len(until) == 6
    assert customer.get("/operations?kind=import")["items"] == []
    assert customer.get("/operations?job_id=main")["items"] == []
    assert customer.get("/operations?run_id=run_none")["items"] == []


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("from=yesterday", ["from"]),
        ("to=2026-11-22", ["to"]),
        ("to=2026-11-22T08:00:00", ["to"]),
        ("from=0001-01-01T00:00:00Z", ["from"]),
        ("to=0001-01-01T00:00:00Z", ["to"]),
        ("to=9999-12-31T23:59:59.999Z", ["to"]),
        ("from=2026-11-22T08:00:00Z&to=2026-11-21T08:00:00Z", ["from"]),
        ("kind=tea", ["kind"]),
        ("limit=many", ["limit"]),
        ("limit=1&limit=2", ["limit"]),
        ("cursor=", ["cursor"]),
        ("cursor=%2F%2F", ["cursor"]),
        ("run_id=", ["run_id"]),
    ],
)
def test_a_filter_that_cannot_be_is_named(customer: Caller, query: str, named: list[str]) -> None:
    assert fields(customer("GET", f"/operations?{query}")) == named


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
