"""Exports to try things on: a story of a few months, a worker on quiet tables, and what is in the files in the end."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from boto3.s3.transfer import TransferConfig

from shared.credits import Committed, GrantKind, OperationLog
from shared.exports.bucket import ExportBucket, manifest_key
from shared.exports.commands import AskForExport, ask_for_export
from shared.exports.formats import LINES_PER_PART
from shared.exports.model import Export
from shared.exports.store import ExportStore
from shared.exports.worker import ExportRoom
from shared.ids import operation_id
from shared.months import Month
from shared.usage import UsageStore
from tests.support.money import AT_ONCE, Account, plain_dynamodb, plain_s3

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client

ONE_THREAD = TransferConfig(use_threads=False)
"""So that whoever is killed is killed where the test is."""


def never() -> bool:
    """There is always time."""
    return False


@dataclass
class Exporting:
    """The exports of one workspace. `lines_per_part` is how many lines its workers write into one part."""

    account: Account
    lines_per_part: int = LINES_PER_PART

    @property
    def workspace_id(self) -> str:
        return self.account.workspace_id

    def store(self, dynamodb: DynamoDBClient | None = None) -> ExportStore:
        world = self.account.world
        return ExportStore(dynamodb or plain_dynamodb(world), world.work_table, backoff=AT_ONCE)

    def room(self, dynamodb: DynamoDBClient | None = None, s3: S3Client | None = None) -> ExportRoom:
        """What a worker works with: another process, whose clients are these."""
        world = self.account.world
        client = dynamodb or plain_dynamodb(world)
        return ExportRoom(
            exports=self.store(client),
            log=OperationLog(client, world.credit_table),
            ledger=self.account.ledger(client),
            usage=UsageStore(client, world.usage_table),
            bucket=ExportBucket(s3 or plain_s3(world), world.bucket, ONE_THREAD),
            clock=self.account.clock,
            lines_per_part=self.lines_per_part,
        )

    def ask(self, month: Month | None = None) -> Export:
        now = self.account.clock()
        outcome = ask_for_export(self.store(), AskForExport(self.workspace_id, month or Month.of(now)), now)
        assert isinstance(outcome, Export)
        return outcome

    def now(self, export: Export) -> Export:
        """The export as it is now."""
        found = self.store().get(self.workspace_id, export.export_id)
        assert found is not None
        return found

    def charge(self, trigger: str, credits: int = 1) -> None:
        """A call at this moment that writes so many records."""
        at = self.account.clock()
        plan = replace(
            self.account.plan(trigger, credits), at=at, operation_id=operation_id(at, self.workspace_id, trigger)
        )
        assert isinstance(self.account.ledger().commit(plan), Committed)

    def top_up(self, reference: str, credits: int, price: str) -> None:
        grant = self.account.a_grant(reference, credits, GrantKind.PAID, price=price)
        self.account.ledger().grant(grant)

    def read(self, key: str) -> bytes:
        world = self.account.world
        return plain_s3(world).get_object(Bucket=world.bucket, Key=key)["Body"].read()

    def keys(self, prefix: str) -> set[str]:
        """What lies in the bucket under `prefix`."""
        world = self.account.world
        pages = plain_s3(world).get_paginator("list_objects_v2").paginate(Bucket=world.bucket, Prefix=prefix)
        return {entry["Key"] for page in pages for entry in page.get("Contents", [])}

    def rows(self, export: Export, form: str = "csv") -> list[dict[str, str]]:
        """The rows of all parts, of a format that is text; the files are what the export says of them."""
        found: list[dict[str, str]] = []
        for file in export.files:
            body = self.read(file.key)
            assert (len(body), hashlib.sha256(body).hexdigest()) == (file.bytes, file.sha256)
            if file.format == form:
                rows = list(csv.DictReader(io.StringIO(body.decode("utf-8-sig"), newline="")))
                assert len(rows) == file.lines
                found += rows
        return found

    def manifest(self, export: Export) -> dict[str, Any]:
        read: dict[str, Any] = json.loads(self.read(manifest_key(export)))
        return read

    def published(self, month: Month) -> set[str]:
        """What is published of the month."""
        folders = ("parquet", "focus")
        places = (f"published/{folder}/month={month}/workspace_id={self.workspace_id}/" for folder in folders)
        return {key for place in places for key in self.keys(place)}


def after(count: int) -> Callable[[], bool]:
    """Time is over once it was asked for so often."""
    answers: Iterator[bool] = iter([False] * count)
    return lambda: next(answers, True)


def at(day: int, month: int = 3) -> datetime:
    """A morning of 2026."""
    return datetime.fromisoformat(f"2026-{month:02}-{day:02}T08:00:00+00:00")
