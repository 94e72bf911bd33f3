"""What firings take of DynamoDB: as many requests and write units as issue and design allow, and no more."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest

from shared.catalog.records import record_size
from shared.rules.backlog import act
from tests.bench.feed import attributes_of
from tests.bench.wire import Wire
from tests.support.imports import fill_catalogue
from tests.support.rules import Shop, in_batch, setting

OpenShop = Callable[[int], Shop]

FIRINGS = 1_000
REQUESTS, WRITE_UNITS = 30, 2_150
AS_IMPORTED = 97
"""Changes in a batch that holds what one transaction of an import has written."""


@pytest.mark.parametrize("at_once", [FIRINGS, AS_IMPORTED])
def test_a_thousand_firings(open_shop: OpenShop, at_once: int) -> None:
    """Each changes one product of about 0.7 KB. Batches are taken by one runner that stays warm."""
    shop = open_shop(2 * FIRINGS)
    products = {("product", f"SKU-{number:06}"): _product(number) for number in range(FIRINGS)}
    fill_catalogue(shop.account, products)
    shop.put_rule("margin", setting("price_gross", "price * 1.19", condition="price > 0"))
    changes = in_batch(shop.take())
    assert len(changes) == FIRINGS
    client, wire = shop.world.dynamodb(), Wire()
    wire.attach(client)
    room = shop.room(client)
    with wire.measured() as usage:
        for first in range(0, FIRINGS, at_once):
            act(room, shop.workspace_id, changes[first : first + at_once], shop.account.clock(), lambda: False)
    assert shop.actions() == {"rule_fired": FIRINGS, "record_updated": FIRINGS}
    assert usage.request_count <= REQUESTS
    assert usage.write_units <= WRITE_UNITS
    assert shop.account.balance().available == 0
    sizes = [record_size(record) for record in shop.account.records("product").values()]
    # One write unit in a table; with less in it the figures would flatter.
    assert 900 < sum(sizes) / len(sizes) <= 1024


def test_what_fires_on_nothing_writes_nothing(open_shop: OpenShop) -> None:
    shop = open_shop(2 * FIRINGS)
    fill_catalogue(shop.account, {("product", f"SKU-{number:06}"): _product(number) for number in range(100)})
    shop.put_rule("margin", setting("price_gross", "price * 1.19", condition="price > 100000"))
    changes = in_batch(shop.take())
    client, wire = shop.world.dynamodb(), Wire()
    wire.attach(client)
    with wire.measured() as usage:
        act(shop.room(client), shop.workspace_id, changes, shop.account.clock(), lambda: False)
    assert (usage.request_count, usage.write_units) == (1, 0)


def _product(number: int) -> dict[str, object]:
    attributes = attributes_of(number, 0, "SKU")
    return attributes | {"price": Decimal(attributes["price"])}
