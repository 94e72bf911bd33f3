"""The document and its page on the deployed template: for everybody, and as they were built."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest

from functions.api.openapi import PATH
from functions.api.openapi.page import docs_page

if TYPE_CHECKING:
    from productsync.stack import EmbeddedStack


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer nobody's"}])
def test_everybody_may_read_them(stack: EmbeddedStack, headers: dict[str, str]) -> None:
    document = httpx.get(f"{stack.endpoint}/v1/openapi.json", headers=headers, timeout=60)
    assert (document.status_code, document.text) == (200, PATH.read_text(encoding="utf-8"))
    page = httpx.get(f"{stack.endpoint}/v1/docs", headers=headers, timeout=60)
    assert (page.status_code, page.text) == (200, docs_page().html)
    assert page.headers["Content-Security-Policy"] == docs_page().policy
    for answer in (document, page):
        assert answer.headers["X-Request-Id"]
        assert answer.headers["Cache-Control"] == "public, max-age=300"


def test_who_has_them_is_not_sent_them_again(stack: EmbeddedStack) -> None:
    for path in ("openapi.json", "docs"):
        url = f"{stack.endpoint}/v1/{path}"
        etag = httpx.get(url, timeout=60).headers["ETag"]
        again = httpx.get(url, headers={"If-None-Match": etag}, timeout=60)
        assert (again.status_code, again.content) == (304, b"")
