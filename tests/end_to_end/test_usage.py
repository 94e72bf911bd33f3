"""Where credits went, asked of the deployed API: what is counted is what the log says."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from shared import keys
from shared.dynamo.values import to_item
from shared.times import utc_now
from shared.usage import MOST_GROUPS, Dimension
from tests.support.api import Caller, expect, fields, refusal
from tests.support.waiting import until

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from tests.support.stack import Tables

pytestmark = pytest.mark.stack


def when_counted(customer: Caller, query: str = "") -> Any:
    """The figures, once everything is in them."""
    until(lambda: customer.get(f"/usage{query}")["pending_credits"] == 0)
    return customer.get(f"/usage{query}")


def log_of(customer: Caller) -> list[Any]:
    found: list[Any] = []
    cursor = ""
    while True:
        page = customer.get(f"/operations?limit=100{cursor}")
        found += page["items"]
        if page["next_cursor"] is None:
            return found
        cursor = f"&cursor={page['next_cursor']}"


@pytest.fixture
def busy(customer: Caller, operator: Caller) -> Caller:
    """A workspace that has done something, by a key, and was topped up."""
    order = {"credits": 100, "unit_price": "0.0125", "currency": "EUR", "reference": "invoice 1", "priority": 1}
    expect(operator("POST", f"/workspaces/{customer.workspace_id}/top-ups", order), 201)
    for number in range(3):
        expect(customer("PUT", f"/records/product/{number}", {"attributes": {"title": "Drill"}}), 201)
    expect(customer("PUT", "/records/product/0", {"attributes": {"title": "Drill"}}), 200)
    expect(customer("DELETE", "/records/product/1"), 204)
    expect(customer("GET", "/records/product/0"), 200)
    return customer


def test_every_grouping_adds_up_to_the_log(busy: Caller) -> None:
    total = when_counted(busy)["total"]
    log = log_of(busy)
    assert (total["operations"], total["credits"]) == (len(log), sum(each["credits"] for each in log))
    assert (total["free_credits"], total["paid_credits"]) == (0, total["credits"])
    assert [Decimal(each["amount"]) for each in total["cost"]] == [total["credits"] * Decimal("0.0125")]
    assert busy.get("/credits")["consumed"] == total["credits"]
    for grouping in ("job", "kind", "actor", "entity", "day", "month"):
        told = busy.get(f"/usage?group_by={grouping}")
        assert told["group_by"] == grouping
        assert told["total"] == total, grouping
        for name in ("operations", "refused", "credits", "free_credits", "paid_credits", "created", "deleted"):
            assert sum(group[name] for group in told["groups"]) == total[name], (grouping, name)


def test_the_day_ends_with_what_is_there(busy: Caller) -> None:
    told = when_counted(busy)
    (*_, today) = told["groups"]
    assert (today["value"], today["granted"]) == (told["to"], 5_100)
    assert today["available"] == busy.get("/credits")["available"]


def test_a_workspace_that_did_nothing_has_no_usage(customer: Caller) -> None:
    told = customer.get("/usage?group_by=job")
    assert (told["groups"], told["pending_credits"]) == ([], 0)
    assert told["total"]["credits"] == 0
    assert told["total"]["cost"] == []


def test_the_figures_are_the_workspace_s_own_and_free(busy: Caller, new_customer: Callable[[], Caller]) -> None:
    before = busy.get("/credits")["consumed"]
    assert when_counted(new_customer())["total"]["operations"] == 0
    when_counted(busy)
    assert busy.get("/credits")["consumed"] == before


def test_this_month_until_today_unless_it_is_asked_for_otherwise(customer: Caller) -> None:
    today = utc_now().date()
    told = customer.get("/usage")
    assert (told["from"], told["to"]) == (today.replace(day=1).isoformat(), today.isoformat())
    assert told["group_by"] == "day"
    told = customer.get("/usage?from=2026-01-01&to=2026-01-31&group_by=month")
    assert (told["from"], told["to"], told["groups"]) == ("2026-01-01", "2026-01-31", [])


TOMORROW = (utc_now() + timedelta(days=1)).date().isoformat()


@pytest.mark.parametrize(
    ("query", "field"),
    [
        (f"from={TOMORROW}", "from"),
        (f"from={TOMORROW}&to={TOMORROW}", "from"),
        ("from=2026-02-02&to=2026-02-01", "from"),
        ("from=2025-01-01&to=2026-01-02", "to"),
        ("from=yesterday", "from"),
        ("from=2026-02-30", "from"),
        ("to=20260201", "to"),
        ("to=2026-W05-7", "to"),
        ("to=1769900000", "to"),
        ("to=1999-12-31", "to"),
        ("group_by=color", "group_by"),
        ("group_by=", "group_by"),
    ],
)
def test_what_cannot_be_asked_for_is_told_by_its_field(customer: Caller, query: str, field: str) -> None:
    answer = customer("GET", f"/usage?{query}")
    assert refusal(answer, 422) == "validation"
    assert fields(answer) == [field]


def test_a_leap_year_can_be_asked_for(customer: Caller) -> None:
    told = customer.get("/usage?from=2024-01-01&to=2024-12-31&group_by=day")
    assert told["groups"] == []


def test_what_is_more_than_a_call_may_answer_is_told_and_a_part_of_it_can_be_had(
    customer: Caller, dynamodb: DynamoDBClient, tables: Tables
) -> None:
    today = datetime.combine(utc_now().date(), time(), UTC)

    def put(day: datetime, first: int, last: int) -> None:
        items = [
            keys.usage(customer.workspace_id, day, Dimension.ENTITY, f"entity_{number}").attributes()
            | to_item({"credits": 1, "created": 1})
            for number in range(first, last)
        ]
        for start in range(0, len(items), 25):
            puts: Any = [{"PutRequest": {"Item": item}} for item in items[start : start + 25]]
            dynamodb.batch_write_item(RequestItems={tables.usage: puts})

    put(today, 0, MOST_GROUPS)
    # Midnight may pass; and no day before the workspace is looked at.
    query = f"from={today.date()}&to={today.date()}&group_by=entity"
    told = customer.get(f"/usage?{query}")
    assert (len(told["groups"]), told["total"]["created"]) == (MOST_GROUPS, MOST_GROUPS)
    put(today, MOST_GROUPS, MOST_GROUPS + 1)
    answer = customer("GET", f"/usage?{query}")
    assert refusal(answer, 422) == "validation"
    assert fields(answer) == ["from"]
    assert f"{MOST_GROUPS:,} groups" in answer.json()["detail"]
    assert len(customer.get(f"/usage?from={today.date()}&to={today.date()}&group_by=day")["groups"]) == 1
