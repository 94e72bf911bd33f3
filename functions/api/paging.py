"""Pages of listings: what a client may ask for, and what becomes of a cursor that none of our pages gave."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

from aws_lambda_powertools.event_handler.openapi.params import Query

from functions.api.problems import FieldError, Refusal, invalid

DEFAULT_LIMIT = 50
MAX_LIMIT = 100

Limit = Annotated[int, Query(ge=1, le=MAX_LIMIT, description="Items on one page.")]
Cursor = Annotated[str | None, Query(max_length=4096, description="`next_cursor` of the page before.")]


@contextmanager
def reading_from(cursor: str | None) -> Iterator[None]:
    """Refuses the client's `cursor` if the store inside cannot read it. Without a cursor, an error is an error."""
    try:
        yield
    except ValueError as error:
        if cursor is None:
            raise
        raise Refusal(invalid([FieldError("cursor", "This is not a cursor of this listing")])) from error
