"""A call for every route of template.yaml: who may make it, with what body, and what comes of it in another workspace.

The routes are the template's, so that a new one cannot be forgotten: one without a call here has none to be tried with,
and the test of isolation fails by its name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from samtranslator.yaml_helper import yaml_parse

TEMPLATE = Path(__file__).resolve().parents[2] / "template.yaml"

PUBLIC = {"GET /docs", "GET /openapi.json"}
"""Routes that anybody may call, and every OPTIONS: what a browser asks before a call carries no credential."""

THE_REST = {f"{method} /{{proxy+}}" for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")}
"""What no route takes."""


@dataclass(frozen=True)
class Call:
    """How a route is called. `<name>` stands for the name of something, here and in the path of the route.

    `elsewhere` is the status that a caller of another workspace is answered, who has all scopes: below 400 it is done
    in their own workspace.
    """

    scopes: tuple[str, ...]
    elsewhere: int
    body: Any = None
    query: str = ""


_FEED = {
    "format": {"type": "csv"},
    "entities": [{"entity": "<entity>", "key": "sku", "attributes": {"title": "title"}}],
}
_RULE = {
    "entity": "<entity>",
    "trigger": {"on": ["updated"], "attributes": ["price"]},
    "condition": "price > 10",
    "actions": [{"set": "gross", "to": {"expression": "price * 1.2"}}],
}
_SCHEDULE = {"feed_id": "<feed_id>", "expression": "cron(0 6 1 1 ? *)"}
_RECORD = {"attributes": {"title": "from elsewhere"}}
_BATCH = {"records": [{"key": "<key>, in a batch", "attributes": {"title": "from elsewhere"}}]}
_TOP_UP = {"credits": 1, "unit_price": "0.01", "reference": "isolation"}
_VOID = {"reference": "isolation", "reason": "isolation"}
_CORRECTION = {"credits": -1, "reference": "isolation", "reason": "isolation"}
_READ, _WRITE, _CONFIGURE, _OPERATOR = ("read",), ("write",), ("configure",), ("operator",)
_FINANCE = ("finance",)
_KEYS = ("configure", "operator")

CALLS = {
    "POST /workspaces": Call(_OPERATOR, 403, {"name": "Isolation"}),
    "POST /workspaces/{workspace_id}/people": Call(_OPERATOR, 403, {"email": "eve@shop.example"}),
    "POST /workspaces/{workspace_id}/top-ups": Call(_OPERATOR, 403, _TOP_UP),
    "POST /workspaces/{workspace_id}/grants/{grant_id}/void": Call(_OPERATOR, 403, _VOID),
    "POST /workspaces/{workspace_id}/corrections": Call(_OPERATOR, 403, _CORRECTION),
    "GET /workspaces/{workspace_id}/credits": Call(_OPERATOR, 403),
    "GET /credits": Call(_READ, 200),
    "GET /presets": Call(_READ, 200),
    "GET /presets/{name}": Call(_READ, 200),
    "GET /keys": Call(_KEYS, 200),
    "POST /keys": Call(_KEYS, 201, {"name": "<name>", "scopes": ["configure"]}),
    "POST /keys/{key_id}/rotate": Call(_KEYS, 404, {}),
    "DELETE /keys/{key_id}": Call(_KEYS, 404),
    "GET /feeds": Call(_READ, 200),
    "GET /feeds/{feed_id}": Call(_READ, 404),
    "PUT /feeds/{feed_id}": Call(_CONFIGURE, 201, _FEED),
    "DELETE /feeds/{feed_id}": Call(_CONFIGURE, 404),
    "GET /feeds/{feed_id}/credentials": Call(_CONFIGURE, 404),
    "PUT /feeds/{feed_id}/credentials": Call(_CONFIGURE, 404, {"type": "bearer", "token": "stolen"}),
    "DELETE /feeds/{feed_id}/credentials": Call(_CONFIGURE, 404),
    "POST /feeds/{feed_id}/uploads": Call(_WRITE, 404, {"content_length": 10}),
    "POST /feeds/{feed_id}/runs": Call(_WRITE, 404, {"upload_id": "<upload_id>"}),
    "GET /feeds/{feed_id}/runs": Call(_READ, 404),
    "GET /runs/{run_id}": Call(_READ, 404),
    "POST /runs/{run_id}/cancel": Call(_WRITE, 404),
    "POST /runs/{run_id}/resume": Call(_WRITE, 404),
    "GET /runs/{run_id}/rejections": Call(_READ, 404),
    "GET /schedules": Call(_READ, 200),
    "GET /schedules/{schedule_id}": Call(_READ, 404),
    "PUT /schedules/{schedule_id}": Call(_CONFIGURE, 422, _SCHEDULE),
    "DELETE /schedules/{schedule_id}": Call(_CONFIGURE, 404),
    "GET /rules": Call(_READ, 200),
    "GET /rules/{rule_id}": Call(_READ, 404),
    "PUT /rules/{rule_id}": Call(_CONFIGURE, 201, _RULE),
    "DELETE /rules/{rule_id}": Call(_CONFIGURE, 404),
    "POST /rules/{rule_id}/preview": Call(_READ, 404, {}),
    "GET /operations": Call(_READ, 200, query="job_id=<feed_id>&run_id=<run_id>"),
    "GET /operations/{operation_id}": Call(_READ, 404),
    "GET /operations/{operation_id}/records": Call(_READ, 404),
    "GET /usage": Call(_READ, 200, query="group_by=job"),
    "POST /exports": Call(_FINANCE, 202, {}),
    "GET /exports": Call(_FINANCE, 200),
    "GET /exports/{export_id}": Call(_FINANCE, 404),
    "POST /audits": Call(_FINANCE, 202),
    "GET /audits": Call(_FINANCE, 200),
    "GET /audits/{audit_id}": Call(_FINANCE, 404),
    "GET /records/{entity}": Call(_READ, 200),
    "POST /records/{entity}/batch": Call(_WRITE, 200, _BATCH),
    "GET /records/{entity}/{key+}": Call(_READ, 404),
    "PATCH /records/{entity}/{key+}": Call(_WRITE, 404, _RECORD),
    "DELETE /records/{entity}/{key+}": Call(_WRITE, 404),
    "PUT /records/{entity}/{key+}": Call(_WRITE, 201, _RECORD),
    # A record whose key is `batch`. Their own workspace has none either, until they put one.
    "GET /records/{entity}/batch": Call(_READ, 404),
    "PATCH /records/{entity}/batch": Call(_WRITE, 404, _RECORD),
    "DELETE /records/{entity}/batch": Call(_WRITE, 404),
    "PUT /records/{entity}/batch": Call(_WRITE, 201, _RECORD),
}


@cache
def events() -> tuple[dict[str, Any], ...]:
    """What sets off the functions of the template."""
    resources = yaml_parse(TEMPLATE.read_text(encoding="utf-8"))["Resources"]
    functions = [one["Properties"] for one in resources.values() if one["Type"] == "AWS::Serverless::Function"]
    assert not [one for one in functions if "FunctionUrlConfig" in one], "a way in that is no route"
    return tuple(event for one in functions for event in one.get("Events", {}).values())


def routes() -> list[str]:
    """The routes of the template, such as `GET /feeds/{feed_id}`."""
    assert not [event for event in events() if event["Type"] == "HttpApi"], "a way in that is no route"
    found = [event["Properties"] for event in events() if event["Type"] == "Api"]
    return [f"{route['Method'].upper()} {route['Path']}" for route in found]


def is_public(route: str) -> bool:
    return route in PUBLIC or route.startswith("OPTIONS ")


@dataclass(frozen=True)
class Request:
    """A call with the names filled in. `path` is below `/v1`."""

    route: str
    method: str
    path: str
    body: bytes | None = None


def requests(names: Mapping[str, str]) -> Iterator[Request]:
    """A request to each route that is not public."""
    return (request(route, names) for route in routes() if not is_public(route) and route not in THE_REST)


def request(route: str, names: Mapping[str, str]) -> Request:
    """A request to one route."""
    method, _, path = route.partition(" ")
    call = CALLS[route]
    for name, value in names.items():
        path = path.replace(f"{{{name}}}", quote(value, safe="")).replace(f"{{{name}+}}", quote(value, safe=""))
    query = f"?{_filled(call.query, names)}" if call.query else ""
    body = None if call.body is None else _filled(json.dumps(call.body), names).encode()
    return Request(route, method, path + query, body)


def _filled(text: str, names: Mapping[str, str]) -> str:
    for name, value in names.items():
        text = text.replace(f"<{name}>", value)
    return text


def without_names(text: str, names: Mapping[str, str]) -> str:
    """An answer without what must differ between two that tell the same: the names, identifiers, times and secrets."""
    for name, value in sorted(names.items(), key=lambda each: -len(each[1])):
        text = text.replace(value, f"<{name}>").replace(quote(value, safe=""), f"<{name}>")
    text = re.sub(r"psk_[0-9A-Z]{26}(_[\w-]{43})?", "<secret>", text)
    text = re.sub(r"\b([a-z]+_)?[0-9A-HJKMNP-TV-Z]{26}\b", "<identifier>", text)
    text = re.sub(r'"version": ?1\d{12}\b', '"version":"<time>"', text)
    text = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "<time>", text)
    return re.sub(r'"request_id":\s*"[^"]*"', '"request_id":"<request>"', text)
