"""Where the endpoint and the keys come from, and where they never go."""

import json
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from productsync.failures import NotConnected
from productsync.files import write_secret_file
from productsync.settings import Options, SavedKey, connect, home, running_stack, save_key
from productsync.stack.state import StackState

STACK = StackState(
    "http://127.0.0.1:4566/_aws/execute-api/abc",
    "http://127.0.0.1:4566",
    "us-east-1",
    "psk_stack",
    1,
    "productsync",
    {},
    "digest",
)
ENVIRONMENT = {
    "PRODUCTSYNC_ENDPOINT": "https://env.test/",
    "PRODUCTSYNC_API_KEY": "psk_env",
    "PRODUCTSYNC_OPERATOR_KEY": "psk_env_operator",
}
OPTIONS = Options("https://option.test/v1", "psk_option", "psk_option_operator")


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> StackState:
    monkeypatch.setattr("productsync.settings.running_stack", lambda _root: STACK)
    return STACK


def found(options: Options, environment: dict[str, str], root: Path) -> tuple[str, str | None, str | None]:
    connection = connect(options, environment, root)
    keys = [key.value if key else None for key in (connection.api_key, connection.operator_key)]
    return connection.endpoint, keys[0], keys[1]


def test_options_come_before_the_environment_and_that_before_the_stack(stack: StackState, tmp_path: Path) -> None:
    save_key(tmp_path, stack, SavedKey("ws_1", "Books", "psk_saved"))
    by_option = ("https://option.test", "psk_option", "psk_option_operator")
    assert found(OPTIONS, ENVIRONMENT, tmp_path) == by_option
    assert found(Options(), ENVIRONMENT, tmp_path) == ("https://env.test", "psk_env", "psk_env_operator")
    assert found(Options(), {}, tmp_path) == (stack.endpoint, "psk_saved", "psk_stack")
    assert found(Options(api_key="psk_option"), {}, tmp_path) == (stack.endpoint, "psk_option", "psk_stack")


def test_keys_of_the_stack_never_go_elsewhere(stack: StackState, tmp_path: Path) -> None:
    save_key(tmp_path, stack, SavedKey("ws_1", "Books", "psk_saved"))
    assert found(Options(endpoint="https://elsewhere.test"), {}, tmp_path) == ("https://elsewhere.test", None, None)
    assert found(Options(endpoint=stack.endpoint), {}, tmp_path) == (stack.endpoint, "psk_saved", "psk_stack")


@pytest.mark.parametrize(
    "later",
    [replace(STACK, operator_key="psk_later"), replace(STACK, endpoint="http://127.0.0.1:5000/x")],
    ids=["key", "endpoint"],
)
def test_a_key_of_an_earlier_stack_is_never_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, later: StackState
) -> None:
    save_key(tmp_path, STACK, SavedKey("ws_1", "Books", "psk_saved"))
    monkeypatch.setattr("productsync.settings.running_stack", lambda _root: later)
    assert connect(Options(), {}, tmp_path).api_key is None


@pytest.mark.parametrize("content", ["", "{", "[]", '{"instance": 1}'])
def test_a_broken_credentials_file_is_no_key(stack: StackState, tmp_path: Path, content: str) -> None:
    file = save_key(tmp_path, stack, SavedKey("ws_1", "Books", "psk_saved"))
    file.write_text(content)
    assert connect(Options(), {}, tmp_path).api_key is None


def test_secrets_are_for_their_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "new" / "secret.json"
    write_secret_file(file, "one")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    file.chmod(0o644)
    write_secret_file(file, "two")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.read_text() == "two"
    assert list(file.parent.iterdir()) == [file]


def test_the_saved_file_holds_no_operator_key(stack: StackState, tmp_path: Path) -> None:
    content = save_key(tmp_path, stack, SavedKey("ws_1", "Books", "psk_saved")).read_text()
    assert "psk_stack" not in content
    assert json.loads(content)["workspace_id"] == "ws_1"


def test_secrets_do_not_show_in_a_repr(stack: StackState, tmp_path: Path) -> None:
    save_key(tmp_path, stack, SavedKey("ws_1", "Books", "psk_saved"))
    assert "psk_" not in repr(connect(OPTIONS, {}, tmp_path)) + repr(OPTIONS) + repr(connect(Options(), {}, tmp_path))


@pytest.mark.parametrize(
    "endpoint", ["api.test", "ftp://api.test", "C:\\api", "https://", "http:///v1", "https://[::1"]
)
def test_an_endpoint_is_a_url(tmp_path: Path, endpoint: str) -> None:
    with pytest.raises(NotConnected, match="is not a URL"):
        connect(Options(endpoint=endpoint), {}, tmp_path)


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://api.test",
        "HTTP://api.test/v1",
        "http://10.0.0.7:4566",
        "http://0.0.0.0:4566",
        "http://localhost.test",
        "http://notlocalhost",
        "http://127.0.0.1.test",
        "http://127.0.0.1@api.test",
        "http://api.test#@localhost",
        "http://[::2]:4566",
    ],
)
def test_no_key_goes_over_a_network_in_clear(tmp_path: Path, endpoint: str) -> None:
    with pytest.raises(NotConnected, match="is not encrypted") as failure:
        connect(Options(endpoint=endpoint), {}, tmp_path)
    assert "https://" in str(failure.value.hint)


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://127.0.0.1:4566/_aws/execute-api/abc",
        "http://127.8.9.10",
        "http://localhost:4566",
        "http://abc.execute-api.localhost:4566",
        "http://[::1]:4566",
        "https://api.test",
    ],
)
def test_this_machine_may_be_asked_without_encryption(tmp_path: Path, endpoint: str) -> None:
    assert connect(Options(endpoint=endpoint), {}, tmp_path).endpoint == endpoint


def test_a_state_file_without_its_process_is_no_stack(tmp_path: Path) -> None:
    STACK.write(tmp_path / ".local")
    assert running_stack(tmp_path) is None
    with pytest.raises(NotConnected):
        connect(Options(), {}, tmp_path)


def test_home_is_the_checkout_unless_it_is_named(tmp_path: Path) -> None:
    assert home({}) == Path(__file__).resolve().parents[3]
    assert home({"PRODUCTSYNC_HOME": str(tmp_path)}) == tmp_path.resolve()
