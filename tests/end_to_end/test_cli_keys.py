"""The command line against the deployed API: keys that are made, rotated and revoked, and a file that is pushed."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from productsync import ApiProblem, Client
from tests.support.api import Caller
from tests.support.command import Command


def test_a_key_is_made_used_rotated_and_revoked(command: Command) -> None:
    made = command.json("keys", "create", "ERP", "--scope", "read", "--scope", "configure")
    assert command.json("credits", key=made["secret"])["available"] == 5_000
    refused = command("records", "set", "product", "a", "title=Drill", key=made["secret"], exit_code=1)
    assert "may not be allowed" in refused.stderr

    rotated = command.json("keys", "rotate", made["key_id"], "--overlap-seconds", "600")
    for secret in (made["secret"], rotated["secret"]):
        command.json("credits", key=secret)
    command.json("keys", "revoke", made["key_id"])
    command("credits", key=made["secret"], exit_code=1)

    listed = {key["key_id"]: key for key in command.json("keys", "list")["items"]}
    assert listed[made["key_id"]]["state"] == "revoked"
    assert listed[made["key_id"]]["replaced_by"] == rotated["key_id"]
    assert listed[rotated["key_id"]]["state"] == "active"
    assert listed[rotated["key_id"]]["last_used_at"] is not None
    assert rotated["key_id"] in command("keys", "list").stdout


def test_a_file_is_pushed_and_read_again(command: Command, tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [{"key": f"p{place:03}", "attributes": {"stock": place}} for place in range(100)]
    rows += [
        {"key": "p000", "method": "PATCH", "attributes": {"price": 1.5}},
        {"key": "gone", "method": "DELETE"},
        {"key": "p001", "attributes": {"stock": 0}, "if_version": 7},
        {"key": "bad", "attributes": {"x" * 2_000: 1}, "method": "POST"},
        {"key": "last", "attributes": {}},
    ]
    file = tmp_path / "products.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))

    told = command.json("records", "push", str(file), "product", exit_code=1)
    assert (told["created"], told["updated"], told["records"]) == (101, 1, 105)
    assert [(one["place"], one["status"]) for one in told["refused"]] == [
        ("line 104", 422),
        ("line 102", 404),
        ("line 103", 412),
    ]
    assert told["calls"] == 2
    assert told["credits"] == 2 + 101 + 1
    assert command.json("credits")["available"] == 5_000 - told["credits"]

    read = command("records", "list", "product", "--all", "--prefix", "p00", "--json").stdout.splitlines()
    assert sorted(json.loads(line)["key"] for line in read) == [f"p00{digit}" for digit in range(10)]

    again = command.json("records", "push", str(file), "product", exit_code=1)
    assert (again["created"], again["unchanged"]) == (0, 100)


def test_the_client_does_what_it_says(customer: Caller) -> None:
    with Client.at(customer.endpoint, api_key=customer.key) as client:
        first = client.records.put("product", "M8/40", {"stock": 12}, if_version=0, idempotency_key="first")
        assert (first.charged, first.available, first.etag[:3] if first.etag else None) == (2, 4_998, '"1-')
        again = client.records.put("product", "M8/40", {"stock": 12}, if_version=0, idempotency_key="first")
        assert again.replayed
        assert (again.body, again.charged, again.operation_id) == (first.body, 0, first.operation_id)
        with pytest.raises(ApiProblem) as caught:
            client.records.patch("product", "M8/40", {"stock": 11}, if_version=7)
        assert caught.value.status == 412

        changes: list[Any] = [{"key": str(place), "attributes": {"stock": place}} for place in range(100)]
        pushed = [list(client.records.push_all("product", changes, idempotency_key="night")) for _ in range(2)]
        assert [one.body for one in pushed[0]] == [one.body for one in pushed[1]]
        assert sum(one.body["created"] for one in pushed[0]) == 100
        assert [one.replayed for one in pushed[1]] == [True, True]
        assert client.credits.get().body["consumed"] == 2 + 2 + 100
        since = first.body["updated_at"]
        assert len(list(client.records.all("product", updated_since=since))) == 101


def test_the_documented_program_does_what_it_says(
    customer: Caller, project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The Python example of docs/cli.md: what each line prints is in the comment beside it."""
    [program] = re.findall(r"```python\n(.*?)```", (project / "docs" / "cli.md").read_text(encoding="utf-8"), re.DOTALL)
    monkeypatch.setenv("PRODUCTSYNC_ENDPOINT", customer.endpoint)
    monkeypatch.setenv("PRODUCTSYNC_API_KEY", customer.key)
    exec(compile(program, "docs/cli.md", "exec"), {})  # noqa: S102  it is the documentation's own text
    assert capsys.readouterr().out.splitlines() == re.findall(r"print\(.*\)  # (.+)", program)
