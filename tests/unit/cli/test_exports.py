"""`productsync export`: asking, waiting, downloading, and what is told of the books."""

import json
import re
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest

from productsync.client import Client
from productsync.settings import Connection, Secret
from productsync.transport import Backoff
from tests.unit.cli.conftest import ENDPOINT, FakeApi, Shell, problem

CONTENTS = {
    "lines-00001.csv": b"line_id,at\nop_1,2026-11-22\n",
    "lines-00001.parquet": b"PAR1" + bytes(range(256)) * 2000,
    "focus-00001.csv": b"BilledCost\n0\n",
}
FORMATS = {"lines-00001.csv": "csv", "lines-00001.parquet": "parquet", "focus-00001.csv": "focus"}
MANIFEST = b'{"lines": 812}'


def make_file(name: str) -> dict[str, Any]:
    return {
        "name": name,
        "format": FORMATS[name],
        "part": 1,
        "lines": 812,
        "bytes": len(CONTENTS[name]),
        "sha256": sha256(CONTENTS[name]).hexdigest(),
        "url": f"https://bucket.test/v1/files/{name}?X-Amz-Signature=s",
        "expires_at": "2026-11-22T08:15:00.000Z",
    }


def make_export(state: str = "ready", **changed: Any) -> dict[str, Any]:
    """An export as the API gives it."""
    is_ready = state == "ready"
    books = {
        "opening": {"available": 1000, "owed": 3},
        "granted": 5000,
        "corrected_up": 25,
        "expired": 200,
        "void": 40,
        "corrected_down": 7,
        "consumed": 800,
        "owed": 2,
        "settled": 3,
        "closing": {"available": 4952, "owed": 2},
    }
    totals = {
        "lines": 812,
        "operations": 41,
        "refused": 1,
        "credits": 800,
        "by_line_type": {"usage": {"lines": 800, "quantity": 800, "credits": 800}},
        "cost": [{"currency": "EUR", "paid": "5.6", "free": "0", "corrected": "0"}],
        "unused": [{"currency": "USD", "paid": "0", "free": "0", "corrected": "0.25"}],
        "billed": [
            {"currency": "EUR", "amount": "40", "references": [{"reference": "inv-1", "amount": "40"}]},
            {"currency": "USD", "amount": "3", "references": [{"reference": "inv-2", "amount": "3"}]},
        ],
        "records": {"created": 600, "updated": 150, "unchanged": 9000, "deleted": 0},
    }
    return {
        "export_id": "exp_1",
        "month": "2026-11",
        "state": state,
        "requested_at": "2026-11-22T08:00:00.000Z",
        "finished_at": "2026-11-22T08:00:04.000Z" if is_ready else None,
        "parts": 1 if is_ready else 0,
        "lines": 812 if is_ready else 0,
        "totals": totals if is_ready else None,
        "books": books if is_ready else None,
        "account": {"available": 4952, "owed": 2} if is_ready else None,
        "disagreements": [],
        "failure": None,
        "manifest_url": "https://bucket.test/v1/files/manifest.json?X-Amz-Signature=s" if is_ready else None,
        "files": [make_file(name) for name in CONTENTS] if is_ready else [],
        **changed,
    }


def serve(api: FakeApi, *looks: dict[str, Any]) -> None:
    """An export that is asked for, and then as `looks` say."""
    api.on("POST", "/exports", make_export("preparing"), status=202)
    api.on("GET", "/exports/exp_1", *looks)
    for name, content in CONTENTS.items():
        api.on("GET", f"/files/{name}", httpx.Response(200, content=content))
    api.on("GET", "/files/manifest.json", httpx.Response(200, content=MANIFEST))


def test_a_month_is_asked_for_waited_for_and_downloaded(shell: Shell, api: FakeApi, tmp_path: Path) -> None:
    preparing = make_export("preparing", parts=2, lines=2_000_000)
    serve(api, preparing, preparing, make_export())
    folder = tmp_path / "books" / "november"
    result = shell.run("export", "--month", "2026-11", "--to", str(folder))
    assert result.exit_code == 0, result.output
    assert json.loads(api.requests[0].content) == {"month": "2026-11"}
    kept = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert kept == {f"2026-11-{name}": content for name, content in {**CONTENTS, "manifest.json": MANIFEST}.items()}
    for name, available, owed in [
        ("Opening", "1,000", "3"),
        (r"\+ granted", "5,000", ""),
        ("- expired", "200", ""),
        ("- void", "40", ""),
        ("- taken back", "7", ""),
        ("- consumed", "800", ""),
        (r"\+ owed", "2", "2"),
        ("- settled", "3", "3"),
        ("Closing", "4,952", "2"),
    ]:
        assert re.search(rf"^{name} +{available} *{owed}$", result.stdout, re.MULTILINE), name
    assert re.search(r"Bought +40 EUR \+ 3 USD", result.stdout)
    assert re.search(r"Their cost +5\.6 EUR$", result.stdout, re.MULTILINE)
    assert re.search(r"Left unused +0\.25 USD given back$", result.stdout, re.MULTILINE)
    assert re.search(r"Records +600 created, 150 updated$", result.stdout, re.MULTILINE)
    assert "The books add up, and the account agrees." in result.stdout
    assert "Exporting 2026-11: 812 lines" in result.stderr


def test_the_key_is_never_shown_to_the_bucket(shell: Shell, api: FakeApi, tmp_path: Path) -> None:
    serve(api, make_export())
    shell.run("export", "--to", str(tmp_path))
    fetched = [one for one in api.requests if one.url.host == "bucket.test"]
    assert len(fetched) == 4
    assert all("Authorization" not in one.headers for one in fetched)


@pytest.mark.parametrize(("wanted", "name"), [(form, name) for name, form in FORMATS.items()])
def test_one_format_alone(shell: Shell, api: FakeApi, tmp_path: Path, wanted: str, name: str) -> None:
    serve(api, make_export())
    assert shell.run("export", "--format", wanted, "--to", str(tmp_path / "x")).exit_code == 0
    assert {path.name for path in (tmp_path / "x").iterdir()} == {f"2026-11-{name}", "2026-11-manifest.json"}


def test_a_file_that_is_not_what_was_told_is_not_kept(shell: Shell, api: FakeApi, tmp_path: Path) -> None:
    serve(api, make_export())
    api.on("GET", "/files/focus-00001.csv", httpx.Response(200, content=b"BilledCost\n1\n"))
    (tmp_path / "2026-11-focus-00001.csv").write_text("of before")
    result = shell.run("export", "--format", "focus", "--to", str(tmp_path))
    assert result.exit_code == 1
    assert "2026-11-focus-00001.csv is not what the export says that it is" in result.stderr
    assert (tmp_path / "2026-11-focus-00001.csv").read_text() == "of before"
    assert {path.name for path in tmp_path.iterdir()} == {"2026-11-focus-00001.csv"}


def test_an_address_that_has_expired_is_told(shell: Shell, api: FakeApi, tmp_path: Path) -> None:
    serve(api, make_export())
    api.on("GET", "/files/lines-00001.csv", httpx.Response(403, text="Request has expired"))
    result = shell.run("export", "--format", "csv", "--to", str(tmp_path / "x"))
    assert result.exit_code == 1
    assert "HTTP 403: Request has expired" in result.stderr
    assert list((tmp_path / "x").iterdir()) == []


def test_an_interrupted_download_is_begun_again(api: FakeApi, tmp_path: Path) -> None:
    name = "lines-00001.parquet"

    def break_off(_: httpx.Request) -> httpx.Response:
        raise httpx.ReadError("reset")

    whole = httpx.Response(200, content=CONTENTS[name])
    api.on("GET", f"/files/{name}", break_off, httpx.Response(503), whole)
    seen: list[int] = []
    key = Secret("psk", "a test")
    backoff = Backoff(sleep=lambda _: None)
    with Client(Connection(ENDPOINT, key, None, None), transport=api.transport, backoff=backoff) as client:
        client.exports.download(make_file(name), tmp_path / name, progress=seen.append)  # type: ignore[arg-type]
    assert (tmp_path / name).read_bytes() == CONTENTS[name]
    assert seen[-1] == len(CONTENTS[name])


@pytest.mark.parametrize("name", ["../../etc/passwd", "a/b.csv"])
def test_a_name_never_leads_out_of_the_folder(shell: Shell, api: FakeApi, tmp_path: Path, name: str) -> None:
    serve(api, make_export(files=[{**make_file("focus-00001.csv"), "name": name}]))
    result = shell.run("export", "--to", str(tmp_path / "x"))
    assert result.exit_code == 1
    assert "is no name of a file" in result.stderr
    assert list(tmp_path.rglob("*.csv")) == []


def test_files_of_an_earlier_export_are_named(shell: Shell, api: FakeApi, tmp_path: Path) -> None:
    serve(api, make_export())
    for name in ("2026-11-lines-00002.csv", "2026-10-lines-00002.csv", "2026-11-lines-00001.csv"):
        (tmp_path / name).write_text("of before")
    result = shell.run("export", "--format", "focus", "--to", str(tmp_path))
    told = re.findall(r"^(\S+) is from an earlier export", result.stderr, re.MULTILINE)
    assert told == ["2026-11-lines-00002.csv"]


def test_an_export_that_fails_says_why(shell: Shell, api: FakeApi, tmp_path: Path) -> None:
    serve(api, make_export("failed", failure="an entry of the log cannot be read"))
    result = shell.run("export", "--to", str(tmp_path / "x"))
    assert result.exit_code == 1
    assert "exp_1 failed: an entry of the log cannot be read" in result.stderr
    assert not (tmp_path / "x").exists()


def test_a_month_in_the_future_is_refused(shell: Shell, api: FakeApi) -> None:
    error = {"field": "month", "message": "Input should not be in the future"}
    api.on("POST", "/exports", problem(422, "Not valid", "1 problem", [error]))
    result = shell.run("export", "--month", "2027-01")
    assert result.exit_code == 1
    assert "month: Input should not be in the future" in result.stderr
    assert shell.run("export", "--month", "soon").exit_code == 2


def test_books_of_a_month_that_is_over_have_to_add_up(shell: Shell, api: FakeApi, tmp_path: Path) -> None:
    serve(api, make_export(requested_at="2026-12-01T00:00:00.000Z", disagreements=["the debt changed by 1"]))
    result = shell.run("export", "--to", str(tmp_path))
    assert result.exit_code == 1
    assert "The books do not add up: the debt changed by 1." in result.stdout
    assert "The month goes on" not in result.stdout


def test_in_a_month_that_goes_on_what_was_charged_meanwhile_is_no_failure(
    shell: Shell, api: FakeApi, tmp_path: Path
) -> None:
    serve(api, make_export(disagreements=["the account has 4951 credits"]))
    result = shell.run("export", "--to", str(tmp_path))
    assert result.exit_code == 0
    assert "The month goes on" in result.stdout


def test_json_is_the_export_and_the_files_are_there(shell: Shell, api: FakeApi, tmp_path: Path) -> None:
    serve(api, make_export("preparing"), make_export())
    assert shell.json("export", "--to", str(tmp_path)) == make_export()
    assert len(list(tmp_path.glob("2026-11-*"))) == 4


def test_nobody_has_to_wait(shell: Shell, api: FakeApi) -> None:
    serve(api, make_export())
    assert shell.json("export", "--no-wait")["state"] == "preparing"
    result = shell.run("export", "--no-wait")
    assert "productsync export download exp_1" in result.stdout
    assert len(api.requests) == 2


def test_one_that_was_asked_for_is_downloaded_later(shell: Shell, api: FakeApi, tmp_path: Path) -> None:
    serve(api, make_export("preparing"), make_export())
    assert shell.run("export", "download", "exp_1", "--to", str(tmp_path)).exit_code == 0
    assert api.sent("POST", "/exports") == []
    assert (tmp_path / "2026-11-manifest.json").read_bytes() == MANIFEST


def test_exports_are_listed_and_shown(shell: Shell, api: FakeApi) -> None:
    listed = [make_export(files=[], manifest_url=None), make_export("preparing", export_id="exp_2")]
    api.on("GET", "/exports", {"items": listed, "next_cursor": None})
    result = shell.run("export", "list")
    assert re.search(r"2026-11 +ready +812 +800 +5\.6 EUR +exp_1", result.stdout)
    assert re.search(r"2026-11 +preparing +0 +- +- +exp_2", result.stdout)
    api.on("GET", "/exports/exp_1", make_export())
    shown = shell.run("export", "show", "exp_1").stdout
    assert make_file("lines-00001.csv")["sha256"] in shown
    assert shell.json("export", "show", "exp_1") == make_export()
