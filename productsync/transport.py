"""How requests reach the API: loopback names without DNS, and retries that cannot charge twice."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import Enum

import httpx

TIMEOUT = httpx.Timeout(35.0, connect=10.0)
"""API Gateway itself gives up after 29 seconds; later than that there is no answer to wait for."""

UPLOAD_TIMEOUT = httpx.Timeout(120.0, connect=10.0)
"""The wait for one piece of a file to be taken, or for the answer after the last one; not for the whole upload."""

_NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
BUSY = frozenset({429, 502, 503, 504})
"""Answers that mean: not now."""


class Repeat(Enum):
    """When a request may be sent again.

    A call that was accepted may have been charged even though its answer was lost. So what carries no identity of its
    own, an idempotency key or a reference, is only repeated when it was surely not accepted.
    """

    IF_REFUSED = "if refused"
    """Only when no connection was made, or the API refused with 429 or 409: that is not charged (design section 2)."""
    ALWAYS = "always"
    """Also when the answer was lost: sent twice, it does and costs the same as sent once."""


class LoopbackTransport(httpx.BaseTransport):
    """Connects names under `.localhost` to 127.0.0.1, whatever the resolver makes of them.

    RFC 6761 gives all of them to the loopback address, but not every system's resolver knows. The Host header keeps the
    name, since the embedded API gateway, and the signature of an upload URL, go by it.
    """

    def __init__(self, inner: httpx.BaseTransport | None = None) -> None:
        self._inner = inner if inner is not None else httpx.HTTPTransport()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Sends the request on, to the loopback address where its host's name says so."""
        if request.url.scheme == "http" and request.url.host.endswith(".localhost"):
            request.url = request.url.copy_with(host="127.0.0.1")
        return self._inner.handle_request(request)

    def close(self) -> None:
        """Closes the connections."""
        self._inner.close()


@dataclass(frozen=True)
class Backoff:
    """Full jitter: each wait is drawn evenly between nothing and a limit that doubles (seconds).

    A `Retry-After` of the API is waited for in full, and the jitter after it; one of more than `patience` seconds is
    not, and the answer it came with is the answer.
    """

    attempts: int = 6
    base: float = 0.2
    limit: float = 5.0
    patience: float = 60.0
    draw: Callable[[], float] = random.random
    sleep: Callable[[float], None] = time.sleep
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def send(self, send: Callable[[], httpx.Response], repeat: Repeat) -> httpx.Response:
        """Calls `send` until an answer is final. Raises the last httpx.TransportError when there never was one."""
        for attempt in range(1, self.attempts + 1):
            is_last = attempt == self.attempts
            try:
                response = send()
            except httpx.TransportError as error:
                if is_last or not (repeat is Repeat.ALWAYS or isinstance(error, _NEVER_SENT)):
                    raise
                wait: float | None = self._jitter(attempt)
            else:
                wait = None if is_last else self._wait_after(response, attempt, repeat)
                if wait is None:
                    return response
                response.close()
            self.sleep(wait or 0.0)
        raise AssertionError("the last attempt either returns or raises")

    def _wait_after(self, response: httpx.Response, attempt: int, repeat: Repeat) -> float | None:
        """Seconds to wait before the next attempt, None when there should be none."""
        asked_for = response.headers.get("Retry-After")
        # A conflict that passes by itself, such as the same write still running, says when; the others stand.
        passes = response.status_code == 409 and asked_for is not None
        is_refusal = passes or response.status_code == 429
        if not (is_refusal or (repeat is Repeat.ALWAYS and response.status_code in BUSY)):
            return None
        asked = _retry_after(asked_for, self.now())
        return None if asked > self.patience else asked + self._jitter(attempt)

    def _jitter(self, attempt: int) -> float:
        return self.draw() * min(self.limit, self.base * 2.0 ** (attempt - 1))


def _retry_after(header: str | None, now: datetime) -> float:
    """Seconds that a `Retry-After` asks for, as a number or a date (RFC 9110, section 10.2.3). Nonsense asks for 0."""
    if header is None:
        return 0.0
    try:
        return max(0.0, float(header))
    except ValueError:
        pass
    try:
        at = parsedate_to_datetime(header)
    except ValueError:
        return 0.0
    return max(0.0, (at.replace(tzinfo=at.tzinfo or UTC) - now).total_seconds())


def loopback_mounts() -> dict[str, httpx.BaseTransport | None]:
    """Transports for what is on this machine: never through a proxy that the environment names for the rest."""
    return {f"all://{host}": LoopbackTransport() for host in ("localhost", "*.localhost", "127.0.0.1")}
