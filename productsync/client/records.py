"""Records of the catalogue: the data calls."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any
from uuid import uuid4

from productsync.answers import Batch, Page, Record, RecordChange
from productsync.client.calls import Answer, Calls, as_json, path_of
from productsync.client.paging import every

MAX_BATCH = 90
"""Records that one batch writes at most."""

MAX_BODY_BYTES = 256 * 1024
"""The largest body that the API takes."""

_AROUND = len(as_json({"records": []}))
_BETWEEN = len(", ")


class RecordsGroup:
    """Records. By an API key each call costs 1, and each record that it really changes 1 more; by hand it is free, but
    for the records of a batch.
    """

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def list(
        self,
        entity: str,
        *,
        updated_since: datetime | str | None = None,
        key_prefix: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> Answer[Page[Record]]:
        """One page of an entity's records, of at most 100. `updated_since` is a time with its offset. 1 credit.

        A page with a `next_cursor` may be short, or empty.
        """
        since = updated_since.isoformat() if isinstance(updated_since, datetime) else updated_since
        query = {"updated_since": since, "key_prefix": key_prefix, "limit": limit, "cursor": cursor}
        return self._calls.get_charged(path_of("records", entity), query)

    def all(
        self,
        entity: str,
        *,
        updated_since: datetime | str | None = None,
        key_prefix: str | None = None,
        cursor: str | None = None,
    ) -> Iterator[Record]:
        """All records of an entity, asked for as they are wanted: 1 credit for each page of 100."""
        listing = partial(self.list, entity, updated_since=updated_since, key_prefix=key_prefix)
        return every(listing, cursor=cursor)

    def get(self, entity: str, key: str) -> Answer[Record]:
        """One record. 1 credit."""
        return self._calls.get_charged(path_of("records", entity, key))

    def put(
        self,
        entity: str,
        key: str,
        attributes: Mapping[str, Any],
        *,
        if_version: int | None = None,
        idempotency_key: str | None = None,
    ) -> Answer[Record]:
        """Writes a record with these attributes and no others. 1 credit, and 1 if it changes.

        With `if_version` only if that is its version still, 0 meaning that there is none yet; otherwise it is a 412.
        """
        headers = {"If-None-Match": "*"} if if_version == 0 else _if_match(if_version)
        body = {"attributes": attributes}
        return self._calls.write(
            "PUT", path_of("records", entity, key), body, headers=headers, idempotency_key=idempotency_key
        )

    def patch(
        self,
        entity: str,
        key: str,
        attributes: Mapping[str, Any],
        *,
        if_version: int | None = None,
        idempotency_key: str | None = None,
    ) -> Answer[Record]:
        """Changes some attributes of a record, None removing one. It costs what `put` does."""
        headers, body = _if_match(if_version), {"attributes": attributes}
        return self._calls.write(
            "PATCH", path_of("records", entity, key), body, headers=headers, idempotency_key=idempotency_key
        )

    def delete(
        self, entity: str, key: str, *, if_version: int | None = None, idempotency_key: str | None = None
    ) -> Answer[dict[str, Any]]:
        """Deletes a record. 1 credit."""
        path = path_of("records", entity, key)
        return self._calls.write("DELETE", path, headers=_if_match(if_version), idempotency_key=idempotency_key)

    def push(
        self, entity: str, changes: Sequence[RecordChange], *, idempotency_key: str | None = None
    ) -> Answer[Batch]:
        """Writes up to 90 records, no key twice, in one transaction; those that are refused keep none of the others
        from being written. 1 credit, and 1 for each record created or updated, which a person pays as well.
        """
        path = path_of("records", entity, "batch")
        return self._calls.write("POST", path, {"records": [*changes]}, idempotency_key=idempotency_key)

    def push_all(
        self, entity: str, changes: Iterable[RecordChange], *, idempotency_key: str | None = None
    ) -> Iterator[Answer[Batch]]:
        """Writes any number of records, in as many batches as they take, and gives the answer of each as it comes.

        Nothing is sent before it is iterated over. With an `idempotency_key` the same changes may be pushed again: what
        was written is answered as it was then, and only the rest is written. Raises ApiProblem at the first batch that
        is refused as a whole; those before it are written.
        """
        first = uuid4().hex if idempotency_key is None else idempotency_key
        for place, batch in enumerate(batches(changes)):
            yield self.push(entity, batch, idempotency_key=f"{first}-{place}")


def batches(changes: Iterable[RecordChange]) -> Iterator[list[RecordChange]]:
    """The changes in their order, in batches that the API takes: of 90 at most, of 256 KB at most, no key twice.

    A change that is too large by itself is a batch of its own, which the API refuses.
    """
    batch: list[RecordChange] = []
    keys: set[str] = set()
    size = _AROUND
    for change in changes:
        # The text is ASCII, so that characters are bytes.
        more = len(as_json(change)) + _BETWEEN
        if batch and (len(batch) == MAX_BATCH or size + more > MAX_BODY_BYTES or change["key"] in keys):
            yield batch
            batch, keys, size = [], set(), _AROUND
        batch.append(change)
        keys.add(change["key"])
        size += more
    if batch:
        yield batch


def _if_match(version: int | None) -> dict[str, str]:
    return {} if version is None else {"If-Match": f'"{version}"'}
