"""What a batch comes to: the sum of its edits and one call, whatever is in it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.catalog import Record
from shared.credits import Action, Channel, PriceList
from shared.edits import Batch, BatchItem, Change, Decision, Expectation, Merge, RecordVersion, Refused, Remove, Replace
from shared.edits.planning import batch_call, batch_size, decide, plan_batch, plan_edit

NOW = datetime(2026, 11, 22, 8, tzinfo=UTC)
PRICES = PriceList({Action.API_CALL: 7, Action.RECORD_CREATED: 5, Action.RECORD_UPDATED: 3})

attributes = st.dictionaries(st.sampled_from("ab"), st.integers(0, 1), max_size=2)
changes = st.one_of(st.builds(Replace, attributes), st.builds(Merge, attributes), st.builds(Remove))
expectations = st.sampled_from(
    [Expectation(), Expectation(match=frozenset({RecordVersion(3)})), Expectation(none_match="*")]
)
items = st.lists(
    st.builds(BatchItem, key=st.sampled_from("pqrstu"), change=changes, expected=expectations),
    min_size=1,
    max_size=6,
    unique_by=lambda item: item.key,
)
stands = st.dictionaries(st.sampled_from("pqrstu"), st.tuples(attributes, st.integers(1, 3)))


def batch(wanted: list[BatchItem], channel: Channel = Channel.API, **more: Any) -> Batch:
    given: dict[str, Any] = {
        "workspace_id": "ws_1",
        "entity": "product",
        "items": tuple(wanted),
        "channel": channel,
        "request_id": "r1",
        "requested_at": NOW,
        "idempotency_key": "one",
    }
    return Batch(**(given | more))


def decided(asked: Batch, catalogue: dict[str, tuple[dict[str, Any], int]]) -> list[Decision | Refused]:
    return [decide(edit, record(edit.key, catalogue), NOW) for edit in asked.edits]


def record(key: str, catalogue: dict[str, tuple[dict[str, Any], int]]) -> Record | None:
    if key not in catalogue:
        return None
    there, version = catalogue[key]
    return Record(
        workspace_id="ws_1",
        entity="product",
        key=key,
        attributes=there,
        version=version,
        created_at=NOW,
        updated_at=NOW,
        operation_id=None,
    )


@given(wanted=items, catalogue=stands, channel=st.sampled_from([Channel.API, Channel.PERSON]))
def test_a_batch_costs_one_call_and_what_its_edits_change(
    wanted: list[BatchItem], catalogue: dict[str, tuple[dict[str, Any], int]], channel: Channel
) -> None:
    asked = batch(wanted, channel)
    results = decided(asked, catalogue)
    plan = plan_batch(asked, results, "catalog", PRICES, None)
    alone = [
        plan_edit(replace(edit, in_bulk=False, channel=Channel.API), result, "catalog", PRICES, None)
        for edit, result in zip(asked.edits, results, strict=True)
        if isinstance(result, Decision)
    ]
    call = 7 if channel is Channel.API else 0
    assert plan.credits == call + sum(each.credits - 7 for each in alone)
    assert plan.credits == PRICES.cost(plan.actions)
    assert plan.writes == tuple(write for each in alone for write in each.writes)
    written = [result for result in results if isinstance(result, Decision) and result.change is not Change.NOTHING]
    assert len(plan.writes) == len(written)
    # Who pays for a record is named by it.
    assert {each.record.operation_id for each in written if each.record} <= {plan.operation_id}


def test_a_batch_is_recognised_by_all_that_it_asks() -> None:
    first = [BatchItem(key="a", change=Replace({"n": 1})), BatchItem(key="b", change=Remove())]
    others = [
        first[:1],
        first[::-1],
        [replace(first[0], change=Merge({"n": 1})), first[1]],
        [replace(first[0], change=Replace({"n": 2})), first[1]],
        [replace(first[0], expected=Expectation(match=frozenset({RecordVersion(1)}))), first[1]],
        [replace(first[0], key="c"), first[1]],
    ]
    asked = [batch_call(batch(wanted), "") for wanted in (first, *others)]
    assert len({call.fingerprint for call in asked if call}) == len(asked)
    assert len({call.key for call in asked if call}) == 1
    assert batch_call(batch(first, idempotency_key=None), "") is None


@pytest.mark.parametrize("change", [Replace({"text": "x" * 1000}), Remove()])
def test_the_size_of_a_batch_is_that_of_what_it_writes(change: Replace | Remove) -> None:
    catalogue: dict[str, tuple[dict[str, Any], int]] = {"p": ({"text": "y"}, 1), "q": ({"text": "x" * 1000}, 1)}
    results = decided(batch([BatchItem(key="p", change=change), BatchItem(key="q", change=change)]), catalogue)
    size = batch_size(result for result in results if isinstance(result, Decision))
    assert (size > 1000) == isinstance(change, Replace)
    assert size < 2000
