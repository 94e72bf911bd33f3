"""Credentials in Secrets Manager, stubbed at the request: the answers that no emulator gives."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import boto3
import pytest
from botocore.stub import ANY, Stubber

from shared.sources.credentials import BasicCredentials, CredentialStore, origin_of

NOW = datetime(2026, 11, 22, 8, tzinfo=UTC)


@pytest.fixture
def secrets() -> Iterator[tuple[CredentialStore, Stubber]]:
    client = boto3.client("secretsmanager", region_name="eu-central-1")
    with Stubber(client) as stubber:
        yield CredentialStore(client, "productsync/sources/"), stubber


def test_what_is_marked_for_deletion_is_not_there(secrets: tuple[CredentialStore, Stubber]) -> None:
    store, stubber = secrets
    stubber.add_client_error(
        "get_secret_value", "InvalidRequestException", "it was marked for deletion", http_status_code=400
    )
    assert store.secret("ws_1", "main") is None


@pytest.mark.parametrize("character", ["ü", "\U0001f511", '"'])
def test_the_longest_username_and_host_fit_a_description(
    secrets: tuple[CredentialStore, Stubber], character: str
) -> None:
    """boto3 itself checks that a description has at most 2,048 characters."""
    store, stubber = secrets
    origin = origin_of("https://" + "a." * 124 + "shop:65535/feed")
    wanted = BasicCredentials(username=character * 256, password="p")
    stubber.add_response("update_secret", {}, {"SecretId": ANY, "Description": ANY, "SecretString": ANY})
    note = store.put("ws_1", "main", wanted, origin, NOW)
    assert (note.username, note.origin) == (character * 256, origin)
    stubber.assert_no_pending_responses()
