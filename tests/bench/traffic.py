"""Calls per second that the deployed platform answers: through API Gateway, the authorizer and the API's function.

An error of any kind fails the bench, and so does a credit that was taken and not told of, or told of and not taken.
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import httpx

from productsync.transport import LoopbackTransport
from tests.bench.feed import attributes_of, key_of
from tests.bench.report import Figure, exactly
from tests.support.api import Caller, expect, top_up

if TYPE_CHECKING:
    from productsync.stack import EmbeddedStack

ONE, SOME, MANY = CLIENTS = (1, 8, 32)
SECONDS = 3.0
"""How long each number of clients calls for."""
WARM_UP = 10
"""Calls that each of `MANY` clients makes before anything is measured, in each kind of work: so that the embedded AWS
has started as many functions as it will need.
"""
RECORDS = 100
CREDITS = 1_000_000
PATIENCE_SECONDS = 60.0

Call = Callable[[httpx.Client], httpx.Response]


@dataclass(slots=True)
class Traffic:
    """What some clients were answered: how long each call took in seconds, which failed and how, and the credits that
    the answers told of. `seconds` is wall time, `embedded` the processor time of the embedded AWS itself, without the
    functions that it runs; None where the system does not tell.
    """

    taken: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    credits: int = 0
    seconds: float = 0.0
    embedded: float | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)


class Bench:
    """A workspace on the deployed platform, and clients that have its key."""

    def __init__(self, stack: EmbeddedStack) -> None:
        self._pid = stack.state.pid
        operator = Caller(stack.endpoint, stack.operator_key)
        opened = expect(operator("POST", "/workspaces", {"name": "bench"}), 201).json()
        self._customer = Caller(stack.endpoint, opened["api_key"]["secret"], opened["workspace_id"])
        top_up(operator, self._customer, CREDITS)
        self._numbers = count(RECORDS)
        with self._client() as client:
            for number in range(RECORDS):
                self._put(client, number).raise_for_status()

    def figures(self) -> Iterator[Figure]:
        """Each kind of work, by more and more clients."""
        before, told = self._customer.available(), 0
        works: dict[str, Call] = {"reads": self._read, "writes": self._write, "a mix": self._mixed}
        for call in works.values():
            warmed = self._drive(call, MANY, lambda made, _seconds: made < WARM_UP)
            assert not warmed.errors, warmed.errors
            told += warmed.credits
        for what, call in works.items():
            for clients in CLIENTS:
                traffic = self._drive(call, clients, lambda _made, seconds: seconds < SECONDS)
                told += traffic.credits
                yield from _told(f"{what}, {clients} at a time", traffic)
        taken = before - self._customer.available()
        yield exactly("credits that were taken, as many as the answers had told", taken, told)

    def _drive(self, call: Call, clients: int, goes_on: Callable[[int, float], bool]) -> Traffic:
        """Lets so many clients call, each one call after the other, for as long as it goes on: by how many calls it has
        made, and the seconds since it began.
        """
        traffic, ready = Traffic(), threading.Barrier(clients)

        def work(_number: int) -> None:
            with self._client() as client:
                ready.wait()
                start, made = time.perf_counter(), 0
                while goes_on(made, time.perf_counter() - start):
                    _make(call, client, traffic)
                    made += 1

        start, busy = time.perf_counter(), _processor_seconds(self._pid)
        with ThreadPoolExecutor(clients) as pool:
            list(pool.map(work, range(clients)))
        traffic.seconds = time.perf_counter() - start
        busy_now = _processor_seconds(self._pid)
        if busy is not None and busy_now is not None:
            traffic.embedded = busy_now - busy
        return traffic

    def _client(self) -> httpx.Client:
        return httpx.Client(
            base_url=f"{self._customer.endpoint}/v1",
            headers={"Authorization": f"Bearer {self._customer.key}"},
            transport=LoopbackTransport(),
            timeout=PATIENCE_SECONDS,
        )

    def _read(self, client: httpx.Client) -> httpx.Response:
        return client.get(f"/records/product/{key_of(next(self._numbers) % RECORDS, 'T')}")

    def _write(self, client: httpx.Client) -> httpx.Response:
        return self._put(client, next(self._numbers))

    def _mixed(self, client: httpx.Client) -> httpx.Response:
        """Every other one is a write, and one in ten a page of a listing."""
        number = next(self._numbers)
        if number % 2:
            return self._write(client)
        return self._read(client) if number % 10 else client.get("/records/product", params={"limit": 50})

    def _put(self, client: httpx.Client, number: int) -> httpx.Response:
        return client.put(f"/records/product/{key_of(number, 'T')}", json={"attributes": attributes_of(number, 0, "T")})


def _told(name: str, traffic: Traffic) -> Iterator[Figure]:
    yield Figure(f"{name}: calls per second", len(traffic.taken) / traffic.seconds, digits=1)
    yield Figure(f"{name}: a call takes (median)", median(traffic.taken) * 1000, "ms")
    if traffic.embedded is not None:
        busy = traffic.embedded / traffic.seconds
        yield Figure(f"{name}: the embedded AWS itself, on a processor", busy * 100, "%")
    yield exactly(f"{name}: errors", len(traffic.errors), 0)
    for error, times in Counter(traffic.errors).most_common(3):
        yield Figure(f"of these {error}", times)


def _make(call: Call, client: httpx.Client, traffic: Traffic) -> None:
    start = time.perf_counter()
    try:
        response = call(client)
    except httpx.HTTPError as error:
        with traffic.lock:
            traffic.errors.append(type(error).__name__)
        return
    seconds = time.perf_counter() - start
    with traffic.lock:
        traffic.credits += int(response.headers.get("X-Credits-Charged", 0))
        if response.is_success:
            traffic.taken.append(seconds)
        else:
            traffic.errors.append(f"{response.status_code}: {response.text[:100]}")


def _processor_seconds(pid: int) -> float | None:
    """Processor time of one process so far, where the system tells it in files."""
    status = Path(f"/proc/{pid}/stat")
    if not status.exists():
        return None
    # Behind the command's name, which may hold anything, comes the state; user and system time are 12th and 13th.
    fields = status.read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
