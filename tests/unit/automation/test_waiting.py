"""How many credits each thing that waits needs to go on."""

from __future__ import annotations

import pytest

from shared.automation.waiting import Waits, least_credits
from shared.credits import Action, PriceList


def priced(**prices: int) -> PriceList:
    return PriceList({action: prices.get(action.value, 1) for action in Action})


@pytest.mark.parametrize(
    ("kind", "least"),
    [(Waits.RUN, 1), (Waits.PASS, 2), (Waits.BACKLOG, 2), (Waits.AUTOMATION, 1), (Waits.SCHEDULE, 1)],
)
def test_a_firing_takes_two_credits_and_everything_else_one(kind: Waits, least: int) -> None:
    assert least_credits(kind, PriceList()) == least


@pytest.mark.parametrize(
    ("prices", "run", "firing"),
    [
        (priced(rule_fired=5), 1, 6),
        (priced(record_created=4), 1, 2),
        (priced(record_created=4, record_updated=3), 3, 4),
        (priced(rule_fired=0, record_created=7, record_updated=9), 7, 7),
        # Free, and yet all automation waits for credits when there are none.
        (priced(rule_fired=0, record_created=0), 1, 1),
    ],
)
def test_by_the_cheapest_that_it_may_be(prices: PriceList, run: int, firing: int) -> None:
    assert least_credits(Waits.RUN, prices) == run
    assert least_credits(Waits.PASS, prices) == least_credits(Waits.BACKLOG, prices) == firing
