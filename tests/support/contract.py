"""Holding the deployed API to its own document: schemathesis makes up calls from it, and judges every answer by it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from functions.api.openapi import PATH
from tests.support.api import Caller, define, expect, upload, wait

ROOT = Path(__file__).resolve().parents[2]

Names = dict[str, dict[str, str]]

_CONFIG = """
continue-on-failure = true
# One: Python 3.11 cannot compile in several threads at once what hypothesis gives it.
workers = 1
request-timeout = 60

[generation]
deterministic = true
database = "none"
max-examples = {examples}

# What API Gateway takes. TRACE is refused before it comes to any API.
[phases.coverage]
unexpected-methods = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]

[phases.stateful.generation]
max-examples = {sequences}

# A body may be too large as well (413), and a version gone (412): by its schema such a call is valid, or it is refused
# for that before anything else is looked at.
[checks.negative_data_rejection]
expected-statuses = [400, 401, 403, 404, 405, 409, 412, 413, 422]

[checks.positive_data_acceptance]
expected-statuses = ["2xx", 401, 403, 404, 409, 412, 413]
"""


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is made up: examples for each operation, and sequences of calls."""

    examples: int
    sequences: int


def prepare(customer: Caller) -> Names:
    """Makes one of everything that a call can name."""
    define(customer, "main")
    upload_id = upload(customer)
    run = expect(customer("POST", "/feeds/main/runs", {"upload_id": upload_id}), 202).json()
    wait(customer, run["run_id"])
    part = {"entity": "part", "key": "sku", "attributes": {"title": "title"}}
    source = {"type": "http", "url": "https://supplier.example/feed.csv"}
    pulled = {"format": {"type": "csv"}, "entities": [part], "source": source}
    expect(customer("PUT", "/feeds/pulled", pulled), 201)
    expect(customer("PUT", "/feeds/pulled/credentials", {"type": "bearer", "token": "secret"}), 200)
    rule = {
        "entity": "product",
        "trigger": {"on": ["updated"]},
        "condition": "price > 10",
        "actions": [{"set": "dear", "to": {"value": True}}],
    }
    expect(customer("PUT", "/rules/dear", rule), 201)
    yearly = {"feed_id": "pulled", "expression": "cron(0 6 1 1 ? *)"}
    expect(customer("PUT", "/schedules/yearly", yearly), 201)
    written = expect(customer("PUT", "/records/product/a", {"attributes": {"title": "Saw"}}), 200)
    key = expect(customer("POST", "/keys", {"name": "contract", "scopes": ["read"]}), 201).json()
    own_key = customer.get("/keys")["items"][0]["key_id"]
    return {
        "*": {
            "feed_id": "main",
            "run_id": run["run_id"],
            "rule_id": "dear",
            "schedule_id": "yearly",
            "operation_id": written.headers["X-Operation-Id"],
            "entity": "product",
            "key": "a",
            "key_id": key["key_id"],
            "grant_id": customer.get("/credits")["grants"][0]["grant_id"],
            "name": "shopify",
            "upload_id": upload_id,
            "workspace_id": customer.workspace_id,
        },
        "putFeed": {"feed_id": "other"},
        "putRule": {"rule_id": "other"},
        "putSchedule": {"schedule_id": "other"},
        "getCredentials": {"feed_id": "pulled"},
        "putCredentials": {"feed_id": "pulled"},
        "stays": {"key_id": own_key},
    }


def hold(directory: Path, caller: Caller, names: Names, effort: Effort, *tags: str) -> subprocess.CompletedProcess[str]:
    """Calls the operations with these tags, and gives what schemathesis has to say."""
    directory.mkdir(exist_ok=True)
    config = directory / "schemathesis.toml"
    config.write_text(_CONFIG.format(examples=effort.examples, sequences=effort.sequences), encoding="utf-8")
    program = "from schemathesis.cli import schemathesis; schemathesis()"
    return subprocess.run(
        [
            *(sys.executable, "-c", program, "--config-file", config, "run", PATH),
            *("--url", f"{caller.endpoint}/v1", "--checks", "all", "--no-color"),
            *("--header", f"Authorization: Bearer {caller.key}"),
            *(part for tag in tags for part in ("--include-tag", tag)),
        ],
        cwd=directory,
        env=os.environ
        | {
            "PYTHONPATH": str(ROOT),
            "SCHEMATHESIS_HOOKS": "tests.support.contract_hooks",
            "CONTRACT_NAMES": json.dumps(names),
        },
        capture_output=True,
        text=True,
        timeout=3600,
        check=False,
    )


def bring_to_rest(customer: Caller) -> None:
    """Deletes what would go on firing, and waits for what was started."""
    for name, kind in (("schedule_id", "schedules"), ("rule_id", "rules")):
        for each in _all(customer, f"/{kind}"):
            expect(customer("DELETE", f"/{kind}/{each[name]}"), 204)
        assert _all(customer, f"/{kind}") == []
    for feed in _all(customer, "/feeds"):
        for run in _all(customer, f"/feeds/{feed['feed_id']}/runs"):
            wait(customer, run["run_id"])


def _all(customer: Caller, path: str) -> list[dict[str, Any]]:
    """Everything that a listing holds."""
    found, cursor = [], ""
    while True:
        page = customer.get(f"{path}?limit=100{cursor}")
        found += page["items"]
        if page["next_cursor"] is None:
            return found
        cursor = f"&cursor={page['next_cursor']}"
