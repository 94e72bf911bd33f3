"""Listings over as many pages as they take."""

from collections.abc import Iterator
from typing import Protocol, TypeVar

from productsync.answers import Page
from productsync.client.calls import MAX_PAGE, Answer

Item = TypeVar("Item")


class Listing(Protocol[Item]):
    """A method that gives one page of a listing, such as `client.feeds.list`."""

    def __call__(self, *, limit: int | None = None, cursor: str | None = None) -> Answer[Page[Item]]:
        """The page after `cursor`, of at most `limit` items."""


def pages(listing: Listing[Item], *, cursor: str | None = None) -> Iterator[Answer[Page[Item]]]:
    """All pages of a listing, from the first or from `cursor` on, asked for as they are wanted.

    A method that takes more than a page's arguments is given them with `functools.partial`.
    """
    while True:
        answer = listing(limit=MAX_PAGE, cursor=cursor)
        yield answer
        cursor = answer.body["next_cursor"]
        if cursor is None:
            return


def every(listing: Listing[Item], *, cursor: str | None = None) -> Iterator[Item]:
    """All items of a listing, page after page."""
    for answer in pages(listing, cursor=cursor):
        yield from answer.body["items"]


def gather(listing: Listing[Item], *, limit: int, cursor: str | None = None) -> Page[Item]:
    """The first `limit` items after `cursor`, put together from as many pages as they take, as one page."""
    items: list[Item] = []
    while len(items) < limit:
        page = listing(limit=min(limit - len(items), MAX_PAGE), cursor=cursor).body
        items.extend(page["items"])
        cursor = page["next_cursor"]
        if cursor is None:
            break
    return {"items": items, "next_cursor": cursor}
