"""Pages of listings: what a client may ask for, and cursors that only we can read."""

import re
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
def store_cursor(given: str | None, like: str | None = None) -> Iterator[str | None]:
    """The store's cursor that a client sent back. Refuses one that cannot be read, here or by the store inside: `like`
    is the pattern of what the store's cursors are, where it takes any text for one.

    Without a cursor, an error of the store is an error.
    """
    if given is None:
        yield None
        return
    try:
        yield _read(given, like)
    except ValueError as error:
        raise Refusal(invalid([FieldError("cursor", "Input should be the next_cursor of this listing")])) from error


def _read(given: str, like: str | None) -> str:
    """What `opaque` was made of. Raises ValueError where it was made of nothing, or of something else."""
    cursor = urlsafe_b64decode(given + "=" * (-len(given) % 4)).decode()
    # Decoding passes over signs that are not of its alphabet: of those alone nothing is left, and DynamoDB takes no
    # empty key.
    if not cursor or opaque(cursor) != given:
        raise ValueError("no listing has given this cursor")
    if like is not None and re.fullmatch(like, cursor) is None:
        raise ValueError("it is the cursor of another listing")
    return cursor
