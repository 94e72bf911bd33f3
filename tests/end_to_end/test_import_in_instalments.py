"""A real supplier's file that is paid for bit by bit: the import stops where the credits end, and goes on by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.api import OVER, Caller, expect, law_4, top_up, upload
from tests.support.books import Books
from tests.support.copies import Copies
from tests.support.feeds import drugs, real_feed
from tests.support.supplier import Supplier, with_etag
from tests.support.waiting import PATIENCE_SECONDS, until

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from productsync.stack import EmbeddedStack
    from tests.support.stack import Tables

pytestmark = [pytest.mark.stack, pytest.mark.feeds, pytest.mark.slow]

RECORDS = 19_841
STARTER = 5_000
TOP_UPS = (1, 999, 10_000, 10_000)


@dataclass(frozen=True)
class Instalments:
    """A run that a customer pays for bit by bit, and what else depends on those credits."""

    operator: Caller
    customer: Caller
    books: Books
    copies: Copies

    def pay(self, run_id: str, credits: int) -> dict[str, Any]:
        """A top-up, and the run when it stops the next time, or is over."""
        before = self.run(run_id)
        top_up(self.operator, self.customer, credits)
        self._await(lambda: self.run(run_id)["credits"] > before["credits"])
        return self.stopped(run_id)

    def stopped(self, run_id: str) -> dict[str, Any]:
        """The run when it stops, or is over; its schedule then does what its balance says."""
        self._await(lambda: self.run(run_id)["state"] in OVER)
        run = self.run(run_id)
        until(lambda: self.copies.states() == {"daily": "DISABLED" if run["state"] == "paused" else "ENABLED"})
        return run

    def run(self, run_id: str) -> dict[str, Any]:
        return dict(self.customer.get(f"/runs/{run_id}"))

    @staticmethod
    def _await(condition: Callable[[], object]) -> None:
        # Thousands of records take their time on a busy machine.
        until(condition, patience=5 * PATIENCE_SECONDS)

    def check(self, run: dict[str, Any], records: int) -> None:
        """Records written = credits of the run = what the log adds up to, wherever one looks."""
        assert (run["created"], run["updated"], run["credits"]) == (records, 0, records)
        assert self.books.records("product") == records
        assert self.books.credits_of(run["run_id"]) == records
        assert law_4(self.customer)["consumed"] == 1 + records

    def check_stop(self, run: dict[str, Any], records: int) -> None:
        """It has stopped for lack of credits, exactly where they ended."""
        assert (run["state"], run["paused"]["reason"]) == ("paused", "out_of_credits")
        self.check(run, records)
        view = self.customer.get("/credits")
        assert (view["state"], view["available"], view["owed"]) == ("paused", 0, 0)
        assert view["paused"]["waiting"] == {"schedules": 1, "runs": 1, "passes": 0, "changes": False}


@pytest.fixture(scope="module")
def file() -> bytes:
    return real_feed("pair_bdpm_drugs/CIS_CIP_bdpm.v1_2016-07-18.txt").read_bytes()


@pytest.fixture
def instalments(
    stack: EmbeddedStack, operator: Caller, customer: Caller, dynamodb: DynamoDBClient, tables: Tables, file: bytes
) -> Iterator[Instalments]:
    copies = Copies.of(stack, customer.workspace_id)
    with Supplier(with_etag(file, '"2016-07-18"')) as supplier:
        definition = drugs("2") | {"source": {"type": "http", "url": supplier.url("/CIS_CIP_bdpm.txt")}}
        expect(customer("PUT", "/feeds/drugs", definition), 201)
        expect(customer("PUT", "/schedules/daily", {"feed_id": "drugs", "expression": "rate(1 day)"}), 201)
        yield Instalments(operator, customer, Books(customer.workspace_id, dynamodb, tables), copies)
        copies.clear()


def uploaded(customer: Caller, file: bytes) -> dict[str, Any]:
    return {"upload_id": upload(customer, file, "drugs")}


def pulled(_customer: Caller, _file: bytes) -> dict[str, Any]:
    return {}


@pytest.mark.parametrize("way", [uploaded, pulled])
def test_it_stops_at_the_last_credit_each_time_and_ends_with_every_record_paid_once(
    instalments: Instalments, file: bytes, way: Callable[[Caller, bytes], dict[str, Any]]
) -> None:
    # One more than the starter credits, for the call.
    top_up(instalments.operator, instalments.customer, 1)
    wish = way(instalments.customer, file)
    started = expect(instalments.customer("POST", "/feeds/drugs/runs", wish), 202)
    assert (started.headers["X-Credits-Charged"], started.headers["X-Credits-Available"]) == ("1", str(STARTER))

    run_id, paid = started.json()["run_id"], STARTER
    instalments.check_stop(instalments.stopped(run_id), paid)
    *short, last = TOP_UPS
    for credits in short:
        paid += credits
        instalments.check_stop(instalments.pay(run_id, credits), paid)

    run = instalments.pay(run_id, last)
    assert (run["state"], run["progress"]) == ("finished", 1.0)
    instalments.check(run, RECORDS)
    view = law_4(instalments.customer)
    assert (view["state"], view["paused"], view["available"]) == ("active", None, paid + last - RECORDS)
    instalments.books.audit()
