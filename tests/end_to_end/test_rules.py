"""Rules act on what changes, on the deployed template: what they write, what that costs, and what stops them."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from shared import keys
from tests.support.api import Caller, expect, law_4, top_up, upload, wait
from tests.support.listening import Listener, listening
from tests.support.people import person_of
from tests.support.waiting import until

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from productsync.stack import EmbeddedStack
    from tests.support.stack import Tables

pytestmark = pytest.mark.stack

Spend = Callable[[Caller, int], None]

STARTER = 5_000


@dataclass(frozen=True)
class Shop:
    """A customer with a key, and a person of the same workspace, whose reads and edits are free."""

    operator: Caller
    customer: Caller
    person: Caller

    def put_rule(self, rule_id: str, definition: dict[str, Any], status: int = 201) -> dict[str, Any]:
        return dict(expect(self.customer("PUT", f"/rules/{rule_id}", definition), status).json())

    def preview(self, rule_id: str, **body: Any) -> tuple[int, int, int, int]:
        """Records that the condition holds on, those that it would fire on and change, and the credits for it."""
        found = expect(self.customer("POST", f"/rules/{rule_id}/preview", body), 200).json()
        assert found["next_cursor"] is None
        return found["matched"], found["would_fire"], found["would_update"], found["credits"]

    def fired(self, rule_id: str) -> int:
        return int(self.customer.get(f"/rules/{rule_id}")["fired"]["firings"])

    def edit(self, key: str, **attributes: Any) -> None:
        """A person makes a record or changes it: free."""
        made = self.person("PATCH", f"/records/product/{key}", {"attributes": attributes})
        if made.status_code == 404:
            made = self.person("PUT", f"/records/product/{key}", {"attributes": attributes})
        assert made.status_code in {200, 201}, made.text
        assert "X-Credits-Charged" not in made.headers

    def delete(self, key: str) -> None:
        expect(self.person("DELETE", f"/records/product/{key}"), 204)

    def import_file(self, feed: dict[str, Any], file: bytes) -> dict[str, Any]:
        """An import through the API, to its end. Its call costs 1."""
        expect(self.customer("PUT", "/feeds/main", feed), 201)
        started = expect(self.customer("POST", "/feeds/main/runs", {"upload_id": upload(self.customer, file)}), 202)
        assert started.headers["X-Credits-Charged"] == "1"
        run = wait(self.customer, started.json()["run_id"])
        assert run["state"] == "finished"
        return run

    def records(self) -> dict[str, dict[str, Any]]:
        listed = self._all(self.person, "/records/product?limit=100")
        return {record["key"]: record for record in listed}

    def log(self, query: str = "") -> list[dict[str, Any]]:
        """Entries of the operation log, newest first."""
        return list(self._all(self.customer, f"/operations?limit=100{query}"))

    def of_rule(self, rule_id: str) -> list[dict[str, Any]]:
        return self.log(f"&kind=rule&job_id={rule_id}")

    def check_the_log(self) -> list[dict[str, Any]]:
        """That the log adds up to what was taken from the balance."""
        entries = self.log()
        assert len({entry["operation_id"] for entry in entries}) == len(entries)
        assert sum(entry["credits"] for entry in entries) == law_4(self.customer)["consumed"]
        return entries

    @staticmethod
    def _all(caller: Caller, path: str) -> Iterator[dict[str, Any]]:
        cursor = ""
        while True:
            page = caller.get(path + cursor)
            yield from page["items"]
            if page["next_cursor"] is None:
                return
            cursor = f"&cursor={page['next_cursor']}"


OpenShop = Callable[[], Shop]


@pytest.fixture
def open_shop(stack: EmbeddedStack, operator: Caller, new_customer: Callable[[], Caller]) -> OpenShop:
    def opened() -> Shop:
        customer = new_customer()
        return Shop(operator, customer, person_of(stack, operator, customer.workspace_id))

    return opened


@pytest.fixture
def shop(open_shop: OpenShop) -> Shop:
    return open_shop()


@pytest.fixture(scope="module")
def listener(stack: EmbeddedStack) -> Iterator[Listener]:
    with listening(stack) as opened:
        yield opened


def actions_of(entries: list[dict[str, Any]]) -> Counter[str]:
    total: Counter[str] = Counter()
    for entry in entries:
        total.update(entry["actions"])
    return total


# --- what a rule costs ---

PRODUCTS = 1_000
MATCHED = 400
RIGHT_ALREADY = 100
CHANGED = MATCHED - RIGHT_ALREADY

FEED: dict[str, Any] = {
    "format": {"type": "csv"},
    "entities": [
        {
            "entity": "product",
            "key": "sku",
            "attributes": {
                "title": "title",
                "description": "description",
                "band": "band",
                "price": {"from": "price", "type": "decimal"},
            },
        }
    ],
}
PREMIUM: dict[str, Any] = {
    "entity": "product",
    "trigger": {"on": ["created", "updated"]},
    "condition": "price >= 60",
    "actions": [{"set": "band", "to": {"value": "premium"}}],
}


def a_thousand_products() -> bytes:
    """Of some 0.7 KB each. Of ten, four have a price of 60 or more, and one of those is premium already."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(["sku", "title", "description", "band", "price"])
    for number in range(PRODUCTS):
        price = number % 10 * 10
        description = f"Number {number} of the range. ".ljust(600, "x")
        band = "premium" if price == 90 else "standard"
        writer.writerow([f"P-{number:04d}", f"Product {number}", description, band, f"{price}.00"])
    return text.getvalue().encode()


def test_an_import_sets_a_rule_off_which_costs_what_it_changes_and_nothing_else(
    open_shop: OpenShop, dynamodb: DynamoDBClient, tables: Tables
) -> None:
    file = a_thousand_products()
    # What it would do to these products, asked where no rule has seen them.
    trial = open_shop()
    trial.import_file(FEED, file)
    assert trial.preview("premium", definition=PREMIUM) == (MATCHED, CHANGED, CHANGED, 2 * CHANGED)
    assert trial.customer.available() == STARTER - 1 - PRODUCTS

    shop = open_shop()
    rule = shop.put_rule("premium", PREMIUM)
    assert shop.preview("premium") == (0, 0, 0, 0)
    run = shop.import_file(FEED, file)
    assert (run["created"], run["updated"], run["credits"]) == (PRODUCTS, 0, PRODUCTS)
    until(lambda: shop.fired("premium") == CHANGED)
    assert shop.preview("premium") == (MATCHED, 0, 0, 0)

    assert law_4(shop.customer)["available"] == STARTER - (1 + PRODUCTS + 2 * CHANGED)
    entries = shop.check_the_log()
    by_kind = {kind: [entry for entry in entries if entry["kind"] == kind] for kind in ("api_call", "import", "rule")}
    assert sum(map(len, by_kind.values())) == len(entries)
    assert actions_of(by_kind["api_call"]) == {"api_call": 1}
    assert actions_of(by_kind["import"]) == {"record_created": PRODUCTS}
    assert actions_of(by_kind["rule"]) == {"rule_fired": CHANGED, "record_updated": CHANGED}
    assert sum(entry["credits"] for entry in by_kind["rule"]) == 2 * CHANGED
    assert shop.of_rule("premium") == by_kind["rule"]
    # Committed in batches, and all of it by the runner: nothing failed there and was left to a worker.
    assert len(by_kind["rule"]) <= CHANGED / 10
    backlog = keys.backlog(shop.customer.workspace_id).attributes()
    assert "Item" not in dynamodb.get_item(TableName=tables.work, Key=backlog)
    check_who_wrote(shop, rule, by_kind["rule"])


def check_who_wrote(shop: Shop, rule: dict[str, Any], fired: list[dict[str, Any]]) -> None:
    """That each record names the operation that wrote it, and the operation its rule."""
    wrote: Counter[str] = Counter()
    records = shop.records()
    assert len(records) == PRODUCTS
    for record in records.values():
        attributes = record["attributes"]
        assert (attributes["band"] == "premium") == (attributes["price"] >= 60)
        if 60 <= attributes["price"] < 90:
            assert record["rules"] == {"premium": {"version": 2, "operation_id": record["operation_id"]}}
            wrote[record["operation_id"]] += 1
        else:
            assert (record["version"], record["rules"]) == (1, {})
    assert wrote == {entry["operation_id"]: entry["actions"]["record_updated"] for entry in fired}
    for entry in fired:
        shown = shop.customer.get(f"/operations/{entry['operation_id']}")
        assert (shown["kind"], shown["channel"], shown["job_id"]) == ("rule", "rule", "premium")
        assert shown["job_version"] == rule["version"]


# --- what sets rules off, and where a chain of them ends ---


def following(source: str, name: str) -> dict[str, Any]:
    """A rule that sets one attribute when another changes; of records that are told to go on for ever."""
    return {
        "entity": "product",
        "trigger": {"on": ["updated"], "attributes": [source]},
        "condition": 'mode == "endless"',
        "actions": [{"set": name, "to": {"expression": f"{source} + 1"}}],
    }


CHAIN = {"one": following("a", "b"), "two": following("b", "c"), "three": following("c", "a")}
COUNTING: dict[str, Any] = {
    "format": {"type": "csv"},
    "entities": [{"entity": "product", "key": "sku", "attributes": {"a": {"from": "a", "type": "integer"}}}],
}


def test_a_cycle_of_three_stops_at_a_depth_of_five_whoever_sets_it_off(shop: Shop) -> None:
    for rule_id, definition in CHAIN.items():
        saved = shop.put_rule(rule_id, definition)
        assert any("three -> one -> two" in warning for warning in saved["warnings"]) == (rule_id == "three")
    shop.edit("x", mode="endless", a=1)

    def by_a_person() -> int:
        shop.edit("x", a=10)
        return 0

    def by_the_api() -> int:
        expect(shop.customer("PATCH", "/records/product/x", {"attributes": {"a": 20}}), 200)
        return 1 + 1

    def by_an_import() -> int:
        return int(shop.import_file(COUNTING, b"sku,a\nx,30\n")["credits"]) + 1

    spent = 0
    for times, (way, start) in enumerate([(by_a_person, 10), (by_the_api, 20), (by_an_import, 30)], start=1):
        spent += way() + 10
        # At a depth of 1 "one" fires, then "two", "three", "one", "two"; "three" would be at 6.
        until(lambda: len([entry for entry in shop.of_rule("three") if entry["refused"]]) == times)  # noqa: B023
        record = shop.records()["x"]
        assert {name: record["attributes"][name] for name in "abc"} == {"a": start + 3, "b": start + 4, "c": start + 5}
        assert {rule_id: shop.fired(rule_id) for rule_id in CHAIN} == {
            "one": 2 * times,
            "two": 2 * times,
            "three": times,
        }
        assert law_4(shop.customer)["available"] == STARTER - spent

    stopped = [entry for entry in shop.check_the_log() if entry["refused"]]
    assert {(entry["refused"], entry["job_id"], entry["credits"]) for entry in stopped} == {
        ("chain_too_deep", "three", 0)
    }
    assert all("a depth of 5" in entry["description"] for entry in stopped)
    # Now that there is a record to show it on, the rule could not be put any more.
    assert expect(shop.customer("PUT", "/rules/three", CHAIN["three"]), 409).json()["record"] == "x"


# --- out of credits, and back ---

DOUBLE: dict[str, Any] = {
    "entity": "product",
    "trigger": {"on": ["created", "updated"], "attributes": ["price"]},
    "actions": [{"set": "double", "to": {"expression": "price * 2"}}],
}


def test_rules_wait_for_credits_and_go_on_by_themselves_while_people_edit_all_the_time(
    shop: Shop, spend: Spend
) -> None:
    shop.put_rule("double", DOUBLE)
    spend(shop.customer, STARTER - 7)
    edits: Counter[str] = Counter()

    def edit(key: str, price: int) -> None:
        shop.edit(key, price=price)
        edits[key] += 1

    def right(of: dict[str, dict[str, Any]]) -> list[str]:
        values = {key: record["attributes"] for key, record in of.items()}
        return sorted(key for key, each in values.items() if each.get("double") == 2 * each["price"])

    for number in range(10):
        edit(f"p{number}", number)
    # Three are paid for; what is left is not enough for another.
    until(lambda: len(right(shop.records())) == 3)
    assert law_4(shop.customer)["available"] == 1
    done = right(shop.records())
    gone, twice, *_ = (key for key in sorted(edits) if key not in done)
    shop.delete(gone)
    edit(twice, 50)
    edit(twice, 51)
    edit(done[0], 60)
    assert law_4(shop.customer)["available"] == 1
    assert len(right(shop.records())) == 2

    # One credit makes one firing of what is left over.
    top_up(shop.operator, shop.customer, 1)
    until(lambda: shop.fired("double") == 4)
    until(lambda: shop.customer.get("/credits")["paused"] is not None)
    until(lambda: shop.customer.get("/credits")["paused"]["since"])
    view = law_4(shop.customer)
    assert (view["state"], view["available"]) == ("paused", 0)
    assert view["paused"]["waiting"]["changes"] is True
    assert shop.customer.get("/rules/double")["state"] == "paused"
    now = shop.records()
    late = next(key for key in sorted(now) if key not in right(now) and key not in {twice, done[0]})
    edit(late, 70)
    edit("new", 80)

    top_up(shop.operator, shop.customer, 101)
    until(lambda: len(right(shop.records())) == 10)
    # Nine that are still there and "new", each once, and the one that was edited after it had fired.
    records = shop.records()
    del edits[gone]
    firings = {key: 2 if key == done[0] else 1 for key in edits}
    assert {key: record["version"] - edits[key] for key, record in records.items()} == firings
    assert sum(firings.values()) == shop.fired("double") == 11
    assert actions_of(shop.of_rule("double")) == {"rule_fired": 11, "record_updated": 11}
    view = law_4(shop.customer)
    assert (view["state"], view["paused"], view["available"]) == ("active", None, 7 + 1 + 101 - 2 * 11)
    assert shop.customer.get("/rules/double")["state"] == "enabled"
    shop.check_the_log()


# --- what stops a rule ---


def test_a_rule_that_fires_too_often_is_suspended_told_of_and_lifted(shop: Shop, listener: Listener) -> None:
    limited = DOUBLE | {"max_firings_per_hour": 3}
    first = shop.put_rule("double", limited)
    written = 0

    def write_one_more() -> bool:
        nonlocal written
        written += 1
        shop.edit(f"p{written}", price=written)
        return bool(shop.customer.get("/rules/double")["state"] == "suspended")

    # One after the other, so that an hour that ends meanwhile does no harm.
    until(write_one_more)
    shown = shop.customer.get("/rules/double")
    assert (shown["state"], shown["enabled"]) == ("suspended", True)
    assert shown["suspended_at"] is not None
    until(lambda: [entry for entry in shop.of_rule("double") if entry["refused"]])
    *refused, firings = shop.of_rule("double")[:2]
    assert (refused[0]["refused"], refused[0]["credits"]) == ("rule_suspended", 0)
    assert "3 times within an hour" in refused[0]["description"]
    assert firings["refused"] is None

    until(lambda: listener.notifications(shop.customer.workspace_id))
    (event, *_), (notification, *_) = (
        listener.events(shop.customer.workspace_id),
        listener.notifications(shop.customer.workspace_id),
    )
    assert (event["detail-type"], event["detail"]["rule_id"]) == ("Rule Suspended", "double")
    assert (event["detail"]["rule_version"], event["detail"]["firings_per_hour"]) == (first["version"], 3)
    assert notification["MessageAttributes"]["event"]["Value"] == "Rule Suspended"

    lifted = shop.put_rule("double", DOUBLE, status=200)
    assert (lifted["state"], lifted["suspended_at"]) == ("enabled", None)
    shop.edit("after", price=7)
    until(lambda: shop.records()["after"]["attributes"].get("double") == 14)
    # The last record before may have been looked at after the rule was put again, but none that was before it.
    until(lambda: shop.fired("double") == sum("double" in each["attributes"] for each in shop.records().values()))
    fired = shop.fired("double")
    assert fired < written + 1
    assert law_4(shop.customer)["available"] == STARTER - 2 * fired
    shop.check_the_log()


FAILING: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "a division by zero": (
        {"set": "each", "to": {"expression": "100 / stock"}},
        {"stock": 0},
        "divided by 0",
    ),
    "a text where a number is wanted": (
        {"set": "each", "to": {"expression": "stock * 2"}},
        {"stock": "many"},
        "number",
    ),
    "a record over 400 KB": (
        {"set": "again", "to": {"attribute": "text"}},
        {"text": "x" * 250_000},
        "409,600",
    ),
    "a key without a character": (
        {"create": {"entity": "shelf", "key": {"attribute": "shelf"}, "attributes": {}}},
        {"shelf": ""},
        "key",
    ),
}


@pytest.mark.parametrize("what", FAILING)
def test_a_firing_that_fails_costs_nothing_and_is_told(shop: Shop, what: str) -> None:
    action, attributes, told = FAILING[what]
    rule = shop.put_rule("failing", {"entity": "product", "trigger": {"on": ["created"]}, "actions": [action]})
    shop.edit("bad", **attributes)
    until(lambda: shop.of_rule("failing"))
    (entry,) = shop.of_rule("failing")
    assert (entry["refused"], entry["credits"], entry["actions"]) == ("rule_failed", 0, {})
    assert (entry["job_version"], entry["drawn"]) == (rule["version"], [])
    assert "bad" in entry["description"]
    assert told in entry["description"]
    fired = shop.customer.get("/rules/failing")["fired"]
    assert (fired["firings"], fired["failures"], fired["credits"]) == (0, 1, 0)
    assert told in fired["last_failure"]
    record = shop.records()["bad"]
    assert (record["attributes"], record["version"], record["rules"]) == (attributes, 1, {})
    assert law_4(shop.customer)["available"] == STARTER
