"""API keys made, listed, rotated and revoked, by several at once, on the embedded DynamoDB and API Gateway."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from shared import keys
from shared.credits import Channel
from shared.pace import PaceLimits, PaceStore, TooFast
from shared.workspaces import WORKSPACE_SCOPES, ApiKey, KeyState, Principal, Scope, authenticate, new_api_key, note_use
from shared.workspaces.key_commands import (
    KEY_PACE,
    CreateOutcome,
    KeyIsOver,
    KeyIsReplaced,
    KeyRoom,
    NewKey,
    NotItself,
    OutlivesCaller,
    OverBeforeItBegins,
    RotateOutcome,
    ScopesNotHeld,
    UnknownKey,
    WantedKey,
    create_key,
    revoke_key,
    rotate_key,
)
from shared.workspaces.key_roll import MOST_FORGOTTEN
from shared.workspaces.key_store import MAX_KEYS, KeyStore, TooManyKeys, create_operator_key
from shared.workspaces.usage_keys import UsageKeys, UsageSettings
from tests.support.faults import Fault, Line, answer_lost, conflict
from tests.support.money import AT_ONCE, HandClock, World, plain_dynamodb

if TYPE_CHECKING:
    from mypy_boto3_apigateway import APIGatewayClient
    from mypy_boto3_dynamodb import DynamoDBClient

    from productsync.stack import EmbeddedStack

HOUR = timedelta(hours=1)
A_WHILE = timedelta(minutes=5)
READ_ONLY = (Scope.READ,)


@dataclass
class Owner:
    """A workspace that has no keys yet, and somebody of it who may do everything."""

    world: World
    clock: HandClock
    usage: UsageKeys
    workspace_id: str | None = field(default_factory=lambda: f"ws_{uuid4().hex}")
    limits: PaceLimits = KEY_PACE

    def principal(self, *scopes: Scope) -> Principal:
        return Principal(self.workspace_id, "person_ada", frozenset(scopes or WORKSPACE_SCOPES), Channel.PERSON)

    def room(self, client: DynamoDBClient | None = None) -> KeyRoom:
        client = client or plain_dynamodb(self.world)
        table = self.world.work_table
        return KeyRoom(KeyStore(client, table, backoff=AT_ONCE), self.usage, PaceStore(client, table, self.limits))

    def try_to_create(self, *scopes: Scope, caller: Principal | None = None, **more: Any) -> CreateOutcome:
        wanted = WantedKey(name="Nightly sync", scopes=scopes or READ_ONLY, **more)
        return create_key(self.room(), caller or self.principal(), wanted, self.clock())

    def create(self, *scopes: Scope, **more: Any) -> NewKey:
        made = self.try_to_create(*scopes, **more)
        assert isinstance(made, NewKey)
        return made

    def try_to_rotate(
        self,
        key: ApiKey,
        overlap: timedelta = HOUR,
        client: DynamoDBClient | None = None,
        caller: Principal | None = None,
    ) -> RotateOutcome:
        return rotate_key(self.room(client), caller or self.principal(), key.key_id, overlap, self.clock())

    def rotate(self, key: ApiKey, overlap: timedelta = HOUR) -> NewKey:
        made = self.try_to_rotate(key, overlap)
        assert isinstance(made, NewKey)
        return made

    def revoke(self, key: ApiKey, client: DynamoDBClient | None = None) -> ApiKey:
        ended = revoke_key(self.room(client), self.principal(), key.key_id, self.clock())
        assert isinstance(ended, ApiKey)
        return ended

    def stored(self, key: ApiKey) -> ApiKey:
        found = self.room().store.get(self.workspace_id, key.key_id)
        assert found is not None
        return found

    def is_good(self, made: NewKey) -> bool:
        client = plain_dynamodb(self.world)
        return authenticate(client, self.world.work_table, made.secret, self.clock()) is not None

    def listed(self, limit: int = 100) -> list[ApiKey]:
        found: list[ApiKey] = []
        cursor: str | None = None
        while True:
            page = self.room().store.page(self.workspace_id, limit, cursor)
            found += page.keys
            cursor = page.cursor
            if cursor is None:
                return found

    def add(self, count: int) -> list[ApiKey]:
        """So many keys, which nobody counts."""
        added = []
        for _ in range(count):
            key, _secret = new_api_key(self.workspace_id, READ_ONLY, self.clock())
            assert not isinstance(self.room().store.add(key, self.clock()), TooManyKeys)
            self.clock.advance(milliseconds=1)
            added.append(key)
        return added


@pytest.fixture(scope="session")
def gateway(stack: EmbeddedStack) -> APIGatewayClient:
    return stack.aws.apigateway()


@pytest.fixture(scope="session")
def usage(gateway: APIGatewayClient) -> UsageKeys:
    """The plan of the deployed stack."""
    return UsageKeys(usage_settings(gateway), lambda: gateway)


def usage_settings(gateway: APIGatewayClient) -> UsageSettings:
    (known,) = gateway.get_api_keys(nameQuery="productsync-operators")["items"]
    return UsageSettings(stack_name="productsync", plan_name="productsync-keys", operators_gateway_id=known["id"])


@pytest.fixture
def owner(world: World, clock: HandClock, usage: UsageKeys) -> Owner:
    return Owner(world, clock, usage)


def counted_by_gateway(gateway: APIGatewayClient, key: ApiKey) -> bool:
    """Whether API Gateway has a key for this one."""
    return bool(gateway.get_api_keys(nameQuery=f"productsync-{key.key_id}")["items"])


def usage_keys(gateway: APIGatewayClient) -> set[str]:
    """The names of all that API Gateway has."""
    return {one["name"] for page in gateway.get_paginator("get_api_keys").paginate() for one in page["items"]}


# --- making keys ---


def test_a_key_works_at_once_and_says_what_it_is(owner: Owner) -> None:
    made = owner.create(Scope.READ, Scope.WRITE, expires_at=owner.clock() + HOUR)
    assert owner.is_good(made)
    key = owner.stored(made.key)
    assert key == made.key
    assert key.created_by == "person_ada"
    assert (key.name, key.scopes, key.workspace_id) == ("Nightly sync", (Scope.READ, Scope.WRITE), owner.workspace_id)
    assert (key.created_at, key.expires_at) == (owner.clock(), owner.clock() + HOUR)
    owner.clock.advance(hours=1)
    assert not owner.is_good(made)


@pytest.mark.parametrize("wanted", [(Scope.FINANCE,), (Scope.READ, Scope.OPERATOR)])
def test_nobody_gives_away_scopes_that_they_have_not_got(owner: Owner, wanted: tuple[Scope, ...]) -> None:
    caller = owner.principal(Scope.READ, Scope.WRITE, Scope.CONFIGURE)
    outcome = owner.try_to_create(*wanted, caller=caller)
    assert outcome == ScopesNotHeld(wanted[-1:])
    assert owner.listed() == []


def test_a_key_that_would_be_over_is_not_made(owner: Owner) -> None:
    assert owner.try_to_create(expires_at=owner.clock()) == OverBeforeItBegins()
    assert owner.listed() == []


def test_api_gateway_counts_the_calls_of_each_key_by_itself_until_it_is_over(
    owner: Owner, gateway: APIGatewayClient
) -> None:
    made = owner.create()
    assert made.key.usage is not None
    known = gateway.get_api_key(apiKey=made.key.usage.gateway_id, includeValue=True)
    assert known["value"] == made.key.usage.identifier == made.key.key_id.removeprefix("key_")
    assert known["tags"] == {"Project": "productsync", "Stack": "productsync"}
    (plan,) = [one for one in gateway.get_usage_plans()["items"] if one["name"] == "productsync-keys"]
    in_plan = gateway.get_usage_plan_keys(usagePlanId=plan["id"], limit=500)["items"]
    assert made.key.usage.gateway_id in {one["id"] for one in in_plan}
    owner.revoke(made.key)
    assert not counted_by_gateway(gateway, made.key)


# --- how many ---


def test_an_owner_has_so_many_good_keys_and_no_more(owner: Owner, gateway: APIGatewayClient) -> None:
    added = owner.add(MAX_KEYS - 1)
    last = owner.create()
    before = usage_keys(gateway)
    assert owner.try_to_create() == TooManyKeys(MAX_KEYS)
    # Nobody is to fill API Gateway's own limit by trying.
    assert usage_keys(gateway) == before
    # With an overlap there would be one more.
    assert owner.try_to_rotate(last.key) == TooManyKeys(MAX_KEYS)
    assert owner.is_good(last)
    second = owner.rotate(last.key, timedelta(0))
    owner.revoke(added[0])
    assert owner.is_good(owner.create())
    assert owner.try_to_create() == TooManyKeys(MAX_KEYS)
    assert owner.is_good(second)
    assert len(owner.listed()) == MAX_KEYS + 2


def test_a_key_that_has_expired_makes_room(owner: Owner, gateway: APIGatewayClient) -> None:
    ending = owner.create(expires_at=owner.clock() + HOUR)
    owner.add(MAX_KEYS - 1)
    owner.clock.now = ending.key.created_at + HOUR - timedelta(milliseconds=1)
    assert owner.try_to_create() == TooManyKeys(MAX_KEYS)
    assert counted_by_gateway(gateway, ending.key)
    owner.clock.advance(milliseconds=1)
    assert owner.is_good(owner.create())
    # Its usage key went when it was next looked at.
    assert not counted_by_gateway(gateway, ending.key)


def test_many_at_once_do_not_get_past_the_limit(owner: Owner) -> None:
    owner.add(MAX_KEYS - 3)
    with ThreadPoolExecutor(8) as threads:
        outcomes = list(threads.map(lambda _: owner.try_to_create(), range(8)))
    assert sum(isinstance(outcome, NewKey) for outcome in outcomes) == 3
    assert outcomes.count(TooManyKeys(MAX_KEYS)) == 5
    assert len(owner.listed()) == MAX_KEYS


def test_who_has_lost_all_operator_s_keys_gets_another(world: World, clock: HandClock) -> None:
    client = plain_dynamodb(world)
    text = create_operator_key(client, world.work_table, clock)
    key = authenticate(client, world.work_table, text, clock())
    assert key is not None
    assert (key.workspace_id, key.scopes, key.name) == (None, (Scope.OPERATOR,), "made by the deployment")
    page = KeyStore(client, world.work_table).page(None, 100)
    assert key.key_id in {one.key_id for one in page.keys}


@pytest.mark.parametrize("next_change", ["create", "rotate", "revoke", "revoke-expired"])
def test_one_call_removes_a_few_usage_keys_of_expired_keys_and_the_others_wait(
    owner: Owner, gateway: APIGatewayClient, next_change: str
) -> None:
    count = 2 * MOST_FORGOTTEN + 1
    ending = [owner.create(expires_at=owner.clock() + HOUR) for _ in range(count)]
    lasting = owner.create()
    owner.clock.advance(hours=1)

    def left() -> int:
        return sum(counted_by_gateway(gateway, one.key) for one in ending)

    assert owner.is_good(owner.create())
    assert left() == count - MOST_FORGOTTEN
    # They wait for their turn.
    assert not any(map(owner.is_good, ending))
    last = next(one for one in reversed(ending) if counted_by_gateway(gateway, one.key))
    if next_change == "create":
        assert owner.is_good(owner.create())
    elif next_change == "rotate":
        owner.rotate(lasting.key, timedelta(0))
    else:
        owner.revoke(last.key if next_change == "revoke-expired" else lasting.key)
    # One that is revoked takes its own with it besides.
    assert left() == count - 2 * MOST_FORGOTTEN - (next_change == "revoke-expired")


# --- how often ---


SLOW = PaceLimits(per_hour=3, per_day=5)


def test_keys_are_made_and_rotated_so_often_within_an_hour_and_a_day(
    world: World, clock: HandClock, usage: UsageKeys, gateway: APIGatewayClient
) -> None:
    clock.now = clock.now.replace(hour=10, minute=59)
    owner, other = Owner(world, clock, usage, limits=SLOW), Owner(world, clock, usage, limits=SLOW)
    first = owner.create()
    second = owner.rotate(first.key, timedelta(0))
    third = owner.create()
    before = usage_keys(gateway)
    over = TooFast(3, "hour", clock.now.replace(hour=11, minute=0, second=0, microsecond=0))
    assert owner.try_to_create() == over
    assert owner.try_to_rotate(third.key) == over
    # API Gateway was asked for nothing.
    assert usage_keys(gateway) == before
    assert other.is_good(other.create())
    # What is refused for another reason does not count, and says so.
    assert owner.try_to_create(Scope.OPERATOR) == ScopesNotHeld((Scope.OPERATOR,))
    clock.advance(minutes=1)
    owner.revoke(second.key)
    assert owner.is_good(owner.create())
    midnight = clock.now.replace(hour=0, minute=0, second=0, microsecond=0)
    assert owner.try_to_create() == TooFast(5, "day", midnight + timedelta(days=1))


def test_a_key_can_be_revoked_however_many_were_made(world: World, clock: HandClock, usage: UsageKeys) -> None:
    """Whoever has found a key, and makes others with it, must not keep its owner from ending it."""
    owner = Owner(world, clock, usage, limits=PaceLimits(per_hour=2, per_day=2))
    made = [owner.create(), owner.create()]
    assert isinstance(owner.try_to_create(), TooFast)
    for one in made:
        owner.revoke(one.key)
    assert not any(map(owner.is_good, made))


# --- keys that end ---


def principal_of(made: NewKey) -> Principal:
    return made.key.principal


def test_a_key_that_ends_makes_none_that_outlives_it(owner: Owner) -> None:
    end = owner.clock() + HOUR
    ending = principal_of(owner.create(*WORKSPACE_SCOPES, expires_at=end))
    assert owner.try_to_create(caller=ending) == OutlivesCaller(end)
    assert owner.try_to_create(caller=ending, expires_at=end + timedelta(milliseconds=1)) == OutlivesCaller(end)
    assert len(owner.listed()) == 1
    made = owner.try_to_create(caller=ending, expires_at=end)
    assert isinstance(made, NewKey)
    assert owner.stored(made.key).created_by == ending.key_id
    # It would be over: that is said first.
    assert owner.try_to_create(caller=ending, expires_at=owner.clock()) == OverBeforeItBegins()


def test_a_key_that_ends_rotates_itself_and_no_other(owner: Owner) -> None:
    end = owner.clock() + HOUR
    lasting, ending = owner.create(), owner.create(*WORKSPACE_SCOPES, expires_at=end)
    assert owner.try_to_rotate(lasting.key, caller=principal_of(ending)) == NotItself(end)
    assert owner.stored(lasting.key).replaced_by is None
    nobody_s, _ = new_api_key(owner.workspace_id, READ_ONLY, owner.clock())
    assert owner.try_to_rotate(nobody_s, caller=principal_of(ending)) == UnknownKey()
    owner.clock.advance(minutes=30)
    new = owner.try_to_rotate(ending.key, caller=principal_of(ending))
    assert isinstance(new, NewKey)
    assert (new.key.created_by, new.key.expires_at) == (ending.key.key_id, owner.clock() + HOUR)


def test_a_key_that_was_replaced_leaves_nothing_behind_that_outlives_the_overlap(owner: Owner) -> None:
    old = owner.create(*WORKSPACE_SCOPES)
    owner.rotate(old.key)
    end = owner.clock() + HOUR
    assert owner.try_to_create(caller=principal_of(old)) == OutlivesCaller(end)
    assert owner.try_to_rotate(owner.create().key, caller=principal_of(old)) == NotItself(end)


def test_a_key_without_an_end_is_as_free_as_a_person(owner: Owner) -> None:
    lasting = principal_of(owner.create(*WORKSPACE_SCOPES))
    made = owner.try_to_create(caller=lasting)
    assert isinstance(made, NewKey)
    assert isinstance(owner.try_to_rotate(made.key, caller=lasting), NewKey)
    # Also one that ends: what it has, its successor has.
    ending = owner.create(expires_at=owner.clock() + HOUR)
    assert isinstance(owner.try_to_rotate(ending.key, caller=lasting), NewKey)


def test_the_caller_s_key_is_read_once_and_a_person_s_is_not(owner: Owner) -> None:
    lasting = owner.create(*WORKSPACE_SCOPES)
    made = ["GetItem", "UpdateItem", "GetItem", "TransactWriteItems"]
    for caller, requests in ((owner.principal(), made), (principal_of(lasting), ["GetItem", *made])):
        client = owner.world.dynamodb()
        line = Line(client)
        wanted = WantedKey(name="ERP", scopes=READ_ONLY)
        assert isinstance(create_key(owner.room(client), caller, wanted, owner.clock()), NewKey)
        assert line.requests == requests


# --- listing ---


@pytest.mark.parametrize("limit", [1, 3, 7, 100])
def test_a_listing_shows_every_key_once_newest_first(owner: Owner, limit: int) -> None:
    added = owner.add(7)
    owner.revoke(added[2])
    found = owner.listed(limit)
    assert [key.key_id for key in found] == [key.key_id for key in reversed(added)]
    assert [key.state(owner.clock()) for key in found].count(KeyState.REVOKED) == 1


def test_a_page_takes_one_query_and_one_read_of_many(owner: Owner) -> None:
    owner.add(5)
    client = owner.world.dynamodb()
    line = Line(client)
    owner.room(client).store.page(owner.workspace_id, 3)
    assert line.requests == ["Query", "BatchGetItem"]


def test_owners_see_their_own_keys_only(owner: Owner) -> None:
    stranger = Owner(owner.world, owner.clock, owner.usage)
    theirs = stranger.create()
    assert owner.listed() == []
    assert owner.try_to_rotate(theirs.key) == UnknownKey()
    assert revoke_key(owner.room(), owner.principal(), theirs.key.key_id, owner.clock()) == UnknownKey()
    assert stranger.is_good(theirs)
    operator = Principal(None, "key_operator", frozenset({Scope.OPERATOR}), Channel.API)
    assert revoke_key(owner.room(), operator, theirs.key.key_id, owner.clock()) == UnknownKey()


def test_the_last_use_is_noted_once_in_ten_minutes_and_changes_nothing_else(owner: Owner) -> None:
    made = owner.create()
    client, table = plain_dynamodb(owner.world), owner.world.work_table
    first = owner.clock()
    for minutes, noted in ((0, 0), (9, 0), (1, 10), (5, 10)):
        owner.clock.advance(minutes=minutes)
        note_use(client, table, made.key, owner.clock())
        assert owner.stored(made.key).last_used_at == first + timedelta(minutes=noted)
    gone, _ = new_api_key(owner.workspace_id, READ_ONLY, owner.clock())
    note_use(client, table, gone, owner.clock())
    # No item comes of a use.
    assert "Item" not in client.get_item(TableName=table, Key=keys.api_key(gone.key_id).attributes())


# --- rotating ---


def test_both_keys_are_good_while_they_overlap_and_then_the_new_one(owner: Owner, gateway: APIGatewayClient) -> None:
    old = owner.create(Scope.READ, Scope.WRITE)
    new = owner.rotate(old.key)
    assert (new.key.name, new.key.scopes, new.key.expires_at) == (old.key.name, old.key.scopes, None)
    assert owner.stored(old.key).replaced_by == new.key.key_id
    assert (owner.is_good(old), owner.is_good(new)) == (True, True)
    owner.clock.advance(minutes=59, seconds=59)
    assert (owner.is_good(old), owner.is_good(new)) == (True, True)
    assert counted_by_gateway(gateway, old.key)
    owner.clock.advance(seconds=1)
    assert (owner.is_good(old), owner.is_good(new)) == (False, True)


def test_without_an_overlap_the_old_key_ends_at_once(owner: Owner, gateway: APIGatewayClient) -> None:
    old = owner.create()
    new = owner.rotate(old.key, timedelta(0))
    assert (owner.is_good(old), owner.is_good(new)) == (False, True)
    assert not counted_by_gateway(gateway, old.key)
    assert counted_by_gateway(gateway, new.key)


@pytest.mark.parametrize(("left", "good_for"), [(A_WHILE, A_WHILE), (2 * HOUR, HOUR)])
def test_an_overlap_makes_no_key_live_longer_and_its_successor_lives_as_long(
    owner: Owner, left: timedelta, good_for: timedelta
) -> None:
    day = timedelta(days=1)
    old = owner.create(expires_at=owner.clock() + day)
    owner.clock.now = old.key.created_at + day - left
    new = owner.rotate(old.key)
    assert owner.stored(old.key).expires_at == owner.clock() + good_for
    assert new.key.expires_at == owner.clock() + day


def test_a_lifetime_of_thousands_of_years_is_still_one(owner: Owner) -> None:
    old = owner.create(expires_at=owner.clock().replace(year=9998))
    assert owner.rotate(old.key).key.state(owner.clock()) is KeyState.ACTIVE


def test_a_key_is_replaced_once_and_its_successor_is_rotated_next(owner: Owner) -> None:
    first = owner.create()
    second = owner.rotate(first.key)
    assert owner.try_to_rotate(first.key) == KeyIsReplaced(second.key.key_id)
    third = owner.rotate(second.key)
    owner.clock.advance(hours=2)
    # Still so when it has expired: it tells more than that it is over.
    assert owner.try_to_rotate(first.key) == KeyIsReplaced(second.key.key_id)
    assert owner.is_good(third)


def test_what_is_over_is_not_rotated(owner: Owner) -> None:
    expiring, revoked = owner.create(expires_at=owner.clock() + HOUR), owner.create()
    owner.revoke(revoked.key)
    owner.clock.advance(hours=1)
    assert owner.try_to_rotate(expiring.key) == KeyIsOver(KeyState.EXPIRED)
    assert owner.try_to_rotate(revoked.key) == KeyIsOver(KeyState.REVOKED)
    nobody_s, _ = new_api_key(owner.workspace_id, READ_ONLY, owner.clock())
    assert owner.try_to_rotate(nobody_s) == UnknownKey()


def test_nobody_gets_a_secret_for_scopes_that_they_have_not_got(owner: Owner) -> None:
    powerful = owner.create(Scope.CONFIGURE, Scope.FINANCE)
    caller = owner.principal(Scope.CONFIGURE)
    outcome = rotate_key(owner.room(), caller, powerful.key.key_id, HOUR, owner.clock())
    assert outcome == ScopesNotHeld((Scope.FINANCE,))
    # To end it is another matter: that only takes away.
    assert isinstance(revoke_key(owner.room(), caller, powerful.key.key_id, owner.clock()), ApiKey)
    assert not owner.is_good(powerful)


# --- several at once ---


def meanwhile(what: Callable[[], object]) -> Fault:
    """Something happens between what was read and what is written."""

    def fault(_request: Any, send: Callable[[], Any]) -> Any:
        what()
        return send()

    return fault


def disturbed(owner: Owner, *what: Callable[[], object]) -> DynamoDBClient:
    """A client before whose transactions these things happen, one before each."""
    client = owner.world.dynamodb()
    waiting = iter(what)

    def script(_index: int, operation: str) -> Fault | None:
        happens = next(waiting, None) if operation == "TransactWriteItems" else None
        return None if happens is None else meanwhile(happens)

    Line(client, script=script)
    return client


@pytest.mark.parametrize("left", [None, A_WHILE], ids=["overlap", "ends-anyway"])
def test_of_two_rotations_at_once_one_is_made_and_the_other_is_told(
    owner: Owner, gateway: APIGatewayClient, left: timedelta | None
) -> None:
    # A key that ends before the overlap does is not even changed in when it expires.
    old = owner.create(expires_at=left and owner.clock() + left)
    before = usage_keys(gateway)
    first: list[NewKey] = []
    outcome = owner.try_to_rotate(old.key, client=disturbed(owner, lambda: first.append(owner.rotate(old.key))))
    assert outcome == KeyIsReplaced(first[0].key.key_id)
    assert {key.key_id for key in owner.listed()} == {old.key.key_id, first[0].key.key_id}
    # The usage key of the one that was not made is gone again.
    assert usage_keys(gateway) - before == {f"productsync-{first[0].key.key_id}"}


def test_many_rotations_at_once_give_one_successor(owner: Owner) -> None:
    old = owner.create()
    with ThreadPoolExecutor(8) as threads:
        outcomes = list(threads.map(lambda _: owner.try_to_rotate(old.key), range(8)))
    (made,) = [outcome for outcome in outcomes if isinstance(outcome, NewKey)]
    assert outcomes.count(KeyIsReplaced(made.key.key_id)) == 7
    assert len(owner.listed()) == 2


def test_a_key_that_is_revoked_while_it_is_rotated_has_no_successor(owner: Owner) -> None:
    old = owner.create()
    outcome = owner.try_to_rotate(old.key, client=disturbed(owner, lambda: owner.revoke(old.key)))
    assert outcome == KeyIsOver(KeyState.REVOKED)
    assert [key.key_id for key in owner.listed()] == [old.key.key_id]


def test_a_key_that_is_rotated_while_it_is_revoked_is_revoked(owner: Owner) -> None:
    old = owner.create()
    new: list[NewKey] = []
    ended = owner.revoke(old.key, disturbed(owner, lambda: new.append(owner.rotate(old.key))))
    assert ended.state(owner.clock()) is KeyState.REVOKED
    assert (owner.is_good(old), owner.is_good(new[0])) == (False, True)


def test_a_key_may_be_revoked_while_it_overlaps_and_its_successor_stays(owner: Owner) -> None:
    old = owner.create()
    new = owner.rotate(old.key)
    owner.revoke(old.key)
    assert (owner.is_good(old), owner.is_good(new)) == (False, True)


def test_revoking_again_changes_nothing(owner: Owner) -> None:
    made = owner.create()
    ended = owner.revoke(made.key)
    owner.clock.advance(hours=1)
    assert owner.revoke(made.key) == owner.stored(made.key)
    assert owner.stored(made.key).revoked_at == ended.revoked_at
    with ThreadPoolExecutor(4) as threads:
        again = list(threads.map(lambda _: owner.revoke(made.key), range(4)))
    assert {key.revoked_at for key in again} == {ended.revoked_at}


def test_revoking_again_asks_nothing_of_api_gateway(owner: Owner, gateway: APIGatewayClient) -> None:
    made = owner.create()
    owner.revoke(made.key)

    def connect() -> APIGatewayClient:
        raise AssertionError("API Gateway was asked")

    again = Owner(owner.world, owner.clock, UsageKeys(usage_settings(gateway), connect), owner.workspace_id)
    assert again.revoke(made.key) == owner.stored(made.key)


def test_of_two_that_revoke_at_once_the_first_one_counts(owner: Owner) -> None:
    made = owner.create()
    first: list[ApiKey] = []

    def be_faster() -> None:
        owner.clock.advance(seconds=1)
        first.append(owner.revoke(made.key))

    assert owner.revoke(made.key, disturbed(owner, be_faster)) == first[0] == owner.stored(made.key)


def test_other_keys_of_the_owner_do_not_get_in_the_way(owner: Owner) -> None:
    first, second, third = owner.create(), owner.create(), owner.create()
    client = disturbed(owner, owner.create, lambda: owner.revoke(second.key), lambda: owner.rotate(third.key))
    outcome = owner.try_to_rotate(first.key, client=client)
    assert isinstance(outcome, NewKey)
    assert owner.is_good(outcome)
    assert len(owner.listed()) == 6


def test_conflicts_and_lost_answers_make_no_second_key(owner: Owner) -> None:
    old = owner.create()
    client = owner.world.dynamodb()
    faults = iter([conflict(), conflict(-1), answer_lost])

    def script(_index: int, operation: str) -> Fault | None:
        return next(faults, None) if operation == "TransactWriteItems" else None

    Line(client, script=script)
    made = owner.try_to_rotate(old.key, client=client)
    assert isinstance(made, NewKey)
    assert owner.stored(old.key).replaced_by == made.key.key_id
    assert len(owner.listed()) == 2


def test_a_use_that_is_noted_meanwhile_does_not_get_in_the_way(owner: Owner) -> None:
    old = owner.create()

    def use() -> None:
        note_use(plain_dynamodb(owner.world), owner.world.work_table, old.key, owner.clock())

    made = owner.try_to_rotate(old.key, client=disturbed(owner, use))
    assert isinstance(made, NewKey)
    assert owner.stored(old.key).last_used_at == owner.clock()


def test_rotations_one_after_the_other_leave_one_line(owner: Owner, gateway: APIGatewayClient) -> None:
    made = owner.create()
    line = [made]
    for _ in range(6):
        owner.clock.advance(minutes=30)
        line.append(owner.rotate(line[-1].key))
    successors = [owner.stored(one.key).replaced_by for one in line]
    assert successors == [*(one.key.key_id for one in line[1:]), None]
    # Rotated every half hour with an hour's overlap: three are good.
    assert [owner.is_good(one) for one in line] == [False] * 4 + [True] * 3
    # The usage keys of the others went with the rotations after.
    assert [counted_by_gateway(gateway, one.key) for one in line] == [False] * 4 + [True] * 3
