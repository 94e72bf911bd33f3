"""`productsync records list` and `push`: all pages, whole files, and what becomes of what is refused."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.unit.cli.conftest import FakeApi, Shell, problem

BATCH = "/records/product/batch"


def make_record(key: str) -> dict[str, Any]:
    return {
        "entity": "product",
        "key": key,
        "attributes": {"title": "Drill"},
        "version": 1,
        "created_at": "2026-11-22T08:00:00.000Z",
        "updated_at": "2026-11-22T08:00:00.000Z",
        "operation_id": "op_1",
        "rules": {},
    }


def writes_all(
    refusing: Mapping[str, tuple[int, str]] = {}, *, headers: Mapping[str, str] | None = None
) -> Callable[[httpx.Request], httpx.Response]:
    """Answers a batch as the API does: what is not refused is new, at 1 credit and 1 for the call."""

    def answer(request: httpx.Request) -> httpx.Response:
        items = []
        for record in json.loads(request.content)["records"]:
            status, detail = refusing.get(record["key"], (201, None))
            change = "created" if detail is None else "refused"
            items.append({"key": record["key"], "status": status, "change": change, "version": 1, "detail": detail})
        refused = sum(item["change"] == "refused" for item in items)
        made = len(items) - refused
        counts = {"created": made, "updated": 0, "unchanged": 0, "deleted": 0, "refused": refused}
        told = {"X-Credits-Charged": str(1 + made), "X-Credits-Available": "4000"} if headers is None else headers
        return httpx.Response(200, json={"items": items, **counts}, headers=told)

    return answer


def lines(folder: Path, *rows: Any) -> str:
    file = folder / "records.jsonl"
    file.write_text("".join(row if isinstance(row, str) else json.dumps(row) + "\n" for row in rows))
    return str(file)


def rows_of(keys: str) -> list[dict[str, Any]]:
    return [{"key": key, "attributes": {"title": "Drill"}} for key in keys]


def sent(api: FakeApi) -> list[list[str]]:
    return [[one["key"] for one in json.loads(request.content)["records"]] for request in api.requests]


def test_filters_of_records_are_sent(shell: Shell, api: FakeApi) -> None:
    page: dict[str, Any] = {"items": [], "next_cursor": "c1"}
    api.on("GET", "/records/product", page)
    arguments = ["records", "list", "product", "--updated-since", "2026-11-22", "--prefix", "M8/", "--limit", "7"]
    assert shell.json(*arguments) == page
    query = {"updated_since": "2026-11-22T00:00:00.000Z", "key_prefix": "M8/", "limit": "7"}
    assert dict(api.requests[0].url.params) == query
    result = shell.run(*arguments)
    assert "None so far." in result.stdout
    assert "--cursor c1" in result.stderr


def test_all_records_are_one_table_and_one_sum(shell: Shell, api: FakeApi) -> None:
    headers = {"X-Credits-Charged": "1", "X-Credits-Available": "98"}
    pages = [{"items": [make_record("a")], "next_cursor": "c"}, {"items": [make_record("b")], "next_cursor": None}]
    api.on("GET", "/records/product", *pages, headers=headers)
    result = shell.run("records", "list", "product", "--all")
    assert [line.split()[0] for line in result.stdout.splitlines()] == ["Key", "a", "b"]
    assert "Reading them cost 2 credits; 98 available." in result.stderr
    assert [request.url.params["limit"] for request in api.requests] == ["100", "100"]


def test_all_records_for_programs_are_a_line_each(shell: Shell, api: FakeApi) -> None:
    exact = '{"items": [{"key": "a", "attributes": {"price": 1.10}}], "next_cursor": null}'
    pages = [{"items": [make_record("b")], "next_cursor": "c"}, httpx.Response(200, text=exact)]
    api.on("GET", "/records/product", *pages)
    result = shell.run("records", "list", "product", "--all", "--json")
    first, second = result.stdout.splitlines()
    assert json.loads(first) == make_record("b")
    assert second == '{"key": "a", "attributes": {"price": 1.10}}'
    assert result.stderr == ""


def test_a_listing_that_breaks_off_says_where_to_go_on(shell: Shell, api: FakeApi) -> None:
    api.on("GET", "/records/product", {"items": [make_record("a")], "next_cursor": "c1"}, problem(402, "Out", "x"))
    result = shell.run("records", "list", "product", "--all")
    assert result.exit_code == 1
    assert "The first 1 were read. Go on: --all --cursor c1" in result.stderr


@pytest.mark.parametrize("form", ["lines", "array", "indented array", "marked"])
def test_a_file_is_pushed(shell: Shell, api: FakeApi, tmp_path: Path, form: str) -> None:
    rows: list[dict[str, Any]] = [
        {"key": "a", "attributes": {"price": 1.5}},
        {"key": "b", "method": "DELETE", "if_version": 3},
    ]
    file = tmp_path / "records.json"
    as_lines = "\n".join(map(json.dumps, rows))
    text = {
        "lines": f"\n{as_lines}\n\n",
        "array": json.dumps(rows),
        "indented array": "\n" + json.dumps(rows, indent=2),
        "marked": "\ufeff" + as_lines,
    }[form]
    file.write_text(text, encoding="utf-8")
    api.on("POST", BATCH, writes_all())
    result = shell.run("records", "push", str(file), "product")
    assert result.exit_code == 0, result.output
    assert json.loads(api.requests[0].content)["records"] == rows
    assert "2 created, 0 updated, 0 unchanged, 0 deleted; 0 refused." in result.stdout
    assert "It cost 3 credits for 1 call and what they changed; 4,000 available." in result.stdout


def test_what_is_piped_in_is_pushed(shell: Shell, api: FakeApi) -> None:
    api.on("POST", BATCH, writes_all())
    text = "".join(json.dumps(row) + "\n" for row in rows_of("ab"))
    result = shell.run("records", "push", "-", "product", "--json", standard_input=text)
    assert json.loads(result.stdout) == {
        "records": 2,
        "calls": 1,
        "created": 2,
        "updated": 0,
        "unchanged": 0,
        "deleted": 0,
        "credits": 3,
        "available": 4000,
        "refused": [],
    }


def test_numbers_are_pushed_digit_for_digit(shell: Shell, api: FakeApi, tmp_path: Path) -> None:
    api.on("POST", BATCH, writes_all())
    row = '{"key": "a", "attributes": {"price": 1.10, "big": 12345678901234567890.123456789}}\n'
    assert shell.run("records", "push", lines(tmp_path, row), "product").exit_code == 0
    assert b"1.10" in api.requests[0].content
    assert b"12345678901234567890.123456789" in api.requests[0].content


def test_a_long_file_takes_several_calls(shell: Shell, api: FakeApi, tmp_path: Path) -> None:
    api.on("POST", BATCH, writes_all())
    rows = [{"key": str(place), "attributes": {}} for place in range(200)]
    told = shell.json("records", "push", lines(tmp_path, *rows), "product")
    assert (told["records"], told["calls"], told["credits"]) == (200, 3, 203)
    assert [len(batch) for batch in sent(api)] == [90, 90, 20]


def test_what_the_api_refuses_is_listed_and_ends_with_1(shell: Shell, api: FakeApi, tmp_path: Path) -> None:
    api.on("POST", BATCH, writes_all({"b": (412, "The record is at version 4.")}))
    file = lines(tmp_path, *rows_of("abc"))
    result = shell.run("records", "push", file, "product")
    assert result.exit_code == 1
    assert "2 created" in result.stdout
    assert "1 refused" in result.stdout
    [row] = [line for line in result.stdout.splitlines() if line.startswith("line ")]
    assert row.split(maxsplit=4) == ["line", "2", "b", "412", "The record is at version 4."]
    told = shell.json("records", "push", file, "product", exit_code=1)
    assert told["refused"] == [{"place": "line 2", "key": "b", "status": 412, "detail": "The record is at version 4."}]


def test_records_that_a_batch_is_refused_for_do_not_stop_the_others(shell: Shell, api: FakeApi, tmp_path: Path) -> None:
    errors = [
        {"field": "records.1.attributes.price", "message": "It is not finite"},
        {"field": "records.1.if_version", "message": "It is negative"},
        {"field": "records.3", "message": "It is none"},
    ]
    api.on("POST", BATCH, problem(422, "Validation failed", "3 fields are not valid.", errors), writes_all())
    told = shell.json("records", "push", lines(tmp_path, *rows_of("abcd")), "product", exit_code=1)
    assert sent(api) == [["a", "b", "c", "d"], ["a", "c"]]
    keys = [request.headers["Idempotency-Key"] for request in api.requests]
    assert keys[0] != keys[1]
    assert told["created"] == 2
    assert [(one["place"], one["detail"]) for one in told["refused"]] == [
        ("line 2", "attributes.price: It is not finite; if_version: It is negative"),
        ("line 4", "It is none"),
    ]


def test_rows_that_are_no_records_are_not_sent(shell: Shell, api: FakeApi, tmp_path: Path) -> None:
    api.on("POST", BATCH, writes_all())
    file = lines(tmp_path, *rows_of("a"), ["a"], {"attributes": {}}, {"key": 5}, *rows_of("b"))
    told = shell.json("records", "push", file, "product", exit_code=1)
    assert sent(api) == [["a", "b"]]
    assert [one["place"] for one in told["refused"]] == ["line 2", "line 3", "line 4"]
    assert told["records"] == 5


def test_a_batch_that_is_too_much_at_once_is_halved(shell: Shell, api: FakeApi, tmp_path: Path) -> None:
    def at_most_two(request: httpx.Request) -> httpx.Response:
        records = json.loads(request.content)["records"]
        if len(records) > 2 or "c" in {record["key"] for record in records}:
            return problem(413, "Content too large", "The records would have too many bytes.")
        return writes_all()(request)

    api.on("POST", BATCH, at_most_two)
    told = shell.json("records", "push", lines(tmp_path, *rows_of("abcd")), "product", exit_code=1)
    assert sent(api) == [["a", "b", "c", "d"], ["a", "b"], ["c", "d"], ["c"], ["d"]]
    assert told["created"] == 3
    [refused] = told["refused"]
    assert (refused["place"], refused["key"], refused["status"]) == ("line 3", "c", 413)


def test_a_push_that_is_stopped_says_what_was_done(shell: Shell, api: FakeApi, tmp_path: Path) -> None:
    api.on("POST", BATCH, writes_all(), problem(402, "Out of credits", "This needs 11 credits and 4 are available."))
    rows = [{"key": str(place), "attributes": {}} for place in range(100)]
    result = shell.run("records", "push", lines(tmp_path, *rows), "product")
    assert result.exit_code == 1
    assert "90 created" in result.stdout
    assert "This needs 11 credits" in result.stderr
    assert "Pushing the file again does the rest." in result.stderr


def test_a_file_that_is_not_json_says_where(shell: Shell, api: FakeApi, tmp_path: Path) -> None:
    api.on("POST", BATCH, writes_all())
    result = shell.run("records", "push", lines(tmp_path, *rows_of("a"), "{oops\n"), "product")
    assert result.exit_code == 2
    assert "line 2" in result.stderr
    whole = shell.run("records", "push", lines(tmp_path, "[{]"), "product")
    assert whole.exit_code == 2
    assert "its JSON array" in whole.stderr


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity"])
def test_what_is_no_number_of_json_says_where_and_what_was_pushed_before(
    shell: Shell, api: FakeApi, tmp_path: Path, constant: str
) -> None:
    api.on("POST", BATCH, writes_all())
    rows = [{"key": str(place), "attributes": {}} for place in range(95)]
    row = f'{{"key": "n", "attributes": {{"price": {constant}}}}}\n'
    result = shell.run("records", "push", lines(tmp_path, *rows, row), "product")
    assert result.exit_code == 2
    assert f"line 96: {constant} is not a number of JSON" in " ".join(result.stderr.split())
    assert "90 created" in result.stdout
    whole = shell.run("records", "push", lines(tmp_path, f"[{row}]"), "product")
    assert whole.exit_code == 2
    assert "its JSON array" in whole.stderr


def test_by_hand_it_is_not_said_what_was_not_told(shell: Shell, api: FakeApi, tmp_path: Path) -> None:
    api.on("POST", BATCH, writes_all(headers={}))
    result = shell.run("records", "push", lines(tmp_path, *rows_of("a")), "product")
    assert "It cost" not in result.stdout
    assert "productsync operations" in result.stdout


def test_a_lost_answer_still_has_its_cost(shell: Shell, api: FakeApi, tmp_path: Path) -> None:
    replayed = {"Idempotency-Replayed": "true", "X-Credits-Charged": "0", "X-Operation-Id": "op_9"}
    api.on("POST", BATCH, writes_all(headers=replayed))
    api.on("GET", "/operations/op_9", {"operation_id": "op_9", "credits": 2})
    assert shell.json("records", "push", lines(tmp_path, *rows_of("a")), "product")["credits"] == 2


def test_a_file_that_is_not_there_is_a_mistake_of_usage(shell: Shell, api: FakeApi, tmp_path: Path) -> None:
    result = shell.run("records", "push", str(tmp_path / "none.jsonl"), "product")
    assert result.exit_code == 2
    assert "Cannot read" in result.stderr
    assert result.stdout == ""
    assert not api.requests


def test_an_empty_file_is_nothing_to_push(shell: Shell, api: FakeApi, tmp_path: Path) -> None:
    assert shell.json("records", "push", lines(tmp_path), "product")["records"] == 0
    assert not api.requests


def test_a_push_that_is_refused_at_once_says_only_that(shell: Shell, api: FakeApi, tmp_path: Path) -> None:
    api.on("POST", BATCH, problem(403, "Forbidden", "This key may not write."))
    result = shell.run("records", "push", lines(tmp_path, *rows_of("a")), "product")
    assert result.exit_code == 1
    assert result.stdout == ""
