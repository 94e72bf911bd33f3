"""People who sign in."""

from typing import Annotated, Self

from pydantic import Field

from functions.api.models.common import Request, View
from shared.people.directory import PersonAdded


class PersonRequest(Request):
    """Somebody to let in."""

    email: Annotated[
        str,
        Field(
            max_length=128,
            pattern=r"^[^@\s\x00-\x1f\x7f]+@[^@\s\x00-\x1f\x7f]+\.[^@\s\x00-\x1f\x7f]+$",
            description="What they sign in with. It signs in to one workspace.",
            examples=["ada@acme.example"],
        ),
    ]


class PersonView(View):
    """Somebody who may sign in. The password is shown once and works once, within a week."""

    person_id: str
    workspace_id: str
    email: str
    temporary_password: str

    @classmethod
    def of(cls, added: PersonAdded) -> Self:
        return cls(
            person_id=added.person.person_id,
            workspace_id=added.person.workspace_id,
            email=added.person.email,
            temporary_password=added.temporary_password,
        )
