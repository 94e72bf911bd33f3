"""Every queue message comes twice, one after the other and at once (law 2)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest

from functions.feed_preparer import handler as feed_preparer
from functions.import_worker import handler as import_worker
from productsync.stack import EmbeddedStack
from shared.credits import Channel, PriceList
from shared.ids import new_upload_id
from shared.runs.artifacts import upload_key
from shared.runs.commands import Started, StartRun, start_run
from shared.runs.model import Run, RunState
from shared.runs.preparer import PrepareRoom, prepare_run
from shared.runs.worker import Workshop, work
from shared.times import utc_now
from tests.support.money import Account, HandClock, World, plain_s3

DEFINITION = json.dumps(
    {
        "format": {"type": "csv"},
        "entities": [{"entity": "product", "key": "sku", "attributes": {"title": "title", "price": "price"}}],
    }
)
ROWS = [f"s{n},Title {n},{n}.50" for n in range(230)]
FEED = "\n".join(["sku,title,price", *ROWS, "s7,Later title,7.00"]) + "\n"


@dataclass
class Context:
    """What Lambda tells a function about an invocation."""

    function_name: str = "function"
    memory_limit_in_mb: int = 1769
    invoked_function_arn: str = "arn:aws:lambda:us-east-1:000000000000:function:function"
    aws_request_id: str = "00000000-0000-0000-0000-000000000000"

    def get_remaining_time_in_millis(self) -> int:
        return 900_000


@pytest.fixture
def functions(world: World, stack: EmbeddedStack, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The functions, set up for the quiet tables; and the queue that they believe their messages come from."""
    queue = stack.aws.sqs().create_queue(QueueName="quiet")["QueueUrl"]
    environment = {
        "AWS_ENDPOINT_URL": world.endpoint,
        "CREDIT_TABLE": world.credit_table,
        "CATALOG_TABLE": world.catalog_table,
        "WORK_TABLE": world.work_table,
        "USAGE_TABLE": world.usage_table,
        "DATA_BUCKET": world.bucket,
        "PREPARE_QUEUE_URL": queue,
        "IMPORT_QUEUE_URL": queue,
        "STARTER_CREDITS": "5000",
        "ACTION_PRICES": "{}",
        "CURRENCY": "EUR",
        "OWED_CAP": "1000",
        "MAX_FEED_BYTES": "1000000",
        "IMPORT_LEG_SECONDS": "600",
        "SOURCE_HOSTS": "",
        "SOURCE_BUCKETS": "",
        "SOURCE_SECRETS_PREFIX": "quiet/sources/",
        "POWERTOOLS_METRICS_NAMESPACE": "ProductSync",
        "POWERTOOLS_SERVICE_NAME": "tests",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    yield queue
    for function in (feed_preparer, import_worker):
        for made in vars(function).values():
            if hasattr(made, "cache_clear"):
                made.cache_clear()


@pytest.fixture
def account(world: World) -> Account:
    # The functions live in the present.
    return Account(world, 1000, HandClock(utc_now()))


def started(account: Account, csv: str) -> Run:
    upload_id = new_upload_id(account.clock())
    key = upload_key(account.workspace_id, "supplier", upload_id)
    stored = plain_s3(account.world).put_object(Bucket=account.world.bucket, Key=key, Body=csv.encode())
    outcome = start_run(
        StartRun(
            workspace_id=account.workspace_id,
            feed_id="supplier",
            upload_id=upload_id,
            dry_run=False,
            channel=Channel.API,
            request_id=upload_id,
        ),
        DEFINITION,
        stored["ETag"],
        ledger=account.ledger(),
        runs=account.world.runs(),
        artifacts=account.world.artifacts(),
        prices=PriceList(),
        render=lambda run: json.dumps({"run_id": run.run_id}),
        now=account.clock(),
    )
    assert isinstance(outcome, Started)
    return outcome.run


def deliver(stack: EmbeddedStack, queue: str, function: Any, run: Run) -> None:
    """The run's message, two times."""
    sqs = stack.aws.sqs()
    for _ in range(2):
        sqs.send_message(
            QueueUrl=queue,
            MessageBody=json.dumps({"workspace_id": run.workspace_id, "run_id": run.run_id, "leg": run.leg}),
        )
    events: list[dict[str, Any]] = []
    while len(events) < 2:
        for message in sqs.receive_message(QueueUrl=queue, VisibilityTimeout=60).get("Messages", []):
            record = {
                "messageId": message["MessageId"],
                "receiptHandle": message["ReceiptHandle"],
                "body": message["Body"],
                "attributes": {"ApproximateReceiveCount": "1"},
                "messageAttributes": {},
                "eventSource": "aws:sqs",
                "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:quiet",
                "awsRegion": "us-east-1",
            }
            events.append({"Records": [record]})
    for event in events:
        assert function.handler(event, cast("Any", Context())) == {"batchItemFailures": []}
    sqs.purge_queue(QueueUrl=queue)


def check(account: Account, run: Run) -> None:
    finished = account.world.runs().get(run.workspace_id, run.run_id)
    assert finished is not None
    assert (finished.state, finished.totals.created, finished.totals.credits) == (RunState.FINISHED, 230, 230)
    records = account.records()
    assert len(records) == 230
    assert {record.version for record in records.values()} == {1}
    assert records["product", "s7"].attributes["title"] == "Later title"
    assert (account.balance().consumed, account.balance().available) == (231, 769)


# Powertools warns of an invocation that has no metric to publish: nothing failed here.
@pytest.mark.filterwarnings("ignore:No application metrics to publish")
def test_messages_that_come_twice_are_acted_on_once(stack: EmbeddedStack, functions: str, account: Account) -> None:
    run = started(account, FEED)

    deliver(stack, functions, feed_preparer, run)
    prepared = account.world.runs().get(run.workspace_id, run.run_id)
    assert prepared is not None
    assert (prepared.state, prepared.records, prepared.duplicates) == (RunState.RUNNING, 230, 1), prepared.failure
    deliver(stack, functions, import_worker, run)
    deliver(stack, functions, feed_preparer, run)
    check(account, run)


def test_messages_that_come_twice_at_once_are_acted_on_once(account: Account, tmp_path: Path) -> None:
    world, run = account.world, started(account, FEED)
    room = PrepareRoom(world.runs(), world.artifacts(), workdir=tmp_path)
    workshop = Workshop(account.ledger(), world.catalog(), world.runs(), world.artifacts(), PriceList())
    with ThreadPoolExecutor(2) as pool:
        prepared = [pool.submit(prepare_run, room, run.workspace_id, run.run_id) for _ in range(2)]
        assert {future.result().state for future in prepared} == {RunState.RUNNING}  # type: ignore[union-attr]
        worked = [pool.submit(work, workshop, run.workspace_id, run.run_id, lambda: False) for _ in range(2)]
        assert {future.result().state for future in worked} == {RunState.FINISHED}  # type: ignore[union-attr]
    check(account, run)


@pytest.mark.parametrize(("then", "code"), [(b"sku,title\nb,other\n", "upload_replaced"), (None, "upload_missing")])
def test_a_run_reads_the_file_that_it_was_started_on_or_none(
    account: Account, tmp_path: Path, then: bytes | None, code: str
) -> None:
    """The address of an upload stays good for a while: another file may come, or the lifecycle may take it away."""
    run = started(account, "sku,title,price\na,Drill,5\n")
    s3, key = plain_s3(account.world), upload_key(account.workspace_id, "supplier", run.upload_id)
    if then is None:
        s3.delete_object(Bucket=account.world.bucket, Key=key)
    else:
        s3.put_object(Bucket=account.world.bucket, Key=key, Body=then)
    room = PrepareRoom(account.world.runs(), account.world.artifacts(), workdir=tmp_path)
    failed = prepare_run(room, run.workspace_id, run.run_id)
    assert failed is not None
    assert failed.failure is not None
    assert (failed.state, failed.failure.code) == (RunState.FAILED, code)
    assert list(tmp_path.iterdir()) == []
