"""Headers that every answer carries: what browsers may do with it, and whose pages may read it.

API Gateway's own answers carry the same (GatewayResponses in template.yaml).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from typing import Any

from functions.api.edge.methods import METHODS
from functions.api.requests import header_of

SECURITY = {
    # The names of execute-api are AWS's; a domain of one's own is preloaded by its owner.
    "Strict-Transport-Security": "max-age=31536000",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    # An answer holds a customer's data, and what is left of their credits at this moment.
    "Cache-Control": "no-store",
}
"""For answers that say nothing else themselves, as the page of the documentation does."""

EXPOSED = (
    "ETag",
    "Idempotency-Replayed",
    "Retry-After",
    "X-Credits-Available",
    "X-Credits-Charged",
    "X-Operation-Id",
    "X-Request-Id",
)
"""What a page may read of an answer, beside what it may always read."""

_ASKED = ("Authorization", "Content-Type", "Idempotency-Key", "If-Match", "If-None-Match")
_MAX_AGE_SECONDS = 7200
"""How long a browser need not ask again. None remembers it for longer than two hours."""


@cache
def named_origin() -> str:
    """The one origin whose pages may call the API; blank for none."""
    return os.environ.get("CORS_ORIGIN", "")


def with_edge_headers(answer: dict[str, Any], event: Mapping[str, Any], request_id: str) -> dict[str, Any]:
    """The answer as API Gateway gets it, with all headers that are not the route's business."""
    headers = answer["multiValueHeaders"]
    said = {name.lower() for name in headers}
    added = SECURITY | cors_headers(event) | {"X-Request-Id": request_id}
    headers |= {name: [value] for name, value in added.items() if name.lower() not in said}
    return answer


def cors_headers(event: Mapping[str, Any]) -> dict[str, str]:
    """What tells a browser that a page of the named origin may read the answer; no other origin is ever told.

    `Vary` keeps an answer to one origin from being given to another. There are no cookies, so no credentials.
    """
    named = named_origin()
    if not named:
        return {}
    if header_of(event, "origin") != named:
        return {"Vary": "Origin"}
    return {
        "Vary": "Origin",
        "Access-Control-Allow-Origin": named,
        "Access-Control-Expose-Headers": ", ".join(EXPOSED),
    }


def preflight_headers(event: Mapping[str, Any]) -> dict[str, str]:
    """The answer to a browser that asks what a page may send (Fetch standard, "CORS-preflight request")."""
    named = named_origin()
    if not named or header_of(event, "origin") != named:
        return {}
    return {
        "Access-Control-Allow-Methods": ", ".join(METHODS),
        "Access-Control-Allow-Headers": ", ".join(_ASKED),
        "Access-Control-Max-Age": str(_MAX_AGE_SECONDS),
    }
