"""Rules as they are kept: put, checked before, suspended, told of, deleted; each together with its meter."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

import pytest

from shared.announcing import Announcement, AnnouncementKind, AnnouncementRefused
from shared.credits import RefusalReason
from shared.dynamo.transactions import StoreUnavailable
from shared.feeds.store import FeedStore
from shared.keys import rule as key_of_rule
from shared.rules import commands
from shared.rules.attributes import AttributeSource
from shared.rules.checking import RuleRefused
from shared.rules.commands import (
    Checked,
    FeedsItself,
    PutRule,
    RuleRoom,
    StillMoving,
    SuspensionRoom,
    TooManyRules,
    check_rule,
    draft,
    put_rule,
    tell_of_suspension,
)
from shared.rules.definition import RuleDefinition
from shared.rules.meters import MeterStore
from shared.rules.model import MAX_ALL_TEXT, MAX_RULES, Rule
from shared.rules.store import RuleStore
from tests.support.faults import Fault, Killed, Line, conflict, killed_after_sending, killed_before_sending
from tests.support.money import MORNING, plain_dynamodb
from tests.support.rules import LIMITS, Shop, definition, setting

OpenShop = Callable[[int], Shop]

GROSS = setting("gross", "price * 1.19")


def room_of(shop: Shop, client: Any = None) -> RuleRoom:
    client = client or plain_dynamodb(shop.world)
    rules = shop.rules(client)
    source = AttributeSource(FeedStore(client, shop.world.work_table), rules, shop.world.catalog(client))
    return RuleRoom(rules=rules, attributes=source, limits=shop.limits)


def put(shop: Shop, rule_id: str, wanted: RuleDefinition) -> PutRule | TooManyRules | RuleRefused | FeedsItself:
    return put_rule(room_of(shop), shop.workspace_id, rule_id, wanted, shop.account.clock())


def saved(shop: Shop, rule_id: str, wanted: RuleDefinition) -> PutRule:
    outcome = put(shop, rule_id, wanted)
    assert isinstance(outcome, PutRule), outcome
    return outcome


def meter_version(shop: Shop, rule_id: str) -> int | None:
    meter = MeterStore(plain_dynamodb(shop.world), shop.world.work_table).get(shop.workspace_id, rule_id)
    return None if meter is None else meter.version


def doorbell(shop: Shop, rule_id: str) -> str | None:
    answer = plain_dynamodb(shop.world).get_item(
        TableName=shop.world.work_table, Key=key_of_rule(shop.workspace_id, rule_id).attributes(), ConsistentRead=True
    )
    return answer["Item"].get("doorbell", {}).get("S")


@dataclass
class Board:
    """Where announcements are put up; it fails as often as it is told to."""

    failing: int = 0
    told: list[Announcement] = field(default_factory=list)

    def announce(self, announcement: Announcement) -> None:
        if self.failing:
            self.failing -= 1
            raise AnnouncementRefused("not now")
        self.told.append(announcement)


# --- as they are kept ---


def test_a_rule_comes_back_as_it_was_put(open_shop: OpenShop) -> None:
    shop = open_shop(0)
    wanted = definition(
        trigger={"on": ["updated"], "attributes": ["price"]},
        condition="price > 0.10",
        actions=[
            {"set": "rate", "to": {"value": Decimal("0.1000000000000000000000000000000000001")}},
            {"set": "kind", "to": {"lookup": {"of": "brand", "table": {"Åcme": [1, {"a": None}]}, "default": "x"}}},
            {"clear": "old"},
            {"create": {"entity": "brand", "key": {"attribute": "brand"}, "attributes": {"n": {"value": 1}}}},
        ],
        description="Ünïcode ✓",
        max_firings_per_hour=10,
    )
    rule = shop.put_rule("a", wanted)
    now = shop.account.clock()
    assert rule == Rule(
        workspace_id=shop.workspace_id,
        rule_id="a",
        definition=wanted,
        version=int(now.timestamp() * 1000),
        created_at=now,
        updated_at=now,
    )
    found = shop.rules().get(shop.workspace_id, "a")
    assert found == rule
    assert found.definition.to_json() == wanted.to_json()
    assert shop.rules().get(shop.workspace_id, "b") is None


def test_the_next_version_keeps_the_sums_of_the_meter(open_shop: OpenShop) -> None:
    shop = open_shop(100)
    first = shop.put_rule("gross", GROSS)
    shop.write("a", price=10)
    shop.settle()
    shop.account.clock.advance(minutes=5)
    second = shop.put_rule("gross", setting("gross", "price * 1.07"))
    assert (second.version, second.created_at) == (first.version + 1, first.created_at)
    assert second.updated_at > first.updated_at
    meter = shop.meter("gross")
    assert (meter.version, meter.firings, meter.credits) == (second.version, 1, 2)


def test_versions_never_come_twice_over_a_deletion(open_shop: OpenShop) -> None:
    shop = open_shop(0)
    shop.put_rule("gross", GROSS)
    last = shop.put_rule("gross", GROSS)
    shop.account.clock.advance(seconds=1)
    assert shop.rules().delete(shop.workspace_id, "gross")
    assert meter_version(shop, "gross") is None
    again = shop.put_rule("gross", GROSS)
    assert again.version > last.version
    assert shop.meter("gross").firings == 0


def test_what_somebody_else_has_put_meanwhile_is_seen(open_shop: OpenShop) -> None:
    shop = open_shop(0)
    store, now = shop.rules(), shop.account.clock()
    first = shop.put_rule("gross", GROSS)
    assert store.put(shop.workspace_id, "gross", GROSS, now, seen=None) is None
    shop.put_rule("gross", GROSS)
    assert store.put(shop.workspace_id, "gross", GROSS, now, seen=first) is None
    assert store.delete(shop.workspace_id, "gross")
    assert store.put(shop.workspace_id, "gross", GROSS, now, seen=first) is None
    assert meter_version(shop, "gross") is None


def test_deleting_what_is_not_there_leaves_nothing_behind(open_shop: OpenShop) -> None:
    shop = open_shop(0)
    assert not shop.rules().delete(shop.workspace_id, "gross")
    assert meter_version(shop, "gross") is None


@pytest.mark.parametrize("fault", [killed_before_sending, killed_after_sending])
@pytest.mark.parametrize(
    "deed",
    [
        pytest.param(lambda store, rule: store.put(rule.workspace_id, "gross", GROSS, MORNING, seen=rule), id="put"),
        pytest.param(lambda store, rule: store.suspend(rule, MORNING), id="suspend"),
        pytest.param(lambda store, rule: store.delete(rule.workspace_id, "gross"), id="delete"),
    ],
)
def test_a_rule_and_its_meter_change_together_or_not_at_all(
    open_shop: OpenShop, fault: Fault, deed: Callable[[RuleStore, Rule], object]
) -> None:
    shop = open_shop(0)
    before = shop.put_rule("gross", GROSS)
    client = shop.world.dynamodb()
    Line(client, script=lambda _index, _operation: fault)
    with pytest.raises(Killed):
        deed(shop.rules(client), before)
    rule = shop.rules().get(shop.workspace_id, "gross")
    counts_for = None if rule is None else 0 if rule.suspended_at else rule.version
    assert meter_version(shop, "gross") == counts_for
    assert (rule == before) is (fault is killed_before_sending)


def test_conflicts_are_tried_again_and_not_for_ever(open_shop: OpenShop) -> None:
    shop = open_shop(0)
    client = shop.world.dynamodb()
    Line(client, script=lambda index, _operation: conflict(0) if index == 0 else None)
    store, now = shop.rules(client), shop.account.clock()
    assert store.put(shop.workspace_id, "gross", GROSS, now, seen=None) is not None
    client = shop.world.dynamodb()
    Line(client, script=lambda _index, _operation: conflict(0))
    with pytest.raises(StoreUnavailable):
        shop.rules(client).delete(shop.workspace_id, "gross")


def test_all_and_pages_go_by_identifier_and_know_one_workspace(open_shop: OpenShop) -> None:
    shop, other = open_shop(0), open_shop(0)
    for rule_id in ("c", "a-b", "a", "b"):
        shop.put_rule(rule_id, GROSS)
    other.put_rule("a", GROSS)
    names = ["a", "a-b", "b", "c"]
    assert [rule.rule_id for rule in shop.rules().all(shop.workspace_id)] == names
    listed: list[str] = []
    cursor = None
    while True:
        page = shop.rules().page(shop.workspace_id, 3, cursor)
        listed += [rule.rule_id for rule in page.rules]
        cursor = page.cursor
        if cursor is None:
            break
    assert listed == names


def test_all_rules_are_read_however_large(open_shop: OpenShop) -> None:
    shop = open_shop(0)
    table = {f"brand {number}": "x" * 100 for number in range(240)}
    large = definition(actions=[{"set": "kind", "to": {"lookup": {"of": "brand", "table": table}}}])
    for number in range(45):
        shop.put_rule(f"rule-{number:02d}", large)
    client = shop.world.dynamodb()
    line = Line(client)
    assert len(shop.rules(client).all(shop.workspace_id)) == 45
    assert line.requests == ["Query", "Query"]


def test_the_meters_of_a_page_are_one_request(open_shop: OpenShop) -> None:
    shop = open_shop(0)
    versions = {rule_id: shop.put_rule(rule_id, GROSS).version for rule_id in ("a", "b")}
    client = shop.world.dynamodb()
    line = Line(client)
    meters = MeterStore(client, shop.world.work_table).get_many(shop.workspace_id, ["a", "b", "gone"])
    assert {rule_id: meter.version for rule_id, meter in meters.items()} == versions
    assert line.requests == ["BatchGetItem"]
    assert MeterStore(client, shop.world.work_table).get_many(shop.workspace_id, []) == {}


# --- suspended ---


def test_of_many_that_find_a_rule_too_busy_one_suspends_it(open_shop: OpenShop) -> None:
    shop = open_shop(0)
    rule = shop.put_rule("gross", GROSS)
    now = shop.account.clock()
    assert shop.rules().suspend(rule, now)
    assert not shop.rules().suspend(rule, now)
    suspended = shop.rules().get(shop.workspace_id, "gross")
    assert suspended == replace(rule, suspended_at=now)
    assert not suspended.fires
    assert doorbell(shop, "gross") == "rule_suspended"


def test_another_version_is_not_suspended(open_shop: OpenShop) -> None:
    shop = open_shop(0)
    old = shop.put_rule("gross", GROSS)
    new = shop.put_rule("gross", GROSS)
    assert not shop.rules().suspend(old, shop.account.clock())
    assert shop.rules().get(shop.workspace_id, "gross") == new
    assert meter_version(shop, "gross") == new.version
    shop.rules().delete(shop.workspace_id, "gross")
    assert not shop.rules().suspend(new, shop.account.clock())
    assert meter_version(shop, "gross") is None


def test_a_suspended_rule_does_not_fire_in_the_next_hour_either(open_shop: OpenShop) -> None:
    """What was matched before it was suspended is refused by its meter."""
    shop = open_shop(100)
    rule = shop.put_rule("gross", GROSS)
    shop.write("a", price=10)
    client = shop.world.dynamodb()

    def suspended_meanwhile(_index: int, operation: str) -> None:
        if operation == "TransactWriteItems" and shop.rules().suspend(rule, shop.account.clock()):
            shop.account.clock.advance(hours=1)

    Line(client, script=suspended_meanwhile)
    shop.deliver(shop.take(), client)
    assert "gross" not in shop.attributes("a")
    assert shop.fired() == []


def test_putting_it_anew_lets_it_fire_again(open_shop: OpenShop) -> None:
    shop = open_shop(100)
    rule = shop.put_rule("gross", GROSS)
    shop.rules().suspend(rule, shop.account.clock())
    shop.write("a", price=10)
    shop.settle()
    assert "gross" not in shop.attributes("a")
    anew = shop.put_rule("gross", GROSS)
    assert (anew.suspended_at, doorbell(shop, "gross")) == (None, None)
    shop.write("b", price=10)
    shop.settle()
    assert shop.attributes("b")["gross"] == Decimal("11.9")


def test_an_owner_is_told_of_a_suspension(open_shop: OpenShop) -> None:
    shop = open_shop(0)
    rule = shop.put_rule("gross", setting("gross", "price * 1.19", max_firings_per_hour=50))
    shop.rules().suspend(rule, shop.account.clock())
    board = Board(failing=1)
    room = SuspensionRoom(shop.rules(), shop.account.ledger(), LIMITS, board)
    with pytest.raises(AnnouncementRefused):
        tell_of_suspension(room, shop.workspace_id, "gross", rule.version)
    assert doorbell(shop, "gross") == "rule_suspended"
    tell_of_suspension(room, shop.workspace_id, "gross", rule.version)
    assert doorbell(shop, "gross") is None
    (told,) = board.told
    assert told.kind is AnnouncementKind.RULE_SUSPENDED
    assert told.announcement_id == f"{shop.workspace_id}.rule.gross.{rule.version}"
    assert (told.detail["rule_id"], told.detail["rule_version"]) == ("gross", rule.version)
    assert told.detail["firings_per_hour"] == 50
    # A call that comes twice tells it twice, by the same name; the log has it once.
    tell_of_suspension(room, shop.workspace_id, "gross", rule.version)
    assert board.told == [told, told]
    (noted,) = shop.refused(RefusalReason.RULE_SUSPENDED)
    assert (noted.job_id, noted.job_version, noted.credits) == ("gross", rule.version, 0)


def test_what_is_over_is_not_told(open_shop: OpenShop) -> None:
    shop = open_shop(0)
    board = Board()
    room = SuspensionRoom(shop.rules(), shop.account.ledger(), LIMITS, board)
    first = shop.put_rule("gross", GROSS)
    tell_of_suspension(room, shop.workspace_id, "gross", first.version)
    shop.rules().suspend(first, shop.account.clock())
    second = shop.put_rule("gross", GROSS)
    shop.rules().suspend(second, shop.account.clock())
    tell_of_suspension(room, shop.workspace_id, "gross", first.version)
    assert doorbell(shop, "gross") == "rule_suspended"
    shop.rules().delete(shop.workspace_id, "gross")
    tell_of_suspension(room, shop.workspace_id, "gross", second.version)
    assert board.told == []


def test_noting_an_announcement_of_another_version_does_nothing(open_shop: OpenShop) -> None:
    shop = open_shop(0)
    first = shop.put_rule("gross", GROSS)
    second = shop.put_rule("gross", GROSS)
    shop.rules().suspend(second, shop.account.clock())
    shop.rules().note_announced(first)
    assert doorbell(shop, "gross") == "rule_suspended"


# --- checked ---


def test_unknown_names_are_warned_of_and_saved(open_shop: OpenShop) -> None:
    shop = open_shop(0)
    shop.write("a", price=10, title="Drill")
    outcome = saved(shop, "gross", setting("gross", "prise * 1.19"))
    (warning,) = outcome.warnings
    assert "prise" in warning
    assert "price" in warning
    assert shop.rules().get(shop.workspace_id, "gross") == outcome.rule
    assert saved(shop, "gross", GROSS).warnings == ()


def test_a_type_error_is_refused_with_its_place(open_shop: OpenShop) -> None:
    shop = open_shop(0)
    shop.write("a", price=10)
    refused = put(shop, "gross", setting("gross", "1", condition='price > "a"'))
    assert isinstance(refused, RuleRefused)
    assert (refused.place, refused.position) == ("condition", 9)
    assert shop.rules().all(shop.workspace_id) == []


def test_a_hundred_rules_are_enough(open_shop: OpenShop) -> None:
    shop = open_shop(0)
    disabled = setting("gross", "1", enabled=False)
    for number in range(MAX_RULES):
        shop.put_rule(f"rule-{number}", disabled)
    assert put(shop, "one-more", GROSS) == TooManyRules(MAX_RULES)
    assert isinstance(put(shop, "rule-1", disabled), PutRule)


def test_the_expressions_of_all_rules_have_room_for_so_many_characters(open_shop: OpenShop) -> None:
    shop = open_shop(0)
    long = setting("gross", "1", condition=f"key != '{'x' * 1_900}'", enabled=False)
    each = long.text_size
    fitting = MAX_ALL_TEXT // each
    for number in range(fitting):
        shop.put_rule(f"rule-{number}", long)
    refused = put(shop, "one-more", long)
    assert isinstance(refused, RuleRefused)
    assert refused.place == "actions"
    assert f"{(fitting + 1) * each:,} characters; a workspace has at most {MAX_ALL_TEXT:,}" in refused.reason
    # One that is put again counts once, and there is room for a short one.
    assert isinstance(put(shop, "rule-1", long), PutRule)
    assert isinstance(put(shop, "one-more", setting("gross", "1", enabled=False)), PutRule)


def test_a_rule_that_feeds_itself_is_refused_and_the_cycle_named(open_shop: OpenShop) -> None:
    shop = open_shop(0)
    shop.write("x", a=1, b=1, c=1)
    saved(shop, "a", setting("b", "a + 1", trigger={"on": ["updated"], "attributes": ["a"]}))
    saved(shop, "b", setting("c", "b + 1", trigger={"on": ["updated"], "attributes": ["b"]}))
    loop = setting("a", "c + 1", trigger={"on": ["updated"], "attributes": ["c"]})
    refused = put(shop, "c", loop)
    assert isinstance(refused, FeedsItself)
    assert sorted(refused.cycle) == ["a", "b", "c"]
    assert refused.example.record_key == "x"
    assert shop.rules().get(shop.workspace_id, "c") is None
    # Disabled it sets nothing off; and so it may be kept.
    off = loop.model_copy(update={"enabled": False})
    assert isinstance(put(shop, "c", off), PutRule)
    assert isinstance(put(shop, "c", loop), FeedsItself)


def test_an_empty_catalogue_is_tried_on_made_up_records(open_shop: OpenShop) -> None:
    shop = open_shop(0)
    saved(shop, "a", setting("b", "a + 1"))
    refused = put(shop, "b", setting("a", "b + 1"))
    assert isinstance(refused, FeedsItself)
    assert refused.example.record_key is None


def test_a_cycle_that_settles_is_a_warning(open_shop: OpenShop) -> None:
    shop = open_shop(0)
    saved(shop, "a", definition(actions=[{"set": "b", "to": {"attribute": "a"}}]))
    outcome = saved(shop, "b", definition(actions=[{"set": "a", "to": {"attribute": "b"}}]))
    assert any("b -> a -> b" in warning and "depth of 5" in warning for warning in outcome.warnings), outcome.warnings


def test_what_cannot_be_tried_in_time_is_a_warning(open_shop: OpenShop) -> None:
    shop = open_shop(0)
    shop.write("p", a=1, b=1)
    saved(shop, "a", setting("b", "a + 1"))
    now = shop.account.clock()
    outcome = put_rule(room_of(shop), shop.workspace_id, "b", setting("a", "b + 1"), now, lambda: True)
    assert isinstance(outcome, PutRule)
    assert "could not be tried in time: b -> a -> b; it would stop at a depth of 5" in outcome.warnings


def test_large_records_are_left_out_of_trials(open_shop: OpenShop) -> None:
    shop = open_shop(0)
    shop.write("p", a=1, b=1, text="a" * 100_000)
    saved(shop, "a", setting("b", "a + 1", condition="text != null"))
    outcome = saved(shop, "b", setting("a", "b + 1", condition="text.length > 10"))
    assert any("may feed itself: b -> a -> b" in warning for warning in outcome.warnings), outcome.warnings
    shop.write("q", a=1, b=1, text="a" * 1_000)
    refused = put(shop, "b", setting("a", "b + 1", condition="text.length > 10"))
    assert isinstance(refused, FeedsItself)
    assert refused.example.record_key == "q"


def test_a_cycle_through_another_entity_is_seen(open_shop: OpenShop) -> None:
    shop = open_shop(0)
    shop.write("p", brand="x")
    grow = {"expression": "key + '!'"}
    brands = definition(
        trigger={"on": ["created"]}, actions=[{"create": {"entity": "brand", "key": grow, "attributes": {}}}]
    )
    products = definition(
        entity="brand",
        trigger={"on": ["created"]},
        actions=[{"create": {"entity": "product", "key": grow, "attributes": {}}}],
    )
    saved(shop, "brands", brands)
    refused = put(shop, "products", products)
    assert isinstance(refused, FeedsItself)
    assert sorted(refused.cycle) == ["brands", "products"]


def test_checking_writes_nothing(open_shop: OpenShop) -> None:
    shop = open_shop(0)
    client = shop.world.dynamodb()
    line = Line(client)
    now = shop.account.clock()
    checked = check_rule(room_of(shop, client), shop.workspace_id, "gross", GROSS, now)
    assert isinstance(checked, Checked)
    assert set(line.requests) == {"Query"}
    assert len(line.requests) <= 18
    assert shop.rules().all(shop.workspace_id) == []


def test_drafts_are_told_apart_by_what_they_say(open_shop: OpenShop) -> None:
    """What is compiled of a rule is remembered by its version."""
    now = open_shop(0).account.clock()
    one = draft("ws_1", "gross", GROSS, now)
    assert one.version < 0
    assert draft("ws_1", "gross", GROSS, now) == one
    assert draft("ws_1", "gross", setting("gross", "price * 1.07"), now).version != one.version


def test_what_others_put_in_between_is_looked_at_again(open_shop: OpenShop) -> None:
    shop = open_shop(0)
    client = shop.world.dynamodb()
    came: list[Rule] = []

    def script(_index: int, operation: str) -> None:
        if operation == "TransactWriteItems" and not came:
            came.append(shop.put_rule("gross", setting("gross", "1")))

    Line(client, script=script)
    now = shop.account.clock()
    outcome = put_rule(room_of(shop, client), shop.workspace_id, "gross", GROSS, now)
    assert isinstance(outcome, PutRule)
    assert outcome.rule.version == came[0].version + 1


def test_a_rule_that_never_stands_still_is_given_up(open_shop: OpenShop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "MAX_LOOKS", 3)
    shop = open_shop(0)
    client = shop.world.dynamodb()

    def script(_index: int, operation: str) -> None:
        if operation == "TransactWriteItems":
            shop.put_rule("gross", setting("gross", "1"))

    Line(client, script=script)
    with pytest.raises(StillMoving):
        put_rule(room_of(shop, client), shop.workspace_id, "gross", GROSS, shop.account.clock())
