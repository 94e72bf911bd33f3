"""What several rooms of the API share: the shapes of requests and answers, times, and the texts of numbers."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Generic, TypeVar

from aws_lambda_powertools.event_handler.openapi.params import Header, Path
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from functions.api.paging import opaque
from shared.times import parse_rfc3339, to_rfc3339

Item = TypeVar("Item")

FIRST_YEAR, LAST_YEAR = 2000, 9998
"""Times outside these years are refused: nothing here is that old or that far, and a period added to such a time would
leave the calendar.
"""


class Request(BaseModel):
    """A request's body. A field that is not known is an error: it may be a misspelt one."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class View(BaseModel):
    """An answer, or a part of one: times, decimals and enumerations as text already."""

    model_config = ConfigDict(frozen=True)


class Page(View, Generic[Item]):
    """One page of a listing."""

    items: list[Item]
    next_cursor: Annotated[str | None, Field(description="Null on the last page.")]


class ProblemView(View):
    """Problem details (RFC 9457)."""

    class FieldErrorView(View):
        """What is wrong with one field of the request."""

        field: str
        message: str

    type: str
    title: str
    status: int
    detail: str
    request_id: str
    errors: list[FieldErrorView] = []


def page(items: Sequence[Item], cursor: str | None) -> Page[Item]:
    """A page of views, with the store's cursor made opaque."""
    return Page(items=list(items), next_cursor=None if cursor is None else opaque(cursor))


def documented(status: int, view: Any, description: str) -> dict[int, Any]:
    """What a route answers, for the OpenAPI document: routes write their JSON themselves, to keep numbers exact."""
    return {status: {"description": description, "content": {"application/json": {"model": view}}}}


def _point_in_time(value: object) -> datetime:
    if not isinstance(value, str):
        raise ValueError("Input should be an RFC 3339 time, such as 2026-11-22T08:00:00Z")
    try:
        at = parse_rfc3339(value)
    except ValueError:
        raise ValueError("Input should be an RFC 3339 time with its offset, such as 2026-11-22T08:00:00Z") from None
    if not FIRST_YEAR <= at.year <= LAST_YEAR:
        raise ValueError(f"Input should be a time of the years {FIRST_YEAR} to {LAST_YEAR}")
    # Milliseconds are what is kept; with more, a retry would not be recognised as the same.
    return at.replace(microsecond=at.microsecond // 1000 * 1000)


PointInTime = Annotated[datetime, BeforeValidator(_point_in_time)]

Identifier = Annotated[str, Path(max_length=100)]

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        pattern=r"^[\x20-\x7e]+$",
        description="The same key and body are answered the same, and charged once; with another body it is a 409.",
    ),
]


def time_text(at: datetime | None) -> str | None:
    """A time as it is answered."""
    return None if at is None else to_rfc3339(at)


def decimal_text(value: Decimal) -> str:
    """A decimal as it is answered: all its digits, and no exponent."""
    return format(value, "f")
