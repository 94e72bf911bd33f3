"""Putting schedules that EventBridge Scheduler does not take."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from botocore.exceptions import ClientError

from shared.automation.guard import attend_schedule
from shared.schedules.commands import NotTaken, ScheduleRoom, put_schedule
from shared.schedules.model import Schedule, ScheduleDefinition
from tests.support.automation import EVERY_HOUR, Office, office
from tests.support.faults import Fault, Line, not_valid, over_quota
from tests.support.money import Account

REASON = "Invalid Schedule Expression."
NOT_TAKEN = not_valid(REASON)
NIGHTLY = replace(EVERY_HOUR, expression="cron(0 3 * * ? *)")


@pytest.fixture
def here(open_account: Callable[[int], Account]) -> Iterator[Office]:
    with office(open_account(100)) as opened:
        yield opened


def refusing(
    here: Office, operation: str, fault: Fault, meanwhile: Callable[[], object] = lambda: None
) -> ScheduleRoom:
    """A room whose EventBridge Scheduler refuses an operation once, after something else has happened."""
    dynamodb, scheduler = here.clients()
    refused: list[str] = []

    def script(_index: int, asked: str) -> Fault | None:
        if asked != operation or refused:
            return None
        refused.append(asked)
        meanwhile()
        return fault

    Line(scheduler, script=script)
    return here.room(dynamodb, scheduler).schedules


def put(here: Office, room: ScheduleRoom, definition: ScheduleDefinition) -> object:
    return put_schedule(room, here.workspace_id, "stock", definition, here.account.clock())


def stored(here: Office) -> Schedule | None:
    return here.room().schedules.schedules.get(here.workspace_id, "stock")


def test_a_new_schedule_that_is_not_taken_is_not_there(here: Office) -> None:
    assert put(here, refusing(here, "CreateSchedule", NOT_TAKEN), EVERY_HOUR) == NotTaken(REASON)
    assert stored(here) is None
    assert here.copies() == {}


@pytest.mark.parametrize("fault", [over_quota, not_valid("The execution role you provide must allow to be assumed.")])
def test_what_is_no_fault_of_the_owners_is_not_taken_back(here: Office, fault: Fault) -> None:
    """It stays written, waits to be carried over, and is an error of ours."""
    with pytest.raises(ClientError):
        put(here, refusing(here, "CreateSchedule", fault), EVERY_HOUR)
    now = stored(here)
    assert now is not None
    assert not now.carried_over
    attend_schedule(here.room(), here.workspace_id, "stock")
    now = stored(here)
    assert now is not None
    assert now.carried_over
    assert here.states() == {"stock": "ENABLED"}


def test_what_somebody_else_has_put_before_comes_back(here: Office) -> None:
    """It was put between looking at what stood there and writing."""
    here.put("stock")
    dynamodb, scheduler = here.clients()
    came_between: list[Schedule] = []

    def script(_index: int, asked: str) -> Fault | None:
        if asked == "UpdateItem" and not came_between:
            came_between.append(here.put("stock", description="Somebody else's"))
        return None

    Line(dynamodb, script=script)
    Line(scheduler, script=lambda _index, asked: NOT_TAKEN if asked == "UpdateSchedule" else None)
    room = here.room(dynamodb, scheduler).schedules
    with pytest.raises(ClientError):
        # The copy of what comes back is refused here too; its doorbell carries it over.
        put(here, room, NIGHTLY)
    now = stored(here)
    assert now is not None
    assert now.definition == came_between[0].definition


def test_a_change_that_is_not_taken_leaves_the_schedule_as_it_was(here: Office) -> None:
    made = here.put("stock")
    assert put(here, refusing(here, "UpdateSchedule", NOT_TAKEN), NIGHTLY) == NotTaken(REASON)
    now = stored(here)
    assert now is not None
    assert (now.definition, now.created_at) == (made.definition, made.created_at)
    assert now.version > made.version
    copy = here.copies()["stock"]
    assert copy["ScheduleExpression"] == made.definition.expression
    assert f'"version": {now.version}' in copy["Target"]["Input"]


def test_what_somebody_else_has_put_meanwhile_stays(here: Office) -> None:
    put_meanwhile: list[Schedule] = []

    def meanwhile() -> None:
        put_meanwhile.append(here.put("stock", description="Somebody else's"))

    room = refusing(here, "CreateSchedule", NOT_TAKEN, meanwhile)
    assert put(here, room, NIGHTLY) == NotTaken(REASON)
    assert [stored(here)] == put_meanwhile
    assert here.copies()["stock"]["Description"] == "Somebody else's"
