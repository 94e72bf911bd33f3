"""How answers are written. Numbers are exact: a decimal of the catalogue leaves with the digits that it came with."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

import simplejson
from aws_lambda_powertools.event_handler import Response
from pydantic import BaseModel

REPLAYED = {"Idempotency-Replayed": "true"}
"""Marks an answer that was given before."""


MAX_ANSWER_BYTES = 5_500_000
"""Bytes of a body in what a function answers to API Gateway: 6 MB at most, headers included (AWS documentation, "Lambda
quotas").
"""


def answered_bytes(text: str) -> int:
    """How many bytes a part of a body takes in the function's answer, where it is JSON within JSON."""
    return len(simplejson.dumps(text, ensure_ascii=False).encode())


def as_json(view: BaseModel) -> str:
    """The text of an answer."""
    return simplejson.dumps(view.model_dump(), use_decimal=True, ensure_ascii=False, separators=(",", ":"))


def answer(
    view: BaseModel | str, status: HTTPStatus = HTTPStatus.OK, headers: Mapping[str, str] | None = None
) -> Response[str]:
    """A response with a body: a view, or the text of one that was answered before."""
    body = view if isinstance(view, str) else as_json(view)
    return Response(status.value, "application/json", body, dict(headers or {}))


def credit_headers(*, charged: int, available: int, operation_id: str | None) -> dict[str, str]:
    """What a data call cost, and what is left to spend; `operation_id` is None when nothing was charged."""
    headers = {"X-Credits-Charged": str(charged), "X-Credits-Available": str(available)}
    return headers if operation_id is None else headers | {"X-Operation-Id": operation_id}
