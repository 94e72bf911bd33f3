"""What an edit comes to, in the order in which its refusals are judged, and what it costs."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from shared.catalog import Record
from shared.credits import Action, Channel, PriceList
from shared.edits.model import (
    Change,
    Decision,
    Edit,
    Expectation,
    Merge,
    NoSuchRecord,
    NotAsExpected,
    RecordVersion,
    Remove,
    Replace,
    TooLarge,
)
from shared.edits.planning import client_call, decide, plan_edit

WORKSPACE = "ws_01KAMZ5Q000000000000000001"
MADE = datetime(2026, 11, 20, 8, tzinfo=UTC)
NOW = datetime(2026, 11, 22, 8, tzinfo=UTC)
ASKED = NOW - timedelta(milliseconds=40)
STANDS = Record(
    workspace_id=WORKSPACE,
    entity="product",
    key="a",
    attributes={"title": "Drill", "price": 1},
    version=3,
    created_at=MADE,
    updated_at=MADE,
    operation_id="op_before",
)


def edit(change: Replace | Merge | Remove, **changes: Any) -> Edit:
    wanted: dict[str, Any] = {
        "workspace_id": WORKSPACE,
        "entity": "product",
        "key": "a",
        "change": change,
        "channel": Channel.API,
        "request_id": "r1",
        "requested_at": ASKED,
    }
    return Edit(**(wanted | changes))


def decided(change: Replace | Merge | Remove, seen: Record | None = STANDS, **changes: Any) -> Decision:
    decision = decide(edit(change, **changes), seen, NOW)
    assert isinstance(decision, Decision)
    return decision


@pytest.mark.parametrize(
    ("change", "seen", "becomes", "attributes", "version"),
    [
        (Replace({"title": "Saw"}), None, Change.CREATE, {"title": "Saw"}, 1),
        (Replace({}), None, Change.CREATE, {}, 1),
        (Replace({"title": "Saw"}), STANDS, Change.UPDATE, {"title": "Saw"}, 4),
        (Replace({"price": Decimal("1.0"), "title": "Drill"}), STANDS, Change.NOTHING, dict(STANDS.attributes), 3),
        (Replace({"price": 1, "title": "Drill"}), STANDS, Change.NOTHING, {"title": "Drill", "price": 1}, 3),
        (Merge({"price": 2}), STANDS, Change.UPDATE, {"title": "Drill", "price": 2}, 4),
        (Merge({"price": None}), STANDS, Change.UPDATE, {"title": "Drill"}, 4),
        (Merge({"price": True}), STANDS, Change.UPDATE, {"title": "Drill", "price": True}, 4),
        (Merge({"other": None}), STANDS, Change.NOTHING, {"title": "Drill", "price": 1}, 3),
        (Merge({}), STANDS, Change.NOTHING, {"title": "Drill", "price": 1}, 3),
    ],
)
def test_what_the_record_becomes(
    change: Replace | Merge, seen: Record | None, becomes: Change, attributes: dict[str, Any], version: int
) -> None:
    decision = decided(change, seen)
    assert decision.change is becomes
    assert decision.record is not None
    assert (decision.record.attributes, decision.record.version) == (attributes, version)
    assert decision.record.created_at == (NOW if becomes is Change.CREATE else MADE)
    assert decision.record.updated_at == (MADE if becomes is Change.NOTHING else NOW)


def test_a_record_that_is_removed_is_no_more() -> None:
    assert decided(Remove()) == Decision(Change.DELETE, None, STANDS)


@pytest.mark.parametrize("change", [Merge({"a": 1}), Remove()])
def test_there_is_nothing_to_change_where_there_is_no_record_whatever_is_expected(change: Merge | Remove) -> None:
    for expected in (Expectation(), Expectation(match=frozenset({RecordVersion(3)})), Expectation(match="*")):
        assert decide(edit(change, expected=expected), None, NOW) == NoSuchRecord()


@pytest.mark.parametrize(
    ("expected", "on_a_record", "on_none"),
    [
        (Expectation(), True, True),
        (Expectation(match=frozenset({RecordVersion(3)})), True, False),
        (Expectation(match=frozenset({RecordVersion(2), RecordVersion(3)})), True, False),
        (Expectation(match=frozenset({RecordVersion(2)})), False, False),
        (Expectation(match=frozenset()), False, False),
        (Expectation(match="*"), True, False),
        (Expectation(none_match="*"), False, True),
        (Expectation(none_match=frozenset({RecordVersion(3)})), False, True),
        (Expectation(none_match=frozenset({RecordVersion(2)})), True, True),
        (Expectation(match="*", none_match=frozenset({RecordVersion(3)})), False, False),
    ],
)
def test_expectations_hold_or_nothing_is_done(expected: Expectation, on_a_record: bool, on_none: bool) -> None:
    for seen, holds in ((STANDS, on_a_record), (None, on_none)):
        decision = decide(edit(Replace({"x": 1}), expected=expected), seen, NOW)
        assert isinstance(decision, Decision) if holds else decision == NotAsExpected(seen)


def test_a_record_has_to_fit_into_an_item() -> None:
    large = {"text": "x" * 410_000}
    refused = decide(edit(Replace(large)), None, NOW)
    assert isinstance(refused, TooLarge)
    assert (refused.what, refused.size > 409_600) == ("record", True)
    # A merge that makes it too large, of two parts that are not.
    half = replace(STANDS, attributes={"one": "x" * 250_000})
    assert isinstance(decide(edit(Merge({"two": "x" * 250_000})), half, NOW), TooLarge)


@pytest.mark.parametrize(
    ("change", "seen", "actions"),
    [
        (Replace({"x": 1}), None, {Action.API_CALL: 1, Action.RECORD_CREATED: 1}),
        (Merge({"x": 1}), STANDS, {Action.API_CALL: 1, Action.RECORD_UPDATED: 1}),
        (Merge({}), STANDS, {Action.API_CALL: 1}),
        (Remove(), STANDS, {Action.API_CALL: 1}),
    ],
)
def test_by_key_the_call_costs_and_a_record_that_changes_and_a_person_pays_nothing(
    change: Replace | Merge | Remove, seen: Record | None, actions: dict[Action, int]
) -> None:
    prices = PriceList({action: 10 + number for number, action in enumerate(Action)})
    by_key, by_hand = edit(change), edit(change, channel=Channel.PERSON)
    for wish, expected in ((by_key, actions), (by_hand, {})):
        decision = decide(wish, seen, NOW)
        assert isinstance(decision, Decision)
        plan = plan_edit(wish, decision, "catalog", prices, None)
        assert (plan.actions, plan.credits, plan.channel) == (expected, prices.cost(expected), wish.channel)
        assert (plan.at, plan.run_id, plan.job_id) == (ASKED, None, None)
        assert len(plan.writes) == (decision.change is not Change.NOTHING)
        if decision.record is not None and decision.change is not Change.NOTHING:
            assert decision.record.operation_id == (plan.operation_id if wish is by_key else None)


def test_an_operation_is_the_same_at_every_retry_of_its_request_and_another_for_another() -> None:
    def planned(wish: Edit, seen: Record | None) -> tuple[str, str]:
        decision = decide(wish, seen, NOW)
        assert isinstance(decision, Decision)
        plan = plan_edit(wish, decision, "catalog", PriceList(), None)
        return plan.operation_id, plan.fingerprint

    wish = edit(Merge({"x": 1}))
    # Planned again on what stands there now: the same operation, which asks for the same.
    assert planned(wish, STANDS) == planned(wish, replace(STANDS, version=9, attributes={"x": 1}))
    assert planned(replace(wish, request_id="r2"), STANDS)[0] != planned(wish, STANDS)[0]


def test_an_idempotency_key_is_for_one_thing_alone() -> None:
    asked = edit(Replace({"a": 1, "b": 2}), idempotency_key="k")
    call = client_call(asked, "told")
    assert call is not None
    same = client_call(replace(asked, change=Replace({"b": 2, "a": 1}), request_id="r2"), "told")
    assert same == call
    others = [
        replace(asked, change=Replace({"a": 1})),
        replace(asked, change=Replace({"a": 1, "b": "2"})),
        replace(asked, expected=Expectation(match="*")),
        replace(asked, expected=Expectation(none_match="*")),
    ]
    for other in others:
        another = client_call(other, "told")
        assert another is not None
        assert (another.key, another.fingerprint == call.fingerprint) == (call.key, False)
    # Another record, or another method, is another call.
    for elsewhere in (replace(asked, key="b"), replace(asked, change=Remove()), replace(asked, entity="variant")):
        another = client_call(elsewhere, "told")
        assert another is not None
        assert another.key != call.key
    assert client_call(replace(asked, idempotency_key=None), "told") is None
