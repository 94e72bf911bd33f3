"""What several rooms of the API share: the shapes of requests and answers, times, and the texts of numbers."""

import re
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Generic, TypeVar

from aws_lambda_powertools.event_handler.openapi.params import Header, Path
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    field_validator,
)

from functions.api.models.texts import told
from functions.api.paging import opaque
from functions.api.patterns import IDEMPOTENCY_KEY_PATTERN
from shared.months import MONTH_PATTERN
from shared.times import parse_rfc3339, to_rfc3339

Item = TypeVar("Item")

MAX_DIGITS = 30
"""Digits that a whole number of a request has at most."""

FIRST_YEAR, LAST_YEAR = 2000, 9998
"""Times outside these years are refused: nothing here is that old or that far, and a period added to such a time would
leave the calendar.
"""


class Request(BaseModel):
    """A request's body. A field that is not known is an error: it may be a misspelt one."""

    # Built when it is first needed: a first request waits for the models of its own route alone.
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    @field_validator("*", mode="before")
    @classmethod
    def _whole_numbers(cls, value: object) -> object:
        """JSON has one kind of number, and some clients write 51 as 51.0."""
        is_whole = isinstance(value, Decimal) and value.adjusted() < MAX_DIGITS and value == value.to_integral_value()
        return int(value) if isinstance(value, Decimal) and is_whole else value


class View(BaseModel):
    """An answer, or a part of one: times, decimals and enumerations as text already."""

    model_config = ConfigDict(frozen=True, defer_build=True)


class Page(View, Generic[Item]):
    """One page of a listing."""

    items: list[Item]
    next_cursor: Annotated[str | None, Field(description="Null on the last page."), told("bTg", minLength=1)]


def page(items: Sequence[Item], cursor: str | None) -> Page[Item]:
    """A page of views, with the store's cursor made opaque."""
    return Page(items=list(items), next_cursor=None if cursor is None else opaque(cursor))


def documented(status: int, view: Any, description: str) -> dict[int, Any]:
    """What a route answers, for the OpenAPI document: routes write their JSON themselves, to keep numbers exact."""
    return {status: {"description": description, "content": {"application/json": {"model": view}}}}


_LOST_PLUS = re.compile(r"T\S+ \d\d:?\d\d")
"""What a query of a URL makes of the + of an offset, when it is sent as it is."""


def _point_in_time(value: object) -> datetime:
    if not isinstance(value, str):
        raise ValueError("Input should be an RFC 3339 time, such as 2026-11-22T08:00:00Z")
    try:
        at = parse_rfc3339(value)
    except ValueError:
        hint = "; in a URL, + is sent as %2B" if _LOST_PLUS.search(value) else ""
        wanted = "Input should be an RFC 3339 time with its offset, such as 2026-11-22T08:00:00Z"
        raise ValueError(wanted + hint) from None
    if not FIRST_YEAR <= at.year <= LAST_YEAR:
        raise ValueError(f"Input should be a time of the years {FIRST_YEAR} to {LAST_YEAR}")
    # Milliseconds are what is kept; with more, a retry would not be recognised as the same.
    return at.replace(microsecond=at.microsecond // 1000 * 1000)


PointInTime = Annotated[
    datetime,
    BeforeValidator(_point_in_time),
    told("2026-11-22T08:00:00Z", pattern="^([2-8][0-9]{3}|9[0-8][0-9]{2}|99[0-8][0-9]|999[0-8])-"),
]

MonthName = Annotated[str, Field(pattern=MONTH_PATTERN)]

Identifier = Annotated[str, Path(max_length=100)]

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        pattern=IDEMPOTENCY_KEY_PATTERN,
        description="The same key and body are answered the same, and charged once; with another body it is a 409.",
    ),
]


def time_text(at: datetime | None) -> str | None:
    """A time as it is answered."""
    return None if at is None else to_rfc3339(at)


def decimal_text(value: Decimal) -> str:
    """A decimal as it is answered: all its digits, and no exponent."""
    return format(value, "f")
