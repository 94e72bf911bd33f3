"""API keys: their text, what is stored of them, and how they are recognised."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from botocore.stub import Stubber
from hypothesis import given
from hypothesis import strategies as st

from shared.credits import Channel
from shared.dynamo.client import dynamodb_client
from shared.workspaces import (
    WORKSPACE_SCOPES,
    ApiKey,
    KeyState,
    Principal,
    Scope,
    authenticate,
    key_id_of,
    new_api_key,
    put_api_key,
)
from shared.workspaces.api_keys import UsageKey, to_api_key

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

NOW = datetime(2026, 11, 22, 8, tzinfo=UTC)


@pytest.fixture
def client() -> DynamoDBClient:
    return dynamodb_client(region_name="eu-central-1")


@pytest.fixture
def table(client: DynamoDBClient) -> Iterator[Stubber]:
    """The table of keys: it answers what a test tells it to, and refuses any other request."""
    with Stubber(client) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


@given(st.integers(0, 2**46).map(lambda after: NOW + timedelta(milliseconds=after)))
def test_a_key_s_text_names_the_key(at: datetime) -> None:
    key, text = new_api_key("ws_1", WORKSPACE_SCOPES, at)
    assert re.fullmatch(r"psk_[0-9A-Z]{26}_[A-Za-z0-9_-]{43}", text)
    assert key_id_of(text) == key.key_id


def test_no_two_keys_are_alike() -> None:
    texts = {new_api_key(None, [], NOW)[1] for _ in range(1000)}
    assert len({text[31:] for text in texts}) == 1000


@given(st.text())
def test_other_text_names_no_key(text: str) -> None:
    assert key_id_of(text) is None


@given(st.integers(0, 73), st.characters())
def test_a_key_with_one_other_character_is_not_that_key(position: int, character: str) -> None:
    key, text = new_api_key("ws_1", WORKSPACE_SCOPES, NOW)
    changed = text[:position] + character + text[position + 1 :]
    if changed != text:
        digest = hashlib.sha256(changed.encode(errors="surrogatepass")).hexdigest()
        assert key_id_of(changed) != key.key_id or digest != key.digest


@pytest.mark.parametrize(
    "spoil", [str.lower, lambda text: text + "x", lambda text: " " + text, lambda text: text + "\n"]
)
def test_a_key_s_text_is_exact(spoil: Any) -> None:
    _, text = new_api_key("ws_1", WORKSPACE_SCOPES, NOW)
    assert key_id_of(spoil(text)) is None


def test_only_a_digest_is_stored() -> None:
    key, text = new_api_key("ws_1", WORKSPACE_SCOPES, NOW)
    stored = str(put_api_key("work", key).request)
    assert hashlib.sha256(text.encode()).hexdigest() in stored
    assert text[31:] not in stored


def stored_item(change: dict[str, Any] | None = None) -> tuple[dict[str, Any], str]:
    key, text = new_api_key("ws_1", [Scope.READ], NOW)
    return put_api_key("work", key).request["Put"]["Item"] | (change or {}), text


def test_a_key_is_recognised_with_one_consistent_read(client: DynamoDBClient, table: Stubber) -> None:
    item, text = stored_item()
    key = {"pk": item["pk"], "sk": item["sk"]}
    table.add_response("get_item", {"Item": item}, {"TableName": "work", "Key": key, "ConsistentRead": True})
    found = authenticate(client, "work", text, NOW)
    assert isinstance(found, ApiKey)
    assert found.principal == Principal("ws_1", item["key_id"]["S"], frozenset({Scope.READ}), Channel.API)


def test_a_revoked_key_is_not(client: DynamoDBClient, table: Stubber) -> None:
    item, text = stored_item({"revoked_at": {"S": "2026-11-22T08:00:01.000Z"}})
    table.add_response("get_item", {"Item": item})
    assert authenticate(client, "work", text, NOW) is None


def test_nor_is_another_secret_under_a_known_identifier(client: DynamoDBClient, table: Stubber) -> None:
    item, text = stored_item()
    table.add_response("get_item", {"Item": item})
    forged = text[:-1] + ("a" if text[-1] != "a" else "b")
    assert authenticate(client, "work", forged, NOW) is None


def test_nor_a_key_that_never_was(client: DynamoDBClient, table: Stubber) -> None:
    table.add_response("get_item", {})
    assert authenticate(client, "work", stored_item()[1], NOW) is None


@pytest.mark.parametrize("text", ["", "psk_", "no key", "psk_" + "0" * 26 + "_" + "é" * 43])
@pytest.mark.usefixtures("table")
def test_what_no_key_looks_like_costs_no_read(client: DynamoDBClient, text: str) -> None:
    assert authenticate(client, "work", text, NOW) is None


MOMENT = timedelta(milliseconds=1)


@pytest.mark.parametrize(
    ("expires_at", "revoked_at", "state"),
    [
        (None, None, KeyState.ACTIVE),
        (NOW + MOMENT, None, KeyState.ACTIVE),
        (NOW, None, KeyState.EXPIRED),
        (NOW - MOMENT, None, KeyState.EXPIRED),
        (None, NOW, KeyState.REVOKED),
        (NOW - MOMENT, NOW, KeyState.REVOKED),
        (NOW + MOMENT, NOW - MOMENT, KeyState.REVOKED),
    ],
)
def test_the_states_of_a_key(expires_at: datetime | None, revoked_at: datetime | None, state: KeyState) -> None:
    key, _ = new_api_key("ws_1", [Scope.READ], NOW - timedelta(days=1), expires_at=expires_at)
    assert replace(key, revoked_at=revoked_at).state(NOW) is state


def test_a_key_comes_back_as_it_was_stored() -> None:
    key, _ = new_api_key(None, [Scope.OPERATOR], NOW, name="Ops", expires_at=NOW + MOMENT)
    whole = replace(key, revoked_at=NOW, usage=UsageKey("01KAMZ5Q00APVWEYWXCMJ7D3FR", "q1w2e3r4t5"))
    for one in (key, whole):
        assert to_api_key(put_api_key("work", one).request["Put"]["Item"]) == one
