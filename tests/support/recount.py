"""What usage has to be, counted anew from the log as the API lists it. It shares nothing with what counts it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Context, Decimal, Inexact
from typing import Any

Entry = Mapping[str, Any]
"""An operation, as `GET /v1/operations` shows it."""

Kinds = Mapping[str, str]
"""The kind of each grant, by its identifier."""

WIDE = Context(prec=100, traps=[Inexact])
"""Sums of money, none of them rounded."""

NUMBERS = (
    "operations",
    "refused",
    "credits",
    "free_credits",
    "paid_credits",
    "owed",
    "settled",
    "created",
    "updated",
    "unchanged",
    "deleted",
    "expired",
    "void",
)


@dataclass
class RecountedFigures:
    """What some operations come to; `numbers` that are 0 are left out. `free_value` and `cost` are money by
    currency.
    """

    numbers: Counter[str] = field(default_factory=Counter)
    free_value: dict[str, Decimal] = field(default_factory=dict)
    cost: dict[str, Decimal] = field(default_factory=dict)

    @classmethod
    def told(cls, group: Mapping[str, Any]) -> RecountedFigures:
        """As `GET /v1/usage` shows them."""
        figures = cls()
        figures.numbers.update({name: group[name] for name in NUMBERS if group[name]})
        figures.free_value = {money["currency"]: Decimal(money["amount"]) for money in group["free_value"]}
        figures.cost = {money["currency"]: Decimal(money["amount"]) for money in group["cost"]}
        return figures

    def pay(self, draw: Mapping[str, Any], credits: int, kinds: Kinds) -> None:
        price = Decimal(draw["unit_price"])
        is_free = kinds[draw["grant_id"]] in {"free", "promotional"}
        self.numbers["free_credits" if is_free else "paid_credits"] += credits
        if price:
            money = self.free_value if is_free else self.cost
            money[draw["currency"]] = WIDE.fma(price, credits, money.get(draw["currency"], Decimal(0)))

    def tidied(self) -> RecountedFigures:
        self.numbers = +self.numbers
        return self


def usage_by(group_by: str, log: Iterable[Entry], kinds: Kinds) -> dict[str, RecountedFigures]:
    """The groups that come to anything, by their values."""
    found: dict[str, RecountedFigures] = {}
    for entry in log:
        whole = [(_value(group_by, entry), _whole(entry, kinds))] if group_by != "entity" else _entities(entry, kinds)
        for value, figures in whole:
            into = found.setdefault(value, RecountedFigures())
            into.numbers.update(figures.numbers)
            for money, more in ((into.free_value, figures.free_value), (into.cost, figures.cost)):
                for currency, amount in more.items():
                    money[currency] = WIDE.add(money.get(currency, Decimal(0)), amount)
    return {value: figures for value, figures in found.items() if figures.tidied().numbers}


def _value(group_by: str, entry: Entry) -> str:
    match group_by:
        case "job":
            return entry["job_id"] or "-"
        case "actor":
            return entry["actor"] or "-"
        case "kind":
            return str(entry["kind"])
        case "day":
            return str(entry["at"][:10])
        case "month":
            return str(entry["at"][:7])
        case _:
            raise AssertionError(group_by)


def _whole(entry: Entry, kinds: Kinds) -> RecountedFigures:
    """All of an entry, but what became of its records by entity."""
    figures = _without_records(entry)
    for counts in entry["records"].values():
        for name in ("created", "updated", "unchanged", "deleted"):
            figures.numbers[name] += counts[name]
    figures.numbers["credits"] = entry["credits"]
    figures.numbers["owed"] = entry["owed"]
    for draw in entry["drawn"]:
        figures.pay(draw, draw["credits"], kinds)
    return figures.tidied()


def _without_records(entry: Entry) -> RecountedFigures:
    figures = RecountedFigures()
    unused = sum(draw["credits"] for draw in entry["withdrawn"])
    figures.numbers.update(
        {
            "operations": 1,
            "refused": int(entry["refused"] is not None),
            "settled": sum(draw["credits"] for draw in entry["drawn"]) if entry["kind"] == "settlement" else 0,
            "expired" if entry["kind"] == "expiry" else "void": unused,
        }
    )
    return figures


def _entities(entry: Entry, kinds: Kinds) -> Iterator[tuple[str, RecountedFigures]]:
    """An entry's parts: the trigger, then the entities by name. Credit after credit is paid by whose turn it is: the
    grants as they were drawn, then the debt.
    """
    purse = iter([draw for draw in entry["drawn"] for _ in range(draw["credits"])] + [None] * entry["owed"])
    of_records = sum(counts["credits"] for counts in entry["records"].values())
    trigger = _without_records(entry)
    trigger.numbers["credits"] = entry["credits"] - of_records
    _paid(trigger, purse, trigger.numbers["credits"] + trigger.numbers["settled"], kinds)
    yield "-", trigger.tidied()
    for entity, counts in sorted(entry["records"].items()):
        figures = RecountedFigures()
        figures.numbers.update(counts)
        _paid(figures, purse, counts["credits"], kinds)
        yield entity, figures.tidied()
    assert next(purse, purse) is purse, f"{entry['operation_id']} drew more than it cost"


def _paid(figures: RecountedFigures, purse: Iterator[Mapping[str, Any] | None], credits: int, kinds: Kinds) -> None:
    for _ in range(credits):
        draw = next(purse)
        if draw is None:
            figures.numbers["owed"] += 1
        else:
            figures.pay(draw, 1, kinds)
