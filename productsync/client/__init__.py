"""A typed client of the HTTP API.

    from productsync import Client

    with Client.at("https://api.example.com", api_key="psk_...") as client:
        client.records.put("product", "M8/40", {"title": "Drill", "stock": 12})

Thin: one method for each operation, in a group for each kind of thing; the API's own JSON as the answer; its problem
details as exceptions. What it adds is what every caller needs and should not write again: retries that never charge
twice, idempotency keys, listings over pages, batches of any number of records, and uploads that stream.
"""

from types import TracebackType
from typing import Self

import httpx

from productsync.client.accounts import CreditsGroup, KeysGroup, OperationsGroup, WorkspacesGroup
from productsync.client.automation import RulesGroup, SchedulesGroup
from productsync.client.calls import MAX_PAGE, Answer, Calls
from productsync.client.feeds import FeedsGroup, PresetsGroup, RunsGroup
from productsync.client.paging import Listing, every, gather, pages
from productsync.client.records import MAX_BATCH, RecordsGroup, batches
from productsync.client.reports import AuditsGroup, ExportsGroup, UsageGroup
from productsync.settings import Connection, Secret, endpoint_of
from productsync.transport import Backoff

__all__ = ["MAX_BATCH", "MAX_PAGE", "Answer", "Client", "Listing", "batches", "every", "gather", "pages"]


class Client:
    """Talks to one API with the keys of one connection. It may be shared by threads.

    Every method raises ApiProblem when the API refuses, NotConnected without a key, Unreachable without an answer. A
    write takes an `idempotency_key`, and makes one up where none is given: calls with the same key and content are one
    write, charged once, however often they are sent.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        transport: httpx.BaseTransport | None = None,
        backoff: Backoff | None = None,
    ) -> None:
        calls = self._calls = Calls(connection, transport=transport, backoff=backoff or Backoff())
        self.workspaces = WorkspacesGroup(calls)
        self.credits = CreditsGroup(calls)
        self.keys = KeysGroup(calls)
        self.operator_keys = KeysGroup(calls, operator=True)
        self.presets = PresetsGroup(calls)
        self.feeds = FeedsGroup(calls)
        self.runs = RunsGroup(calls)
        self.schedules = SchedulesGroup(calls)
        self.rules = RulesGroup(calls)
        self.operations = OperationsGroup(calls)
        self.records = RecordsGroup(calls)
        self.usage = UsageGroup(calls)
        self.exports = ExportsGroup(calls)
        self.audits = AuditsGroup(calls)

    @classmethod
    def at(
        cls,
        endpoint: str,
        *,
        api_key: str | None = None,
        operator_key: str | None = None,
        transport: httpx.BaseTransport | None = None,
        backoff: Backoff | None = None,
    ) -> Self:
        """A client of the API at `endpoint`. `api_key` is a workspace's key, or the token of a person who is signed in.

        Raises NotConnected for an endpoint that is no URL, or would show the key to the network (http).
        """
        connection = Connection(
            endpoint=endpoint_of(endpoint),
            api_key=None if api_key is None else Secret(api_key, "the argument api_key"),
            operator_key=None if operator_key is None else Secret(operator_key, "the argument operator_key"),
            stack=None,
        )
        return cls(connection, transport=transport, backoff=backoff)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections."""
        self._calls.close()
