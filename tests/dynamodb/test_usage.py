"""Figures against the log that they are counted from: whatever is repeated, late, in another order, cut off or done at
the same time, each operation is counted once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared import keys
from shared.audits.figures import UsageBooks
from shared.audits.reading import BooksReader
from shared.channels import Channel
from shared.credits import Action, Draw, GrantKind, Operation, OperationKind
from shared.dynamo.transactions import StoreUnavailable
from shared.dynamo.values import to_item
from shared.ids import new_workspace_id, operation_id
from shared.usage import (
    Counted,
    Dimension,
    Grouping,
    Period,
    TooMuchUsage,
    UnknownGrant,
    UsageCounter,
    UsageReport,
    UsageRoom,
    UsageStore,
    report,
    usage_of,
)
from shared.usage.counting import REMEMBERED
from tests.support.faults import (
    Fault,
    Killed,
    Line,
    Script,
    Send,
    answer_lost,
    conflict,
    killed_after_sending,
    killed_before_sending,
    never_arrives,
    not_valid,
    throttled,
)
from tests.support.money import AT_ONCE, MORNING, Account, HandClock, World, plain_dynamodb
from tests.support.usage import FIRST, kept, operations, recounted

if TYPE_CHECKING:
    from botocore.awsrequest import AWSPreparedRequest, AWSResponse

NOW = datetime(2026, 3, 5, tzinfo=UTC)
DAYS = (date(2026, 2, 1), date(2026, 3, 31))
AT_ONCE_BY_STREAM = 90
"""Entries that the stream brings at once (`BatchSize` in template.yaml)."""

A_FEW = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@dataclass
class Books:
    """The figures of a workspace of its own."""

    world: World
    workspace_id: str = field(default_factory=lambda: new_workspace_id(FIRST))

    def counter(self, script: Script | None = None) -> UsageCounter:
        """Another process; what becomes of its requests is in the script."""
        client = self.world.dynamodb()
        Line(client, **({} if script is None else {"script": script}))
        return UsageCounter(client, self.world.usage_table, lambda: NOW, AT_ONCE)

    @property
    def store(self) -> UsageStore:
        return UsageStore(plain_dynamodb(self.world), self.world.usage_table)

    def operation(self, trigger: str = "call", **more: object) -> Operation:
        """Two credits from one grant, in February."""
        plain = Operation(
            operation_id=operation_id(FIRST, self.workspace_id, trigger),
            workspace_id=self.workspace_id,
            kind=OperationKind.API_CALL,
            channel=Channel.API,
            at=FIRST,
            credits=2,
            fingerprint="f",
            actions={Action.API_CALL: 2},
            drawn=(Draw("gr_free", 2, Decimal(0), "EUR"),),
        )
        return replace(plain, **more)  # type: ignore[arg-type]  # fields of an operation

    def check(self, log: Sequence[Operation]) -> None:
        """The figures are those of the log, each operation counted once."""
        once = list({one.operation_id: one for one in log}.values())
        assert kept(self.store, self.workspace_id, *DAYS) == recounted(once)
        so_far = self.store.so_far(self.workspace_id)
        assert (so_far.operations, so_far.credits) == (len(once), sum(one.credits for one in once))
        left: dict[str, int] = {}
        for one in once:
            part = sum(draw.credits for draw in (*one.drawn, *one.withdrawn))
            left[f"{one.at:%Y-%m}"] = left.get(f"{one.at:%Y-%m}", 0) + part
        assert so_far.left == {month: credits for month, credits in left.items() if credits}


@pytest.fixture
def books(world: World) -> Books:
    return Books(world)


# --- laws ---


def logs(data: st.DataObject, workspace_id: str, length: int = 12) -> list[Operation]:
    one = operations(workspace_id)
    return data.draw(st.lists(one, min_size=1, max_size=length, unique_by=lambda each: each.operation_id))


@A_FEW
@given(data=st.data())
def test_repeated_reordered_and_cut_into_batches_in_any_way_it_comes_to_the_log(
    world: World, data: st.DataObject
) -> None:
    books = Books(world)
    log = logs(data, books.workspace_id, 20)
    again = data.draw(st.lists(st.sampled_from(log), max_size=10))
    delivered = data.draw(st.permutations(log + again))
    counted = Counted()
    while delivered:
        size = data.draw(st.integers(1, len(delivered)))
        counted += books.counter().count(delivered[:size])
        delivered = delivered[size:]
    assert counted.new == len(log)
    books.check(log)


@A_FEW
@given(data=st.data())
def test_killed_before_or_after_any_request_it_comes_to_the_log_when_it_is_offered_again(
    world: World, data: st.DataObject
) -> None:
    books = Books(world)
    log = logs(data, books.workspace_id, 20)
    cut = data.draw(st.integers(0, len(log)))
    kill = data.draw(st.sampled_from([killed_before_sending, killed_after_sending]))
    at = data.draw(st.integers(0, 2))
    # Some were counted in a batch of another cut, so that the one that is killed meets doubles.
    books.counter().count(log[:cut])
    with suppress(Killed):
        books.counter(lambda index, _: kill if index == at else None).count(log)
    books.counter().count(log)
    books.check(log)


@A_FEW
@given(data=st.data())
def test_counters_at_one_time_count_each_operation_once(world: World, data: st.DataObject) -> None:
    books = Books(world)
    log = logs(data, books.workspace_id, 20)
    shuffled = [data.draw(st.permutations(log)) for _ in range(3)]
    with ThreadPoolExecutor(3) as pool:
        counted = list(pool.map(lambda part: books.counter().count(part), shuffled))
    assert sum(each.new for each in counted) == len(log)
    books.check(log)


# --- stories ---


def test_what_comes_twice_is_counted_once(books: Books) -> None:
    operation = books.operation()
    assert books.counter().count([operation, operation]) == Counted(1, 0)
    assert books.counter().count([operation]) == Counted(0, 1)
    books.check([operation])


def test_of_a_batch_only_what_is_new_is_counted(books: Books) -> None:
    log = [books.operation(str(number)) for number in range(150)]
    assert books.counter().count(log[:60:2]) == Counted(30, 0)
    assert books.counter().count(log) == Counted(120, 30)
    books.check(log)


@pytest.mark.parametrize("fault", [answer_lost, never_arrives, throttled, conflict(0), conflict(-1)])
def test_a_transaction_that_went_wrong_is_sent_again(books: Books, fault: Fault) -> None:
    log = [books.operation(str(number)) for number in range(5)]
    books.counter(lambda index, _: fault if index == 0 else None).count(log)
    books.check(log)


def test_what_stays_in_conflict_is_told_and_can_be_offered_again(books: Books) -> None:
    log = [books.operation()]
    with pytest.raises(StoreUnavailable):
        books.counter(lambda *_: conflict(0)).count(log)
    books.counter().count(log)
    books.check(log)


def test_what_dynamodb_refuses_spoils_nothing_for_the_others(books: Books) -> None:
    log = [books.operation(str(number)) for number in range(5)]
    # A sort key has 1,024 bytes at most; the embedded DynamoDB takes more.
    name = "x" * 1_100
    odd = books.operation("odd", job_id=name)

    def refuses_long_names(request: AWSPreparedRequest, send: Send) -> AWSResponse:
        is_long = name.encode() in (request.body or b"")
        return not_valid("the sort key is too long")(request, send) if is_long else send()

    counted = books.counter(lambda *_: refuses_long_names).count([*log, odd])
    assert (counted.new, counted.refused) == (5, (odd,))
    books.check(log)


def test_a_marker_is_forgotten_after_weeks_and_nothing_else(books: Books) -> None:
    operation = books.operation()
    books.counter().count([operation])
    client = plain_dynamodb(books.world)

    def at(key: keys.Key) -> dict[str, object]:
        return dict(client.get_item(TableName=books.world.usage_table, Key=key.attributes())["Item"])

    marker = at(keys.counted(books.workspace_id, operation.operation_id))
    assert marker["forget_at"] == {"N": str(int((NOW + REMEMBERED).timestamp()))}
    for key in (keys.usage_so_far(books.workspace_id), keys.usage(books.workspace_id, FIRST, "total", "-")):
        assert "forget_at" not in at(key)


# --- how much it takes ---


def test_a_thousand_operations_of_one_workspace_and_day_take_few_transactions(books: Books) -> None:
    log = [books.operation(str(number)) for number in range(1_000)]
    client = books.world.dynamodb()
    line = Line(client)
    units: list[float] = []

    def noted(parsed: dict[str, object], **_: object) -> None:
        consumed = parsed.get("ConsumedCapacity", [])
        units.extend(each["CapacityUnits"] for each in consumed)  # type: ignore[attr-defined]

    def ask(params: dict[str, object], **_: object) -> None:
        params["ReturnConsumedCapacity"] = "TOTAL"

    client.meta.events.register("before-parameter-build.dynamodb.TransactWriteItems", ask)
    client.meta.events.register("after-call.dynamodb.TransactWriteItems", noted)
    counter = UsageCounter(client, books.world.usage_table, lambda: NOW, AT_ONCE)
    for start in range(0, 1_000, AT_ONCE_BY_STREAM):
        counter.count(log[start : start + AT_ONCE_BY_STREAM])
    books.check(log)
    # One transaction for each batch of the stream; a marker takes two units, and so does each of its six updates.
    assert line.requests == ["TransactWriteItems"] * 12
    assert sum(units) == 2 * (1_000 + 12 * 6) == 2_144


# --- what is read ---


def test_a_month_of_an_account_is_read_in_four_requests(
    open_account: Callable[[int], Account], clock: HandClock
) -> None:
    account = open_account(10)
    account.ledger().grant(account.a_grant("invoice", 100, GrantKind.PAID, price="0.008"))
    for number in range(4):
        account.ledger().commit(account.plan(f"charge {number}", 5))
    books = Books(account.world, account.workspace_id)
    counter = UsageCounter(plain_dynamodb(account.world), account.world.usage_table, clock, AT_ONCE)
    log = account.operations()
    counter.count(log[1:])
    client = account.world.dynamodb()
    line = Line(client)
    room = UsageRoom(UsageStore(client, account.world.usage_table), account.ledger(client))
    today = MORNING.date()
    period = Period(today.replace(day=1), today.replace(day=31))
    told = usage_of(room, account.workspace_id, period, Grouping.DAY, clock())
    assert len(line.requests) == 4
    assert isinstance(told, UsageReport)
    assert (told.pending_credits, told.total.figures.credits) == (5, 15)
    counter.count(log)
    told = usage_of(room, account.workspace_id, period, Grouping.DAY, clock())
    assert isinstance(told, UsageReport)
    assert told.pending_credits == 0
    assert (told.total.free_credits, told.total.paid_credits) == (10, 10)
    assert told.total.cost == {"EUR": Decimal("0.080")}
    (day,) = told.groups
    assert (day.value, day.granted, day.available) == (today.isoformat(), 110, account.balance().available)
    books.check(log)


def test_the_days_of_some_months_are_read_as_asked_for(books: Books) -> None:
    days = (
        datetime(2026, 1, 31, 23, tzinfo=UTC),
        datetime(2026, 2, 1, tzinfo=UTC),
        datetime(2026, 3, 1, 1, tzinfo=UTC),
    )
    books.counter().count([books.operation(str(at), at=at) for at in days])

    def seen(first: date, last: date) -> list[date]:
        return [day for day, _, _ in books.store.figures(books.workspace_id, "total", first, last)]  # type: ignore[arg-type]

    assert seen(date(2026, 1, 1), date(2026, 3, 31)) == [at.date() for at in days]
    assert seen(date(2026, 2, 1), date(2026, 2, 28)) == [days[1].date()]
    assert seen(date(2026, 1, 31), date(2026, 2, 1)) == [days[0].date(), days[1].date()]
    assert seen(date(2026, 2, 2), date(2026, 2, 28)) == []


def put_figures(books: Books, values: int, first: date, days: int) -> None:
    """So many actors with figures on each of so many days, in bulk."""
    at = datetime.combine(first, time(), UTC)
    items = [
        keys.usage(books.workspace_id, at + timedelta(days=day), Dimension.ACTOR, f"key_{number}").attributes()
        | to_item({"operations": 1, "credits": 1})
        for number in range(values)
        for day in range(days)
    ]
    client = plain_dynamodb(books.world)
    for start in range(0, len(items), 25):
        puts: Any = [{"PutRequest": {"Item": item}} for item in items[start : start + 25]]
        client.batch_write_item(RequestItems={books.world.usage_table: puts})


def test_what_one_request_reads_is_bounded_and_a_part_of_it_can_be_had(
    open_account: Callable[[int], Account], clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "MOST_FIGURES", 300)
    account = open_account(10)
    books = Books(account.world, account.workspace_id)
    first = MORNING.date()
    clock.advance(days=80)
    put_figures(books, values=10, first=first, days=60)
    client = account.world.dynamodb()
    line = Line(client)
    room = UsageRoom(UsageStore(client, account.world.usage_table), account.ledger(client))

    def told(days: int, grouping: Grouping = Grouping.ACTOR) -> UsageReport | TooMuchUsage | None:
        line.requests.clear()
        period = Period(first, first + timedelta(days=days - 1))
        return usage_of(room, account.workspace_id, period, grouping, clock())

    assert told(31) == TooMuchUsage("figures", 300)
    within = told(30)
    assert isinstance(within, UsageReport)
    assert (len(within.groups), within.total.figures.credits) == (10, 300)
    # By day there is nothing of them to be read.
    assert isinstance(told(60, Grouping.DAY), UsageReport)


def test_figures_are_read_no_further_than_it_takes_to_know_that_they_are_too_many(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "MOST_FIGURES", 100)
    books = Books(world, new_workspace_id(datetime(2026, 2, 1, tzinfo=UTC)))
    put_figures(books, values=20, first=date(2026, 2, 1), days=28)
    put_figures(books, values=20, first=date(2026, 3, 1), days=3)
    client = books.world.dynamodb()
    line = Line(client)
    room = UsageRoom(UsageStore(client, books.world.usage_table), Account(books.world, 1).ledger(client))
    assert usage_of(room, books.workspace_id, Period(*DAYS), Grouping.ACTOR, NOW) == TooMuchUsage("figures", 100)
    # What was counted in all, and February: neither March, nor grants, nor the account.
    assert len(line.requests) == 2


def test_the_groups_of_an_answer_are_bounded(
    open_account: Callable[[int], Account], clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "MOST_GROUPS", 30)
    account = open_account(10)
    books = Books(account.world, account.workspace_id)
    first = MORNING.date()
    put_figures(books, values=30, first=first, days=2)
    client = plain_dynamodb(account.world)
    room = UsageRoom(books.store, account.ledger(client))

    def told() -> UsageReport | TooMuchUsage | None:
        return usage_of(room, account.workspace_id, Period(first, first), Grouping.ACTOR, clock())

    within = told()
    assert isinstance(within, UsageReport)
    assert len(within.groups) == 30
    put_figures(books, values=31, first=first, days=1)
    assert told() == TooMuchUsage("groups", 30)


def test_a_grant_that_nobody_has_given_is_named(open_account: Callable[[int], Account], clock: HandClock) -> None:
    """Figures that were damaged: their money is unknown, and no wrong one is told."""
    account = open_account(10)
    books = Books(account.world, account.workspace_id)
    odd = books.operation(at=MORNING, operation_id=operation_id(MORNING, "odd"), actor="key_1")
    books.counter().count([replace(odd, drawn=(Draw("gr_never", 2, Decimal(0), "EUR"),))])
    room = UsageRoom(books.store, account.ledger())
    period = Period(MORNING.date(), MORNING.date())
    with pytest.raises(UnknownGrant, match="gr_never, which paid for 2 credits of 'key_1'"):
        usage_of(room, account.workspace_id, period, Grouping.ACTOR, clock())


def test_an_audit_names_a_grant_of_the_figures_that_nobody_has_given(
    open_account: Callable[[int], Account], clock: HandClock
) -> None:
    """All sums are right, and one credit's worth of money is somebody else's."""
    account = open_account(10)
    world = account.world
    account.ledger().commit(account.plan("charge", 5))
    books = Books(world, account.workspace_id)
    log = account.operations()
    books.counter().count(log)
    client = plain_dynamodb(world)
    usage = UsageBooks(books.store, books.counter(), BooksReader(client, world.credit_table, AT_ONCE))
    month = MORNING.date().replace(day=1)
    (entry,) = log
    logged = {f"{entry.at.date()}": usage.sums_of(entry)}
    assert usage.check(account.workspace_id, month, logged, clock()).differences == ()

    (grant,) = account.ledger().grants(account.workspace_id)
    client.update_item(
        TableName=world.usage_table,
        Key=keys.usage(account.workspace_id, MORNING, Dimension.KIND, OperationKind.API_CALL).attributes(),
        UpdateExpression="SET drawn_gr_never = :one ADD #right :less",
        ExpressionAttributeNames={"#right": f"drawn_{grant.grant_id}"},
        ExpressionAttributeValues=to_item({":one": 1, ":less": -1}),
    )
    (found,) = usage.check(account.workspace_id, month, logged, clock()).differences
    assert (found.rule, found.found) == ("usage figures name grants that were given", "gr_never")
    assert found.where == f"{MORNING.date()}, kind api_call"


def test_nobody_s_usage_is_nothing(world: World) -> None:
    room = UsageRoom(UsageStore(plain_dynamodb(world), world.usage_table), Account(world, 1).ledger())
    assert usage_of(room, new_workspace_id(FIRST), Period(*DAYS), Grouping.JOB, NOW) is None
