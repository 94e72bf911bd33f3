"""A bad network on loopback: a proxy before the API that loses, delays and doubles what goes through it.

What becomes of a request is drawn from the seed, the write that it belongs to and how often that was sent before: the
same for every run, however threads take turns. A write is spoilt three times at most, so that who tries four times gets
through.
"""

from __future__ import annotations

import hashlib
import random
import socket
import threading
import time
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import httpx

MOST_SPOILT = 3
"""How often one write is kept from being answered."""

_NOT_PASSED_ON = {"connection", "content-length", "date", "host", "server", "transfer-encoding"}
_MOST_SECONDS_LATE = 0.05
_PATIENCE_SECONDS = 60


class Fate(StrEnum):
    """What becomes of a request."""

    PASSED = "passed on"
    LOST = "lost on the way there"
    ANSWER_LOST = "carried out, and the answer lost"
    LATE = "lost, and carried out after its retry"
    SLOW = "delayed there and back"
    TWICE = "carried out twice, one after the other"
    AT_ONCE = "carried out twice at once"


WEIGHTS = {
    Fate.PASSED: 40,
    Fate.LOST: 12,
    Fate.ANSWER_LOST: 14,
    Fate.LATE: 8,
    Fate.SLOW: 10,
    Fate.TWICE: 8,
    Fate.AT_ONCE: 8,
}

_SPOILS = {Fate.LOST, Fate.ANSWER_LOST, Fate.LATE, Fate.AT_ONCE}
"""Fates after which the client has to try again, or may have to: of two at once, one may be told to wait."""


class BadNetwork:
    """The proxy. As a context manager it stops when the block ends."""

    def __init__(self, upstream: str, seed: int) -> None:
        self.counts: Counter[Fate] = Counter()
        self._upstream = upstream
        self._seed = seed
        self._lock = threading.Lock()
        self._sent: Counter[str] = Counter()
        self._spoilt: Counter[str] = Counter()
        self._late: defaultdict[str, list[httpx.Request]] = defaultdict(list)
        limits = httpx.Limits(max_connections=64, max_keepalive_connections=64)
        self._http = httpx.Client(timeout=_PATIENCE_SECONDS, limits=limits)
        self._pool = ThreadPoolExecutor(16)
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def endpoint(self) -> str:
        """The API's base URL, through this network."""
        return f"http://127.0.0.1:{self._server.server_port}{urlsplit(self._upstream).path}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._pool.shutdown()
        self._http.close()

    def deliver_the_rest(self) -> None:
        """Lets everything arrive that is still on its way."""
        for write in list(self._late):
            self._deliver_late(write)

    def carry(self, method: str, path: str, headers: dict[str, str], body: bytes) -> httpx.Response | None:
        """Takes a request to the API, or not, and gives the answer that gets back; None when none does."""
        kept = {name: value for name, value in headers.items() if name.lower() not in _NOT_PASSED_ON}
        parts = urlsplit(self._upstream)
        request = self._http.build_request(
            method, f"{parts.scheme}://{parts.netloc}{path}", headers=kept, content=body or None
        )
        write = _write_of(request, headers)
        fate, luck = self._fate(write)
        if fate is Fate.LOST:
            return None
        if fate is Fate.LATE:
            with self._lock:
                self._late[write].append(request)
            return None
        answer = self._carried(request, fate, luck)
        # The packet that was lost turns up now, when nobody waits for it any more.
        self._deliver_late(write)
        return answer

    def _carried(self, request: httpx.Request, fate: Fate, luck: random.Random) -> httpx.Response | None:
        if fate is Fate.SLOW:
            time.sleep(luck.uniform(0, _MOST_SECONDS_LATE))
            answer = self._send(request)
            time.sleep(luck.uniform(0, _MOST_SECONDS_LATE))
            return answer
        if fate is Fate.TWICE:
            return luck.choice([self._send(request), self._send(request)])
        if fate is Fate.AT_ONCE:
            return luck.choice(list(self._pool.map(self._send, [request, request])))
        answer = self._send(request)
        return None if fate is Fate.ANSWER_LOST else answer

    def _send(self, request: httpx.Request) -> httpx.Response:
        content = request.read()
        again = self._http.build_request(request.method, request.url, headers=request.headers, content=content)
        return self._http.send(again)

    def _deliver_late(self, write: str) -> None:
        with self._lock:
            late = self._late.pop(write, [])
        for request in late:
            self._send(request)

    def _fate(self, write: str) -> tuple[Fate, random.Random]:
        with self._lock:
            number = self._sent[write]
            self._sent[write] += 1
            luck = random.Random(f"{self._seed} {write} {number}")
            (fate,) = luck.choices(list(WEIGHTS), list(WEIGHTS.values()))
            if fate in _SPOILS:
                if self._spoilt[write] == MOST_SPOILT:
                    fate = Fate.PASSED
                else:
                    self._spoilt[write] += 1
            self.counts[fate] += 1
        return fate, luck


def _write_of(request: httpx.Request, headers: dict[str, str]) -> str:
    """Which write a request is an attempt at: the same for every attempt, and in every run of a test."""
    key = next((value for name, value in headers.items() if name.lower() == "idempotency-key"), "")
    digest = hashlib.sha256(request.read()).hexdigest()
    return key or f"{request.method} {request.url.path.rpartition('/v1/')[2]} {digest}"


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, network: BadNetwork) -> None:
        self.network = network
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def _carry(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        answer = self.server.network.carry(self.command, self.path, dict(self.headers.items()), body)
        if answer is None:
            # No answer, and no line any more: as when a router on the way has died.
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self.send_response(answer.status_code)
        for name, value in answer.headers.multi_items():
            if name.lower() not in _NOT_PASSED_ON:
                self.send_header(name, value)
        if answer.status_code != 204:
            self.send_header("Content-Length", str(len(answer.content)))
        self.end_headers()
        self.wfile.write(answer.content)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _carry  # noqa: N815 - the names are the library's

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the same
        """Says nothing."""
