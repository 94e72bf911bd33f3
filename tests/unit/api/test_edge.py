"""What every answer carries, whichever route gave it, and what is answered to methods that a path does not take."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from functions.api.edge import headers, methods
from functions.api.edge.headers import EXPOSED, SECURITY
from functions.api.edge.methods import patterns

if TYPE_CHECKING:
    from tests.unit.api.conftest import Answer

Event = Callable[[str], dict[str, Any]]
Call = Callable[[dict[str, Any]], "Answer"]

ORIGIN = "https://app.example.com"
PATHS = {
    "/credits": {"get": {}},
    "/feeds/{feed_id}": {"parameters": [], "get": {}, "put": {}, "delete": {}},
    "/feeds/{feed_id}/runs": {"get": {}, "post": {}},
    "/records/{entity}": {"get": {}},
    "/records/{entity}/batch": {"post": {}},
    "/records/{entity}/{key}": {"get": {}, "put": {}, "patch": {}, "delete": {}},
}


@pytest.fixture(autouse=True)
def origin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("CORS_ORIGIN", ORIGIN)
    headers.named_origin.cache_clear()
    yield
    headers.named_origin.cache_clear()


@pytest.fixture(autouse=True)
def paths(monkeypatch: pytest.MonkeyPatch) -> None:
    known = patterns(PATHS)
    monkeypatch.setattr(methods, "_paths", lambda: known)


def come_from(given_event: dict[str, Any], origin: str, **more: str) -> dict[str, Any]:
    names = {"Origin": [origin]} | {name.replace("_", "-"): [value] for name, value in more.items()}
    return given_event | {"multiValueHeaders": given_event["multiValueHeaders"] | names}


def elsewhere(given_event: dict[str, Any], method: str, path: str) -> dict[str, Any]:
    return given_event | {"httpMethod": method, "path": f"/{path}", "pathParameters": {"proxy": path}}


# --- headers ---


@pytest.mark.parametrize("name", ["api_unknown_route", "api_malformed_body"])
def test_every_answer_says_what_browsers_may_do_with_it(call: Call, event: Event, name: str) -> None:
    answer = call(event(name))
    assert answer.headers.items() >= SECURITY.items()
    assert answer.headers["X-Request-Id"]


def test_a_page_of_the_named_origin_may_read_the_answer(call: Call, event: Event) -> None:
    answer = call(come_from(event("api_unknown_route"), ORIGIN))
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert answer.headers["Access-Control-Expose-Headers"].split(", ") == list(EXPOSED)
    assert answer.headers["Vary"] == "Origin"


@pytest.mark.parametrize(
    "other",
    ["https://app.example.com.evil.example", "http://app.example.com", "https://APP.example.com", "null", "*", ""],
)
def test_a_page_of_any_other_origin_may_not(call: Call, event: Event, other: str) -> None:
    answer = call(come_from(event("api_unknown_route"), other))
    assert not [name for name in answer.headers if name.startswith("Access-Control-")]
    assert answer.headers["Vary"] == "Origin"


def test_without_a_named_origin_no_page_may(call: Call, event: Event, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORS_ORIGIN", "")
    headers.named_origin.cache_clear()
    for origin in (ORIGIN, ""):
        answer = call(come_from(event("api_preflight"), origin))
        assert not [name for name in answer.headers if name.startswith("Access-Control-")]


# --- preflights ---


def test_a_browser_is_told_what_a_page_of_the_named_origin_may_send(call: Call, event: Event) -> None:
    answer = call(come_from(event("api_preflight"), ORIGIN))
    assert (answer.status, answer.text) == (204, "")
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert answer.headers["Access-Control-Allow-Methods"] == "GET, POST, PUT, PATCH, DELETE"
    assert {"Authorization", "Idempotency-Key", "If-Match"} <= {
        *answer.headers["Access-Control-Allow-Headers"].split(", ")
    }
    assert answer.headers["Access-Control-Max-Age"] == "7200"
    assert "Access-Control-Allow-Credentials" not in answer.headers


def test_a_browser_is_told_nothing_for_pages_of_other_origins(call: Call, event: Event) -> None:
    answer = call(come_from(event("api_preflight"), "https://other.example"))
    assert answer.status == 204
    assert not [name for name in answer.headers if name.startswith("Access-Control-")]


# --- methods ---


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "credits", "GET, OPTIONS"),
        ("HEAD", "feeds/main", "GET, PUT, DELETE, OPTIONS"),
        ("PATCH", "feeds/main/runs", "GET, POST, OPTIONS"),
        ("POST", "records/product/M8%2F40", "GET, PUT, PATCH, DELETE, OPTIONS"),
        ("POST", "records/product/M8/40", "GET, PUT, PATCH, DELETE, OPTIONS"),
        ("HEAD", "records/product/batch", "GET, POST, PUT, PATCH, DELETE, OPTIONS"),
    ],
)
def test_a_path_that_takes_other_methods_names_them(
    call: Call, event: Event, method: str, path: str, allowed: str
) -> None:
    answer = call(elsewhere(event("api_unknown_method"), method, path))
    assert answer.status == 405
    assert answer.body["type"] == "/problems/method-not-allowed"
    assert answer.headers["Allow"] == allowed


@pytest.mark.parametrize("path", ["nothing", "credits/", "credits/more", "feeds//runs", "creditsx", "records"])
def test_a_path_that_does_not_exist_is_not_found(call: Call, event: Event, path: str) -> None:
    answer = call(elsewhere(event("api_unknown_method"), "DELETE", path))
    assert answer.status == 404
    assert answer.body["type"] == "/problems/not-found"
    assert "Allow" not in answer.headers
