"""`productsync schedules`: what is sent, and what people and programs see."""

import json
import re
from typing import Any

import httpx
import pytest

from tests.unit.cli.conftest import FakeApi, Shell, problem


def credits_of(triggers: str, records: str | None, total: str | None) -> dict[str, str | None]:
    return {"triggers": triggers, "records": records, "total": total}


def frequency(expression: str, runs: str, total: str, month: str) -> dict[str, Any]:
    return {
        "expression": expression,
        "runs_per_day": runs,
        "per_day": credits_of(runs, "59.5", total),
        "per_month": credits_of("1", "2", month),
    }


def make_schedule(**changed: Any) -> dict[str, Any]:
    """A schedule as the API gives it."""
    return {
        "schedule_id": "nightly",
        "feed_id": "supplier",
        "rule_id": None,
        "expression": "cron(0 6 * * ? *)",
        "time_zone": "Europe/Berlin",
        "enabled": True,
        "description": "before the shop opens",
        "version": 3,
        "state": "enabled",
        "next_firings": ["2026-11-23T05:00:00.000Z", "2026-11-24T05:00:00.000Z"],
        "runs_per_day": "1",
        "created_at": "2026-11-01T08:00:00.000Z",
        "updated_at": "2026-11-20T08:00:00.000Z",
        "last_run_id": "run_9",
        "cost": {
            "days": 30,
            "since": "2026-10-24T00:00:00.000Z",
            "credits": 1215,
            "trigger_credits": 25,
            "record_credits": 1190,
            "started": 20,
            "skipped": 5,
            "refused": 2,
            "runs": 20,
            "created": 1000,
            "updated": 190,
            "unchanged": 7,
        },
        "expected": frequency("", "1", "60.5", "1815"),
        "frequencies": [
            frequency("rate(15 minutes)", "96", "155.5", "4665"),
            frequency("rate(1 hour)", "24", "83.5", "2505"),
            frequency("rate(1 day)", "1", "60.5", "1815"),
        ],
        **changed,
    }


SUMMARY = {
    name: value
    for name, value in make_schedule().items()
    if name not in ("last_run_id", "cost", "expected", "frequencies")
}


def sent(api: FakeApi) -> dict[str, Any]:
    """The body of the one schedule that was put."""
    (request,) = api.sent("PUT", "/schedules/nightly")
    return dict(json.loads(request.content))


def test_a_listing_shows_when_each_fires_next(shell: Shell, api: FakeApi) -> None:
    api.on("GET", "/schedules", {"items": [SUMMARY], "next_cursor": "c2"})
    result = shell.run("schedules", "list", "--limit", "1")
    assert re.search(
        r"nightly +supplier +cron\(0 6 \* \* \? \*\) +Europe/Berlin +enabled +1 +2026-11-23 05:00:00Z", result.stdout
    )
    assert "--cursor c2" in result.stderr
    assert shell.json("schedules", "list", "--limit", "1") == {"items": [SUMMARY], "next_cursor": "c2"}


def test_a_schedule_shows_its_costs_and_what_other_frequencies_would_cost(shell: Shell, api: FakeApi) -> None:
    api.on("GET", "/schedules/nightly", make_schedule())
    result = shell.run("schedules", "show", "nightly")
    assert "1,215 credits: 25 for triggers + 1,190 for records" in result.stdout
    assert "20 started, 5 skipped, 2 refused" in result.stdout
    assert "2026-11-24 05:00:00Z" in result.stdout
    assert re.search(r"cron\(0 6 \* \* \? \*\) \(this one\) +1 +1 +59\.5 +60\.5 +1,815", result.stdout)
    assert re.search(r"rate\(15 minutes\) +96 +96 +59\.5 +155\.5 +4,665", result.stdout)
    assert shell.json("schedules", "show", "nightly") == make_schedule()


def test_without_a_history_the_records_are_unknown_and_the_triggers_are_not(shell: Shell, api: FakeApi) -> None:
    unknown = {
        "runs_per_day": "96",
        "per_day": credits_of("96", None, None),
        "per_month": credits_of("2880", None, None),
    }
    api.on("GET", "/schedules/nightly", make_schedule(expected=unknown, frequencies=[]))
    result = shell.run("schedules", "show", "nightly")
    assert re.search(r"\(this one\) +96 +96 +- +96 \+ records +2,880 \+ records", result.stdout)
    assert "no history yet" in result.stdout


def test_a_paused_schedule_says_what_it_waits_for(shell: Shell, api: FakeApi) -> None:
    api.on("GET", "/schedules/nightly", make_schedule(state="paused"))
    assert (
        "paused: out of credits; it goes on by itself after a top-up"
        in shell.run("schedules", "show", "nightly").stdout
    )


def test_a_new_schedule_is_sent_as_it_was_given(shell: Shell, api: FakeApi) -> None:
    api.on("PUT", "/schedules/nightly", make_schedule(), status=201)
    answer = shell.json(
        "schedules", "set", "nightly", "--feed-id", "supplier", "--expression", "rate(1 day)", "--disabled"
    )
    assert answer == make_schedule()
    assert sent(api) == {"feed_id": "supplier", "expression": "rate(1 day)", "enabled": False}


def test_what_is_left_out_stays_as_it_is(shell: Shell, api: FakeApi) -> None:
    api.on("GET", "/schedules/nightly", make_schedule())
    api.on("PUT", "/schedules/nightly", make_schedule())
    assert shell.run("schedules", "set", "nightly", "--expression", "rate(1 hour)").exit_code == 0
    assert sent(api) == {
        "feed_id": "supplier",
        "expression": "rate(1 hour)",
        "time_zone": "Europe/Berlin",
        "enabled": True,
        "description": "before the shop opens",
    }


@pytest.mark.parametrize(
    "given",
    [["--feed-id", "supplier"], ["--rule-id", "sale"], ["--expression", "rate(1 day)"]],
    ids=["a feed", "a rule", "an expression"],
)
def test_a_new_schedule_needs_something_to_do_and_an_expression(shell: Shell, api: FakeApi, given: list[str]) -> None:
    result = shell.run("schedules", "set", "nightly", *given)
    assert result.exit_code == 2
    assert api.sent("PUT", "/schedules/nightly") == []


def test_a_schedule_of_a_rule_is_sent_and_shown_as_one(shell: Shell, api: FakeApi) -> None:
    of_rule = make_schedule(feed_id=None, rule_id="sale")
    api.on("PUT", "/schedules/nightly", of_rule, status=201)
    result = shell.run("schedules", "set", "nightly", "--rule-id", "sale", "--expression", "rate(1 day)")
    assert sent(api) == {"rule_id": "sale", "expression": "rate(1 day)"}
    assert re.search(r"Rule +sale\n", result.stdout)
    assert "Feed" not in result.stdout
    api.on("GET", "/schedules", {"items": [SUMMARY | {"feed_id": None, "rule_id": "sale"}], "next_cursor": None})
    assert re.search(r"nightly +rule sale +cron", shell.run("schedules", "list").stdout)


@pytest.mark.parametrize(
    ("before", "option", "after"),
    [
        ({}, ["--rule-id", "sale"], {"rule_id": "sale"}),
        ({"feed_id": None, "rule_id": "sale"}, ["--feed-id", "f"], {"feed_id": "f"}),
    ],
)
def test_a_rule_takes_the_place_of_a_feed_and_a_feed_that_of_a_rule(
    shell: Shell, api: FakeApi, before: dict[str, Any], option: list[str], after: dict[str, str]
) -> None:
    api.on("GET", "/schedules/nightly", make_schedule(**before))
    api.on("PUT", "/schedules/nightly", make_schedule())
    assert shell.run("schedules", "set", "nightly", *option).exit_code == 0
    assert {name: value for name, value in sent(api).items() if name in ("feed_id", "rule_id")} == after


def test_a_feed_and_a_rule_at_once_are_refused(shell: Shell, api: FakeApi) -> None:
    result = shell.run("schedules", "set", "nightly", "--feed-id", "f", "--rule-id", "sale")
    assert result.exit_code == 2
    assert "not both" in result.stderr
    assert api.sent("GET", "/schedules/nightly") == []


def test_a_bad_expression_is_told_as_the_api_told_it(shell: Shell, api: FakeApi) -> None:
    told = "rate: write rate(1 minute)"
    refused = problem(422, "Validation failed", f"expression: {told}", [{"field": "expression", "message": told}])
    api.on("PUT", "/schedules/nightly", refused)
    result = shell.run("schedules", "set", "nightly", "--feed-id", "f", "--expression", "rate(1 minutes)")
    assert result.exit_code == 1
    assert told in result.stderr


@pytest.mark.parametrize(("command", "before"), [("enable", False), ("disable", True)])
def test_switching_changes_nothing_else(shell: Shell, api: FakeApi, command: str, before: bool) -> None:
    api.on("GET", "/schedules/nightly", make_schedule(enabled=before))
    api.on("PUT", "/schedules/nightly", make_schedule(enabled=not before))
    result = shell.run("schedules", command, "nightly")
    assert f"nightly is {command}d" in result.stdout
    assert sent(api) == {
        "feed_id": "supplier",
        "expression": "cron(0 6 * * ? *)",
        "time_zone": "Europe/Berlin",
        "enabled": not before,
        "description": "before the shop opens",
    }


@pytest.mark.parametrize(("command", "enabled"), [("enable", True), ("disable", False)])
def test_switching_what_is_so_already_is_not_sent(shell: Shell, api: FakeApi, command: str, enabled: bool) -> None:
    known = make_schedule(enabled=enabled)
    api.on("GET", "/schedules/nightly", known)
    assert shell.json("schedules", command, "nightly") == known
    assert api.sent("PUT", "/schedules/nightly") == []


def test_enabling_while_credits_are_out_says_so(shell: Shell, api: FakeApi) -> None:
    api.on("GET", "/schedules/nightly", make_schedule(enabled=True, state="paused"))
    assert "fires when there are credits again" in shell.run("schedules", "enable", "nightly").stdout


def test_a_schedule_is_deleted(shell: Shell, api: FakeApi) -> None:
    api.on("DELETE", "/schedules/nightly", httpx.Response(204))
    assert "Deleted nightly." in shell.run("schedules", "delete", "nightly").stdout
    assert shell.json("schedules", "delete", "nightly") == {}


def test_an_unknown_schedule_is_a_problem(shell: Shell) -> None:
    assert shell.run("schedules", "show", "nightly").exit_code == 1
    assert shell.run("schedules", "enable", "nightly").exit_code == 1
