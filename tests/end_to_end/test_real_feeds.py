"""Real suppliers' files through the deployed API, counted to the last credit.

The files are no part of the repository; where they are absent these tests are skipped.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from productsync.client import Client
from productsync.importing import start_import, wait_for
from productsync.output import Output
from productsync.settings import Connection, Secret
from tests.support.books import Books
from tests.support.feeds import drugs, real_feed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mypy_boto3_dynamodb import DynamoDBClient

    from productsync.answers import Run
    from productsync.stack import EmbeddedStack
    from tests.support.stack import Tables

BESTBUY = {
    "format": {"type": "json"},
    "entities": [
        {
            "entity": "product",
            "key": "image",
            "attributes": "*",
        },
        {"entity": "category", "path": {"from": "categories"}},
    ],
}
MEMORY = {"format": {"type": "jsonl"}, "entities": [{"entity": "product", "key": "*", "attributes": "*"}]}


@dataclass(frozen=True)
class Shop:
    """A workspace, seen through its API and, to count what is really there, through its tables."""

    client: Client
    books: Books

    def imports(self, file: Path, definition: dict[str, Any]) -> Run:
        """Imports a file; checks that the run, its operations, the catalogue and the balance say the same."""
        feed_id = f"feed-{uuid4().hex[:8]}"
        self.client.feeds.put(feed_id, definition)
        before = self.client.credits.get().body["available"]
        started = start_import(self.client, Output(as_json=True), feed_id, file, dry_run=False)
        run = wait_for(self.client, Output(as_json=True), started.run)
        assert run["state"] == "finished", run["error"]
        assert run["credits"] == run["created"] + run["updated"]
        assert self.books.credits_of(run["run_id"]) == run["credits"]
        assert before - self.client.credits.get().body["available"] == run["credits"] + 1
        assert started.charged == 1
        return run


def client(stack: EmbeddedStack, *, api_key: str | None = None, operator_key: str | None = None) -> Client:
    secret, operator_secret = (text and Secret(text, "test") for text in (api_key, operator_key))
    return Client(Connection(stack.endpoint, secret or None, operator_secret or None, None))


@pytest.fixture
def shop(stack: EmbeddedStack, dynamodb: DynamoDBClient, tables: Tables) -> Iterator[Shop]:
    """A new workspace with credits enough for any of the files."""
    with client(stack, operator_key=stack.operator_key) as operator:
        opened = operator.workspaces.create("a shop").body
        order = {"credits": 95_000, "unit_price": "0.01", "currency": "EUR", "reference": "order-1"}
        operator.workspaces.top_up(opened["workspace_id"], order)
    with client(stack, api_key=opened["api_key"]["secret"]) as customer:
        yield Shop(customer, Books(opened["workspace_id"], dynamodb, tables))


FROM_EMPTY = [
    ("shopify/kaizoku_products_export.csv", {"preset": "shopify"}, {"product": 32, "category": 45, "variant": 37}, 0),
    ("google_merchant/sooq_masr_feed.xml", {"preset": "google_merchant"}, {"product": 860, "category": 6}, 158),
    ("akeneo_icecat/camcorders.csv", {"preset": "akeneo"}, {"product": 440, "category": 13}, 0),
    ("akeneo_icecat/loudspeakers.csv", {"preset": "akeneo"}, {"product": 500, "category": 50}, 0),
    ("akeneo_icecat/tablets.csv", {"preset": "akeneo"}, {"product": 25, "category": 5}, 0),
    ("woocommerce/sample_products.csv", {"preset": "woocommerce"}, {"product": 15, "variant": 9, "category": 6}, 0),
    ("magento2/configurable_products.csv", {"preset": "magento"}, {"product": 1994, "category": 29}, 0),
    ("json/typesense_bestbuy_ecommerce.json", BESTBUY, {"product": 3291, "category": 67}, 0),
    ("json/pcpart_memory.jsonl", MEMORY, {"product": 12596}, 957),
]


@pytest.mark.parametrize(
    ("name", "definition", "expected", "duplicates"), FROM_EMPTY, ids=[row[0] for row in FROM_EMPTY]
)
def test_a_file_costs_its_records_and_the_call(
    shop: Shop, name: str, definition: dict[str, Any], expected: dict[str, int], duplicates: int
) -> None:
    run = shop.imports(real_feed(name), definition)
    created = {entity: counts["created"] for entity, counts in run["by_entity"].items() if counts["created"]}
    assert created == expected
    assert run["duplicates"] == duplicates
    assert run["credits"] == sum(expected.values())
    assert {entity: shop.books.records(entity) for entity in expected} == expected
    shop.books.audit()


PAIRS = [
    ("CIS_CIP_bdpm", "2", 19_841, 207, 1_212),
    ("CIS_bdpm", "1", 14_088, 118, 360),
]


@pytest.mark.parametrize(("name", "key", "first", "added", "changed"), PAIRS, ids=[row[0] for row in PAIRS])
def test_the_next_version_of_a_file_costs_what_is_new_and_what_changed(
    shop: Shop, name: str, key: str, first: int, added: int, changed: int
) -> None:
    one, two = (real_feed(f"pair_bdpm_drugs/{name}.{version}.txt") for version in ("v1_2016-07-18", "v2_2016-10-08"))
    run = shop.imports(one, drugs(key))
    assert (run["created"], run["updated"]) == (first, 0)
    assert shop.books.records("product") == first
    run = shop.imports(two, drugs(key))
    assert (run["created"], run["updated"]) == (added, changed)
    assert shop.books.records("product") == first + added
    run = shop.imports(two, drugs(key))
    assert (run["created"], run["updated"], run["credits"]) == (0, 0, 0)
    shop.books.audit()
