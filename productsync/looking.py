"""How often to look at what the platform does by itself."""

from collections.abc import Callable, Iterator

FIRST_WAIT, LAST_WAIT, WAIT_GROWTH = 0.2, 2.0, 1.3
"""Seconds between two looks: often at first, since most things are short, then less so."""

Sleep = Callable[[float], None]


def waits() -> Iterator[float]:
    """The seconds to wait before each look, without an end."""
    wait = FIRST_WAIT
    while True:
        yield wait
        wait = min(LAST_WAIT, wait * WAIT_GROWTH)
