"""Pages of listings: what a client may ask for, and cursors that only we can read."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

from aws_lambda_powertools.event_handler.openapi.params import Query

from functions.api.problems import FieldError, Refusal, invalid

DEFAULT_LIMIT = 50
MAX_LIMIT = 100
MAX_CURSOR = 1370
"""Characters; the longest key and its shard fit."""

Limit = Annotated[int, Query(ge=1, le=MAX_LIMIT, description="Items on one page.")]
Cursor = Annotated[
    str | None, Query(min_length=1, max_length=MAX_CURSOR, description="`next_cursor` of the page before.")
]


def opaque(cursor: str) -> str:
    """A store's cursor in a form that survives every URL, whatever keys it holds."""
    return urlsafe_b64encode(cursor.encode()).decode().rstrip("=")


@contextmanager
def store_cursor(given: str | None) -> Iterator[str | None]:
    """The store's cursor that a client sent back. Refuses one that cannot be read, here or by the store inside.

    Without a cursor, an error of the store is an error.
    """
    if given is None:
        yield None
        return
    try:
        yield urlsafe_b64decode(given + "=" * (-len(given) % 4)).decode()
    except ValueError as error:
        raise Refusal(invalid([FieldError("cursor", "Input should be the next_cursor of this listing")])) from error
