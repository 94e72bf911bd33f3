"""Records and the operation log through API Gateway, on the deployed template."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
import simplejson

from tests.support.api import Caller, expect, fields, law_4, refusal

if TYPE_CHECKING:
    from decimal import Decimal


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
    assert fields(customer("GET", "/records/Product/a")) == ["entity"]
    assert fields(customer("GET", "/records/Product")) == ["entity"]
    assert fields(customer("GET", "/records/product?limit=0")) == ["limit"]
    assert fields(customer("GET", "/records/product?limit=101")) == ["limit"]
    assert fields(customer("GET", "/records/product?cursor=nonsense")) == ["cursor"]
    assert law_4(customer)["consumed"] == 0


def test_a_listing_is_filtered_by_key_and_by_time(customer: Caller) -> None:
    for key in ("a/1", "a/2"):
        expect(customer("PUT", f"/records/product/{quote(key, safe='')}", {"attributes": {}}), 201)
    since = quote(expect(customer("PUT", "/records/product/b%2F1", {"attributes": {}}), 201).json()["updated_at"])

    def keys(query: str) -> list[str]:
        return sorted(record["key"] for record in customer.get(f"/records/product?{query}")["items"])

    assert keys("key_prefix=a%2F") == ["a/1", "a/2"]
    assert keys(f"updated_since={since}") == ["b/1"]
    assert keys(f"updated_since={since}&key_prefix=a") == []
    later = expect(customer("PATCH", "/records/product/a%2F1", {"attributes": {"n": 1}}), 200).json()
    assert keys(f"updated_since={quote(later['updated_at'])}") == ["a/1"]
    assert fields(customer("GET", "/records/product?updated_since=yesterday")) == ["updated_since"]
    assert fields(customer("GET", "/records/product?key_prefix=" + "%C3%A9" * 600)) == ["key_prefix"]
    assert law_4(customer)["consumed"] == 3 * 2 + 2 + 4


def test_a_page_of_records_that_grow_as_json_fits_into_an_answer(
    customer: Caller, add_record: Callable[[Caller, str, dict[str, Any]], None]
) -> None:
    # A control character is one byte in the table and seven in a function's answer, which is JSON within JSON.
    for number in range(5):
        add_record(customer, f"grows-{number}", {"text": "\x01" * 300_000})
    found: list[str] = []
    path = "/records/product?limit=100"
    while True:
        page = customer("GET", path)
        assert len(simplejson.dumps(page.text, ensure_ascii=False).encode()) < 6 * 1024 * 1024
        found += [record["key"] for record in page.json()["items"]]
        cursor = page.json()["next_cursor"]
        if cursor is None:
            break
        path = f"/records/product?limit=100&cursor={cursor}"
    assert sorted(found) == [f"grows-{number}" for number in range(5)]


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
    assert (view["state"], view["owed"], view["consumed"]) == ("paused", 1, 5001)
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
