"""Previews of rules, and what is known of attributes, on real tables: counted exactly, and nothing is written."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable, Mapping
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from shared.catalog import Record, put_record
from shared.credits import PriceList
from shared.dynamo.transactions import MAX_TRANSACTION_ITEMS
from shared.feeds.store import FeedStore
from shared.rules import preview as preview_room
from shared.rules.attributes import SAMPLE, AttributeSource
from shared.rules.expressions import Kind
from shared.rules.model import Rule
from shared.rules.preview import Preview, PreviewRoom, preview
from shared.rules.store import RuleStore
from tests.support.faults import Line
from tests.support.money import Account, plain_dynamodb
from tests.support.rules import definition

if TYPE_CHECKING:
    from botocore.awsrequest import AWSPreparedRequest, AWSResponse

    from tests.support.faults import Send

ABOUT_MARGINS = {
    "condition": 'brand == "Acme"',
    "actions": [{"set": "gross", "to": {"expression": "price * 1.2", "decimals": 2}}],
}


def a_rule(account: Account, **parts: Any) -> Rule:
    now = account.clock()
    return Rule(
        workspace_id=account.workspace_id,
        rule_id="margin",
        definition=definition(**parts),
        version=1,
        created_at=now,
        updated_at=now,
    )


def write(account: Account, records: Mapping[str, Mapping[str, Any]], entity: str = "product") -> None:
    """The records, as a person might have written them."""
    now = account.clock()
    writes = [
        put_record(
            account.world.catalog_table,
            Record(
                workspace_id=account.workspace_id,
                entity=entity,
                key=key,
                attributes=attributes,
                version=1,
                created_at=now,
                updated_at=now,
                operation_id=None,
            ),
            None,
        ).request
        for key, attributes in records.items()
    ]
    client = plain_dynamodb(account.world)
    for first in range(0, len(writes), MAX_TRANSACTION_ITEMS):
        client.transact_write_items(TransactItems=writes[first : first + MAX_TRANSACTION_ITEMS])  # type: ignore[arg-type]


def room(account: Account, prices: PriceList | None = None) -> PreviewRoom:
    return PreviewRoom(account.world.catalog(), prices or PriceList())


def whole(account: Account, rule: Rule) -> list[Preview]:
    """A preview with all its parts."""
    parts = [preview(room(account), account.workspace_id, rule)]
    while (cursor := parts[-1].cursor) is not None:
        parts.append(preview(room(account), account.workspace_id, rule, cursor))
    return parts


@pytest.fixture
def account(open_account: Callable[[int], Account]) -> Account:
    return open_account(10)


def thousand(most_changed: int = 300) -> dict[str, dict[str, Any]]:
    """1,000 products, of which 400 are Acme's; all but 300 of them have their gross price already."""
    records: dict[str, dict[str, Any]] = {}
    for number in range(1000):
        attributes: dict[str, Any] = {"price": Decimal("10.5"), "brand": "Acme" if number < 400 else "Other"}
        if number >= most_changed:
            attributes["gross"] = Decimal("12.60")
        records[f"sku-{number:04d}"] = attributes
    return records


def test_a_thousand_records_of_which_400_match_and_300_change(account: Account) -> None:
    write(account, thousand())
    before = account.records()
    found = preview(room(account), account.workspace_id, a_rule(account, **ABOUT_MARGINS))
    assert (found.examined, found.matched, found.would_fire, found.unchanged) == (1000, 400, 300, 100)
    assert (found.would_update, found.would_create, found.failed, found.credits) == (300, 0, 0, 600)
    assert found.cursor is None
    assert len(found.examples) == 3
    for example in found.examples:
        assert int(example.key.removeprefix("sku-")) < 300
        assert (example.before, example.after) == ({}, {"gross": Decimal("12.60")})
        assert not example.shortened
    assert account.records() == before
    assert account.balance().available == 10
    assert account.operations() == []


def test_prices_are_those_of_the_deployment(account: Account) -> None:
    write(account, {"a": {"brand": "Acme", "price": 1}})
    prices = PriceList.from_json('{"rule_fired": 3, "record_updated": 5}')
    rule = a_rule(account, **ABOUT_MARGINS)
    assert preview(room(account, prices), account.workspace_id, rule).credits == 8


def test_an_empty_entity(account: Account) -> None:
    found = preview(room(account), account.workspace_id, a_rule(account, **ABOUT_MARGINS))
    assert found == Preview()


def test_the_trigger_the_switch_and_marks_are_left_out_of_account(account: Account) -> None:
    write(account, {"a": {"brand": "Acme", "price": 1}})
    for parts in ({"trigger": {"on": ["schedule"]}}, {"enabled": False}, {"trigger": {"on": ["created"]}}):
        found = preview(room(account), account.workspace_id, a_rule(account, **ABOUT_MARGINS, **parts))
        assert found.would_fire == 1


def test_each_record_that_is_to_be_created_is_counted_once(account: Account) -> None:
    brands = ("Acme", "Brown", "Cole", "Dunn", "Ever")
    write(account, {f"sku-{number}": {"brand": brands[number % 5]} for number in range(400)})
    write(account, {"Acme": {"name": "Acme"}}, "brand")
    creation = {
        "create": {"entity": "brand", "key": {"attribute": "brand"}, "attributes": {"of": {"expression": "key"}}}
    }
    found = preview(room(account), account.workspace_id, a_rule(account, actions=[creation]))
    assert (found.examined, found.matched, found.would_fire, found.unchanged) == (400, 400, 4, 396)
    assert (found.would_create, found.would_update, found.credits) == (4, 0, 8)
    assert {creation.key for example in found.examples for creation in example.creates} < set(brands) - {"Acme"}
    for example in found.examples:
        assert (example.before, example.after) == ({}, {})
        assert [creation.attributes for creation in example.creates] == [{"of": example.key}]


def test_a_firing_whose_creation_is_taken_may_still_update(account: Account) -> None:
    write(account, {"a": {"brand": "Acme"}, "b": {"brand": "Acme", "seen": True}})
    write(account, {"Acme": {}}, "brand")
    actions = [
        {"create": {"entity": "brand", "key": {"attribute": "brand"}, "attributes": {}}},
        {"set": "seen", "to": {"value": True}},
        {"clear": "brand"},
    ]
    rule = a_rule(account, actions=actions[:2])
    found = preview(room(account), account.workspace_id, rule)
    assert (found.would_fire, found.would_update, found.would_create, found.unchanged) == (1, 1, 0, 1)
    found = preview(room(account), account.workspace_id, a_rule(account, actions=actions[2:]))
    assert [(each.before, each.after) for each in found.examples] == [({"brand": "Acme"}, {})] * 2


def test_failures_are_counted_and_three_are_named(account: Account) -> None:
    write(account, {f"sku-{number}": {"brand": "Acme", "price": number % 2} for number in range(10)})
    actions = [{"set": "share", "to": {"expression": "1 / price"}}]
    found = preview(room(account), account.workspace_id, a_rule(account, actions=actions))
    assert (found.would_fire, found.failed, found.matched, found.credits) == (5, 5, 5, 10)
    assert len(found.failures) == 3
    assert all(each.reason for each in found.failures)


def test_a_record_that_would_be_too_large_fails(account: Account) -> None:
    write(account, {"big": {"text": "a" * 300_000}, "small": {"text": "a"}})
    actions = [{"set": "copy", "to": {"attribute": "text"}}]
    found = preview(room(account), account.workspace_id, a_rule(account, actions=actions))
    assert (found.would_fire, found.failed) == (1, 1)
    assert found.failures[0].key == "big"


def test_long_values_are_cut(account: Account) -> None:
    write(account, {"a": {"text": "ä" * 50_000, "list": ["b" * 90] * 1000}})
    actions = [{"set": f"copy_{name}", "to": {"attribute": name}} for name in ("text", "list")]
    found = preview(room(account), account.workspace_id, a_rule(account, actions=actions))
    (example,) = found.examples
    assert example.shortened
    assert example.after["copy_text"] == "ä" * 500 + "…"
    assert len(json.dumps(example.after)) < 10_000


def test_examples_fit_into_an_answer(account: Account) -> None:
    write(account, {"a": {"text": "a" * 2000}})
    attributes = {f"{number:03d}": {"attribute": "text"} for number in range(100)}
    actions = [
        {"create": {"entity": f"other_{number}", "key": {"expression": "key"}, "attributes": attributes}}
        for number in range(3)
    ]
    found = preview(room(account), account.workspace_id, a_rule(account, actions=actions))
    (example,) = found.examples
    assert [len(creation.attributes) for creation in example.creates] == [49, 0, 0]
    assert example.shortened
    assert found.would_create == 3


def test_a_preview_goes_on_where_it_stopped(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    write(account, thousand())
    rule = a_rule(account, **ABOUT_MARGINS)
    for most, parts in ((500, 2), (600, 2), (250, 4)):
        monkeypatch.setattr(preview_room, "MAX_RECORDS", most)
        found = whole(account, rule)
        assert len(found) == parts or (len(found) == parts + 1 and found[-1].examined == 0)
        assert sum(part.examined for part in found) == 1000
        assert sum(part.would_fire for part in found) == 300
        assert max(part.examined for part in found) <= most


def test_it_gets_on_even_without_time(account: Account) -> None:
    write(account, thousand())
    found = preview(room(account), account.workspace_id, a_rule(account, **ABOUT_MARGINS), None, lambda: True)
    assert found.examined == 1
    assert found.cursor is not None
    looks = iter([*[False] * 299, True])
    found = preview(
        room(account), account.workspace_id, a_rule(account, **ABOUT_MARGINS), found.cursor, lambda: next(looks)
    )
    assert found.examined == 300


def test_parts_of_one_record_add_up(account: Account) -> None:
    write(account, {f"sku-{number}": {"brand": f"brand {number % 4}", "price": 1} for number in range(40)})
    creation = {"create": {"entity": "brand", "key": {"attribute": "brand"}, "attributes": {}}}
    rule = a_rule(account, actions=[creation, {"set": "gross", "to": {"expression": "price * 2"}}])
    parts = [preview(room(account), account.workspace_id, rule, None, lambda: True)]
    while (cursor := parts[-1].cursor) is not None:
        parts.append(preview(room(account), account.workspace_id, rule, cursor, lambda: True))
    assert [part.examined for part in parts] == [1] * 40
    assert {part.would_fire for part in parts} == {1}
    assert len({example.key for part in parts for example in part.examples}) == 40


def test_of_what_a_creation_would_meet_only_the_key_is_read(account: Account) -> None:
    write(account, {"a": {"brand": "Acme"}})
    write(account, {"Acme": {"text": "a" * 200_000}}, "brand")
    client = account.world.dynamodb()
    line = Line(client)
    asked: list[bytes] = []

    def noted(_request: AWSPreparedRequest, send: Send) -> AWSResponse:
        answer = send()
        asked.append(answer.content)
        return answer

    line.script = lambda _number, operation: noted if operation == "BatchGetItem" else None
    creation = {"create": {"entity": "brand", "key": {"attribute": "brand"}, "attributes": {}}}
    rule = a_rule(account, actions=[creation])
    found = preview(PreviewRoom(account.world.catalog(client), PriceList()), account.workspace_id, rule)
    assert (found.would_create, found.unchanged) == (0, 1)
    (answer,) = asked
    assert len(answer) < 1_000


def test_places_that_are_remembered_are_bounded(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    write(account, {f"sku-{number}": {} for number in range(600)})
    monkeypatch.setattr(preview_room, "MAX_PLACES", 200)
    creation = {"create": {"entity": "twin", "key": {"expression": "key"}, "attributes": {}}}
    parts = whole(account, a_rule(account, actions=[creation]))
    assert [part.examined for part in parts] == [250, 250, 100]
    assert sum(part.would_create for part in parts) == 600


def test_a_cursor_that_no_preview_gave(account: Account) -> None:
    with pytest.raises(ValueError, match="cursor"):
        preview(room(account), account.workspace_id, a_rule(account, **ABOUT_MARGINS), "elsewhere")


def test_requests_are_counted(account: Account) -> None:
    write(account, thousand())
    client = account.world.dynamodb()
    line = Line(client)
    reader = PreviewRoom(account.world.catalog(client), PriceList())
    preview(reader, account.workspace_id, a_rule(account, **ABOUT_MARGINS))
    assert set(line.requests) == {"Query"}
    # Four pages, and sixteen shards.
    assert len(line.requests) <= 20
    line.requests.clear()
    creation = {"create": {"entity": "twin", "key": {"expression": "key"}, "attributes": {}}}
    preview(reader, account.workspace_id, a_rule(account, actions=[creation]))
    assert line.requests.count("Query") <= 20
    # Three for each page of 250.
    assert line.requests.count("BatchGetItem") <= 12
    assert len(line.requests) == line.requests.count("Query") + line.requests.count("BatchGetItem")


def test_memory_is_bounded_by_a_page_whatever_the_records_have(account: Account) -> None:
    for some in range(0, 60, 15):
        write(account, {f"sku-{number}": {"text": "a" * 200_000} for number in range(some, some + 15)})
    actions = [
        {"set": "copy", "to": {"expression": "text.as_upper.length"}},
        {"create": {"entity": "twin", "key": {"expression": "key"}, "attributes": {"text": {"attribute": "text"}}}},
    ]
    rule = a_rule(account, actions=actions)
    preview(room(account), account.workspace_id, rule)
    tracemalloc.start()
    try:
        found = whole(account, rule)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert sum(part.would_create for part in found) == 60
    # Twelve megabytes of records; a page of them has two, and what it is read from some more.
    assert peak < 10_000_000


# What is known of attributes


def test_attributes_are_known_from_feeds_records_and_rules(account: Account) -> None:
    client = account.world.dynamodb()
    feeds, rules = FeedStore(client, account.world.work_table), RuleStore(client, account.world.work_table)
    source = AttributeSource(feeds, rules, account.world.catalog(client))
    assert source.of(account.workspace_id, "product").kinds == {}
    columns = {"price": {"from": "price", "type": "decimal"}, "title": "title"}
    feed = {"format": {"type": "json"}, "entities": [{"entity": "product", "key": "sku", "attributes": columns}]}
    feeds.put(account.workspace_id, "shop", json.dumps(feed), account.clock())
    now = account.clock() + timedelta(seconds=1)
    setting = definition(actions=[{"set": "gross", "to": {"expression": "price * 1.2"}}])
    rules.put(account.workspace_id, "margin", setting, now, seen=None)
    write(account, {f"sku-{number}": {"stock": number} for number in range(SAMPLE + 50)})
    line = Line(client)
    known = source.of(account.workspace_id, "product")
    assert known.kinds == {
        "gross": Kind.NUMBER,
        "price": Kind.NUMBER,
        "stock": Kind.NUMBER,
        "title": Kind.UNKNOWN,
    }
    assert len(known.records) == SAMPLE
    assert [rule.rule_id for rule in known.rules] == ["margin"]
    assert len(line.requests) <= 18
    assert "gross" not in source.of(account.workspace_id, "product", beside="margin").kinds


def test_all_feeds_are_loaded_however_many_pages_they_take(account: Account) -> None:
    feeds = FeedStore(plain_dynamodb(account.world), account.world.work_table)
    text = json.dumps({"preset": "shopify", "description": "a" * 200_000})
    for number in range(8):
        feeds.put(account.workspace_id, f"feed-{number}", text, account.clock())
    assert [feed.feed_id for feed in feeds.all(account.workspace_id)] == [f"feed-{number}" for number in range(8)]
