"""Waiting for what other processes do."""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENCE_SECONDS = 60.0
"""How long what never comes is waited for; nothing is measured by it."""


def until(condition: Callable[[], object], patience: float = PATIENCE_SECONDS) -> None:
    """Asks again and again until the condition holds, for up to `patience` seconds."""
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.1)
