"""An import to try things on: a prepared file made by hand, a catalogue that holds some of it, and a naive model of
what must come of it.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import simplejson

from shared.catalog import Record
from shared.catalog.records import record_item
from shared.credits import Action, Channel, Ledger, PriceList, RecordCounts
from shared.ids import new_run_id, new_upload_id
from shared.runs.artifacts import Manifest
from shared.runs.model import Run, RunState
from shared.runs.store import RunStore, put_new_run
from shared.runs.worker import Workshop, work
from shared.tracing import Tracer
from tests.support.money import MORNING, Account, plain_dynamodb

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client

Name = tuple[str, str]
"""An entity and a key."""

Attributes = dict[str, Any]
FEED = "supplier"
MAPPED = {"product": ("title", "price"), "category": ("title",)}


def never() -> bool:
    """Time never runs out."""
    return False


def a_feed(records: int) -> dict[Name, Attributes]:
    """Products and, every fifth record, a category."""
    names = [("category", f"c{n}") if n % 5 == 4 else ("product", f"p{n}") for n in range(records)]
    return {
        (entity, key): {"title": f"{key} of the feed"} | ({"price": n} if entity == "product" else {})
        for n, (entity, key) in enumerate(names)
    }


def a_catalogue(feed: Mapping[Name, Attributes], unchanged: int, updated: int) -> dict[Name, Attributes]:
    """A catalogue that holds some of the feed already, spread over all of it, with an attribute of its own."""
    spread = list(feed.items())[:: max(1, len(feed) // (unchanged + updated))][: unchanged + updated]
    return {
        name: attributes | {"note": "ours"} | ({"title": "an older title"} if number < updated else {})
        for number, (name, attributes) in enumerate(spread)
    }


@dataclass
class Expected:
    """What a run must come to, by a model that knows nothing of steps, credits or cursors."""

    records: dict[Name, tuple[Attributes, int]] = field(default_factory=dict)
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    credits: int = 0

    @classmethod
    def of(
        cls,
        feed: Mapping[Name, Attributes],
        catalogue: Mapping[Name, Attributes],
        *,
        skip_unchanged: bool = True,
        prices: PriceList | None = None,
    ) -> Expected:
        price = (prices or PriceList()).price
        expected = cls({name: (attributes, 1) for name, attributes in catalogue.items()})
        for name, wanted in feed.items():
            counts = expected.counts.setdefault(name[0], {"created": 0, "updated": 0, "unchanged": 0})
            current = catalogue.get(name)
            if current is None:
                counts["created"] += 1
                expected.records[name] = (wanted, 1)
                expected.credits += price(Action.RECORD_CREATED)
                continue
            after = {key: value for key, value in current.items() if key not in MAPPED[name[0]]} | wanted
            if after == current and skip_unchanged:
                counts["unchanged"] += 1
                continue
            counts["updated"] += 1
            expected.records[name] = (after, 2)
            expected.credits += price(Action.RECORD_UPDATED)
        return expected


@dataclass
class Import:
    """One run on one account."""

    account: Account
    feed: Mapping[Name, Attributes]
    catalogue: Mapping[Name, Attributes]
    run: Run
    prices: PriceList
    skip_unchanged: bool

    @classmethod
    def start(
        cls,
        account: Account,
        feed: Mapping[Name, Attributes],
        catalogue: Mapping[Name, Attributes] | None = None,
        *,
        skip_unchanged: bool = True,
        dry_run: bool = False,
        prices: PriceList | None = None,
        fill: bool = True,
    ) -> Import:
        """Lays down the catalogue and a run that is prepared."""
        catalogue = catalogue or {}
        if fill:
            fill_catalogue(account, catalogue)
        now = account.clock()
        run = Run(
            run_id=new_run_id(now),
            workspace_id=account.workspace_id,
            feed_id=FEED,
            upload_id=new_upload_id(now),
            channel=Channel.API,
            dry_run=dry_run,
            state=RunState.RUNNING,
            created_at=now,
            updated_at=now,
            step_at=now,
            preparation="the-only-one",
            records=len(feed),
            rows_read=len(feed),
        )
        put_prepared(account, run, feed, skip_unchanged=skip_unchanged)
        plain_dynamodb(account.world).put_item(**put_new_run(account.world.work_table, run).request["Put"])
        return cls(account, feed, catalogue, run, prices or PriceList(), skip_unchanged)

    def workshop(self, dynamodb: DynamoDBClient | None = None, s3: S3Client | None = None) -> Workshop:
        """What a worker needs, remembering nothing: another process."""
        world = self.account.world
        return Workshop(
            ledger=self.account.ledger(dynamodb),
            catalog=world.catalog(dynamodb),
            runs=world.runs(dynamodb),
            artifacts=world.artifacts(s3),
            prices=self.prices,
            clock=self.account.clock,
        )

    def work(
        self,
        dynamodb: DynamoDBClient | None = None,
        s3: S3Client | None = None,
        out_of_time: Callable[[], bool] = never,
    ) -> Run:
        """One worker, from a cold start to its end."""
        run = work(self.workshop(dynamodb, s3), self.run.workspace_id, self.run.run_id, out_of_time)
        assert run is not None
        return run

    def now(self) -> Run:
        run = self.runs().get(self.run.workspace_id, self.run.run_id)
        assert run is not None
        return run

    def runs(self) -> RunStore:
        return self.account.world.runs()

    def ledger(self) -> Ledger:
        return self.account.ledger()

    def check(self, expected: Expected | None = None) -> None:
        """That the run is over and everything is exactly as it must be: records, counts, credits and books."""
        if expected is None:
            expected = Expected.of(self.feed, self.catalogue, skip_unchanged=self.skip_unchanged, prices=self.prices)
        run = self.now()
        assert run.state is RunState.FINISHED
        assert run.progress == 1.0
        assert run.cursor.position == len(self.feed)
        records = self.account.records(*MAPPED)
        assert {name: (record.attributes, record.version) for name, record in records.items()} == expected.records
        counts = {
            entity: {"created": each.created, "updated": each.updated, "unchanged": each.unchanged}
            for entity, each in run.by_entity.items()
        }
        assert counts == expected.counts
        assert run.totals.credits == expected.credits
        operations = [entry for entry in self.account.operations() if entry.run_id == run.run_id]
        assert sum(entry.credits for entry in operations) == expected.credits
        self.account.check_the_books(*MAPPED)
        self.check_the_log()

    def check_the_log(self) -> None:
        """That the entries of the run tell of each record that it met once, and which of them they wrote."""
        run = self.now()
        tracer = Tracer(self.runs(), self.account.world.artifacts(), self.account.world.catalog())
        told: dict[str, RecordCounts] = {}
        written: Counter[Name] = Counter()
        for entry in (each for each in self.account.operations() if each.run_id == run.run_id):
            for entity, counts in entry.records.items():
                told[entity] = told.get(entity, RecordCounts()) + counts
            names = list(tracer.records_written(entry))
            assert len(names) == sum(counts.created + counts.updated for counts in entry.records.values())
            assert sum(counts.credits for counts in entry.records.values()) == entry.credits
            written.update(names)
        counted = {
            entity: RecordCounts(each.created, each.updated, each.unchanged, credits=each.credits)
            for entity, each in run.by_entity.items()
        }
        assert told == {entity: counts for entity, counts in counted.items() if counts != RecordCounts()}
        assert written.keys() <= self.feed.keys()
        assert not written or max(written.values()) == 1


def put_prepared(account: Account, run: Run, feed: Mapping[Name, Attributes], *, skip_unchanged: bool = True) -> None:
    """Keeps the feed as what preparing the run has made of its file."""
    with tempfile.TemporaryDirectory() as folder:
        records, rejections = Path(folder) / "records", Path(folder) / "rejections"
        lines = [simplejson.dumps([*name, attributes, row]) for row, (name, attributes) in enumerate(feed.items())]
        records.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        rejections.touch()
        account.world.artifacts().put_prepared(run, records, rejections, Manifest(MAPPED, skip_unchanged))


def fill_catalogue(account: Account, catalogue: Mapping[Name, Attributes]) -> None:
    """Writes records as a person would have: nobody paid for them."""
    records = [
        Record(
            workspace_id=account.workspace_id,
            entity=entity,
            key=key,
            attributes=attributes,
            version=1,
            created_at=MORNING,
            updated_at=MORNING,
            operation_id=None,
        )
        for (entity, key), attributes in catalogue.items()
    ]
    client, table = plain_dynamodb(account.world), account.world.catalog_table
    for start in range(0, len(records), 25):
        puts: Sequence[Any] = [{"PutRequest": {"Item": record_item(each)}} for each in records[start : start + 25]]
        assert not client.batch_write_item(RequestItems={table: puts})["UnprocessedItems"]


def edit_by_hand(account: Account, name: Name, attributes: Attributes | None) -> None:
    """A person changes a record, makes it, or deletes it (None); free, and without waiting for anybody."""
    client, table = plain_dynamodb(account.world), account.world.catalog_table
    record = account.world.catalog().get(account.workspace_id, *name)
    if record is None:
        fill_catalogue(account, {name: attributes or {}})
    elif attributes is None:
        client.delete_item(TableName=table, Key=record.primary_key.attributes())
    else:
        edited = replace(
            record,
            attributes=attributes,
            version=record.version + 1,
            updated_at=account.clock(),
            operation_id=None,
        )
        client.put_item(TableName=table, Item=record_item(edited))
