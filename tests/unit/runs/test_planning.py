"""What the next step of a run does (design section 6): pure, from records and views."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.catalog import Record, record_size
from shared.credits import MAX_WRITES, Action, Channel, OperationKind, PriceList
from shared.dynamo.transactions import MAX_TRANSACTION_BYTES, MAX_TRANSACTION_ITEMS
from shared.dynamo.values import MAX_ITEM_BYTES, from_item
from shared.ids import time_of
from shared.runs.artifacts import Manifest, PreparedRecord
from shared.runs.model import Counts, Cursor, Run, RunState, finished, resumed
from shared.runs.planning import (
    MAX_STEP_RECORDS,
    Change,
    Examined,
    Examiner,
    after_step,
    is_full,
    plan_step,
    rejections,
    step_length,
    step_operation_id,
)
from shared.runs.store import move_run

NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)
LATER = NOW + timedelta(minutes=1)
PRICES = PriceList()
RUN = Run(
    run_id="run_01ARZ3NDEKTSV4RRFFQ69G5FAV",
    workspace_id="ws_01ARZ3NDEKTSV4RRFFQ69G5FAV",
    feed_id="feed",
    upload_id="up",
    channel=Channel.API,
    dry_run=False,
    state=RunState.RUNNING,
    created_at=NOW,
    updated_at=NOW,
    step_at=NOW,
    records=1000,
)
MANIFEST = Manifest({"product": ("title", "price")}, skip_unchanged=True)


def prepared(number: int, attributes: Mapping[str, Any] | None = None) -> PreparedRecord:
    return PreparedRecord(
        "product",
        f"p{number}",
        attributes or {"title": f"T{number}"},
        number + 1,
        Cursor(number + 1, 100 * (number + 1)),
    )


def seen(number: int, attributes: Mapping[str, Any], version: int = 3) -> Record:
    return Record(
        workspace_id=RUN.workspace_id,
        entity="product",
        key=f"p{number}",
        attributes=attributes,
        version=version,
        created_at=NOW - timedelta(days=9),
        updated_at=NOW - timedelta(days=9),
        operation_id=None,
    )


def examined(pattern: str, size: int = 500) -> list[Examined]:
    """`c` is created, `u` updated, `-` unchanged, `x` rejected."""
    changes = {"c": Change.CREATE, "u": Change.UPDATE, "-": Change.NOTHING, "x": Change.REJECT}
    found = []
    for number, letter in enumerate(pattern):
        view = seen(number, {"title": "old"}) if letter != "c" else None
        found.append(Examined(prepared(number), changes[letter], view, {"title": "new"}, size if letter in "cu" else 0))
    return found


# --- examining ---


@pytest.mark.parametrize(
    ("current", "change", "after"),
    [
        (None, Change.CREATE, {"title": "T0"}),
        ({"title": "T0"}, Change.NOTHING, {}),
        ({"title": "T0", "note": "ours"}, Change.NOTHING, {}),
        ({"title": "old", "note": "ours"}, Change.UPDATE, {"title": "T0", "note": "ours"}),
        ({"title": "T0", "price": 3}, Change.UPDATE, {"title": "T0"}),
    ],
)
def test_a_record_is_compared_by_what_the_feed_owns(
    current: dict[str, Any] | None, change: Change, after: dict[str, Any]
) -> None:
    view = None if current is None else seen(0, current)
    found = Examiner(RUN, MANIFEST).examine(prepared(0), view)
    assert (found.change, found.attributes) == (change, after)
    # What does not change waits in large numbers, and keeps nothing but its place.
    assert found.seen == (view if found.is_write else None)
    assert (found.prepared.attributes == {}) is not found.is_write
    assert (found.size > 0) is found.is_write
    assert found.cost(PRICES) == found.is_write


def test_without_skipping_what_is_unchanged_is_written_again() -> None:
    found = Examiner(RUN, replace(MANIFEST, skip_unchanged=False)).examine(prepared(0), seen(0, {"title": "T0"}))
    assert (found.change, found.cost(PRICES)) == (Change.UPDATE, 1)


def test_the_size_of_a_write_is_that_of_the_record_that_is_written() -> None:
    found = Examiner(RUN, MANIFEST).examine(prepared(0), seen(0, {"note": "x" * 1000}))
    (write,) = plan_step(RUN, RUN, [found], cursor(), "catalog", PRICES, LATER).writes
    item = from_item(write.request["Put"]["Item"])
    written = replace(seen(0, item["attributes"]), version=4, updated_at=LATER, operation_id=item["operation_id"])
    assert abs(found.size - record_size(written)) <= 4


@pytest.mark.parametrize(("note", "change"), [(200_000, Change.UPDATE), (300_000, Change.REJECT)])
def test_a_record_too_large_together_with_what_is_there_is_rejected(note: int, change: Change) -> None:
    found = Examiner(RUN, MANIFEST).examine(prepared(7, {"title": "x" * 150_000}), seen(7, {"note": "y" * note}))
    assert found.change is change
    assert (found.size > MAX_ITEM_BYTES) is (change is Change.REJECT)
    assert [(each.row, each.entity, each.key) for each in rejections([found])] == (
        [(8, "product", "p7")] if change is Change.REJECT else []
    )


# --- how much a step takes ---


@pytest.mark.parametrize(
    ("pattern", "budget", "length"),
    [
        ("", None, 0),
        ("c", None, 1),
        ("c" * 97, None, 97),
        ("c" * 98, None, 97),
        ("u" * 97 + "-", None, 98),
        ("u" * 97 + "----c", None, 101),
        ("-" * 50 + "c" * 97 + "--xx" + "c", None, 151),
        ("---", 0, 3),
        ("--c--", 0, 2),
        ("c-c-c", 2, 4),
        ("c-c-c", 3, 5),
        ("c" * 98, 97, 97),
        ("c" * 98, 1000, 97),
        ("-" * 5000, None, MAX_STEP_RECORDS),
        ("c" + "-" * 5000, None, MAX_STEP_RECORDS),
    ],
)
def test_a_step_takes_what_fits_and_what_is_paid_and_the_unchanged_ride_along(
    pattern: str, budget: int | None, length: int
) -> None:
    assert step_length(examined(pattern), PRICES, budget) == length


def test_a_step_stays_within_four_megabytes() -> None:
    records = examined("c" * 20, size=MAX_ITEM_BYTES)
    length = step_length(records, PRICES)
    assert length == 10
    assert sum(each.size for each in records[:length]) < MAX_TRANSACTION_BYTES - 60_000
    assert is_full(records, PRICES)
    assert not is_full(records[:10], PRICES)


@pytest.mark.parametrize(
    ("pattern", "full"),
    [
        ("", False),
        ("c" * 96, False),
        ("c" * 96 + "-" * 100, False),
        ("c" * 97, True),
        ("c" * 98, True),
        ("-" * (MAX_STEP_RECORDS - 1), False),
        ("-" * MAX_STEP_RECORDS, True),
        ("c" + "-" * MAX_STEP_RECORDS, True),
    ],
)
def test_a_step_waits_for_more_records_until_it_is_full(pattern: str, *, full: bool) -> None:
    assert is_full(examined(pattern), PRICES) is full


@given(st.text("cu-x", max_size=300), st.none() | st.integers(0, 200), st.integers(0, 3), st.integers(0, 3))
def test_a_step_is_the_longest_that_is_allowed(pattern: str, budget: int | None, create: int, update: int) -> None:
    prices = PriceList(dict(PRICES.prices) | {Action.RECORD_CREATED: create, Action.RECORD_UPDATED: update})
    records = examined(pattern)

    def allowed(length: int) -> bool:
        step = records[:length]
        is_paid = budget is None or sum(each.cost(prices) for each in step) <= budget
        return is_paid and sum(each.is_write for each in step) <= MAX_WRITES

    length = step_length(records, prices, budget)
    assert allowed(length)
    assert length == len(records) or not allowed(length + 1)


# --- what a step does ---


def cursor() -> Any:
    return move_run("work", RUN, RUN)


def test_a_step_counts_pays_and_moves_the_cursor() -> None:
    step = examined("cu-xc-")
    prices = PriceList(dict(PRICES.prices) | {Action.RECORD_UPDATED: 3})
    plan = plan_step(RUN, RUN, step, cursor(), "catalog", prices, LATER)
    after = after_step(RUN, step, prices, LATER)

    assert plan.credits == 5
    assert plan.actions == {Action.RECORD_CREATED: 2, Action.RECORD_UPDATED: 1}
    assert (plan.kind, plan.channel, plan.run_id, plan.job_id) == (
        OperationKind.IMPORT, Channel.IMPORT, RUN.run_id, "feed",
    )  # fmt: skip
    assert plan.description == "records 1 to 6"
    assert [write.request["Put"]["Item"]["sk"]["S"] for write in plan.writes] == ["p0", "p1", "p4"]
    assert [from_item(write.request["Put"]["Item"])["version"] for write in plan.writes] == [1, 4, 1]
    assert after.cursor == Cursor(6, 600)
    assert after.by_entity == {"product": Counts(created=2, updated=1, unchanged=2, rejected=1, credits=5)}
    assert (after.rejected, after.updated_at, after.step_at) == (1, LATER, LATER)
    assert after.totals.credits == plan.credits
    assert (RUN.cursor, RUN.by_entity) == (Cursor(), {})


def test_a_full_step_is_a_full_transaction() -> None:
    plan = plan_step(RUN, RUN, examined("c" * 97), cursor(), "catalog", PRICES, LATER)
    assert len(plan.writes) + len(["entry", "balance", "cursor"]) == MAX_TRANSACTION_ITEMS
    keys = {(write.request["Put"]["Item"]["pk"]["S"], write.request["Put"]["Item"]["sk"]["S"]) for write in plan.writes}
    assert len(keys) == 97


def test_every_worker_that_sees_a_run_there_gives_the_step_the_same_identifier() -> None:
    fewer = plan_step(RUN, RUN, examined("c"), cursor(), "catalog", PRICES, LATER)
    more = plan_step(RUN, RUN, examined("uuu"), cursor(), "catalog", PRICES, LATER + timedelta(hours=1))
    assert (fewer.operation_id, fewer.fingerprint) == (more.operation_id, more.fingerprint)
    assert fewer.operation_id == step_operation_id(RUN)
    assert time_of(fewer.operation_id) == fewer.at == RUN.step_at


def test_other_steps_have_other_identifiers() -> None:
    moved = after_step(RUN, examined("c"), PRICES, NOW)
    others = [RUN, moved, resumed(RUN, LATER), replace(RUN, run_id="run_2"), replace(RUN, workspace_id="ws_2")]
    assert len({step_operation_id(run) for run in others}) == len(others)


def test_the_end_of_a_run_is_whole_whatever_it_held() -> None:
    empty = finished(replace(RUN, records=0), LATER)
    assert (empty.state, empty.progress, empty.finished_at) == (RunState.FINISHED, 1.0, LATER)
    assert replace(RUN, records=0).progress == 0.0
    assert replace(RUN, cursor=Cursor(250, 1)).progress == 0.25
    assert after_step(RUN, [], PRICES, LATER).cursor == RUN.cursor
