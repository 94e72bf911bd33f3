"""What the calendar calls for, of every workspace: on a deployed template of its own, since on one that others use too
it would be called for of all of theirs.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from productsync.stack import EmbeddedStack
from shared.months import Month
from shared.times import to_rfc3339, utc_now
from tests.support.api import Caller, expect
from tests.support.waiting import until

pytestmark = pytest.mark.stack


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedStack]:
    with EmbeddedStack.start(tmp_path_factory.mktemp("calendar")) as running:
        yield running


@pytest.fixture(scope="module")
def customers(own: EmbeddedStack) -> list[Caller]:
    """Two workspaces, of which each has been charged once; there are no others."""
    operator = Caller(own.endpoint, own.operator_key)
    found = []
    for number in range(2):
        opened = expect(operator("POST", "/workspaces", {"name": f"Acme {number}"}), 201).json()
        found.append(Caller(own.endpoint, opened["api_key"]["secret"], opened["workspace_id"]))
        expect(found[-1]("PUT", "/records/product/p1", {"attributes": {"title": "one"}}), 201)
    return found


def invoke(own: EmbeddedStack, function: str, event: dict[str, Any]) -> Any:
    answer = own.aws.lambda_().invoke(FunctionName=own.outputs[function], Payload=json.dumps(event).encode())
    return answer.get("FunctionError"), json.loads(answer["Payload"].read())


def the_one(customer: Caller, what: str, state: str) -> Any:
    """The only one that there is, once it is in that state."""

    def is_there() -> bool:
        return [each["state"] for each in customer.get(what)["items"]] == [state]

    until(is_there)
    return customer.get(what)["items"][0]


def test_every_workspace_is_audited_when_the_day_calls(own: EmbeddedStack, customers: list[Caller]) -> None:
    assert invoke(own, "DailyAudits", {}) == (None, {"asked": len(customers)})
    for customer in customers:
        audit = the_one(customer, "/audits", "finished")
        assert (audit["balanced"], audit["operations"], audit["records"]) == (True, 1, 1)


def test_every_workspace_gets_its_export_when_the_month_calls_and_gets_it_once(
    own: EmbeddedStack, customers: list[Caller]
) -> None:
    month = Month.of(utc_now())
    firing = {"scheduled_at": to_rfc3339(month.next.start + timedelta(days=1, hours=6))}
    for _ in range(2):
        assert invoke(own, "MonthlyExports", firing) == (None, {"asked": len(customers)})
        for customer in customers:
            export = the_one(customer, "/exports", "ready")
            # The starter credits, and the one call with its record.
            assert (export["month"], export["lines"], export["books"]["consumed"]) == (str(month), 2, 2)
