"""`productsync`: the command line. It talks to the HTTP API only, of the embedded stack or of a deployment."""

import sys
from importlib.metadata import version
from io import TextIOWrapper
from typing import Annotated

import typer

from productsync.commands import (
    audits,
    balance,
    demo,
    exports,
    feeds,
    grants,
    imports,
    keys,
    operations,
    people,
    records,
    rules,
    runs,
    schedules,
    stack,
    table_exports,
    usage,
    workspaces,
)
from productsync.commands.session import Session, in_session

app = typer.Typer(
    name="productsync",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_show_locals=False,  # locals hold keys
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(version("productsync"))
        raise typer.Exit


@app.callback()
@in_session
def productsync(
    session: Session,  # noqa: ARG001  the shared options before a command are all that happens here
    show_version: Annotated[  # noqa: ARG001  its callback does it
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Product catalogues that keep themselves in step, and pay for it one automation credit at a time.

    Every record that an import creates or updates costs 1 credit, and so does each data call to the API
    (starting a run, reading records). Looking at balances, logs, feeds and dry runs is free.

    Begin with `productsync up`, `productsync workspaces create NAME` and
    `productsync import FILE --preset shopify --dry-run`.

    Exit codes: 0 done, 1 a problem, 2 usage, 3 a run failed or was cancelled, 4 a run is paused, 130 interrupted.
    """
    for stream in (sys.stdout, sys.stderr):
        # Supplier data may hold what a terminal's encoding cannot spell; that must not end a command.
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


app.add_typer(stack.app)
app.add_typer(demo.app)
app.add_typer(imports.app)
app.add_typer(balance.app)
app.add_typer(balance.account, name="credits")
app.add_typer(grants.app, name="grants")
app.add_typer(runs.app, name="runs")
app.add_typer(usage.app)
app.add_typer(operations.app, name="operations")
exports.app.add_typer(table_exports.app)
app.add_typer(exports.app, name="export")
app.add_typer(audits.app, name="audit")
app.add_typer(records.app, name="records")
app.add_typer(feeds.app, name="feeds")
app.add_typer(schedules.app, name="schedules")
app.add_typer(rules.app, name="rules")
app.add_typer(workspaces.app, name="workspaces")
app.add_typer(keys.app, name="keys")
app.add_typer(people.app, name="people")
app.add_typer(people.own)

if __name__ == "__main__":
    app()
