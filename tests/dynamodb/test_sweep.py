"""The sweep: it finds what a guard that failed has left behind, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from shared.automation.guard import attend, attend_schedule
from shared.automation.sweep import Call, sweep
from shared.credits import Committed, GrantKind
from shared.runs.model import RunState
from tests.dynamodb.test_guard import three_schedules
from tests.support.automation import EVERY_HOUR, Office, office
from tests.support.faults import Killed
from tests.support.money import Account


@pytest.fixture
def here(open_account: Callable[[int], Account]) -> Iterator[Office]:
    """A workspace of 100 credits with three schedules."""
    with three_schedules(open_account(100)) as opened:
        yield opened


class Deaf:
    """Ends the process that wants to announce something."""

    def announce(self, _announcement: object) -> None:
        raise Killed


def calls(here: Office) -> list[Call]:
    """What the sweep finds of this workspace; other stories leave things in the index, too."""
    return [call for call in sweep(here.room()) if call.workspace_id == here.workspace_id]


def test_finds_nothing_where_all_is_well(here: Office) -> None:
    assert calls(here) == []
    here.spend_all()
    attend(here.room(), here.workspace_id)
    here.paused_run()
    assert calls(here) == []


def test_finds_what_fires_and_must_not(here: Office) -> None:
    here.spend_all()
    assert calls(here) == [Call(here.workspace_id)]


def test_finds_what_should_fire_and_does_not(here: Office) -> None:
    here.spend_all()
    attend(here.room(), here.workspace_id)
    here.top_up()
    assert calls(here) == [Call(here.workspace_id)]
    attend(here.room(), here.workspace_id)
    assert calls(here) == []


def test_finds_what_expiry_has_exhausted(open_account: Callable[[int], Account]) -> None:
    with office(open_account(0)) as here:
        account = here.account
        account.ledger().grant(account.a_grant("short", 10, GrantKind.PROMOTIONAL, lasts=timedelta(hours=1)))
        here.put("hourly")
        assert calls(here) == []
        account.clock.advance(hours=2)
        assert calls(here) == [Call(here.workspace_id)]
        attend(here.room(), here.workspace_id)
        assert here.states() == {"hourly": "DISABLED"}
        # Booked: the account shows zero, and how low it is.
        balance = account.balance()
        assert (balance.available, balance.expired, balance.level) == (0, 10, 5)
        account.check_the_books()


def test_finds_what_has_lapsed_beside_credits_that_are_left(open_account: Callable[[int], Account]) -> None:
    """The call at that moment was lost, or came early."""
    with office(open_account(5)) as here:
        account = here.account
        account.ledger().grant(account.a_grant("short", 10, GrantKind.PROMOTIONAL, lasts=timedelta(hours=1)))
        here.put("hourly")
        assert calls(here) == []
        account.clock.advance(hours=2)
        assert calls(here) == [Call(here.workspace_id)]
        attend(here.room(), here.workspace_id)
        balance = account.balance()
        assert (balance.available, balance.expired, here.states()) == (5, 10, {"hourly": "ENABLED"})
        assert calls(here) == []
        account.check_the_books()


def test_finds_a_pause_that_nobody_was_told_of(here: Office) -> None:
    here.spend_all()
    with pytest.raises(Killed):
        attend(replace(here.room(), announcer=Deaf()), here.workspace_id)
    assert calls(here) == [Call(here.workspace_id)]
    attend(here.room(), here.workspace_id)
    assert here.told.kinds == ["Automation Paused"]
    assert calls(here) == []


def test_finds_a_pause_that_was_never_noted(open_account: Callable[[int], Account]) -> None:
    """Credits ended beside others that had lapsed, so the stream told nobody; and no schedule shows it."""
    with office(open_account(10)) as here:
        account = here.account
        account.ledger().grant(account.a_grant("short", 5, GrantKind.PROMOTIONAL, lasts=timedelta(hours=1)))
        account.clock.advance(hours=2)
        assert isinstance(account.ledger().commit(account.plan("all that is left", 10)), Committed)
        run = here.paused_run()
        assert account.balance().available == 5
        assert calls(here) == [Call(here.workspace_id)]
        attend(here.room(), here.workspace_id)
        assert here.told.kinds == ["Automation Paused"]
        assert here.run_state(run.run_id) is RunState.PAUSED
        assert account.balance().available == 0
        assert calls(here) == []


def test_finds_a_schedule_that_was_never_carried_over(here: Office) -> None:
    """EventBridge Scheduler was away for longer than the queue tries."""
    schedules = here.room().schedules.schedules
    daily, now = replace(EVERY_HOUR, expression="rate(1 day)"), here.account.clock()
    schedules.put(here.workspace_id, "lost", EVERY_HOUR, now, seen=None)
    schedules.put(here.workspace_id, "hourly", daily, now, seen=schedules.get(here.workspace_id, "hourly"))
    assert sorted(calls(here), key=str) == [
        Call(here.workspace_id, "hourly"),
        Call(here.workspace_id, "lost"),
    ]
    for call in calls(here):
        attend_schedule(here.room(), call.workspace_id, str(call.schedule_id))
    assert here.states()["lost"] == "ENABLED"
    assert here.copies()["hourly"]["ScheduleExpression"] == "rate(1 day)"
    assert calls(here) == []


def test_finds_a_run_that_waits_in_vain(here: Office) -> None:
    run = here.paused_run()
    assert calls(here) == [Call(here.workspace_id)]
    attend(here.room(), here.workspace_id)
    assert here.run_state(run.run_id) is RunState.RUNNING
    assert calls(here) == []


def test_finds_a_copy_that_belongs_to_nothing(here: Office) -> None:
    schedule = here.put("stray")
    here.room().schedules.schedules.delete(here.workspace_id, "stray")
    assert calls(here) == [Call(here.workspace_id, "stray")]
    assert schedule.schedule_id in here.states()


def test_finds_an_end_of_a_pause_that_nobody_was_told_of(here: Office) -> None:
    here.spend_all()
    attend(here.room(), here.workspace_id)
    here.top_up()
    with pytest.raises(Killed):
        attend(replace(here.room(), announcer=Deaf()), here.workspace_id)
    assert calls(here) == [Call(here.workspace_id)]
    attend(here.room(), here.workspace_id)
    assert here.told.kinds == ["Automation Paused", "Automation Resumed"]
    assert calls(here) == []
