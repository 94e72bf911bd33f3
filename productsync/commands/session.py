"""What all commands share: the options that every one of them takes, and what they make of them."""

import functools
import inspect
import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Concatenate, ParamSpec, get_type_hints

import typer

from productsync.client import Client
from productsync.failures import CommandFailure
from productsync.output import Output
from productsync.settings import API_KEY_VARIABLE, ENDPOINT_VARIABLE, OPERATOR_KEY_VARIABLE, Connection, Options
from productsync.settings import connect as connect_to
from productsync.settings import home as home_of

PANEL = "Everywhere"

JsonOption = Annotated[
    bool,
    typer.Option("--json", help="Print the API's answer, as JSON, and nothing else.", rich_help_panel=PANEL),
]
EndpointOption = Annotated[
    str | None,
    typer.Option(
        "--endpoint",
        metavar="URL",
        help=f"The API; default: {ENDPOINT_VARIABLE}, then the running embedded stack.",
        rich_help_panel=PANEL,
    ),
]
ApiKeyOption = Annotated[
    str | None,
    typer.Option(
        "--api-key",
        metavar="KEY",
        help=f"A workspace's key; default: {API_KEY_VARIABLE}, then the last workspace made on the embedded stack.",
        rich_help_panel=PANEL,
    ),
]
OperatorKeyOption = Annotated[
    str | None,
    typer.Option(
        "--operator-key",
        metavar="KEY",
        help=f"For workspaces and top-ups; default: {OPERATOR_KEY_VARIABLE}, then the embedded stack's.",
        rich_help_panel=PANEL,
    ),
]

Parameters = ParamSpec("Parameters")


@dataclass(frozen=True)
class Session:
    """One invocation of the command line."""

    as_json: bool = False
    options: Options = field(default_factory=Options)
    subcommand: str | None = None
    """The command that follows, where a group of commands is what runs now."""

    @functools.cached_property
    def output(self) -> Output:
        """Where it writes."""
        return Output(as_json=self.as_json)

    @property
    def home(self) -> Path:
        """The checkout whose embedded stack it knows."""
        return home_of(os.environ)

    def connection(self) -> Connection:
        """Where the API is. Raises NotConnected."""
        return connect_to(self.options, os.environ, self.home)

    def client(self) -> Client:
        """A client of that API. Raises NotConnected."""
        return Client(self.connection())


def session_of(context: typer.Context) -> Session:
    """The session as the options before and between the commands have made it so far."""
    found = context.find_object(Session)
    return found if found is not None else Session()


def in_session(command: Callable[Concatenate[Session, Parameters], None]) -> Callable[..., None]:
    """Gives a command the shared options besides its own, and a Session in their place.

    So `productsync --json credits` and `productsync credits --json` are the same, and a command cannot forget one.
    It is also the one place where a failure becomes an exit code.
    """
    hints = get_type_hints(command, include_extras=True)
    own = list(inspect.signature(command).parameters.values())[1:]
    shared = {
        "as_json": (JsonOption, False),
        "endpoint": (EndpointOption, None),
        "api_key": (ApiKeyOption, None),
        "operator_key": (OperatorKeyOption, None),
    }

    @functools.wraps(command)
    def run(context: typer.Context, **given: Any) -> None:
        chosen = {name: given.pop(name) for name in shared}
        session = _merge(session_of(context), chosen, context.invoked_subcommand)
        context.obj = session
        try:
            command(session, **given)  # type: ignore[call-arg]  # typer passes the command's own options by name
        except CommandFailure as failure:
            session.output.failure(failure)
            raise typer.Exit(failure.exit_code) from failure

    keyword = inspect.Parameter.KEYWORD_ONLY
    parameters = [
        inspect.Parameter("context", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context),
        *(parameter.replace(kind=keyword, annotation=hints[parameter.name]) for parameter in own),
        *(
            inspect.Parameter(name, keyword, annotation=annotation, default=default)
            for name, (annotation, default) in shared.items()
        ),
    ]
    run.__dict__["__signature__"] = inspect.Signature(parameters)
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run


def _merge(session: Session, chosen: dict[str, Any], subcommand: str | None) -> Session:
    """What stands later on the command line wins; what it leaves open stays as it was."""
    options = {name: chosen[name] for name in ("endpoint", "api_key", "operator_key") if chosen[name]}
    return replace(
        session,
        as_json=session.as_json or chosen["as_json"],
        options=replace(session.options, **options),
        subcommand=subcommand,
    )
