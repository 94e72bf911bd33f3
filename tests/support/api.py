"""Somebody with a key, and what everybody does with it through the API."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx
import simplejson

DEFINITION = {
    "format": {"type": "csv"},
    "entities": [{"entity": "product", "key": "sku", "attributes": {"title": "title"}}],
}
CSV = b"sku,title\na,Drill\nb,Saw\nc/1,Plane\n"
OVER = ("finished", "failed", "cancelled", "paused")


@dataclass(frozen=True)
class Caller:
    """Somebody with a key."""

    endpoint: str
    key: str
    workspace_id: str = ""

    def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        content = body if body is None or isinstance(body, bytes) else simplejson.dumps(body).encode()
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        return httpx.request(
            method,
            f"{self.endpoint}/v1{path}",
            content=content,
            headers={"Authorization": f"Bearer {self.key}", **names},
            timeout=60,
        )

    def get(self, path: str, status: int = 200) -> Any:
        return expect(self("GET", path), status).json()

    def available(self) -> int:
        return int(self.get("/credits")["available"])


def expect(response: httpx.Response, status: int) -> httpx.Response:
    assert response.status_code == status, response.text
    assert response.headers["X-Request-Id"]
    if status >= 400:
        problem = response.json()
        assert response.headers["Content-Type"] == "application/problem+json"
        assert problem["status"] == status
        assert problem["request_id"] == response.headers["X-Request-Id"]
        assert {"type", "title", "detail"} <= problem.keys()
    return response


def refusal(response: httpx.Response, status: int) -> str:
    """The kind of problem."""
    return str(expect(response, status).json()["type"]).removeprefix("/problems/")


def fields(response: httpx.Response) -> list[str]:
    return [error["field"] for error in expect(response, 422).json()["errors"]]


def define(customer: Caller, feed_id: str = "main") -> None:
    expect(customer("PUT", f"/feeds/{feed_id}", DEFINITION), 201)


def upload(customer: Caller, content: bytes = CSV, feed_id: str = "main") -> str:
    place = expect(customer("POST", f"/feeds/{feed_id}/uploads", {"content_length": len(content)}), 201).json()
    sent = httpx.request(place["method"], place["url"], content=content, headers=place["headers"], timeout=60)
    assert sent.status_code == 200, sent.text
    return str(place["upload_id"])


def wait(customer: Caller, run_id: str) -> dict[str, Any]:
    deadline = time.monotonic() + 60
    while (run := customer.get(f"/runs/{run_id}"))["state"] not in OVER:
        assert time.monotonic() < deadline, run
        time.sleep(0.1)
    return dict(run)


def law_4(customer: Caller) -> dict[str, Any]:
    view = customer.get("/credits")
    assert view["granted"] - view["expired"] - view["void"] == view["available"] + view["consumed"] - view["owed"]
    assert view["available"] == sum(grant["remaining"] for grant in view["grants"])
    return dict(view)


def top_up(operator: Caller, customer: Caller, credits: int, **more: str) -> None:
    """Buys a customer credits."""
    wish = {"credits": credits, "unit_price": "0.01", "currency": "EUR", "reference": uuid4().hex} | more
    expect(operator("POST", f"/workspaces/{customer.workspace_id}/top-ups", wish), 201)
