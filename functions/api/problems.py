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

from functions.api.patterns import SENTENCES
from shared.credits import OperationIdReused, OutOfCredits, Stale, UnknownWorkspace
from shared.pace import RUN_START_WEIGHT, TooFast
from shared.times import to_rfc3339
from shared.workspaces import Scope

_CONTENT_TYPE = "application/problem+json"
TITLES = {
    "malformed-request": "Malformed request",
    "out-of-credits": "Out of credits",
    "forbidden": "Forbidden",
    "not-found": "Not found",
    "method-not-allowed": "Method not allowed",
    "idempotency-key-reused": "Idempotency key reused",
    "request-in-progress": "Request in progress",
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
    "too-many-keys": "Too many keys",
    "nothing-left": "Nothing left",
    "not-that-many": "Not that many",
    "records-forgotten": "Records forgotten",
    "key-is-over": "Key is over",
    "key-is-replaced": "Key is replaced",
    "stale": "Changed by somebody else",
    "precondition-failed": "Precondition failed",
    "content-too-large": "Content too large",
    "too-many-requests": "Too many requests",
    "validation": "Validation failed",
    "unavailable": "Temporarily unavailable",
    "internal-error": "Internal error",
    # Those that only API Gateway tells of (GatewayResponses in template.yaml).
    "bad-request": "Bad request",
    "unauthorized": "Unauthorized",
    "timeout": "Gateway timeout",
}
"""Every kind of problem, by the last part of its `type` (docs/api.md). A kind has one title, whoever tells of it."""

_RETRY_AFTER_SECONDS = "2"
_AT_ONCE_SECONDS = "1"
_PERIODS = {"hour": "an hour", "day": "a day"}
_NAMED_SCHEDULES = 10
"""Schedules that are named where something is in use."""


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


def out_of_scope(wanted: Sequence[Scope]) -> Problem:
    """The caller, a key or a person, has none of the scopes that are wanted."""
    named = " or ".join(scope.value for scope in wanted)
    return forbidden(f"This call needs the scope {named}, which your key or sign-in does not have.")


def not_found(detail: str) -> Problem:
    """There is no such thing, or it is another workspace's: the two look the same."""
    return Problem(HTTPStatus.NOT_FOUND, "not-found", detail)


def method_not_allowed(method: str, allowed: Sequence[str]) -> Problem:
    """The path is there, and takes other methods."""
    detail = f"{method} is not possible here; {', '.join(allowed[:-1])} and {allowed[-1]} are."
    headers = {"Allow": ", ".join(allowed)}
    return Problem(HTTPStatus.METHOD_NOT_ALLOWED, "method-not-allowed", detail, headers=headers)


def conflict(
    slug: str, detail: str, extra: Mapping[str, Any] | None = None, headers: Mapping[str, str] | None = None
) -> Problem:
    """It cannot be done as things stand. `extra` is for programs."""
    return Problem(HTTPStatus.CONFLICT, slug, detail, extra=extra or {}, headers=headers or {})


def no_such_feed(feed_id: str) -> Problem:
    """The workspace has no feed of this name."""
    return not_found(f"There is no feed {feed_id}.")


def upload_missing(upload_id: str) -> Problem:
    """There is no file to run on."""
    return conflict("upload-missing", f"Nothing was uploaded for {upload_id}, or it was deleted since.")


def nothing_to_pull() -> Problem:
    """A run was to fetch a file, of a feed that names none."""
    detail = "This feed has no source to fetch a file from: give an upload_id, or define the feed with a source."
    return conflict("nothing-to-pull", detail)


def source_not_encrypted() -> Problem:
    """Credentials for a source that everybody could listen to."""
    detail = "The feed's source begins with http://: everybody on the way could read the credentials. Use https://."
    return conflict("source-not-encrypted", detail)


def feed_in_use(schedules: Sequence[str]) -> Problem:
    """These schedules pull the feed."""
    return conflict("feed-in-use", f"Schedules pull it: {_some(schedules)}. Delete them first.")


def rule_in_use(schedules: Sequence[str]) -> Problem:
    """These schedules run the rule."""
    return conflict("rule-in-use", f"Schedules run it: {_some(schedules)}. Delete them first.")


def _some(schedules: Sequence[str]) -> str:
    named, others = ", ".join(schedules[:_NAMED_SCHEDULES]), len(schedules) - _NAMED_SCHEDULES
    return f"{named} and {others} more" if others > 0 else named


def too_many_rules(limit: int) -> Problem:
    """The workspace has as many rules as it may have."""
    return conflict("too-many-rules", f"A workspace has at most {limit} rules. Delete one first.")


def too_many_keys(limit: int) -> Problem:
    """The owner has as many good keys as it may have."""
    detail = f"There are {limit} API keys that are neither expired nor revoked. Revoke those that nobody uses."
    return conflict("too-many-keys", detail)


def key_is_over(state: str) -> Problem:
    """A key that is `expired` or `revoked` has no successor."""
    return conflict("key-is-over", f"This key is {state}; make another.")


def key_is_replaced(successor: str) -> Problem:
    """A key is rotated once."""
    detail = f"This key was replaced by {successor}; rotate that one."
    return conflict("key-is-replaced", detail, {"replaced_by": successor})


def run_is_over(state: str) -> Problem:
    """A run that has ended cannot be ended."""
    return conflict("run-is-over", f"The run is {state}: it cannot be cancelled.")


def records_forgotten(counts: Mapping[str, Mapping[str, int]]) -> Problem:
    """The names of an import's records are kept for as long as the files of its run; `counts` are those of each entity
    that stay.
    """
    detail = "The files of its run are kept no longer: how many records it wrote is known, and which ones is not."
    return Problem(HTTPStatus.GONE, "records-forgotten", detail, extra={"records": counts})


def run_is_not_paused(state: str, *, is_over: bool) -> Problem:
    """Nothing keeps the run from going on, or nothing can make it."""
    why = ": it cannot go on" if is_over else ", and was seen at work a moment ago: there is nothing to resume"
    return conflict("run-is-not-paused", f"The run is {state}{why}.")


def person_exists() -> Problem:
    """An address signs in to one workspace."""
    return conflict("person-exists", "Somebody signs in with this address already.")


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


def nothing_left() -> Problem:
    """The grant has nothing that could be taken back."""
    return conflict("nothing-left", "Nothing is left of this grant: it is used up, expired or void already.")


def not_that_many(wanted: int, left: int) -> Problem:
    """Fewer credits are there than are to be taken back."""
    return conflict("not-that-many", f"{wanted:,} credits were to be taken back, and {left:,} can be.", {"left": left})


def out_of_pace(outcome: TooFast, seconds: int) -> Problem:
    """A person's sign-in does more than a hand can; `seconds` are left until it may go on."""
    detail = (
        f"By hand, {outcome.limit:,} calls are taken within {_PERIODS[outcome.period]}; the start of a run counts as "
        f"{RUN_START_WEIGHT}. It goes on at {to_rfc3339(outcome.until)}. What is to run by itself belongs to an API "
        "key, a schedule or a rule."
    )
    return _too_many_requests(detail, seconds)


def too_many_free_reads(outcome: TooFast, seconds: int) -> Problem:
    """A key reads more of what is free than a person could; `seconds` are left until it may go on."""
    detail = (
        f"Of one key {outcome.limit:,} of these calls, which are free, are taken within {_PERIODS[outcome.period]}. "
        f"It goes on at {to_rfc3339(outcome.until)}. Calls that cost credits go on all the while."
    )
    return _too_many_requests(detail, seconds)


def too_many_key_changes(outcome: TooFast, seconds: int) -> Problem:
    """An owner's keys are made and ended faster than systems need new ones; `seconds` are left until it may go on."""
    detail = (
        f"API keys are made, rotated and revoked {outcome.limit:,} times within {_PERIODS[outcome.period]}, and no "
        "more are made until it is over. A key can be revoked at any time."
    )
    return _too_many_requests(detail, seconds)


def too_many_reports(kind: str, outcome: TooFast, seconds: int) -> Problem:
    """Exports or audits (`kind`) are asked for faster than anybody reads them; `seconds` are left until it goes on."""
    detail = (
        f"{kind.capitalize()} of a workspace, which are free, are begun {outcome.limit:,} times within "
        f"{_PERIODS[outcome.period]}. It goes on at {to_rfc3339(outcome.until)}. Those that were made can be read."
    )
    return _too_many_requests(detail, seconds)


def _too_many_requests(detail: str, seconds: int) -> Problem:
    headers = {"Retry-After": str(seconds)}
    return Problem(HTTPStatus.TOO_MANY_REQUESTS, "too-many-requests", detail, headers=headers)


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
            return idempotency_key_reused()
        case UnknownWorkspace():
            return not_found(f"There is no workspace {outcome.workspace_id}.")
        case Stale():
            detail = "Others kept changing this at the same moment. Nothing was done: send it again."
            return conflict("stale", detail, headers={"Retry-After": _AT_ONCE_SECONDS})
        case _:
            assert_never(outcome)


def key_reused(detail: str) -> Problem:
    """The same idempotency key or reference, for something else."""
    return conflict("idempotency-key-reused", detail)


def idempotency_key_reused() -> Problem:
    """The same idempotency key, for another request."""
    return key_reused("This Idempotency-Key was used before, for another request.")


def request_in_progress() -> Problem:
    """The same idempotency key, while the first request with it is still being answered."""
    detail = "The first request with this Idempotency-Key is still running. Send it again in a moment for its answer."
    return conflict("request-in-progress", detail, headers={"Retry-After": _RETRY_AFTER_SECONDS})


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
    if error["type"] == "string_pattern_mismatch":
        message = SENTENCES.get(str(context["pattern"]), message)
    return FieldError(".".join(parts) or str(source), message)


def _named(place: Sequence[Any]) -> list[str]:
    """A place in a request, without the tags of unions."""
    return [str(part) for part in place if not str(part).startswith("<")]
