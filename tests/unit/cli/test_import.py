"""`productsync import` and `productsync runs`: what they send, say, print as JSON, and exit with."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from productsync.files import feed_id_for
from tests.unit.cli.conftest import FakeApi, Shell, make_credits, make_run, problem, serve_import


def test_a_finished_import_says_what_became_of_the_records_and_what_they_cost(
    shell: Shell, api: FakeApi, feed_file: Path
) -> None:
    serve_import(api, make_run("running", progress=0.5), make_run())

    result = shell.run("import", str(feed_file), "--preset", "shopify")

    assert result.exit_code == 0, result.stderr
    assert (
        "Cost: 60 credits for the records + 1 for the call that started the run. Available now: 4,939." in result.stdout
    )
    assert ["product", "60", "0", "3", "1", "0", "60"] in [line.split() for line in result.stdout.splitlines()]
    assert "Uploading Products.csv: 21 bytes" in result.stderr


def test_it_sends_the_definition_the_file_and_an_idempotency_key(shell: Shell, api: FakeApi, feed_file: Path) -> None:
    serve_import(api, make_run())

    shell.run("import", str(feed_file), "--preset", "shopify", "--no-skip-unchanged")

    [feed] = api.sent("PUT", "/feeds/products-shopify")
    assert json.loads(feed.content) == {"preset": "shopify", "skip_unchanged": False}
    [ticket] = api.sent("POST", "/uploads")
    assert json.loads(ticket.content) == {"content_length": 21, "file_name": "Products.csv"}
    [upload] = api.sent("PUT", "/uploads/up_1")
    assert upload.content == feed_file.read_bytes()
    assert upload.headers["Content-Length"] == "21"
    assert "Transfer-Encoding" not in upload.headers
    [start] = api.sent("POST", "/runs")
    assert json.loads(start.content) == {"upload_id": "up_1", "dry_run": False}
    assert start.headers["Idempotency-Key"]


def test_a_start_whose_answer_was_lost_still_says_what_the_call_cost(
    shell: Shell, api: FakeApi, feed_file: Path
) -> None:
    serve_import(api, make_run())
    headers = {"X-Credits-Charged": "0", "X-Operation-Id": "op_1", "Idempotency-Replayed": "true"}
    replay = httpx.Response(202, json=make_run("preparing"), headers=headers)
    api.on("POST", "/feeds/products-shopify/runs", httpx.Response(504), replay)
    api.on("GET", "/operations/op_1", {"credits": 1})
    result = shell.run("import", str(feed_file), "--preset", "shopify")
    assert "60 credits for the records + 1 for the call" in result.stdout


def test_the_place_of_the_upload_never_sees_the_api_key(shell: Shell, api: FakeApi, feed_file: Path) -> None:
    serve_import(api, make_run())
    shell.run("import", str(feed_file), "--preset", "shopify")
    [upload] = api.sent("PUT", "/uploads/up_1")
    assert "Authorization" not in upload.headers
    assert "psk_" not in str(upload.headers)


@pytest.mark.parametrize(
    ("state", "exit_code"), [("finished", 0), ("failed", 3), ("cancelled", 3), ("paused", 4)], ids=str
)
def test_with_json_the_run_alone_is_on_standard_output_whatever_became_of_it(
    shell: Shell, api: FakeApi, feed_file: Path, state: str, exit_code: int
) -> None:
    run = make_run(state)
    serve_import(api, run)
    result = shell.run("import", str(feed_file), "--preset", "shopify", "--json")
    assert result.exit_code == exit_code
    assert json.loads(result.stdout) == run
    assert result.stderr == ""


def test_a_dry_run_says_the_price_against_what_is_there(shell: Shell, api: FakeApi, feed_file: Path) -> None:
    serve_import(api, make_run(dry_run=True, credits=60, credits_available=4999))
    result = shell.run("import", str(feed_file), "--preset", "shopify", "--dry-run")
    assert result.exit_code == 0
    assert "Would cost 60 of 4,999 available." in result.stdout
    [start] = api.sent("POST", "/runs")
    assert json.loads(start.content)["dry_run"] is True


def test_a_dry_run_says_what_is_missing(shell: Shell, api: FakeApi, feed_file: Path) -> None:
    serve_import(api, make_run(dry_run=True, credits=60, credits_available=40))
    result = shell.run("import", str(feed_file), "--preset", "shopify", "--dry-run")
    assert "Would cost 60 of 40 available. That is 20 credits short, besides the call that starts it" in result.stdout


def test_a_paused_run_says_what_it_needs_and_how_to_go_on(shell: Shell, api: FakeApi, feed_file: Path) -> None:
    serve_import(api, make_run("paused", created=40, credits=40))
    api.on("GET", "/credits", make_credits(0))
    preview = make_run(run_id="run_2", dry_run=True, credits=20)
    start = "/feeds/products-shopify/runs"
    api.answers["POST", start].append(httpx.Response(202, json=preview))

    result = shell.run("import", str(feed_file), "--preset", "shopify")

    assert result.exit_code == 4
    assert "after writing 40 records. It needs 20 credits more" in result.stdout
    assert "productsync top-up 20 --workspace-id ws_1" in result.stdout
    assert "productsync runs show run_1" in result.stdout


def test_a_failed_run_says_where_in_the_file(shell: Shell, api: FakeApi, feed_file: Path) -> None:
    error = {"code": "wrong_encoding", "detail": "row 17 is not UTF-8", "row": 17, "column": "Title"}
    serve_import(api, make_run("failed", error=error))
    result = shell.run("import", str(feed_file), "--preset", "shopify")
    assert result.exit_code == 3
    assert "wrong_encoding: row 17 is not UTF-8 (row 17, column Title)" in result.stderr


def test_rejected_rows_are_shown_with_their_reasons(shell: Shell, api: FakeApi, feed_file: Path) -> None:
    serve_import(api, make_run(rejected=7))
    rejection = {"row": 3, "column": "Price", "entity": "product", "key": "b", "reason": "'x' is not a decimal"}
    api.on("GET", "/runs/run_1/rejections", {"items": [rejection] * 5, "next_cursor": "c"})
    result = shell.run("import", str(feed_file), "--preset", "shopify")
    assert result.exit_code == 0
    assert "'x' is not a decimal" in result.stdout
    assert "The rest: productsync runs rejections run_1" in result.stdout


def test_without_waiting_it_prints_the_run_as_it_was_started(shell: Shell, api: FakeApi, feed_file: Path) -> None:
    serve_import(api)
    answer = shell.json("import", str(feed_file), "--preset", "shopify", "--no-wait")
    assert answer["state"] == "preparing"
    assert not api.sent("GET", "/runs/run_1")


def test_a_saved_feed_is_used_as_it_is(shell: Shell, api: FakeApi, feed_file: Path) -> None:
    serve_import(api, make_run(), feed_id="mine")
    result = shell.run("import", str(feed_file), "--feed-id", "mine")
    assert result.exit_code == 0
    assert not api.sent("PUT", "/feeds/mine")


def test_a_definition_and_a_preset_are_put_together(
    shell: Shell, api: FakeApi, feed_file: Path, tmp_path: Path
) -> None:
    definition = tmp_path / "definition.json"
    definition.write_text('{"format": {"encoding": "windows-1252"}, "skip_unchanged": false}')
    serve_import(api, make_run(), feed_id="mine")
    arguments = ("--preset", "shopify", "--feed", str(definition), "--feed-id", "mine", "--skip-unchanged")
    assert shell.run("import", str(feed_file), *arguments).exit_code == 0
    [feed] = api.sent("PUT", "/feeds/mine")
    assert json.loads(feed.content) == {
        "format": {"encoding": "windows-1252"},
        "skip_unchanged": True,
        "preset": "shopify",
    }


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nowhere.csv", "--preset", "shopify"], "does not exist"),
        (["{file}"], "It has to be known how to read the file"),
        (["{file}", "--feed-id", "f", "--skip-unchanged"], "give --preset or --feed with it"),
        (["{file}", "--feed", "{file}"], "line 1, column 1"),
    ],
)
def test_misuse_is_told_before_anything_is_sent(
    shell: Shell, api: FakeApi, feed_file: Path, arguments: list[str], says: str
) -> None:
    result = shell.run("import", *(one.replace("{file}", str(feed_file)) for one in arguments), columns=200)
    assert result.exit_code == 2
    assert says in result.stderr
    assert not api.requests


def test_a_definition_that_does_not_validate_is_told_field_by_field(
    shell: Shell, api: FakeApi, feed_file: Path
) -> None:
    errors = [{"field": "entities.0.key", "message": "Field required"}]
    api.on("PUT", "/feeds/products-shopify", problem(422, "The definition does not validate", "1 problem", errors))
    result = shell.run("import", str(feed_file), "--preset", "shopify")
    assert result.exit_code == 1
    assert "Error: The definition does not validate: 1 problem" in result.stderr
    assert "entities.0.key: Field required" in result.stderr
    assert "req-1" in result.stderr


def test_a_file_larger_than_the_api_takes_is_not_sent(shell: Shell, api: FakeApi, feed_file: Path) -> None:
    serve_import(api, make_run())
    feed_file.write_bytes(b"x" * 1001)
    result = shell.run("import", str(feed_file), "--preset", "shopify")
    assert result.exit_code == 1
    assert "1,001 bytes, of 1,000 at most" in result.stderr
    assert not api.sent("PUT", "/uploads/up_1")


def test_what_the_bucket_says_of_a_refused_upload_is_told(shell: Shell, api: FakeApi, feed_file: Path) -> None:
    serve_import(api, make_run())
    api.on("PUT", "/uploads/up_1", httpx.Response(403, text="<Code>RequestTimeTooSkewed</Code>"))
    result = shell.run("import", str(feed_file), "--preset", "shopify")
    assert result.exit_code == 1
    assert "RequestTimeTooSkewed" in result.stderr


def test_an_interrupted_wait_says_how_to_find_the_run_again(shell: Shell, api: FakeApi, feed_file: Path) -> None:
    def interrupt(_request: httpx.Request) -> httpx.Response:
        raise KeyboardInterrupt

    serve_import(api)
    api.on("GET", "/runs/run_1", interrupt)
    result = shell.run("import", str(feed_file), "--preset", "shopify")
    assert result.exit_code == 130
    assert "productsync runs show run_1 --wait" in result.stderr


@pytest.mark.parametrize(
    ("name", "preset", "feed_id"),
    [
        ("Products.csv", "shopify", "products-shopify"),
        ("My  Export (2026).tar.csv", None, "my-export-2026-tar"),
        ("كتب.xml", "google_merchant", "feed-7dec143e-google_merchant"),
        ("_-_.csv", None, "feed-77767769"),
    ],
)
def test_feed_ids_come_from_file_names(name: str, preset: str | None, feed_id: str) -> None:
    assert feed_id_for(Path(name), preset) == feed_id


def test_feed_ids_of_long_names_differ_and_are_short_enough() -> None:
    ids = {feed_id_for(Path(f"{'x' * 80}{end}.csv"), "google_merchant") for end in "ab"}
    assert len(ids) == 2
    assert all(len(one) == 64 for one in ids)


def test_runs_lists_the_newest_of_all_feeds(shell: Shell, api: FakeApi) -> None:
    feeds = [{"feed_id": name, "definition": {}, "version": 1, "updated_at": "x", "created_at": "x"} for name in "ab"]
    runs = [
        make_run(run_id=f"run_{hour}", feed_id=feed, created_at=f"2026-11-22T0{hour}:00:00.000Z")
        for hour, feed in [(3, "a"), (1, "a"), (2, "b")]
    ]
    api.on("GET", "/feeds", {"items": feeds, "next_cursor": None})
    api.on("GET", "/feeds/a/runs", {"items": runs[:2], "next_cursor": None})
    api.on("GET", "/feeds/b/runs", {"items": runs[2:], "next_cursor": None})
    assert [one["run_id"] for one in shell.json("runs")["items"]] == ["run_3", "run_2", "run_1"]
    assert [one["run_id"] for one in shell.json("runs", "list", "--limit", "2")["items"]] == ["run_3", "run_2"]
    assert [one["run_id"] for one in shell.json("runs", "--feed-id", "b")["items"]] == ["run_2"]


@pytest.mark.parametrize(
    ("command", "method", "path", "exit_code"),
    [
        (["runs", "show", "run_1"], "GET", "/runs/run_1", 0),
        (["runs", "show", "run_1", "--wait"], "GET", "/runs/run_1", 4),
        (["runs", "resume", "run_1"], "POST", "/runs/run_1/resume", 4),
        (["runs", "resume", "run_1", "--no-wait"], "POST", "/runs/run_1/resume", 0),
        (["runs", "cancel", "run_1"], "POST", "/runs/run_1/cancel", 0),
    ],
)
def test_commands_about_a_run_print_it(
    shell: Shell, api: FakeApi, command: list[str], method: str, path: str, exit_code: int
) -> None:
    run: dict[str, Any] = make_run("paused")
    api.on("GET", "/runs/run_1", run)
    api.on(method, path, run, status=202 if method == "POST" else 200)
    assert shell.json(*command, exit_code=exit_code) == run
    assert api.sent(method, path)


def test_resuming_without_credits_is_the_apis_problem(shell: Shell, api: FakeApi) -> None:
    api.on("POST", "/runs/run_1/resume", problem(402, "Out of credits", "1 needed, 0 available"))
    result = shell.run("runs", "resume", "run_1")
    assert result.exit_code == 1
    assert "Error: Out of credits: 1 needed, 0 available" in result.stderr


def test_a_log_file_hears_of_a_long_wait(
    shell: Shell, api: FakeApi, feed_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("productsync.output.QUIET_SECONDS", 0.0)
    serve_import(api, make_run("preparing", rows_read=12), make_run())
    result = shell.run("import", str(feed_file), "--preset", "shopify")
    assert "Importing: preparing, 12 rows (0 s so far)" in result.stderr
