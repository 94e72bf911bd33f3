"""Adding people to a workspace."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_cognito_idp import CognitoIdentityProviderClient

_WORKSPACE = "custom:workspace_id"
_GROUPS_OF_LETTERS = 5
_LETTERS = "abcdefghjkmnpqrstuvwxyz"
"""Without those that are mistaken for others: the password is read and typed once."""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who may sign in, to one workspace."""

    person_id: str
    workspace_id: str
    email: str


@dataclass(frozen=True, slots=True)
class PersonAdded:
    """They may sign in with `temporary_password`, once and within a week, and set a password of their own then."""

    person: Person
    temporary_password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class KnownAlready:
    """Somebody signs in with this address already, to this workspace or to another. Nothing was done."""


@dataclass(frozen=True, slots=True)
class NotAnAddress:
    """The user pool takes it for no e-mail address. Nothing was done."""


class PersonDirectory:
    """The user pool, seen by operators."""

    def __init__(self, client: CognitoIdentityProviderClient, pool_id: str) -> None:
        self._client = client
        self._pool_id = pool_id

    def add(self, workspace_id: str, email: str) -> PersonAdded | KnownAlready | NotAnAddress:
        """Lets somebody sign in. No message is sent: the password is for whoever asked to hand over.

        Somebody of the same workspace who has never signed in is given another password: the first may be lost, or
        have expired.
        """
        password = _temporary_password()
        refusals = self._client.exceptions
        try:
            answer = self._client.admin_create_user(
                UserPoolId=self._pool_id,
                Username=email,
                TemporaryPassword=password,
                MessageAction="SUPPRESS",
                UserAttributes=[
                    {"Name": "email", "Value": email},
                    {"Name": "email_verified", "Value": "true"},
                    {"Name": _WORKSPACE, "Value": workspace_id},
                ],
            )
        except refusals.UsernameExistsException:
            return self._add_again(workspace_id, email, password)
        except refusals.InvalidParameterException:
            return NotAnAddress()
        return PersonAdded(_person(answer["User"]["Username"], workspace_id, email), password)

    def _add_again(self, workspace_id: str, email: str, password: str) -> PersonAdded | KnownAlready:
        known = self._client.admin_get_user(UserPoolId=self._pool_id, Username=email)
        theirs = {attribute["Name"]: attribute.get("Value") for attribute in known["UserAttributes"]}
        if known["UserStatus"] != "FORCE_CHANGE_PASSWORD" or theirs.get(_WORKSPACE) != workspace_id:
            return KnownAlready()
        self._client.admin_set_user_password(
            UserPoolId=self._pool_id, Username=known["Username"], Password=password, Permanent=False
        )
        return PersonAdded(_person(known["Username"], workspace_id, email), password)


def _person(username: str, workspace_id: str, email: str) -> Person:
    # With addresses as user names, Cognito names people by an identifier of its own: the `sub` of their tokens.
    return Person(f"person_{username}", workspace_id, email)


def _temporary_password() -> str:
    """About 90 bits, and the kinds of characters that the pool asks for."""
    groups = ["".join(secrets.choice(_LETTERS) for _ in range(4)) for _ in range(_GROUPS_OF_LETTERS)]
    return "-".join([groups[0].capitalize(), *groups[1:], str(secrets.randbelow(10))])
