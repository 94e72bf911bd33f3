"""What the API takes and answers of rules."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import simplejson
from pydantic import ValidationError

from functions.api.answers import as_json
from functions.api.models.records import RecordView
from functions.api.models.rules import PreviewRequest, PreviewView, RuleView, SavedRuleView
from functions.api.problems import of_validation
from functions.api.requests import parse_body
from functions.api.routes import rules as routes
from shared.catalog import Mark, Record
from shared.rules.checking import RuleRefused
from shared.rules.commands import FeedsItself, TooManyRules
from shared.rules.cycles import Shown
from shared.rules.definition import RuleDefinition
from shared.rules.meters import Meter
from shared.rules.model import Creation, Rule
from shared.rules.preview import Example, FailedExample, Preview

NOW = datetime(2026, 11, 22, 12, 30, tzinfo=UTC)
WANTED: dict[str, Any] = {
    "entity": "product",
    "trigger": {"on": ["updated"]},
    "actions": [{"set": "rate", "to": {"value": Decimal("0.1000000000000000000000000000000000001")}}],
}
METER = Meter(
    version=3,
    hour="2026-11-22T12",
    fired_in_hour=7,
    firings=70,
    credits=140,
    failures=2,
    last_fired_at=NOW,
    last_failure_at=NOW - timedelta(days=1),
    last_failure="price is a text",
)


def a_rule(*, suspended_at: datetime | None = None, **changed: Any) -> Rule:
    return Rule(
        workspace_id="ws_1",
        rule_id="rate",
        definition=RuleDefinition.model_validate(WANTED | changed),
        version=3,
        created_at=NOW - timedelta(days=2),
        updated_at=NOW,
        suspended_at=suspended_at,
    )


def shown(rule: Rule, meter: Meter | None = METER, *, paused: bool = False, now: datetime = NOW) -> dict[str, Any]:
    view = RuleView.of(rule, meter, paused=paused, now=now)
    return dict(simplejson.loads(as_json(view), use_decimal=True))


def told(body: dict[str, Any]) -> list[tuple[str, str]]:
    """The problem that a preview is answered with."""
    with pytest.raises(ValidationError) as caught:
        PreviewRequest.model_validate(body)
    problem = of_validation([{**error, "loc": ("body", *error["loc"])} for error in caught.value.errors()])
    return [(error.field, error.message) for error in problem.errors]


def test_a_rule_is_shown_as_it_was_sent_number_for_number_with_what_was_left_out() -> None:
    assert shown(a_rule()) == {
        "rule_id": "rate",
        **WANTED,
        "condition": "true",
        "enabled": True,
        "description": "",
        "max_firings_per_hour": None,
        "version": 3,
        "state": "enabled",
        "suspended_at": None,
        "fired": {
            "firings": 70,
            "credits": 140,
            "failures": 2,
            "last_fired_at": "2026-11-22T12:30:00.000Z",
            "last_failure_at": "2026-11-21T12:30:00.000Z",
            "last_failure": "price is a text",
            "fired_this_hour": 7,
        },
        "created_at": "2026-11-20T12:30:00.000Z",
        "updated_at": "2026-11-22T12:30:00.000Z",
    }


def test_what_is_shown_may_be_sent_again() -> None:
    view = shown(a_rule(condition="price > 0.10", description="x"))
    owned = {name: value for name, value in view.items() if name in RuleDefinition.model_fields}
    again = RuleDefinition.model_validate(parse_body(simplejson.dumps(owned, use_decimal=True)))
    assert again == a_rule(condition="price > 0.10", description="x").definition


@pytest.mark.parametrize(
    ("rule", "paused", "state"),
    [
        (a_rule(), False, "enabled"),
        (a_rule(), True, "paused"),
        (a_rule(suspended_at=NOW), False, "suspended"),
        (a_rule(suspended_at=NOW), True, "suspended"),
        (a_rule(enabled=False, suspended_at=NOW), True, "disabled"),
    ],
)
def test_what_comes_of_what_an_owner_wants(rule: Rule, paused: bool, state: str) -> None:
    assert shown(rule, paused=paused)["state"] == state


def test_firings_of_an_earlier_hour_are_not_of_this_one() -> None:
    fired = shown(a_rule(), now=NOW + timedelta(hours=1))["fired"]
    assert (fired["fired_this_hour"], fired["firings"]) == (0, 70)


def test_a_rule_that_was_deleted_at_this_moment_has_done_nothing() -> None:
    assert shown(a_rule(), None)["fired"] == {
        "firings": 0,
        "credits": 0,
        "failures": 0,
        "last_fired_at": None,
        "last_failure_at": None,
        "last_failure": None,
        "fired_this_hour": 0,
    }


def test_warnings_stand_beside_the_rule() -> None:
    view = RuleView.of(a_rule(), METER, paused=False, now=NOW)
    saved = SavedRuleView.saved(view, ("condition: odd",))
    assert saved.model_dump() == view.model_dump() | {"warnings": ["condition: odd"]}


def test_a_preview_is_shown_with_an_opaque_cursor() -> None:
    preview = Preview(
        examined=5,
        would_fire=2,
        would_update=2,
        would_create=1,
        unchanged=1,
        failed=1,
        credits=5,
        examples=[
            Example(
                "a",
                {"price": Decimal("1.10")},
                {},
                (Creation("brand", "Acme", {"n": Decimal("0.10")}),),
                shortened=False,
            )
        ],
        failures=[FailedExample("b", "price is a text")],
        cursor="07:b/1",
    )
    text = as_json(PreviewView.of(preview, ("odd",)))
    assert '"before":{"price":1.10}' in text
    assert '"creates":[{"entity":"brand","key":"Acme","attributes":{"n":0.10}}]' in text
    body = simplejson.loads(text)
    assert (body["matched"], body["failures"], body["warnings"]) == (
        3,
        [{"key": "b", "reason": "price is a text"}],
        ["odd"],
    )
    assert body["next_cursor"] not in (None, "07:b/1")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"definition": WANTED | {"entity": "X"}}, "definition.entity"),
        ({"definition": WANTED | {"trigger": {"on": ["schedule", "created"]}}}, "definition.trigger.on"),
        ({"definition": WANTED | {"actions": [{"clear": "key"}]}}, "definition.actions.0.clear"),
        ({"definition": WANTED | {"actions": [{"clear": "a"}, {"clear": "a"}]}}, "definition.actions.1.clear"),
        ({"rule": WANTED}, "rule"),
        ({"cursor": ""}, "cursor"),
    ],
)
def test_mistakes_are_named_by_their_place_in_the_request(body: dict[str, Any], field: str) -> None:
    assert [name for name, _ in told(body)] == [field]


def test_refusals_are_told() -> None:
    problem_of: Callable[..., Any] = routes.problem_of
    too_many = problem_of(TooManyRules(100))
    assert (too_many.status, too_many.slug) == (409, "too-many-rules")
    refused = problem_of(RuleRefused("condition", "price is a number", 9), within="definition.")
    assert (refused.status, refused.errors[0].field) == (422, "definition.condition")
    assert refused.errors[0].message == "price is a number (character 9)"


def test_a_loop_is_told_with_what_it_was_shown_on() -> None:
    example = Shown(
        cycle=("a", "b"), record_key=None, depth=5, entity="product", attributes={"n": Decimal("1.5")}, changed="n"
    )
    problem = routes.problem_of(FeedsItself(("a", "b"), example))
    assert (problem.status, problem.slug, problem.extra) == (
        409,
        "rule-feeds-itself",
        {"cycle": ["a", "b"], "record": None},
    )
    assert "a -> b -> a" in problem.detail
    assert '{"n": 1.5}' in problem.detail
    on_record = replace(example, record_key="k" * 1000, changed=None)
    detail = routes.problem_of(FeedsItself(("a", "b"), on_record)).detail
    assert "was created" in detail
    assert len(detail) < 500


def test_records_name_the_rules_that_have_written_them() -> None:
    record = Record(
        workspace_id="ws_1",
        entity="product",
        key="a",
        attributes={},
        version=4,
        created_at=NOW,
        updated_at=NOW,
        operation_id=None,
        marks={"rate": Mark(3, "op_3"), "brand": Mark(2, "op_2")},
    )
    assert RecordView.of(record).model_dump()["rules"] == {
        "brand": {"version": 2, "operation_id": "op_2"},
        "rate": {"version": 3, "operation_id": "op_3"},
    }
    assert RecordView.of(replace(record, marks={})).model_dump()["rules"] == {}
