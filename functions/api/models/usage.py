"""Where credits went, as it is asked for and shown."""

import re
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, ConfigDict, Field

from functions.api.models.common import FIRST_YEAR, LAST_YEAR, View, decimal_text
from functions.api.models.operations import MoneyView
from functions.api.models.texts import Count, one_of, told
from shared.usage import Figures, Group, Grouping, UsageReport

_NO_DAY = "Input should be a day, such as 2026-11-22"
_DAY_PATTERN = "^([2-8][0-9]{3}|9[0-8][0-9]{2}|99[0-8][0-9]|999[0-8])-[0-9]{2}-[0-9]{2}$"


def _day(value: object) -> date:
    # ISO 8601 has other ways to write a day (2026-W47-7), which are not taken.
    if not isinstance(value, str) or re.fullmatch("[0-9]{4}-[0-9]{2}-[0-9]{2}", value) is None:
        raise ValueError(_NO_DAY)
    try:
        day = date.fromisoformat(value)
    except ValueError:
        raise ValueError(_NO_DAY) from None
    if not FIRST_YEAR <= day.year <= LAST_YEAR:
        raise ValueError(f"Input should be a day of the years {FIRST_YEAR} to {LAST_YEAR}")
    return day


Day = Annotated[date, BeforeValidator(_day), told("2026-11-22", pattern=_DAY_PATTERN)]

DayText = Annotated[str, told("2026-11-22", format="date")]


class FiguresView(View):
    """What operations come to; `credits` + `settled` = `free_credits` + `paid_credits` + `owed`."""

    operations: Annotated[int, Field(description="Entries of the operation log."), told(12, minimum=0)]
    refused: Annotated[Count, Field(description="Of them, what was due and did not happen.")]
    credits: Annotated[int, Field(description="What was consumed."), told(1042, minimum=0)]
    free_credits: Annotated[int, Field(description="Paid by credits that were given away."), told(1000, minimum=0)]
    paid_credits: Annotated[int, Field(description="Paid by all other credits."), told(42, minimum=0)]
    owed: Annotated[Count, Field(description="What was consumed and not there: a debt.")]
    settled: Annotated[Count, Field(description="What was paid of earlier debts.")]
    free_value: Annotated[
        list[MoneyView],
        Field(description="What the free credits would have cost, where their grants say so, in each currency."),
        told([]),
    ]
    cost: Annotated[
        list[MoneyView],
        Field(description="What the paid credits were worth, exactly, in each currency."),
        told([{"currency": "EUR", "amount": "0.336"}]),
    ]
    created: Annotated[int, Field(description="Records."), told(1000, minimum=0)]
    updated: Annotated[int, Field(description="Records."), told(30, minimum=0)]
    unchanged: Annotated[
        int,
        Field(description="Records that were met and not written, since nothing would change."),
        told(970, minimum=0),
    ]
    deleted: Annotated[Count, Field(description="Records.")]
    expired: Annotated[Count, Field(description="Credits that expired before they were used.")]
    void: Annotated[Count, Field(description="Credits that were taken back.")]


class GroupView(FiguresView):
    """What one value comes to. `value` is a job, a kind, an actor, an entity, a day or a month; `-` where there is
    none: no job, nobody, or, by entity, the calls, firings and jobs themselves.

    By day, `granted` is what was given on it, and `available` what was there at its end; otherwise they are null.
    """

    value: Annotated[str, told("products", minLength=1)]
    granted: Annotated[int | None, told(None)]
    available: Annotated[int | None, told(None)]


class UsageView(View):
    """Where credits went in a period. The groups add up to `total`.

    Charges are counted moments after they are made. `pending_credits` were consumed and may not be in the figures yet:
    when it is 0, everything is.
    """

    # `from` is no name in Python.
    model_config = ConfigDict(serialize_by_alias=True)

    first: Annotated[DayText, Field(serialization_alias="from")]
    last: Annotated[DayText, Field(serialization_alias="to")]
    group_by: Annotated[str, one_of(Grouping, Grouping.JOB)]
    groups: list[GroupView]
    total: FiguresView
    pending_credits: Count

    @classmethod
    def of(cls, report: UsageReport) -> Self:
        return cls(
            first=report.period.first.isoformat(),
            last=report.period.last.isoformat(),
            group_by=report.grouping.value,
            groups=[
                GroupView(value=group.value, granted=group.granted, available=group.available, **_figures(group))
                for group in report.groups
            ],
            total=FiguresView(**_figures(report.total)),
            pending_credits=report.pending_credits,
        )


def _figures(group: Group) -> dict[str, Any]:
    figures: Figures = group.figures
    return {
        **figures.counts(),
        "free_credits": group.free_credits,
        "paid_credits": group.paid_credits,
        "free_value": _money(group.free_value),
        "cost": _money(group.cost),
    }


def _money(amounts: Mapping[str, Decimal]) -> list[MoneyView]:
    return [MoneyView(currency=currency, amount=decimal_text(amount)) for currency, amount in sorted(amounts.items())]
