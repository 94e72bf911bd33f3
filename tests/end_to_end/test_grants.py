"""What finance does to a workspace's credits, on the deployed template: top-ups with a priority, voids, corrections,
and credits that expire at their moment.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from shared.times import parse_rfc3339, to_rfc3339, utc_now
from tests.support.api import DEFINITION, Caller, expect, fields, law_4, refusal
from tests.support.books import Books
from tests.support.copies import Copies
from tests.support.functions import sample
from tests.support.waiting import until

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from productsync.stack import EmbeddedStack
    from tests.support.stack import Tables

pytestmark = pytest.mark.stack

Spend = Callable[[Caller, int], None]


class Finance:
    """The vendor's finance department, at one workspace."""

    def __init__(self, operator: Caller, workspace_id: str) -> None:
        self._operator = operator
        self._path = f"/workspaces/{workspace_id}"

    def give(self, credits: int, reference: str, **more: Any) -> httpx.Response:
        wish = {"credits": credits, "unit_price": "0.01", "currency": "EUR", "reference": reference} | more
        return self._operator("POST", f"{self._path}/top-ups", wish)

    def void(self, grant_id: str, reference: str, reason: str = "given by mistake", **headers: str) -> httpx.Response:
        wish = {"reference": reference, "reason": reason}
        return self._operator("POST", f"{self._path}/grants/{grant_id}/void", wish, **headers)

    def correct(
        self, credits: int, reference: str, reason: str = "the import ran twice", **more: Any
    ) -> httpx.Response:
        wish = {"credits": credits, "reference": reference, "reason": reason} | more
        return self._operator("POST", f"{self._path}/corrections", wish)

    def sees(self) -> Any:
        return self._operator.get(f"{self._path}/credits")

    def granted(self, credits: int, reference: str, **more: Any) -> str:
        return str(expect(self.give(credits, reference, **more), 201).json()["grant_id"])


@pytest.fixture
def finance(operator: Caller, customer: Caller) -> Finance:
    return Finance(operator, customer.workspace_id)


@pytest.fixture
def books(customer: Caller, dynamodb: DynamoDBClient, tables: Tables) -> Books:
    return Books(customer.workspace_id, dynamodb, tables)


def left(view: Any) -> dict[str, int]:
    """What is left of each grant, by its reference."""
    return {grant["reference"] or grant["kind"]: grant["remaining"] for grant in view["grants"]}


def logged(customer: Caller, kind: str) -> list[Any]:
    return list(customer.get(f"/operations?kind={kind}")["items"])


# --- top-ups ---


def test_grants_are_drawn_by_their_priority(finance: Finance, customer: Caller, spend: Spend, books: Books) -> None:
    finance.granted(10, "usual", kind="promotional")
    finance.granted(10, "last", kind="promotional", priority=1000)
    finance.granted(10, "first", priority=0)
    spend(customer, 15)
    assert left(law_4(customer)) == {"free": 4_995, "usual": 10, "last": 10, "first": 0}
    assert {grant["reference"]: grant["priority"] for grant in finance.sees()["grants"]} == {
        None: 10,
        "usual": 20,
        "last": 1000,
        "first": 0,
    }
    books.audit()


def test_the_priority_is_one_of_the_terms_of_a_reference(finance: Finance) -> None:
    first = expect(finance.give(10, "inv-1", priority=7), 201).json()
    again = expect(finance.give(10, "inv-1", priority=7), 201)
    assert (again.headers["Idempotency-Replayed"], again.json()) == ("true", first)
    assert refusal(finance.give(10, "inv-1", priority=8), 409) == "idempotency-key-reused"
    assert refusal(finance.give(10, "inv-1"), 409) == "idempotency-key-reused"
    for wrong in (-1, 1001, "7", 7.5):
        assert fields(finance.give(10, "inv-2", priority=wrong)) == ["priority"]


# --- voids ---


def test_a_void_takes_all_that_is_left_of_a_grant_and_the_log_says_why(
    finance: Finance, customer: Caller, spend: Spend, books: Books
) -> None:
    gift = finance.granted(100, "gift", kind="promotional", priority=0, unit_price="0")
    spend(customer, 30)
    done = expect(finance.void(gift, "ticket 1"), 200).json()
    part = {"grant_id": gift, "credits": 70, "unit_price": "0", "currency": "EUR"}
    assert (done["kind"], done["credits"], done["reference"], done["reason"]) == (
        "void",
        -70,
        "ticket 1",
        "given by mistake",
    )
    assert (done["withdrawn"], done["grant"]) == ([part], None)
    view = law_4(customer)
    assert (view["void"], view["available"], left(view)["gift"]) == (70, 5_000, 0)
    assert finance.sees() == view
    (entry,) = logged(customer, "void")
    assert (entry["operation_id"], entry["at"]) == (done["operation_id"], done["at"])
    assert (entry["credits"], entry["drawn"], entry["withdrawn"], entry["cost"]) == (0, [], [part], [])
    assert entry["description"] == "given by mistake"

    again = expect(finance.void(gift, "ticket 1"), 200)
    assert (again.headers["Idempotency-Replayed"], again.json()) == ("true", done)
    assert refusal(finance.void(gift, "ticket 1", "another reason"), 409) == "idempotency-key-reused"
    assert refusal(finance.void(gift, "ticket 2"), 409) == "nothing-left"
    assert law_4(customer) == view
    books.audit()


def test_a_void_with_an_idempotency_key_is_answered_the_same_again(finance: Finance, customer: Caller) -> None:
    gift = finance.granted(100, "gift")
    first = expect(finance.void(gift, "ticket 1", Idempotency_Key="k"), 200)
    again = expect(finance.void(gift, "ticket 1", Idempotency_Key="k"), 200)
    assert "Idempotency-Replayed" not in first.headers
    assert (again.headers["Idempotency-Replayed"], again.json()) == ("true", first.json())
    assert refusal(finance.void(gift, "ticket 2", Idempotency_Key="k"), 409) == "idempotency-key-reused"
    assert law_4(customer)["void"] == 100


def test_what_is_not_there_cannot_be_void(
    finance: Finance, operator: Caller, new_customer: Callable[[], Caller]
) -> None:
    others = new_customer().get("/credits")["grants"][0]["grant_id"]
    for grant_id in ("gr_01KAMZ5Q00E5K7N9R1T3W5Y7A9", "nothing", others):
        assert refusal(finance.void(grant_id, "ticket 1"), 404) == "not-found"
    nobody = Finance(operator, "ws_01KAMZ5Q000000000000000001")
    assert refusal(nobody.void(others, "ticket 1"), 404) == "not-found"
    assert refusal(nobody.correct(-1, "ticket 1"), 404) == "not-found"
    assert refusal(nobody.correct(1, "ticket 1"), 404) == "not-found"
    refused = operator("GET", "/workspaces/ws_01KAMZ5Q000000000000000001/credits")
    assert refusal(refused, 404) == "not-found"


def test_a_void_that_leaves_nothing_pauses_like_any_other_end(finance: Finance, customer: Caller) -> None:
    (starter,) = customer.get("/credits")["grants"]
    expect(finance.void(starter["grant_id"], "ticket 1"), 200)
    until(lambda: (customer.get("/credits")["paused"] or {}).get("since"))
    expect(finance.correct(3, "ticket 2"), 201)
    view = law_4(customer)
    assert (view["state"], view["available"], view["void"]) == ("active", 3, 5_000)


# --- corrections ---


def test_a_correction_takes_credits_back_from_what_would_pay_next(
    finance: Finance, customer: Caller, books: Books
) -> None:
    finance.granted(10, "paid")
    done = expect(finance.correct(-5_004, "ticket 1", corrects="2026-02"), 201).json()
    assert (done["kind"], done["credits"], done["grant"], done["corrects"]) == ("correction", -5_004, None, "2026-02")
    assert [part["credits"] for part in done["withdrawn"]] == [5_000, 4]
    again = expect(finance.correct(-5_004, "ticket 1", corrects="2026-02"), 201)
    assert (again.headers["Idempotency-Replayed"], again.json()) == ("true", done)
    refused = finance.correct(-7, "ticket 2")
    assert refusal(refused, 409) == "not-that-many"
    assert refused.json()["left"] == 6
    view = law_4(customer)
    assert (view["void"], view["available"]) == (5_004, 6)
    (entry,) = logged(customer, "correction")
    assert (entry["withdrawn"], entry["credits"]) == (done["withdrawn"], 0)
    assert (entry["reference"], entry["corrects"]) == ("ticket 1", "2026-02")
    # What was refused is not remembered.
    expect(finance.correct(-6, "ticket 2"), 201)
    books.audit()


def test_a_correction_gives_credits_and_settles_first_what_is_owed(
    finance: Finance, customer: Caller, spend: Spend, books: Books
) -> None:
    spend(customer, 5_000)
    spend(customer, 12)
    assert law_4(customer)["owed"] == 12
    done = expect(finance.correct(40, "ticket 1", unit_price="0.010", currency="USD"), 201).json()
    assert (done["kind"], done["credits"], done["withdrawn"], done["reason"]) == (
        "correction",
        40,
        [],
        "the import ran twice",
    )
    grant = done["grant"]
    assert (grant["kind"], grant["credits"], grant["settled"], grant["unit_price"], grant["currency"]) == (
        "correction",
        40,
        12,
        "0.010",
        "USD",
    )
    view = law_4(customer)
    assert (view["owed"], view["available"], view["granted"]) == (0, 28, 5_040)
    assert [each["kind"] for each in view["grants"]] == ["free", "correction"]
    (entry,) = logged(customer, "correction")
    assert (entry["operation_id"], entry["at"], entry["credits"]) == (done["operation_id"], grant["granted_at"], 0)
    assert entry["description"] == "the import ran twice"
    (settlement,) = logged(customer, "settlement")
    assert [part["credits"] for part in settlement["drawn"]] == [12]

    again = expect(finance.correct(40, "ticket 1", unit_price="0.010", currency="USD"), 201)
    assert (again.headers["Idempotency-Replayed"], again.json()) == ("true", done)
    assert refusal(finance.correct(40, "ticket 1"), 409) == "idempotency-key-reused"
    assert refusal(finance.correct(-1, "ticket 1"), 409) == "idempotency-key-reused"
    assert law_4(customer) == view
    books.audit()


def test_what_a_correction_cannot_be(finance: Finance, customer: Caller) -> None:
    assert fields(finance.correct(0, "t")) == ["credits"]
    assert fields(finance.correct(-1, "t", unit_price="0.01")) == ["unit_price"]
    assert fields(finance.correct(-1, "t", currency="EUR")) == ["currency"]
    assert fields(finance.correct(-1, "t", corrects="9998-12")) == ["corrects"]
    assert fields(finance.correct(1, "t", corrects="9999-12")) == ["corrects"]
    assert fields(finance.correct(1, "t", corrects="October")) == ["corrects"]
    assert fields(finance.correct(-1, "t", expires_at="2190-01-01T00:00:00Z")) == ["expires_at"]
    assert fields(finance.correct(1, "t", expires_at="2001-01-01T00:00:00Z")) == ["expires_at"]
    assert fields(finance.correct(1, "t", reason=" ")) == ["reason"]
    assert fields(finance.correct(1, "", priority=1)) == ["reference", "priority"]
    assert fields(finance.correct(1_000_000_001, "t")) == ["credits"]
    assert law_4(customer)["granted"] == 5_000


# --- expiry ---


def invoke(stack: EmbeddedStack, event: dict[str, Any]) -> Any:
    answer = stack.aws.lambda_().invoke(FunctionName=stack.outputs["GrantExpiry"], Payload=json.dumps(event).encode())
    return answer.get("FunctionError"), json.loads(answer["Payload"].read())


def test_the_last_credits_expire_at_their_moment_and_automation_pauses(
    stack: EmbeddedStack, finance: Finance, customer: Caller, spend: Spend, books: Books
) -> None:
    feed = DEFINITION | {"source": {"type": "http", "url": "https://supplier.example/stock.csv"}}
    expect(customer("PUT", "/feeds/stock", feed), 201)
    expect(customer("PUT", "/schedules/daily", {"feed_id": "stock", "expression": "rate(1 day)"}), 201)
    copies = Copies.of(stack, customer.workspace_id)
    expires_at = to_rfc3339(utc_now() + timedelta(seconds=15))
    gift = finance.granted(50, "gift", kind="promotional", expires_at=expires_at)
    spend(customer, 5_010)
    assert (law_4(customer)["available"], copies.states()) == (40, {"daily": "ENABLED"})

    # Nobody calls the sweep: what is booked here, was booked by the grant's own schedule.
    until(lambda: logged(customer, "expiry"))
    (entry,) = logged(customer, "expiry")
    assert (entry["at"], entry["credits"], entry["channel"]) == (expires_at, 0, "schedule")
    assert [(part["grant_id"], part["credits"]) for part in entry["withdrawn"]] == [(gift, 40)]
    until(lambda: copies.states() == {"daily": "DISABLED"})
    until(lambda: customer.get("/credits")["paused"]["since"])
    view = law_4(customer)
    assert (view["expired"], view["available"], view["state"]) == (40, 0, "paused")
    assert parse_rfc3339(view["paused"]["since"]) >= parse_rfc3339(expires_at)
    books.audit()

    # Delivered twice.
    due = {"workspace_id": customer.workspace_id, "grant_id": gift}
    assert invoke(stack, due) == (None, {"available": 0, "expired": 40})
    assert logged(customer, "expiry") == [entry]
    assert refusal(finance.void(gift, "ticket 1"), 409) == "nothing-left"

    # The schedule is gone once it has fired.
    listed = stack.aws.scheduler().list_schedules(GroupName=stack.outputs["ExpiryGroup"], NamePrefix=gift)
    assert listed["Schedules"] == []
    expect(finance.give(1, "more"), 201)
    until(lambda: copies.states() == {"daily": "ENABLED"})
    copies.clear()


def test_an_expiry_that_is_called_too_early_fails_and_loses_nothing(
    stack: EmbeddedStack, finance: Finance, customer: Caller, books: Books
) -> None:
    gift = finance.granted(50, "gift", expires_at="2190-01-01T00:00:00Z")
    failed, told = invoke(stack, {"workspace_id": customer.workspace_id, "grant_id": gift})
    assert failed
    assert "have not lapsed" in told["errorMessage"]
    assert left(law_4(customer))["gift"] == 50
    listed = stack.aws.scheduler().list_schedules(GroupName=stack.outputs["ExpiryGroup"], NamePrefix=gift)
    assert [each["State"] for each in listed["Schedules"]] == ["ENABLED"]
    books.audit()


@pytest.mark.parametrize("name", ["due", "duplicate", "malformed"])
def test_an_event_of_nobody_is_dropped(stack: EmbeddedStack, name: str) -> None:
    assert invoke(stack, sample(f"grant_expiry_{name}")) == (None, None)
