"""Feeds that fetch their files by themselves, through the API of the deployed template."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.api import CSV, DEFINITION, Caller, expect, fields, law_4, refusal, upload, wait
from tests.support.supplier import Asked, Line, Supplier, says, with_etag

if TYPE_CHECKING:
    from productsync.stack import EmbeddedStack

SECRET = "open-sesame-42"
CHANGED = CSV.replace(b"Drill", b"Cordless drill")
BUCKET = "productsync-sources"


@pytest.fixture
def supplier() -> Iterator[Supplier]:
    with Supplier(with_etag(CSV, '"one"')) as running:
        yield running


def define(customer: Caller, source: dict[str, Any]) -> None:
    expect(customer("PUT", "/feeds/main", DEFINITION | {"source": source}), 201)


def from_web(supplier: Supplier, **more: str) -> dict[str, Any]:
    return {"type": "http", "url": supplier.url(**more)}


def pull(customer: Caller, **body: Any) -> dict[str, Any]:
    started = expect(customer("POST", "/feeds/main/runs", body), 202)
    assert started.headers["X-Credits-Charged"] == ("0" if body.get("dry_run") else "1")
    return wait(customer, started.json()["run_id"])


def test_a_feed_is_pulled_and_pulled_again_when_it_has_changed(customer: Caller, supplier: Supplier) -> None:
    define(customer, from_web(supplier))
    assert customer.get("/feeds/main")["definition"]["source"] == from_web(supplier)
    preview = pull(customer, dry_run=True)
    assert (preview["created"], preview["unmodified"]) == (3, False)

    first = pull(customer)
    assert (first["state"], first["created"], first["credits"], first["unmodified"]) == ("finished", 3, 3, False)
    assert first["schedule_id"] is None
    again = pull(customer)
    assert (again["state"], again["unmodified"], again["rows_read"], again["credits"]) == ("finished", True, 0, 0)
    assert law_4(customer)["consumed"] == 5

    supplier.answers = [with_etag(CHANGED, '"two"')]
    changed = pull(customer)
    assert (changed["updated"], changed["unchanged"], changed["unmodified"]) == (1, 2, False)
    assert law_4(customer)["consumed"] == 7
    # What was fetched is kept as an upload, and can be imported again.
    assert pull(customer, upload_id=first["upload_id"])["updated"] == 1
    assert pull(customer)["updated"] == 1


def test_a_feed_with_a_source_takes_uploads_all_the_same(customer: Caller, supplier: Supplier) -> None:
    define(customer, from_web(supplier))
    assert pull(customer, upload_id=upload(customer))["created"] == 3
    assert supplier.connections == 0


def test_a_feed_without_a_source_has_nothing_to_pull(customer: Caller) -> None:
    expect(customer("PUT", "/feeds/main", DEFINITION), 201)
    assert refusal(customer("POST", "/feeds/main/runs", {}), 409) == "nothing-to-pull"
    assert refusal(customer("POST", "/feeds/main/runs", {"dry_run": True}), 409) == "nothing-to-pull"
    assert law_4(customer)["consumed"] == 0


def test_a_pull_with_an_idempotency_key_happens_once(customer: Caller, supplier: Supplier) -> None:
    define(customer, from_web(supplier))
    first = expect(customer("POST", "/feeds/main/runs", {}, Idempotency_Key="k"), 202)
    wait(customer, first.json()["run_id"])
    again = expect(customer("POST", "/feeds/main/runs", {}, Idempotency_Key="k"), 202)
    assert again.json() == first.json()
    other = {"upload_id": upload(customer)}
    assert refusal(customer("POST", "/feeds/main/runs", other, Idempotency_Key="k"), 409) == "idempotency-key-reused"
    assert len(supplier.asked) == 1
    assert law_4(customer)["consumed"] == 4


def test_an_object_of_the_workspaces_folder_is_pulled(customer: Caller, stack: EmbeddedStack) -> None:
    s3 = stack.aws.s3()
    s3.create_bucket(Bucket=BUCKET)
    key = f"{customer.workspace_id}/stock.csv"
    s3.put_object(Bucket=BUCKET, Key=key, Body=CSV)
    define(customer, {"type": "s3", "bucket": BUCKET, "key": key})
    assert pull(customer)["created"] == 3
    assert pull(customer)["unmodified"]
    s3.put_object(Bucket=BUCKET, Key=key, Body=CHANGED)
    assert pull(customer)["updated"] == 1
    s3.delete_object(Bucket=BUCKET, Key=key)
    assert pull(customer)["error"]["code"] in ("source_missing", "source_unauthorized")


@pytest.mark.parametrize(
    ("source", "field"),
    [
        ({"type": "s3", "bucket": BUCKET, "key": "ws_other/stock.csv"}, "source.key"),
        ({"type": "s3", "bucket": "others", "key": "stock.csv"}, "source.bucket"),
        ({"type": "http", "url": "http://169.254.169.254/latest/meta-data"}, "source.url"),
        ({"type": "http", "url": "http://[::ffff:10.0.0.1]/"}, "source.url"),
        ({"type": "http", "url": "http://0x0a000001/"}, "source.url"),
        ({"type": "http", "url": "https://a:b@shop.example/"}, "source.url"),
        ({"type": "http", "url": "file:///etc/passwd"}, "source.url"),
        ({"type": "ftp"}, "source"),
    ],
)
def test_a_source_that_cannot_be_is_refused_when_it_is_saved(
    customer: Caller, source: dict[str, Any], field: str
) -> None:
    assert fields(customer("PUT", "/feeds/main", DEFINITION | {"source": source})) == [field]


def closes_midway(_asked: Asked, line: Line) -> None:
    line.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + CSV)


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (says(401), "source_unauthorized"),
        (says(404), "source_missing"),
        (says(500), "source_unavailable"),
        (says(304), "source_refused"),
        (says(302, Location="http://10.0.0.1/stock.csv"), "source_address_refused"),
        (says(302, Location="http://169.254.169.254/latest/meta-data"), "source_address_refused"),
        (says(200, b"<!doctype html><html>Sign in</html>", Content_Type="text/html"), "source_web_page"),
        (says(200, b"", Content_Length=str(2**31)), "source_too_large"),
        (says(200, b""), "empty_file"),
        (closes_midway, "source_broken_off"),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_a_source_that_gives_no_file_fails_the_run_and_only_its_start_is_charged(
    customer: Caller, supplier: Supplier, answer: Any, code: str
) -> None:
    supplier.answers = [answer]
    define(customer, from_web(supplier))
    run = pull(customer)
    assert (run["state"], run["error"]["code"]) == ("failed", code)
    assert run["error"]["detail"]
    assert law_4(customer)["consumed"] == 1


def test_credentials_reach_the_source_and_nobody_else(customer: Caller, supplier: Supplier) -> None:
    define(customer, from_web(supplier))
    assert refusal(customer("GET", "/feeds/main/credentials"), 404) == "not-found"
    basic = {"type": "basic", "username": "shop", "password": SECRET}
    given = expect(customer("PUT", "/feeds/main/credentials", basic), 200)
    shown = customer.get("/feeds/main/credentials")
    assert shown == given.json()
    assert (shown["type"], shown["username"], shown["origin"]) == (
        "basic",
        "shop",
        f"http://localhost:{supplier.port}",
    )
    run = pull(customer)
    assert run["created"] == 3
    assert supplier.asked[-1].headers["authorization"] == "Basic c2hvcDpvcGVuLXNlc2FtZS00Mg=="
    told = [given.text, str(customer.get("/feeds/main")), str(run), str(customer.get("/operations")), str(shown)]
    assert SECRET not in "".join(told)

    expect(customer("PUT", "/feeds/main/credentials", {"type": "bearer", "token": SECRET}), 200)
    assert not pull(customer)["unmodified"]
    assert supplier.asked[-1].headers["authorization"] == f"Bearer {SECRET}"

    expect(customer("DELETE", "/feeds/main/credentials"), 204)
    assert refusal(customer("DELETE", "/feeds/main/credentials"), 404) == "not-found"
    pull(customer)
    assert "authorization" not in supplier.asked[-1].headers


def test_credentials_do_not_follow_a_feed_that_is_pointed_elsewhere(customer: Caller, supplier: Supplier) -> None:
    define(customer, from_web(supplier))
    expect(customer("PUT", "/feeds/main/credentials", {"type": "bearer", "token": SECRET}), 200)
    with Supplier(says(200, CSV)) as another:
        expect(customer("PUT", "/feeds/main", DEFINITION | {"source": from_web(another)}), 200)
        assert pull(customer)["error"]["code"] == "source_credentials"
        assert another.connections == 0


def test_credentials_go_with_their_feed(customer: Caller, supplier: Supplier) -> None:
    define(customer, from_web(supplier))
    expect(customer("PUT", "/feeds/main/credentials", {"type": "bearer", "token": SECRET}), 200)
    expect(customer("DELETE", "/feeds/main"), 204)
    define(customer, from_web(supplier))
    assert refusal(customer("GET", "/feeds/main/credentials"), 404) == "not-found"


@pytest.mark.parametrize("name", ["Main", "x" * 65, "a.b", "a%20b", "%C3%BC", "a%2Fb"])
def test_a_feed_that_cannot_be_is_not_there_to_delete(customer: Caller, name: str) -> None:
    assert refusal(customer("DELETE", f"/feeds/{name}"), 404) == "not-found"
    assert refusal(customer("DELETE", f"/feeds/{name}/credentials"), 404) == "not-found"


def test_credentials_that_cannot_be_are_refused_without_being_told(customer: Caller, supplier: Supplier) -> None:
    assert refusal(customer("PUT", "/feeds/main/credentials", {"type": "bearer", "token": SECRET}), 404) == "not-found"
    expect(customer("PUT", "/feeds/main", DEFINITION), 201)
    answer = customer("PUT", "/feeds/main/credentials", {"type": "bearer", "token": SECRET})
    assert refusal(answer, 409) == "nothing-to-pull"
    expect(customer("PUT", "/feeds/main", DEFINITION | {"source": from_web(supplier)}), 200)
    wrong = customer("PUT", "/feeds/main/credentials", {"type": "bearer", "token": f"{SECRET}\n"})
    assert fields(wrong) == ["token"]
    assert SECRET not in wrong.text
