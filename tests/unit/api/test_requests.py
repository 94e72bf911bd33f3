"""How requests are read before a route sees them."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.api.handler import app
from functions.api.problems import Refusal
from functions.api.requests import MAX_BODY_BYTES, admitted, parse_body, path_value, request_id, requested_at

KEY = 'M8/40 Ø "50%"'


def segments(path: str) -> list[str]:
    return [path_value(segment) for segment in path.strip("/").split("/")]


@pytest.mark.parametrize("name", ["api_get_record", "api_get_record_decoded"])
def test_a_key_reads_the_same_whether_the_gateway_decodes_paths_or_not(
    event: Callable[[str], dict[str, Any]], name: str
) -> None:
    assert segments(admitted(event(name))["path"]) == ["records", "product", KEY]


@given(st.text(min_size=1))
def test_any_key_survives_the_path_and_finds_its_route(key: str) -> None:
    encoded = quote(key, safe="", errors="surrogatepass")
    path = admitted({"resource": "/records/{entity}/{key+}", "pathParameters": {"entity": "product", "key": encoded}})[
        "path"
    ]
    assert segments(path)[2] == key.encode(errors="surrogatepass").decode(errors="replace")
    assert any(route.method == "GET" and route.rule.match(path) for route in app._dynamic_routes)


def test_a_resource_without_values_keeps_its_path(event: Callable[[str], dict[str, Any]]) -> None:
    assert admitted(event("api_get_credits"))["path"] == "/credits"


def test_content_types_are_not_looked_at(event: Callable[[str], dict[str, Any]]) -> None:
    given_event = event("api_form_content_type")
    read = admitted(given_event)
    assert "Content-Type" in given_event["headers"]
    assert "Content-Type" not in read["headers"]
    assert "Content-Type" not in read["multiValueHeaders"]
    assert read["headers"]["Authorization"]


def test_numbers_of_a_body_stay_exact() -> None:
    assert parse_body('{"price": 0.1, "count": 3}') == {"price": Decimal("0.1"), "count": 3}


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ("{", 400, "line 1, column 2"),
        ('{"a": 1,}', 400, "The body is not JSON"),
        ('{"a": NaN}', 400, "NaN"),
        ('{"a": Infinity}', 400, "Infinity"),
        ("[" * 100_000, 400, "nested"),
        ('{"a": ' + "[" * 50 + '{"b":' * 50 + "1" + "}" * 50 + "]" * 50 + "}", 400, "nested more than 100 levels"),
        ("not json at all", 400, "not JSON"),
        ('\ufeff{"a": 1}', 400, "begins with a byte order mark"),
        ('{"a": ' + "9" * 4_301 + "}", 400, "number"),
        ('{"a": 1e99999999999999999999}', 400, "number"),
        ("[1]", 422, "body: Input should be a JSON object"),
        ('"text"', 422, "object"),
        ("null", 422, "object"),
        (json.dumps({"a": "x" * MAX_BODY_BYTES}), 413, "262,144 bytes"),
        (json.dumps({"a": "é" * (MAX_BODY_BYTES // 2)}, ensure_ascii=False), 413, "262,144 bytes"),
    ],
)
def test_a_body_that_cannot_be_taken_says_why(body: str, status: int, words: str) -> None:
    with pytest.raises(Refusal) as refusal:
        parse_body(body)
    assert refusal.value.problem.status == status
    assert words in refusal.value.problem.detail


def test_a_body_may_be_nested_as_deeply_as_it_says() -> None:
    assert parse_body('{"a": ' + "[" * 99 + "]" * 99 + "}")


def test_a_request_is_named_and_dated_by_the_gateway(event: Callable[[str], dict[str, Any]]) -> None:
    given_event = event("api_get_record")
    assert request_id(given_event) == "0b9d4a52-6c1e-4e57-9d0e-000000000001"
    assert requested_at(given_event) == datetime(2026, 11, 22, 8, 0, 0, 123000, tzinfo=UTC)
