"""The function that carries rules out, on batches as the stream brings them: what fails of one workspace is kept, and
keeps nobody else waiting.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from functions.rule_runner import handler as runner
from shared.rules.backlog import DrainOutcome
from tests.support.faults import Line, internal_error
from tests.support.functions import Context, failed
from tests.support.rules import Shop, setting

OpenShop = Callable[[int], Shop]
DOUBLE = setting("double", "price * 2")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Calls the function as Lambda does, with a room of the shop's tables; answers what it reports as failed."""
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "test")

    def call(shop: Shop, records: list[dict[str, Any]], client: Any = None, milliseconds: int = 120_000) -> list[str]:
        monkeypatch.setattr(runner, "room", lambda: shop.room(client))
        return failed(runner.handler({"Records": records}, Context(milliseconds)))

    return call


def two_shops(open_shop: OpenShop) -> tuple[Shop, Shop, list[dict[str, Any]]]:
    """Two workspaces with a rule each, and a batch with a change of each."""
    one, other = open_shop(100), open_shop(100)
    batch: list[dict[str, Any]] = []
    for shop in (one, other):
        shop.put_rule("double", DOUBLE)
        shop.write("a", price=1)
        batch += shop.take()
    return one, other, batch


def test_a_batch_of_several_workspaces(open_shop: OpenShop, run: Callable[..., list[str]]) -> None:
    one, other, batch = two_shops(open_shop)
    assert run(one, batch) == []
    assert [shop.attributes("a")["double"] for shop in (one, other)] == [2, 2]


def test_what_fails_of_one_workspace_waits_and_a_worker_is_called(
    open_shop: OpenShop, run: Callable[..., list[str]]
) -> None:
    one, other, batch = two_shops(open_shop)
    client = one.world.dynamodb()
    # Every attempt at the first workspace's rules fails; nothing after it does.
    left = [internal_error] * 5
    Line(client, script=lambda _i, operation: left.pop() if left and operation == "Query" else None)
    assert run(one, batch, client) == []
    assert other.attributes("a")["double"] == 2
    assert "double" not in one.attributes("a")
    backlog = one.room().backlog.get(one.workspace_id)
    assert backlog is not None
    assert backlog.leg == 1
    assert one.drain() is DrainOutcome.DONE
    assert one.attributes("a")["double"] == 2


def test_what_cannot_even_be_kept_comes_again(open_shop: OpenShop, run: Callable[..., list[str]]) -> None:
    one, other, batch = two_shops(open_shop)
    client = one.world.dynamodb()
    Line(client, script=lambda _i, _operation: internal_error)
    first = min(batch, key=lambda record: int(record["dynamodb"]["SequenceNumber"]))
    assert run(one, batch, client) == [first["dynamodb"]["SequenceNumber"]]
    assert run(one, batch) == []
    assert [shop.attributes("a")["double"] for shop in (one, other)] == [2, 2]


def test_what_does_not_fit_into_the_time_waits(open_shop: OpenShop, run: Callable[..., list[str]]) -> None:
    one, _, batch = two_shops(open_shop)
    assert run(one, batch, None, 1_000) == []
    assert one.fired() == []
    assert one.drain() is DrainOutcome.DONE
    assert one.attributes("a")["double"] == 2


def test_records_that_are_none_of_ours_are_passed_over(open_shop: OpenShop, run: Callable[..., list[str]]) -> None:
    one, _, batch = two_shops(open_shop)
    malformed: list[dict[str, Any]] = [
        {"eventID": "1", "eventName": "INSERT"},
        {"eventID": "2", "dynamodb": {"SequenceNumber": "1", "NewImage": {"pk": {"S": "nonsense"}, "sk": {"S": "x"}}}},
        {"eventID": "3", "dynamodb": {"SequenceNumber": "2", "NewImage": {"pk": {"N": "1"}}}},
        {"eventID": "4", "dynamodb": {"SequenceNumber": "3", "OldImage": {}, "Keys": {}}},
    ]
    assert run(one, malformed + batch) == []
    assert one.attributes("a")["double"] == 2
