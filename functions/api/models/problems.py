"""Problems as they are answered (RFC 9457), for the OpenAPI document: `functions.api.problems` writes them."""

from typing import Annotated

from pydantic import Field

from functions.api.models.common import View
from functions.api.models.operations import COUNTED, RecordCountsView
from functions.api.models.texts import KeyId, RecordKeyText, RequestId, told


class ProblemView(View):
    """Why a call was refused, or failed (RFC 9457): `type` for programs, `detail` for people."""

    type: Annotated[
        str,
        Field(description="Names the kind of problem; a reference that leads nowhere."),
        told("/problems/not-found", pattern="^/problems/[a-z-]+$"),
    ]
    title: Annotated[str, told("Not found")]
    status: Annotated[int, Field(description="As of the answer."), told(404, minimum=400, maximum=599)]
    detail: Annotated[str, Field(description="What happened this time, in words."), told("There is no feed main.")]
    request_id: RequestId


class FieldErrorView(View):
    """What is wrong with one field of the request."""

    field: Annotated[str, Field(examples=["entities.0.key"])]
    message: Annotated[str, Field(examples=["Field required"])]


class ValidationProblemView(ProblemView):
    """The request was read, and says what cannot be."""

    errors: Annotated[list[FieldErrorView], Field(min_length=1)]


class OutOfCreditsProblemView(ProblemView):
    """Not enough credits are left."""

    needed: Annotated[int, Field(ge=1, examples=[2])]
    available: Annotated[int, Field(ge=0, examples=[0])]
    owed: Annotated[int, Field(ge=0, examples=[12])]


class LoopProblemView(ProblemView):
    """Rules that would set each other off for ever."""

    cycle: Annotated[
        list[str], Field(min_length=1, description="The rules, in their order.", examples=[["gross", "net"]])
    ]
    record: Annotated[
        RecordKeyText | None, Field(description="A record of yours that shows it; null where one was made up.")
    ]


class NotThatManyProblemView(ProblemView):
    """So many credits are not there to be taken back."""

    left: Annotated[int, Field(ge=0, description="What can be taken.", examples=[40])]


class ForgottenProblemView(ProblemView):
    """Which records it wrote is told no more."""

    records: Annotated[
        dict[str, RecordCountsView], Field(description="How many they were, by entity.", examples=[COUNTED])
    ]


class ReplacedProblemView(ProblemView):
    """The key was rotated before."""

    replaced_by: KeyId
