"""Feeds that fetch their files by themselves, on the command line."""

import json
from typing import Any

import pytest

from productsync.sources import NoSource, parse_source, source_text
from tests.unit.cli.conftest import FakeApi, Shell, make_credits, make_run

SECRET = "open-sesame-42"
SHOWN = {
    "type": "basic",
    "username": "shop",
    "name": None,
    "origin": "https://shop.example:443",
    "updated_at": "2026-11-22T08:00:00.000Z",
}


def feed(**definition: Any) -> dict[str, Any]:
    times = {"created_at": "2026-11-22T08:00:00.000Z", "updated_at": "2026-11-22T08:00:00.000Z"}
    return {"feed_id": "main", "version": 1, **times, "definition": {"preset": "shopify", **definition}}


def serve_start(api: FakeApi, run: dict[str, Any]) -> None:
    headers = {"X-Credits-Charged": "1", "X-Credits-Available": "4999"}
    api.on("POST", "/feeds/main/runs", make_run("preparing", progress=0), status=202, headers=headers)
    api.on("GET", "/runs/run_1", run)
    api.on("GET", "/credits", make_credits())


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("https://shop.example/feed.csv", {"type": "http", "url": "https://shop.example/feed.csv"}),
        ("s3://feeds/ws_1/a.csv", {"type": "s3", "bucket": "feeds", "key": "ws_1/a.csv"}),
        ("upload", {"type": "upload"}),
    ],
)
def test_a_source_is_written_and_read_the_same(text: str, source: dict[str, Any]) -> None:
    assert parse_source(text) == source
    assert (source_text({"source": source}) or "upload") == text


@pytest.mark.parametrize("text", ["", "ftp://a/", "s3://feeds", "s3:///a", "feed.csv"])
def test_what_is_no_source(text: str, shell: Shell) -> None:
    with pytest.raises(NoSource):
        parse_source(text)
    assert shell.run("feeds", "put", "main", "--preset", "shopify", "--source", text).exit_code == 2


def test_a_source_is_put_with_a_definition_or_into_the_saved_one(shell: Shell, api: FakeApi) -> None:
    api.on("PUT", "/feeds/main", feed())
    api.on("GET", "/feeds/main", feed(description="ours"))
    url = "https://shop.example/feed.csv"
    assert shell.run("feeds", "put", "main", "--preset", "akeneo", "--source", url).exit_code == 0
    assert shell.run("feeds", "put", "main", "--source", url).exit_code == 0
    source = {"type": "http", "url": url}
    assert [json.loads(one.content) for one in api.sent("PUT", "/feeds/main")] == [
        {"preset": "akeneo", "source": source},
        {"preset": "shopify", "description": "ours", "source": source},
    ]


def test_feeds_show_their_source(shell: Shell, api: FakeApi) -> None:
    source = {"type": "s3", "bucket": "feeds", "key": "ws_1/a.csv"}
    api.on("GET", "/feeds", {"items": [feed(source=source), feed()], "next_cursor": None})
    api.on("GET", "/feeds/main", feed(source=source))
    listed = shell.run("feeds", "list", columns=200).stdout
    assert "s3://feeds/ws_1/a.csv" in listed
    assert "upload" in listed
    assert "s3://feeds/ws_1/a.csv" in shell.run("feeds", "show", "main").stdout


def test_a_run_is_started_on_what_the_source_holds(shell: Shell, api: FakeApi) -> None:
    serve_start(api, make_run())
    result = shell.run("runs", "start", "main")
    assert result.exit_code == 0, result.stderr
    assert "1 for the call that started the run" in result.stdout
    (sent,) = api.sent("POST", "/feeds/main/runs")
    assert json.loads(sent.content) == {"dry_run": False}
    assert sent.headers["Idempotency-Key"]


def test_an_unmodified_source_is_told(shell: Shell, api: FakeApi) -> None:
    serve_start(api, make_run(unmodified=True, rows_read=0, by_entity={}, credits=0))
    result = shell.run("runs", "start", "main")
    assert "its source is unmodified" in result.stdout
    assert "unmodified" in shell.run("runs", "show", "run_1").stdout


@pytest.mark.parametrize(
    ("run", "exit_code"),
    [
        (make_run("failed", error={"code": "source_missing", "detail": "gone", "row": None, "column": None}), 3),
        (make_run("paused"), 4),
    ],
)
def test_exit_codes_are_those_of_import(shell: Shell, api: FakeApi, run: dict[str, Any], exit_code: int) -> None:
    serve_start(api, run)
    api.on("GET", "/feeds/products-shopify", feed(skip_unchanged=False))
    assert shell.json("runs", "start", "main", exit_code=exit_code)["state"] == run["state"]


def test_a_dry_run_and_one_that_nobody_waits_for(shell: Shell, api: FakeApi) -> None:
    serve_start(api, make_run())
    assert shell.run("runs", "start", "main", "--dry-run", "--no-wait").exit_code == 0
    (sent,) = api.sent("POST", "/feeds/main/runs")
    assert json.loads(sent.content) == {"dry_run": True}
    assert not api.sent("GET", "/runs/run_1")


@pytest.mark.parametrize(
    ("options", "body"),
    [
        (["--username", "shop"], {"type": "basic", "username": "shop", "password": SECRET}),
        (["--bearer"], {"type": "bearer", "token": SECRET}),
        (["--header", "X-Api-Key"], {"type": "header", "name": "X-Api-Key", "value": SECRET}),
    ],
)
def test_a_secret_comes_from_the_environment_or_the_standard_input_and_is_not_shown(
    shell: Shell, api: FakeApi, options: list[str], body: dict[str, Any]
) -> None:
    api.on("PUT", "/feeds/main/credentials", SHOWN)
    command = ["feeds", "credentials", "set", "main", *options]
    by_environment = shell.run(*command, environment={"PRODUCTSYNC_SOURCE_SECRET": SECRET})
    by_input = shell.run(*command, standard_input=f"{SECRET}\n")
    for result in (by_environment, by_input):
        assert result.exit_code == 0, result.stderr
        assert "https://shop.example:443" in result.stdout
        assert SECRET not in result.output
    assert [json.loads(one.content) for one in api.sent("PUT", "/feeds/main/credentials")] == [body, body]


@pytest.mark.parametrize("options", [[], ["--bearer", "--username", "shop"]])
def test_credentials_are_of_one_type(shell: Shell, options: list[str]) -> None:
    assert shell.run("feeds", "credentials", "set", "main", *options).exit_code == 2


def test_credentials_are_shown_without_the_secret_and_forgotten(shell: Shell, api: FakeApi) -> None:
    api.on("GET", "/feeds/main/credentials", SHOWN)
    api.on("DELETE", "/feeds/main/credentials", {}, status=204)
    assert shell.json("feeds", "credentials", "show", "main") == SHOWN
    assert "shop" in shell.run("feeds", "credentials", "show", "main").stdout
    assert shell.run("feeds", "credentials", "delete", "main").exit_code == 0
