"""Reading the catalogue, the runs and the operation log on DynamoDB itself: whole, in order, page by page."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from shared.catalog import Record, RecordFilter, cursor_behind, put_record
from shared.credits import (
    Action,
    Committed,
    OperationFilter,
    OperationKind,
    OperationLog,
    RefusalReason,
    Verdict,
)
from shared.ids import new_run_id, operation_id
from shared.runs.artifacts import Rejection
from shared.runs.model import Counts, Cursor, Failure, PauseReason, Run, RunState
from shared.runs.store import Doorbell, put_new_run
from tests.support.faults import Line, Send
from tests.support.imports import FEED, Import, a_feed, edit_by_hand, fill_catalogue
from tests.support.money import MORNING, Account, HandClock, plain_dynamodb

if TYPE_CHECKING:
    from botocore.awsrequest import AWSPreparedRequest, AWSResponse

OpenAccount = Callable[[int], Account]


# --- the catalogue ---


def test_a_listing_gives_every_record_once_whatever_the_size_of_its_pages(open_account: OpenAccount) -> None:
    account = open_account(0)
    names = {("product", f"näme / {n} #"): {"n": n} for n in range(70)}
    fill_catalogue(account, names | {("category", "other"): {}})
    catalog = account.world.catalog()
    for limit in (1, 7, 35, 70, 100):
        found: list[str] = []
        cursor = None
        while True:
            page = catalog.page(account.workspace_id, "product", limit, cursor)
            assert len(page.records) <= limit
            found += [record.key for record in page.records]
            cursor = page.cursor
            if cursor is None:
                break
            assert len(page.records) == limit
        assert len(found) == 70
        assert set(found) == {key for _, key in names}


def test_a_page_reads_no_more_than_it_shows(open_account: OpenAccount) -> None:
    account = open_account(0)
    fill_catalogue(account, {("product", f"p{n}"): {"text": "x" * 2000} for n in range(200)})
    client = account.world.dynamodb()
    limits: list[int] = []

    def noted(request: AWSPreparedRequest, send: Send) -> AWSResponse:
        assert isinstance(request.body, bytes)
        limits.append(json.loads(request.body)["Limit"])
        return send()

    Line(client, script=lambda _index, _operation: noted)
    account.world.catalog(client).page(account.workspace_id, "product", 5)
    assert limits == [6]


def listed(account: Account, limit: int, wanted: RecordFilter) -> list[str]:
    """The keys of a whole listing, page by page."""
    found: list[str] = []
    cursor = None
    while True:
        page = account.world.catalog().page(account.workspace_id, "product", limit, cursor, wanted)
        assert len(page.records) <= limit
        found += [record.key for record in page.records]
        cursor = page.cursor
        if cursor is None:
            return found


@pytest.mark.parametrize("limit", [1, 7, 100])
def test_a_listing_by_prefix_gives_what_begins_so(open_account: OpenAccount, limit: int) -> None:
    account = open_account(0)
    keys = {f"{shop}/{n}" for shop in ("a", "ab", "ä") for n in range(20)}
    fill_catalogue(account, {("product", key): {} for key in keys})
    for prefix in ("a", "a/", "ab", "ä/1", "ab/19", "nothing"):
        found = listed(account, limit, RecordFilter(key_prefix=prefix))
        assert sorted(found) == sorted(key for key in keys if key.startswith(prefix))


@pytest.mark.parametrize("limit", [1, 7, 100])
def test_a_listing_of_what_was_updated_gives_it_once(open_account: OpenAccount, clock: HandClock, limit: int) -> None:
    account = open_account(0)
    fill_catalogue(account, {("product", f"p{n}"): {"text": "x" * 100_000} for n in range(40)})
    clock.advance(hours=1)
    since = clock()
    for n in range(10, 15):
        edit_by_hand(account, ("product", f"p{n}"), {"n": 1})
    assert sorted(listed(account, limit, RecordFilter(updated_since=since))) == [f"p{n}" for n in range(10, 15)]
    assert listed(account, limit, RecordFilter("p11", since)) == ["p11"]
    clock.advance(milliseconds=1)
    assert listed(account, limit, RecordFilter(updated_since=clock())) == []


def test_a_listing_that_finds_nothing_stays_bounded(open_account: OpenAccount, clock: HandClock) -> None:
    account = open_account(0)
    # A query reads 1 MB at most, so that these are more queries than one page makes.
    fill_catalogue(account, {("product", f"p{n}"): {"text": "x" * 390_000} for n in range(110)})
    clock.advance(hours=1)
    client = account.world.dynamodb()
    line = Line(client)
    page = account.world.catalog(client).page(
        account.workspace_id, "product", 10, None, RecordFilter(updated_since=clock())
    )
    assert (page.records, page.cursor is None) == ((), False)
    assert len(line.requests) == 32
    assert listed(account, 10, RecordFilter(updated_since=clock())) == []


def test_the_cursor_of_another_prefix_is_refused(open_account: OpenAccount) -> None:
    account = open_account(0)
    fill_catalogue(account, {("product", f"a{n}"): {} for n in range(5)})
    catalog = account.world.catalog()
    with pytest.raises(ValueError, match="cursor"):
        catalog.page(account.workspace_id, "product", 1, cursor_behind("a1"), RecordFilter("b"))


@pytest.mark.parametrize("cursor", ["", "x", "07", "x:y", "-1:a"])
def test_a_cursor_that_no_listing_gave_is_refused(open_account: OpenAccount, cursor: str) -> None:
    account = open_account(0)
    with pytest.raises(ValueError, match="cursor"):
        account.world.catalog().page(account.workspace_id, "product", 5, cursor)


def test_a_record_comes_back_as_it_was_written(open_account: OpenAccount) -> None:
    account = open_account(0)
    attributes: dict[str, Any] = {
        "title": "Ünïcode ✓",
        "price": Decimal("19.90"),
        "stock": -3,
        "flags": [True, None, {"deep": ["er", Decimal("1E-20")]}],
        "empty": {},
    }
    record = Record(
        workspace_id=account.workspace_id,
        entity="product",
        key="a/b#c",
        attributes=attributes,
        version=1,
        created_at=MORNING,
        updated_at=MORNING + timedelta(milliseconds=1),
        operation_id=None,
    )
    client = plain_dynamodb(account.world)
    client.put_item(**put_record(account.world.catalog_table, record, None).request["Put"])
    assert account.world.catalog().get(account.workspace_id, "product", "a/b#c") == record
    assert account.world.catalog().get(account.workspace_id, "product", "none") is None
    with pytest.raises(client.exceptions.ConditionalCheckFailedException):
        client.put_item(**put_record(account.world.catalog_table, record, None).request["Put"])
    with pytest.raises(client.exceptions.ConditionalCheckFailedException):
        client.put_item(**put_record(account.world.catalog_table, record, replace(record, version=2)).request["Put"])


# --- the operation log ---


def test_the_log_is_listed_newest_first_over_days_and_pages(open_account: OpenAccount, clock: HandClock) -> None:
    account = open_account(100)
    ledger = account.ledger()
    expected: list[str] = []
    for number in range(25):
        at = MORNING + timedelta(hours=7 * number)
        name = operation_id(at, account.workspace_id, str(number))
        job, run = ("feed-a", "run-a") if number % 2 else ("feed-b", None)
        kind = OperationKind.IMPORT if number % 2 else OperationKind.API_CALL
        plan = account.plan(f"op {number}", 0)
        ledger.commit(
            replace(plan, operation_id=name, at=at, job_id=job, run_id=run, kind=kind, actions={Action.API_CALL: 1})
        )
        expected.insert(0, name)
    log = OperationLog(plain_dynamodb(account.world), account.world.credit_table)
    everything = OperationFilter(since=MORNING, until=MORNING + timedelta(days=30))

    for limit in (1, 4, 25, 100):
        found: list[str] = []
        cursor: str | None = None
        while True:
            page = log.page(account.workspace_id, everything, limit, cursor)
            found += [operation.operation_id for operation in page.operations]
            cursor = page.cursor
            if cursor is None:
                break
        assert found == expected

    def listed(**terms: Any) -> list[str]:
        return [entry.operation_id for entry in log.all(account.workspace_id, replace(everything, **terms))]

    assert listed(kind=OperationKind.IMPORT) == [name for name in expected if expected.index(name) % 2]
    assert listed(job_id="feed-a") == listed(run_id="run-a") == listed(kind=OperationKind.IMPORT)
    assert listed(since=MORNING + timedelta(hours=7), until=MORNING + timedelta(hours=14)) == expected[-3:-1]
    assert log.get(account.workspace_id, expected[0]) is not None
    assert log.get(account.workspace_id, "op_none") is None
    assert log.get(account.workspace_id, account.id_of("never")) is None
    with pytest.raises(ValueError, match="identifier"):
        log.page(account.workspace_id, everything, 5, "nonsense")
    assert clock() == MORNING


def test_the_log_is_asked_for_who_had_it_done_and_what_became_of_it(open_account: OpenAccount) -> None:
    account = open_account(100)
    ledger = account.ledger()
    entries = {
        "charged": replace(account.plan("charged", 2), actor="key_1"),
        "refused": replace(account.plan("refused", 0), actor="nightly", refused=RefusalReason.OUT_OF_CREDITS),
        "free": replace(account.plan("free", 0), actor="key_1"),
        "nobody's": account.plan("nobody's", 1),
    }
    for plan in entries.values():
        assert isinstance(ledger.commit(plan), Committed)
    log = OperationLog(plain_dynamodb(account.world), account.world.credit_table)

    def listed(**terms: Any) -> set[str]:
        wanted = replace(OperationFilter(since=MORNING, until=MORNING), **terms)
        found = {entry.operation_id for entry in log.all(account.workspace_id, wanted)}
        return {name for name, plan in entries.items() if plan.operation_id in found}

    assert listed() == entries.keys()
    assert listed(actor="key_1") == {"charged", "free"}
    assert listed(outcome=Verdict.CHARGED) == {"charged", "nobody's"}
    assert listed(outcome=Verdict.REFUSED) == {"refused"}
    assert listed(outcome=Verdict.FREE) == {"free"}
    assert listed(outcome=Verdict.FREE, actor="key_1", kind=OperationKind.API_CALL) == {"free"}
    assert listed(outcome=Verdict.REFUSED, actor="key_1") == set()


def test_a_listing_of_years_without_operations_is_cut_into_bounded_pages(open_account: OpenAccount) -> None:
    account = open_account(10)
    account.ledger().commit(account.plan("long ago"))
    client = account.world.dynamodb()
    line = Line(client)
    log = OperationLog(client, account.world.credit_table)
    wanted = OperationFilter(since=MORNING, until=MORNING + timedelta(days=100))
    page = log.page(account.workspace_id, wanted, 10)
    assert (page.operations, len(line.requests)) == ((), 31)
    assert page.cursor is not None
    assert [entry.operation_id for entry in log.all(account.workspace_id, wanted)] == [account.id_of("long ago")]


# --- runs ---


def a_run(account: Account, **changes: Any) -> Run:
    run = Run(
        run_id=new_run_id(MORNING),
        workspace_id=account.workspace_id,
        feed_id=FEED,
        upload_id="up_1",
        channel=account.plan("x").channel,
        dry_run=False,
        state=RunState.RUNNING,
        created_at=MORNING,
        updated_at=MORNING,
        step_at=MORNING,
    )
    return replace(run, **changes)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({}, id="new"),
        pytest.param(
            {
                "state": RunState.PAUSED,
                "pause_reason": PauseReason.OUT_OF_CREDITS,
                "paused_at": MORNING,
                "cursor": Cursor(40, 12_345),
                "by_entity": {"product": Counts(1, 2, 3, 4, 5, 6)},
                "started_by": "key_1",
                "noted": {"product": 2},
                "records": 100,
                "rows_read": 120,
                "duplicates": 4,
                "rejected": 5,
            },
            id="paused",
        ),
        pytest.param(
            {
                "state": RunState.FAILED,
                "failure": Failure("malformed_xml", "a tag is not closed", 7, "title"),
                "finished_at": MORNING,
            },
            id="failed",
        ),
        pytest.param(
            {"state": RunState.FAILED, "failure": Failure("empty", "no rows"), "dry_run": True, "credits_available": 0},
            id="failed dry run",
        ),
    ],
)
def test_a_run_comes_back_as_it_was_written(open_account: OpenAccount, changes: dict[str, Any]) -> None:
    account = open_account(0)
    run = a_run(account, **changes)
    plain_dynamodb(account.world).put_item(**put_new_run(account.world.work_table, run).request["Put"])
    assert account.world.runs().get(account.workspace_id, run.run_id) == run


def test_of_two_who_move_a_run_one_is_told(open_account: OpenAccount) -> None:
    account = open_account(0)
    run = a_run(account)
    runs = account.world.runs()
    client, table = plain_dynamodb(account.world), account.world.work_table
    client.put_item(**put_new_run(table, run).request["Put"])
    moved = replace(run, cursor=Cursor(97, 1000))
    assert runs.move(run, moved)
    assert not runs.move(run, replace(run, cursor=Cursor(50, 500)))
    assert not runs.move(run, replace(run, state=RunState.CANCELLED))
    assert runs.move(moved, replace(moved, state=RunState.PAUSED), Doorbell.IMPORT)
    assert not runs.move(moved, replace(moved, cursor=Cursor(194, 2000)))
    assert not runs.move(a_run(account), a_run(account))
    assert runs.get(account.workspace_id, run.run_id) == replace(moved, state=RunState.PAUSED)


def test_runs_of_a_feed_are_listed_newest_first_over_months_and_pages(open_account: OpenAccount) -> None:
    account = open_account(0)
    client, table = plain_dynamodb(account.world), account.world.work_table
    ids: list[str] = []
    for number in range(9):
        at = MORNING + timedelta(days=13 * number)
        run = a_run(account, run_id=new_run_id(at), created_at=at)
        client.put_item(**put_new_run(table, run).request["Put"])
        ids.insert(0, run.run_id)
    client.put_item(**put_new_run(table, a_run(account, feed_id="another")).request["Put"])
    span = {"newest": MORNING + timedelta(days=200), "oldest": MORNING}
    for limit in (1, 2, 3, 9, 50):
        found: list[str] = []
        cursor = None
        while True:
            page = account.world.runs().page(account.workspace_id, FEED, limit=limit, cursor=cursor, **span)
            found += [run.run_id for run in page.runs]
            cursor = page.cursor
            if cursor is None:
                break
        assert found == ids


# --- the files of a run ---


def test_rejections_are_listed_with_those_of_the_preparation_first(open_account: OpenAccount) -> None:
    story = Import.start(open_account(0), a_feed(3))
    artifacts, run = story.account.world.artifacts(), story.run
    late = [Rejection(row, None, "product", f"p{row}", "too large") for row in (3, 20, 100)]
    for rejection in (late[2], late[0], late[1], late[0]):
        artifacts.put_late_rejection(run, rejection)
    for limit in (1, 2, 3, 10):
        found: list[Rejection] = []
        cursor = None
        while True:
            page = artifacts.rejections(run, limit, cursor)
            found += page.rejections
            cursor = page.cursor
            if cursor is None:
                break
        assert found == late


def test_prepared_records_are_read_from_the_cursor_on_in_blocks(
    open_account: OpenAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    story = Import.start(open_account(0), a_feed(40))
    artifacts = story.account.world.artifacts()
    everything = list(artifacts.records(story.run))
    assert [(each.entity, each.key) for each in everything] == list(story.feed)
    assert [each.end.position for each in everything] == list(range(1, 41))
    for block in (1, 7, everything[0].end.offset, everything[-1].end.offset, 10_000):
        monkeypatch.setattr("shared.runs.artifacts._BLOCK_BYTES", block)
        for done in everything[-3:] if block == 1 else everything[::9]:
            rest = list(artifacts.records(replace(story.run, cursor=done.end)))
            assert rest == everything[done.end.position :]


def test_an_empty_file_has_no_records(open_account: OpenAccount) -> None:
    story = Import.start(open_account(0), {})
    assert list(story.account.world.artifacts().records(story.run)) == []
    assert story.work().state is RunState.FINISHED
