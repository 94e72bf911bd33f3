"""How outcomes and errors become HTTP."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path

import pytest

from functions.api import problems
from functions.api.problems import FieldError, Problem
from shared.credits import OperationIdReused, OutOfCredits, Stale, UnknownWorkspace
from shared.pace import RUN_START_WEIGHT, TooFast


@pytest.mark.parametrize(
    ("outcome", "status", "slug"),
    [
        (OutOfCredits(needed=1, available=0, owed=1000), 402, "out-of-credits"),
        (OperationIdReused("op_1"), 409, "idempotency-key-reused"),
        (UnknownWorkspace("ws_1"), 404, "not-found"),
        (Stale(cursor_moved=True, writes={}), 409, "stale"),
    ],
)
def test_every_outcome_has_its_status(
    outcome: OutOfCredits | OperationIdReused | UnknownWorkspace | Stale, status: int, slug: str
) -> None:
    problem = problems.of_outcome(outcome)
    assert (problem.status, problem.slug) == (status, slug)


def test_out_of_credits_says_what_was_needed_and_what_is_there() -> None:
    response = problems.render(problems.out_of_credits(OutOfCredits(needed=1, available=0, owed=1000)), "r-1")
    assert response.status_code == 402
    assert response.headers["Content-Type"] == "application/problem+json"
    assert json.loads(response.body or "") == {
        "type": "/problems/out-of-credits",
        "title": "Out of credits",
        "status": 402,
        "detail": "This needs 1 credit and 0 are available; 1000 are owed already. Top up to go on.",
        "request_id": "r-1",
        "needed": 1,
        "available": 0,
        "owed": 1000,
    }


def test_an_outage_says_when_to_come_back() -> None:
    response = problems.render(problems.unavailable(), "r-1")
    assert response.status_code == 503
    assert response.headers["Retry-After"] == "2"


def test_what_passes_by_itself_says_when_to_come_back() -> None:
    for problem in (problems.of_outcome(Stale(cursor_moved=True, writes={})), problems.request_in_progress()):
        assert int(problem.headers["Retry-After"]) >= 1, problem.slug
    assert "Retry-After" not in problems.of_outcome(OperationIdReused("op_1")).headers


def test_whoever_is_too_fast_is_told_what_counts_and_until_when() -> None:
    outcome = TooFast(3600, "hour", datetime(2026, 11, 22, 9, tzinfo=UTC))
    problem = problems.out_of_pace(outcome, 17)
    assert problem.headers["Retry-After"] == "17"
    assert "3,600 calls" in problem.detail
    assert f"a run counts as {RUN_START_WEIGHT}." in problem.detail
    assert "2026-11-22T09:00:00.000Z" in problem.detail


def test_the_schedules_that_use_something_are_named_as_far_as_they_can_be() -> None:
    names = [f"s{number}" for number in range(12)]
    assert problems.feed_in_use(names[:1]).detail == "Schedules pull it: s0. Delete them first."
    assert "s8, s9. Delete" in problems.rule_in_use(names[:10]).detail
    assert "s8, s9 and 2 more. Delete" in problems.rule_in_use(names).detail


@pytest.mark.parametrize(
    ("error", "field", "message"),
    [
        (
            {"type": "missing", "loc": ("body", "entities", 0, "key"), "msg": "Field required"},
            "entities.0.key",
            "Field required",
        ),
        ({"type": "missing", "loc": ("body",), "msg": "Field required"}, "body", "Field required"),
        ({"type": "value_error", "loc": ("query", "from"), "msg": "Value error, no time"}, "from", "no time"),
        (
            {"type": "string_type", "loc": ("body", "entities", 0, "key", "<list>", 1), "msg": "no text"},
            "entities.0.key.1",
            "no text",
        ),
        (
            {"type": "definition", "loc": ("body",), "msg": "x", "ctx": {"field": "format.type", "message": "say it"}},
            "format.type",
            "say it",
        ),
    ],
)
def test_validation_names_the_field_as_the_request_spells_it(
    error: dict[str, object], field: str, message: str
) -> None:
    assert problems.of_validation([error]).errors == (FieldError(field, message),)


def test_every_kind_of_problem_has_a_title_and_is_documented(project: Path) -> None:
    source = (project / "functions" / "api").rglob("*.py")
    named = {
        slug
        for path in source
        for slug in re.findall(r'(?:HTTPStatus\.\w+,\s+|conflict\(\s*)"([a-z-]+)"', path.read_text(encoding="utf-8"))
    }
    assert named == set(problems.TITLES)
    documented = (project / "docs" / "api.md").read_text(encoding="utf-8")
    assert [slug for slug in problems.TITLES if f"`{slug}`" not in documented] == []


def test_a_problem_without_errors_has_no_list_of_them() -> None:
    response = problems.render(Problem(HTTPStatus.NOT_FOUND, "not-found", "gone"), "r-1")
    assert "errors" not in json.loads(response.body or "")
