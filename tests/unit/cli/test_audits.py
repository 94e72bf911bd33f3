"""`productsync audit`: asking, waiting, and what is told of what was found."""

import re
from typing import Any

import pytest

from tests.unit.cli.conftest import FakeApi, Shell

DIFFERENCES = [
    {"rule": "consumed", "expected": "800", "found": "795", "where": "the account"},
    {"rule": "a record names its operation", "expected": "op_1", "found": "nothing", "where": "product \x1b[2Ja"},
]


def make_audit(state: str = "finished", **changed: Any) -> dict[str, Any]:
    """An audit as the API gives it."""
    is_over = state == "finished"
    return {
        "audit_id": "audit_1",
        "state": state,
        "requested_at": "2026-11-22T08:00:00.000Z",
        "finished_at": "2026-11-22T08:00:04.000Z" if is_over else None,
        "progress": 1.0 if is_over else 0.5,
        "operations": 1234,
        "traced": 38,
        "records": 750,
        "exact": True if is_over else None,
        "repaired": 0,
        "balanced": True if is_over else None,
        "difference_count": 0,
        "differences": [],
        "failure": None,
        **changed,
    }


def wrong(**changed: Any) -> dict[str, Any]:
    return make_audit(balanced=False, difference_count=25, differences=DIFFERENCES, exact=False, **changed)


def serve(api: FakeApi, *looks: dict[str, Any]) -> None:
    api.on("POST", "/audits", make_audit("running", progress=0), status=202)
    api.on("GET", "/audits/audit_1", *looks)


def test_books_that_balance(shell: Shell, api: FakeApi) -> None:
    serve(api, make_audit("running"), make_audit())
    result = shell.run("audit")
    assert result.exit_code == 0, result.output
    assert "The books balance." in result.stdout
    assert re.search(r"Operations recounted +1,234", result.stdout)
    assert re.search(r"Compared +to the credit", result.stdout)
    assert "Recounting the books: 1,234 operations, no differences" in result.stderr
    assert len(api.sent("GET", "/audits/audit_1")) == 2


def test_a_difference_is_named_and_is_no_success(shell: Shell, api: FakeApi) -> None:
    serve(api, wrong(repaired=3))
    result = shell.run("audit", columns=100)
    assert result.exit_code == 1
    assert "The books do not balance: 25 differences." in result.stdout
    assert "The first: consumed: 800 expected, 795 found (the account)." in result.stdout
    assert "a record names its operation" in result.stdout
    assert "And 23 more." in result.stdout
    assert re.search(r"Repaired +3 entries", result.stdout)
    assert "it moved all the while" in " ".join(result.stdout.split())
    assert "\x1b" not in result.stdout


def test_json_is_the_audit_and_the_exit_code_is_the_same(shell: Shell, api: FakeApi) -> None:
    serve(api, wrong())
    assert shell.json("audit", exit_code=1) == wrong()


def test_an_audit_that_could_not_be_made_says_nothing_of_the_books(shell: Shell, api: FakeApi) -> None:
    serve(api, make_audit("failed", failure="the log cannot be read"))
    result = shell.run("audit")
    assert result.exit_code == 1
    assert "audit_1 failed: the log cannot be read" in result.stderr
    assert "balance" not in result.stdout


def test_nobody_has_to_wait(shell: Shell, api: FakeApi) -> None:
    serve(api)
    assert "productsync audit show audit_1 --wait" in shell.run("audit", "--no-wait").stdout
    assert shell.json("audit", "--no-wait")["state"] == "running"
    assert {one.method for one in api.requests} == {"POST"}


@pytest.mark.parametrize(("found", "code"), [(make_audit(), 0), (wrong(), 1)], ids=["balanced", "wrong"])
def test_an_audit_is_shown_and_waited_for(shell: Shell, api: FakeApi, found: dict[str, Any], code: int) -> None:
    api.on("GET", "/audits/audit_1", make_audit("running"))
    shown = shell.run("audit", "show", "audit_1")
    assert shown.exit_code == 0
    assert re.search(r"Progress +50%", shown.stdout)
    api.on("GET", "/audits/audit_1", make_audit("running"), found)
    assert shell.run("audit", "show", "audit_1", "--wait").exit_code == code


def test_audits_are_listed(shell: Shell, api: FakeApi) -> None:
    listed = [make_audit("running", audit_id="audit_3"), wrong(audit_id="audit_2"), make_audit()]
    api.on("GET", "/audits", {"items": listed, "next_cursor": "more"})
    result = shell.run("audit", "list", "--limit", "3")
    assert re.search(r"running +- +1,234 +0 +audit_3", result.stdout)
    assert re.search(r"finished +do not balance +1,234 +25 +audit_2", result.stdout)
    assert re.search(r"finished +balance +1,234 +0 +audit_1", result.stdout)
    assert "--cursor more" in result.stderr
