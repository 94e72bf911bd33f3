"""Faults between clients and AWS, which no emulator produces by itself: hung on the events that botocore offers.

A `Line` numbers every request that its clients make and asks a script what becomes of it. A fault is a function that
is given the request and a way to really send it; it answers in AWS's stead, or raises.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from io import BytesIO
from typing import TYPE_CHECKING, Any

from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.exceptions import ConnectTimeoutError, ReadTimeoutError
from botocore.httpsession import URLLib3Session

if TYPE_CHECKING:
    from botocore.awsrequest import AWSPreparedRequest

Send = Callable[[], AWSResponse]
Fault = Callable[["AWSPreparedRequest", Send], AWSResponse]
MOST_REQUESTS = 200
"""More than any story makes on one line: a worker that goes round in circles fails, and does not hang."""

Script = Callable[[int, str], Fault | None]
"""Decides on a request by its number and operation (`TransactWriteItems`); None lets it pass."""


class Killed(BaseException):
    """The process ends here. Not an Exception: nothing in a process survives its end."""


class Line:
    """The line between some clients and AWS. Once somebody was killed on it, nobody gets through any more."""

    def __init__(self, *clients: Any, script: Script = lambda _index, _operation: None) -> None:
        self.requests: list[str] = []
        self.script = script
        self._dead = False
        self._lock = threading.Lock()
        self._here = threading.local()
        self._http = URLLib3Session(max_pool_connections=32)
        for client in clients:
            client.meta.events.register("before-send", self._send)
            client.meta.events.register("after-call", self._answered)

    def die_after_answer(self, _request: AWSPreparedRequest, send: Send) -> AWSResponse:
        """A fault: the answer arrives, and the process ends before it does anything with it."""
        self._here.dies = True
        return send()

    def _send(self, request: AWSPreparedRequest, event_name: str, **_: Any) -> AWSResponse | None:
        if self._dead:
            raise Killed
        operation = event_name.rpartition(".")[2]
        with self._lock:
            index = len(self.requests)
            self.requests.append(operation)
        assert index < MOST_REQUESTS, "this goes on and on"
        fault = self.script(index, operation)
        try:
            return fault(request, lambda: self._http.send(request)) if fault else None
        except Killed:
            self._dead = True
            raise

    def _answered(self, **_: Any) -> None:
        if getattr(self._here, "dies", False):
            self._here.dies = False
            self._dead = True
            raise Killed


def killed_before_sending(_request: AWSPreparedRequest, _send: Send) -> AWSResponse:
    raise Killed


def killed_after_sending(_request: AWSPreparedRequest, send: Send) -> AWSResponse:
    send()
    raise Killed


def never_arrives(request: AWSPreparedRequest, _send: Send) -> AWSResponse:
    raise ConnectTimeoutError(endpoint_url=request.url)


def answer_lost(request: AWSPreparedRequest, send: Send) -> AWSResponse:
    send()
    raise ReadTimeoutError(endpoint_url=request.url)


def throttled(request: AWSPreparedRequest, _send: Send) -> AWSResponse:
    return _refusal(request, "ThrottlingException")


def over_capacity(request: AWSPreparedRequest, _send: Send) -> AWSResponse:
    return _refusal(request, "ProvisionedThroughputExceededException")


def internal_error(request: AWSPreparedRequest, _send: Send) -> AWSResponse:
    return _refusal(request, "InternalServerError", status=500)


def not_valid(message: str) -> Fault:
    return lambda request, _send: _refusal(request, "ValidationException", {"message": message, "Message": message})


def over_quota(request: AWSPreparedRequest, _send: Send) -> AWSResponse:
    return _refusal(request, "ServiceQuotaExceededException", status=402)


def slow_down(request: AWSPreparedRequest, _send: Send) -> AWSResponse:
    """As S3 throttles."""
    return _answer(request, b"<Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message></Error>", 503)


def cancelled(request: AWSPreparedRequest, *reasons: tuple[int, str]) -> AWSResponse:
    """A cancelled transaction: for each of `reasons` the position of the item, and the code."""
    codes = ["None"] * len(_body(request)["TransactItems"])
    for position, code in reasons:
        codes[position % len(codes)] = code
    return _refusal(
        request, "TransactionCanceledException", {"CancellationReasons": [{"Code": code} for code in codes]}
    )


def conflict(position: int = 0) -> Fault:
    """Somebody else is writing the item at `position` (from the end, if negative) at this moment."""
    return lambda request, _send: cancelled(request, (position, "TransactionConflict"))


def half_unprocessed(request: AWSPreparedRequest, send: Send) -> AWSResponse:
    """A BatchGetItem that leaves the second half of what it found unread."""
    answer = json.loads(send().content)
    left: dict[str, Any] = {}
    for table, items in answer["Responses"].items():
        kept = len(items) // 2
        keys = [{"pk": item["pk"], "sk": item["sk"]} for item in items[kept:]]
        answer["Responses"][table] = items[:kept]
        if keys:
            left[table] = {"Keys": keys, "ConsistentRead": True}
    return _answer(request, json.dumps(answer | {"UnprocessedKeys": left}).encode(), 200)


def _refusal(
    request: AWSPreparedRequest, code: str, more: dict[str, Any] | None = None, status: int = 400
) -> AWSResponse:
    body = {"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": code} | (more or {})
    return _answer(request, json.dumps(body).encode(), status)


def _answer(request: AWSPreparedRequest, body: bytes, status: int) -> AWSResponse:
    headers = HTTPHeaders()
    headers["content-length"] = str(len(body))
    return AWSResponse(request.url, status, headers, _Body(body))


def _body(request: AWSPreparedRequest) -> dict[str, Any]:
    assert isinstance(request.body, bytes)
    body: dict[str, Any] = json.loads(request.body)
    return body


class _Body(BytesIO):
    """A body that botocore can read as it reads one from the network."""

    def stream(self) -> Iterator[bytes]:
        yield self.read()
