"""People who sign in."""

from typing import Annotated, Self

from pydantic import Field

from functions.api.models.common import Request, View
from functions.api.models.texts import WorkspaceId, told
from functions.api.patterns import EMAIL_PATTERN
from shared.people.directory import PersonAdded


class PersonRequest(Request):
    """Somebody to let in."""

    email: Annotated[
        str,
        Field(
            max_length=128,
            pattern=EMAIL_PATTERN,
            description="What they sign in with. It signs in to one workspace.",
            examples=["ada@acme.example"],
        ),
    ]


class PersonView(View):
    """Somebody who may sign in. The password is shown once and works once, within a week."""

    person_id: Annotated[str, told("0d3a5c1e-7b9f-4e2d-8c6a-1f3e5d7c9b0a")]
    workspace_id: WorkspaceId
    email: Annotated[str, told("ada@acme.example")]
    temporary_password: Annotated[
        str | None, Field(description="Null where the request was answered before."), told("7Kq!vR2m-Xw9")
    ]

    @classmethod
    def of(cls, added: PersonAdded) -> Self:
        return cls(
            person_id=added.person.person_id,
            workspace_id=added.person.workspace_id,
            email=added.person.email,
            temporary_password=added.temporary_password,
        )
