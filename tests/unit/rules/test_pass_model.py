"""A pass as it is stored."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from shared.dynamo.values import from_item, item_size
from shared.rules.passes.model import PassCounts, PassState, RulePass, ended, finished, paused, resumed
from shared.rules.passes.store import move_pass, put_new_pass, to_pass
from shared.runs.model import MAX_DETAIL_CHARACTERS, Failure

NOW = datetime(2026, 11, 22, 8, tzinfo=UTC)
BEGUN = RulePass(
    pass_id="pass_01KAMZ8E000000000000000001",
    workspace_id="ws_01KAMZ5Q000000000000000001",
    rule_id="a-rule-with-a-name-of-some-length",
    rule_version=1_763_000_000_000,
    entity="product",
    schedule_id="every-night-at-two",
    state=PassState.RUNNING,
    created_at=NOW,
    updated_at=NOW,
    step_at=NOW,
)
GOING = replace(
    BEGUN,
    leg=7,
    position=1_234_567,
    cursor="15:" + "k" * 60,
    noted="15:" + "l" * 60,
    counts=PassCounts(100_000, 100_000, 100_000, 100_000, 100_000, 300_000),
)


@pytest.mark.parametrize(
    "rule_pass",
    [
        BEGUN,
        GOING,
        paused(GOING, 7, NOW),
        finished(GOING, NOW),
        ended(GOING, PassState.FAILED, Failure("rule_suspended", "too often"), NOW),
        replace(BEGUN, schedule_id=None),
    ],
)
def test_a_pass_is_read_as_it_was_written(rule_pass: RulePass) -> None:
    item = put_new_pass("work", rule_pass).request["Put"]["Item"]
    assert to_pass(item) == rule_pass
    assert item_size(from_item(item)) < 1_024
    assert item["doorbell"] == {"S": "rule_pass"}


def test_only_what_is_paused_is_listed_among_what_waits() -> None:
    waiting = move_pass("work", GOING, paused(GOING, 2, NOW)).request["Put"]["Item"]
    assert waiting["waiting_sk"]["S"].endswith(f"#{GOING.pass_id}")
    assert "doorbell" not in waiting
    assert "waiting_sk" not in move_pass("work", GOING, finished(GOING, NOW)).request["Put"]["Item"]


def test_a_pass_moves_on_from_its_place_and_state() -> None:
    put = move_pass("work", GOING, GOING).request["Put"]
    assert put["ConditionExpression"] == "#position = :position AND #state = :state AND #noted = :noted"
    assert from_item(put["ExpressionAttributeValues"]) == {
        ":position": GOING.position,
        ":state": "running",
        ":noted": GOING.noted,
    }
    fresh = move_pass("work", BEGUN, GOING).request["Put"]
    assert fresh["ConditionExpression"].endswith("attribute_not_exists(#noted)")


def test_what_goes_on_waits_for_nothing() -> None:
    later = NOW.replace(hour=9)
    going_on = resumed(paused(GOING, 7, NOW), later)
    assert going_on == replace(GOING, updated_at=later, step_at=later)


def test_a_long_reason_is_cut() -> None:
    after = ended(paused(GOING, 7, NOW), PassState.FAILED, Failure("x", "y" * 1000), NOW)
    assert after.failure is not None
    assert len(after.failure.detail) == MAX_DETAIL_CHARACTERS
    assert (after.paused_at, after.pause_reason, after.needed) == (None, None, 0)


def test_three_states_are_over() -> None:
    assert {state for state in PassState if state.is_over} == {
        PassState.FINISHED,
        PassState.FAILED,
        PassState.CANCELLED,
    }
