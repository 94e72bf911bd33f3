"""Rules as they are deployed: what the rule runner takes of DynamoDB behind an import, and what all of it costs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from productsync.stack import EmbeddedStack
from shared.credits import Action, OperationKind
from shared.dynamo.client import dynamodb_client
from shared.rules.definition import RuleDefinition
from tests.bench.deployed import PATIENCE_SECONDS, FunctionLog
from tests.bench.feed import DEFINITION, write_feed
from tests.bench.report import Figure, at_most, exactly
from tests.bench.rules import MARGIN, RECORDS, WRITE_UNITS
from tests.bench.toll import toll
from tests.support.api import Caller, expect, upload, wait
from tests.support.books import Books
from tests.support.stack import Tables
from tests.support.waiting import until


def behind_an_import(stack: EmbeddedStack, folder: Path) -> Iterator[Figure]:
    """Imports 1,000 products through the API into a workspace with a rule that changes each of them."""
    customer, books = _open(stack)
    expect(customer("PUT", "/feeds/main", json.loads(DEFINITION)), 201)
    _put(customer, MARGIN)
    file = folder / "deployed-rules.csv"
    write_feed(file, RECORDS, prefix="SKU")
    log = FunctionLog(stack, "RuleRunnerLogGroup")
    with toll(stack, "RuleRunner") as counting:
        before = log.invocations()
        upload_id = upload(customer, file.read_bytes())
        run_id = expect(customer("POST", "/feeds/main/runs", {"upload_id": upload_id}), 202).json()["run_id"]
        run = wait(customer, run_id)
        assert run["state"] == "finished", run
        until(lambda: _fired(books) >= RECORDS, PATIENCE_SECONDS)
        # Its own writes come by the stream too; a last edit shows that all of them have passed.
        _pass_by(customer, books)
        calls, usage = log.invocations() - before, counting.usage
    credits = dict.fromkeys(OperationKind, 0)
    for entry in books.log():
        credits[entry.kind] += entry.credits
    books.audit()
    # The last edit is one firing more.
    yield exactly(f"{RECORDS:,} records imported: credits", credits[OperationKind.IMPORT], RECORDS)
    yield exactly("fired on them: credits", credits[OperationKind.RULE] - 2, 2 * RECORDS)
    yield Figure("the rule runner: invocations", len(calls))
    yield Figure("the rule runner: requests", usage.request_count)
    for operation, requests in sorted(usage.requests.items()):
        yield Figure(f"of these {operation}", requests)
    yield Figure("the rule runner: requests that were refused", usage.refused)
    yield Figure("the rule runner: write units of those that were refused, at most", usage.refused_units)
    yield at_most("the rule runner: write units", usage.write_units, WRITE_UNITS)


def _open(stack: EmbeddedStack) -> tuple[Caller, Books]:
    operator = Caller(stack.endpoint, stack.operator_key)
    opened = expect(operator("POST", "/workspaces", {"name": "bench"}), 201).json()
    client = dynamodb_client(
        endpoint_url=stack.state.aws_endpoint,
        region_name=stack.state.region,
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    customer = Caller(operator.endpoint, opened["api_key"]["secret"], opened["workspace_id"])
    return customer, Books(customer.workspace_id, client, Tables.of(stack))


def _put(customer: Caller, definition: RuleDefinition) -> None:
    expect(customer("PUT", "/rules/margin", definition.to_json()), 201)


def _fired(books: Books) -> int:
    return sum(entry.actions.get(Action.RULE_FIRED, 0) for entry in books.log())


def _pass_by(customer: Caller, books: Books) -> None:
    fired = _fired(books)
    expect(customer("PUT", "/records/product/SKU-LAST", {"attributes": {"price": 1}}), 201)
    until(lambda: _fired(books) > fired, PATIENCE_SECONDS)
