"""What callers meet at the edge of the deployed API: headers, other origins, other methods, and limits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest

from functions.api.edge.headers import SECURITY
from productsync.stack.embedded import PARAMETERS
from tests.support.api import Caller, expect, fields, refusal

if TYPE_CHECKING:
    from productsync.stack import EmbeddedStack

ORIGIN = PARAMETERS["CorsOrigin"]
SENT = {"Origin": ORIGIN, "Access-Control-Request-Method": "PATCH", "Access-Control-Request-Headers": "authorization"}


def allowed_origin(response: httpx.Response) -> str | None:
    found: str | None = response.headers.get("Access-Control-Allow-Origin")
    return found


# --- headers ---


@pytest.mark.parametrize(("path", "status"), [("/feeds", 200), ("/feeds/nothing", 404), ("/nothing", 404)])
def test_answers_of_the_function_carry_them(customer: Caller, path: str, status: int) -> None:
    answer = expect(customer("GET", path, Origin=ORIGIN), status)
    assert {name: answer.headers[name] for name in SECURITY} == SECURITY
    assert allowed_origin(answer) == ORIGIN
    assert allowed_origin(expect(customer("GET", path, Origin="https://other.example"), status)) is None


def test_answers_of_the_gateway_carry_them(stack: EmbeddedStack) -> None:
    answer = expect(Caller(stack.endpoint, "psk_nobody")("GET", "/feeds", Origin=ORIGIN), 401)
    same = SECURITY.keys() - {"Content-Security-Policy"}
    assert {name: answer.headers[name] for name in same} == {name: SECURITY[name] for name in same}
    assert answer.headers["Content-Security-Policy"] == "sandbox"
    assert allowed_origin(answer) == ORIGIN


# --- browsers ---


@pytest.mark.parametrize("path", ["/credits", "/records/product/M8%2F40", "/feeds/main/runs", "/nothing"])
def test_a_browser_asks_without_a_key_for_every_path(stack: EmbeddedStack, path: str) -> None:
    answer = httpx.options(f"{stack.endpoint}/v1{path}", headers=SENT)
    assert answer.status_code == 204, answer.text
    assert allowed_origin(answer) == ORIGIN
    assert "PATCH" in answer.headers["Access-Control-Allow-Methods"].split(", ")
    assert "Idempotency-Key" in answer.headers["Access-Control-Allow-Headers"].split(", ")
    other = httpx.options(f"{stack.endpoint}/v1{path}", headers=SENT | {"Origin": "https://other.example"})
    assert other.status_code == 204
    assert not [name for name in other.headers if name.startswith("access-control-")]


# --- methods ---


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/credits", "GET, OPTIONS"),
        ("PATCH", "/feeds/main", "GET, PUT, DELETE, OPTIONS"),
        ("POST", "/records/product/M8%2F40", "GET, PUT, PATCH, DELETE, OPTIONS"),
    ],
)
def test_a_path_that_takes_other_methods_names_them(customer: Caller, method: str, path: str, allowed: str) -> None:
    answer = customer(method, path)
    assert refusal(answer, 405) == "method-not-allowed"
    assert answer.headers["Allow"] == allowed


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
def test_a_path_that_does_not_exist_is_not_found(customer: Caller, method: str) -> None:
    assert refusal(customer(method, "/nothing/here"), 404) == "not-found"


def test_nobody_is_told_of_paths_without_a_key(stack: EmbeddedStack) -> None:
    stranger = Caller(stack.endpoint, "psk_nobody")
    for path in ("/credits", "/nothing"):
        assert refusal(stranger("DELETE", path), 401) == "unauthorized"


# --- limits ---


def test_a_body_has_a_size_and_a_depth(customer: Caller) -> None:
    large = customer("PUT", "/records/product/a", b'{"attributes": {"text": "' + b"x" * 256 * 1024 + b'"}}')
    assert refusal(large, 413) == "content-too-large"
    deep = customer("PUT", "/feeds/main", b'{"format": ' + b"[" * 200 + b"]" * 200 + b"}")
    assert refusal(deep, 400) == "malformed-request"
    deeper = customer("PUT", "/feeds/main", b"[" * 100_000)
    assert refusal(deeper, 400) == "malformed-request"


def test_a_batch_has_a_length(customer: Caller) -> None:
    records = [{"key": str(number), "attributes": {}} for number in range(91)]
    answer = customer("POST", "/records/product/batch", {"records": records})
    assert fields(answer) == ["records"]
    assert "90" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("attributes", "field"),
    [
        (b'{"' + b"n" * 1100 + b'": 1}', "attributes"),
        (b'{"price": 1' + b"0" * 40 + b"1}", "attributes.price"),
        (b'{"price": 1e200}', "attributes.price"),
    ],
)
def test_names_and_numbers_of_records_have_a_length(customer: Caller, attributes: bytes, field: str) -> None:
    answer = customer("PUT", "/records/product/a", b'{"attributes": ' + attributes + b"}")
    assert fields(answer) == [field]


@pytest.mark.parametrize(
    ("method", "path", "headers", "field"),
    [
        ("GET", f"/records/product?cursor={'c' * 1400}", {}, "cursor"),
        ("GET", f"/records/product?key_prefix={'k' * 1100}", {}, "key_prefix"),
        ("GET", "/records/product?limit=101", {}, "limit"),
        ("PUT", f"/records/product/{'k' * 1025}", {}, "key"),
        ("PUT", "/records/product/a", {"If-Match": '"1",' * 300}, "if-match"),
        ("PUT", "/records/product/a", {"Idempotency-Key": "k" * 256}, "idempotency-key"),
        ("DELETE", "/feeds/main", {"Idempotency-Key": "k" * 256}, "idempotency-key"),
    ],
)
def test_what_is_sent_beside_a_body_has_a_length(
    customer: Caller, method: str, path: str, headers: dict[str, str], field: str
) -> None:
    body: dict[str, object] | None = {"attributes": {}} if method == "PUT" else None
    assert fields(customer(method, path, body, **headers)) == [field]


def test_a_field_that_is_not_known_is_named(customer: Caller) -> None:
    assert fields(customer("PUT", "/records/product/a", {"attributes": {}, "atributes": {}})) == ["atributes"]
