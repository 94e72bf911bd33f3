"""Signing in and out, letting people in, and writing records: with a user pool and an API that stand in for them."""

from __future__ import annotations

import json
import stat
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import simplejson
from typer.testing import CliRunner

from productsync.cli import app
from productsync.client import Client
from productsync.commands import people
from productsync.failures import NotConnected, Unreachable
from productsync.settings import Options, connect, sign_in_place
from productsync.sign_in import (
    AppClient,
    SignedIn,
    SignInRefused,
    UserPool,
    fresh,
    remember,
    remembered,
)
from tests.unit.cli.conftest import ENDPOINT, FakeApi, Shell

PLACE = AppClient("eu-central-1_AbCd", "client1")
TOKENS = {"IdToken": "id.1", "RefreshToken": "refresh.1", "AccessToken": "access.1", "ExpiresIn": 3600}
RECORD = {
    "entity": "product",
    "key": "a/b",
    "attributes": {"title": "Drill"},
    "version": 2,
    "created_at": "2026-11-22T08:00:00.000Z",
    "updated_at": "2026-11-22T08:00:01.000Z",
    "operation_id": None,
}


class FakePool:
    """A user pool: answers each action as it is told, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, dict[str, Any]]] = []
        self.answers: dict[str, list[tuple[int, Any]]] = {}

    def on(self, action: str, *answers: Any, status: int = 200) -> None:
        self.answers[action] = [(status, answer) for answer in answers]

    def handle(self, request: httpx.Request) -> httpx.Response:
        action = request.headers["X-Amz-Target"].rpartition(".")[2]
        self.asked.append((str(request.url), action, json.loads(request.read())))
        waiting = self.answers[action]
        status, answer = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        return httpx.Response(status, json=answer)

    def pool(self, place: AppClient = PLACE) -> UserPool:
        return UserPool(place, transport=httpx.MockTransport(self.handle))


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch, api: FakeApi, shell: Shell) -> FakePool:  # noqa: ARG001  after its own patches
    fake = FakePool()
    monkeypatch.setattr(people, "UserPool", fake.pool)
    monkeypatch.setattr(people, "Client", partial(Client, transport=api.transport))
    return fake


def sign_in_of(**changes: Any) -> SignedIn:
    signed_in = SignedIn(ENDPOINT, "ada@acme.example", PLACE, "id.1", "refresh.1", time.time() + 3600)
    return replace(signed_in, **changes)


def run(shell: Shell, *arguments: str, typed: str = "") -> Any:
    """A command that asks, without a key in the environment."""
    environment = {"PRODUCTSYNC_HOME": str(shell.home), "PRODUCTSYNC_ENDPOINT": ENDPOINT}
    place = {"PRODUCTSYNC_SIGN_IN": "eu-central-1_AbCd/client1"}
    return CliRunner().invoke(app, list(arguments), input=typed, env=environment | place)


def kept(shell: Shell) -> Path:
    return shell.home / ".local" / "sign-in.json"


def test_who_signs_in_is_who_the_commands_that_follow_are_of(shell: Shell, api: FakeApi, pool: FakePool) -> None:
    pool.on("InitiateAuth", {"AuthenticationResult": TOKENS})
    api.on("GET", "/credits", {"workspace_id": "ws_1"})
    result = run(shell, "login", "ada@acme.example", typed="secret-1\n")
    assert result.exit_code == 0, result.stderr
    assert "Signed in to ws_1 as ada@acme.example." in result.stdout
    ((url, _, asked),) = pool.asked
    assert url == "https://cognito-idp.eu-central-1.amazonaws.com/"
    assert asked["ClientId"] == "client1"
    assert asked["AuthParameters"] == {"USERNAME": "ada@acme.example", "PASSWORD": "secret-1"}
    assert api.sent("GET", "/credits")[0].headers["Authorization"] == "Bearer id.1"

    file = kept(shell)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "secret-1" not in file.read_text(encoding="utf-8")
    api.on("GET", "/records/product/a%2Fb", RECORD)
    assert run(shell, "records", "get", "product", "a/b", "--json").exit_code == 0
    assert api.requests[-1].headers["Authorization"] == "Bearer id.1"


def test_a_temporary_password_is_replaced_by_their_own(shell: Shell, api: FakeApi, pool: FakePool) -> None:
    challenge = {
        "ChallengeName": "NEW_PASSWORD_REQUIRED",
        "Session": "s1",
        "ChallengeParameters": {"USER_ID_FOR_SRP": "sub-1"},
    }
    pool.on("InitiateAuth", challenge)
    pool.on("RespondToAuthChallenge", {"AuthenticationResult": TOKENS})
    api.on("GET", "/credits", {"workspace_id": "ws_1"})
    result = run(shell, "login", "ada@acme.example", typed="temporary\nown-password\nown-password\n")
    assert result.exit_code == 0, result.stderr
    answered = pool.asked[1][2]
    assert answered["ChallengeResponses"] == {"USERNAME": "sub-1", "NEW_PASSWORD": "own-password"}
    assert answered["Session"] == "s1"


def test_a_sign_in_that_the_pool_or_the_api_refuses_is_not_kept(shell: Shell, api: FakeApi, pool: FakePool) -> None:
    refused = {"__type": "NotAuthorizedException", "message": "Incorrect username or password."}
    pool.on("InitiateAuth", refused, status=400)
    result = run(shell, "login", "ada@acme.example", typed="wrong\n")
    assert (result.exit_code, kept(shell).exists()) == (1, False)
    assert "Incorrect username or password." in result.stderr
    pool.on("InitiateAuth", {"AuthenticationResult": TOKENS})
    api.on("GET", "/credits", {"title": "Unauthorized"}, status=401)
    assert run(shell, "login", "ada@acme.example", typed="right\n").exit_code == 1
    assert not kept(shell).exists()
    # A second factor, for one, is nothing that this client can answer.
    pool.on("InitiateAuth", {"ChallengeName": "SMS_MFA", "Session": "s"})
    result = run(shell, "login", "ada@acme.example", typed="right\n")
    assert (result.exit_code, "SMS_MFA" in result.stderr) == (1, True)


def test_signing_out_ends_it_here_and_at_the_pool(shell: Shell, pool: FakePool) -> None:
    assert run(shell, "logout").exit_code == 1
    remember(shell.home / ".local", sign_in_of())
    pool.on("RevokeToken", {})
    assert run(shell, "logout").exit_code == 0
    assert (pool.asked[0][1], pool.asked[0][2]["Token"]) == ("RevokeToken", "refresh.1")
    assert not kept(shell).exists()


def test_a_key_that_is_given_comes_before_the_sign_in_and_the_sign_in_before_the_last_workspace(tmp_path: Path) -> None:
    remember(tmp_path / ".local", sign_in_of())
    given = {"PRODUCTSYNC_ENDPOINT": ENDPOINT, "PRODUCTSYNC_API_KEY": "psk_env"}
    key = connect(Options(), given, tmp_path).api_key
    assert key is not None
    assert key.value == "psk_env"
    del given["PRODUCTSYNC_API_KEY"]
    person = connect(Options(), given, tmp_path).api_key
    assert person is not None
    assert (person.value, "ada@acme.example" in person.origin) == ("id.1", True)
    # It is for this API alone.
    assert connect(Options(endpoint="https://other.test"), given, tmp_path).api_key is None


def test_a_sign_in_renews_itself_and_keeps_what_the_renewal_does_not_bring(tmp_path: Path) -> None:
    pool = FakePool()
    pool.on("InitiateAuth", {"AuthenticationResult": {"IdToken": "id.2", "ExpiresIn": 3600}})
    old = sign_in_of(expires_at=1_000.0)
    assert fresh(tmp_path, old, pool=pool.pool(), now=900.0) is old
    assert pool.asked == []
    renewed = fresh(tmp_path, old, pool=pool.pool(), now=950.0)
    assert (renewed.id_token, renewed.refresh_token, renewed.expires_at) == ("id.2", "refresh.1", 4_550.0)
    assert remembered(tmp_path, ENDPOINT) == renewed
    ((_, _, asked),) = pool.asked
    assert (asked["AuthFlow"], asked["AuthParameters"]) == ("REFRESH_TOKEN_AUTH", {"REFRESH_TOKEN": "refresh.1"})


def unreachable(_request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("no route")


def over(_request: httpx.Request) -> httpx.Response:
    return httpx.Response(400, json={"__type": "x#NotAuthorizedException", "message": "Refresh Token has been revoked"})


@pytest.mark.parametrize("answering", [unreachable, over])
def test_a_sign_in_that_cannot_be_renewed_is_left_to_the_api_to_refuse(
    tmp_path: Path, answering: Callable[[httpx.Request], httpx.Response]
) -> None:
    pool = UserPool(PLACE, transport=httpx.MockTransport(answering))
    old = sign_in_of(expires_at=0.0)
    assert fresh(tmp_path, old, pool=pool, now=10.0) is old
    with pytest.raises((SignInRefused, Unreachable)):
        pool.renew("refresh.1")


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", json.dumps({"endpoint": ENDPOINT, "place": 1})])
def test_a_broken_sign_in_is_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "sign-in.json").write_text(content, encoding="utf-8")
    assert remembered(tmp_path, ENDPOINT) is None


def test_secrets_do_not_show_in_a_repr() -> None:
    shown = repr(sign_in_of())
    assert "id.1" not in shown
    assert "refresh.1" not in shown


@pytest.mark.parametrize(
    "text", ["", "eu-central-1_AbCd", "AbCd/client1", "eu-central-1_AbCd/", "x.evil/_a/c", "evil.test/_AbCd/c"]
)
def test_a_place_to_sign_in_is_a_pool_and_a_client(text: str) -> None:
    with pytest.raises(NotConnected):
        AppClient.parse(text)


def test_without_a_place_to_sign_in_it_is_said_what_is_missing(tmp_path: Path) -> None:
    connection = connect(Options(endpoint=ENDPOINT), {}, tmp_path)
    with pytest.raises(NotConnected) as failure:
        sign_in_place(connection, None, {})
    assert "PRODUCTSYNC_SIGN_IN" in str(failure.value.hint)


def test_a_person_is_let_in_by_an_operator(shell: Shell, api: FakeApi) -> None:
    added = {
        "person_id": "person_1",
        "workspace_id": "ws_1",
        "email": "ada@acme.example",
        "temporary_password": "Abcd-efgh-1",
    }
    api.on("POST", "/workspaces/ws_1/people", added, status=201)
    result = shell.run("people", "add", "ada@acme.example", "--workspace-id", "ws_1")
    assert result.exit_code == 0, result.stderr
    assert "Abcd-efgh-1" in result.stdout
    (sent,) = api.sent("POST", "/workspaces/ws_1/people")
    assert sent.headers["Authorization"] == "Bearer psk_operator"
    assert shell.json("people", "add", "ada@acme.example", "--workspace-id", "ws_1") == added


# --- writing records ---


@pytest.mark.parametrize(
    ("typed", "attributes"),
    [
        (["title=Drill"], {"title": "Drill"}),
        (["code=00123", "code2=123"], {"code": "00123", "code2": "123"}),
        (["price:=12.50"], {"price": simplejson.loads("12.50", use_decimal=True)}),
        (["note:=null", "on:=true", 'tags:=["a", 1]'], {"note": None, "on": True, "tags": ["a", 1]}),
        (["formula=a=b:=c", "empty="], {"formula": "a=b:=c", "empty": ""}),
        (["g:name=x", "g:count:=2"], {"g:name": "x", "g:count": 2}),
    ],
)
def test_attributes_are_text_or_json(shell: Shell, api: FakeApi, typed: list[str], attributes: dict[str, Any]) -> None:
    api.on("PATCH", "/records/product/a%2Fb", RECORD)
    result = shell.run("records", "set", "product", "a/b", *typed)
    assert result.exit_code == 0, result.stderr
    (sent,) = api.sent("PATCH", "/records/product/a/b")
    assert simplejson.loads(sent.content, use_decimal=True) == {"attributes": attributes}
    assert sent.headers["Idempotency-Key"]
    assert "nobody: written by hand" in result.stdout


@pytest.mark.parametrize("typed", ["title", "=x", ":=1", "price:=12,5", "price:="])
def test_what_is_no_attribute_is_refused_before_anything_is_sent(shell: Shell, api: FakeApi, typed: str) -> None:
    result = shell.run("records", "set", "product", "a", typed)
    assert result.exit_code == 2
    assert api.requests == []


def test_a_record_is_replaced_and_deleted(shell: Shell, api: FakeApi) -> None:
    headers = {"X-Credits-Charged": "2", "X-Credits-Available": "4998"}
    api.on("PUT", "/records/product/a%2Fb", RECORD, status=201, headers=headers)
    result = shell.run("records", "set", "product", "a/b", "title=Drill", "--replace")
    assert "This call cost 2 credits; 4,998 available." in result.stderr
    api.on("DELETE", "/records/product/a%2Fb", httpx.Response(204))
    assert "Deleted: product a/b." in shell.run("records", "delete", "product", "a/b").stdout


def test_a_repeated_write_is_the_same_write(shell: Shell, api: FakeApi, waits: list[float]) -> None:
    api.on("PATCH", "/records/product/a", httpx.Response(503), httpx.Response(200, json=RECORD))
    assert shell.run("records", "set", "product", "a", "n=1").exit_code == 0
    first, second = api.sent("PATCH", "/records/product/a")
    assert first.headers["Idempotency-Key"] == second.headers["Idempotency-Key"]
    assert len(waits) == 1
