"""How refusals are told: the one place where outcomes and errors become HTTP (RFC 9457, problem details).

A route that cannot answer raises `Refusal` with a `Problem`; the resolver's handlers turn it, and whatever else goes
wrong, into the response. `type` is a relative reference that names the problem; docs/api.md lists them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, assert_never

import simplejson
from aws_lambda_powertools.event_handler import Response

from shared.credits import OperationIdReused, OutOfCredits, Stale, UnknownWorkspace

_CONTENT_TYPE = "application/problem+json"
TITLES = {
    "malformed-request": "Malformed request",
    "out-of-credits": "Out of credits",
    "forbidden": "Forbidden",
    "not-found": "Not found",
    "idempotency-key-reused": "Idempotency key reused",
    "upload-missing": "Upload missing",
    "nothing-to-pull": "Nothing to pull",
    "source-not-encrypted": "Source not encrypted",
    "feed-in-use": "Feed in use",
    "rule-in-use": "Rule in use",
    "rule-feeds-itself": "Rule feeds itself",
    "too-many-rules": "Too many rules",
    "run-is-over": "Run is over",
    "run-is-not-paused": "Run is not paused",
    "request-repeated": "Request repeated",
    "person-exists": "Person exists",
    "stale": "Changed by somebody else",
    "precondition-failed": "Precondition failed",
    "content-too-large": "Content too large",
    "validation": "Validation failed",
    "unavailable": "Temporarily unavailable",
    "internal-error": "Internal error",
}
"""Every kind of problem, by the last part of its `type` (docs/api.md)."""

_RETRY_AFTER_SECONDS = "2"


@dataclass(frozen=True, slots=True)
class FieldError:
    """What is wrong with one field of a request: `entities.0.key`."""

    field: str
    message: str


@dataclass(frozen=True, slots=True)
class Problem:
    """One refusal. `slug` names its kind, for programs; `detail` says what happened this time, for people."""

    status: HTTPStatus
    slug: str
    detail: str
    errors: tuple[FieldError, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


class Refusal(Exception):
    """The way out of a route that cannot answer."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail)
        self.problem = problem


def render(problem: Problem, request_id: str) -> Response[str]:
    """The problem as a response."""
    body: dict[str, Any] = {
        "type": f"/problems/{problem.slug}",
        "title": TITLES[problem.slug],
        "status": problem.status.value,
        "detail": problem.detail,
        "request_id": request_id,
        **problem.extra,
    }
    if problem.errors:
        body["errors"] = [{"field": error.field, "message": error.message} for error in problem.errors]
    return Response(
        status_code=problem.status.value,
        content_type=_CONTENT_TYPE,
        body=simplejson.dumps(body),
        headers=dict(problem.headers),
    )


def bad_request(detail: str) -> Problem:
    """The request cannot be read at all."""
    return Problem(HTTPStatus.BAD_REQUEST, "malformed-request", detail)


def out_of_credits(outcome: OutOfCredits) -> Problem:
    """402: with what was needed and what is there."""
    detail = (
        f"This needs {outcome.needed} credit{'s' if outcome.needed != 1 else ''} and {outcome.available} are available"
        f"{f'; {outcome.owed} are owed already' if outcome.owed else ''}. Top up to go on."
    )
    extra = {"needed": outcome.needed, "available": outcome.available, "owed": outcome.owed}
    return Problem(HTTPStatus.PAYMENT_REQUIRED, "out-of-credits", detail, extra=extra)


def forbidden(detail: str) -> Problem:
    """The key does not allow this."""
    return Problem(HTTPStatus.FORBIDDEN, "forbidden", detail)


def not_found(detail: str) -> Problem:
    """There is no such thing, or it is another workspace's: the two look the same."""
    return Problem(HTTPStatus.NOT_FOUND, "not-found", detail)


def conflict(slug: str, detail: str, extra: Mapping[str, Any] | None = None) -> Problem:
    """It cannot be done as things stand. `extra` is for programs."""
    return Problem(HTTPStatus.CONFLICT, slug, detail, extra=extra or {})


def precondition_failed(detail: str) -> Problem:
    """The thing is not at the version that the caller goes by."""
    return Problem(HTTPStatus.PRECONDITION_FAILED, "precondition-failed", detail)


def request_repeated(operation_id: str) -> Problem:
    """The same event, delivered twice: the first delivery was answered, and nobody waits for this answer."""
    return conflict("request-repeated", f"This request was answered before, as {operation_id}.")


def too_large(detail: str) -> Problem:
    """More bytes than are accepted."""
    return Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "content-too-large", detail)


def invalid(errors: Sequence[FieldError]) -> Problem:
    """The request was read, and says what cannot be; every error is named by its field."""
    detail = f"{errors[0].field}: {errors[0].message}" if len(errors) == 1 else f"{len(errors)} fields are not valid."
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "validation", detail, tuple(errors))


def unavailable() -> Problem:
    """A store did not answer; whether a write took place may be unknown."""
    return Problem(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "unavailable",
        "The service cannot be sure of the outcome at the moment. It is safe to send the same request again; a write "
        "with the same Idempotency-Key or reference.",
        headers={"Retry-After": _RETRY_AFTER_SECONDS},
    )


def internal_error() -> Problem:
    """A bug."""
    return Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "internal-error", "Something failed on our side.")


def of_outcome(outcome: OutOfCredits | OperationIdReused | UnknownWorkspace | Stale) -> Problem:
    """Why a plan was not carried out."""
    match outcome:
        case OutOfCredits():
            return out_of_credits(outcome)
        case OperationIdReused():
            return key_reused("This Idempotency-Key was used before, for another request.")
        case UnknownWorkspace():
            return not_found(f"There is no workspace {outcome.workspace_id}.")
        case Stale():
            return conflict("stale", "Somebody changed this at the same moment. Look again, and send it again.")
        case _:
            assert_never(outcome)


def key_reused(detail: str) -> Problem:
    """The same idempotency key or reference, for something else."""
    return conflict("idempotency-key-reused", detail)


def of_validation(errors: Sequence[Mapping[str, Any]]) -> Problem:
    """What pydantic found, in the words of the request: fields by their own names, without the tags of unions."""
    return invalid([_field_error(error) for error in errors])


def _field_error(error: Mapping[str, Any]) -> FieldError:
    context = error.get("ctx") or {}
    source, *place = error["loc"]
    if error["type"] == "definition":
        # A part of a definition that is only wrong as a whole names the field itself (shared.feeds.definition).
        return FieldError(".".join([*_named(place), str(context["field"])]), str(context["message"]))
    # An error deep in a record's attributes brings the rest of the way along (functions.api.models.records).
    parts = _named([*place, *context.get("place", ())])
    message = str(error["msg"]).removeprefix("Value error, ")
    return FieldError(".".join(parts) or str(source), message)


def _named(place: Sequence[Any]) -> list[str]:
    """A place in a request, without the tags of unions."""
    return [str(part) for part in place if not str(part).startswith("<")]
