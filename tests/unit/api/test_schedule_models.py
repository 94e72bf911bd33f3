"""What the API takes and answers of schedules."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest
import simplejson
from pydantic import ValidationError

from functions.api.answers import as_json
from functions.api.models.schedules import ScheduleRequest, ScheduleSummaryView, ScheduleView
from functions.api.problems import of_validation
from shared.credits import PriceList
from shared.schedules.cron import BadExpression
from shared.schedules.history import DayTally
from shared.schedules.model import Schedule, ScheduleDefinition

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
WANTED = {"feed_id": "supplier", "expression": "rate(15 minutes)"}


def schedule(**changed: Any) -> Schedule:
    wanted: dict[str, Any] = {
        "feed_id": "supplier",
        "expression": "rate(15 minutes)",
        "time_zone": "Europe/Berlin",
        "enabled": True,
        "description": "",
    }
    return Schedule(
        workspace_id="ws_1",
        schedule_id="often",
        definition=ScheduleDefinition(**(wanted | changed)),
        version=3,
        created_at=datetime(2026, 11, 20, 12, tzinfo=UTC),
        updated_at=datetime(2026, 11, 21, 12, tzinfo=UTC),
    )


def told(wanted: dict[str, Any]) -> list[str]:
    """The problem that a request is answered with."""
    with pytest.raises(ValidationError) as caught:
        ScheduleRequest.model_validate(wanted)
    problem = of_validation([{**error, "loc": ("body", *error["loc"])} for error in caught.value.errors()])
    return [f"{error.field}: {error.message}" for error in problem.errors]


def test_what_is_left_out_is_utc_and_enabled() -> None:
    definition = ScheduleRequest.model_validate(WANTED).definition(NOW)
    assert definition == ScheduleDefinition(
        feed_id="supplier", expression="rate(15 minutes)", time_zone="UTC", enabled=True, description=""
    )


def test_every_field_that_is_wrong_is_named() -> None:
    errors = told({"feed_id": "f", "expression": "rate(1 minutes)", "time_zone": "Europe/Berln", "enabled": "yes"})
    assert errors[0] == "expression: rate: write rate(1 minute)"
    assert errors[1] == "time_zone: there is no time zone 'Europe/Berln'; did you mean Europe/Berlin?"
    assert errors[2].startswith("enabled: ")


@pytest.mark.parametrize(
    "wrong",
    [
        {"expression": "x" * 257},
        {"expression": None},
        {"expression": ["rate(1 day)"]},
        {"time_zone": "x" * 51},
        {"description": "x" * 513},
        {"feed_id": "x" * 101},
        {"feed_id": None, "rule_id": "x" * 101},
        {"rules": []},
    ],
)
def test_what_no_schedule_can_hold_is_refused(wrong: dict[str, Any]) -> None:
    assert len(told(WANTED | wrong)) == 1


def test_a_rule_stands_in_the_place_of_a_feed() -> None:
    wanted = {"rule_id": "sale", "feed_id": None, "expression": "rate(1 day)"}
    definition = ScheduleRequest.model_validate(wanted).definition(NOW)
    assert (definition.feed_id, definition.rule_id) == (None, "sale")
    view = ScheduleSummaryView.of(schedule(feed_id=None, rule_id="sale"), paused=False, now=NOW)
    assert (view.feed_id, view.rule_id) == (None, "sale")
    assert ScheduleSummaryView.of(schedule(), paused=False, now=NOW).rule_id is None


def test_a_schedule_names_one_thing_to_do() -> None:
    (nothing,) = told({"expression": "rate(1 day)"})
    assert nothing == "body: name the feed that is pulled (feed_id), or the rule that is run (rule_id)"
    (both,) = told(WANTED | {"rule_id": "sale"})
    assert both == "body: a schedule pulls a feed (feed_id) or runs a rule (rule_id): name one of the two"


def test_what_would_never_fire_is_refused_though_it_is_switched_off() -> None:
    request = ScheduleRequest.model_validate(WANTED | {"expression": "cron(0 0 31 2 ? *)", "enabled": False})
    with pytest.raises(BadExpression, match="never fires"):
        request.definition(NOW)


def test_a_time_that_is_past_may_be_switched_off_and_not_on() -> None:
    past = WANTED | {"expression": "at(2026-11-01T08:00:00)"}
    with pytest.raises(BadExpression, match="is past"):
        ScheduleRequest.model_validate(past).definition(NOW)
    assert not ScheduleRequest.model_validate(past | {"enabled": False}).definition(NOW).enabled


@pytest.mark.parametrize(
    ("enabled", "paused", "state", "firings"),
    [
        (True, False, "enabled", 5),
        (True, True, "paused", 5),
        (False, False, "disabled", 0),
        (False, True, "disabled", 0),
    ],
)
def test_what_is_wanted_and_what_comes_of_it_are_two_things(
    enabled: bool, paused: bool, state: str, firings: int
) -> None:
    view = ScheduleSummaryView.of(schedule(enabled=enabled), paused=paused, now=NOW)
    assert (view.enabled, view.state, len(view.next_firings)) == (enabled, state, firings)


def test_a_schedule_answers_15_minutes_or_daily() -> None:
    days = [
        DayTally(day=date(2026, 11, 20), started=10, trigger_credits=10, runs=10, last_run_id="run_1"),
        DayTally(
            day=date(2026, 11, 21), started=90, skipped=6, trigger_credits=96, runs=90, updated=118, record_credits=118
        ),
    ]
    view = ScheduleView.with_costs(schedule(), days, PriceList(), paused=False, now=NOW)
    answer = simplejson.loads(as_json(view))
    assert answer["next_firings"][0] == "2026-11-22T12:15:00.000Z"
    assert (answer["last_run_id"], answer["runs_per_day"]) == ("run_1", "96")
    assert (answer["cost"]["credits"], answer["cost"]["trigger_credits"], answer["cost"]["skipped"]) == (224, 106, 6)
    assert (answer["cost"]["days"], answer["cost"]["since"]) == (30, "2026-10-24T00:00:00.000Z")
    assert answer["expected"] == {
        "runs_per_day": "96",
        "per_day": {"triggers": "96", "records": "59", "total": "155"},
        "per_month": {"triggers": "2880", "records": "1770", "total": "4650"},
    }
    totals = {each["expression"]: each["per_month"]["total"] for each in answer["frequencies"]}
    assert totals == {"rate(15 minutes)": "4650", "rate(1 hour)": "2490", "rate(1 day)": "1800"}


def test_a_new_schedule_knows_its_triggers_and_not_its_records() -> None:
    view = ScheduleView.with_costs(schedule(), [], PriceList(), paused=False, now=NOW)
    assert (view.cost.credits, view.last_run_id) == (0, None)
    assert view.expected.per_month.model_dump() == {"triggers": "2880", "records": None, "total": None}
