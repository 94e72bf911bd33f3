"""Rules on what changes: what fires, what it costs, and that it happens once, whatever comes twice or in between."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from shared import keys
from shared.catalog import Mark, Record
from shared.credits import Action, PriceList, RefusalReason
from shared.rules.backlog import DrainOutcome, drain
from shared.rules.evaluation import CompiledRule
from shared.rules.model import Examined
from tests.support.faults import Fault, Killed, Line, answer_lost, conflict, killed_after_sending, killed_before_sending
from tests.support.money import plain_dynamodb
from tests.support.rules import Shop, definition, in_batch, limited, setting

OpenShop = Callable[[int], Shop]

MARGIN = setting("gross", "price * 1.19", condition="price != null")
SALE = definition(
    condition="price < 10",
    actions=[{"set": "label", "to": {"value": "sale"}}, {"clear": "old_price"}],
)
BRAND = definition(
    condition="brand != null",
    actions=[
        {
            "create": {
                "entity": "brand",
                "key": {"attribute": "brand"},
                "attributes": {"title": {"expression": "brand.as_upper"}},
            }
        }
    ],
)


class TestWhatFires:
    def test_a_firing_costs_one_and_the_record_that_it_changes_one(self, open_shop: OpenShop) -> None:
        shop = open_shop(100)
        rule = shop.put_rule("margin", MARGIN)
        shop.write("a", price=10)
        shop.settle()
        assert shop.attributes("a") == {"price": 10, "gross": Decimal("11.9")}
        (operation,) = shop.fired()
        assert (operation.credits, operation.job_id, operation.job_version) == (2, "margin", rule.version)
        assert shop.actions() == {"rule_fired": 1, "record_updated": 1}
        record = shop.get("a")
        assert record.operation_id == operation.operation_id
        assert record.marks == {"margin": Mark(2, operation.operation_id)}
        assert record.depth == 1
        assert shop.account.balance().available == 98
        shop.check_the_figures()

    def test_what_does_not_hold_or_changes_nothing_is_free(self, open_shop: OpenShop) -> None:
        shop = open_shop(100)
        shop.put_rule("margin", MARGIN)
        shop.write("no price", title="x")
        shop.write("right already", price=10, gross=Decimal("11.90"))
        shop.settle()
        assert shop.fired() == []
        assert shop.account.balance().available == 100
        assert shop.get("right already").version == 1

    def test_many_are_committed_together(self, open_shop: OpenShop) -> None:
        shop = open_shop(1000)
        shop.put_rule("margin", MARGIN)
        for number in range(200):
            shop.write(f"p{number}", price=number + 1)
        batch = shop.take()
        client = shop.world.dynamodb()
        line = Line(client)
        shop.deliver(batch, client)
        assert shop.actions() == {"rule_fired": 200, "record_updated": 200}
        # The rules, the meter and the balance, which were not known yet, and three transactions.
        assert line.requests == ["Query", "GetItem", "GetItem", *["TransactWriteItems"] * 3]
        shop.check_the_figures()

    def test_a_rule_listens_to_what_it_says(self, open_shop: OpenShop) -> None:
        shop = open_shop(100)
        on_price = {"on": ["updated"], "attributes": ["price"]}
        shop.put_rule("checked", setting("checked", "price", trigger=on_price))
        shop.write("a", price=1)
        shop.settle()
        shop.patch("a", title="new")
        shop.settle()
        assert shop.fired() == []
        shop.patch("a", price=2)
        shop.settle()
        assert shop.attributes("a")["checked"] == 2
        shop.patch("a", price=None)
        shop.settle()
        assert "checked" not in shop.attributes("a")

    def test_rules_go_in_order_and_see_what_those_before_wrote(self, open_shop: OpenShop) -> None:
        shop = open_shop(100)
        shop.put_rule("b-label", setting("label", '"about " + net.to_str', condition="net != null"))
        shop.put_rule("a-net", setting("net", "price - 1"))
        shop.write("a", price=10)
        shop.settle()
        assert shop.attributes("a") == {"price": 10, "net": 9, "label": "about 9"}
        assert shop.actions() == {"rule_fired": 2, "record_updated": 2}
        assert set(shop.get("a").marks) == {"a-net", "b-label"}

    def test_records_of_another_entity_are_created_once(self, open_shop: OpenShop) -> None:
        shop = open_shop(100)
        shop.put_rule("brands", BRAND)
        for number in range(6):
            shop.write(f"p{number}", brand="acme" if number % 2 else "bolt")
        shop.settle()
        assert shop.actions() == {"rule_fired": 2, "record_created": 2}
        assert shop.attributes("acme", "brand") == {"title": "ACME"}
        source = next(
            record
            for record in shop.account.records().values()
            if record.marks and record.attributes["brand"] == "acme"
        )
        assert (source.version, source.operation_id) == (2, None)
        shop.check_the_figures()

    def test_an_import_keeps_the_marks(self, open_shop: OpenShop) -> None:
        shop = open_shop(100)
        shop.put_rule("margin", MARGIN)
        shop.write("a", price=10)
        shop.settle()
        after = shop.patch("a", title="by hand")
        assert set(after.marks) == {"margin"}
        assert (after.operation_id, after.depth) == (None, 0)

    def test_marks_of_rules_that_are_gone_are_dropped(self, open_shop: OpenShop) -> None:
        shop = open_shop(100)
        shop.put_rule("margin", MARGIN)
        shop.write("a", price=10)
        shop.settle()
        shop.rules().delete(shop.workspace_id, "margin")
        shop.put_rule("sale", SALE)
        shop.patch("a", price=5)
        shop.settle()
        # A list of rules may be a moment old: what it does not have may have been put since.
        assert set(shop.get("a").marks) == {"margin", "sale"}
        shop.account.clock.advance(days=3)
        shop.patch("a", price=6, label=None)
        shop.settle()
        assert set(shop.get("a").marks) == {"sale"}


class TestOnce:
    """Same rule and same record version: once."""

    def test_a_batch_that_comes_again(self, open_shop: OpenShop) -> None:
        shop = open_shop(100)
        shop.put_rule("margin", setting("count", "(count ?? 0) + 1", trigger={"on": ["created"]}))
        shop.write("a", price=1)
        shop.write("b", price=1)
        batch = shop.take()
        for again in (batch, batch, batch[:1], batch[1:], list(reversed(batch))):
            shop.deliver(again)
        shop.settle()
        shop.deliver(batch)
        assert [shop.attributes(key)["count"] for key in "ab"] == [1, 1]
        assert shop.actions() == {"rule_fired": 2, "record_updated": 2}
        shop.check_the_figures()

    def test_a_batch_that_is_cut_differently_when_it_comes_again(self, open_shop: OpenShop) -> None:
        shop = open_shop(100)
        shop.put_rule("count", setting("count", "(count ?? 0) + 1", trigger={"on": ["created"]}))
        shop.write("a")
        shop.write("b")
        batch = shop.take()
        shop.deliver(batch)
        shop.deliver(batch[:1])
        assert [shop.attributes(key)["count"] for key in "ab"] == [1, 1]
        assert shop.actions()["rule_fired"] == 2

    def test_an_old_batch_after_later_changes(self, open_shop: OpenShop) -> None:
        shop = open_shop(100)
        shop.put_rule(
            "count", setting("count", "(count ?? 0) + 1", trigger={"on": ["updated"], "attributes": ["price"]})
        )
        shop.write("a", price=1)
        shop.patch("a", price=2)
        first = shop.take()
        shop.deliver(first)
        shop.patch("a", title="of no interest")
        shop.deliver(first)
        shop.settle()
        shop.deliver(first)
        assert shop.attributes("a")["count"] == 1
        shop.patch("a", price=3)
        shop.settle()
        shop.deliver(first)
        assert shop.attributes("a")["count"] == 2

    def test_what_a_rule_created_and_somebody_deleted_is_not_made_again(self, open_shop: OpenShop) -> None:
        shop = open_shop(100)
        shop.put_rule("brands", BRAND)
        shop.write("p", brand="acme")
        batch = shop.take()
        shop.deliver(batch)
        shop.remove("acme", "brand")
        shop.deliver(batch)
        shop.settle()
        assert shop.actions() == {"rule_fired": 1, "record_created": 1}

    def test_a_record_that_was_deleted_and_made_anew(self, open_shop: OpenShop) -> None:
        shop = open_shop(100)
        shop.put_rule("count", setting("count", "(count ?? 0) + 1", trigger={"on": ["created"]}))
        shop.write("a", price=1)
        first = shop.take()
        shop.remove("a")
        shop.deliver(first)
        assert shop.fired() == []
        shop.write("a", price=2)
        shop.deliver(first)
        assert shop.fired() == []
        shop.settle()
        assert shop.attributes("a")["count"] == 1

    @pytest.mark.parametrize("nth", range(5))
    @pytest.mark.parametrize("fault", [killed_before_sending, killed_after_sending])
    def test_a_runner_that_is_killed_at_any_request(self, open_shop: OpenShop, fault: Fault, nth: int) -> None:
        shop = open_shop(100)
        shop.put_rule("count", setting("count", "(count ?? 0) + 1", trigger={"on": ["created"]}))
        shop.put_rule("sale", SALE)
        for key in "abc":
            shop.write(key, price=1, old_price=2)
        batch = shop.take()
        client = shop.world.dynamodb()
        Line(client, script=lambda index, _operation: fault if index == nth else None)
        with pytest.raises(Killed):
            shop.deliver(batch, client)
        shop.deliver(batch)
        shop.settle()
        assert all(shop.attributes(key) == {"price": 1, "count": 1, "label": "sale"} for key in "abc")
        assert shop.actions() == {"rule_fired": 6, "record_updated": 6}
        shop.check_the_figures()

    def test_an_answer_that_is_lost(self, open_shop: OpenShop) -> None:
        shop = open_shop(100)
        shop.put_rule("count", setting("count", "(count ?? 0) + 1", trigger={"on": ["created"]}))
        shop.write("a")
        client = shop.world.dynamodb()
        Line(client, script=lambda _index, operation: answer_lost if operation == "TransactWriteItems" else None)
        with pytest.raises(Exception, match=r"timeout|Timeout"):
            shop.deliver(batch := shop.take(), client)
        shop.deliver(batch)
        assert shop.attributes("a")["count"] == 1
        assert len(shop.fired()) == 1

    def test_conflicts_are_tried_again(self, open_shop: OpenShop) -> None:
        shop = open_shop(100)
        shop.put_rule("margin", MARGIN)
        shop.write("a", price=10)
        client = shop.world.dynamodb()
        left = [conflict(-1), conflict(1), conflict(2)]
        Line(client, script=lambda _i, operation: left.pop() if left and operation == "TransactWriteItems" else None)
        shop.deliver(shop.take(), client)
        assert shop.attributes("a")["gross"] == Decimal("11.9")

    def test_a_hand_edit_between_match_and_commit(self, open_shop: OpenShop) -> None:
        shop = open_shop(100)
        shop.put_rule("margin", MARGIN)
        for key in "abc":
            shop.write(key, price=10)
        batch = shop.take()
        shop.patch("b", price=20)
        shop.patch("c", price=None)
        shop.deliver(batch)
        assert shop.attributes("b") == {"price": 20, "gross": Decimal("23.8")}
        assert shop.attributes("c") == {}
        shop.settle()
        assert shop.actions() == {"rule_fired": 2, "record_updated": 2}
        shop.check_the_figures()

    def test_two_runners_at_one_batch(self, open_shop: OpenShop) -> None:
        shop = open_shop(1000)
        shop.put_rule("count", setting("count", "(count ?? 0) + 1", trigger={"on": ["created"]}))
        shop.put_rule("margin", MARGIN)
        for number in range(20):
            shop.write(f"p{number}", price=number)
        batch = shop.take()
        client = shop.world.dynamodb()
        other = iter([batch[:7], batch[3:15], batch])

        def script(_index: int, operation: str) -> None:
            if operation == "TransactWriteItems" and (theirs := next(other, None)):
                shop.deliver(theirs)

        Line(client, script=script)
        shop.deliver(batch, client)
        shop.settle()
        assert shop.actions() == {"rule_fired": 40, "record_updated": 40}
        assert {record.attributes["count"] for record in shop.account.records().values()} == {1}
        shop.check_the_figures()

    def test_a_rule_that_is_changed_between_match_and_commit(self, open_shop: OpenShop) -> None:
        shop = open_shop(100)
        shop.put_rule("margin", MARGIN)
        shop.write("a", price=10)
        client = shop.world.dynamodb()
        changes = iter([setting("gross", "price * 2")])

        def script(_index: int, operation: str) -> None:
            if operation == "TransactWriteItems" and (changed := next(changes, None)):
                shop.put_rule("margin", changed)

        Line(client, script=script)
        shop.deliver(shop.take(), client)
        assert shop.attributes("a")["gross"] == 20
        assert len(shop.fired()) == 1

    def test_a_rule_that_is_deleted_between_match_and_commit(self, open_shop: OpenShop) -> None:
        shop = open_shop(100)
        shop.put_rule("margin", MARGIN)
        shop.write("a", price=10)
        client = shop.world.dynamodb()

        def script(_index: int, operation: str) -> None:
            if operation == "TransactWriteItems":
                shop.rules().delete(shop.workspace_id, "margin")

        Line(client, script=script)
        shop.deliver(shop.take(), client)
        assert shop.attributes("a") == {"price": 10}
        assert shop.fired() == []


class TestNoRunaway:
    def test_a_rule_never_fires_on_its_own_write(self, open_shop: OpenShop) -> None:
        shop = open_shop(100)
        shop.put_rule("count", setting("count", "(count ?? 0) + 1"))
        shop.write("a", price=1)
        shop.settle()
        assert shop.attributes("a")["count"] == 1
        shop.patch("a", price=2)
        shop.settle()
        assert shop.attributes("a")["count"] == 2
        assert shop.credits() == 4

    def test_a_cycle_of_three_stops_at_the_depth_limit(self, open_shop: OpenShop) -> None:
        shop = open_shop(100)
        for rule_id, reads, sets in (("one", "a", "b"), ("two", "b", "c"), ("three", "c", "a")):
            trigger = {"on": ["updated"], "attributes": [reads]}
            shop.put_rule(rule_id, setting(sets, f"{reads} + 1", condition=f"{reads} != null", trigger=trigger))
        shop.write("p")
        shop.patch("p", a=1)
        shop.settle()
        # At depth 1 "one" sets b; at 2 "two" sets c; at 3 "three" sets a; at 4 "one", at 5 "two"; "three" would be 6.
        assert shop.actions() == {"rule_fired": 5, "record_updated": 5}
        assert shop.credits() == 10
        assert shop.attributes("p") == {"a": 4, "b": 5, "c": 6}
        (stopped,) = shop.refused(RefusalReason.CHAIN_TOO_DEEP)
        assert (stopped.job_id, stopped.credits) == ("three", 0)
        assert "a depth of 5" in stopped.description
        shop.check_the_figures()

    def test_a_cycle_that_settles_ends_by_itself(self, open_shop: OpenShop) -> None:
        shop = open_shop(100)
        for rule_id, reads, sets in (("one", "a", "b"), ("two", "b", "c"), ("three", "c", "a")):
            trigger = {"on": ["updated"], "attributes": [reads]}
            condition = f"{reads} != null and {reads} < 3"
            shop.put_rule(rule_id, setting(sets, f"{reads} + 1", condition=condition, trigger=trigger))
        shop.write("p")
        shop.patch("p", a=1)
        shop.settle()
        assert shop.attributes("p") == {"a": 1, "b": 2, "c": 3}
        assert shop.credits() == 4
        assert shop.refused(RefusalReason.CHAIN_TOO_DEEP) == []

    def test_the_limit_is_the_deployments(self, open_shop: OpenShop) -> None:
        shop = limited(open_shop(100), max_depth=2)
        for rule_id, reads, sets in (("one", "a", "b"), ("two", "b", "a")):
            trigger = {"on": ["updated"], "attributes": [reads]}
            shop.put_rule(rule_id, setting(sets, f"{reads} + 1", condition=f"{reads} != null", trigger=trigger))
        shop.write("p")
        shop.patch("p", a=1)
        shop.settle()
        assert shop.credits() == 4

    def test_a_rule_that_fires_too_often_is_suspended(self, open_shop: OpenShop) -> None:
        shop = limited(open_shop(100), firings_per_hour=5)
        shop.put_rule("margin", MARGIN)
        for number in range(8):
            shop.write(f"p{number}", price=10)
        shop.settle()
        assert shop.actions() == {"rule_fired": 5, "record_updated": 5}
        rule = shop.rules().get(shop.workspace_id, "margin")
        assert rule is not None
        assert rule.suspended_at is not None
        shop.patch("p7", price=11)
        shop.settle()
        assert len(shop.fired()) == 1
        shop.account.clock.advance(hours=1)
        shop.put_rule("margin", MARGIN)
        shop.patch("p7", price=12)
        shop.settle()
        assert shop.attributes("p7")["gross"] == Decimal("14.28")

    def test_runners_together_stay_within_the_limit(self, open_shop: OpenShop) -> None:
        shop = limited(open_shop(100), firings_per_hour=5)
        shop.put_rule("margin", MARGIN)
        shop.write("first", price=1)
        shop.settle()
        for number in range(8):
            shop.write(f"p{number}", price=10)
        batch = shop.take()
        client = shop.world.dynamodb()
        other = iter([batch[:3]])

        def script(_index: int, operation: str) -> None:
            if operation == "TransactWriteItems" and (theirs := next(other, None)):
                shop.deliver(theirs)

        Line(client, script=script)
        shop.deliver(batch[4:6], client)
        shop.deliver(batch)
        assert shop.actions()["rule_fired"] == 5

    def test_the_hour_begins_anew(self, open_shop: OpenShop) -> None:
        shop = limited(open_shop(100), firings_per_hour=3)
        shop.put_rule("margin", MARGIN)
        for hour in range(3):
            for number in range(3):
                shop.patch(f"p{number}", price=hour * 10 + number) if hour else shop.write(f"p{number}", price=1)
            shop.settle()
            shop.account.clock.advance(hours=1)
        meter = shop.meter("margin")
        assert (meter.firings, meter.fired_in_hour, meter.credits) == (9, 3, 18)

    def test_the_limit_holds_when_the_hour_turns_in_a_batch(self, open_shop: OpenShop) -> None:
        shop = limited(open_shop(100), firings_per_hour=3)
        shop.put_rule("margin", MARGIN)
        for number in range(8):
            shop.write(f"p{number}", price=10)
        client = shop.world.dynamodb()

        def script(_index: int, operation: str) -> None:
            if operation == "GetItem":
                # Between the look at the meter and the firing.
                shop.account.clock.advance(hours=1)

        Line(client, script=script)
        shop.deliver(shop.take(), client)
        assert shop.meter("margin").fired_in_hour <= 3
        assert shop.actions()["rule_fired"] <= 6

    def test_an_own_limit_is_the_lower_one(self, open_shop: OpenShop) -> None:
        shop = open_shop(100)
        shop.put_rule("margin", setting("gross", "price * 1.19", max_firings_per_hour=2))
        for number in range(4):
            shop.write(f"p{number}", price=10)
        shop.settle()
        assert shop.actions()["rule_fired"] == 2


class TestFailures:
    def test_a_failed_firing_costs_nothing_and_is_told(self, open_shop: OpenShop) -> None:
        shop = open_shop(100)
        shop.put_rule("ratio", setting("ratio", "price / stock"))
        shop.write("zero", price=1, stock=0)
        shop.write("text", price="a lot", stock=1)
        shop.write("fine", price=1, stock=2)
        shop.settle()
        assert shop.attributes("fine")["ratio"] == Decimal("0.5")
        (failed,) = shop.refused(RefusalReason.RULE_FAILED)
        assert failed.credits == 0
        assert "2 product records" in failed.description
        assert "zero" in failed.description
        assert "text" in failed.description
        assert shop.credits() == 2
        assert shop.meter("ratio").failures == 2
        shop.check_the_figures()

    def test_a_record_that_grows_too_large(self, open_shop: OpenShop) -> None:
        shop = open_shop(100)
        shop.put_rule("twice", setting("twice", "text + text"))
        shop.write("a", text="x" * 150_000)
        shop.settle()
        (failed,) = shop.refused(RefusalReason.RULE_FAILED)
        assert "400" in failed.description or "409,600" in failed.description
        assert shop.credits() == 0


class TestOutOfCredits:
    def test_what_could_not_be_paid_fires_after_the_top_up_once(self, open_shop: OpenShop) -> None:
        shop = open_shop(5)
        shop.put_rule("margin", MARGIN)
        for number in range(4):
            shop.write(f"p{number}", price=10)
        shop.settle()
        assert shop.actions() == {"rule_fired": 2, "record_updated": 2}
        assert shop.account.balance().available == 1
        shop.patch("p0", price=20)
        shop.patch("p3", price=30)
        shop.patch("p3", title="twice changed")
        shop.settle()
        assert shop.drain() is DrainOutcome.OUT_OF_CREDITS
        assert shop.actions()["rule_fired"] == 2
        shop.top_up(100)
        assert shop.drain() is DrainOutcome.DONE
        shop.settle()
        found = {key: record.attributes["gross"] for (_, key), record in shop.account.records().items()}
        assert found == {"p0": Decimal("23.8"), "p1": Decimal("11.9"), "p2": Decimal("11.9"), "p3": Decimal("35.7")}
        assert shop.actions() == {"rule_fired": 5, "record_updated": 5}
        assert shop.drain() is None
        shop.check_the_figures()

    def test_a_change_that_no_rule_wants_does_not_wait(self, open_shop: OpenShop) -> None:
        shop = open_shop(1)
        shop.put_rule("margin", MARGIN)
        shop.write("a", title="x")
        shop.settle()
        assert shop.room().backlog.get(shop.workspace_id) is None

    def test_a_record_that_is_deleted_while_it_waits(self, open_shop: OpenShop) -> None:
        shop = open_shop(1)
        shop.put_rule("margin", MARGIN)
        shop.write("a", price=1)
        shop.settle()
        shop.remove("a")
        shop.top_up(10)
        assert shop.drain() is DrainOutcome.DONE
        assert shop.fired() == []

    def test_a_top_up_between_refusal_and_entry_is_not_missed(self, open_shop: OpenShop) -> None:
        shop = open_shop(1)
        shop.put_rule("margin", MARGIN)
        shop.write("a", price=1)
        client = shop.world.dynamodb()
        Line(client, script=lambda _i, operation: shop.top_up(10) if operation == "UpdateItem" else None)
        shop.deliver(shop.take(), client)
        backlog = shop.room().backlog.get(shop.workspace_id)
        assert backlog is not None
        assert backlog.leg == 1

    def test_out_of_time_goes_to_the_backlog_and_calls_a_worker(self, open_shop: OpenShop) -> None:
        shop = open_shop(100)
        shop.put_rule("margin", MARGIN)
        shop.write("a", price=10)
        shop.deliver(shop.take(), out_of_time=lambda: True)
        backlog = shop.room().backlog.get(shop.workspace_id)
        assert backlog is not None
        assert backlog.leg == 1
        assert shop.drain() is DrainOutcome.DONE
        assert shop.attributes("a")["gross"] == Decimal("11.9")

    def test_what_changes_while_a_worker_drains_goes_on_waiting(self, open_shop: OpenShop) -> None:
        shop = open_shop(0)
        shop.put_rule("margin", setting("double", "price * 2"))
        shop.write("a", price=1)
        shop.settle()
        shop.top_up(2)
        client = shop.world.dynamodb()
        writes = iter(["the firing", "what waited is taken away"])

        def script(_index: int, operation: str) -> None:
            if operation == "TransactWriteItems" and "taken" in next(writes, ""):
                shop.patch("a", price=9)
                shop.settle()

        Line(client, script=script)
        shop.drain(client)
        shop.top_up(2)
        assert shop.drain() is DrainOutcome.DONE
        assert shop.attributes("a") == {"price": 9, "double": 18}
        shop.check_the_figures()

    def test_what_comes_when_a_worker_is_done_is_not_forgotten(self, open_shop: OpenShop) -> None:
        shop = open_shop(0)
        shop.put_rule("margin", setting("double", "price * 2"))
        shop.write("a", price=1)
        shop.settle()
        shop.top_up(2)
        client = shop.world.dynamodb()
        updates = iter(["the worker is called", "nothing waits any more"])

        def script(_index: int, operation: str) -> None:
            if operation == "UpdateItem" and next(updates, "") == "nothing waits any more":
                shop.write("b", price=2)
                shop.settle()

        Line(client, script=script)
        assert shop.drain(client) is DrainOutcome.OUT_OF_CREDITS
        shop.top_up(2)
        assert shop.drain() is DrainOutcome.DONE
        assert shop.attributes("b")["double"] == 4
        assert shop.drain() is None

    def test_a_worker_that_slept_does_not_take_what_came_since_for_what_it_saw(self, open_shop: OpenShop) -> None:
        shop = open_shop(0)
        shop.put_rule("margin", setting("double", "price * 2"))
        shop.write("a", price=1)
        shop.settle()
        shop.top_up(2)
        client = shop.world.dynamodb()
        moments = iter(["the worker is called", "nothing waits any more"])

        def script(_index: int, operation: str) -> None:
            if operation == "UpdateItem" and next(moments, "") == "nothing waits any more":
                # Another worker was here, is done, and something new waits.
                shop.drain()
                shop.patch("a", price=5)
                shop.settle()

        Line(client, script=script)
        shop.drain(client)
        shop.top_up(2)
        assert shop.drain() is DrainOutcome.DONE
        assert shop.attributes("a")["double"] == 10

    def test_changes_of_more_attributes_than_an_item_holds_wait_all_the_same(self, open_shop: OpenShop) -> None:
        shop = open_shop(0)
        shop.put_rule(
            "count", setting("count", "(count ?? 0) + 1", trigger={"on": ["updated"], "attributes": ["price"]})
        )
        for number in range(3):
            shop.write(f"p{number}", price=1)
            for generation in "xyz":
                names: dict[str, Any] = {f"{generation}{n}" + "n" * 900: n for n in range(150)}
                shop.write(f"p{number}", price=2, **names)
        shop.settle()
        shop.top_up(100)
        assert shop.drain() is DrainOutcome.DONE
        assert {record.attributes["count"] for record in shop.account.records().values()} == {1}


class TestContainment:
    """Whatever is wrong with one rule or record keeps no other from firing, and sets nothing off without end."""

    def test_a_rule_that_meets_something_unexpected_fails_by_itself(
        self, open_shop: OpenShop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        shop = open_shop(100)
        shop.put_rule("a-broken", setting("x", "price"))
        shop.put_rule("b-fine", setting("double", "price * 2"))
        real = CompiledRule.examine

        def examine(self: CompiledRule, record: Record) -> Examined:
            if self.rule.rule_id == "a-broken":
                raise RuntimeError("a fault of ours")
            return real(self, record)

        monkeypatch.setattr(CompiledRule, "examine", examine)
        shop.write("p", price=1)
        shop.settle()
        assert shop.attributes("p") == {"price": 1, "double": 2}
        failed = shop.refused(RefusalReason.RULE_FAILED)
        assert {(entry.job_id, entry.credits) for entry in failed} == {("a-broken", 0)}

    def test_a_rule_that_is_not_valid_any_more_is_passed_over(self, open_shop: OpenShop) -> None:
        shop = open_shop(100)
        shop.put_rule("a-old", setting("x", "price"))
        shop.put_rule("b-fine", setting("double", "price * 2"))
        plain_dynamodb(shop.world).update_item(
            TableName=shop.world.work_table,
            Key=keys.rule(shop.workspace_id, "a-old").attributes(),
            UpdateExpression="SET #definition = :definition",
            ExpressionAttributeNames={"#definition": "definition"},
            ExpressionAttributeValues={":definition": {"S": '{"entity": "product", "sets": "price"}'}},
        )
        shop.write("p", price=1)
        shop.settle()
        assert shop.attributes("p") == {"price": 1, "double": 2}
        assert [rule.rule_id for rule in shop.rules().all(shop.workspace_id)] == ["b-fine"]
        assert shop.rules().delete(shop.workspace_id, "a-old")

    def test_a_cycle_ends_however_often_its_changes_are_put_off(self, open_shop: OpenShop) -> None:
        shop = open_shop(1000)
        for rule_id, reads, sets in (("one", "a", "b"), ("two", "b", "a")):
            trigger = {"on": ["updated"], "attributes": [reads]}
            shop.put_rule(rule_id, setting(sets, f"{reads} + 1", condition=f"{reads} != null", trigger=trigger))
        shop.write("p")
        shop.patch("p", a=1)
        backlog = shop.room().backlog
        for _ in range(12):
            batch = shop.take()
            shop.deliver(batch)
            # The runner was cut off afterwards, and everything waits once more, merged with what waits already.
            changes = [change for change, _ in in_batch(batch)]
            backlog.add(shop.workspace_id, changes, shop.account.clock(), ring=False)
            shop.drain()
        assert shop.actions()["rule_fired"] == 5
        assert shop.drain() is None

    def test_what_fails_again_as_it_is_is_noted_once(self, open_shop: OpenShop) -> None:
        shop = open_shop(0)
        shop.put_rule("fails", setting("x", "price / stock"))
        shop.put_rule("paid", setting("double", "price * 2"))
        shop.write("p", price=1, stock=0)
        shop.settle()
        for _ in range(3):
            assert shop.drain() is DrainOutcome.OUT_OF_CREDITS
        assert len(shop.refused(RefusalReason.RULE_FAILED)) == 1
        assert shop.meter("fails").failures == 1

    def test_a_failure_of_another_version_is_noted_too(self, open_shop: OpenShop) -> None:
        shop = open_shop(0)
        for expression in ("price / stock", "price / (stock * 2)"):
            shop.put_rule("fails", setting("x", expression))
            shop.put_rule("paid", setting("double", "price * 2"))
            if not shop.account.records():
                shop.write("p", price=1, stock=0)
                shop.settle()
            shop.drain()
        versions = [entry.job_version for entry in shop.refused(RefusalReason.RULE_FAILED)]
        assert len(versions) == len(set(versions)) == 2

    def test_a_worker_that_has_no_time_does_one_record_all_the_same(self, open_shop: OpenShop) -> None:
        shop = open_shop(100)
        shop.put_rule("a-idle", setting("never", "1", condition="price > 99"))
        shop.put_rule("margin", MARGIN)
        for number in range(3):
            shop.write(f"p{number}", price=10)
        shop.deliver(shop.take(), out_of_time=lambda: True)
        room, legs = shop.room(), 0
        while (backlog := room.backlog.get(shop.workspace_id)) is not None:
            # Time for the look at the clock before a batch, and for no other.
            moments = iter([False])
            drain(room, shop.workspace_id, backlog.leg, lambda moments=moments: next(moments, True))  # type: ignore[misc]
            legs += 1
            assert legs < 10, "it goes on and on"
        assert shop.actions()["rule_fired"] == 3

    def test_where_some_firings_are_free_none_is_without_credits(self, open_shop: OpenShop) -> None:
        shop = open_shop(0)
        shop.prices = PriceList(dict.fromkeys(Action, 0) | {Action.RECORD_CREATED: 1})
        make = {"create": {"entity": "brand", "key": {"attribute": "brand"}, "attributes": {}}}
        label = {"set": "label", "to": {"value": "x"}}
        shop.put_rule("both", definition(condition="brand != null", actions=[label, make]))
        shop.put_rule("free", definition(condition="brand == null", actions=[label]))
        shop.write("a")
        shop.write("b", brand="acme")
        shop.settle()
        assert shop.fired() == []

    def test_where_firings_are_free_nothing_fires_without_credits_all_the_same(self, open_shop: OpenShop) -> None:
        shop = open_shop(0)
        shop.prices = PriceList(dict.fromkeys(Action, 0))
        shop.put_rule("margin", MARGIN)
        shop.write("a", price=1)
        shop.settle()
        assert shop.fired() == []
        shop.top_up(1)
        assert shop.drain() is DrainOutcome.DONE
        assert shop.attributes("a")["gross"] == Decimal("1.19")
