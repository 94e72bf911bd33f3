"""Uploads and runs through API Gateway, on the deployed template."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import httpx

from tests.support.api import Caller, define, expect, fields, law_4, refusal, upload, wait
from tests.support.waiting import until

if TYPE_CHECKING:
    from productsync.stack import EmbeddedStack

# --- uploads ---


def test_an_upload_takes_the_size_that_was_signed_and_no_other(customer: Caller) -> None:
    define(customer)
    place = expect(customer("POST", "/feeds/main/uploads", {"content_length": 5}), 201).json()
    assert place["method"] == "PUT"
    assert place["max_bytes"] == 1_073_741_824
    assert httpx.put(place["url"], content=b"123456").status_code == 403
    assert httpx.put(place["url"], content=b"12345", headers=place["headers"]).status_code == 200
    unsized = expect(customer("POST", "/feeds/main/uploads", {}), 201).json()
    assert httpx.put(unsized["url"], content=b"any number of bytes").status_code == 200


def test_an_upload_needs_a_feed_and_a_possible_size(customer: Caller) -> None:
    assert refusal(customer("POST", "/feeds/main/uploads", {"content_length": 1}), 404) == "not-found"
    define(customer)
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


def test_a_run_pauses_where_its_credits_end_and_goes_on_by_itself_after_a_top_up(
    operator: Caller, customer: Caller, spend: Callable[[Caller, int], None]
) -> None:
    define(customer)
    upload_id = upload(customer)
    spend(customer, 4997)
    run = expect(customer("POST", "/feeds/main/runs", {"upload_id": upload_id}), 202).json()
    paused = wait(customer, run["run_id"])
    assert (paused["state"], paused["created"]) == ("paused", 2)
    assert paused["paused"]["reason"] == "out_of_credits"
    assert law_4(customer)["state"] == "paused"

    problem = expect(customer("POST", f"/runs/{run['run_id']}/resume"), 402).json()
    assert (problem["type"], problem["available"]) == ("/problems/out-of-credits", 0)
    start = expect(customer("POST", "/feeds/main/runs", {"upload_id": upload_id}), 402).json()
    assert (start["needed"], start["available"], start["owed"]) == (1, 0, 0)

    top_up = {"credits": 10, "unit_price": "0.01", "reference": "inv-1"}
    expect(operator("POST", f"/workspaces/{customer.workspace_id}/top-ups", top_up), 201)
    until(lambda: customer.get(f"/runs/{run['run_id']}")["state"] == "finished")
    finished = customer.get(f"/runs/{run['run_id']}")
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
