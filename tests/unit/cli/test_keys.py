"""`productsync keys`: secrets are shown once, and the key in use is kept only if that is wanted."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from productsync.settings import SavedKey, save_key, saved_key
from productsync.stack.state import StackState
from tests.unit.cli.conftest import ENDPOINT, FakeApi, Shell

OLD, NEW = "key_01JD9ZJ0000000000000000001", "key_01JD9ZJ0000000000000000002"
OLD_TEXT, NEW_TEXT = f"psk_{OLD[4:]}_old", f"psk_{NEW[4:]}_new"
STACK = StackState(ENDPOINT, "http://aws.test", "us-east-1", "psk_operator", 1, "productsync", {}, "d")


def make_key(**changed: Any) -> dict[str, Any]:
    return {
        "key_id": NEW,
        "name": "ERP",
        "prefix": f"psk_{NEW[4:]}",
        "scopes": ["read", "write"],
        "state": "active",
        "created_at": "2026-11-22T08:00:00.000Z",
        "created_by": None,
        "expires_at": None,
        "revoked_at": None,
        "last_used_at": None,
        "replaced_by": None,
        **changed,
    }


@pytest.fixture
def kept(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The embedded stack runs, and the old key is kept for it. Its home."""
    monkeypatch.setattr("productsync.settings.running_stack", lambda _root: STACK)
    save_key(shell.home, STACK, SavedKey("ws_1", "Books", OLD_TEXT))
    return shell.home


def text_of_kept(home: Path) -> str:
    found = saved_key(home, STACK)
    assert found is not None
    return found.secret


def test_keys_are_listed_without_secrets(shell: Shell, api: FakeApi) -> None:
    used = make_key(last_used_at="2026-11-22T09:10:00.000Z", state="revoked")
    page = {"items": [used, make_key(key_id=OLD, replaced_by=NEW)], "next_cursor": None}
    api.on("GET", "/keys", page)
    assert shell.json("keys", "list") == page
    first, second = shell.run("keys", "list").stdout.splitlines()[1:]
    assert "2026-11-22 09:10:00Z" in first
    assert "revoked" in first
    assert "never" in second
    assert NEW in second


def test_a_new_key_is_shown_once(shell: Shell, api: FakeApi) -> None:
    api.on("POST", "/keys", make_key(secret=NEW_TEXT), status=201)
    arguments = ["keys", "create", "ERP", "--scope", "read", "--scope", "write", "--expires-at", "2027-01-01"]
    result = shell.run(*arguments)
    assert result.exit_code == 0, result.output
    assert NEW_TEXT in result.stdout
    assert not shell.home.exists()
    assert json.loads(api.requests[0].content) == {
        "name": "ERP",
        "scopes": ["read", "write"],
        "expires_at": "2027-01-01T00:00:00.000Z",
    }
    assert shell.json(*arguments) == make_key(secret=NEW_TEXT)


def test_a_key_without_scopes_is_not_asked_for(shell: Shell, api: FakeApi) -> None:
    assert shell.run("keys", "create", "ERP").exit_code == 2
    assert not api.requests


def test_operators_keys_are_managed_with_the_operators_key(shell: Shell, api: FakeApi) -> None:
    api.on("GET", "/keys", {"items": [], "next_cursor": None})
    api.on("POST", "/keys", make_key(secret=NEW_TEXT), status=201)
    api.on("POST", f"/keys/{OLD}/rotate", make_key(secret=NEW_TEXT), status=201)
    api.on("DELETE", f"/keys/{OLD}", httpx.Response(204))
    shell.json("keys", "list", "--operators")
    shell.json("keys", "create", "x", "--scope", "operator", "--operators")
    shell.json("keys", "rotate", OLD, "--operators")
    shell.json("keys", "revoke", OLD, "--operators")
    assert {request.headers["Authorization"] for request in api.requests} == {"Bearer psk_operator"}


def test_a_secret_that_was_lost_is_no_success(shell: Shell, api: FakeApi) -> None:
    """The first answer was lost on its way; the retry is given it without the secret."""
    api.on("POST", "/keys", make_key(secret=None), status=201, headers={"Idempotency-Replayed": "true"})
    result = shell.run("keys", "create", "ERP", "--scope", "read")
    assert result.exit_code == 1
    assert f"productsync keys revoke {NEW}" in result.stderr


def test_a_revoked_key_ends_at_once(shell: Shell, api: FakeApi) -> None:
    api.on("DELETE", f"/keys/{OLD}", httpx.Response(204))
    assert shell.run("keys", "revoke", OLD).stdout == f"Revoked {OLD}.\n"


@pytest.mark.parametrize("overlap", [None, 0, 60])
def test_a_rotated_key_says_how_long_the_old_one_is_good(shell: Shell, api: FakeApi, overlap: int | None) -> None:
    api.on("POST", f"/keys/{OLD}/rotate", make_key(secret=NEW_TEXT), status=201)
    given = [] if overlap is None else ["--overlap-seconds", str(overlap)]
    result = shell.run("keys", "rotate", OLD, *given, environment={"PRODUCTSYNC_API_KEY": OLD_TEXT})
    assert json.loads(api.requests[0].content) == {"overlap_seconds": 86_400 if overlap is None else overlap}
    assert NEW_TEXT in result.stdout
    assert {None: "86,400 seconds more", 0: "has ended", 60: "60 seconds more"}[overlap] in result.stderr
    assert "from PRODUCTSYNC_API_KEY" in result.stderr


@pytest.mark.parametrize(("option", "text"), [("--keep", NEW_TEXT), ("--no-keep", OLD_TEXT), (None, OLD_TEXT)])
def test_a_new_key_takes_the_place_of_the_kept_one_if_that_is_wanted(
    shell: Shell, api: FakeApi, kept: Path, option: str | None, text: str
) -> None:
    """Without a terminal nobody can be asked, and nothing is changed that was not said."""
    api.on("POST", f"/keys/{OLD}/rotate", make_key(secret=NEW_TEXT), status=201)
    given = [] if option is None else [option]
    result = shell.run("keys", "rotate", OLD, *given, environment={"PRODUCTSYNC_API_KEY": ""})
    assert result.exit_code == 0, result.output
    assert text_of_kept(kept) == text


@pytest.mark.parametrize(("said", "text"), [("y\n", NEW_TEXT), ("\n", NEW_TEXT), ("n\n", OLD_TEXT)])
def test_on_a_terminal_it_is_asked(
    shell: Shell, api: FakeApi, kept: Path, monkeypatch: pytest.MonkeyPatch, said: str, text: str
) -> None:
    monkeypatch.setattr("productsync.commands.keys.is_asked", lambda: True)
    api.on("POST", f"/keys/{OLD}/rotate", make_key(secret=NEW_TEXT), status=201)
    result = shell.run("keys", "rotate", OLD, environment={"PRODUCTSYNC_API_KEY": ""}, standard_input=said)
    assert result.exit_code == 0, result.output
    assert text_of_kept(kept) == text


def test_another_key_than_the_kept_one_changes_nothing(shell: Shell, api: FakeApi, kept: Path) -> None:
    api.on("POST", "/keys/key_other/rotate", make_key(secret=NEW_TEXT), status=201)
    result = shell.run("keys", "rotate", "key_other", "--keep", environment={"PRODUCTSYNC_API_KEY": ""})
    assert result.exit_code == 0, result.output
    assert text_of_kept(kept) == OLD_TEXT
    assert "These commands" not in result.stderr
