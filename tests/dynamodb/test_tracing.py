"""From an operation down to its records: which it wrote, and whether they still stand so."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from shared.catalog import CatalogStore
from shared.credits import Channel, Committed, Operation, PriceList
from shared.edits import (
    Batch,
    BatchEdited,
    BatchItem,
    Edit,
    Edited,
    EditingRoom,
    Merge,
    Remove,
    Replace,
    edit_batch,
    edit_record,
)
from shared.runs.commands import cancel_run
from shared.runs.model import RunState
from shared.tracing import RecordsForgotten, Tracer, WrittenRecord
from tests.support.faults import Line
from tests.support.imports import Import, a_catalogue, a_feed, edit_by_hand
from tests.support.money import Account

OpenAccount = Callable[[int], Account]


def tracer_of(account: Account, catalog: CatalogStore | None = None) -> Tracer:
    return Tracer(account.world.runs(), account.world.artifacts(), catalog or account.world.catalog())


def editing(account: Account) -> EditingRoom:
    return EditingRoom(
        catalog=account.world.catalog(), ledger=account.ledger(), prices=PriceList(), clock=account.clock
    )


def edited(account: Account, key: str, change: Replace | Merge | Remove, channel: Channel = Channel.API) -> Operation:
    """One edit of a product, by a key or by hand."""
    edit = Edit(
        workspace_id=account.workspace_id,
        entity="product",
        key=key,
        change=change,
        channel=channel,
        request_id=f"edit {key} {account.clock()}",
        requested_at=account.clock(),
        actor="key_1",
    )
    outcome = edit_record(editing(account), edit, lambda _: "{}")
    assert isinstance(outcome, Edited)
    return outcome.paid.operation


def current(account: Account, operation: Operation) -> dict[str, bool | None]:
    """What is told of each record of an operation, by key."""
    return {each.key: each.current for each in tracer_of(account).page(operation, 100).records}


def steps(story: Import) -> list[Operation]:
    """The entries of the run that wrote something."""
    return [each for each in story.account.operations() if each.run_id == story.run.run_id and each.step is not None]


def test_a_step_of_an_import_is_followed_to_the_records_that_name_it(open_account: OpenAccount) -> None:
    feed = a_feed(250)
    story = Import.start(open_account(1000), feed, a_catalogue(feed, unchanged=40, updated=10))
    story.work()
    records = story.account.records("product", "category")
    for step in steps(story):
        named = {name for name, record in records.items() if record.operation_id == step.operation_id}
        assert set(tracer_of(story.account).records_written(step)) == named
        assert len(named) == sum(counts.created + counts.updated for counts in step.records.values())
    assert len(steps(story)) == 3


def test_a_page_takes_one_request_of_the_catalogue_and_pages_hold_each_record_once(open_account: OpenAccount) -> None:
    story = Import.start(open_account(1000), a_feed(97))
    story.work()
    (step,) = steps(story)
    client = story.account.world.dynamodb()
    line = Line(client)
    tracer = tracer_of(story.account, story.account.world.catalog(client))
    found: list[WrittenRecord] = []
    cursor = None
    while True:
        page = tracer.page(step, 40, cursor)
        found += page.records
        cursor = page.cursor
        if cursor is None:
            break
    assert line.requests == ["BatchGetItem"] * 3
    assert [(each.entity, each.key) for each in found] == list(tracer.records_written(step))
    assert len({(each.entity, each.key) for each in found}) == 97
    assert all(each.current for each in found)
    with pytest.raises(ValueError, match="cursor"):
        tracer.page(step, 40, "97")
    with pytest.raises(ValueError, match="cursor"):
        tracer.page(step, 40, "-1")


def test_it_tells_what_was_written_since_and_what_is_gone(open_account: OpenAccount) -> None:
    account = open_account(1000)
    story = Import.start(account, a_feed(4))
    story.work()
    (step,) = steps(story)
    edit_by_hand(account, ("product", "p0"), {"title": "mine"})
    edit_by_hand(account, ("product", "p1"), None)
    account.clock.advance(seconds=1)
    later = edited(account, "p2", Replace({"title": "theirs"}))
    assert current(account, step) == {"p0": False, "p1": None, "p2": False, "p3": True}
    assert current(account, later) == {"p2": True}


def test_edits_one_by_one_in_a_batch_and_by_hand(open_account: OpenAccount) -> None:
    account = open_account(1000)
    made = edited(account, "a", Replace({"title": "A"}))
    assert (made.actor, made.keys, current(account, made)) == ("key_1", {"product": ("a",)}, {"a": True})
    account.clock.advance(seconds=1)
    same = edited(account, "a", Replace({"title": "A"}))
    assert (same.keys, same.records["product"].unchanged, current(account, same)) == ({}, 1, {})
    account.clock.advance(seconds=1)
    by_hand = edited(account, "a", Merge({"title": "B"}), Channel.PERSON)
    assert (by_hand.credits, by_hand.records["product"].updated, by_hand.records["product"].credits) == (0, 1, 0)
    assert (current(account, made), current(account, by_hand)) == ({"a": False}, {"a": True})
    account.clock.advance(seconds=1)
    deleted = edited(account, "a", Remove())
    assert (deleted.records["product"].deleted, deleted.credits) == (1, 1)
    assert (current(account, deleted), current(account, by_hand)) == ({"a": None}, {"a": None})
    batch = in_batch(account, [BatchItem(key=key, change=Replace({"title": key})) for key in "xyz"])
    assert current(account, batch) == {"x": True, "y": True, "z": True}


def in_batch(account: Account, items: Sequence[BatchItem]) -> Operation:
    batch = Batch(
        workspace_id=account.workspace_id,
        entity="product",
        items=tuple(items),
        channel=Channel.PERSON,
        request_id="batch",
        requested_at=account.clock(),
        actor="person_1",
    )
    outcome = edit_batch(editing(account), batch, lambda _: "{}")
    assert isinstance(outcome, BatchEdited)
    operation = outcome.paid.operation
    assert (operation.actor, operation.credits) == ("person_1", 3)
    assert operation.records["product"].credits == 3
    return operation


def test_what_a_record_says_stays_where_it_is(open_account: OpenAccount) -> None:
    """Records may have 400 KB each, and a page has a hundred."""
    account = open_account(1000)
    made = edited(account, "a", Replace({"title": "A" * 100_000}))
    dynamodb = account.world.dynamodb()
    came: list[str] = []

    def note(parsed: dict[str, Any], **_: Any) -> None:
        came.extend(name for items in parsed["Responses"].values() for item in items for name in item)

    dynamodb.meta.events.register("after-call.dynamodb.BatchGetItem", note)
    page = tracer_of(account, account.world.catalog(dynamodb)).page(made, 10)
    assert page.records == (WrittenRecord("product", "a", current=True),)
    assert sorted(came) == ["operation_id", "pk", "sk", "updated_at"]


def test_what_writes_no_records_has_none(open_account: OpenAccount) -> None:
    account = open_account(5)
    outcome = account.ledger().commit(account.plan("read", 1))
    assert isinstance(outcome, Committed)
    assert list(tracer_of(account).records_written(outcome.operation)) == []
    assert tracer_of(account).page(outcome.operation, 10).records == ()


def test_files_that_have_expired_are_said_to_have(open_account: OpenAccount) -> None:
    account = open_account(1000)
    story = Import.start(account, a_feed(4))
    run = story.work()
    (step,) = steps(story)
    # As if the bucket's lifecycle had been there: the files of this preparation are no more.
    assert account.world.runs().move(run, replace(run, preparation="expired"))
    with pytest.raises(RecordsForgotten):
        list(tracer_of(account).records_written(step))
    with pytest.raises(RecordsForgotten):
        tracer_of(account).page(step, 10)
    with pytest.raises(RecordsForgotten):
        list(tracer_of(account).records_written(replace(step, run_id=None)))
    assert sum(counts.created for counts in step.records.values()) == 4


# --- what is passed over is told of once ---


def test_what_is_left_at_the_end_has_an_entry_of_its_own(open_account: OpenAccount) -> None:
    feed = a_feed(250)
    story = Import.start(open_account(1000), feed, feed)
    assert story.work().state is RunState.FINISHED
    story.check()
    (note,) = (each for each in story.account.operations() if each.run_id == story.run.run_id)
    assert (note.credits, note.actions, note.step, note.refused) == (0, {}, None, None)
    assert {entity: counts.unchanged for entity, counts in note.records.items()} == {"product": 200, "category": 50}
    # Another worker finds the run over, and notes nothing again.
    story.work()
    story.check()


def test_a_dry_run_leaves_nothing_in_the_log(open_account: OpenAccount) -> None:
    feed = a_feed(250)
    story = Import.start(open_account(1000), feed, a_catalogue(feed, unchanged=200, updated=0), dry_run=True)
    assert story.work().state is RunState.FINISHED
    assert [each for each in story.account.operations() if each.run_id == story.run.run_id] == []


def test_a_run_that_is_cancelled_has_told_of_what_it_passed_over(open_account: OpenAccount) -> None:
    feed = a_feed(250)
    story = Import.start(open_account(0), feed, dict(list(feed.items())[:150]))
    assert story.work().state is RunState.PAUSED
    paused = story.now()
    assert paused.unnoted == {"product": 120, "category": 30}
    cancelled = cancel_run(story.runs(), story.ledger(), paused, story.account.clock())
    assert cancelled == story.now()
    story.check_the_log()
    assert story.now().unnoted == {}


def test_a_run_that_fails_has_told_of_what_it_passed_over(open_account: OpenAccount) -> None:
    feed = a_feed(250)
    story = Import.start(open_account(0), feed, dict(list(feed.items())[:150]))
    paused = story.work()
    assert story.runs().move(paused, replace(paused, state=RunState.RUNNING, preparation="expired"))
    assert story.work().state is RunState.FAILED
    assert story.now().unnoted == {}
    story.check_the_log()
