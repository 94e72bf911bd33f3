"""Runs that fetch their files by themselves: once, whole, and only when there is something new."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from shared import keys
from shared.credits import Channel, PriceList
from shared.ids import new_upload_id
from shared.runs.artifacts import upload_key
from shared.runs.commands import cancel_run, new_run
from shared.runs.model import Run, RunState
from shared.runs.preparer import PrepareRoom, prepare_run
from shared.runs.pulling import PullRoom
from shared.runs.store import put_new_run
from shared.runs.worker import Workshop, work
from shared.settings import SourceSettings
from shared.sources.credentials import (
    BasicCredentials,
    BearerCredentials,
    CredentialStore,
    HeaderCredentials,
    origin_of,
)
from shared.sources.fetching import Patience, Validators
from shared.sources.puller import Puller
from shared.sources.store import LastFile, LastFileStore
from tests.support.api import CSV, DEFINITION
from tests.support.faults import Killed, Line, killed_after_sending, killed_before_sending
from tests.support.money import Account, World, plain_dynamodb, plain_s3
from tests.support.supplier import Supplier, says, with_etag

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_secretsmanager import SecretsManagerClient

OpenAccount = Callable[[int], Account]
FEED = "supplier"
BUCKET = "quiet-sources"
SETTINGS = SourceSettings(hosts=frozenset({"localhost"}), buckets=frozenset({BUCKET}), secrets_prefix="quiet/sources/")
IMPATIENT = Patience(connect=5, read=5, total=20, attempts=2, sleep=lambda _seconds: None)
CHANGED = CSV.replace(b"Drill", b"Cordless drill")


@pytest.fixture(scope="session")
def secrets(world: World) -> SecretsManagerClient:
    client: SecretsManagerClient = world.client("secretsmanager")
    return client


@pytest.fixture(scope="session")
def source_bucket(world: World) -> str:
    plain_s3(world).create_bucket(Bucket=BUCKET)
    return BUCKET


@dataclass
class Story:
    """A feed that is fetched from somewhere."""

    account: Account
    secrets: SecretsManagerClient
    source: dict[str, Any]
    more: dict[str, Any] = field(default_factory=dict)
    max_bytes: int = 100_000

    @property
    def last_files(self) -> LastFileStore:
        return LastFileStore(plain_dynamodb(self.account.world), self.account.world.work_table)

    @property
    def credentials(self) -> CredentialStore:
        return CredentialStore(self.secrets, SETTINGS.secrets_prefix)

    def last(self) -> LastFile | None:
        return self.last_files.get(self.account.workspace_id, FEED)

    def start(self, upload: bytes | None = None, *, dry_run: bool = False) -> Run:
        """A run as a schedule or the API start it; on an upload, if there is one."""
        world, now = self.account.world, self.account.clock()
        upload_id, etag = None, ""
        if upload is not None:
            upload_id = new_upload_id(now)
            key = upload_key(self.account.workspace_id, FEED, upload_id)
            etag = plain_s3(world).put_object(Bucket=world.bucket, Key=key, Body=upload)["ETag"]
        run = new_run(
            world.artifacts(),
            json.dumps(DEFINITION | {"source": self.source} | self.more),
            workspace_id=self.account.workspace_id,
            feed_id=FEED,
            channel=Channel.SCHEDULE,
            now=now,
            upload_id=upload_id,
            upload_etag=etag,
            dry_run=dry_run,
        )
        plain_dynamodb(world).put_item(**put_new_run(world.work_table, run).request["Put"])
        return run

    def prepare(self, run: Run, dynamodb: DynamoDBClient | None = None, s3: S3Client | None = None) -> Run:
        world = self.account.world
        runs, artifacts = world.runs(dynamodb), world.artifacts(s3)
        puller = Puller(
            s3=s3 or plain_s3(world),
            credentials=self.credentials,
            settings=SETTINGS,
            max_bytes=self.max_bytes,
            patience=IMPATIENT,
        )
        last_files = LastFileStore(dynamodb or plain_dynamodb(world), world.work_table)
        pulling = PullRoom(
            runs=runs, artifacts=artifacts, puller=puller, last_files=last_files, clock=self.account.clock
        )
        with tempfile.TemporaryDirectory() as folder:
            room = PrepareRoom(runs, artifacts, self.account.clock, Path(folder), pulling)
            prepared = prepare_run(room, run.workspace_id, run.run_id)
            # Also of one that was killed: its process would have gone with its disk.
            assert list(Path(folder).iterdir()) == []
        assert prepared is not None
        return prepared

    def carry_out(self, run: Run) -> Run:
        world = self.account.world
        shop = Workshop(
            ledger=self.account.ledger(),
            catalog=world.catalog(),
            runs=world.runs(),
            artifacts=world.artifacts(),
            prices=PriceList(),
            clock=self.account.clock,
        )
        done = work(shop, run.workspace_id, run.run_id, lambda: False)
        assert done is not None
        return done

    def run(self, upload: bytes | None = None, *, dry_run: bool = False) -> Run:
        """One run from its start to its end."""
        return self.carry_out(self.prepare(self.start(upload, dry_run=dry_run)))

    def now(self, run: Run) -> Run:
        found = self.account.world.runs().get(run.workspace_id, run.run_id)
        assert found is not None
        return found

    def titles(self) -> list[str]:
        return sorted(record.attributes["title"] for record in self.account.records().values())

    def kept(self) -> list[bytes]:
        """All that was kept of what was fetched."""
        world = self.account.world
        s3, prefix = plain_s3(world), f"uploads/{self.account.workspace_id}/"
        found = s3.list_objects_v2(Bucket=world.bucket, Prefix=prefix).get("Contents", [])
        return [s3.get_object(Bucket=world.bucket, Key=entry["Key"])["Body"].read() for entry in found]


@pytest.fixture
def supplier() -> Iterator[Supplier]:
    with Supplier(with_etag(CSV, '"one"')) as running:
        yield running


@pytest.fixture
def story(open_account: OpenAccount, secrets: SecretsManagerClient, supplier: Supplier) -> Story:
    return Story(open_account(1000), secrets, {"type": "http", "url": supplier.url()})


# --- from the source to the catalogue ---


def test_a_file_is_fetched_kept_and_imported(story: Story, supplier: Supplier) -> None:
    started = story.start()
    assert (started.upload_etag, started.state) == ("", RunState.PREPARING)
    prepared = story.prepare(started)
    assert (prepared.state, prepared.records, prepared.upload_id) == (RunState.RUNNING, 3, started.upload_id)
    assert prepared.upload_etag
    assert story.kept() == [CSV]
    done = story.carry_out(prepared)
    assert (done.state, done.totals.created, done.unmodified) == (RunState.FINISHED, 3, False)
    assert story.titles() == ["Drill", "Plane", "Saw"]
    assert len(supplier.asked) == 1
    story.account.check_the_books()


def test_an_unmodified_source_ends_the_run_at_once_and_costs_nothing(story: Story, supplier: Supplier) -> None:
    first = story.run()
    again = story.prepare(story.start())
    assert (again.state, again.unmodified, again.rows_read, again.progress) == (RunState.FINISHED, True, 0, 1.0)
    assert again.finished_at is not None
    assert story.now(again) == again
    assert story.account.balance().consumed == 3
    assert story.last() == LastFile(first.run_id, Validators('"one"'), story.last().fingerprint)  # type: ignore[union-attr]

    supplier.answers = [with_etag(CHANGED, '"two"')]
    changed = story.run()
    assert (changed.unmodified, changed.totals.updated, changed.totals.unchanged) == (False, 1, 2)
    assert story.prepare(story.start()).unmodified
    assert [asked.headers.get("if-none-match") for asked in supplier.asked] == [None, '"one"', '"one"', '"two"']
    assert len(story.kept()) == 2


def test_a_dry_run_neither_uses_nor_leaves_what_is_remembered(story: Story) -> None:
    assert story.run(dry_run=True).totals.created == 3
    assert story.last() is None
    story.run()
    before = story.last()
    preview = story.run(dry_run=True)
    assert (preview.unmodified, preview.totals.unchanged) == (False, 3)
    assert story.last() == before


def test_what_writes_unchanged_records_again_is_always_fetched(story: Story) -> None:
    story.more = {"skip_unchanged": False}
    story.run()
    assert story.run().totals.updated == 3


def test_another_definition_takes_the_whole_file(story: Story) -> None:
    story.run()
    story.more = {"description": "with other words, but who is to tell what they change"}
    assert not story.run().unmodified
    assert story.prepare(story.start()).unmodified


@pytest.mark.parametrize("ended", ["failed", "cancelled", "paused"])
def test_what_a_run_did_not_bring_to_its_end_is_fetched_again(
    story: Story, supplier: Supplier, open_account: OpenAccount, ended: str
) -> None:
    if ended == "paused":
        story.account = open_account(1)
    if ended == "failed":
        supplier.answers = [with_etag(b"sku\na\n", '"one"')]
    prepared = story.prepare(story.start())
    if ended == "cancelled":
        cancel_run(story.account.world.runs(), story.account.ledger(), prepared, story.account.clock())
    run = story.carry_out(prepared)
    assert run.state.value == ended
    after = story.prepare(story.start())
    assert not after.unmodified
    assert "if-none-match" not in supplier.asked[-1].headers


def test_an_upload_to_the_same_feed_is_forgotten_by_nobody(story: Story) -> None:
    """What was uploaded may differ from the source, which has not changed since."""
    story.run()
    story.run(upload=CHANGED)
    assert "Cordless drill" in story.titles()
    restored = story.run()
    assert (restored.unmodified, restored.totals.updated) == (False, 1)
    assert "Drill" in story.titles()
    assert story.prepare(story.start()).unmodified


def test_an_older_run_that_goes_on_beside_a_newer_one_is_not_the_last_word(
    story: Story, supplier: Supplier, open_account: OpenAccount
) -> None:
    """It paused with an older file, and comes back after a newer one was imported."""
    account = story.account = open_account(1)
    older = story.carry_out(story.prepare(story.start()))
    assert older.state is RunState.PAUSED
    supplier.answers = [with_etag(CSV.replace(b"Plane", b"Block plane"), '"two"')]
    account.ledger().grant(account.a_grant("more", 100))
    newer = story.run()
    assert newer.state is RunState.FINISHED
    last = story.last()
    assert last is not None
    assert (last.validators, last.beside) == (Validators(), (older.run_id,))
    assert story.carry_out(older).state is RunState.FINISHED
    assert "Plane" in story.titles()

    mended = story.run()
    assert (mended.unmodified, mended.totals.updated) == (False, 1)
    assert "Block plane" in story.titles()
    assert story.prepare(story.start()).unmodified


# --- what fails ---


def test_a_source_that_gives_no_file_fails_the_run_and_leaves_nothing(story: Story, supplier: Supplier) -> None:
    supplier.answers = [says(404)]
    run = story.prepare(story.start())
    assert run.failure is not None
    assert (run.state, run.failure.code) == (RunState.FAILED, "source_missing")
    assert story.now(run) == run
    assert (story.kept(), story.last(), story.account.balance().consumed) == ([], None, 0)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "empty_file"),
        (b'{"error": "no such shop"}', "wrong_format"),
        (b"<html>Sign in</html>", "source_web_page"),
        (b"a" * 100_001, "source_too_large"),
    ],
)
def test_other_content_fails_the_run(story: Story, supplier: Supplier, body: bytes, code: str) -> None:
    supplier.answers = [says(200, body)]
    run = story.prepare(story.start())
    assert run.failure is not None
    assert run.failure.code == code


def test_a_private_address_fails_the_run(story: Story, supplier: Supplier) -> None:
    story.source = {"type": "http", "url": supplier.url(host="127.0.0.1")}
    run = story.prepare(story.start())
    assert run.failure is not None
    assert run.failure.code == "source_address_refused"
    assert supplier.connections == 0


# --- killed, doubled, cancelled ---


@pytest.mark.parametrize("moment", ["before it is sent", "when it is done", "after the answer"])
def test_a_preparer_killed_at_any_request_leaves_a_run_that_another_prepares(
    open_account: OpenAccount, secrets: SecretsManagerClient, supplier: Supplier, moment: str
) -> None:
    index = 0
    while True:
        story = Story(open_account(1000), secrets, {"type": "http", "url": supplier.url()})
        run = story.start()
        dynamodb, s3 = story.account.world.dynamodb(), story.account.world.s3()
        line = Line(dynamodb, s3)
        fault = {
            "before it is sent": killed_before_sending,
            "when it is done": killed_after_sending,
            "after the answer": line.die_after_answer,
        }[moment]
        line.script = lambda number, _operation, fault=fault, at=index: fault if number == at else None  # type: ignore[misc]
        try:
            story.prepare(run, dynamodb, s3)
        except Killed:
            done = story.carry_out(story.prepare(run))
            assert (done.state, done.totals.created) == (RunState.FINISHED, 3)
            assert story.kept() == [CSV]
            # Nothing that was remembered lets the next run believe in what was not imported.
            assert not story.run().totals.created
            story.account.check_the_books()
            index += 1
        else:
            break
    assert index == len(line.requests)
    assert line.requests.count("PutObject") == 4


def test_of_two_preparers_the_file_of_the_faster_counts_for_both(story: Story, supplier: Supplier) -> None:
    run = story.start()
    s3 = story.account.world.s3()

    def meanwhile(_request: Any, send: Any) -> Any:
        supplier.answers = [with_etag(CHANGED, '"two"')]
        line.script = lambda _index, _operation: None
        assert story.prepare(run).state is RunState.RUNNING
        return send()

    line = Line(s3, script=lambda _index, operation: meanwhile if operation == "PutObject" else None)
    assert story.prepare(run, s3=s3) == story.now(run)
    assert story.kept() == [CHANGED]
    last = story.last()
    assert last is not None
    assert (last.run_id, last.validators) == (run.run_id, Validators('"two"'))
    assert story.carry_out(story.now(run)).totals.created == 3
    assert "Cordless drill" in story.titles()


def test_a_run_that_ended_unmodified_took_no_file(story: Story, supplier: Supplier) -> None:
    """Of two preparers of one run the first is told that nothing has changed; then something changes, and the second
    fetches it. The first ends the run before anything of that is in the catalogue.
    """
    story.run()
    run = story.start()
    first, s3 = story.account.world.dynamodb(), story.account.world.s3()
    kept: list[int] = []

    def cut_off(index: int, sent: str) -> Any:
        kept.extend([index] if sent == "PutObject" else [])
        return killed_before_sending if len(kept) == 2 else None

    def something_changes(_request: Any, send: Any) -> Any:
        supplier.answers = [with_etag(CHANGED, '"two"')]
        Line(s3, script=cut_off)
        with pytest.raises(Killed):
            story.prepare(run, s3=s3)
        return send()

    Line(first, script=lambda _index, sent: something_changes if sent == "TransactWriteItems" else None)
    story.prepare(run, dynamodb=first)
    assert (story.now(run).state, story.now(run).unmodified) == (RunState.FINISHED, True)
    assert not story.run().unmodified
    assert "Cordless drill" in story.titles()


def test_a_run_that_is_cancelled_while_it_is_fetched_stays_cancelled(story: Story) -> None:
    run = story.start()
    s3 = story.account.world.s3()

    def meanwhile(_request: Any, send: Any) -> Any:
        cancel_run(story.account.world.runs(), story.account.ledger(), run, story.account.clock())
        return send()

    Line(s3, script=lambda _index, operation: meanwhile if operation == "PutObject" else None)
    assert story.prepare(run, s3=s3).state is RunState.CANCELLED
    world, prefix = story.account.world, f"runs/{run.workspace_id}/{run.run_id}/prepared/"
    assert "Contents" not in plain_s3(world).list_objects_v2(Bucket=world.bucket, Prefix=prefix)
    assert not story.prepare(story.start()).unmodified


# --- S3 ---


@pytest.fixture
def in_s3(open_account: OpenAccount, secrets: SecretsManagerClient, source_bucket: str) -> Story:
    account = open_account(1000)
    story = Story(account, secrets, {"type": "s3", "bucket": source_bucket, "key": f"{account.workspace_id}/stock.csv"})
    put_object(story, CSV)
    return story


def put_object(story: Story, body: bytes) -> None:
    plain_s3(story.account.world).put_object(Bucket=BUCKET, Key=story.source["key"], Body=body)


def test_an_object_is_fetched_when_it_has_changed(in_s3: Story) -> None:
    assert in_s3.run().totals.created == 3
    assert in_s3.prepare(in_s3.start()).unmodified
    put_object(in_s3, CHANGED)
    assert in_s3.run().totals.updated == 1
    assert in_s3.prepare(in_s3.start()).unmodified


def test_an_object_that_cannot_be_had_fails_the_run(in_s3: Story) -> None:
    put_object(in_s3, b"a" * 100_001)
    codes = [failure_code(in_s3)]
    for source in (
        in_s3.source | {"key": f"{in_s3.account.workspace_id}/other.csv"},
        in_s3.source | {"key": "ws_other/stock.csv"},
        in_s3.source | {"bucket": "others"},
    ):
        in_s3.source = source
        codes.append(failure_code(in_s3))
    assert codes == ["source_too_large", "source_missing", "source_address_refused", "source_address_refused"]


def failure_code(story: Story) -> str:
    run = story.prepare(story.start())
    assert run.failure is not None
    return run.failure.code


# --- credentials ---


def test_credentials_are_kept_shown_without_the_secret_and_forgotten(story: Story, supplier: Supplier) -> None:
    store, names = story.credentials, (story.account.workspace_id, FEED)
    origin, now = origin_of(supplier.url()), story.account.clock()
    assert store.note(*names) is None
    assert store.secret(*names) is None
    assert not store.delete(*names)
    versions = set()
    for credentials, shown in (
        (BasicCredentials(username="shop", password="pass word ü"), ("basic", "shop", None)),
        (BearerCredentials(token="token"), ("bearer", None, None)),
        (HeaderCredentials(name="X-Api-Key", value="value"), ("header", None, "X-Api-Key")),
    ):
        put = store.put(*names, credentials, origin, now)
        assert (put.type, put.username, put.header) == shown
        assert store.note(*names) == put
        secret = store.secret(*names)
        assert secret is not None
        assert (secret.credentials, secret.origin) == (credentials, origin)
        versions.add(secret.version)
    assert len(versions) == 3
    assert store.delete(*names)
    assert store.note(*names) is None
    assert store.secret(*names) is None
    # The name is free again at once.
    store.put(*names, BearerCredentials(token="token"), origin, now)
    assert store.secret(*names) is not None


def test_a_feed_is_fetched_with_its_credentials_and_anew_when_they_change(story: Story, supplier: Supplier) -> None:
    names, origin, now = (story.account.workspace_id, FEED), origin_of(supplier.url()), story.account.clock()
    story.credentials.put(*names, BearerCredentials(token="open-sesame"), origin, now)
    run = story.run()
    assert supplier.asked[-1].headers["authorization"] == "Bearer open-sesame"
    assert story.prepare(story.start()).unmodified
    story.credentials.put(*names, BearerCredentials(token="open-barley"), origin, now)
    assert not story.run().unmodified
    assert supplier.asked[-1].headers["authorization"] == "Bearer open-barley"

    world = story.account.world
    client, s3 = plain_dynamodb(world), plain_s3(world)
    written: list[Any] = [client.get_item(TableName=world.work_table, Key=key) for key in run_keys(story, run)]
    files = s3.list_objects_v2(Bucket=world.bucket, Prefix=f"runs/{run.workspace_id}/")["Contents"]
    written += [s3.get_object(Bucket=world.bucket, Key=file["Key"])["Body"].read() for file in files]
    assert "open-" not in str(written)


def run_keys(story: Story, run: Run) -> list[Any]:
    return [
        keys.run(run.workspace_id, run.run_id).attributes(),
        keys.last_fetch(story.account.workspace_id, FEED).attributes(),
    ]


def test_an_outage_of_the_secrets_is_no_answer_of_the_source(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise ClientError({"Error": {"Code": "ThrottlingException", "Message": ""}}, "GetSecretValue")

    run = story.start()
    with monkeypatch.context() as outage:
        outage.setattr(story.secrets, "get_secret_value", refuse)
        with pytest.raises(ClientError):
            story.prepare(run)
    assert story.prepare(run).state is RunState.RUNNING


def test_what_is_remembered_is_written_in_place_of_what_was_seen(story: Story) -> None:
    store, names = story.last_files, (story.account.workspace_id, FEED)
    one, two = LastFile("run_1", Validators('"one"', "today"), "f", ("run_0",)), LastFile("run_2")
    assert store.put(*names, one, None)
    assert store.get(*names) == one
    assert not store.put(*names, two, None)
    assert not store.put(*names, two, two)
    assert store.put(*names, two, one)
    assert store.put(*names, replace(two, fingerprint="g"), two)
