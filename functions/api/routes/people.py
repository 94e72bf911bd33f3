"""People who sign in to a workspace: for operators."""

from functools import cache
from http import HTTPStatus
from typing import Annotated, assert_never

import boto3
from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Body
from botocore.config import Config

from functions.api.answers import answer
from functions.api.idempotency import once_without
from functions.api.models.common import Identifier, documented
from functions.api.models.people import PersonRequest, PersonView
from functions.api.problems import FieldError, Refusal, invalid, not_found, person_exists
from functions.api.routing import new_router, operation
from functions.api.services import services
from shared.people.directory import KnownAlready, NotAnAddress, PersonAdded, PersonDirectory
from shared.people.settings import pool_id_of
from shared.workspaces import Scope

router = new_router()

_CONFIG = Config(connect_timeout=3, read_timeout=10, retries={"mode": "standard", "total_max_attempts": 3})


@cache
def directory() -> PersonDirectory:
    """Connected to when the first person is added: few calls need it, and each cold start would wait for it."""
    return PersonDirectory(boto3.client("cognito-idp", config=_CONFIG), pool_id_of())


@router.post(
    "/workspaces/<workspace_id>/people",
    **operation(
        "addPerson",
        "Let a person in",
        description="With a temporary password, shown once; at their first sign-in they choose their own. Sent again "
        "before that, it gives another.",
        scopes=(Scope.OPERATOR,),
        answers=documented(HTTPStatus.CREATED, PersonView, "The person."),
        refusals=("person-exists",),
        example={"email": "ada@acme.example"},
        remembers=once_without("temporary_password"),
    ),
)
def add_person(workspace_id: Identifier, wanted: Annotated[PersonRequest, Body()]) -> Response[str]:
    if services().ledger.balance(workspace_id) is None:
        raise Refusal(not_found(f"There is no workspace {workspace_id}."))
    added = directory().add(workspace_id, wanted.email)
    match added:
        case PersonAdded():
            return answer(PersonView.of(added), HTTPStatus.CREATED)
        case KnownAlready():
            raise Refusal(person_exists())
        case NotAnAddress():
            raise Refusal(invalid([FieldError("email", "Input should be an e-mail address")]))
        case _:
            assert_never(added)
