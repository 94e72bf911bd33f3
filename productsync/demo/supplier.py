"""A supplier whose stock is a file on a web server of this machine, and changes."""

import csv
import hashlib
import io
import threading
from collections.abc import Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self, cast

PRODUCTS = 3_000
SOLD = 2_500

ENTITY = "product"
PATH = "/stock.csv"

_KEPT = 6
"""One product of so many is not sold."""

_KINDS = ("Mug", "Bowl", "Jug", "Plate", "Vase", "Tray", "Carafe")
_COLOURS = ("white", "sand", "slate", "moss", "rust")


def stock_at_first() -> dict[str, int]:
    """How many there are of each product, by its key."""
    return {f"ST-{number:05d}": 5 + number * 7 % 40 for number in range(1, PRODUCTS + 1)}


def after_sales(stock: Mapping[str, int]) -> dict[str, int]:
    """The same later: one was sold of 2,500 of the 3,000 products, all over the file; the last is among them."""
    return {sku: count - (place % _KEPT != 0) for place, (sku, count) in enumerate(stock.items())}


def stock_file(stock: Mapping[str, int]) -> bytes:
    """The stock as the supplier's CSV file."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(["SKU", "Name", "Stock"])
    writer.writerows([sku, _name(place), count] for place, (sku, count) in enumerate(stock.items()))
    return text.getvalue().encode()


def definition(url: str) -> dict[str, Any]:
    """The feed that pulls the file. It maps a product's name and stock, and leaves alone what else a record has."""
    return {
        "format": {"type": "csv"},
        "source": {"type": "http", "url": url},
        "entities": [
            {
                "entity": ENTITY,
                "key": "SKU",
                "attributes": {"name": "Name", "stock": {"from": "Stock", "type": "integer"}},
            }
        ],
        "skip_unchanged": True,
    }


class Supplier:
    """The server, on a free port of loopback. As a context manager it stops when the block ends."""

    def __init__(self, stock: Mapping[str, int]) -> None:
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
        self.offers(stock)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}{PATH}"

    def offers(self, stock: Mapping[str, int]) -> None:
        """Puts another stock on the server, from the next request on."""
        self._server.file = stock_file(stock)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    file = b""


class _Handler(BaseHTTPRequestHandler):
    """Gives the file to whoever does not have it yet."""

    def do_GET(self) -> None:
        file = cast("_Server", self.server).file
        if self.path != PATH:
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        etag = f'"{hashlib.sha256(file).hexdigest()[:16]}"'
        has_it = self.headers.get("If-None-Match") == etag
        self.send_response(HTTPStatus.NOT_MODIFIED if has_it else HTTPStatus.OK)
        self.send_header("ETag", etag)
        if not has_it:
            self.send_header("Content-Type", "text/csv; charset=utf-8")
            self.send_header("Content-Length", str(len(file)))
        self.end_headers()
        if not has_it:
            self.wfile.write(file)

    def log_message(self, _format: str, *_arguments: Any) -> None:
        """Says nothing: the terminal is the demo's."""


def _name(place: int) -> str:
    return f"{_KINDS[place % len(_KINDS)]}, {_COLOURS[place % len(_COLOURS)]}, no. {place + 1}"
