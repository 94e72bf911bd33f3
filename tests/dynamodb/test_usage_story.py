"""Usage of any history that the ledger can write, in all its groupings: whatever becomes of the stream's records, it is
the log, and what was there at the end of a day is what was there then.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from functions.api.models.operations import OperationView
from functions.api.models.usage import UsageView
from functions.credit_follower.handler import entries
from shared import keys
from shared.channels import Channel
from shared.credits import Action, GrantKind, OperationKind, Plan, RecordCounts
from shared.credits.model import RefusalReason
from shared.credits.restitutions import Restitution
from shared.credits.withdrawals import Withdrawal
from shared.ids import fingerprint, operation_id
from shared.usage import Grouping, Period, UsageCounter, UsageReport, UsageRoom, UsageStore, usage_of
from tests.support.faults import Killed, Line, Script, killed_after_sending, killed_before_sending
from tests.support.money import AT_ONCE, MORNING, Account, HandClock, World, plain_dynamodb
from tests.support.recount import RecountedFigures, usage_by

CAP = 15
LAST_INSTANT = timedelta(milliseconds=1)
PRICES = ("0", "0.0047", "0.0123", "0.000000000031")
JOBS, ACTORS, ENTITIES = (None, "main", "nightly"), (None, "key_a", "anna"), ("product", "category", "brand")

counts = st.builds(RecordCounts, created=st.integers(0, 4), updated=st.integers(0, 4), unchanged=st.integers(0, 9))
charges = st.fixed_dictionaries(
    {
        "does": st.just("charge"),
        "kind": st.sampled_from([OperationKind.API_CALL, OperationKind.IMPORT, OperationKind.RULE]),
        "trigger": st.integers(0, 3),
        "job": st.sampled_from(JOBS),
        "actor": st.sampled_from(ACTORS),
        "records": st.dictionaries(st.sampled_from(ENTITIES), counts, max_size=3),
        "owing": st.booleans(),
    }
)
top_ups = st.fixed_dictionaries(
    {
        "does": st.just("top_up"),
        "credits": st.integers(1, 30),
        "price": st.sampled_from(PRICES),
        "currency": st.sampled_from(["EUR", "USD"]),
        "hours": st.none() | st.integers(1, 200),
        "priority": st.integers(1, 3),
    }
)
takings = st.fixed_dictionaries(
    {
        "does": st.just("take"),
        "kind": st.sampled_from([OperationKind.VOID, OperationKind.CORRECTION]),
        "credits": st.integers(1, 12),
    }
)
givings = st.fixed_dictionaries(
    {"does": st.just("give"), "credits": st.integers(1, 12), "price": st.sampled_from(PRICES)}
)
waits = st.fixed_dictionaries({"does": st.just("wait"), "hours": st.integers(1, 300)})
others = st.sampled_from([{"does": "refuse"}, {"does": "repeat"}, {"does": "book"}])
histories = st.lists(st.one_of(charges, charges, top_ups, takings, givings, waits, others), min_size=1, max_size=25)


@dataclass
class History:
    """What happens to one account, and what was there at the end of each day."""

    account: Account
    ended: dict[str, int] = field(default_factory=dict)
    granted: dict[str, int] = field(default_factory=dict)
    plans: list[Plan] = field(default_factory=list)
    number: int = 0

    def __post_init__(self) -> None:
        self.ledger = self.account.ledger()
        self._came(self.account.starter)

    @property
    def now(self) -> datetime:
        return self.account.clock()

    def play(self, step: dict[str, Any]) -> None:
        self.number += 1
        # No two things happen at one moment.
        self.account.clock.advance(seconds=1)
        getattr(self, step["does"])(**{name: value for name, value in step.items() if name != "does"})

    def charge(
        self,
        kind: OperationKind,
        trigger: int,
        job: str | None,
        actor: str | None,
        records: dict[str, RecordCounts],
        owing: bool,
    ) -> None:
        priced = {
            entity: RecordCounts(each.created, each.updated, each.unchanged, 0, each.created + each.updated)
            for entity, each in records.items()
        }
        credits = trigger + sum(each.credits for each in priced.values())
        self._commit(kind, credits, job, actor, records=priced, owe_up_to=CAP if owing else 0)

    def refuse(self) -> None:
        self._commit(OperationKind.SCHEDULED_JOB, 0, "nightly", "nightly", refused=RefusalReason.FEED_DELETED)

    def repeat(self) -> None:
        """The first of all plans, again: whatever became of it, it is decided now."""
        if self.plans:
            self.ledger.commit(self.plans[0])

    def top_up(self, credits: int, price: str, currency: str, hours: int | None, priority: int) -> None:
        kind = GrantKind.PAID if Decimal(price) else GrantKind.PROMOTIONAL
        lasts = None if hours is None else timedelta(hours=hours)
        reference = f"grant {self.number}"
        given = self.account.a_grant(reference, credits, kind, price=price, lasts=lasts, priority=priority)
        self.ledger.grant(_in(given, currency))
        self._came(credits)

    def take(self, kind: Literal[OperationKind.VOID, OperationKind.CORRECTION], credits: int) -> None:
        """Or nothing, when there is less."""
        wanted = Withdrawal(
            workspace_id=self.account.workspace_id,
            kind=kind,
            reference=f"taken {self.number}",
            reason="by mistake",
            at=self.now,
            credits=credits,
        )
        self.ledger.withdraw(wanted, lambda _operation: "")

    def give(self, credits: int, price: str) -> None:
        wanted = Restitution(
            workspace_id=self.account.workspace_id,
            credits=credits,
            unit_price=Decimal(price),
            currency="EUR",
            reference=f"given {self.number}",
            reason="ran twice",
            at=self.now,
        )
        self.ledger.restore(wanted, lambda _restored: "")
        self._came(credits)

    def book(self) -> None:
        self.ledger.book_lapsed(self.account.workspace_id)

    def wait(self, hours: int) -> None:
        """Looks at the account at the last instant of each day that passes."""
        until = self.now + timedelta(hours=hours)
        while self.now.date() < until.date():
            midnight = datetime.combine(self.now.date() + timedelta(days=1), datetime.min.time(), UTC)
            self._look(midnight - LAST_INSTANT)
            self.account.clock.now = midnight
        self.account.clock.now = until

    def end(self) -> None:
        self.account.clock.advance(seconds=1)
        self.book()
        self._look(self.now)

    def _look(self, at: datetime) -> None:
        self.ended[at.date().isoformat()] = self.account.balance().spendable(at)

    def _came(self, credits: int) -> None:
        day = self.now.date().isoformat()
        self.granted[day] = self.granted.get(day, 0) + credits

    def _commit(self, kind: OperationKind, credits: int, job: str | None, actor: str | None, **more: Any) -> None:
        name = f"op {self.number}"
        plan = Plan(
            operation_id=operation_id(self.now, self.account.workspace_id, name),
            workspace_id=self.account.workspace_id,
            kind=kind,
            channel=Channel.API,
            at=self.now,
            credits=credits,
            fingerprint=fingerprint(name),
            actions={Action.API_CALL: credits} if credits else {},
            job_id=job,
            actor=actor,
            **more,
        )
        self.plans.append(plan)
        self.ledger.commit(plan)


def _in(grant: Any, currency: str) -> Any:
    return type(grant)(**{name: getattr(grant, name) for name in grant.__slots__} | {"currency": currency})


def stream_of(account: Account) -> list[dict[str, Any]]:
    """The records by which the credit table's stream would tell of the log."""
    client, day, found = plain_dynamodb(account.world), MORNING, []
    while day.date() <= account.clock().date():
        pages = client.get_paginator("query").paginate(
            TableName=account.world.credit_table,
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": {"S": keys.operations_of_day(account.workspace_id, day)}},
        )
        found += [item for page in pages for item in page["Items"]]
        day += timedelta(days=1)
    return [{"dynamodb": {"SequenceNumber": str(number), "NewImage": item}} for number, item in enumerate(found)]


def deliver(data: st.DataObject, world: World, clock: HandClock, records: list[dict[str, Any]]) -> None:
    """Every record at least once, in any order and any batches, to counters of which some are killed. What was not
    counted for certain is offered again, as the stream does.
    """
    again = data.draw(st.lists(st.sampled_from(records), max_size=10)) if records else []
    waiting = data.draw(st.permutations(records + again))
    while waiting:
        size = data.draw(st.integers(1, len(waiting)))
        end = data.draw(st.none() | st.tuples(st.integers(0, 2), st.sampled_from([0, 1])))
        batch, waiting = waiting[:size], waiting[size:]
        with suppress(Killed):
            _counter(world, clock, end).count(operation for _, operation in entries(batch))
            continue
        _counter(world, clock, None).count(operation for _, operation in entries(batch))


def _counter(world: World, clock: HandClock, end: tuple[int, int] | None) -> UsageCounter:
    """Another process, that is killed at the request of this number, before it is sent or after."""
    client = world.dynamodb()
    if end is not None:
        request, way = end
        kill = (killed_before_sending, killed_after_sending)[way]
        script: Script = lambda index, _operation: kill if index == request else None  # noqa: E731
        Line(client, script=script)
    return UsageCounter(client, world.usage_table, clock, AT_ONCE)


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data(), starter=st.integers(0, 40), steps=histories)
def test_usage_is_the_log_of_any_history(
    world: World, data: st.DataObject, starter: int, steps: list[dict[str, Any]]
) -> None:
    clock = HandClock()
    history = History(Account(world, starter, clock))
    for step in steps:
        history.play(step)
    history.end()
    records = stream_of(history.account)
    deliver(data, world, clock, records)
    log = [OperationView.of(operation).model_dump() for operation in history.account.operations()]
    assert len(log) == len(records)

    first = data.draw(st.dates(MORNING.date() - timedelta(days=3), clock().date()))
    last = data.draw(st.dates(first, clock().date() + timedelta(days=3)))
    for period in (Period(MORNING.date(), clock().date()), Period(first, last)):
        check(history, period, log)


def check(history: History, period: Period, log: list[dict[str, Any]]) -> None:
    """That usage of a period is a recount of it, whatever it is grouped by."""
    account = history.account
    store = UsageStore(plain_dynamodb(account.world), account.world.usage_table)
    room = UsageRoom(store, account.ledger())
    inside = [entry for entry in log if period.first <= date.fromisoformat(entry["at"][:10]) <= period.last]
    kinds = {grant.grant_id: grant.kind.value for grant in account.ledger().grants(account.workspace_id)}
    totals = []
    for grouping in Grouping:
        report = usage_of(room, account.workspace_id, period, grouping, history.now)
        assert isinstance(report, UsageReport)
        view = UsageView.of(report).model_dump()
        told = {group["value"]: RecountedFigures.told(group) for group in view["groups"]}
        wanted = usage_by(grouping.value, inside, kinds)
        assert {value: figures for value, figures in told.items() if figures.numbers} == wanted
        assert view["pending_credits"] == 0
        totals.append(RecountedFigures.told(view["total"]))
        if grouping is Grouping.DAY:
            check_days(history, view["groups"])
    assert all(total == totals[0] for total in totals)
    assert [totals[0]] == (list(_whole(inside, kinds)) or [RecountedFigures()])


def _whole(inside: list[dict[str, Any]], kinds: dict[str, str]) -> list[RecountedFigures]:
    """All of the entries as those of one month."""
    return list(usage_by("month", [entry | {"at": "2026-01"} for entry in inside], kinds).values())


def check_days(history: History, groups: list[dict[str, Any]]) -> None:
    for group in groups:
        day = group["value"]
        assert (day, group["available"]) == (day, history.ended[day])
        assert group["granted"] == history.granted.get(day, 0)
