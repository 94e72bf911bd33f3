"""A stand-in for the HTTP API, as little of it as the command line can notice, and a way to run commands against it."""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner, Result

from productsync import looking
from productsync.cli import app
from productsync.client import Client
from productsync.commands import session
from productsync.transport import Backoff

ENDPOINT = "https://api.test"
Answering = Callable[[httpx.Request], httpx.Response]


@dataclass
class FakeApi:
    """Answers by method and path; the last answer of a list repeats. Remembers what it was asked."""

    answers: dict[tuple[str, str], list[httpx.Response | Answering]] = field(default_factory=dict)
    requests: list[httpx.Request] = field(default_factory=list)

    def on(self, method: str, path: str, *answers: Any, status: int = 200, headers: Mapping[str, str] = {}) -> None:
        """`path` without the leading /v1; an answer is a JSON document, a response, or a function of the request."""

        def as_answer(one: Any) -> httpx.Response | Answering:
            ready = callable(one) or isinstance(one, httpx.Response)
            return one if ready else httpx.Response(status, json=one, headers=headers)

        self.answers[method, path] = [as_answer(one) for one in answers]

    def handle(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.requests.append(request)
        path = request.url.raw_path.decode().partition("?")[0].removeprefix("/v1")
        waiting = self.answers.get((request.method, path))
        if waiting is None:
            return problem(404, "Not found", f"nothing at {request.method} {path}")
        answer = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        if callable(answer):
            return answer(request)
        return httpx.Response(answer.status_code, content=answer.content, headers=answer.headers)

    @property
    def transport(self) -> httpx.MockTransport:
        return httpx.MockTransport(self.handle)

    def sent(self, method: str, path: str) -> list[httpx.Request]:
        return [one for one in self.requests if one.method == method and one.url.path.endswith(path)]


@dataclass
class Shell:
    """Runs commands as a person's shell would, without a terminal."""

    api: FakeApi
    home: Path

    def run(
        self,
        *arguments: str,
        columns: int | None = None,
        environment: Mapping[str, str] = {},
        standard_input: str | None = None,
    ) -> Result:
        known = {
            "PRODUCTSYNC_HOME": str(self.home),
            "PRODUCTSYNC_ENDPOINT": ENDPOINT,
            "PRODUCTSYNC_API_KEY": "psk_workspace",
            "PRODUCTSYNC_OPERATOR_KEY": "psk_operator",
            **({} if columns is None else {"COLUMNS": str(columns)}),
            **environment,
        }
        variables = {name: value or None for name, value in known.items()}
        return CliRunner().invoke(app, list(arguments), input=standard_input, env=variables)

    def json(self, *arguments: str, exit_code: int = 0) -> Any:
        """The answer of a command with `--json`; its standard output has to be that alone."""
        result = self.run(*arguments, "--json")
        assert result.exit_code == exit_code, result.stderr
        return json.loads(result.stdout)


@pytest.fixture
def api() -> FakeApi:
    return FakeApi()


@pytest.fixture
def waits() -> list[float]:
    """The seconds that retries would have waited."""
    return []


@pytest.fixture
def shell(api: FakeApi, waits: list[float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    for name in [name for name in os.environ if name.startswith("PRODUCTSYNC_") or name == "COLUMNS"]:
        monkeypatch.delenv(name)
    backoff = Backoff(sleep=waits.append, draw=lambda: 1.0)
    monkeypatch.setattr(session, "Client", partial(Client, transport=api.transport, backoff=backoff))
    monkeypatch.setattr(looking, "FIRST_WAIT", 0.0)
    return Shell(api, tmp_path / "home")


def problem(status: int, title: str, detail: str, errors: Sequence[Mapping[str, str]] = ()) -> httpx.Response:
    document = {"type": "/problems/some", "title": title, "status": status, "detail": detail, "request_id": "req-1"}
    return httpx.Response(
        status,
        json={**document, **({"errors": list(errors)} if errors else {})},
        headers={"Content-Type": "application/problem+json"},
    )


def make_run(state: str = "finished", **changed: Any) -> dict[str, Any]:
    """A run as the API gives it."""
    counts = {"created": 60, "updated": 0, "unchanged": 3, "duplicates": 1, "rejected": 0, "credits": 60}
    return {
        "run_id": "run_1",
        "feed_id": "products-shopify",
        "state": state,
        "dry_run": False,
        "channel": "api",
        "upload_id": "up_1",
        "rows_read": 64,
        **counts,
        "progress": 1,
        "by_entity": {"product": counts},
        "created_at": "2026-11-22T08:00:00.123Z",
        "updated_at": "2026-11-22T08:00:02.000Z",
        "finished_at": "2026-11-22T08:00:02.000Z" if state == "finished" else None,
        "paused": {"reason": "out_of_credits", "since": "2026-11-22T08:00:02.000Z"} if state == "paused" else None,
        "error": None,
        "credits_available": None,
        **changed,
    }


def make_credits(available: int = 4939) -> dict[str, Any]:
    """A balance as the API gives it."""
    grant = {
        "grant_id": "gr_1",
        "kind": "free",
        "credits": 5000,
        "remaining": available,
        "unit_price": "0",
        "currency": "EUR",
        "priority": 10,
        "reference": "starter",
        "granted_at": "2026-11-22T07:00:00.000Z",
        "expires_at": None,
    }
    return {
        "workspace_id": "ws_1",
        "state": "active" if available else "paused",
        "paused": None
        if available
        else {
            "since": "2026-11-22T08:00:02.000Z",
            "reason": "out_of_credits",
            "waiting": {"schedules": 2, "runs": 1, "passes": 0, "changes": False},
        },
        "available": available,
        "owed": 0,
        "granted": 5000,
        "consumed": 5000 - available,
        "expired": 0,
        "void": 0,
        "currency": "EUR",
        "grants": [grant],
    }


@pytest.fixture
def feed_file(tmp_path: Path) -> Path:
    file = tmp_path / "Products.csv"
    file.write_text("Handle,Title\na,A\nb,B\n")
    return file


def serve_import(api: FakeApi, *runs: dict[str, Any], feed_id: str = "products-shopify") -> None:
    """Everything that `import` calls; the run is as `runs` say, one look after the other."""
    upload = {
        "upload_id": "up_1",
        "method": "PUT",
        "url": "https://bucket.test/uploads/up_1?X-Amz-Signature=s",
        "headers": {"Content-Length": "21"},
        "expires_at": "2026-11-22T09:00:00.000Z",
        "max_bytes": 1000,
    }
    feed = {
        "feed_id": feed_id,
        "version": 1,
        "created_at": "2026-11-22T08:00:00.000Z",
        "updated_at": "2026-11-22T08:00:00.000Z",
        "definition": {"preset": "shopify"},
    }
    api.on("PUT", f"/feeds/{feed_id}", feed)
    api.on("GET", f"/feeds/{feed_id}", feed)
    api.on("POST", f"/feeds/{feed_id}/uploads", upload, status=201)
    api.on("PUT", "/uploads/up_1", httpx.Response(200))
    api.on(
        "POST",
        f"/feeds/{feed_id}/runs",
        make_run("preparing", progress=0, finished_at=None),
        status=202,
        headers={"X-Credits-Charged": "1", "X-Credits-Available": "4999"},
    )
    api.on("GET", "/runs/run_1", *runs)
    api.on("GET", "/credits", make_credits())
