"""Starting, cancelling and resuming runs: what it costs, and that it happens once (design sections 2 and 6)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from shared.credits import Channel, OperationIdReused, OutOfCredits, PriceList, Replayed, UnknownWorkspace
from shared.runs.commands import (
    NotPossible,
    Started,
    StartOutcome,
    StartRun,
    cancel_run,
    look_before_start,
    resume_run,
    start_run,
)
from shared.runs.model import PauseReason, Run, RunState
from tests.support.money import Account, HandClock, World

OpenAccount = Callable[[int], Account]


def wish(account: Account, **changes: Any) -> StartRun:
    asked = StartRun(
        workspace_id=account.workspace_id,
        feed_id="feed",
        upload_id="up_1",
        dry_run=False,
        channel=Channel.API,
        request_id="request 1",
    )
    return replace(asked, **changes)


def start(account: Account, asked: StartRun) -> StartOutcome:
    return start_run(
        asked,
        "{}",
        "etag",
        ledger=account.ledger(),
        runs=account.world.runs(),
        artifacts=account.world.artifacts(),
        prices=PriceList(),
        render=lambda run: f'{{"run_id":"{run.run_id}"}}',
        now=account.clock(),
    )


def listed(account: Account) -> list[Run]:
    now = account.clock()
    page = account.world.runs().page(account.workspace_id, "feed", newest=now, oldest=now, limit=50, cursor=None)
    return list(page.runs)


@pytest.mark.parametrize(
    ("changes", "credits"),
    [
        ({}, 1),
        ({"dry_run": True}, 0),
        ({"channel": Channel.PERSON}, 0),
        ({"idempotency_key": "key"}, 1),
        ({"dry_run": True, "idempotency_key": "key"}, 0),
    ],
)
def test_a_start_costs_a_call_unless_it_is_a_persons_or_a_dry_run(
    open_account: OpenAccount, changes: dict[str, Any], credits: int
) -> None:
    account = open_account(5)
    outcome = start(account, wish(account, **changes))
    assert isinstance(outcome, Started)
    assert account.balance().available == 5 - credits
    (entry,) = account.operations()
    assert (entry.credits, entry.job_id, entry.run_id) == (credits, "feed", None)
    assert listed(account) == [outcome.run]
    assert account.world.artifacts().definition(outcome.run) == "{}"
    assert outcome.run.state is RunState.PREPARING


def test_a_start_with_the_same_idempotency_key_is_made_once_even_with_the_last_credit(
    open_account: OpenAccount,
) -> None:
    account = open_account(1)
    asked = wish(account, idempotency_key="key")
    assert look_before_start(asked, account.ledger()).told is None
    first = start(account, asked)
    assert isinstance(first, Started)

    for request in ("request 2", "request 3"):
        again = start(account, replace(asked, request_id=request))
        assert isinstance(again, Replayed)
        assert again.answer == f'{{"run_id":"{first.run.run_id}"}}'
        assert look_before_start(replace(asked, request_id=request), account.ledger()).told == again
    for other in ({"upload_id": "up_2"}, {"dry_run": True}):
        assert isinstance(start(account, replace(asked, request_id="request 4", **other)), OperationIdReused)
    assert listed(account) == [first.run]
    assert account.balance().consumed == 1


def test_a_start_without_credits_is_refused_and_leaves_no_run(open_account: OpenAccount) -> None:
    account = open_account(0)
    assert start(account, wish(account, idempotency_key="key")) == OutOfCredits(1, 0, 0)
    assert listed(account) == []
    assert account.operations() == []
    # The key was not used up by the refusal.
    account.ledger().grant(account.a_grant("bought", 1))
    assert isinstance(start(account, wish(account, idempotency_key="key")), Started)


def test_a_start_in_no_workspace(world: World, clock: HandClock) -> None:
    account = Account(world, 0, clock, workspace_id="ws_01ARZ3NDEKTSV4RRFFQ69G5FAV")
    assert isinstance(start(account, wish(account)), UnknownWorkspace)


@pytest.mark.parametrize("state", RunState)
def test_what_can_be_done_with_a_run_in_each_state(
    open_account: OpenAccount, clock: HandClock, state: RunState
) -> None:
    account = open_account(5)
    runs = account.world.runs()
    run = start(account, wish(account)).run  # type: ignore[union-attr]
    here = replace(run, state=state)
    if state is RunState.PAUSED:
        here = replace(here, paused_at=clock(), pause_reason=PauseReason.OUT_OF_CREDITS)
    assert runs.move(run, here)
    clock.advance(minutes=5)

    resumed = resume_run(runs, account.ledger(), here, clock())
    if state is RunState.PAUSED:
        assert isinstance(resumed, Run)
        assert (resumed.state, resumed.paused_at, resumed.pause_reason) == (RunState.RUNNING, None, None)
    else:
        assert resumed == NotPossible(here)
    # As it was seen before it was resumed: the cancelling looks again.
    cancelled = cancel_run(runs, account.ledger(), here, clock())
    if here.state.is_over:
        assert cancelled == NotPossible(here)
    else:
        assert isinstance(cancelled, Run)
        assert (cancelled.state, cancelled.finished_at) == (RunState.CANCELLED, clock())
    assert account.balance().consumed == 1


def test_only_one_of_two_resumes_rings(open_account: OpenAccount, clock: HandClock) -> None:
    account = open_account(5)
    runs = account.world.runs()
    run = start(account, wish(account)).run  # type: ignore[union-attr]
    paused = replace(run, state=RunState.PAUSED)
    runs.move(run, paused)
    assert isinstance(resume_run(runs, account.ledger(), paused, clock()), Run)
    assert isinstance(resume_run(runs, account.ledger(), paused, clock()), NotPossible)
