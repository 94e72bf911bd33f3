"""One workspace's month with all that credits are for, driven through the API on the deployed template: imports by hand
and by key, syncs, rules, calls, edits by hand, top-ups at odd prices, credits that expire, a void, corrections,
exhaustion and what comes after it.

The story counts by itself what it has done, from what it sent and what it knows of prices. No figure of it comes from
the log, the balance or what was counted of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from shared.times import to_rfc3339, utc_now
from tests.support.api import Caller, expect, fields, law_4, refusal, upload, wait
from tests.support.copies import Copies
from tests.support.people import person_of
from tests.support.supplier import Supplier, with_etag
from tests.support.waiting import until

if TYPE_CHECKING:
    from productsync.stack import EmbeddedStack

STARTER = 5_000
NEVER = "cron(0 6 1 1 ? 2198)"
"""Far off: these schedules are called by the story."""

FEED: dict[str, Any] = {
    "format": {"type": "csv"},
    "entities": [
        {"entity": "category", "key": "category", "attributes": {"title": "category"}},
        {
            "entity": "product",
            "key": "sku",
            "attributes": {"title": "title", "price": {"from": "price", "type": "decimal"}, "category": "category"},
        },
    ],
}
STOCK: dict[str, Any] = {
    "format": {"type": "csv"},
    "entities": [{"entity": "stock", "key": "sku", "attributes": {"left": {"from": "left", "type": "integer"}}}],
}
PREMIUM: dict[str, Any] = {
    "entity": "product",
    "trigger": {"on": ["created", "updated"]},
    "condition": "price >= 60",
    "actions": [{"set": "band", "to": {"value": "premium"}}],
}
CLEARANCE: dict[str, Any] = {
    "entity": "stock",
    "trigger": {"on": ["schedule"]},
    "condition": "left > 5",
    "actions": [{"set": "label", "to": {"value": "clearance"}}],
}

BOUGHT, GIFT = 40, 1_000
FIRST_PRICE, SECOND_PRICE, GIFT_PRICE, GIVEN_BACK_PRICE = "0.0123", "0.0047", "0.000000000031", "0.0031"
PRODUCTS, CATEGORIES = 20, 4
CORRECTED = "2025-12"
"""A month that was over before the story began, and that a late correction of it is about."""

RUNS_AS_A_FORMULA = '=HYPERLINK("http://x","paid")'
"""The reference of a top-up, and what a spreadsheet would make of it."""


@dataclass
class Tally:
    """What was done, counted by whoever did it. `credits` and `refused` are by kind of operation."""

    credits: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    records: Counter[str] = field(default_factory=Counter)
    billed: dict[str, tuple[str, Decimal]] = field(default_factory=dict)
    granted: int = STARTER
    owed: int = 0
    settled: int = 0
    corrected_up: int = 0
    corrected_down: int = 0

    def call(self, credits: int = 1, **records: int) -> None:
        self.done("api_call", credits, **records)

    def by_hand(self, **records: int) -> None:
        self.records.update(records)

    def done(self, kind: str, credits: int, **records: int) -> None:
        self.credits[kind] += credits
        self.records.update(records)


@dataclass
class Story:
    """A workspace and what happened to it. `gift` is the grant that expired, `starter` the one that was made void."""

    stack: EmbeddedStack
    operator: Caller
    customer: Caller
    person: Caller
    copies: Copies
    supplier: Supplier
    tally: Tally = field(default_factory=Tally)
    gift: str = ""
    starter: str = ""

    @property
    def workspace_id(self) -> str:
        return self.customer.workspace_id

    # --- the chapters ---

    def tell(self) -> None:
        """All of it, in order; afterwards nothing is under way."""
        self.money_comes()
        self.imports()
        self.rules()
        self.syncs()
        self.calls()
        self.edits_by_hand()
        self.the_gift_expires()
        self.finance_corrects()
        self.the_top_up(self.exhaustion())

    def money_comes(self) -> None:
        """A top-up, at a price that no float holds; the starter batch is used before it."""
        (starter,) = self.customer.get("/credits")["grants"]
        self.starter = starter["grant_id"]
        self.top_up(BOUGHT, RUNS_AS_A_FORMULA, unit_price=FIRST_PRICE, currency="EUR")
        expect(self.customer("PUT", "/records/product/welcome", {"attributes": {"price": 1}}), 201)
        self.tally.call(2, created=1)

    def imports(self) -> None:
        """By hand; changed, by key and sent twice; unchanged."""
        expect(self.person("PUT", "/feeds/main", FEED), 201)
        first = self.run(self.person, {"upload_id": upload(self.person, products())})
        assert (first["created"], first["credits"]) == (24, 24)
        self.tally.done("import", 24, created=24)

        wish = {"upload_id": upload(self.customer, products(dearer=7, more=2))}
        second = self.run(self.customer, wish, Idempotency_Key="second")
        assert (second["created"], second["updated"], second["unchanged"], second["credits"]) == (2, 7, 17, 9)
        self.tally.call()
        self.tally.done("import", 9, created=2, updated=7, unchanged=17)
        again = self.run(self.customer, wish, Idempotency_Key="second")
        assert again["run_id"] == second["run_id"]

        third = self.run(self.customer, wish)
        assert (third["unchanged"], third["credits"]) == (26, 0)
        self.tally.call()
        self.tally.done("import", 0, unchanged=26)
        dry = self.run(self.person, {"upload_id": upload(self.person, products(more=90)), "dry_run": True})
        assert dry["credits"] > 0

    def rules(self) -> None:
        """One that fires on changes, whoever makes them. From now on a gift is used that comes before all else."""
        expires_at = to_rfc3339(utc_now() + timedelta(seconds=20))
        gift = {"kind": "promotional", "priority": 0, "unit_price": GIFT_PRICE, "currency": "EUR"}
        self.gift = self.top_up(GIFT, "gift", expires_at=expires_at, **gift)
        expect(self.customer("PUT", "/rules/premium", PREMIUM), 201)
        expect(self.person("PUT", "/records/product/saw", {"attributes": {"price": 70}}), 201)
        expect(self.customer("PATCH", "/records/product/welcome", {"attributes": {"price": 65}}), 200)
        self.tally.by_hand(created=1)
        self.tally.call(2, updated=1)
        self.tally.done("rule", 2 * 2, updated=2)
        until(lambda: self.customer.get("/rules/premium")["fired"]["firings"] == 2)

    def syncs(self) -> None:
        """A feed that is fetched by a schedule: once with a file, once for nothing, once the same firing again; and a
        rule by a schedule.
        """
        source = {"type": "http", "url": self.supplier.url()}
        expect(self.customer("PUT", "/feeds/stock", STOCK | {"source": source}), 201)
        expect(self.customer("PUT", "/schedules/daily", {"feed_id": "stock", "expression": NEVER}), 201)
        now = to_rfc3339(utc_now())
        fired = self.copies.fire("daily", now)
        assert fired["outcome"] == "started"
        assert wait(self.customer, fired["run_id"])["created"] == 8
        self.tally.done("scheduled_job", 1)
        self.tally.done("import", 8, created=8)
        assert self.copies.fire("daily", now)["outcome"] == "repeated"
        fired = self.copies.fire("daily", to_rfc3339(utc_now()))
        assert wait(self.customer, fired["run_id"])["unmodified"]
        self.tally.done("scheduled_job", 1)

        expect(self.customer("PUT", "/rules/clearance", CLEARANCE), 201)
        expect(self.customer("PUT", "/schedules/weekly", {"rule_id": "clearance", "expression": NEVER}), 201)
        assert self.copies.fire("weekly", to_rfc3339(utc_now()))["outcome"] == "started"
        until(lambda: self.customer.get("/schedules/weekly")["cost"]["runs"] == 1)
        self.tally.done("scheduled_job", 1)
        self.tally.done("rule", 2 * 2, updated=2)

    def calls(self) -> None:
        """Reads, writes and batches, some sent twice; and all the ways to be refused, which cost nothing."""
        path = "/records/product/drill"
        body = {"attributes": {"title": "Drill", "price": 5}}
        for times in range(2):
            made = expect(self.customer("PUT", path, body, Idempotency_Key="drill"), 201)
            assert made.headers["X-Credits-Charged"] == ("2", "0")[times]
        self.tally.call(2, created=1)
        expect(self.customer("PUT", path, body), 200)
        self.tally.call(unchanged=1)
        expect(self.customer("PATCH", path, {"attributes": {"price": 6}}), 200)
        self.tally.call(2, updated=1)
        self.customer.get(path)
        self.customer.get("/records/product?limit=5")
        self.tally.call(2)

        records: list[dict[str, Any]] = [{"key": f"b{n}", "attributes": {"price": n}} for n in range(5)]
        records += [
            {"method": "PATCH", "key": "drill", "attributes": {"price": 6}},
            {"method": "PATCH", "key": "nothing", "attributes": {}},
            {"method": "DELETE", "key": "welcome"},
        ]
        for times in range(2):
            sent = self.customer("POST", "/records/product/batch", {"records": records}, Idempotency_Key="batch")
            assert expect(sent, 200).headers["X-Credits-Charged"] == ("6", "0")[times]
        self.tally.call(6, created=5, unchanged=1, deleted=1)
        expect(self.customer("DELETE", path), 204)
        self.tally.call(deleted=1)

        assert refusal(self.customer("GET", path), 404) == "not-found"
        assert refusal(self.customer("PATCH", path, {"attributes": {}}), 404) == "not-found"
        assert fields(self.customer("PUT", path, {"attributes": 7})) == ["attributes"]
        assert (
            refusal(self.customer("PUT", path, {"attributes": {}}, Idempotency_Key="drill"), 409)
            == "idempotency-key-reused"
        )
        assert refusal(self.customer("PUT", path, body, If_Match='"3"'), 412) == "precondition-failed"

    def edits_by_hand(self) -> None:
        """Free, and in the log."""
        path = "/records/product/by-hand"
        expect(self.person("PUT", path, {"attributes": {"price": 3}}), 201)
        expect(self.person("PATCH", path, {"attributes": {"price": 4}}), 200)
        expect(self.person("DELETE", path), 204)
        self.tally.by_hand(created=1, updated=1, deleted=1)

    def the_gift_expires(self) -> None:
        """At its moment, by its own schedule."""
        until(lambda: self.log("kind=expiry"), patience=120)

    def finance_corrects(self) -> None:
        """A void of all that is left of the starter batch, a correction that gives, and one that takes from it."""
        void = {"reference": "ticket 1", "reason": "@a test account"}
        self.finance(f"/grants/{self.starter}/void", void, 200)
        given = {"credits": 15, "reference": "ticket 2", "reason": "the import ran twice"}
        self.finance("/corrections", given | {"unit_price": GIVEN_BACK_PRICE, "currency": "EUR"}, 201)
        self.finance("/corrections", {"credits": -5, "reference": "ticket 3", "reason": "given too much"}, 201)
        late = {"credits": -2, "reference": "ticket 4", "reason": "invoiced wrong", "corrects": CORRECTED}
        self.finance("/corrections", late, 201)
        self.tally.granted += 15
        self.tally.corrected_up += 15
        self.tally.corrected_down += 7

    def exhaustion(self) -> str:
        """An import ends in the middle; automation is refused; reads are owed; people go on. The run that waits."""
        left = BOUGHT + 15 - 7
        wish = {"upload_id": upload(self.person, products(dearer=7, more=left + 12))}
        paused = self.run(self.person, wish)
        assert (paused["state"], paused["credits"], self.customer.available()) == ("paused", left, 0)
        # Ten records are still to be written; two of the file were there before.
        self.tally.done("import", left + 10, created=left + 10, unchanged=26)
        until(lambda: (self.customer.get("/credits")["paused"] or {}).get("since"))

        body = {"attributes": {"price": 2}}
        assert refusal(self.customer("PUT", "/records/product/late", body), 402) == "out-of-credits"
        assert self.copies.fire("daily", to_rfc3339(utc_now()))["outcome"] == "refused"
        self.tally.refused["scheduled_job"] += 1
        for _ in range(3):
            self.customer.get("/records/product/saw")
        self.tally.call(3)
        self.tally.owed += 3
        expect(self.person("PUT", "/records/product/late", body), 201)
        self.tally.by_hand(created=1)
        return str(paused["run_id"])

    def the_top_up(self, waiting: str) -> None:
        """It settles the debt, and the import goes on to its end."""
        self.top_up(2_000, "invoice 2", unit_price=SECOND_PRICE, currency="USD")
        self.tally.settled += 3
        until(lambda: self.customer.get(f"/runs/{waiting}")["state"] == "finished")
        until(lambda: self.customer.get("/credits")["paused"] is None)
        law_4(self.customer)

    # --- who does it ---

    def top_up(self, credits: int, reference: str, **terms: Any) -> str:
        """Sent twice, given once. What is bought is billed."""
        wish = {"credits": credits, "reference": reference} | terms
        granted = self.finance("/top-ups", wish, 201)
        self.tally.granted += credits
        if terms.get("kind", "paid") == "paid":
            self.tally.billed[reference] = (terms["currency"], credits * Decimal(terms["unit_price"]))
        return str(granted["grant_id"])

    def finance(self, path: str, wish: dict[str, Any], status: int) -> dict[str, Any]:
        """What the operator does, sent twice."""
        path = f"/workspaces/{self.workspace_id}{path}"
        done = expect(self.operator("POST", path, wish), status).json()
        again = expect(self.operator("POST", path, wish), status)
        assert (again.headers["Idempotency-Replayed"], again.json()) == ("true", done)
        return dict(done)

    def run(self, caller: Caller, wish: dict[str, Any], **headers: str) -> dict[str, Any]:
        """An import, to its end or its pause."""
        started = expect(caller("POST", "/feeds/main/runs", wish, **headers), 202).json()
        return wait(self.customer, started["run_id"])

    def log(self, query: str = "") -> list[dict[str, Any]]:
        """The log as the API lists it, all pages, newest first."""
        return list(pages(self.customer, f"/operations?limit=100&{query}"))


@contextmanager
def story_of(stack: EmbeddedStack, operator: Caller, customer: Caller) -> Iterator[Story]:
    """A story that is still to be told, of a workspace that was just opened."""
    with Supplier(with_etag(stock(8), '"one"')) as supplier:
        person = person_of(stack, operator, customer.workspace_id)
        copies = Copies.of(stack, customer.workspace_id)
        yield Story(stack, operator, customer, person, copies, supplier)
        copies.clear()


def pages(caller: Caller, path: str) -> Iterator[dict[str, Any]]:
    """All that is listed there; the path has a query."""
    cursor = ""
    while True:
        page = caller.get(path + cursor)
        yield from page["items"]
        if page["next_cursor"] is None:
            return
        cursor = f"&cursor={page['next_cursor']}"


def products(dearer: int = 0, more: int = 0) -> bytes:
    """Twenty products of four categories, of which some became dearer, and some more. None of them is premium."""
    rows = [
        f"p{number},Product {number},{10 + (number < dearer)}.50,c{number % CATEGORIES}"
        for number in range(PRODUCTS + more)
    ]
    return "\n".join(["sku,title,price,category", *rows, ""]).encode()


def stock(count: int) -> bytes:
    return "\n".join(["sku,left", *(f"p{number},{number}" for number in range(count)), ""]).encode()
