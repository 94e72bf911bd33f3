"""The guard and the sweep where rules wait for credits: changes in a backlog, and passes that have paused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared import keys
from shared.automation.guard import Done, Unfinished, attend
from shared.automation.store import AutomationState
from shared.automation.sweep import Call, sweep
from shared.automation.waiting import Waits
from shared.credits import Committed
from shared.ids import new_pass_id
from shared.rules.backlog import Backlog
from shared.rules.model import Change
from shared.rules.passes.model import PassState, RulePass, paused
from shared.rules.passes.store import put_new_pass
from shared.runs.model import RunState
from tests.dynamodb.test_guard import on_a_line, three_schedules
from tests.support.automation import Office
from tests.support.filters import filters_of, matches
from tests.support.money import Account, plain_dynamodb


@pytest.fixture
def here(open_account: Callable[[int], Account]) -> Iterator[Office]:
    """A workspace of 100 credits with three schedules."""
    with three_schedules(open_account(100)) as opened:
        yield opened


def change_waits(here: Office, key: str = "A-1") -> None:
    """As the rules leave a change that they cannot pay for."""
    now = here.account.clock()
    change = Change(workspace_id=here.workspace_id, entity="product", key=key, created_at=now, version=1, appeared=True)
    here.room().backlog.add(here.workspace_id, [change], now, ring=False)


def backlog(here: Office) -> Backlog:
    found = here.room().backlog.get(here.workspace_id)
    assert found is not None
    return found


def paused_pass(here: Office, needed: int = 2) -> RulePass:
    """A pass that has stopped at a firing of `needed` credits."""
    now = here.account.clock()
    begun = RulePass(
        pass_id=new_pass_id(now),
        workspace_id=here.workspace_id,
        rule_id="gross-price",
        rule_version=1,
        entity="product",
        schedule_id="nightly",
        state=PassState.RUNNING,
        created_at=now,
        updated_at=now,
        step_at=now,
    )
    stopped = paused(begun, needed, now)
    item = put_new_pass(here.world.work_table, stopped).request["Put"]
    # One that is put down as paused rings for nobody.
    del item["Item"]["doorbell"]
    plain_dynamodb(here.world).put_item(**item)
    return stopped


def pass_now(here: Office, rule_pass: RulePass) -> RulePass:
    found = here.room().passes.get(here.workspace_id, rule_pass.pass_id)
    assert found is not None
    return found


def leave(here: Office, credits: int) -> None:
    spent = here.account.balance().available - credits
    plan = replace(here.account.plan("all but some", 0), credits=spent, writes=(), actions={})
    assert isinstance(here.account.ledger().commit(plan), Committed)


def calls(here: Office) -> list[Call]:
    """What the sweep finds of this workspace; other stories leave things in the index, too."""
    return [call for call in sweep(here.room()) if call.workspace_id == here.workspace_id]


def test_whatever_waits_for_credits_goes_on_after_a_top_up(here: Office) -> None:
    run, rule_pass = here.paused_run(), paused_pass(here)
    change_waits(here)
    here.spend_all()
    assert attend(here.room(), here.workspace_id) == Done(AutomationState.PAUSED)
    assert backlog(here).leg == 0
    here.top_up()
    assert attend(here.room(), here.workspace_id) == Done(AutomationState.ACTIVE)
    assert here.run_state(run.run_id) is RunState.RUNNING
    going_on = pass_now(here, rule_pass)
    assert (going_on.state, going_on.leg) == (PassState.RUNNING, rule_pass.leg + 1)
    assert backlog(here).leg == 1


def test_it_costs_one_request_for_a_backlog_and_three_for_a_pass(here: Office) -> None:
    def resumed() -> Counter[str]:
        here.spend_all()
        attend(here.room(), here.workspace_id)
        here.top_up()
        room, line = on_a_line(here)
        attend(room, here.workspace_id)
        return Counter(line.requests)

    before = resumed()
    change_waits(here)
    for number in range(3):
        change_waits(here, f"B-{number}")
    with_backlog = resumed()
    assert (with_backlog - before).total() == 1
    for _ in range(4):
        paused_pass(here)
    assert (resumed() - with_backlog).total() == 4 * 3


def test_of_what_is_listed_only_that_which_waits_for_credits_goes_on(here: Office) -> None:
    """The pause itself is listed beside it, and schedules that are not carried over."""
    run, rule_pass = here.paused_run(), paused_pass(here)
    change_waits(here)
    here.spend_all()
    attend(here.room(), here.workspace_id)
    room = here.room()
    definition = replace(here.put("hourly").definition, expression="rate(2 hours)")
    seen = room.schedules.schedules.get(here.workspace_id, "hourly")
    room.schedules.schedules.put(here.workspace_id, "hourly", definition, here.account.clock(), seen=seen)
    listed = room.waiting.for_credits(here.workspace_id)
    assert [(entry.kind, entry.name) for entry in listed] == [
        (Waits.BACKLOG, "backlog"),
        (Waits.PASS, rule_pass.pass_id),
        (Waits.RUN, run.run_id),
    ]
    everything = [entry for shard in range(16) for entry in room.waiting.of_shard(shard)]
    kinds = Counter(entry.kind for entry in everything if entry.workspace_id == here.workspace_id)
    assert kinds == dict.fromkeys(Waits, 1)


def test_without_time_the_rest_goes_on_in_another_invocation(here: Office) -> None:
    change_waits(here)
    rule_pass = paused_pass(here)
    first = attend(here.room(), here.workspace_id, lambda: True)
    assert isinstance(first, Unfinished)
    assert (backlog(here).leg, pass_now(here, rule_pass).state) == (1, PassState.PAUSED)
    assert attend(here.room(), here.workspace_id, lambda: False, first) == Done(AutomationState.ACTIVE)
    assert pass_now(here, rule_pass).state is PassState.RUNNING


# --- one credit is left, and a firing costs two ---


def test_one_credit_that_nothing_can_use_brings_nobody_until_there_are_more(here: Office) -> None:
    change_waits(here)
    rule_pass = paused_pass(here)
    leave(here, 1)
    assert calls(here) == []
    room, line = on_a_line(here)
    assert attend(room, here.workspace_id) == Done(AutomationState.ACTIVE)
    assert Counter(line.requests)["UpdateItem"] == 1  # that it is active; no doorbell
    assert (backlog(here).leg, pass_now(here, rule_pass).state) == (0, PassState.PAUSED)

    here.top_up(1)
    assert calls(here) == [Call(here.workspace_id)]
    attend(here.room(), here.workspace_id)
    assert (backlog(here).leg, pass_now(here, rule_pass).state) == (1, PassState.RUNNING)


def test_a_run_that_waits_beside_it_goes_on_for_one_credit(here: Office) -> None:
    run = here.paused_run()
    change_waits(here)
    leave(here, 1)
    assert calls(here) == [Call(here.workspace_id)]
    attend(here.room(), here.workspace_id)
    assert here.run_state(run.run_id) is RunState.RUNNING
    assert backlog(here).leg == 0


def test_a_pass_that_needs_more_stays_where_it_is(here: Office) -> None:
    rule_pass = paused_pass(here, needed=22)
    leave(here, 21)
    attend(here.room(), here.workspace_id)
    assert pass_now(here, rule_pass).state is PassState.PAUSED
    here.top_up(1)
    attend(here.room(), here.workspace_id)
    assert pass_now(here, rule_pass).state is PassState.RUNNING


# --- what the stream tells the guard of ---


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.tuples(st.booleans(), st.integers(1, 40)), max_size=15), starter=st.integers(0, 60))
def test_of_all_that_happens_to_a_balance_top_ups_and_its_end_call_the_guard(
    steps: list[tuple[bool, int]], starter: int, open_account: Callable[[int], Account]
) -> None:
    account = open_account(starter)
    before = item_of(account)
    for number, (is_top_up, credits) in enumerate(steps):
        if is_top_up:
            account.ledger().grant(account.a_grant(f"grant-{number}", credits))
        else:
            # What is not there is owed.
            plan = replace(account.plan(f"charge-{number}", 0, owe_up_to=100), credits=credits, writes=(), actions={})
            account.ledger().commit(plan)
        after = item_of(account)
        available, was_available = int(after["available"]["N"]), int(before["available"]["N"])
        expected = (is_top_up and available > 0) or (was_available > 0 and available == 0)
        assert calls_the_guard(before, after) is expected, (before, after)
        before = after


def item_of(account: Account) -> dict[str, Any]:
    key = keys.balance(account.workspace_id).attributes()
    answer = plain_dynamodb(account.world).get_item(TableName=account.world.credit_table, Key=key, ConsistentRead=True)
    return dict(answer["Item"])


def calls_the_guard(before: dict[str, Any], after: dict[str, Any]) -> bool:
    record = {"dynamodb": {"Keys": {"sk": after["sk"]}, "OldImage": before, "NewImage": after}}
    return any(matches(pattern, record) for pattern in filters_of("CreditGuard", "Balance"))


# --- what the sweep finds ---


@pytest.mark.parametrize("waits", [change_waits, paused_pass])
def test_the_sweep_finds_what_waits_in_vain_and_leaves_alone_what_waits_for_good_reason(
    here: Office, waits: Callable[[Office], object]
) -> None:
    waits(here)
    assert calls(here) == [Call(here.workspace_id)]
    here.spend_all()
    # Nobody has noted the pause yet.
    assert calls(here) == [Call(here.workspace_id)]
    attend(here.room(), here.workspace_id)
    assert calls(here) == []
    here.top_up()
    assert calls(here) == [Call(here.workspace_id)]
