"""The other commands: what they print, for people and for programs, and how they fail."""

import json
import re
import stat
from pathlib import Path
from typing import Any

import httpx
import pytest

from productsync.commands import session
from productsync.operation_reports import NOUNS
from productsync.settings import Options, connect
from productsync.stack.state import StackState
from shared.credits import Action
from tests.unit.cli.conftest import FakeApi, Shell, make_credits, make_run, problem

PAGE: dict[str, Any] = {"items": [], "next_cursor": None}
WORKSPACE = {
    "workspace_id": "ws_1",
    "name": "Books",
    "created_at": "2026-11-22T08:00:00.000Z",
    "api_key": {"key_id": "key_1", "secret": "psk_new", "scopes": ["read", "write"]},
    "credits": {"available": 5000},
}
TOP_UP = {
    "grant_id": "gr_2",
    "workspace_id": "ws_1",
    "kind": "paid",
    "credits": 100,
    "unit_price": "0.01",
    "currency": "EUR",
    "reference": "inv-1",
    "priority": 20,
    "granted_at": "2026-11-22T08:00:00.000Z",
    "expires_at": None,
    "settled": 0,
}
OPERATION = {
    "operation_id": "op_1",
    "at": "2026-11-22T08:00:01.000Z",
    "kind": "import",
    "channel": "import",
    "job_id": "products-shopify",
    "run_id": "run_1",
    "credits": 97,
    "owed": 0,
    "actions": {"record_created": 60, "record_updated": 37},
    "drawn": [{"grant_id": "gr_1", "credits": 97, "unit_price": "0.01", "currency": "EUR"}],
    "withdrawn": [],
    "cost": [{"currency": "EUR", "amount": "0.97"}],
    "description": "records 1 to 97",
    "refused": None,
    "actor": "key_1",
    "records": {"product": {"created": 60, "updated": 0, "unchanged": 3, "deleted": 0, "credits": 60}},
}
RECORD = '{"entity":"product","key":"a/b","attributes":{"price":1.10,"big":12345678901234567890.123456789},"version":2,\
"created_at":"2026-11-22T08:00:00.000Z","updated_at":"2026-11-22T08:00:00.000Z","operation_id":"op_1"}'


@pytest.mark.parametrize("arguments", [["--json", "credits"], ["credits", "--json"]], ids=["before", "after"])
def test_json_is_taken_before_and_after_the_command(shell: Shell, api: FakeApi, arguments: list[str]) -> None:
    api.on("GET", "/credits", make_credits())
    result = shell.run(*arguments)
    assert json.loads(result.stdout) == make_credits()
    assert result.stderr == ""


def test_a_balance_shows_its_grants(shell: Shell, api: FakeApi) -> None:
    api.on("GET", "/credits", make_credits())
    result = shell.run("credits")
    assert "4,939 credits (active)" in result.stdout
    assert re.search(r"free +4,939 +5,000 +0 EUR +never +starter", result.stdout)


def test_an_empty_balance_shows_what_waits(shell: Shell, api: FakeApi) -> None:
    api.on("GET", "/credits", make_credits(available=0))
    result = shell.run("credits")
    assert "0 credits (paused)" in result.stdout
    assert "out of credits, since 2026-11-22 08:00:02Z" in result.stdout
    assert "schedules: 2, runs: 1" in result.stdout


def test_what_was_refused_is_shown_as_that(shell: Shell, api: FakeApi) -> None:
    refused = {**OPERATION, "kind": "scheduled_job", "job_id": "stock", "credits": 0, "actions": {}, "drawn": []}
    refused |= {"cost": [], "refused": "out_of_credits", "operation_id": "op_2"}
    api.on("GET", "/operations", {"items": [refused], "next_cursor": None})
    result = shell.run("operations", "--schedule-id", "stock")
    assert "refused: out of credits" in result.stdout
    assert api.requests[0].url.params["job_id"] == "stock"
    api.on("GET", "/operations/op_2", refused)
    assert re.search(r"Refused +out of credits", shell.run("operations", "show", "op_2").stdout)


@pytest.mark.parametrize("columns", [40, 50, 80, 200])
def test_a_narrow_terminal_says_what_it_leaves_out(shell: Shell, api: FakeApi, columns: int) -> None:
    api.on("GET", "/operations", {"items": [OPERATION], "next_cursor": None})
    result = shell.run("operations", columns=columns)
    table = [line for line in result.stdout.splitlines() if not line.startswith("(")]
    assert max(len(line) for line in table) <= columns
    assert re.search(r"\b97\b", result.stdout)
    assert ("(A wider terminal, or `| less -S`, also shows: " in result.stdout) == (columns < 200)


def test_without_a_terminal_the_output_is_plain(shell: Shell, api: FakeApi) -> None:
    api.on("GET", "/operations", {"items": [OPERATION], "next_cursor": "more"})
    result = shell.run("operations", "--limit", "1")
    assert "\x1b" not in result.output
    header, row = result.stdout.splitlines()
    assert header.split() == ["At", "Kind", "Job", "Credits", "Actions", "Money", "What", "Run", "Operation"]
    assert "60 records created, 37 records updated" in row
    assert "0.97 EUR" in row
    assert "--cursor more" in result.stderr


def test_a_feed_without_runs_is_named_and_one_with_more_says_how_to_go_on(shell: Shell, api: FakeApi) -> None:
    api.on("GET", "/feeds/stock/runs", PAGE)
    assert shell.run("runs", "list", "--feed-id", "stock").stdout.strip() == "No runs of stock."
    api.on("GET", "/feeds/stock/runs", {"items": [make_run()], "next_cursor": "abc"})
    assert "There are more: --cursor abc" in shell.run("runs", "list", "--feed-id", "stock", "--limit", "1").stderr


def test_filters_of_the_operation_log_are_sent(shell: Shell, api: FakeApi) -> None:
    api.on("GET", "/operations", PAGE)
    shell.json(
        "operations", "--run-id", "r", "--kind", "import", "--from", "2026-11-22", "--to", "2026-11-22T10:00+01:00"
    )
    query = dict(api.requests[0].url.params)
    assert query == {
        "run_id": "r",
        "kind": "import",
        "from": "2026-11-22T00:00:00.000Z",
        "to": "2026-11-22T09:00:00.000Z",
        "limit": "20",
    }


def test_the_log_is_asked_who_did_what_and_with_which_outcome(shell: Shell, api: FakeApi) -> None:
    api.on("GET", "/operations", PAGE)
    shell.json(
        "operations", "--actor", "key_1", "--outcome", "refused", "--since", "2026-11-22", "--until", "2026-11-23"
    )
    query = dict(api.requests[0].url.params)
    assert query == {
        "actor": "key_1",
        "outcome": "refused",
        "from": "2026-11-22T00:00:00.000Z",
        "to": "2026-11-23T00:00:00.000Z",
        "limit": "20",
    }
    assert shell.run("operations", "--outcome", "dear").exit_code == 2


def test_an_operation_shows_who_did_it_and_what_became_of_records(shell: Shell, api: FakeApi) -> None:
    api.on("GET", "/operations/op_1", OPERATION)
    told = shell.run("operations", "show", "op_1").stdout
    assert re.search(r"Actor +key_1", told)
    assert re.search(r"Of product +60 created, 3 unchanged", told)


def test_an_operation_leads_to_its_records(shell: Shell, api: FakeApi) -> None:
    rows = [
        {"entity": "product", "key": "a", "current": True},
        {"entity": "product", "key": "b", "current": False},
        {"entity": "category", "key": "Tools", "current": None},
    ]
    api.on("GET", "/operations/op_1/records", {"items": rows, "next_cursor": "more"})
    result = shell.run("operations", "records", "op_1", "--limit", "3")
    assert re.search(r"product +a +as it was written", result.stdout)
    assert re.search(r"product +b +written again since", result.stdout)
    assert re.search(r"category +Tools +is gone", result.stdout)
    assert "--cursor more" in result.stderr
    assert shell.json("operations", "records", "op_1", "--limit", "3")["items"] == rows


def test_a_listing_longer_than_a_page_is_put_together(shell: Shell, api: FakeApi) -> None:
    pages = [{"items": [OPERATION] * 100, "next_cursor": "c1"}, {"items": [OPERATION] * 50, "next_cursor": "c2"}]
    api.on("GET", "/operations", *pages)
    answer = shell.json("operations", "--limit", "150")
    assert len(answer["items"]) == 150
    assert answer["next_cursor"] == "c2"
    assert [one.url.params.get("cursor") for one in api.requests] == [None, "c1"]
    assert [one.url.params["limit"] for one in api.requests] == ["100", "50"]


def test_numbers_are_printed_digit_for_digit(shell: Shell, api: FakeApi) -> None:
    api.on("GET", "/records/product/a%2Fb", httpx.Response(200, text=RECORD))
    result = shell.run("records", "get", "product", "a/b", "--json")
    assert '"price": 1.10' in result.stdout
    assert '"big": 12345678901234567890.123456789' in result.stdout


def test_reading_a_record_says_what_it_cost(shell: Shell, api: FakeApi) -> None:
    headers = {"X-Credits-Charged": "1", "X-Credits-Available": "4938"}
    api.on("GET", "/records/product/a%2Fb", httpx.Response(200, text=RECORD, headers=headers))
    result = shell.run("records", "get", "product", "a/b")
    assert "This call cost 1 credit; 4,938 available." in result.stderr
    assert "This call" not in result.stdout


def test_supplier_data_cannot_command_the_terminal(shell: Shell, api: FakeApi) -> None:
    hostile = json.loads(RECORD) | {"key": "a\x1b[2Jb\nc", "attributes": {"name": "[red]x[/red]\x9b31m"}}
    api.on("GET", "/records/product", {"items": [hostile], "next_cursor": None})
    result = shell.run("records", "list", "product")
    assert "\x1b" not in result.stdout
    assert "\x9b" not in result.stdout
    assert "[red]x[/red]" in result.stdout


def test_a_problem_is_json_on_standard_error(shell: Shell, api: FakeApi) -> None:
    api.on("GET", "/credits", problem(401, "Unauthorized", "no such key"))
    result = shell.run("credits", "--json")
    assert result.exit_code == 1
    assert result.stdout == ""
    document = json.loads(result.stderr)
    assert document["status"] == 401
    assert document["title"] == "Unauthorized"
    assert "PRODUCTSYNC_API_KEY" in document["hint"]


def test_a_gateways_own_words_become_a_problem(shell: Shell, api: FakeApi) -> None:
    api.on("GET", "/credits", httpx.Response(403, json={"message": "Forbidden"}))
    result = shell.run("credits", "--json")
    assert json.loads(result.stderr)["detail"] == "Forbidden"


def test_an_answer_that_is_not_json_is_not_from_this_api(shell: Shell, api: FakeApi) -> None:
    api.on("GET", "/credits", httpx.Response(200, text="<html>hello</html>"))
    result = shell.run("credits")
    assert result.exit_code == 1
    assert "Is this the address of a ProductSync API?" in result.stderr


def test_a_top_up_takes_the_workspace_from_the_key(shell: Shell, api: FakeApi) -> None:
    api.on("GET", "/credits", make_credits())
    api.on("POST", "/workspaces/ws_1/top-ups", TOP_UP, status=201)
    arguments = ["100", "--unit-price", "0.010", "--reference", "inv-1", "--expires-at", "2027-01-01"]
    assert shell.json("top-up", *arguments) == TOP_UP
    [request] = api.sent("POST", "/top-ups")
    assert request.headers["Authorization"] == "Bearer psk_operator"
    assert json.loads(request.content) == {
        "credits": 100,
        "unit_price": "0.010",
        "reference": "inv-1",
        "expires_at": "2027-01-01T00:00:00.000Z",
    }


def test_a_top_up_told_everything_asks_nothing(shell: Shell, api: FakeApi) -> None:
    replayed = httpx.Response(201, json=TOP_UP, headers={"Idempotency-Replayed": "true"})
    api.on("POST", "/workspaces/ws_1/top-ups", replayed)
    arguments = ["100", "--workspace-id", "ws_1", "--unit-price", "0.01", "--currency", "EUR", "--reference", "inv-1"]
    result = shell.run("top-up", *arguments, environment={"PRODUCTSYNC_API_KEY": ""})
    assert result.exit_code == 0, result.output
    assert "Granted already: 100 credits to ws_1." in result.stdout
    assert "Settled" not in result.stdout


def test_a_top_up_says_what_it_paid_of_a_debt(shell: Shell, api: FakeApi) -> None:
    api.on("POST", "/workspaces/ws_1/top-ups", TOP_UP | {"settled": 12}, status=201)
    result = shell.run("top-up", "100", "--workspace-id", "ws_1", "--unit-price", "0.01", "--reference", "inv-1")
    assert result.exit_code == 0, result.output
    assert "12 credits" in result.stdout


def test_a_top_up_may_have_a_place_of_its_own_in_the_order_of_drawing(shell: Shell, api: FakeApi) -> None:
    api.on("POST", "/workspaces/ws_1/top-ups", TOP_UP | {"priority": 7}, status=201)
    arguments = ["100", "--workspace-id", "ws_1", "--unit-price", "0", "--reference", "inv-1", "--promotional"]
    result = shell.run("top-up", *arguments, "--priority", "7")
    assert re.search(r"Priority +7\b", result.stdout)
    [request] = api.sent("POST", "/top-ups")
    sent = json.loads(request.content)
    assert (sent["kind"], sent["priority"]) == ("promotional", 7)
    assert shell.run("top-up", *arguments, "--priority", "1001").exit_code == 2


PART = {"grant_id": "gr_1", "credits": 25, "unit_price": "0.01", "currency": "EUR"}
TAKEN = {
    "operation_id": "op_7",
    "workspace_id": "ws_1",
    "kind": "correction",
    "at": "2026-11-22T08:00:00.000Z",
    "credits": -25,
    "reference": "ticket-1",
    "reason": "given by mistake",
    "withdrawn": [PART],
    "grant": None,
}
TOLD = ["--reference", "ticket-1", "--reason", "given by mistake"]


def test_a_correction_takes_credits_from_the_workspace_of_the_key(shell: Shell, api: FakeApi) -> None:
    api.on("GET", "/credits", make_credits())
    api.on("POST", "/workspaces/ws_1/corrections", TAKEN, status=201)
    result = shell.run("credits", "correct", "--take", "25", *TOLD)
    assert result.exit_code == 0, result.output
    assert "Taken back: 25 credits." in result.stdout
    assert re.search(r"gr_1 +25 +0.01 EUR", result.stdout)
    [request] = api.sent("POST", "/corrections")
    assert request.headers["Authorization"] == "Bearer psk_operator"
    assert json.loads(request.content) == {"credits": -25, "reference": "ticket-1", "reason": "given by mistake"}


def test_a_correction_gives_credits_as_a_grant(shell: Shell, api: FakeApi) -> None:
    given = TAKEN | {"credits": 100, "withdrawn": [], "grant": TOP_UP | {"kind": "correction", "settled": 12}}
    answer = httpx.Response(201, json=given, headers={"Idempotency-Replayed": "true"})
    api.on("POST", "/workspaces/ws_1/corrections", answer)
    more = ["--unit-price", "0.010", "--currency", "USD", "--expires-at", "2027-01-01", "--workspace-id", "ws_1"]
    more += ["--corrects", "2026-10"]
    result = shell.run("credits", "correct", "--give", "100", *TOLD, *more)
    assert "Given back already: 100 credits." in result.stdout
    assert "gr_2" in result.stdout
    assert "12 credits" in result.stdout
    [request] = api.requests
    assert json.loads(request.content) == {
        "credits": 100,
        "reference": "ticket-1",
        "reason": "given by mistake",
        "unit_price": "0.010",
        "currency": "USD",
        "expires_at": "2027-01-01T00:00:00.000Z",
        "corrects": "2026-10",
    }
    assert shell.json("credits", "correct", "--give", "100", *TOLD, *more) == given


@pytest.mark.parametrize(
    "amounts",
    [[], ["--give", "1", "--take", "1"], ["--take", "0"], ["--give", "-1"], ["--give", "1", "--unit-price", "x"]],
)
def test_a_correction_that_cannot_be_meant_is_not_sent(shell: Shell, api: FakeApi, amounts: list[str]) -> None:
    assert shell.run("credits", "correct", *amounts, *TOLD).exit_code == 2
    assert not api.requests


def test_a_grant_is_made_void(shell: Shell, api: FakeApi) -> None:
    api.on("GET", "/credits", make_credits())
    done = TAKEN | {"kind": "void"}
    api.on("POST", "/workspaces/ws_1/grants/gr_1/void", done)
    assert "Made void: 25 credits." in shell.run("grants", "void", "gr_1", *TOLD).stdout
    assert shell.json("grants", "void", "gr_1", *TOLD, "--workspace-id", "ws_1") == done
    request, _ = api.sent("POST", "/void")
    assert request.headers["Authorization"] == "Bearer psk_operator"
    assert json.loads(request.content) == {"reference": "ticket-1", "reason": "given by mistake"}


def test_grants_are_listed_by_their_identifiers(shell: Shell, api: FakeApi) -> None:
    api.on("GET", "/credits", make_credits())
    api.on("GET", "/workspaces/ws_2/credits", make_credits(7))
    assert re.search(r"gr_1 +free +4,939 +5,000 +10 ", shell.run("grants", "list", columns=140).stdout)
    assert shell.json("grants", "list", "--workspace-id", "ws_2") == {"items": make_credits(7)["grants"]}
    own, as_operator = (request.headers["Authorization"] for request in api.requests)
    assert (own, as_operator) == ("Bearer psk_workspace", "Bearer psk_operator")


def test_an_operation_shows_what_left_the_account_unused(shell: Shell, api: FakeApi) -> None:
    expiry = OPERATION | {"kind": "expiry", "credits": 0, "actions": {}, "drawn": [], "cost": [], "withdrawn": [PART]}
    api.on("GET", "/operations/op_1", expiry)
    told = shell.run("operations", "show", "op_1").stdout
    assert re.search(r"Expired of +Credits +Unit price", told)
    assert re.search(r"gr_1 +25 +0.01 EUR", told)


MOVED = OPERATION | {"credits": 0, "actions": {}, "drawn": [], "cost": [], "records": {}, "job_id": None}


@pytest.mark.parametrize(
    ("entry", "words", "grants"),
    [
        ({"kind": "expiry", "withdrawn": [PART]}, "25 credits expired", "Expired of "),
        ({"kind": "void", "withdrawn": [PART, PART]}, "50 credits made void", "Made void of "),
        ({"kind": "correction", "withdrawn": [PART | {"credits": 1}]}, "1 credit taken back", "Taken back from "),
        ({"kind": "correction"}, "credits given back, as a grant", "The grant that they became is in"),
        ({"kind": "settlement", "drawn": [PART]}, "25 credits of earlier debts settled", "Drawn from "),
        ({"kind": "rule", "actions": {"rule_fired": 2, "api_call": 1}}, "2 rule firings, 1 API call", "It drew on no"),
        ({"kind": "new_kind", "actions": {"page_read": 3}}, "3 page read", "It drew on no grant."),
    ],
)
def test_an_entry_says_what_it_did_to_the_account(
    shell: Shell, api: FakeApi, entry: dict[str, Any], words: str, grants: str
) -> None:
    operation = MOVED | entry
    api.on("GET", "/operations", {"items": [operation], "next_cursor": None})
    assert f"  {words}  " in shell.run("operations").stdout
    api.on("GET", "/operations/op_1", operation)
    told = shell.run("operations", "show", "op_1").stdout
    assert re.search(rf"^Actions +{words}$", told, re.MULTILINE)
    assert re.search(rf"^{grants}", told, re.MULTILINE)


def test_every_action_is_counted_in_words() -> None:
    assert set(NOUNS) == {action.value for action in Action}


def test_an_entry_tells_the_operators_reference_and_the_month_that_it_corrects(shell: Shell, api: FakeApi) -> None:
    api.on("GET", "/operations/op_1", MOVED | {"kind": "void", "reference": "ticket-1", "corrects": "2026-10"})
    told = shell.run("operations", "show", "op_1").stdout
    assert re.search(r"^Reference +ticket-1$", told, re.MULTILINE)
    assert re.search(r"^Corrects +2026-10$", told, re.MULTILINE)
    api.on("GET", "/operations/op_1", OPERATION)
    assert "Reference" not in shell.run("operations", "show", "op_1").stdout


@pytest.mark.parametrize(
    ("filters", "words"),
    [
        ((), "No operations yet."),
        (("--kind", "void"), "Nothing matches the filter."),
        (("--outcome", "refused"), "Nothing matches the filter."),
        (("--to", "2026-11-01"), "Nothing matches the filter."),
    ],
)
def test_an_empty_listing_of_the_log_says_why(shell: Shell, api: FakeApi, filters: tuple[str, ...], words: str) -> None:
    api.on("GET", "/operations", PAGE)
    assert shell.run("operations", *filters).stdout.strip() == words


@pytest.mark.parametrize(
    "arguments", [["0", "--unit-price", "1"], ["5", "--unit-price", "-1"], ["5", "--unit-price", "x"]]
)
def test_a_top_up_that_cannot_be_meant_is_not_sent(shell: Shell, api: FakeApi, arguments: list[str]) -> None:
    assert shell.run("top-up", *arguments, "--reference", "r").exit_code == 2
    assert not api.requests


def test_feeds_are_put_shown_listed_and_deleted(shell: Shell, api: FakeApi) -> None:
    feed = {
        "feed_id": "f",
        "version": 2,
        "created_at": "2026-11-22T08:00:00.000Z",
        "updated_at": "2026-11-22T08:00:00.000Z",
        "definition": {"preset": "akeneo"},
    }
    api.on("PUT", "/feeds/f", feed)
    api.on("GET", "/feeds/f", feed)
    api.on("GET", "/feeds", {"items": [feed], "next_cursor": None})
    api.on("DELETE", "/feeds/f", httpx.Response(204))
    assert shell.json("feeds", "put", "f", "--preset", "akeneo") == feed
    assert shell.json("feeds", "show", "f") == feed
    assert '"preset": "akeneo"' in shell.run("feeds", "show", "f").stdout
    assert shell.json("feeds", "list")["items"] == [feed]
    assert shell.run("feeds", "delete", "f").stdout == "Deleted f.\n"
    assert shell.run("feeds", "put", "f").exit_code == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ("records", "get", "product", ""),
        ("records", "delete", "product", ""),
        ("records", "list", ""),
        ("feeds", "show", ""),
        ("keys", "revoke", ""),
    ],
)
def test_an_empty_name_is_a_mistake_of_usage(shell: Shell, api: FakeApi, arguments: tuple[str, ...]) -> None:
    result = shell.run(*arguments)
    assert result.exit_code == 2
    assert "A name is empty" in result.stderr
    assert not api.requests


def test_presets_are_listed_and_shown(shell: Shell, api: FakeApi) -> None:
    preset = {
        "name": "shopify",
        "description": "A shop's export",
        "formats": ["csv"],
        "entities": ["product", "variant"],
    }
    api.on("GET", "/presets", {"items": [preset], "next_cursor": None})
    in_full = {**preset, "definition": {"format": {"type": "csv"}}}
    api.on("GET", "/presets/shopify", in_full)
    assert "product, variant" in shell.run("feeds", "presets").stdout
    assert shell.json("feeds", "presets", "shopify") == in_full
    assert '"type": "csv"' in shell.run("feeds", "presets", "shopify").stdout


def test_a_new_workspaces_key_is_shown_once_and_kept_nowhere_on_a_deployment(shell: Shell, api: FakeApi) -> None:
    api.on("POST", "/workspaces", WORKSPACE, status=201)
    result = shell.run("workspaces", "create", "Books")
    assert result.exit_code == 0
    assert "psk_new" in result.stdout
    assert not shell.home.exists()


def test_a_new_workspaces_key_is_kept_for_the_embedded_stack(
    shell: Shell, api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = StackState("https://api.test", "http://aws.test", "us-east-1", "psk_operator", 1, "productsync", {}, "d")
    monkeypatch.setattr("productsync.settings.running_stack", lambda _root: stack)
    api.on("POST", "/workspaces", WORKSPACE, status=201)
    assert shell.json("workspaces", "create", "Books") == WORKSPACE
    kept = shell.home / ".local" / "credentials.json"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert "psk_operator" not in kept.read_text()
    connection = connect(Options(), {}, shell.home)
    assert connection.api_key is not None
    assert connection.api_key.value == "psk_new"


def test_without_a_stack_or_an_endpoint_it_says_what_to_do(shell: Shell) -> None:
    result = shell.run("credits", environment={"PRODUCTSYNC_ENDPOINT": ""})
    assert result.exit_code == 1
    assert "productsync up" in result.stderr
    assert shell.run("stack").exit_code == 1
    assert shell.json("down") == {"stopped": False}


def test_without_a_key_it_says_what_to_do(shell: Shell, api: FakeApi) -> None:
    result = shell.run("credits", environment={"PRODUCTSYNC_API_KEY": ""})
    assert result.exit_code == 1
    assert "productsync workspaces create NAME" in result.stderr
    assert not api.requests


@pytest.mark.parametrize(
    "command", ["stack", "credits", "grants", "import", "runs", "operations", "records", "workspaces", "demo"]
)
def test_every_command_has_help_and_the_shared_options(shell: Shell, command: str) -> None:
    result = shell.run(command, "--help", columns=120)
    assert result.exit_code == 0
    for option in ("--json", "--endpoint", "--api-key", "--operator-key"):
        assert option in result.stdout


def test_an_option_after_the_command_wins_over_one_before(shell: Shell, api: FakeApi) -> None:
    api.on("GET", "/credits", make_credits())
    shell.run("--api-key", "psk_before", "credits", "--api-key", "psk_after")
    assert api.requests[0].headers["Authorization"] == "Bearer psk_after"
    assert "psk" not in repr(session.Session(options=Options(api_key="psk_x")))


def test_the_documentation_names_every_command(shell: Shell) -> None:
    text = (Path(__file__).parents[3] / "docs" / "cli.md").read_text(encoding="utf-8")
    listed = re.findall(r"^│ ([a-z][a-z-]*)  ", shell.run("--help", columns=120).stdout, flags=re.MULTILINE)
    assert {"import", "demo", "up", "runs"} <= set(listed)
    for command in listed:
        assert f"`productsync {command}" in text, command
