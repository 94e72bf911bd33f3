"""Grants that expire: the schedule comes before the grant, and what it calls books what is left, once."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from botocore.exceptions import ClientError

from functions.grant_expiry import handler as expiry
from shared.credits import (
    Granted,
    GrantKind,
    GrantReferenceReused,
    GrantReplayed,
    Ledger,
    OperationIdReused,
    OperationKind,
    Replayed,
    UnknownWorkspace,
)
from shared.credits.restitutions import Restored
from shared.schedules.scheduler import scheduler_client
from shared.workspaces.corrections import Correction, correct
from shared.workspaces.expiries import LATEST, ExpiresInThePast, Expiries, ExpirySettings
from shared.workspaces.top_ups import TopUp, top_up
from tests.support.faults import Killed, Line, killed_after_sending, killed_before_sending, over_quota
from tests.support.functions import Context
from tests.support.money import Account, HandClock, World

if TYPE_CHECKING:
    from mypy_boto3_scheduler import EventBridgeSchedulerClient

OpenAccount = Callable[[int], Account]

FAR = datetime(2190, 1, 1, 12, 0, 0, 500_000, tzinfo=UTC)
"""The embedded Scheduler goes by its own clock: what is to stay there must be far off."""


@dataclass
class Timetable:
    """A schedule group of one story's own."""

    world: World
    group: str

    def client(self) -> EventBridgeSchedulerClient:
        return scheduler_client(**self.world.access)

    def expiries(self, client: EventBridgeSchedulerClient | None = None) -> Expiries:
        settings = ExpirySettings(
            group=self.group,
            function_arn="arn:aws:lambda:us-east-1:000000000000:function:expiry",
            role_arn="arn:aws:iam::000000000000:role/scheduler",
            dead_letters_arn="arn:aws:sqs:us-east-1:000000000000:lost",
        )
        return Expiries(settings, lambda: client or self.client())

    def schedules(self) -> list[dict[str, Any]]:
        client = self.client()
        names = [each["Name"] for each in client.list_schedules(GroupName=self.group)["Schedules"]]
        return [dict(client.get_schedule(GroupName=self.group, Name=name)) for name in sorted(names)]


@pytest.fixture
def timetable(world: World) -> Iterator[Timetable]:
    group = f"expiries-{uuid4().hex[:12]}"
    client = scheduler_client(**world.access)
    client.create_schedule_group(Name=group)
    yield Timetable(world, group)
    client.delete_schedule_group(Name=group)


def an_order(account: Account, reference: str = "inv-1", **changes: Any) -> TopUp:
    order = TopUp(
        workspace_id=account.workspace_id,
        kind=GrantKind.PROMOTIONAL,
        credits=100,
        unit_price=Decimal("0.01"),
        currency="EUR",
        reference=reference,
        expires_at=FAR,
    )
    return replace(order, **changes)


def a_correction(account: Account, **changes: Any) -> Correction:
    wanted = Correction(
        workspace_id=account.workspace_id,
        credits=30,
        reference="ticket 7",
        reason="the import ran twice",
        unit_price=Decimal(0),
        currency="EUR",
        expires_at=FAR,
    )
    return replace(wanted, **changes)


# --- the schedule and the grant ---


def test_a_grant_that_expires_has_a_schedule_that_fires_once_just_after_it(
    open_account: OpenAccount, timetable: Timetable, clock: HandClock
) -> None:
    account = open_account(10)
    given = top_up(account.ledger(), timetable.expiries(), an_order(account), clock())
    assert isinstance(given, Granted)
    (schedule,) = timetable.schedules()
    assert schedule["Name"].startswith(f"{given.grant.grant_id}.")
    assert (schedule["ScheduleExpression"], schedule["ActionAfterCompletion"]) == ("at(2190-01-01T12:00:02)", "DELETE")
    assert schedule["FlexibleTimeWindow"] == {"Mode": "OFF"}
    target = schedule["Target"]
    assert json.loads(target["Input"]) == {"workspace_id": account.workspace_id, "grant_id": given.grant.grant_id}
    assert target["DeadLetterConfig"] == {"Arn": "arn:aws:sqs:us-east-1:000000000000:lost"}


def test_a_replay_makes_no_other_schedule_and_a_reference_for_other_terms_none(
    open_account: OpenAccount, timetable: Timetable, clock: HandClock
) -> None:
    account = open_account(10)
    expiries, order = timetable.expiries(), an_order(account, priority=7)
    first = top_up(account.ledger(), expiries, order, clock())
    assert isinstance(first, Granted)
    assert first.grant.priority == 7
    assert top_up(account.ledger(), expiries, order, clock()) == GrantReplayed(first.grant)
    others: list[dict[str, Any]] = [
        {"expires_at": FAR + timedelta(days=1)},
        {"credits": 99},
        {"priority": 8},
        {"priority": None},
    ]
    for other in others:
        assert top_up(account.ledger(), expiries, replace(order, **other), clock()) == GrantReferenceReused(first.grant)
    assert len(timetable.schedules()) == 1


def test_a_replay_is_known_when_its_credits_have_expired_and_a_new_one_is_refused(
    open_account: OpenAccount, timetable: Timetable, clock: HandClock
) -> None:
    account, expiries = open_account(10), timetable.expiries()
    order = an_order(account)
    first = top_up(account.ledger(), expiries, order, clock())
    assert isinstance(first, Granted)
    clock.now = FAR + timedelta(days=2)
    assert top_up(account.ledger(), expiries, order, clock()) == GrantReplayed(first.grant)
    assert top_up(account.ledger(), expiries, replace(order, credits=1), clock()) == GrantReferenceReused(first.grant)
    assert top_up(account.ledger(), expiries, an_order(account, "inv-2"), clock()) == ExpiresInThePast(FAR)


@pytest.mark.parametrize("change", [{"expires_at": None}, {"expires_at": LATEST}])
def test_what_never_expires_needs_no_schedule(
    open_account: OpenAccount, timetable: Timetable, clock: HandClock, change: dict[str, Any]
) -> None:
    account = open_account(10)
    assert isinstance(top_up(account.ledger(), timetable.expiries(), an_order(account, **change), clock()), Granted)
    assert timetable.schedules() == []


def test_what_is_refused_leaves_no_schedule(open_account: OpenAccount, timetable: Timetable, clock: HandClock) -> None:
    account, expiries = open_account(10), timetable.expiries()
    nobody = UnknownWorkspace("ws_none")
    assert top_up(account.ledger(), expiries, an_order(account, workspace_id="ws_none"), clock()) == nobody
    wrong = a_correction(account, workspace_id="ws_none")
    assert correct(account.ledger(), expiries, wrong, repr, clock()) == nobody
    past = clock()
    assert top_up(account.ledger(), expiries, an_order(account, expires_at=past), clock()) == ExpiresInThePast(past)
    wrong = a_correction(account, expires_at=past)
    assert correct(account.ledger(), expiries, wrong, repr, clock()) == ExpiresInThePast(past)
    assert timetable.schedules() == []


def test_whoever_dies_between_schedule_and_grant_leaves_a_schedule_that_does_no_harm(
    open_account: OpenAccount, timetable: Timetable, clock: HandClock
) -> None:
    account = open_account(10)
    dynamodb = account.world.dynamodb()
    Line(dynamodb, script=lambda _index, name: killed_before_sending if name == "TransactWriteItems" else None)
    with pytest.raises(Killed):
        top_up(account.ledger(dynamodb), timetable.expiries(), an_order(account), clock())
    assert account.balance().available == 10
    assert len(timetable.schedules()) == 1
    # The operator thinks again: the reference was never used.
    later = an_order(account, expires_at=FAR + timedelta(days=1))
    assert isinstance(top_up(account.ledger(), timetable.expiries(), later, clock()), Granted)
    expressions = [each["ScheduleExpression"] for each in timetable.schedules()]
    assert expressions == ["at(2190-01-01T12:00:02)", "at(2190-01-02T12:00:02)"]


@pytest.mark.parametrize("fault", [killed_before_sending, killed_after_sending])
def test_no_grant_is_given_whose_schedule_may_not_be_there(
    open_account: OpenAccount, timetable: Timetable, clock: HandClock, fault: Any
) -> None:
    account = open_account(10)
    scheduler = timetable.client()
    Line(scheduler, script=lambda _index, _operation: fault)
    with pytest.raises(Killed):
        top_up(account.ledger(), timetable.expiries(scheduler), an_order(account), clock())
    assert account.balance().available == 10
    assert isinstance(top_up(account.ledger(), timetable.expiries(), an_order(account), clock()), Granted)
    assert (account.balance().available, len(timetable.schedules())) == (110, 1)


def test_no_grant_is_given_when_there_is_no_room_for_its_schedule(
    open_account: OpenAccount, timetable: Timetable, clock: HandClock
) -> None:
    account = open_account(10)
    scheduler = timetable.client()
    Line(scheduler, script=lambda _index, _operation: over_quota)
    with pytest.raises(ClientError):
        top_up(account.ledger(), timetable.expiries(scheduler), an_order(account), clock())
    assert account.balance().available == 10


# --- corrections ---


def test_a_correction_that_expires_has_a_schedule_and_is_replayed_after_it(
    open_account: OpenAccount, timetable: Timetable, clock: HandClock
) -> None:
    account, expiries = open_account(10), timetable.expiries()
    first = correct(account.ledger(), expiries, a_correction(account), repr, clock())
    assert isinstance(first, Restored)
    assert len(timetable.schedules()) == 1
    clock.now = FAR + timedelta(days=1)
    again = correct(account.ledger(), expiries, a_correction(account), repr, clock())
    assert again == Replayed(first.operation.operation_id, repr(first))
    other = correct(account.ledger(), expiries, a_correction(account, credits=31), repr, clock())
    assert isinstance(other, OperationIdReused)
    assert len(timetable.schedules()) == 1


# --- what the schedule calls ---


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch) -> Callable[[Account, str], Any]:
    """Calls the function as EventBridge Scheduler does."""

    def invoke(account: Account, grant_id: str) -> Any:
        monkeypatch.setattr(expiry, "ledger", account.ledger)
        return expiry.handler({"workspace_id": account.workspace_id, "grant_id": grant_id}, Context())  # type: ignore[arg-type]

    return invoke


def brief(account: Account, reference: str, credits: int, **lasts: float) -> str:
    grant = account.a_grant(reference, credits, GrantKind.PROMOTIONAL, lasts=timedelta(**lasts))
    assert isinstance(account.ledger().grant(grant), Granted)
    return grant.grant_id


def test_what_is_left_at_the_moment_is_booked_once_however_often_it_is_called(
    open_account: OpenAccount, clock: HandClock, call: Callable[[Account, str], Any]
) -> None:
    account = open_account(0)
    grant_id = brief(account, "brief", 50, hours=1)
    account.ledger().commit(account.plan("charge", 20))
    clock.advance(hours=1, seconds=2)
    for _ in range(3):
        assert call(account, grant_id) == {"available": 0, "expired": 30}
    (entry,) = [each for each in account.operations() if each.kind is OperationKind.EXPIRY]
    assert [(draw.grant_id, draw.credits) for draw in entry.withdrawn] == [(grant_id, 30)]
    account.check_the_figures(account.balance(), account.operations())


def test_a_call_that_comes_early_fails_so_that_it_comes_again(
    open_account: OpenAccount, clock: HandClock, call: Callable[[Account, str], Any]
) -> None:
    account = open_account(5)
    grant_id, other = brief(account, "brief", 50, hours=2), brief(account, "first", 7, hours=1)
    clock.advance(hours=1)
    with pytest.raises(expiry.TooEarly):
        call(account, grant_id)
    # What was due was booked all the same.
    assert (account.balance().available, account.balance().expired) == (55, 7)
    assert call(account, other) == {"available": 55, "expired": 7}
    clock.advance(hours=1)
    assert call(account, grant_id) == {"available": 5, "expired": 57}


def test_a_schedule_that_is_left_over_finds_nothing_to_do(
    open_account: OpenAccount, clock: HandClock, call: Callable[[Account, str], Any]
) -> None:
    account = open_account(5)
    clock.advance(hours=1)
    assert call(account, "gr_never_given") == {"available": 5, "expired": 0}
    assert account.operations() == []
    assert call(replace(account, workspace_id="ws_none"), "gr_never_given") is None


def test_many_calls_at_the_same_moment_book_each_grant_once(open_account: OpenAccount, clock: HandClock) -> None:
    account = open_account(3)
    for number in range(12):
        brief(account, f"brief {number}", 4, hours=1)
    clock.advance(hours=2)
    ledgers: list[Ledger] = [account.ledger() for _ in range(12)]
    with ThreadPoolExecutor(12) as pool:
        list(pool.map(lambda ledger: ledger.book_lapsed(account.workspace_id), ledgers))
    assert (account.balance().available, account.balance().expired) == (3, 48)
    assert len(account.operations()) == 12
    account.check_the_figures(account.balance(), account.operations())
