"""`productsync rules`: what is sent, and what people and programs see."""

import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.unit.cli.conftest import FakeApi, Shell, make_credits, problem

FIRED = {
    "firings": 1200,
    "credits": 2400,
    "failures": 0,
    "last_fired_at": "2026-11-22T07:59:00.000Z",
    "last_failure_at": None,
    "last_failure": None,
    "fired_this_hour": 12,
}
DEFINITION = {
    "entity": "product",
    "trigger": {"on": ["created", "updated"], "attributes": ["price"]},
    "condition": "price > 10",
    "actions": [
        {"set": "price_gross", "to": {"expression": "price * 1.2", "decimals": 2}},
        {"set": "shop", "to": {"value": "main"}},
        {"set": "label", "to": {"attribute": "brand"}},
        {"set": "kind", "to": {"lookup": {"of": "brand", "table": {"Acme": "Tools"}, "default": "Other"}}},
        {"clear": "old_price"},
        {"create": {"entity": "category", "key": {"attribute": "kind"}, "attributes": {"name": {"attribute": "kind"}}}},
    ],
    "enabled": True,
    "description": "20 % tax",
    "max_firings_per_hour": None,
}


def make_rule(**changed: Any) -> dict[str, Any]:
    """A rule as the API gives it."""
    return {
        "rule_id": "gross",
        **DEFINITION,
        "version": 3,
        "state": "enabled",
        "suspended_at": None,
        "fired": FIRED,
        "created_at": "2026-11-01T08:00:00.000Z",
        "updated_at": "2026-11-20T08:00:00.000Z",
        **changed,
    }


def make_preview(**changed: Any) -> dict[str, Any]:
    """One part of a preview as the API gives it."""
    return {
        "examined": 1000,
        "matched": 400,
        "would_fire": 300,
        "would_update": 300,
        "would_create": 2,
        "unchanged": 100,
        "failed": 0,
        "credits": 602,
        "examples": [
            {
                "key": "A-1",
                "before": {"price_gross": 11, "old_price": 9},
                "after": {"price_gross": 14.4},
                "creates": [{"entity": "category", "key": "Tools", "attributes": {"name": "Tools"}}],
                "shortened": False,
            }
        ],
        "failures": [],
        "warnings": [],
        "next_cursor": None,
        **changed,
    }


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "gross.json"
    file.write_text(json.dumps(DEFINITION), encoding="utf-8")
    return file


def test_a_listing_shows_what_each_has_done(shell: Shell, api: FakeApi) -> None:
    api.on("GET", "/rules", {"items": [make_rule()], "next_cursor": "c2"})
    result = shell.run("rules", "list", "--limit", "1")
    assert re.search(
        r"gross +product +created, updated \(price\) +enabled +1,200 +2,400 +0 +2026-11-22 07", result.stdout
    )
    assert "--cursor c2" in result.stderr
    assert shell.json("rules", "list", "--limit", "1") == {"items": [make_rule()], "next_cursor": "c2"}


def test_a_rule_is_shown_in_words(shell: Shell, api: FakeApi) -> None:
    api.on("GET", "/rules/gross", make_rule())
    shown = shell.run("rules", "show", "gross").stdout
    for line in (
        r"When +product: created, updated \(price\)",
        r"If +price > 10",
        r"Then +set price_gross to price \* 1.2, to 2 decimals",
        r"Then +set shop to main",
        r"Then +set label to the attribute brand",
        r"Then +set kind to brand by a table of 1, else Other",
        r"Then +clear old_price",
        r"Then +create category the attribute kind \(name: the attribute kind\)",
        r"Fired +1,200, 12 of them this hour",
        r"Credits +2,400, for firings and their records",
    ):
        assert re.search(line, shown), line
    assert "Failed" not in shown
    assert shell.json("rules", "show", "gross") == make_rule()


def test_a_suspended_rule_says_what_lets_it_go_on(shell: Shell, api: FakeApi) -> None:
    suspended = make_rule(state="suspended", suspended_at="2026-11-22T07:59:00.000Z")
    api.on("GET", "/rules/gross", suspended)
    shown = shell.run("rules", "show", "gross").stdout
    assert "`productsync rules enable` lets it go on" in shown
    assert "2026-11-22 07:59:00Z" in shown


def test_a_rule_that_failed_says_why(shell: Shell, api: FakeApi) -> None:
    fired = FIRED | {"failures": 2, "last_failure_at": "2026-11-22T07:00:00.000Z", "last_failure": "price is a text"}
    api.on("GET", "/rules/gross", make_rule(fired=fired))
    shown = shell.run("rules", "show", "gross").stdout
    assert re.search(r"Failed on +2 records", shown)
    assert "2026-11-22 07:00:00Z: price is a text" in shown


def test_a_file_is_saved_and_its_warnings_are_told(shell: Shell, api: FakeApi, file: Path) -> None:
    api.on("PUT", "/rules/gross", make_rule(warnings=["no product has prise"]), status=201)
    result = shell.run("rules", "put", "gross", str(file))
    assert "Saved gross, version 3." in result.stdout
    assert "Warning: no product has prise" in result.stderr
    (request,) = api.sent("PUT", "/rules/gross")
    assert json.loads(request.content) == DEFINITION
    assert shell.json("rules", "put", "gross", str(file))["warnings"] == ["no product has prise"]


def test_numbers_of_a_file_are_sent_digit_for_digit(shell: Shell, api: FakeApi, tmp_path: Path) -> None:
    file = tmp_path / "exact.json"
    file.write_text('{"value": 0.10000000000000000000000000000000000001, "other": 1.10}')
    api.on("PUT", "/rules/gross", make_rule())
    shell.run("rules", "put", "gross", str(file))
    (request,) = api.sent("PUT", "/rules/gross")
    assert b"0.10000000000000000000000000000000000001" in request.content
    assert b"1.10" in request.content


@pytest.mark.parametrize(
    ("text", "told"),
    [("[1]", "not a rule definition"), ("{", "not JSON"), ('{"a": NaN}', "not JSON"), ("[" * 9000, "bad.json")],
)
def test_what_is_no_definition_is_not_sent(shell: Shell, api: FakeApi, tmp_path: Path, text: str, told: str) -> None:
    file = tmp_path / "bad.json"
    file.write_text(text)
    result = shell.run("rules", "put", "gross", str(file))
    assert result.exit_code == 2
    assert told in result.stderr
    assert api.requests == []


def test_a_mistake_is_told_with_its_place(shell: Shell, api: FakeApi, file: Path) -> None:
    told = 'price is a number and "abc" a text (character 9)'
    api.on(
        "PUT", "/rules/gross", problem(422, "Validation failed", "2 fields", [{"field": "condition", "message": told}])
    )
    result = shell.run("rules", "put", "gross", str(file))
    assert result.exit_code == 1
    assert f"condition: {told}" in result.stderr


def test_a_dry_run_saves_nothing_and_tells_what_it_would_cost(shell: Shell, api: FakeApi, file: Path) -> None:
    api.on("POST", "/rules/gross/preview", make_preview(warnings=["no product has prise"]))
    api.on("GET", "/credits", make_credits())
    result = shell.run("rules", "put", "gross", str(file), "--dry-run")
    assert re.search(r"Examined +1,000", result.stdout)
    assert re.search(r"Condition holds +400", result.stdout)
    assert re.search(r"Would fire +300", result.stdout)
    assert re.search(r"price_gross +11 +14\.4", result.stdout)
    assert re.search(r"old_price +9 +-", result.stdout)
    assert "creates category Tools (name: Tools)" in result.stdout
    assert "Would cost 602 credits of 4,939 available." in result.stdout
    assert "Warning: no product has prise" in result.stderr
    (request,) = api.sent("POST", "/rules/gross/preview")
    assert json.loads(request.content) == {"definition": DEFINITION}
    assert api.sent("PUT", "/rules/gross") == []


def test_a_preview_goes_on_to_the_last_record_and_is_added_up(shell: Shell, api: FakeApi) -> None:
    example = make_preview()["examples"][0]
    parts = [
        make_preview(next_cursor="c2", failures=[{"key": "A-9", "reason": "price is a text"}], failed=1),
        make_preview(examples=[example | {"key": f"B-{n}"} for n in range(3)]),
    ]
    api.on("POST", "/rules/gross/preview", *parts)
    api.on("GET", "/credits", make_credits())
    result = shell.run("rules", "preview", "gross")
    assert re.search(r"Examined +2,000", result.stdout)
    assert re.search(r"Would fail +1", result.stdout)
    assert re.search(r"A-9 +price is a text", result.stdout)
    assert "Would cost at most 1,204 credits" in result.stdout
    bodies = [json.loads(request.content) for request in api.sent("POST", "/rules/gross/preview")]
    assert bodies == [{}, {"cursor": "c2"}]


def test_programs_get_a_preview_as_one_document(shell: Shell, api: FakeApi) -> None:
    api.on("POST", "/rules/gross/preview", make_preview(next_cursor="c2"), make_preview())
    whole = shell.json("rules", "preview", "gross")
    assert (whole["examined"], whole["credits"], whole["next_cursor"]) == (2000, 1204, None)
    assert len(whole["examples"]) == 2


def test_a_rule_that_feeds_itself_is_told_in_a_dry_run_too(shell: Shell, api: FakeApi, file: Path) -> None:
    api.on("POST", "/rules/gross/preview", problem(409, "Rule feeds itself", "It would feed itself: a -> gross -> a."))
    result = shell.run("rules", "put", "gross", str(file), "--dry-run")
    assert result.exit_code == 1
    assert "a -> gross -> a" in result.stderr


@pytest.mark.parametrize(("command", "before"), [("enable", False), ("disable", True)])
def test_switching_changes_nothing_else(shell: Shell, api: FakeApi, command: str, before: bool) -> None:
    api.on("GET", "/rules/gross", make_rule(enabled=before))
    api.on("PUT", "/rules/gross", make_rule(enabled=not before, warnings=[]))
    assert f"gross is {command}d." in shell.run("rules", command, "gross").stdout
    (request,) = api.sent("PUT", "/rules/gross")
    assert json.loads(request.content) == DEFINITION | {"enabled": not before}


@pytest.mark.parametrize(("command", "enabled"), [("enable", True), ("disable", False)])
def test_switching_what_is_so_already_is_not_sent(shell: Shell, api: FakeApi, command: str, enabled: bool) -> None:
    known = make_rule(enabled=enabled)
    api.on("GET", "/rules/gross", known)
    assert shell.json("rules", command, "gross") == known
    assert api.sent("PUT", "/rules/gross") == []


def test_enabling_lifts_a_suspension(shell: Shell, api: FakeApi) -> None:
    api.on("GET", "/rules/gross", make_rule(state="suspended", suspended_at="2026-11-22T07:59:00.000Z"))
    api.on("PUT", "/rules/gross", make_rule(state="paused", warnings=[]))
    shown = shell.run("rules", "enable", "gross").stdout
    assert "gross is enabled, and fires when there are credits again." in shown
    assert len(api.sent("PUT", "/rules/gross")) == 1


def test_a_rule_is_deleted(shell: Shell, api: FakeApi) -> None:
    api.on("DELETE", "/rules/gross", httpx.Response(204))
    assert "Deleted gross." in shell.run("rules", "delete", "gross").stdout
    assert shell.json("rules", "delete", "gross") == {}


def test_an_unknown_rule_is_a_problem(shell: Shell) -> None:
    for command in ("show", "preview", "enable", "disable", "delete"):
        assert shell.run("rules", command, "gross").exit_code == 1
