"""What each automated action costs, in credits (design section 2). One table, which a deployment can change."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Action(StrEnum):
    """What can be paid for."""

    RECORD_CREATED = "record_created"
    RECORD_UPDATED = "record_updated"
    SCHEDULED_JOB = "scheduled_job"
    RULE_FIRED = "rule_fired"
    API_CALL = "api_call"


@dataclass(frozen=True, slots=True)
class PriceList:
    """Credits per action: whole numbers, 1 each unless a deployment says otherwise."""

    prices: Mapping[Action, int] = field(default_factory=lambda: dict.fromkeys(Action, 1))

    @classmethod
    def from_json(cls, text: str) -> PriceList:
        """Reads `{"record_created": 1, …}`; an action that is not named costs 1. Raises ValueError on anything else."""
        prices = dict.fromkeys(Action, 1)
        for name, price in json.loads(text).items():
            if isinstance(price, bool) or not isinstance(price, int) or price < 0:
                raise ValueError(f"the price of {name} must be a whole number of credits, not {price!r}")
            prices[Action(name)] = price
        return cls(prices)

    def price(self, action: Action) -> int:
        return self.prices[action]

    def cost(self, actions: Mapping[Action, int]) -> int:
        """Credits for so many of each action."""
        return sum(self.prices[action] * count for action, count in actions.items())

    @property
    def cheapest_firing(self) -> int:
        """Credits that a rule needs at least to fire: a firing really changes a record, or creates one."""
        return self.price(Action.RULE_FIRED) + min(self.price(Action.RECORD_UPDATED), self.price(Action.RECORD_CREATED))
