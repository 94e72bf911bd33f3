"""A supplier's server on loopback: it answers as it is told to, and that may be badly.

An answer is a function that is given the request and the line to the one who asks. What it does not send is not sent:
no framework mends it.
"""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self


@dataclass(frozen=True)
class Asked:
    """A request as it came."""

    path: str
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Line:
    """The line to somebody who asks. `closing` is set when the server stops."""

    socket: socket.socket
    closing: threading.Event

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)


Answer = Callable[[Asked, Line], None]


def says(status: int, body: bytes = b"", **headers: str) -> Answer:
    """A proper answer; names of headers with `_` for `-`."""
    lines = {"Content-Length": str(len(body))} | {name.replace("_", "-"): value for name, value in headers.items()}

    def answer(_asked: Asked, line: Line) -> None:
        line.send(head(status, **lines) + (b"" if status == 304 else body))

    return answer


def head(status: int, **headers: str) -> bytes:
    """The beginning of an answer."""
    lines = [f"HTTP/1.1 {status} So"] + [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def with_etag(body: bytes, etag: str) -> Answer:
    """A file that is only sent to those who do not have it."""

    def answer(asked: Asked, line: Line) -> None:
        fresh = asked.headers.get("if-none-match") != etag
        (says(200, body, ETag=etag) if fresh else says(304, ETag=etag))(asked, line)

    return answer


class Supplier:
    """The server. Answers of a list are given one after the other, the last one again and again.

    As a context manager it stops when the block ends, and with it every connection.
    """

    def __init__(self, *answers: Answer, tls: ssl.SSLContext | None = None) -> None:
        self.answers = list(answers)
        self.asked: list[Asked] = []
        self.connections = 0
        self._tls = tls
        self._closing = threading.Event()
        self._lines: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]

    def url(self, path: str = "/stock.csv", host: str = "localhost") -> str:
        return f"{'https' if self._tls else 'http'}://{host}:{self.port}{path}"

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        # Shut down before it is closed: closing alone does not wake the thread that waits for connections.
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        with self._lock:
            for connection in self._lines:
                _shut(connection)
        for thread in self._threads:
            thread.join()

    def _start(self, target: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            with self._lock:
                self.connections += 1
                self._lines.add(connection)
            self._start(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        try:
            with self._secured(connection) as line:
                if isinstance(line, ssl.SSLSocket):
                    line.do_handshake()
                asked = _read(line)
                with self._lock:
                    self.asked.append(asked)
                    answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
                answer(asked, Line(line, self._closing))
                # The rest of what was sent is let through before the connection is gone.
                line.shutdown(socket.SHUT_WR)
                line.recv(1)
        except OSError:
            # Whoever asked has had enough, or the server stops.
            return

    def _secured(self, connection: socket.socket) -> socket.socket:
        if self._tls is None:
            return connection
        secured = self._tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        with self._lock:
            self._lines.discard(connection)
            self._lines.add(secured)
        return secured


def _read(line: socket.socket) -> Asked:
    received = b""
    while b"\r\n\r\n" not in received:
        more = line.recv(65536)
        if not more:
            raise ConnectionResetError
        received += more
    first, *rest = received.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
    headers = (each.partition(":") for each in rest)
    return Asked(first.split(" ")[1], {name.lower(): value.strip() for name, _, value in headers})


def _shut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return
