"""The public calls that describe the API: the document and its page, on events as API Gateway sends them."""

from __future__ import annotations

import hashlib
import json
import re
from base64 import b64encode
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from functions.api.openapi import PATH
from functions.api.openapi.page import docs_page

if TYPE_CHECKING:
    from tests.unit.api.conftest import Answer

Event = Callable[[str], dict[str, Any]]
Call = Callable[[dict[str, Any]], "Answer"]

LAMBDA_ANSWER_BYTES = 6 * 1024 * 1024


@pytest.fixture
def ask(call: Call, event: Event) -> Callable[..., Answer]:
    """Asks as anybody may: the authorizer knows nobody."""

    def send(path: str, if_none_match: str | None = None) -> Answer:
        given = event("api_get_credits") | {"resource": path, "path": path, "pathParameters": None}
        given["requestContext"]["authorizer"] = {"principalId": "anyone"}
        given["multiValueHeaders"] = {} if if_none_match is None else {"If-None-Match": [if_none_match]}
        given["headers"] = {name: values[0] for name, values in given["multiValueHeaders"].items()}
        return call(given)

    return send


def digest_of(text: str) -> str:
    return f"'sha256-{b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def directives(policy: str) -> dict[str, list[str]]:
    parts = [part.split() for part in policy.split("; ")]
    return {name: values for name, *values in parts}


def test_the_document_is_given_to_anybody_as_it_is_kept(ask: Callable[..., Answer]) -> None:
    answer = ask("/openapi.json")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json")
    assert answer.text == PATH.read_text(encoding="utf-8")
    assert answer.body["openapi"] == "3.1.0"


def test_the_page_is_given_to_anybody(ask: Callable[..., Answer]) -> None:
    answer = ask("/docs")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert "SwaggerUIBundle(" in answer.text
    assert len(json.dumps({"body": answer.text}).encode()) < LAMBDA_ANSWER_BYTES


@pytest.mark.parametrize("path", ["/openapi.json", "/docs"])
def test_who_has_it_is_not_sent_it_again(ask: Callable[..., Answer], path: str) -> None:
    first = ask(path)
    assert first.headers["Cache-Control"] == "public, max-age=300"
    etag = first.headers["ETag"]
    for known in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        again = ask(path, known)
        assert (again.status, again.text, again.headers["ETag"]) == (304, "", etag)
    assert ask(path, '"other"').status == 200


def test_the_page_s_policy_names_exactly_its_own_scripts_and_style(ask: Callable[..., Answer]) -> None:
    answer = ask("/docs")
    scripts = re.findall(r"<script>(.*?)</script>", answer.text, re.DOTALL)
    styles = re.findall(r"<style>(.*?)</style>", answer.text, re.DOTALL)
    assert (len(scripts), len(styles)) == (2, 1)
    assert directives(answer.headers["Content-Security-Policy"]) == {
        "default-src": ["'none'"],
        "script-src": [digest_of(script) for script in scripts],
        "style-src": [digest_of(style) for style in styles],
        "img-src": ["data:"],
        "connect-src": ["'self'"],
        "base-uri": ["'none'"],
        "form-action": ["'none'"],
        "frame-ancestors": ["'none'"],
    }


def test_the_page_loads_nothing_from_anywhere_else() -> None:
    """What its own markup asks for; what scripts may ask for is the policy's."""
    markup = re.sub(r"<(script|style)>.*?</\1>", "", docs_page().html, flags=re.DOTALL)
    assert re.findall(r'(?:src|href|action)="([^"]*)"', markup) == ["openapi.json"]
    assert "style=" not in markup
    assert not re.search(r"\son\w+=", markup)
    style = re.findall(r"<style>(.*?)</style>", docs_page().html, re.DOTALL)[0]
    assert "@import" not in style
    assert set(re.findall(r"""url\(["']?(\w+:)""", style)) == {"data:"}


def test_browsers_hash_the_texts_that_were_hashed_here() -> None:
    """A browser would make one line break of a carriage return, and another character of a zero."""
    assert not set(docs_page().html) & {"\r", "\0"}
