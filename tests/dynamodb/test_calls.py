"""Free writes that come again with their Idempotency-Key: a route of its own, on the embedded DynamoDB."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import timedelta
from http import HTTPStatus
from threading import Barrier, Lock
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from aws_lambda_powertools.event_handler.openapi.exceptions import RequestValidationError
from botocore.exceptions import ReadTimeoutError

from functions.api import idempotency
from functions.api.idempotency import once, once_without
from functions.api.problems import Refusal, conflict, of_validation
from functions.api.requests import parse_body
from functions.api.routing import operation
from shared import keys
from shared.calls import Answered, CallStore, Claim, Claimed, KeyReused, Running
from shared.channels import Channel
from shared.dynamo.transactions import StoreUnavailable
from shared.pace import PaceStore
from shared.workspaces import Principal, Scope, new_api_key
from shared.workspaces.key_commands import KEY_PACE, KeyRoom, WantedKey, create_key
from shared.workspaces.key_store import KeyStore
from tests.support.faults import Line, answer_lost
from tests.support.functions import Context
from tests.support.money import AT_ONCE, HandClock, World, plain_dynamodb

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from functions.api.idempotency import Middleware

Event = dict[str, Any]


@dataclass
class Shelf:
    """What the route under test writes to: every time that it is run counts."""

    runs: int = 0
    failing: BaseException | None = None
    status: HTTPStatus = HTTPStatus.CREATED
    meanwhile: Callable[[], object] = lambda: None
    lock: Lock = field(default_factory=Lock)

    def put(self) -> Response[str]:
        with self.lock:
            self.runs += 1
            number = self.runs
        self.meanwhile()
        if self.failing is not None:
            raise self.failing
        body = json.dumps({"number": number, "secret": "psk_1", "inside": [{"secret": "psk_2"}], "price": 1.10})
        return Response(self.status.value, "application/json", body, {"X-Other": "1"})


@dataclass(frozen=True)
class Client:
    """Somebody who sends requests to that route, each through a resolver of its own, as other processes would be."""

    shelf: Shelf
    remembers: Middleware
    workspace_id: str = field(default_factory=lambda: f"ws_{uuid4().hex}")
    channel: str = "api"
    scopes: str = "configure"

    def send(self, key: str | None, body: Any = None, path: str = "/things/1", seconds: int = 29) -> Response[str]:
        app = APIGatewayRestResolver(json_body_deserializer=parse_body)
        app.exception_handler(RequestValidationError)(let_out)
        told = operation(
            "putThing", "A thing", scopes=(Scope.CONFIGURE, Scope.OPERATOR), answers={}, remembers=self.remembers
        )
        app.put("/things/<thing_id>", middlewares=told["middlewares"])(lambda thing_id: self.shelf.put())  # noqa: ARG005
        context = Context(remaining_milliseconds=seconds * 1000)
        return resolve(app, self._event(key, body, path), context)

    def _event(self, key: str | None, body: Any, path: str) -> Event:
        names = {} if key is None else {"idempotency-KEY": [key]}
        caller = {"workspace_id": self.workspace_id, "key_id": "key_1", "scopes": self.scopes, "channel": self.channel}
        if not self.workspace_id:
            del caller["workspace_id"]
        return {
            "httpMethod": "PUT",
            "path": path,
            "body": body if body is None or isinstance(body, str) else json.dumps(body),
            "headers": {},
            "multiValueHeaders": names,
            "requestContext": {"requestId": uuid4().hex, "authorizer": caller},
        }


def let_out(error: RequestValidationError) -> Response[str]:
    """Leaves it to the caller, where the resolver would tell it in words of its own."""
    raise error


def resolve(app: APIGatewayRestResolver, event: Event, context: Context) -> Response[str]:
    """The response, before it becomes an event of API Gateway's. What a route raises is raised."""
    answer = app.resolve(event, context)  # type: ignore[arg-type]  # the part of a context that is looked at
    headers = {name: values[0] for name, values in answer["multiValueHeaders"].items()}
    return Response(answer["statusCode"], body=answer["body"], headers=headers)


@pytest.fixture
def store(world: World) -> CallStore:
    return CallStore(plain_dynamodb(world), world.work_table)


@pytest.fixture
def shelf(monkeypatch: pytest.MonkeyPatch, store: CallStore, clock: HandClock) -> Shelf:
    monkeypatch.setattr(idempotency, "call_store", lambda: store)
    monkeypatch.setattr(idempotency, "services", lambda: SimpleNamespace(clock=clock))
    return Shelf()


@pytest.fixture
def client(shelf: Shelf) -> Client:
    return Client(shelf, once)


def slug_of(refused: pytest.ExceptionInfo[Refusal]) -> str:
    return refused.value.problem.slug


# --- the same request again ---


def test_a_retry_is_answered_the_same_and_does_nothing_even_months_later(client: Client, clock: HandClock) -> None:
    first = client.send("k", {"a": 1})
    clock.advance(days=200)
    again = client.send("k", {"a": 1})
    assert client.shelf.runs == 1
    assert "Idempotency-Replayed" not in first.headers
    assert again.headers["Idempotency-Replayed"] == "true"
    assert (again.status_code, again.body) == (first.status_code, first.body)
    assert "X-Other" not in again.headers


def test_without_a_key_a_retry_is_a_new_call(client: Client) -> None:
    client.send(None, {"a": 1})
    client.send(None, {"a": 1})
    assert client.shelf.runs == 2


def test_the_same_body_spelled_otherwise_is_the_same(client: Client) -> None:
    client.send("k", '{"a": 1, "b": [2.50]}')
    assert client.send("k", '{ "b":[2.50],"a":1}').headers["Idempotency-Replayed"] == "true"


def test_another_body_is_refused(client: Client) -> None:
    client.send("k", {"a": 1})
    with pytest.raises(Refusal) as refused:
        client.send("k", {"a": 2})
    assert slug_of(refused) == "idempotency-key-reused"
    assert client.shelf.runs == 1


def test_each_path_and_each_workspace_has_keys_of_its_own(client: Client) -> None:
    client.send("k")
    client.send("k", path="/things/2")
    Client(client.shelf, once).send("k")
    assert client.shelf.runs == 3
    # Whoever of the workspace sends it again, as with charged calls.
    Client(client.shelf, once, workspace_id=client.workspace_id, channel="person").send("k")
    assert client.shelf.runs == 3


def test_a_body_is_the_same_however_it_is_spelled(client: Client) -> None:
    client.send("k", '{"a": 1, "b": [2.50]}')
    assert client.send("k", '{"b":[2.5],"a":1.0}').headers["Idempotency-Replayed"] == "true"


def test_operators_who_have_no_workspace_are_remembered_too(shelf: Shelf) -> None:
    key = uuid4().hex
    for operator in (Client(shelf, once, workspace_id="", scopes="operator") for _ in range(2)):
        operator.send(key)
    assert shelf.runs == 1


def test_an_answer_without_a_body_is_repeated_without_one(client: Client) -> None:
    client.shelf.put = lambda: Response(204, body="")  # type: ignore[method-assign]
    client.send("k")
    again = client.send("k")
    assert (again.status_code, again.body, again.headers["Idempotency-Replayed"]) == (204, "", "true")


# --- what is not remembered ---


def test_what_is_refused_leaves_nothing_behind(client: Client) -> None:
    failing = Refusal(conflict("feed-in-use", "It is."))
    client.shelf.failing = failing
    with pytest.raises(type(failing)):
        client.send("k", {"a": 1})
    client.shelf.failing = None
    assert client.send("k", {"a": 2}).status_code == 201
    assert client.shelf.runs == 2


def test_a_refusal_that_is_answered_leaves_nothing_behind(client: Client) -> None:
    client.shelf.status = HTTPStatus.NOT_FOUND
    client.send("k")
    client.shelf.status = HTTPStatus.OK
    assert "Idempotency-Replayed" not in client.send("k").headers


def test_whoever_lacks_the_scope_is_not_told_what_was_answered(client: Client) -> None:
    client.send("k")
    with pytest.raises(Refusal) as refused:
        Client(client.shelf, once, workspace_id=client.workspace_id, scopes="read").send("k")
    assert slug_of(refused) == "forbidden"


@pytest.mark.parametrize("key", ["", "k" * 256, "k\u00e9", "tab\t"])
def test_a_key_is_1_to_255_printable_signs(client: Client, key: str) -> None:
    with pytest.raises(RequestValidationError) as refused:
        client.send(key)
    assert [error.field for error in of_validation(refused.value.errors()).errors] == ["idempotency-key"]
    assert client.shelf.runs == 0


def test_secrets_are_not_kept(shelf: Shelf, world: World) -> None:
    client = Client(shelf, once_without("secret"))
    assert "psk_1" in str(client.send("k").body)
    again = client.send("k")
    assert json.loads(str(again.body)) == {"number": 1, "secret": None, "inside": [{"secret": None}], "price": 1.1}
    key = keys.call(client.workspace_id, "PUT /things/1", "k")
    kept = plain_dynamodb(world).get_item(TableName=world.work_table, Key=key.attributes())["Item"]
    assert "psk_" not in json.dumps(kept)
    assert kept.keys() == {"pk", "sk", "asked", "answer", "status", "forget_at"}


def test_what_was_asked_cannot_be_guessed_from_what_is_kept(shelf: Shelf, world: World) -> None:
    # A body may hold a password: with the same words, two keys leave two digests.
    client = Client(shelf, once)
    kept = []
    for key in ("k", "l"):
        client.send(key)
        place = keys.call(client.workspace_id, "PUT /things/1", key)
        kept.append(plain_dynamodb(world).get_item(TableName=world.work_table, Key=place.attributes())["Item"]["asked"])
    assert kept[0] != kept[1]


def test_an_answer_too_large_to_keep_is_given_all_the_same(client: Client) -> None:
    client.shelf.put = lambda: Response(200, body="x" * 500_000)  # type: ignore[method-assign]
    assert client.send("k").status_code == 200
    assert "Idempotency-Replayed" not in client.send("k").headers


# --- two at once ---


def test_while_the_first_is_running_a_retry_is_told_to_wait(client: Client) -> None:
    told: list[str] = []

    def retry() -> None:
        client.shelf.meanwhile = lambda: None
        with pytest.raises(Refusal) as refused:
            client.send("k")
        told.extend((slug_of(refused), refused.value.problem.headers["Retry-After"]))

    client.shelf.meanwhile = retry
    assert client.send("k").status_code == 201
    assert told == ["request-in-progress", "2"]
    assert client.send("k").headers["Idempotency-Replayed"] == "true"
    assert client.shelf.runs == 1


@pytest.mark.parametrize("failing", [KeyboardInterrupt(), StoreUnavailable("conflicts"), RuntimeError("a bug")])
def test_one_that_died_or_failed_lets_a_retry_through_when_its_time_is_over(
    client: Client, clock: HandClock, failing: BaseException
) -> None:
    # What became of it nobody knows: it may still be under way.
    client.shelf.failing = failing
    with pytest.raises(type(failing)):
        client.send("k", seconds=10)
    client.shelf.failing = None
    clock.advance(seconds=10)
    with pytest.raises(Refusal) as refused:
        client.send("k")
    assert slug_of(refused) == "request-in-progress"
    clock.advance(seconds=2)
    assert client.send("k").status_code == 201
    assert client.shelf.runs == 2


def test_of_many_at_once_one_is_run(shelf: Shelf) -> None:
    writers = 16
    client, start = Client(shelf, once), Barrier(writers)

    def send(_number: int) -> str:
        start.wait()
        try:
            response = client.send("k", {"a": 1})
        except Refusal as refused:
            return refused.problem.slug
        return str(response.headers.get("Idempotency-Replayed", "first"))

    with ThreadPoolExecutor(writers) as pool:
        told = list(pool.map(send, range(writers)))
    assert shelf.runs == 1
    assert told.count("first") == 1
    assert set(told) <= {"first", "true", "request-in-progress"}


def test_one_that_outlived_its_time_takes_nothing_from_the_next(store: CallStore, clock: HandClock) -> None:
    key = keys.call(f"ws_{uuid4().hex}", "PUT /things/1", "k")
    slow, next_one = (Claim(key, "asked", holder, clock()) for holder in ("slow", "next"))
    assert store.claim(slow, clock()) == Claimed()
    clock.advance(seconds=1)
    assert store.claim(next_one, clock()) == Claimed()
    store.release(slow)
    store.keep(slow, Answered(200, "slow"))
    store.keep(next_one, Answered(200, "next"))
    assert store.claim(slow, clock()) == Answered(200, "next")


def test_a_claim_is_running_for_whoever_asks_the_same(store: CallStore, clock: HandClock) -> None:
    key = keys.call(f"ws_{uuid4().hex}", "PUT /things/1", "k")
    until = clock().replace(minute=1)
    assert store.claim(Claim(key, "asked", "one", until), clock()) == Claimed()
    assert store.claim(Claim(key, "asked", "two", until), clock()) == Running()
    assert store.claim(Claim(key, "other", "two", until), clock()) == KeyReused()


def test_a_claim_whose_answer_was_lost_is_still_its_own(world: World, clock: HandClock) -> None:
    client = world.dynamodb()
    line = Line(client, script=lambda index, _operation: answer_lost if index == 0 else None)
    store = CallStore(client, world.work_table)
    key = keys.call(f"ws_{uuid4().hex}", "PUT /things/1", "k")
    assert store.claim(Claim(key, "asked", "one", clock().replace(minute=1)), clock()) == Claimed()
    assert line.requests == ["PutItem", "PutItem"]


# --- what is remembered with the work ---


def test_a_key_that_was_made_is_known_to_a_retry_although_nobody_heard_of_it(
    store: CallStore, world: World, clock: HandClock
) -> None:
    owner, wanted = f"ws_{uuid4().hex}", WantedKey(name="sync", scopes=(Scope.READ,))
    ada = Principal(owner, "person_ada", frozenset({Scope.READ, Scope.CONFIGURE}), Channel.PERSON)

    def attempt(holder: str, client: DynamoDBClient) -> object:
        place = keys.call(owner, "POST /keys", "once")
        claim = Claim(place, "asked", holder, clock() + timedelta(seconds=30))
        claimed = store.claim(claim, clock())
        if not isinstance(claimed, Claimed):
            return claimed
        key_store = KeyStore(client, world.work_table, backoff=AT_ONCE)
        room = KeyRoom(key_store, Uncounted(), PaceStore(client, world.work_table, KEY_PACE))  # type: ignore[arg-type]
        return create_key(
            room, ada, wanted, clock(), lambda made: (store.kept(claim, Answered(201, f'"{made.key_id}"')),)
        )

    client = world.dynamodb()
    Line(client, script=lambda _index, operation: answer_lost if operation == "TransactWriteItems" else None)
    with pytest.raises((ReadTimeoutError, StoreUnavailable)):
        attempt("first", client)
    again = attempt("second", plain_dynamodb(world))
    (made,) = KeyStore(plain_dynamodb(world), world.work_table).page(owner, 10).keys
    assert again == Answered(201, f'"{made.key_id}"')


def test_whoever_lost_its_claim_makes_no_key(store: CallStore, world: World, clock: HandClock) -> None:
    owner = f"ws_{uuid4().hex}"
    claim = Claim(keys.call(owner, "POST /keys", "once"), "asked", "slow", clock())
    assert store.claim(claim, clock()) == Claimed()
    clock.advance(seconds=1)
    assert store.claim(replace(claim, holder="next", until=clock() + timedelta(seconds=30)), clock()) == Claimed()
    key, _ = new_api_key(owner, [Scope.READ], clock())
    key_store = KeyStore(plain_dynamodb(world), world.work_table, backoff=AT_ONCE)
    with pytest.raises(StoreUnavailable):
        key_store.add(key, clock(), beside=[store.kept(claim, Answered(201, ""))])
    assert key_store.page(owner, 10).keys == ()


class Uncounted:
    """No API Gateway is asked to count the calls of these keys."""

    def add(self, _key_id: str) -> None:
        return None
