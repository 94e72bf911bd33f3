"""Where the API is and which keys to show it.

Each of the three values is taken from the first place that has it:

1. an option (`--endpoint`, `--api-key`, `--operator-key`)
2. the environment (`PRODUCTSYNC_ENDPOINT`, `PRODUCTSYNC_API_KEY`, `PRODUCTSYNC_OPERATOR_KEY`)
3. for the workspace's key: the person who has signed in to this very endpoint (`productsync login`)
4. the running embedded stack of this checkout, and the key of the last workspace that was created on it

The last place only ever serves the embedded stack itself: its keys are never sent to another endpoint, and a
workspace's key that belongs to an earlier stack is never used for a later one.
"""

import hashlib
import ipaddress
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import httpx

from productsync.failures import NotConnected
from productsync.files import read_state, write_secret_file
from productsync.sign_in import AppClient, fresh, remembered

if TYPE_CHECKING:
    from productsync.stack.state import StackState

HOME_VARIABLE = "PRODUCTSYNC_HOME"
ENDPOINT_VARIABLE = "PRODUCTSYNC_ENDPOINT"
API_KEY_VARIABLE = "PRODUCTSYNC_API_KEY"
OPERATOR_KEY_VARIABLE = "PRODUCTSYNC_OPERATOR_KEY"
SIGN_IN_VARIABLE = "PRODUCTSYNC_SIGN_IN"

START_HINT = (
    "Start the embedded stack with `productsync up` (or `make up`), or name a deployment: "
    f"--endpoint, or {ENDPOINT_VARIABLE} in the environment."
)


@dataclass(frozen=True)
class Secret:
    """A key, and where it was found, so that a refused one can be traced. It never shows in a repr."""

    value: str = field(repr=False)
    origin: str


@dataclass(frozen=True)
class Options:
    """What the command line itself says. None where it is silent."""

    endpoint: str | None = None
    api_key: str | None = field(default=None, repr=False)
    operator_key: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Connection:
    """All that is needed to talk to one API. `stack` is set when that is the embedded one."""

    endpoint: str
    api_key: Secret | None
    operator_key: Secret | None
    stack: "StackState | None"


@dataclass(frozen=True)
class SavedKey:
    """The key of the last workspace created on the embedded stack."""

    workspace_id: str
    name: str
    secret: str = field(repr=False)


def home(environment: Mapping[str, str] | None = None) -> Path:
    """The checkout that this package was installed from, or what `PRODUCTSYNC_HOME` says."""
    named = (os.environ if environment is None else environment).get(HOME_VARIABLE)
    return Path(named).expanduser().resolve() if named else Path(__file__).resolve().parents[1]


def state_directory(root: Path) -> Path:
    """Where the embedded stack of a checkout and this command keep what they must remember."""
    return root / ".local"


def running_stack(root: Path) -> "StackState | None":
    """The embedded stack of a checkout, if it runs."""
    directory = state_directory(root)
    if not directory.is_dir():
        return None
    # Here, since it brings the AWS libraries along, which a command that talks to a deployment has no need to load.
    from productsync.stack.process import is_running  # noqa: PLC0415
    from productsync.stack.state import StackState  # noqa: PLC0415

    return StackState.read(directory) if is_running(directory) else None


def instance_of(stack: "StackState") -> str:
    """Names this very stack. Its operator key is made anew with each, so a digest of it tells one from the next."""
    return hashlib.sha256(f"{stack.endpoint}\n{stack.operator_key}".encode()).hexdigest()[:32]


def connect(options: Options, environment: Mapping[str, str], root: Path) -> Connection:
    """Decides where to connect. Raises NotConnected when nothing says where the API is."""
    stack = running_stack(root)
    named = options.endpoint or environment.get(ENDPOINT_VARIABLE)
    if not named and stack is None:
        raise NotConnected("No ProductSync API to talk to", hint=START_HINT)
    endpoint = endpoint_of(named) if named else stack.endpoint if stack else ""
    if stack is not None and stack.endpoint != endpoint:
        stack = None

    given = _first((options.api_key, "the option --api-key"), (environment.get(API_KEY_VARIABLE), API_KEY_VARIABLE))
    return Connection(
        endpoint=endpoint,
        api_key=given or _signed_in(root, endpoint) or _of_last_workspace(root, stack),
        operator_key=_first(
            (options.operator_key, "the option --operator-key"),
            (environment.get(OPERATOR_KEY_VARIABLE), OPERATOR_KEY_VARIABLE),
            (stack.operator_key if stack else None, "the embedded stack"),
        ),
        stack=stack,
    )


def sign_in_place(connection: Connection, named: str | None, environment: Mapping[str, str]) -> AppClient:
    """Where people sign in: as it is named, or on the embedded stack. Raises NotConnected when nothing says it."""
    place = named or environment.get(SIGN_IN_VARIABLE)
    if place:
        return AppClient.parse(place, connection.stack.aws_endpoint if connection.stack else None)
    if connection.stack is None or "SignIn" not in connection.stack.outputs:
        raise NotConnected(
            "It is not known where to sign in",
            hint=f"Give --at, or {SIGN_IN_VARIABLE} in the environment: the output SignIn of the deployment.",
        )
    return AppClient.parse(connection.stack.outputs["SignIn"], connection.stack.aws_endpoint)


def saved_key(root: Path, stack: "StackState") -> SavedKey | None:
    """The key of the last workspace created on this very stack, if there is one."""
    document = read_state(_credentials_file(root))
    if document is None or document.get("instance") != instance_of(stack):
        return None
    workspace_id, name, secret = document.get("workspace_id"), document.get("name"), document.get("api_key")
    if not isinstance(workspace_id, str) or not isinstance(secret, str):
        return None
    return SavedKey(workspace_id, str(name), secret)


def save_key(root: Path, stack: "StackState", key: SavedKey) -> Path:
    """Remembers a workspace's key for the commands that follow; only its owner may read the file (mode 0600)."""
    path = _credentials_file(root)
    document = {
        "instance": instance_of(stack),
        "endpoint": stack.endpoint,
        "workspace_id": key.workspace_id,
        "name": key.name,
        "api_key": key.secret,
    }
    write_secret_file(path, json.dumps(document, indent=2) + "\n")
    return path


def _signed_in(root: Path, endpoint: str) -> Secret | None:
    """The token of the person who has signed in to this API."""
    directory = state_directory(root)
    person = remembered(directory, endpoint)
    return (
        None
        if person is None
        else Secret(fresh(directory, person).id_token, f"the sign-in of {person.email} (`productsync login`)")
    )


def _of_last_workspace(root: Path, stack: "StackState | None") -> Secret | None:
    saved = saved_key(root, stack) if stack else None
    return None if saved is None else Secret(saved.secret, "the last workspace created on the embedded stack")


def _credentials_file(root: Path) -> Path:
    return state_directory(root) / "credentials.json"


def endpoint_of(text: str) -> str:
    """The base URL, such that `{endpoint}/v1/credits` is the balance; a `/v1` that was given too is forgiven.

    Plain http is for this machine alone: over a network it would show the key to everybody on the way. Raises
    NotConnected for it, and for what is no URL.
    """
    try:
        # Read as the client will read it when it connects.
        url = httpx.URL(text)
    except httpx.InvalidURL:
        url = httpx.URL()
    if url.scheme not in {"http", "https"} or not url.host:
        raise NotConnected(f"The endpoint {text!r} is not a URL", hint="It starts with https://.")
    if url.scheme == "http" and not _is_this_machine(url.host):
        raise NotConnected(
            f"The endpoint {text!r} is not encrypted",
            "a key would be sent over the network for everybody to read",
            hint="It starts with https://; http:// is only for this machine (127.0.0.1, localhost).",
        )
    return text.rstrip("/").removesuffix("/v1")


def _is_this_machine(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _first(*places: tuple[str | None, str]) -> Secret | None:
    return next((Secret(value.strip(), origin) for value, origin in places if value and value.strip()), None)
