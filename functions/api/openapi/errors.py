"""Every way in which a call is refused, as the document shows it: its status, what it means, and an example.

What a route refuses by itself it declares (`functions.api.routing`); the rest follows from what the operation is. Some
answers are API Gateway's own (GatewayResponses in template.yaml).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from itertools import groupby
from typing import Any

from functions.api import problems
from functions.api.models.operations import COUNTED
from functions.api.models.problems import (
    ForgottenProblemView,
    LoopProblemView,
    NotThatManyProblemView,
    OutOfCreditsProblemView,
    ProblemView,
    ReplacedProblemView,
    ValidationProblemView,
)
from functions.api.models.records import not_as_expected
from functions.api.problems import TITLES, FieldError, Problem, Refusal
from functions.api.requests import MAX_BODY_BYTES, parse_body
from functions.api.routes.rules import problem_of
from shared.credits import OperationIdReused, OutOfCredits, Stale
from shared.rules.commands import FeedsItself
from shared.rules.cycles import Shown
from shared.rules.model import MAX_RULES
from shared.workspaces import Scope
from shared.workspaces.key_store import MAX_KEYS

Json = dict[str, Any]

_REQUEST_ID = "0b9d4a52-6c1e-4e57-9d0e-3f1a2b4c5d6e"
_SCHEMAS = "#/components/schemas/"


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of problem: what it means, and one of its kind, as the API tells it. `view` is its schema."""

    meaning: str
    example: Problem
    view: type[ProblemView] = ProblemView

    @property
    def status(self) -> int:
        return self.example.status.value


def _raised(call: Callable[[], object]) -> Problem:
    """What a call refuses with."""
    try:
        call()
    except Refusal as refusal:
        return refusal.problem
    raise AssertionError("it does not refuse")


def _by_gateway(status: HTTPStatus, slug: str, detail: str, **headers: str) -> Problem:
    """What API Gateway says by itself: the words of template.yaml."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Problem(status, slug, detail, headers=named)


_LOOP = FeedsItself(
    cycle=("gross", "net"),
    example=Shown(cycle=("gross", "net"), record_key="M8/40", depth=5, entity="product", attributes={}, changed=None),
)

KINDS = {
    "malformed-request": Kind(
        "The body is not JSON, or holds a number beyond all use; or the path is not percent-encoded UTF-8.",
        _raised(lambda: parse_body('{"name":')),
    ),
    "bad-request": Kind(
        "The gateway cannot take the request, and says no more.",
        _by_gateway(
            HTTPStatus.BAD_REQUEST,
            "bad-request",
            "The gateway cannot take this request: check its path, its method and its headers.",
        ),
    ),
    "unauthorized": Kind(
        "There is no key or token, or it is none of ours, revoked or expired.",
        _by_gateway(
            HTTPStatus.UNAUTHORIZED,
            "unauthorized",
            "Send a valid API key, or the ID token of a sign-in: Authorization: Bearer <key or token>.",
            WWW_Authenticate="Bearer",
        ),
    ),
    "out-of-credits": Kind(
        "Not enough credits are left; nothing was done. A top-up lets it go on.",
        problems.out_of_credits(OutOfCredits(needed=2, available=0, owed=0)),
        OutOfCreditsProblemView,
    ),
    "forbidden": Kind(
        "The key, or the person, does not have the scope, or belongs to no workspace.",
        problems.out_of_scope((Scope.WRITE,)),
    ),
    "not-found": Kind(
        "There is no such thing. Another workspace's things look the same.", problems.no_such_feed("main")
    ),
    "method-not-allowed": Kind(
        "The path takes other methods, which `Allow` names.",
        problems.method_not_allowed("PATCH", ("GET", "PUT", "DELETE", "OPTIONS")),
    ),
    "idempotency-key-reused": Kind(
        "The Idempotency-Key, or the operator's reference, was used before, for something else.",
        problems.of_outcome(OperationIdReused("op_01KAMZDXS6G8J0M2P4R6T8V0X2")),
    ),
    "request-in-progress": Kind(
        "The first request with this Idempotency-Key is not over, or it is not known whether it is.",
        problems.request_in_progress(),
    ),
    "upload-missing": Kind(
        "The file of this upload never came, or was deleted since.",
        problems.upload_missing("up_01KAMZB1R5P3M7S9V2X4Z6A8C0"),
    ),
    "nothing-to-pull": Kind(
        "The feed has no source to fetch a file from, or none that wants credentials.", problems.nothing_to_pull()
    ),
    "source-not-encrypted": Kind("Credentials are not sent to an `http://` address.", problems.source_not_encrypted()),
    "feed-in-use": Kind("Schedules pull the feed.", problems.feed_in_use(["nightly"])),
    "rule-in-use": Kind("Schedules run the rule.", problems.rule_in_use(["nightly"])),
    "rule-feeds-itself": Kind(
        "The rules of `cycle` would set each other off for ever.", problem_of(_LOOP), LoopProblemView
    ),
    "too-many-rules": Kind(f"The workspace has {MAX_RULES} rules.", problems.too_many_rules(MAX_RULES)),
    "too-many-keys": Kind(
        f"There are {MAX_KEYS} keys that are neither expired nor revoked.", problems.too_many_keys(MAX_KEYS)
    ),
    "nothing-left": Kind("The grant is used up, expired or void already.", problems.nothing_left()),
    "not-that-many": Kind(
        "Fewer credits are there than are to be taken back; `left` says how many.",
        problems.not_that_many(50, 40),
        NotThatManyProblemView,
    ),
    "key-is-over": Kind("The key is expired or revoked.", problems.key_is_over("revoked")),
    "key-is-replaced": Kind(
        "The key was rotated before.",
        problems.key_is_replaced("key_01KAMZ9S5T0000000000000003"),
        ReplacedProblemView,
    ),
    "records-forgotten": Kind(
        "The files of its run have expired: `records` says how many records it wrote, by entity.",
        problems.records_forgotten(COUNTED),
        ForgottenProblemView,
    ),
    "run-is-over": Kind("The run has ended.", problems.run_is_over("finished")),
    "run-is-not-paused": Kind("There is nothing to resume.", problems.run_is_not_paused("running", is_over=False)),
    "request-repeated": Kind(
        "The same request was delivered twice; the first was answered.",
        problems.request_repeated("op_01KAMZDXS6G8J0M2P4R6T8V0X2"),
    ),
    "person-exists": Kind("Somebody signs in with this address already.", problems.person_exists()),
    "stale": Kind(
        "Others kept changing it at the same moment; nothing was done. Send it again.",
        problems.of_outcome(Stale(cursor_moved=True, writes={})),
    ),
    "precondition-failed": Kind(
        "The record is not as `If-Match` or `If-None-Match` asks.",
        problems.precondition_failed(not_as_expected(None)),
    ),
    "content-too-large": Kind(
        "A body over 256 KB, a record over 409,600 bytes, or a file over the deployment's limit.",
        _raised(lambda: parse_body(" " * (MAX_BODY_BYTES + 1))),
    ),
    "validation": Kind(
        "`errors` names every field that is wrong.",
        problems.invalid([FieldError("entities.0.key", "Field required")]),
        ValidationProblemView,
    ),
    "too-many-requests": Kind(
        "Slow down, and send it again after `Retry-After` seconds. Nothing was done, and nothing charged.",
        _by_gateway(
            HTTPStatus.TOO_MANY_REQUESTS,
            "too-many-requests",
            "Too many requests at once; try again in a moment.",
            Retry_After="1",
        ),
    ),
    "internal-error": Kind("A fault of ours.", problems.internal_error()),
    "unavailable": Kind(
        "The outcome is not known. Send the same again after `Retry-After` seconds, a write with the same "
        "Idempotency-Key.",
        problems.unavailable(),
    ),
    "timeout": Kind(
        "The same, from the gateway.",
        _by_gateway(
            HTTPStatus.GATEWAY_TIMEOUT,
            "timeout",
            "The answer took too long. It is safe to send the same request again with the same Idempotency-Key.",
            Retry_After="2",
        ),
    ),
}
"""Every kind of problem that anybody can be told, by the last part of its `type`."""

_WORDS = {
    400: "The request cannot be read.",
    401: "Unauthorized.",
    402: "Out of credits.",
    403: "Forbidden.",
    404: "Not found.",
    405: "Another method.",
    409: "It cannot be done as things stand.",
    410: "No longer known.",
    412: "Precondition failed.",
    413: "Too large.",
    422: "Not valid.",
    429: "Too many requests.",
    500: "A fault of ours.",
    503: "The outcome is not known.",
    504: "No answer in time.",
}


def usual_kinds(
    *,
    is_public: bool,
    has_path: bool,
    has_parameters: bool,
    has_body: bool,
    is_charged: bool,
    takes_key: bool,
    is_remembered: bool,
) -> Iterator[str]:
    """The kinds of problems that an operation may tell of because of what it is."""
    yield from ("bad-request", "method-not-allowed", "too-many-requests", "internal-error", "unavailable", "timeout")
    if not is_public:
        yield from ("unauthorized", "forbidden")
    if has_path:
        yield "not-found"
    if has_path or has_body:
        yield "malformed-request"
    if has_parameters or has_body:
        yield "validation"
    if has_body:
        yield "content-too-large"
    if is_charged:
        yield "out-of-credits"
    if takes_key:
        yield "idempotency-key-reused"
    if is_remembered:
        yield "request-in-progress"


def responses(slugs: Iterable[str]) -> dict[str, Json]:
    """The answers that tell of these kinds, by status: references to what `components` holds, where there is one kind
    of a status alone.
    """
    by_status = groupby(sorted(set(slugs), key=_place), key=lambda slug: KINDS[slug].status)
    grouped = {str(status): list(kinds) for status, kinds in by_status}
    return {
        status: {"$ref": f"#/components/responses/{component_name(kinds[0])}"} if len(kinds) == 1 else _response(kinds)
        for status, kinds in grouped.items()
    }


def components() -> dict[str, Json]:
    """The answers that tell of one kind of problem."""
    return {component_name(slug): _response([slug]) for slug in sorted(KINDS)}


def examples() -> dict[str, Json]:
    """What each kind of problem looks like, by its slug."""
    return {slug: {"summary": TITLES[slug], "value": _example(slug)} for slug in sorted(KINDS)}


def component_name(slug: str) -> str:
    """`out-of-credits` is `OutOfCredits`."""
    return "".join(word.capitalize() for word in slug.split("-"))


def _place(slug: str) -> tuple[int, str]:
    return KINDS[slug].status, slug


def _response(slugs: list[str]) -> Json:
    """The answer of one status: the kinds of problems that it may tell of, each with its example."""
    kinds = {slug: KINDS[slug] for slug in slugs}
    status = kinds[slugs[0]].status
    schemas = [{"$ref": _SCHEMAS + name} for name in dict.fromkeys(kind.view.__name__ for kind in kinds.values())]
    names = ["X-Request-Id", *dict.fromkeys(name for kind in kinds.values() for name in kind.example.headers)]
    return {
        "description": "\n".join(
            [_WORDS[status], "", *(f"- `{slug}`: {kind.meaning}" for slug, kind in kinds.items())]
        ),
        "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in names},
        "content": {
            "application/problem+json": {
                "schema": {
                    **(schemas[0] if len(schemas) == 1 else {"anyOf": schemas}),
                    "properties": {"type": {"enum": [f"/problems/{slug}" for slug in slugs]}},
                },
                "examples": {slug: {"$ref": f"#/components/examples/{slug}"} for slug in slugs},
            }
        },
    }


def _example(slug: str) -> Json:
    """As it is answered."""
    return dict(json.loads(problems.render(KINDS[slug].example, _REQUEST_ID).body or ""))
