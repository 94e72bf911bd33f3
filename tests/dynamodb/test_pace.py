"""How many calls a person may make by hand, on DynamoDB: exact under threads, for each person and each period."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from shared.pace import PaceLimits, PaceStore, TooFast
from tests.support.faults import Line
from tests.support.money import Account

OpenAccount = Callable[[int], Account]

AT = datetime(2026, 11, 22, 10, 59, 59, 500_000, tzinfo=UTC)
NEXT_HOUR = datetime(2026, 11, 22, 11, tzinfo=UTC)
NEXT_DAY = datetime(2026, 11, 23, tzinfo=UTC)


def pace_of(account: Account, per_hour: int = 10, per_day: int = 25) -> PaceStore:
    limits = PaceLimits(per_hour=per_hour, per_day=per_day)
    return PaceStore(account.world.dynamodb(), account.world.work_table, limits)


def test_an_hour_takes_so_many_calls_and_the_next_begins_anew(open_account: OpenAccount) -> None:
    account = open_account(0)
    pace = pace_of(account)

    def call(at: datetime, weight: int = 1) -> TooFast | None:
        return pace.count(account.workspace_id, "person_1", weight, at)

    assert [call(AT) for _ in range(10)] == [None] * 10
    assert call(AT) == TooFast(10, "hour", NEXT_HOUR)
    assert call(NEXT_HOUR, 9) is None
    assert call(NEXT_HOUR, 2) == TooFast(10, "hour", datetime(2026, 11, 22, 12, tzinfo=UTC))
    assert call(NEXT_HOUR) is None
    # The day has had 20 of its 25; what was refused did not count.
    assert call(datetime(2026, 11, 22, 15, tzinfo=UTC), 5) is None
    assert call(datetime(2026, 11, 22, 20, tzinfo=UTC)) == TooFast(25, "day", NEXT_DAY)
    assert call(NEXT_DAY) is None


def test_people_do_not_slow_each_other_down(open_account: OpenAccount) -> None:
    account, other = open_account(0), open_account(0)
    pace = pace_of(account)
    for _ in range(10):
        pace.count(account.workspace_id, "person_1", 1, AT)
    assert pace.count(account.workspace_id, "person_1", 1, AT) is not None
    assert pace.count(account.workspace_id, "person_2", 1, AT) is None
    assert pace.count(other.workspace_id, "person_1", 1, AT) is None


def test_many_calls_at_once_are_counted_exactly(open_account: OpenAccount) -> None:
    account = open_account(0)
    pace = pace_of(account, per_hour=50, per_day=1_000)
    with ThreadPoolExecutor(16) as pool:
        outcomes = list(pool.map(lambda _: pace.count(account.workspace_id, "person_1", 1, AT), range(80)))
    assert outcomes.count(None) == 50


def test_a_call_is_one_request(open_account: OpenAccount) -> None:
    account = open_account(0)
    client = account.world.dynamodb()
    line = Line(client)
    pace = PaceStore(client, account.world.work_table, PaceLimits(per_hour=1, per_day=1))
    pace.count(account.workspace_id, "person_1", 1, AT)
    pace.count(account.workspace_id, "person_1", 1, AT)
    assert line.requests == ["UpdateItem", "UpdateItem"]
