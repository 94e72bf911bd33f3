"""What the deployed platform announces, as somebody hears it who listens to the bus and to the topic."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from shared.automation.announcing import running_low
from shared.credits import Balance
from shared.times import utc_now
from tests.support.api import Caller, top_up
from tests.support.listening import Listener, listening
from tests.support.waiting import until

if TYPE_CHECKING:
    from productsync.stack import EmbeddedStack

Spend = Callable[[Caller, int], None]


@pytest.fixture(scope="module")
def listener(stack: EmbeddedStack) -> Iterator[Listener]:
    with listening(stack) as opened:
        yield opened


def kinds(events: list[dict[str, Any]]) -> list[str]:
    return [event["detail-type"] for event in events]


def thresholds(events: list[dict[str, Any]]) -> list[int]:
    return [event["detail"]["threshold"] for event in events if event["detail-type"] == "Credits Low"]


def a_balance(workspace_id: str) -> Balance:
    """A new workspace's account, just under half of its credits."""
    return Balance(
        workspace_id=workspace_id,
        available=2_499,
        owed=0,
        granted=5_000,
        consumed=2_501,
        expired=0,
        void=0,
        revision=1,
        base=5_000,
        level=50,
        grants=(),
    )


def test_the_end_of_credits_and_their_return_are_announced_to_the_bus_and_the_topic(
    listener: Listener, operator: Caller, customer: Caller, spend: Spend
) -> None:
    spend(customer, 5_000)
    until(lambda: "Automation Paused" in kinds(listener.events(customer.workspace_id)))
    top_up(operator, customer, 300)
    until(lambda: "Automation Resumed" in kinds(listener.events(customer.workspace_id)))

    events = {event["detail-type"]: event for event in listener.events(customer.workspace_id)}
    paused, resumed = events["Automation Paused"]["detail"], events["Automation Resumed"]["detail"]
    assert (paused["reason"], paused["available"], paused["owed"]) == ("out_of_credits", 0, 0)
    assert (resumed["reason"], resumed["available"]) == ("credits_available", 300)
    assert paused["announcement_id"] != resumed["announcement_id"]
    assert paused["since"] < resumed["since"]

    until(lambda: len(listener.notifications(customer.workspace_id)) == len(listener.events(customer.workspace_id)))
    for notification in listener.notifications(customer.workspace_id):
        kind = notification["MessageAttributes"]["event"]["Value"]
        if kind != "Credits Low":
            assert json.loads(notification["Message"]) == events[kind]["detail"]
            assert notification["Subject"] == f"ProductSync: {kind} ({customer.workspace_id})"


def test_each_threshold_is_announced_once_and_again_after_a_grant(
    listener: Listener, operator: Caller, customer: Caller, spend: Spend
) -> None:
    for credits in (2_500, 1, 9, 1_489, 2, 700):  # 2500, 2499 <50 %, 2490, 1001, 999 <20 %, 299
        spend(customer, credits)
    until(lambda: thresholds(listener.events(customer.workspace_id)) == [50, 20])
    spend(customer, 50)  # 249, under 5 %
    until(lambda: thresholds(listener.events(customer.workspace_id)) == [50, 20, 5])

    top_up(operator, customer, 1_000)  # 1249 of 1000
    spend(customer, 1_048)  # 201
    until(lambda: thresholds(listener.events(customer.workspace_id)) == [50, 20, 5, 50])
    spend(customer, 2)  # 199
    until(lambda: thresholds(listener.events(customer.workspace_id)) == [50, 20, 5, 50, 20])

    low = [event["detail"] for event in listener.events(customer.workspace_id)]
    assert [(one["base"], one["available"]) for one in low] == [
        (5_000, 2_499),
        (5_000, 999),
        (5_000, 249),
        (1_000, 201),
        (1_000, 199),
    ]
    assert len({one["announcement_id"] for one in low}) == 5
    until(lambda: len(listener.notifications(customer.workspace_id)) == 5)


def test_what_could_not_be_announced_at_once_is_announced_from_its_queue_and_once(
    listener: Listener, customer: Caller, spend: Spend, stack: EmbeddedStack
) -> None:
    waiting = running_low(a_balance(customer.workspace_id), 50, utc_now())
    body = json.dumps(waiting.document())
    stack.aws.sqs().send_message(QueueUrl=stack.outputs["AnnouncementQueueUrl"], MessageBody=body)
    until(lambda: len(listener.notifications(customer.workspace_id)) == 1)
    (event,) = listener.events(customer.workspace_id)
    assert event["detail"] == waiting.document()
    # The stream tells of the same crossing, and of the next one.
    spend(customer, 2_501)
    spend(customer, 1_500)
    until(lambda: thresholds(listener.events(customer.workspace_id))[-1] == 20)
    assert thresholds(listener.events(customer.workspace_id)) == [50, 20]


def test_one_charge_that_crosses_several_thresholds_announces_each_the_highest_first(
    listener: Listener, customer: Caller, spend: Spend
) -> None:
    spend(customer, 4_900)
    until(lambda: thresholds(listener.events(customer.workspace_id)) == [50, 20, 5])


def test_each_pause_and_each_return_is_announced_once_and_so_is_each_threshold_on_the_way(
    listener: Listener, operator: Caller, customer: Caller, spend: Spend
) -> None:
    def announced() -> list[tuple[str, str, str]]:
        """The announcements, oldest first. They may come twice, and are known by their identifiers then."""
        details = [(event["detail"], event["detail-type"]) for event in listener.events(customer.workspace_id)]
        pauses = {(d["since"], kind, d["announcement_id"]) for d, kind in details if kind != "Credits Low"}
        return sorted(pauses)

    def told(count: int) -> Callable[[], bool]:
        return lambda: len(announced()) == count

    for before, credits in ((0, 5_000), (2, 300)):
        for part in range(10):
            spend(customer, credits // 10)
            assert part == 9 or customer.get("/credits")["state"] == "active"
        until(told(before + 1))
        top_up(operator, customer, 300)
        until(told(before + 2))
    assert [kind for _, kind, _ in announced()] == ["Automation Paused", "Automation Resumed"] * 2
    until(lambda: thresholds(listener.events(customer.workspace_id)) == [50, 20, 5] * 2)
