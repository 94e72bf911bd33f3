"""Opening workspaces, topping them up, and their feeds, on the embedded DynamoDB."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal
from uuid import uuid4

import pytest

from shared import keys
from shared.credits import Granted, GrantKind, GrantReferenceReused, GrantReplayed, Ledger, UnknownWorkspace
from shared.dynamo.values import to_item
from shared.feeds.store import FeedStore
from shared.workspaces import WORKSPACE_SCOPES, authenticate
from shared.workspaces.expiries import Expiries, ExpirySettings
from shared.workspaces.key_store import create_operator_key
from shared.workspaces.store import IdempotencyKeyReused, Opened, WorkspaceStore
from shared.workspaces.top_ups import TopUp, top_up
from tests.support.money import AT_ONCE, Account, HandClock, World, plain_dynamodb


@pytest.fixture
def workspaces(world: World) -> WorkspaceStore:
    return WorkspaceStore(plain_dynamodb(world), world.work_table, world.credit_table, backoff=AT_ONCE)


@pytest.fixture
def ledger(world: World, clock: HandClock) -> Ledger:
    return Ledger(plain_dynamodb(world), world.credit_table, clock=clock, backoff=AT_ONCE)


def open_one(
    workspaces: WorkspaceStore, clock: HandClock, name: str = "Acme", idempotency_key: str | None = None
) -> Opened:
    opened = workspaces.open(name, 5000, "EUR", idempotency_key=idempotency_key, now=clock())
    assert isinstance(opened, Opened)
    return opened


# --- workspaces ---


def test_a_new_workspace_has_its_starter_credits_and_a_key_that_works(
    world: World, workspaces: WorkspaceStore, ledger: Ledger, clock: HandClock
) -> None:
    opened = open_one(workspaces, clock)
    workspace_id = opened.workspace.workspace_id
    balance = ledger.balance(workspace_id)
    assert balance is not None
    assert (balance.available, balance.granted, balance.consumed) == (5000, 5000, 0)
    (grant,) = ledger.grants(workspace_id)
    assert (grant.kind, grant.credits, grant.unit_price, grant.priority) == (GrantKind.FREE, 5000, Decimal(0), 10)
    assert opened.secret is not None
    key = authenticate(plain_dynamodb(world), world.work_table, opened.secret, clock())
    assert key is not None
    principal = key.principal
    assert (principal.workspace_id, principal.key_id) == (workspace_id, opened.key_id)
    assert principal.scopes == set(WORKSPACE_SCOPES)


def test_an_idempotency_key_opens_one_workspace_however_often_and_from_wherever_it_comes(
    workspaces: WorkspaceStore, clock: HandClock
) -> None:
    key = uuid4().hex
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: open_one(workspaces, clock, "Acme", key), range(24)))
    assert len({answer.workspace.workspace_id for answer in answers}) == 1
    # The secret was shown once: what is not kept cannot be shown again.
    assert [answer.secret is not None for answer in answers].count(True) == 1
    first = next(answer for answer in answers if answer.secret is not None)
    assert all(replace(answer, secret=first.secret) == first for answer in answers)
    reused = workspaces.open("Another", 5000, "EUR", idempotency_key=key, now=clock())
    assert reused == IdempotencyKeyReused(first.workspace.workspace_id)


def test_without_an_idempotency_key_every_call_opens_another(workspaces: WorkspaceStore, clock: HandClock) -> None:
    assert open_one(workspaces, clock).workspace.workspace_id != open_one(workspaces, clock).workspace.workspace_id


def test_a_revoked_key_is_refused_at_once(world: World, workspaces: WorkspaceStore, clock: HandClock) -> None:
    opened = open_one(workspaces, clock)
    assert opened.secret is not None
    client = plain_dynamodb(world)
    client.update_item(
        TableName=world.work_table,
        Key=keys.api_key(opened.key_id).attributes(),
        UpdateExpression="SET revoked_at = :now",
        ExpressionAttributeValues=to_item({":now": "2026-03-02T08:00:00.000Z"}),
    )
    assert authenticate(client, world.work_table, opened.secret, clock()) is None


def test_an_operator_s_key_works_and_belongs_to_no_workspace(world: World, clock: HandClock) -> None:
    client = plain_dynamodb(world)
    key = authenticate(client, world.work_table, create_operator_key(client, world.work_table, clock), clock())
    assert key is not None
    assert key.principal.workspace_id is None


# --- top-ups ---

NO_EXPIRIES = Expiries(ExpirySettings(group="", function_arn="", role_arn="", dead_letters_arn=""), connect=pytest.fail)
"""Nothing here expires (see test_expiries.py)."""


def wanted(account: Account, reference: str = "inv-1", **changes: object) -> TopUp:
    top_up_wanted = TopUp(
        workspace_id=account.workspace_id,
        kind=GrantKind.PAID,
        credits=100,
        unit_price=Decimal("0.01"),
        currency="EUR",
        reference=reference,
    )
    return replace(top_up_wanted, **changes)  # type: ignore[arg-type]  # a test's own changes


def test_a_reference_adds_its_credits_once(open_account: Callable[[int], Account], clock: HandClock) -> None:
    account = open_account(10)
    ledger = account.ledger()
    first = top_up(ledger, NO_EXPIRIES, wanted(account), clock())
    assert isinstance(first, Granted)
    clock.advance(days=400)
    assert top_up(ledger, NO_EXPIRIES, wanted(account), clock()) == GrantReplayed(first.grant)
    # The same terms, in other words.
    for same in ({"unit_price": Decimal("0.010")}, {"priority": 30}):
        assert top_up(ledger, NO_EXPIRIES, wanted(account, **same), clock()) == GrantReplayed(first.grant)
    for change in (
        {"credits": 101},
        {"unit_price": Decimal("0.02")},
        {"currency": "USD"},
        {"kind": GrantKind.PROMOTIONAL},
        {"priority": 29},
    ):
        assert top_up(ledger, NO_EXPIRIES, wanted(account, **change), clock()) == GrantReferenceReused(first.grant)
    balance = ledger.balance(account.workspace_id)
    assert balance is not None
    assert balance.available == 110


def test_a_workspace_that_is_none_gets_no_credits(open_account: Callable[[int], Account], clock: HandClock) -> None:
    account = open_account(10)
    nobody = replace(wanted(account), workspace_id="ws_nobody")
    assert top_up(account.ledger(), NO_EXPIRIES, nobody, clock()) == UnknownWorkspace("ws_nobody")


# --- feeds ---


def test_a_feed_keeps_its_birthday_and_counts_its_versions(world: World, clock: HandClock) -> None:
    feeds = FeedStore(plain_dynamodb(world), world.work_table)
    workspace_id = f"ws_{uuid4().hex}"
    born = clock()
    first = feeds.put(workspace_id, "main", '{"preset":"shopify"}', born)
    clock.advance(hours=1)
    second = feeds.put(workspace_id, "main", '{"preset":"akeneo"}', clock())
    assert (first.version, first.created_at, first.updated_at) == (1, born, born)
    assert (second.version, second.created_at, second.updated_at) == (2, born, clock())
    assert feeds.get(workspace_id, "main") == second
    assert second.definition == '{"preset":"akeneo"}'


def test_a_deleted_feed_is_gone_and_starts_anew(world: World, clock: HandClock) -> None:
    feeds = FeedStore(plain_dynamodb(world), world.work_table)
    workspace_id = f"ws_{uuid4().hex}"
    feeds.put(workspace_id, "main", "{}", clock())
    assert feeds.delete(workspace_id, "main")
    assert not feeds.delete(workspace_id, "main")
    assert feeds.get(workspace_id, "main") is None
    clock.advance(hours=1)
    assert feeds.put(workspace_id, "main", "{}", clock()).version == 1


def test_writers_at_the_same_time_each_make_a_version(world: World, clock: HandClock) -> None:
    feeds = FeedStore(plain_dynamodb(world), world.work_table)
    workspace_id = f"ws_{uuid4().hex}"
    with ThreadPoolExecutor(8) as threads:
        versions = list(threads.map(lambda _: feeds.put(workspace_id, "main", "{}", clock()).version, range(24)))
    assert sorted(versions) == list(range(1, 25))


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 100])
def test_feeds_are_listed_in_pages(world: World, clock: HandClock, limit: int) -> None:
    feeds = FeedStore(plain_dynamodb(world), world.work_table)
    workspace_id, other = f"ws_{uuid4().hex}", f"ws_{uuid4().hex}"
    for number in range(5):
        feeds.put(workspace_id, f"feed-{number}", "{}", clock())
    feeds.put(other, "feed-9", "{}", clock())
    found: list[str] = []
    cursor: str | None = None
    while True:
        page = feeds.page(workspace_id, limit, cursor)
        assert len(page.feeds) <= limit
        found += [feed.feed_id for feed in page.feeds]
        cursor = page.cursor
        if cursor is None:
            break
    assert found == [f"feed-{number}" for number in range(5)]
