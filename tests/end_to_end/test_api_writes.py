"""Writing records through API Gateway, on the deployed template: what it costs, to the last credit."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
import simplejson

from tests.support.api import Caller, define, expect, fields, law_4, refusal, upload, wait
from tests.support.people import person_of

if TYPE_CHECKING:
    import httpx

    from productsync.stack import EmbeddedStack

KEYS = ["plain", "M8/40", "a b", "ü", "100%", "x?y#z", 'q"uote\\', "a+b", "..", "日本", "A > B > C", "x" * 1024]


def path_of(key: str) -> str:
    return "/records/product/" + quote(key, safe="").replace(".", "%2E")


def charged(response: httpx.Response) -> int:
    return int(response.headers["X-Credits-Charged"])


@pytest.fixture
def person(stack: EmbeddedStack, operator: Caller, customer: Caller) -> Caller:
    return person_of(stack, operator, customer.workspace_id)


def test_a_record_s_life_costs_exactly_what_it_should(customer: Caller) -> None:
    path = "/records/product/drill"
    made = expect(customer("PUT", path, {"attributes": {"title": "Drill", "price": 1}}), 201)
    assert (charged(made), made.headers["X-Credits-Available"]) == (2, "4998")
    assert made.headers["ETag"].startswith('"1-')
    same = expect(customer("PUT", path, {"attributes": {"price": 1, "title": "Drill"}}), 200)
    assert (charged(same), same.headers["ETag"]) == (1, made.headers["ETag"])
    patched = expect(customer("PATCH", path, {"attributes": {"price": None, "size": {"w": 2}}}), 200)
    assert (charged(patched), patched.json()["version"]) == (2, 2)
    assert patched.json()["attributes"] == {"title": "Drill", "size": {"w": 2}}
    idle = expect(customer("PATCH", path, {"attributes": {"size": {"w": 2, "h": None}}}), 200)
    assert charged(idle) == 1
    gone = expect(customer("DELETE", path), 204)
    assert (charged(gone), gone.content) == (1, b"")
    for method in ("PATCH", "DELETE"):
        body: Any = {"attributes": {}} if method == "PATCH" else None
        assert refusal(customer(method, path, body), 404) == "not-found"
    assert law_4(customer)["consumed"] == 7

    logged = customer.get("/operations")["items"]
    assert [entry["credits"] for entry in logged] == [1, 1, 2, 1, 2]
    paid = customer.get(f"/operations/{made.headers['X-Operation-Id']}")
    assert paid["actions"] == {"api_call": 1, "record_created": 1}
    assert made.json()["operation_id"] == paid["operation_id"]


def test_records_are_written_under_any_key(customer: Caller) -> None:
    for key in KEYS:
        written = expect(customer("PUT", path_of(key), {"attributes": {"title": key}}), 201)
        assert written.json()["key"] == key
        assert customer.get(path_of(key))["attributes"] == {"title": key}
    for key in KEYS:
        expect(customer("DELETE", path_of(key)), 204)
    assert fields(customer("PUT", path_of("x" * 1025), {"attributes": {}})) == ["key"]
    assert fields(customer("PUT", "/records/Product/a", {"attributes": {}})) == ["entity"]
    assert law_4(customer)["consumed"] == len(KEYS) * 4


def test_a_record_that_was_made_again_is_another_one(customer: Caller) -> None:
    path = "/records/product/drill"
    first = expect(customer("PUT", path, {"attributes": {"n": 1}}), 201)
    expect(customer("DELETE", path), 204)
    second = expect(customer("PUT", path, {"attributes": {"n": 2}}), 201)
    assert first.json()["version"] == second.json()["version"] == 1
    old = customer("PATCH", path, {"attributes": {"n": 3}}, If_Match=first.headers["ETag"])
    assert refusal(old, 412) == "precondition-failed"
    expect(customer("PATCH", path, {"attributes": {"n": 3}}, If_Match=second.headers["ETag"]), 200)
    # The version alone is good for either.
    expect(customer("PATCH", path, {"attributes": {"n": 4}}, If_Match='"2"'), 200)


def test_a_record_may_be_called_batch(customer: Caller) -> None:
    path = path_of("batch")
    expect(customer("PUT", path, {"attributes": {"n": 1}}), 201)
    expect(customer("POST", path, {"records": [{"key": "batch", "attributes": {"n": 2}}]}), 200)
    assert customer.get(path)["attributes"] == {"n": 2}
    expect(customer("PATCH", path, {"attributes": {"n": 3}}), 200)
    expect(customer("DELETE", path), 204)


def test_a_batch_is_answered_record_by_record_and_charged_once(customer: Caller) -> None:
    path = "/records/product/batch"
    records: list[dict[str, Any]] = [{"key": key, "attributes": {"title": key}} for key in KEYS]
    made = expect(customer("POST", path, {"records": records}, Idempotency_Key="one"), 200)
    assert charged(made) == 1 + len(KEYS)
    assert [item["key"] for item in made.json()["items"]] == KEYS
    assert {item["change"] for item in made.json()["items"]} == {"created"}
    mixed = [
        {"key": "plain", "attributes": {"title": "plain"}},
        {"method": "PATCH", "key": "ü", "attributes": {"title": None, "n": 1}, "if_version": 1},
        {"method": "PATCH", "key": "none", "attributes": {}},
        {"method": "DELETE", "key": "..", "if_version": 7},
        {"method": "DELETE", "key": "日本"},
        {"key": "x?y#z", "attributes": {}, "if_version": 0},
    ]
    answered = expect(customer("POST", path, {"records": mixed}), 200)
    view = answered.json()
    assert [(item["status"], item["change"], item["version"]) for item in view["items"]] == [
        (200, "unchanged", 1),
        (200, "updated", 2),
        (404, "refused", None),
        (412, "refused", 1),
        (204, "deleted", None),
        (412, "refused", 1),
    ]
    assert (view["unchanged"], view["updated"], view["deleted"], view["refused"]) == (1, 1, 1, 3)
    assert charged(answered) == 2
    paid = customer.get(f"/operations/{answered.headers['X-Operation-Id']}")
    assert paid["actions"] == {"api_call": 1, "record_updated": 1}

    again = expect(customer("POST", path, {"records": records}, Idempotency_Key="one"), 200)
    assert (again.json(), charged(again), again.headers["Idempotency-Replayed"]) == (made.json(), 0, "true")
    other = customer("POST", path, {"records": records[:1]}, Idempotency_Key="one")
    assert refusal(other, 409) == "idempotency-key-reused"
    assert law_4(customer)["consumed"] == 1 + len(KEYS) + 2


@pytest.mark.parametrize(
    ("records", "named"),
    [
        ([], ["records"]),
        ([{"key": f"p{n}", "attributes": {}} for n in range(91)], ["records"]),
        ([{"key": "a", "attributes": {}}, {"method": "DELETE", "key": "a"}], ["records"]),
        ([{"key": "a"}], ["records.0.attributes"]),
        ([{"key": "", "attributes": {}}], ["records.0.key"]),
        ([{"key": "é" * 600, "attributes": {}}], ["records.0.key"]),
        ([{"key": "a", "attributes": {"n": [Decimal("1E200")]}}], ["records.0.attributes.n.0"]),
        ([{"method": "DELETE", "key": "a", "attributes": {}}], ["records.0.attributes"]),
        ([{"method": "POST", "key": "a", "attributes": {}}], ["records.0"]),
        ([{"method": "PATCH", "key": "a", "attributes": {}, "if_version": 0}], ["records.0.if_version"]),
        ([{"key": "a", "attributes": {"x": {"": 1}}}], ["records.0.attributes.x"]),
        (["a"], ["records.0"]),
    ],
)
def test_a_batch_that_is_none_is_refused_as_a_whole(customer: Caller, records: Any, named: list[str]) -> None:
    assert fields(customer("POST", "/records/product/batch", {"records": records})) == named
    assert law_4(customer)["consumed"] == 0


def test_numbers_are_exact(customer: Caller) -> None:
    digits = "12345678901234567890.123456789012345678"
    body = f'{{"attributes":{{"price":{digits},"nothing":null,"on":true}}}}'.encode()
    assert f'"price":{digits}' in expect(customer("PUT", "/records/product/n", body), 201).text
    text = expect(customer("GET", "/records/product/n"), 200).text
    read = simplejson.loads(text, use_decimal=True)["attributes"]
    assert read == {"price": Decimal(digits), "nothing": None, "on": True}


def test_versions_guard_a_write(customer: Caller) -> None:
    path = "/records/product/a"
    create = {"If_None_Match": "*"}
    expect(customer("PUT", path, {"attributes": {"n": 1}}, **create), 201)
    assert refusal(customer("PUT", path, {"attributes": {"n": 2}}, **create), 412) == "precondition-failed"
    tag = expect(customer("GET", path), 200).headers["ETag"]
    moved = expect(customer("PATCH", path, {"attributes": {"n": 3}}, If_Match=tag), 200)
    assert refusal(customer("PATCH", path, {"attributes": {"n": 4}}, If_Match=tag), 412) == "precondition-failed"
    assert refusal(customer("DELETE", path, If_Match=tag), 412) == "precondition-failed"
    expect(customer("DELETE", path, If_Match=moved.headers["ETag"]), 204)
    assert refusal(customer("PUT", path, {"attributes": {}}, If_Match="*"), 412) == "precondition-failed"
    assert fields(customer("PUT", path, {"attributes": {}}, If_Match="1")) == ["if-match"]
    assert law_4(customer)["consumed"] == 2 + 1 + 2 + 1


def test_an_idempotency_key_writes_once_and_is_answered_the_same(customer: Caller) -> None:
    path = "/records/product/a"
    key = {"Idempotency_Key": "k-1"}
    first = expect(customer("PUT", path, {"attributes": {"n": 1}}, **key), 201)
    expect(customer("DELETE", path, Idempotency_Key="k-1"), 204)
    again = expect(customer("PUT", path, {"attributes": {"n": 1}}, **key), 201)
    assert (again.text, again.headers["ETag"]) == (first.text, first.headers["ETag"])
    assert again.headers["Idempotency-Replayed"] == "true"
    assert charged(again) == 0
    gone = expect(customer("DELETE", path, Idempotency_Key="k-1"), 204)
    assert gone.headers["Idempotency-Replayed"] == "true"
    assert refusal(customer("PUT", path, {"attributes": {"n": 2}}, **key), 409) == "idempotency-key-reused"
    assert refusal(customer("GET", path), 404) == "not-found"
    assert law_4(customer)["consumed"] == 3


def test_one_request_sent_many_times_at_once_is_charged_once(customer: Caller) -> None:
    def send(_: int) -> int:
        body = {"attributes": {"n": 1}}
        return charged(expect(customer("PUT", "/records/product/a", body, Idempotency_Key="k"), 201))

    with ThreadPoolExecutor(6) as pool:
        assert sorted(pool.map(send, range(6))) == [0, 0, 0, 0, 0, 2]
    assert law_4(customer)["consumed"] == 2


def nested(levels: int) -> Any:
    return 1 if levels == 0 else {"a": nested(levels - 1)}


def test_what_is_too_large_or_too_deep_says_so_and_costs_nothing(customer: Caller, person: Caller) -> None:
    half = {"text": "x" * 250_000}
    expect(person("PUT", "/records/product/large", {"attributes": {"one": half["text"]}}), 201)
    grown = customer("PATCH", "/records/product/large", {"attributes": {"two": half["text"]}})
    assert refusal(grown, 413) == "content-too-large"
    assert "409,600" in grown.json()["detail"]
    body = {"attributes": {"text": "x" * 262_144}}
    assert refusal(customer("PUT", "/records/product/b", body), 413) == "content-too-large"
    expect(person("PUT", "/records/product/deep", {"attributes": nested(30)}), 201)
    assert fields(customer("PUT", "/records/product/b", {"attributes": nested(31)}))[0].startswith("attributes.a.a")
    assert law_4(customer)["consumed"] == 0


def test_out_of_credits_a_key_is_refused_and_a_person_goes_on(
    customer: Caller, person: Caller, spend: Callable[[Caller, int], None]
) -> None:
    path = "/records/product/a"
    spend(customer, 4999)
    problem = expect(customer("PUT", path, {"attributes": {"n": 1}}), 402).json()
    assert (problem["needed"], problem["available"], problem["owed"]) == (2, 1, 0)
    spend(customer, 1)
    assert refusal(customer("PUT", path, {"attributes": {"n": 1}}), 402) == "out-of-credits"

    made = expect(person("PUT", path, {"attributes": {"n": 1}}, Idempotency_Key="k"), 201)
    assert made.json()["operation_id"] is None
    assert not [name for name in made.headers if name.lower().startswith("x-credits")]
    again = expect(person("PUT", path, {"attributes": {"n": 1}}, Idempotency_Key="k"), 201)
    assert (again.text, again.headers["Idempotency-Replayed"]) == (made.text, "true")
    assert refusal(customer("PATCH", path, {"attributes": {"n": 2}}), 402) == "out-of-credits"
    assert refusal(customer("DELETE", path), 402) == "out-of-credits"
    assert expect(person("PATCH", path, {"attributes": {"n": 3}}), 200).json()["version"] == 2
    assert person.get(path)["attributes"] == {"n": 3}
    assert person.get("/records/product")["items"][0]["version"] == 2
    expect(person("DELETE", path), 204)
    view = law_4(customer)
    assert (view["available"], view["owed"], view["consumed"]) == (0, 0, 5000)


def test_a_person_and_an_import_write_the_same_records_and_neither_is_lost(customer: Caller, person: Caller) -> None:
    count = 400
    define(customer)
    rows = "".join(f"p{n},Title {n}\n" for n in range(count))
    run = expect(
        customer("POST", "/feeds/main/runs", {"upload_id": upload(customer, f"sku,title\n{rows}".encode())}), 202
    ).json()
    edited = [f"p{n}" for n in range(0, count, 20)]
    for key in edited:
        path = f"/records/product/{key}"
        note = {"attributes": {"note": "by hand"}}
        if person("PATCH", path, note).status_code == 404:
            # Not there yet, and perhaps there a moment later: then it is changed.
            made = person("PUT", path, note, If_None_Match="*")
            assert made.status_code in {201, 412}
            if made.status_code == 412:
                expect(person("PATCH", path, note), 200)
    finished = wait(customer, run["run_id"])
    assert (finished["state"], finished["credits"]) == ("finished", count)
    for key in edited:
        assert person.get(f"/records/product/{key}")["attributes"] == {"title": f"Title {key[1:]}", "note": "by hand"}
    # The start of the run, and its records; nothing else.
    assert law_4(customer)["consumed"] == 1 + count


def test_many_write_one_record_at_once_and_no_change_is_lost(customer: Caller, person: Caller) -> None:
    path = "/records/product/busy"
    expect(person("PUT", path, {"attributes": {}}), 201)

    def change(n: int) -> None:
        expect((customer, person)[n % 2]("PATCH", path, {"attributes": {f"a{n}": n}}), 200)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(change, range(16)))
    record = person.get(path)
    assert record["attributes"] == {f"a{n}": n for n in range(16)}
    assert record["version"] == 17
    assert law_4(customer)["consumed"] == 8 * 2
