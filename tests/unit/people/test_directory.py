"""Adding people: what the user pool is asked, and what its answers come to."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

import boto3
import pytest
from botocore.stub import ANY, Stubber

from shared.people.directory import KnownAlready, NotAnAddress, PersonAdded, PersonDirectory

if TYPE_CHECKING:
    from mypy_boto3_cognito_idp import CognitoIdentityProviderClient

WORKSPACE = "ws_01KAMZ5Q000000000000000001"
WANTED = {
    "UserPoolId": "pool",
    "Username": "ada@acme.example",
    "TemporaryPassword": ANY,
    "MessageAction": "SUPPRESS",
    "UserAttributes": [
        {"Name": "email", "Value": "ada@acme.example"},
        {"Name": "email_verified", "Value": "true"},
        {"Name": "custom:workspace_id", "Value": WORKSPACE},
    ],
}


@pytest.fixture
def cognito() -> Iterator[Stubber]:
    with Stubber(boto3.client("cognito-idp")) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


def add(cognito: Stubber) -> PersonAdded | KnownAlready | NotAnAddress:
    return PersonDirectory(cast("CognitoIdentityProviderClient", cognito.client), "pool").add(
        WORKSPACE, "ada@acme.example"
    )


def test_a_person_is_told_nothing_and_the_password_is_for_whoever_asked(cognito: Stubber) -> None:
    passwords = set()
    for _ in range(20):
        cognito.add_response("admin_create_user", {"User": {"Username": "sub-1"}}, WANTED)
        added = add(cognito)
        assert isinstance(added, PersonAdded)
        assert (added.person.person_id, added.person.workspace_id) == ("person_sub-1", WORKSPACE)
        password = added.temporary_password
        passwords.add(password)
        # What the pool asks of a password (template.yaml).
        assert len(password) >= 12
        assert all(re.search(kind, password) for kind in ("[a-z]", "[A-Z]", "[0-9]"))
        assert password not in repr(added)
    assert len(passwords) == 20


@pytest.mark.parametrize(
    ("status", "workspace_id", "is_added"),
    [
        ("FORCE_CHANGE_PASSWORD", WORKSPACE, True),
        ("CONFIRMED", WORKSPACE, False),
        ("FORCE_CHANGE_PASSWORD", "ws_other", False),
        ("CONFIRMED", "ws_other", False),
    ],
)
def test_only_who_has_never_signed_in_is_given_another_password(
    cognito: Stubber, status: str, workspace_id: str, is_added: bool
) -> None:
    cognito.add_client_error("admin_create_user", "UsernameExistsException")
    known: dict[str, Any] = {
        "Username": "sub-1",
        "UserStatus": status,
        "UserAttributes": [{"Name": "custom:workspace_id", "Value": workspace_id}],
    }
    cognito.add_response("admin_get_user", known, {"UserPoolId": "pool", "Username": "ada@acme.example"})
    if is_added:
        expected = {"UserPoolId": "pool", "Username": "sub-1", "Password": ANY, "Permanent": False}
        cognito.add_response("admin_set_user_password", {}, expected)
    assert isinstance(add(cognito), PersonAdded if is_added else KnownAlready)


def test_what_the_pool_takes_for_no_address_is_none(cognito: Stubber) -> None:
    cognito.add_client_error("admin_create_user", "InvalidParameterException")
    assert add(cognito) == NotAnAddress()
