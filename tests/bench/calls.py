"""What each call to the API takes of DynamoDB, and how much longer it takes for being charged.

The authorizer and the handler are called in the bench's own process, so that every request can be seen. Beside them
stands the bare work: the same records, read and written with the same client by somebody who charges nobody, keeps no
log, and checks nothing but that the record is still what was read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from statistics import median
from typing import Any
from uuid import uuid4

from shared.catalog import CatalogStore, Record, put_record
from shared.catalog.records import record_item
from shared.edits import MAX_BATCH
from shared.ids import operation_id
from shared.keys import Item
from shared.times import utc_now
from tests.bench.api import Api, Request, person
from tests.bench.feed import attributes_of, key_of, write_feed
from tests.bench.report import Billed, at_most
from tests.bench.speed import DELAYS
from tests.bench.wire import NO_DELAY, Network, Usage
from tests.bench.workbench import CATALOG_TABLE, Workbench
from tests.bench.workbench import FEED as FEED_ID

RECORDS = 2_000
"""Records of the catalogue in which the calls are made: a page of a listing then needs one query."""

ROUNDS = 9
PAGE = 50
ENTITY, PREFIX = "product", "CALL"
RECORD, LISTING, BATCH, RUNS = (
    *("/records/{entity}/{key}", "/records/{entity}", "/records/{entity}/batch"),
    "/feeds/{feed_id}/runs",
)
ROWS_AT_ONCE = 25

READ = 1
"""Requests that a read takes for itself: of one item with the balance, or one query."""
CHARGE = 1
"""Requests that charging a read takes (issue 5)."""
BALANCE = 1
"""Requests for the balance where nothing brings it along, and none was seen yet."""
WRITE = 2
"""Requests of a write: one for all that it has to know, and the transaction."""
REPLAY = 1
"""Requests of a retry: what it has to know is its answer."""
FEED = 1
"""Requests of a run's start besides those of a write: its feed."""
PACE = 1
"""Requests, and write units, that count what a person does by hand."""

CHARGE_UNITS = 4
"""Write units of a charge: the entry and the balance, each twice since it is a transaction."""
RECORD_UNITS = 2
"""Those of a record of less than 1 KB in it."""
KEY_UNITS, SMALL_KEY_UNITS, BATCH_KEY_UNITS = 4, 2, 16
"""Those of an idempotency key: with a record for its answer, with next to nothing, with what became of 90 records."""
RUN_UNITS = 3
"""Those of a run, with the index of its feed's runs."""

Act = Callable[[], object]
Ready = Callable[[], Act]
"""Prepares something, unmeasured, and gives what is to be measured."""


@dataclass(frozen=True, slots=True)
class Way:
    """One way to do something, in at most so many requests and write units."""

    what: str
    ready: Ready
    requests: int
    write_units: int = 0


@dataclass(frozen=True, slots=True)
class Work:
    """The same work in several ways, the first of which is the bare one, if there is one."""

    ways: Sequence[Way]
    has_bare: bool = True


class Bench:
    """A workspace with a catalogue, and all who work on it: its key, a person, and whoever goes around the API."""

    def __init__(self, workbench: Workbench, folder: Path) -> None:
        self._workbench = workbench
        self._client = workbench.dynamodb
        self._catalog = CatalogStore(self._client, CATALOG_TABLE)
        self._api: Api = workbench.api()
        opened = workbench.open_workspace()
        self._workspace_id = opened.workspace.workspace_id
        self._secret = str(opened.secret)
        self._key = self._api.authorize(self._secret, Request("GET", "/credits"))
        self._person = person(self._workspace_id)
        file = folder / "calls.csv"
        write_feed(file, 1)
        self._upload_id, _ = workbench.upload(self._workspace_id, file)
        self._numbers = count(RECORDS)
        items = [self._item(number) for number in range(RECORDS)]
        for start in range(0, RECORDS, ROWS_AT_ONCE):
            puts: Any = [{"PutRequest": {"Item": item}} for item in items[start : start + ROWS_AT_ONCE]]
            self._client.batch_write_item(RequestItems={CATALOG_TABLE: puts})

    def bills(self) -> Iterator[Billed]:
        """All calls, each beside the others that do the same work."""
        for work in (self._authorizing(), *self._reads(), *self._writes(), self._batches(), self._runs()):
            yield from self._bill(work)

    def _bill(self, work: Work) -> Iterator[Billed]:
        """Counted once, and timed in turns, so that a busy machine slows all of them."""
        usages = []
        for way in work.ways:
            # What is set up once, and then stays, is the first call's.
            way.ready()()
            usages.append(self._measured(way, reads=True))
        plain: list[list[float]] = [[] for _ in work.ways]
        delayed: list[list[float]] = [[] for _ in work.ways]
        for _ in range(ROUNDS):
            for number, way in enumerate(work.ways):
                plain[number].append(self._measured(way).seconds * 1000)
                delayed[number].append(self._measured(way, DELAYS).seconds * 1000)
        bare = median(delayed[0]) if work.has_bare else None
        for number, (way, usage) in enumerate(zip(work.ways, usages, strict=True)):
            yield Billed(
                what=way.what,
                requests=at_most(f"{way.what}: requests", usage.request_count, way.requests),
                write_units=at_most(f"{way.what}: write units", usage.write_units, way.write_units),
                read_units=usage.read_units,
                plain=median(plain[number]),
                delayed=median(delayed[number]),
                added=None if bare is None or number == 0 else median(delayed[number]) - bare,
            )

    def _measured(self, way: Way, network: Network = NO_DELAY, *, reads: bool = False) -> Usage:
        act = way.ready()
        with self._workbench.wire.measured(network, reads=reads) as usage:
            act()
        return usage

    def _authorizing(self) -> Work:
        request = Request("GET", LISTING, {"entity": ENTITY})
        return Work(
            [Way("the authorizer, a key", lambda: lambda: self._api.authorize(self._secret, request), 1)], False
        )

    def _reads(self) -> Iterator[Work]:
        def one() -> Request:
            return Request("GET", RECORD, {"entity": ENTITY, "key": key_of(1, PREFIX)})

        def page() -> Request:
            return Request("GET", LISTING, {"entity": ENTITY}, {"limit": str(PAGE)})

        what = "GET a record"
        yield Work(
            [
                Way(f"{what}: bare", lambda: lambda: self._found(1), READ),
                Way(f"{what}: by key", self._new(self._key, one, 200), READ + CHARGE, CHARGE_UNITS),
                Way(f"{what}: by key, cold", self._cold(self._key, one), READ + CHARGE, CHARGE_UNITS),
                Way(f"{what}: by a person", self._new(self._person, one, 200), READ + PACE, PACE),
            ]
        )
        what = f"GET {PAGE} records"
        yield Work(
            [
                Way(f"{what}: bare", lambda: lambda: self._catalog.page(self._workspace_id, ENTITY, PAGE), READ),
                Way(f"{what}: by key", self._new(self._key, page, 200), READ + CHARGE, CHARGE_UNITS),
                Way(f"{what}: by key, cold", self._cold(self._key, page), READ + BALANCE + CHARGE, CHARGE_UNITS),
                Way(f"{what}: by a person", self._new(self._person, page, 200), READ + PACE, PACE),
            ]
        )

    def _writes(self) -> Iterator[Work]:
        """Of one record. A deleted one costs as many write units as one that is written, an unchanged one none."""
        one = RECORD_UNITS
        yield self._write("PUT, created", self._create, 201, (self._bare_create, WRITE), one, KEY_UNITS)
        yield self._write("PUT, updated", self._update, 200, (self._bare_update, WRITE), one, KEY_UNITS)
        yield self._write("PUT, unchanged", self._leave, 200, (lambda: lambda: self._found(0), READ), 0, KEY_UNITS)
        yield self._write("PATCH", self._patch, 200, (self._bare_update, WRITE), one, KEY_UNITS)
        yield self._write("DELETE", self._delete, 204, (self._bare_delete, WRITE), one, SMALL_KEY_UNITS)

    def _write(
        self,
        what: str,
        new: Callable[[], Request],
        status: int,
        bare: tuple[Ready, int],
        units: int,
        key_units: int,
    ) -> Work:
        """`new` makes a request that was not sent before. `bare` comes with its requests; without a transaction it
        takes half the `units`. A person's transaction has no balance, and the pace counts elsewhere.
        """
        charged = CHARGE_UNITS + units
        by_hand = CHARGE_UNITS // 2 + units + PACE
        return Work(
            [
                Way(f"{what}: bare", *bare, units // 2),
                Way(f"{what}: by key", self._new(self._key, new, status), WRITE, charged),
                Way(f"{what}: by key, Idempotency-Key", self._once(new, status), WRITE, charged + key_units),
                Way(f"{what}: the same sent again", self._again(new, status), REPLAY),
                Way(f"{what}: by a person", self._new(self._person, new, status), WRITE + PACE, by_hand),
            ]
        )

    def _batches(self) -> Work:
        """Whoever writes in bulk pays for it, a person too."""
        what, new, records = f"POST a batch of {MAX_BATCH}", self._batch, MAX_BATCH * RECORD_UNITS
        units = records + CHARGE_UNITS
        return Work(
            [
                Way(f"{what}: bare", self._bare_batch, WRITE, records),
                Way(f"{what}: by key", self._new(self._key, new, 200), WRITE, units),
                Way(f"{what}: by key, Idempotency-Key", self._once(new, 200), WRITE, units + BATCH_KEY_UNITS),
                Way(f"{what}: the same sent again", self._again(new, 200), REPLAY),
                Way(f"{what}: by a person", self._new(self._person, new, 200), WRITE + PACE, units + PACE),
                Way(f"{what}: by a person, cold", self._cold(self._person, new), WRITE + PACE, units + PACE),
            ]
        )

    def _runs(self) -> Work:
        def new() -> Request:
            return Request("POST", RUNS, {"feed_id": FEED_ID}, body={"upload_id": self._upload_id})

        what, requests, units = "POST a run", WRITE + FEED, CHARGE_UNITS + RUN_UNITS
        # There is neither a balance to look at nor an idempotency key.
        by_hand = self._new(self._person, new, 202)
        return Work(
            [
                Way(f"{what}: by key", self._new(self._key, new, 202), requests, units),
                Way(f"{what}: by key, Idempotency-Key", self._once(new, 202), requests, units + SMALL_KEY_UNITS),
                Way(f"{what}: the same sent again", self._again(new, 202), REPLAY),
                Way(f"{what}: by a person", by_hand, requests - 1 + PACE, units - 2 + PACE),
            ],
            has_bare=False,
        )

    def _call(self, caller: Mapping[str, Any], request: Request, status: int) -> Act:
        def act() -> None:
            answer = self._api.call(caller, request)
            assert answer.status == status, answer

        return act

    def _new(self, caller: Mapping[str, Any], new: Callable[[], Request], status: int) -> Ready:
        return lambda: self._call(caller, new(), status)

    def _once(self, new: Callable[[], Request], status: int) -> Ready:
        return lambda: self._call(self._key, _with_key(new()), status)

    def _again(self, new: Callable[[], Request], status: int) -> Ready:
        """A retry of what was done already."""

        def ready() -> Act:
            act = self._call(self._key, _with_key(new()), status)
            act()
            return act

        return ready

    def _cold(self, caller: Mapping[str, Any], new: Callable[[], Request]) -> Ready:
        """By a function that has seen no balance yet."""

        def ready() -> Act:
            self._api.forget()
            return self._call(caller, new(), 200)

        return ready

    def _create(self) -> Request:
        number = next(self._numbers)
        return _put(number, attributes_of(number, 0, PREFIX))

    def _update(self) -> Request:
        edition = next(self._numbers)
        return _put(1, attributes_of(1, edition, PREFIX))

    def _leave(self) -> Request:
        return _put(0, attributes_of(0, 0, PREFIX))

    def _patch(self) -> Request:
        body = {"attributes": {"stock": next(self._numbers)}}
        return Request("PATCH", RECORD, {"entity": ENTITY, "key": key_of(1, PREFIX)}, body=body)

    def _delete(self) -> Request:
        number = next(self._numbers)
        self._client.put_item(TableName=CATALOG_TABLE, Item=self._item(number))
        return Request("DELETE", RECORD, {"entity": ENTITY, "key": key_of(number, PREFIX)})

    def _batch(self) -> Request:
        numbers = [next(self._numbers) for _ in range(MAX_BATCH)]
        records = [{"key": key_of(each, PREFIX), "attributes": attributes_of(each, 0, PREFIX)} for each in numbers]
        return Request("POST", BATCH, {"entity": ENTITY}, body={"records": records})

    def _found(self, number: int) -> Record | None:
        return self._catalog.get(self._workspace_id, ENTITY, key_of(number, PREFIX))

    def _bare_create(self) -> Act:
        return self._bare_write(next(self._numbers))

    def _bare_update(self) -> Act:
        return self._bare_write(1)

    def _bare_write(self, number: int) -> Act:
        """Reads the record and writes it, if it is still what was read."""

        def act() -> None:
            (put,) = put_record(CATALOG_TABLE, self._record(number), self._found(number)).request.values()
            self._client.put_item(**put)

        return act

    def _bare_delete(self) -> Act:
        item = self._item(number := next(self._numbers))
        self._client.put_item(TableName=CATALOG_TABLE, Item=item)
        place: Item = {name: item[name] for name in ("pk", "sk")}

        def act() -> None:
            assert self._found(number) is not None
            self._client.delete_item(TableName=CATALOG_TABLE, Key=place)

        return act

    def _bare_batch(self) -> Act:
        numbers = [next(self._numbers) for _ in range(MAX_BATCH)]

        def act() -> None:
            wanted = [(ENTITY, key_of(number, PREFIX)) for number in numbers]
            assert not self._catalog.get_many(self._workspace_id, wanted)
            puts: Any = [put_record(CATALOG_TABLE, self._record(number), None).request for number in numbers]
            self._client.transact_write_items(TransactItems=puts)

        return act

    def _item(self, number: int) -> Item:
        return record_item(self._record(number))

    def _record(self, number: int) -> Record:
        now = utc_now()
        return Record(
            workspace_id=self._workspace_id,
            entity=ENTITY,
            key=key_of(number, PREFIX),
            attributes=attributes_of(number, 0, PREFIX),
            version=1,
            created_at=now,
            updated_at=now,
            operation_id=operation_id(now, self._workspace_id),
        )


def _put(number: int, attributes: Mapping[str, Any]) -> Request:
    path = {"entity": ENTITY, "key": key_of(number, PREFIX)}
    return Request("PUT", RECORD, path, body={"attributes": attributes})


def _with_key(request: Request) -> Request:
    return replace(request, idempotency_key=uuid4().hex)
