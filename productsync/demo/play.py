"""The three acts and a last look, on an embedded stack that is started for them and stopped after them."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from productsync.answers import Workspace
from productsync.client import Client
from productsync.demo import supplier
from productsync.demo.books_act import BooksAct, books
from productsync.demo.figures import CheckedFigures
from productsync.demo.import_act import ImportAct, import_generated, import_of_the_user
from productsync.demo.person import EMAIL, sign_in
from productsync.demo.rules_act import STEPS as RULE_STEPS
from productsync.demo.rules_act import RulesAct, rules
from productsync.demo.sync_act import STEPS as SYNC_STEPS
from productsync.demo.sync_act import SyncAct, copy_state, prepare_sync, sync
from productsync.failures import shown_once
from productsync.output import Output, number
from productsync.settings import Connection, Secret
from productsync.stack import EmbeddedStack


def run_demo(output: Output, feed: Path | None, preset: str | None) -> None:
    """Plays the demo on an embedded stack that ends with it: all acts, or the import alone of a file of the user's.

    Raises WrongFigures when something cost other than it has to, RunDidNotFinish and DidNotComeAbout when something
    did not happen that has to.
    """
    figures = CheckedFigures()
    with tempfile.TemporaryDirectory(prefix="productsync-demo-") as directory:
        folder = Path(directory)
        with _stack(output, folder / "stack") as stack:
            if feed is None:
                document = _all_acts(output, figures, stack, folder)
            else:
                with _workspace(output, stack, "Demo") as (client, workspace):
                    act = ImportAct(client, workspace["credits"]["available"], output, figures)
                    document = import_of_the_user(act, feed, preset)
            if output.as_json:
                output.answer({**document, "wrong": figures.wrong})
    figures.settle()
    output.line()
    output.line("Every figure is what it has to be: the runs, the log and the balance agree to the last credit.")


def _all_acts(output: Output, figures: CheckedFigures, stack: EmbeddedStack, folder: Path) -> dict[str, object]:
    """A schedule takes a minute to fire. So the last act is set up first, and the others are played meanwhile."""
    output.heading("Set up for later: a shop that syncs with its supplier every minute")
    with _shop(output, figures, stack) as shop:
        prepared = prepare_sync(shop)
        output.heading("FIRST ACT: an import (while the minute passes)")
        with _workspace(output, stack, "Demo") as (client, workspace):
            act = ImportAct(client, workspace["credits"]["available"], output, figures)
            imported = import_generated(act, folder)
        output.heading("SECOND ACT: a rule (the minute still passes)")
        with _workspace(output, stack, "Rules") as (client, workspace):
            rules_act = RulesAct(client, workspace["credits"]["available"], output, figures)
            ruled = rules(rules_act, folder, steps_before=len(act.steps))
        output.heading("THIRD ACT: the credits end in the middle of a sync")
        synced = sync(shop, prepared, steps_before=len(act.steps) + RULE_STEPS)
        output.heading("LAST LOOK: where the credits went")
        last = BooksAct(shop.operator, synced["credits"], synced["operations"], output, figures)
        booked = books(last, folder / "books", steps_before=len(act.steps) + RULE_STEPS + SYNC_STEPS)
        return {**imported, "rules": ruled, "sync": synced, "books": booked}


@contextmanager
def _stack(output: Output, directory: Path) -> Iterator[EmbeddedStack]:
    with output.stage("Starting an embedded stack for the demo alone") as stage:
        stack = EmbeddedStack.start(directory)
        stage.done(stack.endpoint)
    try:
        yield stack
    finally:
        with output.stage("Stopping it") as stage:
            stack.stop()


@contextmanager
def _workspace(output: Output, stack: EmbeddedStack, name: str) -> Iterator[tuple[Client, Workspace]]:
    """A new workspace, and a client with its key."""
    operator_key = Secret(stack.operator_key, "the demo's stack")
    with output.stage("Creating a workspace") as stage:
        with Client(Connection(stack.endpoint, None, operator_key, None)) as operator:
            workspace = operator.workspaces.create(name).body
        free = workspace["credits"]["available"]
        stage.done(f"{workspace['workspace_id']}, with {number(free)} free credits")
    secret = shown_once(workspace["api_key"]["secret"], "The demo's workspace", hint="Play the demo again.")
    api_key = Secret(secret, "the demo's workspace")
    with Client(Connection(stack.endpoint, api_key, operator_key, None)) as client:
        yield client, workspace


@contextmanager
def _shop(output: Output, figures: CheckedFigures, stack: EmbeddedStack) -> Iterator[SyncAct]:
    """A supplier's server, a workspace, and a person who has signed in to it."""
    with (
        supplier.Supplier(supplier.stock_at_first()) as server,
        _workspace(output, stack, "Shop") as (client, workspace),
    ):
        with output.stage("Signing in as a person") as stage:
            token = sign_in(stack, client, workspace["workspace_id"])
            stage.done(f"{EMAIL}: what people do by hand is free")
        with Client(Connection(stack.endpoint, token, None, None)) as person:
            yield SyncAct(
                person=person,
                operator=client,
                workspace_id=workspace["workspace_id"],
                free=workspace["credits"]["available"],
                supplier=server,
                copy_state=copy_state(stack, workspace["workspace_id"]),
                output=output,
                figures=figures,
            )
