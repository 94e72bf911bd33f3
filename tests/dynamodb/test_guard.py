"""The credit guard: what it does, what it costs, and that nothing that happens to it or around it leaves it wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from shared.automation.guard import Done, GuardRoom, NotSettled, Unfinished, attend, attend_schedule
from shared.automation.store import AutomationState, AutomationStore
from shared.automation.sweep import sweep
from shared.runs.model import RunState
from tests.support.automation import Office, office, plain_scheduler
from tests.support.faults import (
    Fault,
    Killed,
    Line,
    Script,
    answer_lost,
    killed_after_sending,
    killed_before_sending,
    throttled,
)
from tests.support.money import Account, plain_dynamodb

if TYPE_CHECKING:
    from botocore.awsrequest import AWSPreparedRequest, AWSResponse

    from tests.support.faults import Send

MANY = 40


@contextmanager
def three_schedules(account: Account) -> Iterator[Office]:
    """Two that their owner wants, one that he does not."""
    with office(account) as opened:
        opened.put("hourly")
        opened.put("nightly", expression="cron(0 3 * * ? *)", time_zone="Europe/Rome", description="Every night")
        opened.put("off", enabled=False)
        yield opened


@pytest.fixture
def here(open_account: Callable[[int], Account]) -> Iterator[Office]:
    """A workspace of 100 credits with three schedules."""
    with three_schedules(open_account(100)) as opened:
        yield opened


def on_a_line(here: Office, script: Script = lambda _index, _operation: None) -> tuple[GuardRoom, Line]:
    """A guard whose every request can be seen, cut off or held up."""
    dynamodb, scheduler = here.clients()
    line = Line(dynamodb, scheduler, script=script)
    return here.room(dynamodb, scheduler), line


def at(index: int, fault: Fault) -> Script:
    return lambda number, _operation: fault if number == index else None


def test_exhausted_pauses_and_topped_up_resumes_what_its_owner_wants(here: Office) -> None:
    assert here.states() == {"hourly": "ENABLED", "nightly": "ENABLED", "off": "DISABLED"}
    here.spend_all()
    assert attend(here.room(), here.workspace_id) == Done(AutomationState.PAUSED)
    assert set(here.states().values()) == {"DISABLED"}
    here.top_up()
    assert attend(here.room(), here.workspace_id) == Done(AutomationState.ACTIVE)
    assert here.states() == {"hourly": "ENABLED", "nightly": "ENABLED", "off": "DISABLED"}
    assert here.told.kinds == ["Automation Paused", "Automation Resumed"]


def test_every_field_of_a_schedule_is_as_before(here: Office) -> None:
    """Also those that an operator has changed in EventBridge Scheduler itself, and those that nothing here sets."""
    client = plain_scheduler(here.world)
    name = f"{here.workspace_id}.nightly"
    changed: dict[str, Any] = here.copies()["nightly"]
    for read_only in ("Arn", "CreationDate", "LastModificationDate"):
        del changed[read_only]
    changed |= {
        "Description": "changed by hand",
        "FlexibleTimeWindow": {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 15},
        "StartDate": here.account.clock() + timedelta(days=1),
        "EndDate": here.account.clock() + timedelta(days=9),
        "KmsKeyArn": "arn:aws:kms:us-east-1:000000000000:key/1",
        "ActionAfterCompletion": "DELETE",
    }
    changed["Target"]["RetryPolicy"] = {"MaximumEventAgeInSeconds": 61, "MaximumRetryAttempts": 3}
    client.update_schedule(**changed)
    before = client.get_schedule(GroupName=here.group, Name=name)

    here.spend_all()
    attend(here.room(), here.workspace_id)
    paused = client.get_schedule(GroupName=here.group, Name=name)
    here.top_up()
    attend(here.room(), here.workspace_id)
    after = client.get_schedule(GroupName=here.group, Name=name)

    differs = {"ResponseMetadata", "LastModificationDate"}
    assert {field for field in before if before[field] != paused.get(field)} - differs == {"State"}  # type: ignore[literal-required]
    assert {field for field in before if before[field] != after.get(field)} - differs == set()  # type: ignore[literal-required]
    assert (before["State"], paused["State"]) == ("ENABLED", "DISABLED")


def test_what_its_owner_disables_during_the_pause_stays_disabled(here: Office) -> None:
    here.spend_all()
    attend(here.room(), here.workspace_id)
    here.put("hourly", enabled=False)
    here.put("new-one")
    assert set(here.states().values()) == {"DISABLED"}
    here.top_up()
    attend(here.room(), here.workspace_id)
    assert here.states() == {"hourly": "DISABLED", "nightly": "ENABLED", "off": "DISABLED", "new-one": "ENABLED"}


def test_a_change_that_its_owner_makes_during_the_pause_is_kept(here: Office) -> None:
    here.spend_all()
    attend(here.room(), here.workspace_id)
    here.put("hourly", expression="rate(2 hours)", time_zone="Asia/Tokyo", description="Less often")
    here.top_up()
    attend(here.room(), here.workspace_id)
    copy = here.copies()["hourly"]
    assert copy["ScheduleExpression"] == "rate(2 hours)"
    assert copy["ScheduleExpressionTimezone"] == "Asia/Tokyo"
    assert copy["Description"] == "Less often"
    assert copy["State"] == "ENABLED"


def test_a_schedule_whose_time_has_passed_is_left_alone(here: Office) -> None:
    """EventBridge Scheduler refuses a time that is past, and what fires no more needs nobody to pause it."""
    due = here.account.clock() + timedelta(minutes=5)
    here.put("once", expression=f"at({due:%Y-%m-%dT%H:%M:%S})")
    here.account.clock.advance(minutes=6)
    here.spend_all()
    room, line = on_a_line(here)
    attend(room, here.workspace_id)
    assert Counter(line.requests)["UpdateSchedule"] == 2
    assert here.states() == {"hourly": "DISABLED", "nightly": "DISABLED", "off": "DISABLED", "once": "ENABLED"}
    # Other stories leave things in the index, too.
    assert [call for call in sweep(here.room()) if call.workspace_id == here.workspace_id] == []
    # Put anew, it fires again; put to a time that is past, its old copy must not fire any more.
    here.put("once", expression="rate(1 hour)")
    assert here.states()["once"] == "DISABLED"
    here.put("once", expression=f"at({due:%Y-%m-%dT%H:%M:%S})", enabled=False)
    assert "once" not in here.states()


def test_a_start_that_is_over_is_not_sent_again(here: Office) -> None:
    """EventBridge Scheduler refuses a start of more than five minutes ago."""
    client = plain_scheduler(here.world)
    copy = here.copies()["hourly"]
    for read_only in ("Arn", "CreationDate", "LastModificationDate"):
        del copy[read_only]
    client.update_schedule(**copy | {"StartDate": here.account.clock() + timedelta(minutes=1)})
    here.account.clock.advance(minutes=10)
    here.spend_all()
    attend(here.room(), here.workspace_id)
    assert "StartDate" not in here.copies()["hourly"]


def test_it_costs_two_requests_for_each_schedule_and_a_constant(here: Office) -> None:
    for number in range(MANY):
        here.put(f"more-{number}")
    here.spend_all()
    room, line = on_a_line(here)
    attend(room, here.workspace_id)
    sent = Counter(line.requests)
    assert sent["GetSchedule"] == MANY + 3
    assert sent["UpdateSchedule"] == MANY + 2
    assert len(line.requests) - sent["GetSchedule"] - sent["UpdateSchedule"] <= 10


def test_called_again_it_only_looks(here: Office) -> None:
    here.spend_all()
    attend(here.room(), here.workspace_id)
    room, line = on_a_line(here)
    assert attend(room, here.workspace_id) == Done(AutomationState.PAUSED)
    sent = Counter(line.requests)
    assert (sent["GetSchedule"], sent["UpdateSchedule"]) == (3, 0)
    assert here.told.kinds == ["Automation Paused"]


def test_a_late_call_pauses_nobody_who_has_credits(here: Office) -> None:
    here.spend_all()
    here.top_up()
    attend(here.room(), here.workspace_id)
    assert here.states() == here.should_be()
    assert here.told.kinds == []


def test_throttled_at_one_schedule_it_pauses_the_others_and_comes_again(here: Office) -> None:
    here.spend_all()

    def refuse(request: AWSPreparedRequest, send: Send) -> AWSResponse:
        return throttled(request, send) if request.url.endswith("hourly") else send()

    room, _ = on_a_line(here, lambda _index, operation: refuse if operation == "UpdateSchedule" else None)
    with pytest.raises(NotSettled):
        attend(room, here.workspace_id)
    assert here.states() == {"hourly": "ENABLED", "nightly": "DISABLED", "off": "DISABLED"}
    attend(here.room(), here.workspace_id)
    assert set(here.states().values()) == {"DISABLED"}


@pytest.mark.parametrize("operation", ["UpdateSchedule", "GetSchedule"])
def test_a_lost_answer_is_no_matter(here: Office, operation: str) -> None:
    here.spend_all()
    lost: list[int] = []

    def script(index: int, sent: str) -> Fault | None:
        if sent == operation and not lost:
            lost.append(index)
            return answer_lost
        return None

    room, _ = on_a_line(here, script)
    assert attend(room, here.workspace_id) == Done(AutomationState.PAUSED)
    assert lost
    assert set(here.states().values()) == {"DISABLED"}


def test_without_time_it_hands_over_to_another_invocation(open_account: Callable[[int], Account]) -> None:
    with office(open_account(100)) as here:
        for number in range(90):
            here.put(f"s-{number:02}")
        here.spend_all()
        first = attend(here.room(), here.workspace_id, lambda: True)
        assert isinstance(first, Unfinished)
        room, line = on_a_line(here)
        assert attend(room, here.workspace_id, lambda: False, first) == Done(AutomationState.PAUSED)
        # The second goes on from where the first stopped, and looks at none of its schedules again.
        assert Counter(line.requests)["GetSchedule"] < 90
        assert set(here.states().values()) == {"DISABLED"}


def test_what_failed_before_a_hand_over_is_named(open_account: Callable[[int], Account]) -> None:
    with office(open_account(100)) as here:
        for number in range(30):
            here.put(f"s-{number:02}")
        here.spend_all()

        def refuse(request: AWSPreparedRequest, send: Send) -> AWSResponse:
            return throttled(request, send) if request.url.endswith("s-03") else send()

        room, _ = on_a_line(here, lambda _index, operation: refuse if operation == "UpdateSchedule" else None)
        first = attend(room, here.workspace_id, lambda: True)
        assert isinstance(first, Unfinished)
        assert first.failed == ("s-03",)
        attend_schedule(here.room(), here.workspace_id, "s-03")
        assert here.states()["s-03"] == "DISABLED"


def test_what_its_owner_changed_before_a_hand_over_is_kept(open_account: Callable[[int], Account]) -> None:
    """The change comes between looking at the copy and pausing it, and is carried over before the pause is."""
    with office(open_account(100)) as here:
        for number in range(30):
            here.put(f"s-{number:02}")
        here.spend_all()
        changed: list[str] = []

        def change(request: AWSPreparedRequest, send: Send) -> AWSResponse:
            if request.url.endswith("s-03") and not changed:
                changed.append("s-03")
                here.put("s-03", expression="rate(2 hours)")
            return send()

        room, _ = on_a_line(here, lambda _index, operation: change if operation == "UpdateSchedule" else None)
        assert isinstance(attend(room, here.workspace_id, lambda: True), Unfinished)
        assert here.copies()["s-03"]["ScheduleExpression"] == "rate(2 hours)"
        assert here.states()["s-03"] == "DISABLED"


def test_runs_that_there_is_no_time_for_go_on_in_another_invocation(open_account: Callable[[int], Account]) -> None:
    with office(open_account(100)) as here:
        runs = [here.paused_run().run_id for _ in range(3)]
        first = attend(here.room(), here.workspace_id, lambda: True)
        assert isinstance(first, Unfinished)
        assert sorted(here.run_state(run).value for run in runs) == ["paused", "paused", "running"]
        assert attend(here.room(), here.workspace_id, lambda: False, first) == Done(AutomationState.ACTIVE)
        assert {here.run_state(run) for run in runs} == {RunState.RUNNING}


def test_a_top_up_between_two_invocations_begins_anew(open_account: Callable[[int], Account]) -> None:
    with office(open_account(100)) as here:
        for number in range(70):
            here.put(f"s-{number:02}")
        here.spend_all()
        first = attend(here.room(), here.workspace_id, lambda: True)
        assert isinstance(first, Unfinished)
        here.top_up()
        assert attend(here.room(), here.workspace_id, lambda: False, first) == Done(AutomationState.ACTIVE)
        assert set(here.states().values()) == {"ENABLED"}


@pytest.mark.parametrize("dies", [killed_before_sending, killed_after_sending])
@pytest.mark.parametrize("topped_up", [False, True])
def test_killed_anywhere_the_next_one_ends_it(here: Office, dies: Fault, *, topped_up: bool) -> None:
    run = here.paused_run()
    for index in count():
        # Each time from the other state.
        if topped_up:
            here.spend_all()
            attend(here.room(), here.workspace_id)
            here.pause(run.run_id)
            here.top_up()
        else:
            here.top_up()
            attend(here.room(), here.workspace_id)
            here.spend_all()
            here.pause(run.run_id)
        room, line = on_a_line(here, at(index, dies))
        try:
            attend(room, here.workspace_id)
        except Killed:
            pass
        else:
            # It made fewer requests than that: every one of them has been cut off now.
            assert len(line.requests) <= index
            return
        attend(here.room(), here.workspace_id)
        assert here.states() == here.should_be(), index
        assert here.run_state(run.run_id) is (RunState.RUNNING if topped_up else RunState.PAUSED), index


def racing(here: Office, index: int, meanwhile: Callable[[], object]) -> bool:
    """A guard before whose request number `index` something else happens. False when it made no such request."""
    happened: list[int] = []

    def script(number: int, _operation: str) -> Fault | None:
        if number == index and not happened:
            happened.append(number)
            meanwhile()
        return None

    room, _ = on_a_line(here, script)
    attend(room, here.workspace_id)
    return bool(happened)


def test_a_top_up_racing_with_the_pause_leaves_nobody_paused_who_has_paid(here: Office) -> None:
    run = here.paused_run()

    def topped_up() -> None:
        here.top_up()
        attend(here.room(), here.workspace_id)

    for index in count():
        topped_up()
        here.spend_all()
        here.pause(run.run_id)
        if not racing(here, index, topped_up):
            break
        assert here.states() == {"hourly": "ENABLED", "nightly": "ENABLED", "off": "DISABLED"}, index
        assert here.run_state(run.run_id) is RunState.RUNNING, index


def test_exhaustion_racing_with_the_resume_leaves_nothing_running(here: Office) -> None:
    def exhausted() -> None:
        here.spend_all()
        attend(here.room(), here.workspace_id)

    for index in count():
        exhausted()
        here.top_up()
        if not racing(here, index, exhausted):
            break
        assert set(here.states().values()) == {"DISABLED"}, index


@pytest.mark.parametrize("wanted", [False, True])
def test_an_owner_racing_with_the_guard_gets_what_he_wants(here: Office, *, wanted: bool) -> None:
    for index in count():
        here.spend_all()
        attend(here.room(), here.workspace_id)
        here.put("hourly", enabled=not wanted)
        here.top_up()
        if not racing(here, index, lambda: here.put("hourly", enabled=wanted)):
            break
        assert here.states()["hourly"] == ("ENABLED" if wanted else "DISABLED"), index


def test_a_schedule_deleted_under_the_guard_is_gone(here: Office) -> None:
    for index in count():
        here.put("hourly")
        here.spend_all()
        attend(here.room(), here.workspace_id)
        here.top_up()
        if not racing(here, index, lambda: here.delete("hourly")):
            break
        assert here.states() == here.should_be(), index
        assert "hourly" not in here.states(), index


def test_only_what_was_told_is_taken_back(here: Office) -> None:
    """A pause that is over before it was announced is never announced, and neither is its end."""
    here.spend_all()
    racing(here, 2, here.top_up)
    assert here.told.kinds == []
    record = AutomationStore(plain_dynamodb(here.world), here.world.work_table).get(here.workspace_id)
    assert record is None or record.is_settled


def test_an_account_that_is_not_there_has_no_automation(here: Office) -> None:
    assert attend(here.room(), "ws_01JD0000000000000000000000") == Done(None)
