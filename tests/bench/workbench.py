"""The platform that is measured: the embedded AWS with the tables of template.yaml, and the code that runs on Lambda.

The functions themselves are not deployed: their code is called here, in this process, so that every request it makes
can be seen. So the tables have no streams that anybody listens to, and nobody else works on a run.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from samtranslator.yaml_helper import yaml_parse

from functions.api.answers import as_json
from functions.api.models.runs import RunView
from productsync.stack import process
from productsync.stack.aws import Aws
from shared.catalog import CatalogStore
from shared.credits import Channel, Ledger, PriceList
from shared.dynamo.client import dynamodb_client
from shared.feeds.store import FeedStore
from shared.ids import new_key_id, new_upload_id
from shared.runs.artifacts import RunArtifacts, upload_key
from shared.runs.commands import Started, StartRun, start_run
from shared.runs.model import Run, RunState
from shared.runs.preparer import PrepareRoom, prepare_run
from shared.runs.store import RunStore
from shared.runs.worker import Workshop, work
from shared.times import utc_now
from shared.workspaces.store import Opened, WorkspaceStore
from tests.bench.api import Api
from tests.bench.feed import DEFINITION
from tests.bench.wire import NO_DELAY, Network, Usage, Wire

CREDITS = 1_000_000_000
TEMPLATE = Path(__file__).parents[2] / "template.yaml"
CREDIT_TABLE, CATALOG_TABLE, WORK_TABLE, USAGE_TABLE = TABLES = (
    "CreditTable",
    "CatalogTable",
    "WorkTable",
    "UsageTable",
)
BUCKET = "bench"
FEED = "bench"


@dataclass(frozen=True, slots=True)
class Import:
    """One run from the wish to its end, and what each part of it took of DynamoDB."""

    run: Run
    start: Usage
    prepare: Usage
    work: Usage

    @property
    def around(self) -> Usage:
        """Starting and preparing: all but the worker."""
        return self.start + self.prepare

    @property
    def whole(self) -> Usage:
        return self.around + self.work


class Workbench:
    """Workspaces and imports on one embedded AWS. `wire` sees all that the code sends to DynamoDB."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self.wire = Wire()
        self.dynamodb = dynamodb_client(
            endpoint_url=endpoint,
            region_name=process.REGION,
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )
        self.wire.attach(self.dynamodb)
        self._s3 = Aws.embedded(endpoint, process.REGION).s3()
        self.runs = RunStore(self.dynamodb, WORK_TABLE)
        self.artifacts = RunArtifacts(self._s3, BUCKET)
        self._workspaces = WorkspaceStore(self.dynamodb, WORK_TABLE, CREDIT_TABLE)

    def create(self, *, catalog_stream: bool = False) -> None:
        """Makes the tables, as the template describes them but for their streams, and the bucket. With
        `catalog_stream`, the catalogue has one, which the bench reads itself.
        """
        template = yaml_parse(TEMPLATE.read_text(encoding="utf-8"))
        for name in TABLES:
            described = template["Resources"][name]["Properties"]
            kept = ("BillingMode", "AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes")
            request: dict[str, Any] = {part: described[part] for part in kept if part in described}
            if catalog_stream and name == CATALOG_TABLE:
                request["StreamSpecification"] = {"StreamEnabled": True, **described["StreamSpecification"]}
            self.dynamodb.create_table(TableName=name, **request)
        self._s3.create_bucket(Bucket=BUCKET)

    def open_workspace(self, credits: int = CREDITS) -> Opened:
        """A workspace with one feed, and credits enough unless told otherwise."""
        opened = self._workspaces.open("bench", credits, "EUR", idempotency_key=None, now=utc_now())
        assert isinstance(opened, Opened)
        FeedStore(self.dynamodb, WORK_TABLE).put(opened.workspace.workspace_id, FEED, DEFINITION, utc_now())
        return opened

    def api(self) -> Api:
        """The API on these tables."""
        environment = {
            "CREDIT_TABLE": CREDIT_TABLE,
            "CATALOG_TABLE": CATALOG_TABLE,
            "WORK_TABLE": WORK_TABLE,
            "USAGE_TABLE": USAGE_TABLE,
            "DATA_BUCKET": BUCKET,
            "PREPARE_QUEUE_URL": "",
            "IMPORT_QUEUE_URL": "",
            "STARTER_CREDITS": str(CREDITS),
            "ACTION_PRICES": "{}",
            "CURRENCY": "EUR",
            "OWED_CAP": "0",
            "MAX_FEED_BYTES": str(1 << 30),
            "IMPORT_LEG_SECONDS": "600",
            "STACK_NAME": "bench",
            "USAGE_PLAN_NAME": "bench",
            "OPERATORS_GATEWAY_KEY_ID": "bench",
            "OPERATORS_USAGE_KEY": "operators",
            "SHARED_USAGE_KEY": "shared",
            "PEOPLE_USAGE_KEY": "people",
            "DOCUMENTS_USAGE_KEY": "documents",
            "PREFLIGHT_USAGE_KEY": "preflight",
            "PERSON_CALLS_PER_HOUR": str(CREDITS),
            "PERSON_CALLS_PER_DAY": str(CREDITS),
        }
        return Api(self.endpoint, environment, self.wire)

    def upload(self, workspace_id: str, file: Path) -> tuple[str, str]:
        """Uploads a feed: the upload's identifier, and the tag of what it holds."""
        upload_id = new_upload_id(utc_now())
        with file.open("rb") as content:
            stored = self._s3.put_object(Bucket=BUCKET, Key=upload_key(workspace_id, FEED, upload_id), Body=content)
        return upload_id, stored["ETag"]

    def import_feed(self, account: Opened, file: Path, network: Network = NO_DELAY, api: Api | None = None) -> Import:
        """Runs a feed to its end: started by the command behind the API, or through all of the `api`.

        Each part begins with nothing in memory, like a function that starts cold.
        """
        workspace_id = account.workspace.workspace_id
        upload_id, etag = self.upload(workspace_id, file)
        with self.wire.measured(network) as start:
            if api is None:
                run_id = self._start(workspace_id, upload_id, etag)
            else:
                run_id = api.start_run(str(account.secret), FEED, upload_id)
        with self.wire.measured(network) as prepare:
            prepared = prepare_run(PrepareRoom(self.runs, self.artifacts), workspace_id, run_id)
        assert prepared is not None
        assert prepared.state is RunState.RUNNING, prepared
        with self.wire.measured(network) as worker:
            finished = work(self._workshop(), workspace_id, run_id, lambda: False)
        assert finished is not None
        assert finished.state is RunState.FINISHED, finished
        return Import(finished, start, prepare, worker)

    def _start(self, workspace_id: str, upload_id: str, etag: str) -> str:
        """For a client that retries safely: with an idempotency key, and a key's channel."""
        wish = StartRun(
            workspace_id=workspace_id,
            feed_id=FEED,
            upload_id=upload_id,
            dry_run=False,
            channel=Channel.API,
            request_id=upload_id,
            idempotency_key=upload_id,
            actor=new_key_id(utc_now()),
        )
        started = start_run(
            wish,
            DEFINITION,
            etag,
            ledger=Ledger(self.dynamodb, CREDIT_TABLE),
            runs=self.runs,
            artifacts=self.artifacts,
            prices=PriceList(),
            render=lambda run: as_json(RunView.of(run)),
            now=utc_now(),
        )
        assert isinstance(started, Started), started
        return started.run.run_id

    def _workshop(self) -> Workshop:
        return Workshop(
            ledger=Ledger(self.dynamodb, CREDIT_TABLE),
            catalog=CatalogStore(self.dynamodb, CATALOG_TABLE),
            runs=self.runs,
            artifacts=self.artifacts,
            prices=PriceList(),
        )


@contextmanager
def embedded_workbench(directory: Path, *, catalog_stream: bool = False) -> Iterator[Workbench]:
    """A workbench with an embedded AWS of its own in `directory`, which is stopped when the block ends."""
    running, endpoint = process.start(directory)
    try:
        workbench = Workbench(endpoint)
        workbench.create(catalog_stream=catalog_stream)
        yield workbench
    finally:
        running.stop()
