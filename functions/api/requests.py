"""What every request has in common: how its event is read before a route sees it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from json import JSONDecodeError, loads
from typing import Any, NoReturn
from urllib.parse import quote, unquote, unquote_to_bytes

from functions.api.problems import FieldError, Refusal, bad_request, invalid, too_large

MAX_BODY_BYTES = 256 * 1024
"""The largest body that a call takes. Feeds do not come this way, but through uploads."""


_BYTE_ORDER_MARK = "\ufeff"

MAX_DEPTH = 100
"""Levels of objects and lists that a body may have. A record's attributes have fewer (`shared.edits`)."""


def admitted(event: Mapping[str, Any]) -> dict[str, Any]:
    """The event as the resolver reads it.

    The path is spelled anew from the resource that API Gateway matched and the values it found, each of them one
    percent-encoded segment: a record's key may hold anything, slashes too. Content types are not looked at, since every
    body is JSON.
    """
    path = event["resource"]
    for name, value in (event.get("pathParameters") or {}).items():
        # API Gateway passes on what was sent, still encoded; the embedded stack decodes it first. Both read the same
        # here, but for keys that hold an escape, such as a literal `%41`.
        segment = quote(unquote_to_bytes(value), safe="")
        path = path.replace(f"{{{name}}}", segment).replace(f"{{{name}+}}", segment)
    return {
        **event,
        "path": path,
        "headers": _without_content_type(event.get("headers")),
        "multiValueHeaders": _without_content_type(event.get("multiValueHeaders")),
    }


def path_value(encoded: str) -> str:
    """A value of the path, as it was meant. Raises Refusal when it is no UTF-8."""
    try:
        return unquote(encoded, errors="strict")
    except UnicodeDecodeError:
        raise Refusal(bad_request("The path holds something that is not percent-encoded UTF-8.")) from None


def parse_body(text: str) -> dict[str, Any]:
    """A request's body. Raises Refusal when it is too large, no JSON, or no object; numbers stay exact."""
    if len(text.encode()) > MAX_BODY_BYTES:
        raise Refusal(too_large(f"The body is larger than {MAX_BODY_BYTES:,} bytes; feeds go through an upload."))
    try:
        body = loads(text, parse_float=Decimal, parse_constant=_refuse_constant)
    except JSONDecodeError as error:
        if text.startswith(_BYTE_ORDER_MARK):
            raise Refusal(bad_request("The body begins with a byte order mark, which JSON has none of.")) from None
        detail = f"The body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}."
        raise Refusal(bad_request(detail)) from None
    except RecursionError:
        raise Refusal(bad_request("The body is nested too deeply.")) from None
    except (ValueError, ArithmeticError):
        # Python reads no integer of more than 4,300 digits, and no decimal of an exponent beyond all use.
        raise Refusal(bad_request("The body holds a number that is too large to be read.")) from None
    if _depth(body) > MAX_DEPTH:
        raise Refusal(bad_request(f"The body is nested more than {MAX_DEPTH} levels deep."))
    if not isinstance(body, dict):
        raise Refusal(invalid([FieldError("body", "Input should be a JSON object")]))
    return body


def header_of(event: Mapping[str, Any], name: str) -> str | None:
    """The first value of a header; `name` is in small letters."""
    sent = event.get("multiValueHeaders") or {}
    return next((values[0] for given, values in sent.items() if given.lower() == name), None)


def request_id(event: Mapping[str, Any]) -> str:
    """The identifier that API Gateway gave the request; it is in its logs too."""
    return str(event["requestContext"]["requestId"])


def requested_at(event: Mapping[str, Any]) -> datetime:
    """When the request came in: the same for an event that is delivered twice."""
    return datetime.fromtimestamp(event["requestContext"]["requestTimeEpoch"] / 1000, UTC)


def _without_content_type(headers: Mapping[str, Any] | None) -> dict[str, Any]:
    return {name: value for name, value in (headers or {}).items() if name.lower() != "content-type"}


def _depth(value: Any) -> int:
    """How many objects and lists lie in each other. Level by level: something this deep overflows what calls itself."""
    depth, level = 0, [value]
    while level := [part for part in level if isinstance(part, dict | list)]:
        depth += 1
        level = [inner for part in level for inner in (part.values() if isinstance(part, dict) else part)]
    return depth


def _refuse_constant(name: str) -> NoReturn:
    raise Refusal(bad_request(f"The body is not JSON: {name} is not a number of JSON."))
