"""The columns of an export's own files, CSV and Parquet: the same ones, in the same order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from operator import attrgetter
from typing import Any

from shared.exports.cells import neutralized, plain, to_second
from shared.times import to_rfc3339


class Kind(Enum):
    """What a column holds. A `NAME` is text that this system has made up itself, a `TEXT` what others have written. A
    `DECIMAL` is an amount of anything that always shows a point, so that programs which look at the cells to find out
    what a column is see a decimal.
    """

    NAME = "name"
    TEXT = "text"
    WHOLE = "whole"
    MONEY = "money"
    DECIMAL = "decimal"
    TIME = "time"
    SECOND = "second"
    TRUTH = "truth"


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its name, what it holds, and the attribute that its values come from. `meaning` is one sentence."""

    name: str
    kind: Kind
    source: str
    meaning: str


COLUMNS = (
    Column("line_id", Kind.NAME, "line_id", "This line, and no other: the same in all formats and in every export."),
    Column("line_type", Kind.NAME, "line_type", "usage, settlement, grant, expiry, void or correction."),
    Column("at", Kind.TIME, "at", "When it was triggered, UTC."),
    Column("workspace_id", Kind.NAME, "workspace_id", "Whose it is."),
    Column("operation_id", Kind.NAME, "operation_id", "The entry of the operation log; empty for a grant."),
    Column("kind", Kind.NAME, "kind", "What ran: import, api_call, scheduled_job, rule, or what happened to credits."),
    Column("channel", Kind.NAME, "channel", "How it came: person, api, schedule, rule or import."),
    Column("actor", Kind.TEXT, "actor", "Who had it done: an API key, a person, a schedule or a rule."),
    Column("job_id", Kind.TEXT, "job_id", "The feed, schedule or rule."),
    Column("run_id", Kind.TEXT, "run_id", "The run or the pass that it is a step of."),
    Column("description", Kind.TEXT, "description", "In words; of a correction or a void the reason."),
    Column("refused", Kind.NAME, "refused", "Why it did not happen; empty when it did."),
    Column("quantity", Kind.WHOLE, "quantity", "Credits that the line is about, never negative."),
    Column("credits", Kind.WHOLE, "credits", "Credits consumed, drawn or owed."),
    Column("balance_change", Kind.WHOLE, "balance_change", "What it changed of the available credits."),
    Column("owed_change", Kind.WHOLE, "owed_change", "What it changed of the debt."),
    Column("grant_id", Kind.NAME, "grant_id", "The grant that paid, lost its credits, or came."),
    Column("grant_kind", Kind.NAME, "grant_kind", "free, promotional, paid or correction."),
    Column("unit_price", Kind.MONEY, "unit_price", "Money per credit of that grant."),
    Column("currency", Kind.NAME, "currency", "ISO 4217; empty where no grant is."),
    Column("cost", Kind.MONEY, "cost", "quantity x unit_price where credits left a grant, otherwise 0."),
    Column("billed", Kind.MONEY, "billed", "What a top-up was invoiced, otherwise 0."),
    Column(
        "reference",
        Kind.TEXT,
        "reference",
        "The operator's name of a top-up, void or correction: an invoice, a ticket.",
    ),
    Column("corrects", Kind.NAME, "corrects", "The month that a correction corrects, if it names one."),
    Column("valid_until", Kind.TIME, "valid_until", "When a grant expires; empty when it never does."),
    Column("created", Kind.WHOLE, "records.created", "Records created."),
    Column("updated", Kind.WHOLE, "records.updated", "Records updated."),
    Column("unchanged", Kind.WHOLE, "records.unchanged", "Records met, and not written since nothing changed."),
    Column("deleted", Kind.WHOLE, "records.deleted", "Records deleted."),
    Column("record_credits", Kind.WHOLE, "records.credits", "Of the operation's credits, those for its records."),
)


def values_of(columns: Sequence[Column], things: Sequence[Any]) -> list[list[Any]]:
    """The values of all things, column by column."""
    return [list(map(_getter(column.source), things)) for column in columns]


def cells_of(kind: Kind, values: Iterable[Any]) -> Iterable[Any]:
    """The values of a column as `csv.writer` takes them: None is an empty cell."""
    render = _RENDER.get(kind)
    if render is None:
        return values
    return [None if value is None else render(value) for value in values]


def _with_point(value: Decimal | int) -> str:
    text = plain(value) if isinstance(value, Decimal) else str(value)
    return text if "." in text else f"{text}.0"


def _truth(value: bool) -> str:
    return "true" if value else "false"


_RENDER: Mapping[Kind, Callable[[Any], str]] = {
    Kind.TEXT: neutralized,
    Kind.MONEY: plain,
    Kind.DECIMAL: _with_point,
    Kind.TIME: to_rfc3339,
    Kind.SECOND: to_second,
    Kind.TRUTH: _truth,
}
"""Of those that `csv.writer` does not write rightly by itself."""


def _getter(source: str) -> Callable[[Any], Any]:
    return attrgetter(source)
