"""Rules: what happens by itself when records change. Free: they only configure automation; what they do is charged."""

import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Annotated, assert_never

import simplejson
from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Body, Path

from functions.api.answers import answer
from functions.api.idempotency import once
from functions.api.in_use import refuse_scheduled_rule
from functions.api.models.common import Identifier, Page, documented, page
from functions.api.models.rules import PreviewRequest, PreviewView, RuleView, SavedRuleView
from functions.api.models.texts import NAME_PATTERN
from functions.api.paging import DEFAULT_LIMIT, Cursor, Limit, store_cursor
from functions.api.principals import workspace_of
from functions.api.problems import FieldError, Problem, Refusal, conflict, invalid, not_found, too_many_rules
from functions.api.routing import new_router, operation
from functions.api.services import Services, rule_room, services
from shared.rules.checking import RuleRefused, check
from shared.rules.commands import (
    Checked,
    FeedsItself,
    PutRule,
    TooManyRules,
    check_rule,
    draft,
    put_rule,
)
from shared.rules.cycles import spelled
from shared.rules.definition import RuleDefinition
from shared.rules.model import Rule
from shared.rules.preview import PreviewRoom, preview
from shared.workspaces import Scope

router = new_router()

_CHECK_SECONDS = 5.0
"""How long a definition is tried at most before it is saved or previewed: API Gateway waits 29 seconds."""

_PREVIEW_SECONDS = 10.0
"""How long one part of a preview takes at most, what its definition is tried for included, but for its last record."""

_SHOWN = 200
"""Characters of a key, a name or a record that a problem shows."""

_EXAMPLE = {
    "entity": "product",
    "trigger": {"on": ["created", "updated"], "attributes": ["price"]},
    "condition": "price > 10",
    "actions": [{"set": "gross", "to": {"expression": "price * 1.2", "decimals": 2}}],
}

RuleId = Annotated[str, Path(pattern=NAME_PATTERN)]


@router.get(
    "/rules",
    **operation(
        "listRules",
        "The rules",
        scopes=(Scope.READ,),
        answers=documented(
            HTTPStatus.OK, Page[RuleView], "Rules, by identifier, which is the order that they fire in."
        ),
    ),
)
def list_rules(limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None) -> Response[str]:
    workspace_id = workspace_of(router.current_event.raw_event)
    room = services()
    with store_cursor(cursor, like=NAME_PATTERN) as after:
        found = room.rules.page(workspace_id, limit, after)
    meters = room.meters.get_many(workspace_id, [rule.rule_id for rule in found.rules])
    paused, now = _is_paused(room, workspace_id), room.clock()
    views = [RuleView.of(rule, meters.get(rule.rule_id), paused=paused, now=now) for rule in found.rules]
    return answer(page(views, found.cursor))


@router.get(
    "/rules/<rule_id>",
    **operation(
        "getRule",
        "A rule, and what it has done",
        scopes=(Scope.READ,),
        answers=documented(HTTPStatus.OK, RuleView, "The rule."),
    ),
)
def get_rule(rule_id: Identifier) -> Response[str]:
    workspace_id = workspace_of(router.current_event.raw_event)
    return answer(_view(services(), _known_rule(workspace_id, rule_id)))


@router.put(
    "/rules/<rule_id>",
    **operation(
        "putRule",
        "Set a rule",
        description="Creates the rule, or replaces its definition; one that was suspended fires again. Records "
        "that do not change are not looked at; a change of the last moments, or one that waits for credits, may still "
        "set it off.",
        scopes=(Scope.CONFIGURE,),
        answers=documented(HTTPStatus.OK, SavedRuleView, "The rule, replaced.")
        | documented(HTTPStatus.CREATED, SavedRuleView, "The rule, new."),
        refusals=("too-many-rules", "rule-feeds-itself"),
        example=_EXAMPLE,
        remembers=once,
    ),
)
def set_rule(rule_id: RuleId, definition: Annotated[RuleDefinition, Body()]) -> Response[str]:
    workspace_id = workspace_of(router.current_event.raw_event)
    room = services()
    outcome = put_rule(rule_room(), workspace_id, rule_id, definition, room.clock(), _ends_in(_CHECK_SECONDS))
    if not isinstance(outcome, PutRule):
        raise Refusal(problem_of(outcome))
    rule = outcome.rule
    view = SavedRuleView.saved(_view(room, rule), outcome.warnings)
    return answer(view, HTTPStatus.CREATED if rule.created_at == rule.updated_at else HTTPStatus.OK)


@router.delete(
    "/rules/<rule_id>",
    **operation(
        "deleteRule",
        "Delete a rule",
        description="What it has written stays. A rule that a schedule runs cannot be deleted.",
        scopes=(Scope.CONFIGURE,),
        answers={HTTPStatus.NO_CONTENT: {"description": "It is gone."}},
        refusals=("rule-in-use",),
        remembers=once,
    ),
)
def remove_rule(rule_id: Identifier) -> Response[str]:
    workspace_id = workspace_of(router.current_event.raw_event)
    refuse_scheduled_rule(workspace_id, rule_id)
    if not services().rules.delete(workspace_id, rule_id):
        raise Refusal(_no_such_rule(rule_id))
    return Response(HTTPStatus.NO_CONTENT.value, body="")


@router.post(
    "/rules/<rule_id>/preview",
    **operation(
        "previewRule",
        "What a rule would do, and cost",
        description="Examines today's records, as if all of them changed now, and writes nothing. Goes through some "
        "thousands of records at a time: go on with `next_cursor`.",
        scopes=(Scope.READ,),
        answers=documented(HTTPStatus.OK, PreviewView, "What it would do with the records that were examined."),
        refusals=("too-many-rules", "rule-feeds-itself"),
        example={"definition": _EXAMPLE},
    ),
)
def preview_rule(rule_id: RuleId, wanted: Annotated[PreviewRequest, Body()]) -> Response[str]:
    workspace_id = workspace_of(router.current_event.raw_event)
    room = services()
    out_of_time = _ends_in(_PREVIEW_SECONDS)
    warnings: tuple[str, ...] = ()
    if wanted.definition is None:
        rule = _known_rule(workspace_id, rule_id)
    else:
        rule, warnings = _draft(room, workspace_id, rule_id, wanted.definition, is_first=wanted.cursor is None)
    with store_cursor(wanted.cursor) as after:
        found = preview(PreviewRoom(room.catalog, room.settings.prices), workspace_id, rule, after, out_of_time)
    return answer(PreviewView.of(found, warnings))


def _ends_in(seconds: float) -> Callable[[], bool]:
    """Whether so many seconds from now are over."""
    until = time.monotonic() + seconds
    return lambda: time.monotonic() > until


def _draft(
    room: Services, workspace_id: str, rule_id: str, definition: RuleDefinition, *, is_first: bool
) -> tuple[Rule, tuple[str, ...]]:
    """The definition as a rule, and what looks odd about it. Raises Refusal for what could not be put.

    It is checked when a preview begins; where it goes on, only as far as it has to be in order to be computed.
    """
    if is_first:
        checked = check_rule(rule_room(), workspace_id, rule_id, definition, room.clock(), _ends_in(_CHECK_SECONDS))
        if not isinstance(checked, Checked):
            raise Refusal(problem_of(checked, within="definition."))
        return checked.draft, checked.warnings
    try:
        check(definition, {})
    except RuleRefused as refused:
        raise Refusal(problem_of(refused, within="definition.")) from refused
    return draft(workspace_id, rule_id, definition, room.clock()), ()


def _known_rule(workspace_id: str, rule_id: str) -> Rule:
    """The workspace's rule. Raises Refusal when it has none of this name."""
    rule = services().rules.get(workspace_id, rule_id)
    if rule is None:
        raise Refusal(_no_such_rule(rule_id))
    return rule


def _view(room: Services, rule: Rule) -> RuleView:
    meter = room.meters.get(rule.workspace_id, rule.rule_id)
    return RuleView.of(rule, meter, paused=_is_paused(room, rule.workspace_id), now=room.clock())


def _is_paused(room: Services, workspace_id: str) -> bool:
    """Whether the workspace's rules have to wait, as its balance is at this moment. Without an account they do."""
    balance = room.ledger.balance(workspace_id)
    return balance is None or balance.is_exhausted(room.clock())


def problem_of(refused: TooManyRules | RuleRefused | FeedsItself, within: str = "") -> Problem:
    """Why a rule cannot be put. `within` is where the request has its definition."""
    match refused:
        case TooManyRules(limit):
            return too_many_rules(limit)
        case RuleRefused():
            return invalid([FieldError(within + refused.place, str(refused))])
        case FeedsItself(cycle, example):
            extra = {"cycle": list(cycle), "record": example.record_key}
            return conflict("rule-feeds-itself", _loop_text(refused), extra)
        case _:
            assert_never(refused)


def _loop_text(loop: FeedsItself) -> str:
    """The cycle, and what it was shown on."""
    example = loop.example
    if example.record_key is not None:
        record = f"the {example.entity} record {_shortened(example.record_key)}"
    else:
        record = f"a made-up {example.entity} record with {_shortened(simplejson.dumps(dict(example.attributes)))}"
    begun = "was created" if example.changed is None else f"had another {_shortened(example.changed)}"
    return (
        f"It would feed itself: {spelled(loop.cycle)}. Tried on {record}, it was still going at a depth of"
        f" {example.depth} after the record {begun}."
    )


def _shortened(text: str) -> str:
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def _no_such_rule(rule_id: str) -> Problem:
    return not_found(f"There is no rule {rule_id}.")
