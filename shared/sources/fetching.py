"""What fetching from any kind of source has in common: what is asked, what comes of it, how long it may take."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from shared.sources.errors import SourceFailed

_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True)
class Validators:
    """What a source gave along with a file, to be asked by whether that is still the file (RFC 9110, section 8.8). Both
    blank where it gave nothing: then the file cannot be told from another.
    """

    etag: str = ""
    last_modified: str = ""

    @property
    def tell_something(self) -> bool:
        return bool(self.etag or self.last_modified)


NOTHING_KNOWN = Validators()


@dataclass(frozen=True, slots=True)
class Fetched:
    """The file was written where it was asked for."""

    validators: Validators


@dataclass(frozen=True, slots=True)
class Unmodified:
    """The source still holds the file that the validators are of; nothing was written."""


FetchOutcome = Fetched | Unmodified


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a source may take, in seconds: to let itself be connected to, to send anything at all, and altogether.
    Of the preparer's 15 minutes the whole leaves twice as much for the file itself.

    `grace` seconds after an answer has begun, it has to have come with `least_rate` bytes a second on average, and so
    from then on. Whoever waits for a file holds one of the few preparers, and pays nothing for it: one that trickles
    would hold it for all the time that there is. Any connection that files are sent over is far faster.

    A failure that may pass is tried again, `attempts` times in all, after pauses with full jitter.
    """

    connect: float = 10.0
    read: float = 30.0
    total: float = 300.0
    grace: float = 30.0
    least_rate: int = 10_000
    attempts: int = 4
    pause: float = 1.0
    sleep: Callable[[float], None] = time.sleep

    def begin(self) -> Deadline:
        return Deadline(self.total)

    def pace(self) -> Pace:
        return Pace(self.grace, self.least_rate)

    def tried(self, attempt: Callable[[], _Answer], deadline: Deadline) -> _Answer:
        """What `attempt` gives, tried again while its failure may pass and time is left. Raises SourceFailed."""
        for number in range(1, self.attempts + 1):
            try:
                return attempt()
            except SourceFailed as failure:
                pause = random.uniform(0, self.pause * 2 ** (number - 1))  # noqa: S311 - jitter, not a secret
                if not failure.passing or number == self.attempts or pause >= deadline.left():
                    raise
            self.sleep(pause)
        raise AssertionError("a source is tried once at least")


@dataclass(slots=True)
class Deadline:
    """The moment at which the patience with a source ends."""

    seconds: float
    _ends_at: float = field(init=False)

    def __post_init__(self) -> None:
        self._ends_at = time.monotonic() + self.seconds

    def left(self) -> float:
        """The seconds that are left, 0 when it is over."""
        return max(0.0, self._ends_at - time.monotonic())

    def check(self) -> None:
        """Raises SourceFailed when the time is over."""
        if self.left() == 0:
            raise too_slow(f"the file was not there after {self.seconds:g} seconds, which is all that it may take")


@dataclass(slots=True)
class Pace:
    """How fast one answer comes, from its first byte on."""

    grace: float
    least_rate: int
    _began_at: float | None = None
    _received: int = 0

    def came(self, size: int) -> None:
        """Counts bytes that came. Raises SourceFailed when they are too few by now."""
        now = time.monotonic()
        if self._began_at is None:
            self._began_at = now
        self._received += size
        seconds = now - self._began_at
        if seconds > self.grace and self._received < seconds * self.least_rate:
            detail = (
                f"{self._received:,} bytes came in {seconds:.0f} seconds; from {self.grace:g} seconds on, "
                f"{self.least_rate:,} a second are the least"
            )
            # Not tried again: each try would hold a preparer for as long.
            raise SourceFailed("source_slow", detail)


def too_slow(detail: str) -> SourceFailed:
    return SourceFailed("source_timeout", detail, passing=True)


def too_large(size: str, limit: int) -> SourceFailed:
    return SourceFailed("source_too_large", f"the file has {size} bytes; a feed may have {limit:,}")


def write_bounded(chunks: Iterable[bytes], target: Path, limit: int, deadline: Deadline) -> None:
    """Writes what comes into `target`, from its beginning. Raises SourceFailed when it is too much, or takes too
    long.
    """
    size = 0
    with target.open("wb") as file:
        for chunk in chunks:
            size += len(chunk)
            if size > limit:
                raise too_large(f"more than {limit:,}", limit)
            deadline.check()
            file.write(chunk)
