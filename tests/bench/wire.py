"""The wire between clients and AWS: what passes over it is counted, timed and, when asked for, delayed.

All of it hangs on the events that botocore offers, so the code that is measured is the code that runs on AWS.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import ceil
from typing import TYPE_CHECKING, Any, cast

from tests.support.money import stored_bytes

if TYPE_CHECKING:
    from botocore.awsrequest import AWSPreparedRequest, AWSResponse
    from botocore.client import BaseClient
    from botocore.httpsession import URLLib3Session

    from shared.keys import Item


@dataclass(frozen=True, slots=True)
class Network:
    """Seconds that a request takes on its way, in addition to what it takes already."""

    request: float = 0.0
    transaction: float = 0.0

    def seconds(self, operation: str) -> float:
        return self.transaction if operation.startswith("Transact") else self.request


NO_DELAY = Network()


@dataclass(slots=True)
class Usage:
    """What some work took of AWS. Every attempt is a request, one that was refused too.

    `write_units` are DynamoDB's own figures, with indexes. They leave out what was refused; `refused_units` are what
    that would have come to, and the most that can be charged for it. `read_units` are counted from the items that were
    answered, and only where `measured` is told to. `seconds` is wall time, `processor_seconds` the time of this
    process's threads on a processor; `in_flight` are the moments between which single requests were under way.
    """

    requests: Counter[str] = field(default_factory=Counter)
    refused: int = 0
    write_units: float = 0.0
    refused_units: float = 0.0
    read_units: float = 0.0
    seconds: float = 0.0
    processor_seconds: float = 0.0
    in_flight: list[tuple[float, float]] = field(default_factory=list)

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.requests + other.requests,
            self.refused + other.refused,
            self.write_units + other.write_units,
            self.refused_units + other.refused_units,
            self.read_units + other.read_units,
            self.seconds + other.seconds,
            self.processor_seconds + other.processor_seconds,
            self.in_flight + other.in_flight,
        )

    @property
    def request_count(self) -> int:
        return self.requests.total()

    @property
    def waiting_seconds(self) -> float:
        """Wall time during which at least one request was under way."""
        total, covered_until = 0.0, 0.0
        for start, end in sorted(self.in_flight):
            total += max(0.0, end - max(start, covered_until))
            covered_until = max(covered_until, end)
        return total


class Wire:
    """Counts what its clients send while `measured` runs; what is sent outside of that is not counted."""

    def __init__(self) -> None:
        self.network = NO_DELAY
        self._usage: Usage | None = None
        self._counts_reads = False
        self._lock = threading.Lock()

    def attach(self, client: BaseClient) -> None:
        """Listens to a client of any service. Write units are DynamoDB's alone."""
        # Anything but the client's own session would measure another one: its socket options decide over 40 ms.
        http = cast("Any", client)._endpoint.http_session

        def send(request: AWSPreparedRequest, event_name: str, **_: Any) -> Any:
            return self._send(http, request, event_name.rpartition(".")[2])

        events, service = client.meta.events, client.meta.service_model.service_id.hyphenize()
        events.register(f"before-send.{service}", send)
        if service == "dynamodb":
            events.register("before-parameter-build.dynamodb", _ask_for_capacity)
            events.register("after-call.dynamodb", self._count_capacity)

    @contextmanager
    def measured(self, network: Network = NO_DELAY, *, reads: bool = False) -> Iterator[Usage]:
        """Everything that is sent inside the block, over a `network` of that delay. Blocks do not nest.

        With `reads`, read units are counted, which takes time of its own.
        """
        usage = Usage()
        self._usage, self.network, self._counts_reads = usage, network, reads
        processor, start = time.process_time(), time.perf_counter()
        try:
            yield usage
        finally:
            usage.seconds = time.perf_counter() - start
            usage.processor_seconds = time.process_time() - processor
            self._usage, self.network = None, NO_DELAY

    def _send(self, http: URLLib3Session, request: AWSPreparedRequest, operation: str) -> AWSResponse:
        """Sends the request in botocore's stead, which a handler of `before-send` may do by answering it."""
        usage, start = self._usage, time.perf_counter()
        if delay := self.network.seconds(operation):
            # Stands for the way to AWS and back: the embedded DynamoDB is next door.
            time.sleep(delay)
        response: AWSResponse = http.send(request)
        if usage is not None:
            with self._lock:
                usage.requests[operation] += 1
                if response.status_code >= 400:
                    usage.refused += 1
                    usage.refused_units += written_units(operation, cast("bytes", request.body))
                elif self._counts_reads:
                    usage.read_units += read_units(operation, cast("bytes", request.body), response.content)
                usage.in_flight.append((start, time.perf_counter()))
        return response

    def _count_capacity(self, parsed: dict[str, Any], event_name: str, **_: Any) -> None:
        usage = self._usage
        if usage is None or event_name.rpartition(".")[2] in _READS:
            return
        told = parsed.get("ConsumedCapacity", [])
        with self._lock:
            # One for each table, or just one where an operation has one table.
            for consumed in told if isinstance(told, list) else [told]:
                usage.write_units += consumed["CapacityUnits"]


def written_units(operation: str, body: bytes) -> float:
    """Write units of a request to DynamoDB, none of one to any other service: counted from the items that it puts,
    without indexes. What it updates or deletes is taken to be under 1 KB, as all of ours is.
    """
    if operation == "TransactWriteItems":
        return 2.0 * sum(_units(write) for each in json.loads(body)["TransactItems"] for write in each.values())
    return float(_units(json.loads(body))) if operation in _WRITES else 0.0


def read_units(operation: str, body: bytes, answer: bytes) -> float:
    """Read units of a request to DynamoDB, none of one to any other service: counted from the items that it was
    answered, since the embedded DynamoDB tells the same figure whatever their size (AWS documentation, "DynamoDB
    consumed capacity"). A query must not filter: what it passes over is read too.
    """
    if operation not in _READS:
        return 0.0
    request, told = json.loads(body), json.loads(answer)
    match operation:
        case "GetItem":
            return _read([stored_bytes(told.get("Item", {}))], request)
        case "Query":
            assert "FilterExpression" not in request, request
            # What a query reads is rounded up once, for all of it.
            return _read([sum(stored_bytes(item) for item in told["Items"])], request)
        case "TransactGetItems":
            return 2 * sum(_blocks(stored_bytes(each.get("Item", {}))) for each in told["Responses"])
        case _:
            return sum(
                _of_batch(part, told["Responses"].get(table, [])) for table, part in request["RequestItems"].items()
            )


def _of_batch(asked: Mapping[str, Any], found: Sequence[Item]) -> float:
    """Items that are not there cost as much as the smallest."""
    return _read([stored_bytes(item) for item in found] + [0] * (len(asked["Keys"]) - len(found)), asked)


def _read(sizes: Sequence[int], request: Mapping[str, Any]) -> float:
    blocks = sum(map(_blocks, sizes))
    return float(blocks) if request.get("ConsistentRead") else blocks / 2


def _blocks(size: int) -> int:
    return max(1, ceil(size / 4096))


def _units(write: Mapping[str, Any]) -> int:
    return ceil(stored_bytes(write["Item"]) / 1024) if "Item" in write else 1


_WRITES = {"PutItem", "UpdateItem", "DeleteItem"}
_READS = {"GetItem", "BatchGetItem", "TransactGetItems", "Query"}


def _ask_for_capacity(params: dict[str, Any], model: Any, **_: Any) -> None:
    if "ReturnConsumedCapacity" in model.input_shape.members:
        params["ReturnConsumedCapacity"] = "INDEXES"
