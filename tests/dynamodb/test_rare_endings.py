"""What seldom happens to a run, and must not leave it standing: files gone, records refused, workers doubled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shared.catalog import put_record
from shared.credits import OperationFilter, OperationLog, OutOfCredits, Plan
from shared.dynamo.transactions import NotStorable
from shared.runs import planning
from shared.runs.commands import STALLED_AFTER, NotPossible, cancel_run, resume_run
from shared.runs.model import Run, RunState
from shared.runs.worker import work
from tests.support.imports import FEED, Import, a_feed, edit_by_hand
from tests.support.money import MORNING, Account, HandClock, plain_dynamodb, plain_s3

OpenAccount = Callable[[int], Account]


def forget_the_files(story: Import) -> None:
    s3, bucket = plain_s3(story.account.world), story.account.world.bucket
    prefix = f"runs/{story.run.workspace_id}/{story.run.run_id}/"
    for entry in s3.list_objects_v2(Bucket=bucket, Prefix=prefix)["Contents"]:
        s3.delete_object(Bucket=bucket, Key=entry["Key"])


def resumed(story: Import) -> Run | NotPossible | OutOfCredits:
    return resume_run(story.runs(), story.ledger(), story.now(), story.account.clock())


def test_a_run_whose_files_have_expired_fails_with_a_reason_and_keeps_what_it_wrote(open_account: OpenAccount) -> None:
    story = Import.start(open_account(40), a_feed(100))
    assert story.work().state is RunState.PAUSED
    forget_the_files(story)
    story.ledger().grant(story.account.a_grant("later", 100))
    assert isinstance(resumed(story), Run)
    run = story.work()
    assert run.state is RunState.FAILED
    assert run.failure is not None
    assert run.failure.code == "files_expired"
    assert run.totals.credits == 40
    assert story.account.world.artifacts().rejections(run, 10).rejections == ()
    story.account.check_the_books("product", "category")


def test_a_record_that_the_database_refuses_fails_the_run_instead_of_trying_for_ever(
    open_account: OpenAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    story = Import.start(open_account(500), a_feed(120))

    def refuse(*_arguments: Any) -> None:
        raise NotStorable("a number out of range")

    monkeypatch.setattr(planning, "plan_step", refuse)
    run = story.work()
    assert run.state is RunState.FAILED
    assert run.failure is not None
    assert "a number out of range" in run.failure.detail
    assert story.account.balance().consumed == 0


def test_a_run_does_not_pause_when_nothing_is_left_to_pay_for(
    open_account: OpenAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two records, one credit; and a person makes both as the feed has them, between the reading and the writing."""
    account = open_account(1)
    feed = a_feed(2)
    story = Import.start(account, feed)
    shop = story.workshop()
    commit, outcomes = shop.ledger.commit, []

    def meddling(plan: Any) -> Any:
        outcome = commit(plan)
        outcomes.append(type(outcome).__name__)
        if outcomes == ["OutOfCredits"]:
            for name, attributes in feed.items():
                edit_by_hand(account, name, attributes)
        return outcome

    monkeypatch.setattr(shop.ledger, "commit", meddling)
    run = work(shop, story.run.workspace_id, story.run.run_id, lambda: False)
    assert run is not None
    assert outcomes[0] == "OutOfCredits"
    assert (run.state, run.totals.unchanged, run.totals.credits) == (RunState.FINISHED, 2, 0)


def test_a_worker_that_meets_a_paused_run_and_credits_lets_it_go_on(open_account: OpenAccount) -> None:
    """The one that paused it was killed before it could look at the balance again."""
    story = Import.start(open_account(40), a_feed(100))
    assert story.work().state is RunState.PAUSED
    assert story.work().state is RunState.PAUSED
    story.ledger().grant(story.account.a_grant("in between", 60))
    assert story.work().state is RunState.FINISHED
    story.check()


def test_a_cancelled_run_is_not_paused_as_well(open_account: OpenAccount) -> None:
    story = Import.start(open_account(40), a_feed(100))
    story.work()
    cancelled = cancel_run(story.runs(), story.ledger(), story.now(), story.account.clock())
    assert isinstance(cancelled, Run)
    assert (cancelled.state, cancelled.paused_at, cancelled.pause_reason) == (RunState.CANCELLED, None, None)


def test_a_run_that_nobody_works_on_any_more_can_be_resumed(open_account: OpenAccount, clock: HandClock) -> None:
    story = Import.start(open_account(500), a_feed(100))
    assert isinstance(resumed(story), NotPossible)
    clock.advance(seconds=STALLED_AFTER.total_seconds())
    ringing = resumed(story)
    assert isinstance(ringing, Run)
    assert (ringing.state, ringing.leg) == (RunState.RUNNING, 1)
    # What it writes now is charged now, whenever it stopped.
    assert ringing.step_at == clock()
    assert isinstance(resumed(story), NotPossible)
    assert story.work().state is RunState.FINISHED
    story.check()


def test_a_message_that_was_stuck_for_weeks_charges_into_no_month_that_is_over(
    open_account: OpenAccount, clock: HandClock
) -> None:
    """As one that is sent back from the dead letters: nobody has resumed the run."""
    story = Import.start(open_account(500), a_feed(300))
    assert story.work(out_of_time=lambda: True).state is RunState.RUNNING
    before = {each.operation_id for each in story.account.operations()}
    assert before
    clock.advance(days=30)
    sent_back = clock()
    assert story.work().state is RunState.FINISHED
    late = [each for each in story.account.operations() if each.operation_id not in before]
    assert late
    assert all(each.at >= sent_back for each in late)
    story.check()


def test_workers_that_meet_at_a_run_that_stood_still_write_each_step_once(
    open_account: OpenAccount, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each dates the step anew, by a clock of its own, and the cursor lets one of them through."""
    story = Import.start(open_account(500), a_feed(150))
    clock.advance(seconds=STALLED_AFTER.total_seconds())
    shop = story.workshop()
    commit = shop.ledger.commit

    def slow(plan: Plan) -> Any:
        monkeypatch.setattr(shop.ledger, "commit", commit)
        clock.advance(seconds=1)
        assert story.work().state is RunState.FINISHED
        return commit(plan)

    monkeypatch.setattr(shop.ledger, "commit", slow)
    run = work(shop, story.run.workspace_id, story.run.run_id, lambda: False)
    assert run is not None
    assert run.state is RunState.FINISHED
    story.check()


def test_a_message_for_a_leg_that_was_handed_over_does_nothing(open_account: OpenAccount) -> None:
    story = Import.start(open_account(500), a_feed(300))
    workspace_id, run_id = story.run.workspace_id, story.run.run_id
    first = work(story.workshop(), workspace_id, run_id, lambda: True, 0)
    assert first is not None
    assert (first.state, first.leg) == (RunState.RUNNING, 1)
    again = work(story.workshop(), workspace_id, run_id, lambda: False, 0)
    assert again == first
    last = work(story.workshop(), workspace_id, run_id, lambda: False, 1)
    assert last is not None
    assert last.state is RunState.FINISHED
    story.check()


def test_a_record_that_was_deleted_and_made_again_is_not_the_one_that_was_seen(
    open_account: OpenAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its version begins anew and may be the same; the time at which it was made is not."""
    account = open_account(10)
    feed = a_feed(1)
    name = next(iter(feed))
    story = Import.start(account, feed, {name: {"title": "old"}})
    shop = story.workshop()
    get_many = shop.catalog.get_many

    def then_made_again(*arguments: Any) -> Any:
        found = get_many(*arguments)
        record = found[name]
        made_again = replace(
            record, attributes={"title": "by hand", "note": "mine"}, created_at=MORNING + timedelta(hours=1)
        )
        monkeypatch.setattr(shop.catalog, "get_many", get_many)
        item = put_record(account.world.catalog_table, made_again, None).request["Put"]["Item"]
        plain_dynamodb(account.world).put_item(TableName=account.world.catalog_table, Item=item)
        return found

    monkeypatch.setattr(shop.catalog, "get_many", then_made_again)
    work(shop, story.run.workspace_id, story.run.run_id, lambda: False)
    (record,) = account.records("product").values()
    assert record.attributes["note"] == "mine"


def test_a_page_of_the_log_makes_a_bounded_number_of_queries(open_account: OpenAccount) -> None:
    account = open_account(10)
    log = OperationLog(plain_dynamodb(account.world), account.world.credit_table)
    years = OperationFilter(since=MORNING - timedelta(days=3650), until=MORNING, run_id="run_none")
    page = log.page(account.workspace_id, years, 10)
    assert (page.operations, page.cursor is None) == ((), False)


def test_a_cursor_of_another_age_does_not_walk_through_all_months(
    open_account: OpenAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    story = Import.start(open_account(10), a_feed(1))
    runs = story.runs()
    month, queries = runs._month, []

    def counted(*arguments: Any) -> list[str]:
        queries.append(arguments)
        return month(*arguments)

    monkeypatch.setattr(runs, "_month", counted)
    forged = "run_" + "7" + "Z" * 9 + "0" * 16
    with pytest.raises(ValueError, match=r"year|time"):
        runs.page(story.run.workspace_id, FEED, newest=MORNING, oldest=MORNING, limit=5, cursor=forged)
    late = "run_76EZ91ZPZZ0000000000000000"
    page = runs.page(story.run.workspace_id, FEED, newest=MORNING, oldest=MORNING, limit=5, cursor=late)
    assert len(queries) == 1
    assert len(page.runs) == 1
