"""`productsync demo`."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from productsync.commands.session import Session, in_session
from productsync.importing import NoDefinition

app = typer.Typer()


@app.command()
@in_session
def demo(
    session: Session,
    feed: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, readable=True, metavar="FILE", help="A file of yours to import."),
    ] = None,
    preset: Annotated[str | None, typer.Option(help="How to read it: shopify, woocommerce, ...")] = None,
) -> None:
    """The main job from end to end, on an embedded stack that is started for it and stopped after it.

    First an import: its preview, the import, the same file again, a few changes, and where every credit went. Then a
    rule that a new price list sets off. Then a schedule whose credits end in the middle of a sync, and a top-up that
    lets it go on. A figure that is not what it has to be makes it fail. With a file of yours it is the import alone.
    A stack that is up is left alone.
    """
    if (feed is None) != (preset is None):
        raise NoDefinition("A file and how to read it go together", "give both --feed and --preset, or neither")
    from productsync.demo import run_demo  # noqa: PLC0415  it loads the stack, which no other command needs

    with _orderly_end():
        run_demo(session.output, feed, preset)


@contextmanager
def _orderly_end() -> Iterator[None]:
    """Whatever asks this process to end, it leaves as it does at Ctrl-C, so that the stack is not left behind."""
    before = {number: signal.signal(number, _interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
