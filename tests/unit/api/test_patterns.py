"""What is said of texts that do not fit their pattern."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from functions.api.entity_tags import TAGS_PATTERN
from functions.api.models.common import PointInTime, Request
from functions.api.models.corrections import CorrectionRequest
from functions.api.models.credentials import CredentialsRequest
from functions.api.models.exports import ExportRequest
from functions.api.models.keys import KeyRequest
from functions.api.models.people import PersonRequest
from functions.api.models.runs import RunRequest
from functions.api.models.usage import Day
from functions.api.models.workspaces import TopUpRequest, WorkspaceRequest
from functions.api.openapi import PATH, schemas
from functions.api.patterns import SENTENCES
from functions.api.problems import of_validation
from shared.ids import ULID_PATTERN

DOCUMENT: dict[str, Any] = json.loads(PATH.read_text(encoding="utf-8"))
TOP_UP = {"credits": 10, "unit_price": "0.01", "reference": "invoice"}
CORRECTION = {"credits": 10, "reference": "ticket", "reason": "a gift"}
BASIC = {"type": "basic", "username": "ada", "password": "secret"}


@pytest.mark.parametrize(
    ("request_type", "body", "words"),
    [
        (PersonRequest, {"email": "ada"}, "email: Input should be an e-mail address"),
        (PersonRequest, {"email": "ada@acme.example\n"}, "email: Input should be an e-mail address"),
        (PersonRequest, {"email": "a" * 129}, "at most 128 characters"),
        (PersonRequest, {"email": 5}, "valid string"),
        (WorkspaceRequest, {"name": " \t"}, "name: Input should not be blank"),
        (WorkspaceRequest, {"name": ""}, "at least 1 character"),
        (WorkspaceRequest, {"name": "x" * 201}, "at most 200 characters"),
        (KeyRequest, {"name": " ", "scopes": ["read"]}, "name: Input should not be blank"),
        (TopUpRequest, TOP_UP | {"unit_price": "-1"}, "unit_price: Input should be an amount of money of at most 12"),
        (TopUpRequest, TOP_UP | {"unit_price": "0,01"}, "such as 0.01: without a sign, a comma"),
        (TopUpRequest, TOP_UP | {"unit_price": 0.01}, 'a decimal as text, such as "0.01"'),
        (TopUpRequest, TOP_UP | {"currency": "eur"}, "currency: Input should be a currency by its three capital"),
        (CorrectionRequest, CORRECTION | {"unit_price": "1e3"}, "unit_price: Input should be an amount of money"),
        (CorrectionRequest, CORRECTION | {"reason": " "}, "reason: Input should not be blank"),
        (CorrectionRequest, CORRECTION | {"corrects": "2026-13"}, "corrects: Input should be a month, such as"),
        (ExportRequest, {"month": "11/2026"}, "month: Input should be a month, such as 2026-11"),
        (RunRequest, {"upload_id": "products.csv"}, "upload_id: Input should be the upload_id of an upload"),
        (CredentialsRequest, BASIC | {"username": "a:b"}, "username: Input should have no colon"),
        (CredentialsRequest, {"type": "header", "name": "X Y", "value": "v"}, "the name of a header: letters"),
    ],
)
def test_what_is_wrong_is_said_in_words(request_type: type[Request], body: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError) as refused:
        request_type.model_validate(body)
    problem = of_validation([{**error, "loc": ("body", *error["loc"])} for error in refused.value.errors()])
    assert words in problem.detail
    assert "pattern" not in problem.detail


def test_every_pattern_of_a_request_has_a_sentence() -> None:
    # Paths name things by identifiers, which are looked up as they are.
    asked = {text for text in _patterns_of_requests() if ULID_PATTERN not in text or text in SENTENCES}
    # These are said by code of their own, when it reads times, days, ETags and secrets.
    in_code = {
        TAGS_PATTERN,
        *_patterns(TypeAdapter(PointInTime).json_schema()),
        *_patterns(TypeAdapter(Day).json_schema()),
    }
    in_code |= set(_patterns(CredentialsRequest.model_json_schema()["properties"]["token"]))
    assert asked - in_code == set(SENTENCES)


def _patterns_of_requests() -> Iterator[str]:
    """Of parameters and bodies, and of all that bodies are made of."""
    yield from _patterns(DOCUMENT["components"]["parameters"])
    seen: set[str] = set()
    waiting = []
    for methods in DOCUMENT["paths"].values():
        for operation in methods.values():
            waiting += [operation.get("parameters", []), operation.get("requestBody", {})]
    while waiting:
        part = waiting.pop()
        yield from _patterns(part)
        new = set(schemas.references(part)) - seen
        seen |= new
        waiting += [DOCUMENT["components"]["schemas"][name] for name in new]


def _patterns(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        for name, value in part.items():
            if name == "pattern" and isinstance(value, str):
                yield value
            else:
                yield from _patterns(value)
    elif isinstance(part, list):
        for value in part:
            yield from _patterns(value)
