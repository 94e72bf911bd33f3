"""The credits of a workspace end and come back on the deployed template, as EventBridge Scheduler, the API and the
catalogue's table show it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from shared.runs.model import PauseReason, RunState
from shared.runs.store import RunStore
from shared.times import parse_rfc3339, to_rfc3339, utc_now
from tests.support.api import CSV, DEFINITION, Caller, expect, law_4, refusal, top_up, upload, wait
from tests.support.copies import Copies
from tests.support.people import person_of
from tests.support.supplier import Supplier, with_etag
from tests.support.waiting import until

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from productsync.stack import EmbeddedStack
    from tests.support.stack import Tables

pytestmark = pytest.mark.stack

ROWS = 3
"""Records of the supplier's file."""

# Far off, or a day from now: none fires while a test looks.
SCHEDULES: dict[str, dict[str, Any]] = {
    "nightly": {
        "expression": "cron(30 4 1 1 ? 2198)",
        "time_zone": "America/New_York",
        "description": "Before the shop opens",
    },
    "daily": {"expression": "rate(1 day)"},
    "once": {"expression": "at(2198-03-27T02:30:00)", "time_zone": "Europe/Berlin", "description": "Only once"},
    "off": {"expression": "rate(7 days)", "enabled": False, "description": "Not wanted"},
}
ON = {"nightly": "ENABLED", "daily": "ENABLED", "once": "ENABLED", "off": "DISABLED"}
PAUSED = dict.fromkeys(SCHEDULES, "DISABLED")


@dataclass(frozen=True)
class Shop:
    """A customer whose feed `supplier` is pulled by schedules."""

    stack: EmbeddedStack
    operator: Caller
    customer: Caller
    copies: Copies
    spend: Callable[[Caller, int], None]

    def put(self, schedule_id: str, **changes: Any) -> dict[str, Any]:
        """What the owner wants of a schedule."""
        wish = {"feed_id": "supplier"} | SCHEDULES[schedule_id] | changes
        put = self.customer("PUT", f"/schedules/{schedule_id}", wish)
        assert put.status_code in {200, 201}, put.text
        return dict(put.json())

    def leave(self, credits: int) -> None:
        """Spends all credits but some."""
        self.spend(self.customer, self.customer.available() - credits)

    def top_up(self, credits: int) -> None:
        top_up(self.operator, self.customer, credits)

    def state_is(self, states: dict[str, str]) -> Callable[[], bool]:
        return lambda: self.copies.states() == states

    def start(self, upload_id: str | None = None) -> str:
        """Starts a run through the API."""
        wish = {} if upload_id is None else {"upload_id": upload_id}
        return str(expect(self.customer("POST", "/feeds/supplier/runs", wish), 202).json()["run_id"])

    def finished(self, run_id: str) -> dict[str, Any]:
        """A run that goes on by itself, once it is over."""
        until(lambda: self.customer.get(f"/runs/{run_id}")["state"] == "finished")
        return dict(self.customer.get(f"/runs/{run_id}"))

    def paused(self) -> dict[str, Any]:
        """What waits, as the account says once the pause is noted: another's late look may disable copies before."""
        until(lambda: self.customer.get("/credits")["paused"]["since"])
        view = law_4(self.customer)
        assert (view["state"], view["available"]) == ("paused", 0)
        assert parse_rfc3339(view["paused"]["since"]) <= utc_now()
        assert view["paused"]["reason"] == "out_of_credits"
        return dict(view["paused"]["waiting"])


@pytest.fixture
def shop(
    stack: EmbeddedStack, operator: Caller, customer: Caller, spend: Callable[[Caller, int], None]
) -> Iterator[Shop]:
    copies = Copies.of(stack, customer.workspace_id)
    with Supplier(with_etag(CSV, '"v1"')) as supplier:
        source = {"type": "http", "url": supplier.url()}
        expect(customer("PUT", "/feeds/supplier", DEFINITION | {"source": source}), 201)
        shop = Shop(stack, operator, customer, copies, spend)
        for schedule_id in SCHEDULES:
            shop.put(schedule_id)
        until(shop.state_is(ON))
        yield shop
        copies.clear()


def invoke(stack: EmbeddedStack, function: str, event: dict[str, Any]) -> Any:
    answer = stack.aws.lambda_().invoke(FunctionName=stack.outputs[function], Payload=json.dumps(event).encode())
    told = answer["Payload"].read()
    assert not answer.get("FunctionError"), told
    return json.loads(told)


def call_the_guard(shop: Shop) -> None:
    """Has the guard look at the workspace, now: it has looked when this returns."""
    body = json.dumps({"workspace_id": shop.customer.workspace_id})
    message = {"messageId": "1", "receiptHandle": "1", "body": body, "eventSource": "aws:sqs", "attributes": {}}
    assert invoke(shop.stack, "CreditGuard", {"Records": [message]}) == {"batchItemFailures": []}


# --- the ways in which credits end ---


@dataclass(frozen=True)
class Waiting:
    """The run that waits when the credits have ended, and the records that it has written until then."""

    run_id: str
    written: int


def by_an_import(shop: Shop) -> Waiting:
    upload_id = upload(shop.customer, CSV, "supplier")
    shop.leave(1 + 2)
    return Waiting(shop.start(upload_id), 2)


def by_the_trigger_of_a_schedule(shop: Shop) -> Waiting:
    shop.leave(1)
    fired = shop.copies.fire("nightly", to_rfc3339(utc_now()))
    assert fired["outcome"] == "started"
    return Waiting(fired["run_id"], 0)


def by_a_write_of_a_record(shop: Shop) -> None:
    shop.leave(2)
    written = expect(shop.customer("PUT", "/records/product/z", {"attributes": {"title": "Bolt"}}), 201)
    assert written.headers["X-Credits-Available"] == "0"


def by_the_start_of_a_run(shop: Shop) -> Waiting:
    shop.leave(1)
    return Waiting(shop.start(), 0)


WAYS = [by_an_import, by_the_trigger_of_a_schedule, by_a_write_of_a_record, by_the_start_of_a_run]


@pytest.mark.parametrize("credits_end", WAYS)
def test_the_end_of_credits_disables_every_schedule_and_a_top_up_enables_those_that_are_wanted(
    shop: Shop, credits_end: Callable[[Shop], Waiting | None]
) -> None:
    # An operator has changed what we only set when a copy is made: it is none of the guard's business.
    by_hand = {"FlexibleTimeWindow": {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 15}}
    target = shop.copies.get("nightly")["Target"]
    target["RetryPolicy"] = {"MaximumEventAgeInSeconds": 900, "MaximumRetryAttempts": 3}
    shop.copies.change("nightly", **by_hand, Target=target, EndDate=datetime(2199, 1, 1, tzinfo=UTC))
    before = shop.copies.all_but_state(SCHEDULES)
    view = shop.customer.get("/credits")
    assert (view["state"], view["paused"]) == ("active", None)

    waiting = credits_end(shop)
    until(shop.state_is(PAUSED))
    if waiting:
        run = wait(shop.customer, waiting.run_id)
        assert (run["state"], run["created"], run["credits"]) == ("paused", waiting.written, waiting.written)
        assert run["paused"]["reason"] == "out_of_credits"
    assert shop.paused() == {"schedules": 3, "runs": 1 if waiting else 0, "passes": 0, "changes": False}
    assert shop.copies.all_but_state(SCHEDULES) == before
    shown = {each["schedule_id"]: each["state"] for each in shop.customer.get("/schedules")["items"]}
    assert shown == {"nightly": "paused", "daily": "paused", "once": "paused", "off": "disabled"}

    shop.put("daily", enabled=False)
    assert shop.put("off", enabled=True)["state"] == "paused"
    assert shop.copies.states() == PAUSED
    assert shop.paused()["schedules"] == 3

    shop.top_up(100)
    until(shop.state_is(ON | {"daily": "DISABLED", "off": "ENABLED"}))
    after = shop.copies.all_but_state(SCHEDULES)
    untouched = ("nightly", "once")
    assert {name: after[name] for name in untouched} == {name: before[name] for name in untouched}
    for name in ("daily", "off"):
        was, now = (dict(copies[name]["Target"]) for copies in (before, after))
        assert json.loads(now.pop("Input"))["version"] > json.loads(was.pop("Input"))["version"]
        assert (now, after[name] | {"Target": None}) == (was, before[name] | {"Target": None})
    if waiting:
        run = shop.finished(waiting.run_id)
        assert (run["created"], run["credits"]) == (ROWS, ROWS)
    view = law_4(shop.customer)
    assert (view["state"], view["paused"]) == ("active", None)
    assert view["available"] == 100 - (ROWS - waiting.written if waiting else 0)


def test_a_schedule_that_is_made_or_deleted_during_a_pause_is_so_after_it(shop: Shop) -> None:
    shop.leave(0)
    until(shop.state_is(PAUSED))
    expect(shop.customer("DELETE", "/schedules/once"), 204)
    made = expect(shop.customer("PUT", "/schedules/new", SCHEDULES["daily"] | {"feed_id": "supplier"}), 201).json()
    assert made["state"] == "paused"
    assert shop.copies.states() == {"nightly": "DISABLED", "daily": "DISABLED", "off": "DISABLED", "new": "DISABLED"}
    shop.top_up(5)
    until(shop.state_is({"nightly": "ENABLED", "daily": "ENABLED", "off": "DISABLED", "new": "ENABLED"}))


# --- while it is paused ---


def test_a_firing_that_slips_through_is_refused_for_nothing_and_not_made_up_for(shop: Shop) -> None:
    shop.leave(0)
    until(shop.state_is(PAUSED))
    before = law_4(shop.customer)
    due = utc_now() - timedelta(seconds=2)
    slipped = [shop.copies.fire(schedule_id, to_rfc3339(due)) for schedule_id in ("nightly", "daily", "once")]
    assert [(each["outcome"], each["reason"]) for each in slipped] == [("refused", "out_of_credits")] * 3
    # Its owner does not want it: it was not due at all.
    assert shop.copies.fire("off", to_rfc3339(due))["outcome"] == "ignored"

    logged = shop.customer.get("/operations?kind=scheduled_job")["items"]
    assert {entry["operation_id"] for entry in logged} == {each["operation_id"] for each in slipped}
    assert {entry["job_id"] for entry in logged} == {"nightly", "daily", "once"}
    assert {(entry["refused"], entry["credits"], entry["owed"]) for entry in logged} == {("out_of_credits", 0, 0)}
    assert {(entry["channel"], *entry["actions"], *entry["drawn"]) for entry in logged} == {("schedule",)}
    assert shop.customer.get("/feeds/supplier/runs")["items"] == []
    assert law_4(shop.customer) == before

    shop.top_up(10)
    until(shop.state_is(ON))
    assert shop.copies.fire("nightly", to_rfc3339(due))["outcome"] == "repeated"
    assert shop.customer.get("/feeds/supplier/runs")["items"] == []
    assert law_4(shop.customer)["available"] == 10
    started = shop.copies.fire("nightly", to_rfc3339(utc_now()))
    assert started["outcome"] == "started"
    assert shop.finished(started["run_id"])["credits"] == ROWS
    assert law_4(shop.customer)["available"] == 10 - 1 - ROWS


def test_reads_go_on_as_a_debt_that_a_top_up_settles_before_anything_resumes(shop: Shop) -> None:
    upload_id = upload(shop.customer, CSV, "supplier")
    shop.leave(1 + 1)
    run_id = shop.start(upload_id)
    assert wait(shop.customer, run_id)["state"] == "paused"
    until(shop.state_is(PAUSED))
    for owed in range(1, 6):
        read = expect(shop.customer("GET", "/records/product/a"), 200)
        assert (read.headers["X-Credits-Charged"], read.headers["X-Credits-Available"]) == ("1", "0")
        assert law_4(shop.customer)["owed"] == owed
    assert refusal(shop.customer("PUT", "/records/product/a", {"attributes": {}}), 402) == "out-of-credits"
    untouched = {schedule_id: shop.copies.get(schedule_id) for schedule_id in SCHEDULES}

    # Less than the debt: whoever is called to look, and however often, finds that nothing may go on.
    shop.top_up(3)
    call_the_guard(shop)
    invoke(shop.stack, "CreditSweep", {})
    call_the_guard(shop)
    assert {schedule_id: shop.copies.get(schedule_id) for schedule_id in SCHEDULES} == untouched
    assert law_4(shop.customer)["owed"] == 2
    assert shop.paused() == {"schedules": 3, "runs": 1, "passes": 0, "changes": False}
    assert shop.customer.get(f"/runs/{run_id}")["state"] == "paused"

    # Exactly the debt.
    shop.top_up(2)
    call_the_guard(shop)
    assert law_4(shop.customer)["owed"] == 0
    assert shop.paused() == {"schedules": 3, "runs": 1, "passes": 0, "changes": False}
    assert shop.copies.states() == PAUSED

    expect(shop.customer("GET", "/records/product/a"), 200)
    shop.top_up(10)
    until(shop.state_is(ON))
    run = shop.finished(run_id)
    assert (run["created"], run["credits"]) == (ROWS, ROWS)
    view = law_4(shop.customer)
    assert (view["available"], view["owed"], view["paused"]) == (10 - 1 - (ROWS - 1), 0, None)

    newest_first = [(entry["kind"], entry["credits"]) for entry in shop.customer.get("/operations?limit=5")["items"]]
    kinds = [kind for kind, _ in newest_first]
    assert kinds[:2] == ["import", "settlement"], "the debt was settled before the run went on"


def test_a_person_may_start_an_import_and_try_one_out_while_it_is_paused(shop: Shop) -> None:
    shop.leave(0)
    until(shop.state_is(PAUSED))
    assert refusal(shop.customer("POST", "/feeds/supplier/runs", {}), 402) == "out-of-credits"
    person = person_of(shop.stack, shop.operator, shop.customer.workspace_id)
    tried = expect(person("POST", "/feeds/supplier/runs", {"dry_run": True}), 202).json()
    run = wait(shop.customer, tried["run_id"])
    assert (run["state"], run["credits"], run["credits_available"]) == ("finished", ROWS, 0)

    started = expect(person("POST", "/feeds/supplier/runs", {}), 202).json()
    run = wait(shop.customer, started["run_id"])
    assert (run["state"], run["channel"], run["credits"]) == ("paused", "person", 0)
    assert shop.paused() == {"schedules": 3, "runs": 1, "passes": 0, "changes": False}
    shop.top_up(ROWS + 1)
    assert shop.finished(started["run_id"])["credits"] == ROWS
    assert law_4(shop.customer)["available"] == 1


# --- what the sweep repairs ---


def test_the_sweep_notices_that_the_last_credits_have_lapsed_and_that_others_came(shop: Shop) -> None:
    # Drawn last, and not used up in time: no charge takes the balance to zero.
    top_up(shop.operator, shop.customer, 50, expires_at=to_rfc3339(utc_now() + timedelta(seconds=3)))
    shop.spend(shop.customer, 5_000)
    until(lambda: shop.customer.get("/credits")["state"] == "paused")
    refused = shop.copies.fire("nightly", to_rfc3339(utc_now()))
    assert (refused["outcome"], refused["reason"]) == ("refused", "out_of_credits")
    invoke(shop.stack, "CreditSweep", {})
    until(shop.state_is(PAUSED))
    assert shop.paused() == {"schedules": 3, "runs": 0, "passes": 0, "changes": False}
    # The stream tells of the top-up.
    shop.top_up(1)
    until(shop.state_is(ON))
    assert law_4(shop.customer)["available"] == 1


def test_the_sweep_disables_a_copy_that_somebody_has_enabled_although_there_are_no_credits(shop: Shop) -> None:
    shop.leave(0)
    until(shop.state_is(PAUSED))
    before = shop.copies.all_but_state(SCHEDULES)
    shop.copies.change("nightly", State="ENABLED")
    shop.copies.change("off", State="ENABLED")
    invoke(shop.stack, "CreditSweep", {})
    until(shop.state_is(PAUSED))
    assert shop.copies.all_but_state(SCHEDULES) == before


def test_the_sweep_switches_the_copies_of_a_workspace_with_credits_as_their_owner_wants_them(shop: Shop) -> None:
    before = shop.copies.all_but_state(SCHEDULES)
    shop.copies.change("nightly", State="DISABLED")
    shop.copies.change("off", State="ENABLED")
    invoke(shop.stack, "CreditSweep", {})
    until(shop.state_is(ON))
    assert shop.copies.all_but_state(SCHEDULES) == before


def test_the_sweep_has_a_run_go_on_that_waits_although_there_are_credits(
    shop: Shop, dynamodb: DynamoDBClient, tables: Tables
) -> None:
    run_id = shop.start()
    assert wait(shop.customer, run_id)["state"] == "finished"
    # As a worker leaves it that is killed between its pause and its second look, just when a top-up came.
    runs = RunStore(dynamodb, tables.work)
    run = runs.get(shop.customer.workspace_id, run_id)
    assert run is not None
    stopped = replace(
        run, state=RunState.PAUSED, finished_at=None, paused_at=utc_now(), pause_reason=PauseReason.OUT_OF_CREDITS
    )
    assert runs.move(run, stopped)
    assert shop.customer.get(f"/runs/{run_id}")["state"] == "paused"
    assert invoke(shop.stack, "CreditSweep", {})["sent"] >= 1
    assert shop.finished(run_id)["credits"] == ROWS
    assert law_4(shop.customer)["consumed"] == 1 + ROWS
