"""Waiting for what the platform does by itself."""

import time
from collections.abc import Callable
from typing import TypeVar

from productsync.failures import CommandFailure

EVERY = 0.25
"""Seconds between two looks."""

PATIENCE = 60.0
"""Seconds after which what has not come is given up, where nothing else is said."""

Found = TypeVar("Found")


class DidNotComeAbout(CommandFailure):
    """The platform did not do what it does by itself."""


def until(what: str, look: Callable[[], Found | None], patience: float = PATIENCE) -> Found:
    """Looks again and again, and answers with what was found. Raises DidNotComeAbout after `patience` seconds."""
    deadline = time.monotonic() + patience
    while (found := look()) is None:
        if time.monotonic() >= deadline:
            raise DidNotComeAbout(f"{what} did not come about", f"waited for {patience:.0f} s")
        time.sleep(EVERY)
    return found
