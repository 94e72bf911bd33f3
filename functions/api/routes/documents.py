"""What describes the API: the OpenAPI document, and the page that shows it. Free, and public: they hold nothing of
anybody's.

Both are read for the first who asks. No other call waits for that.
"""

import hashlib
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from typing import Annotated, Any

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Header

from functions.api.openapi import PATH
from functions.api.openapi.page import docs_page
from functions.api.routing import PUBLIC, new_router, operation

router = new_router()

_KEPT = "public, max-age=300"
"""How long anybody may keep them: five minutes after a deployment nobody reads the one before."""

IfNoneMatch = Annotated[
    str | None,
    Header(alias="If-None-Match", max_length=1000, description="The ETag of the one that you have."),
]
_AS_BEFORE: dict[int, Any] = {HTTPStatus.NOT_MODIFIED: {"description": "It is the one that you have."}}


@dataclass(frozen=True, slots=True)
class _Published:
    """A text that everybody may read, and what tells it from another."""

    text: str
    etag: str

    @classmethod
    def of(cls, text: str) -> "_Published":
        return cls(text, f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}"')


@router.get(
    "/openapi.json",
    **operation(
        "getOpenApi",
        "This document",
        description="OpenAPI 3.1, for programs that write clients, and for those that test them.",
        scopes=PUBLIC,
        answers={
            HTTPStatus.OK: {
                "description": "The document.",
                "content": {"application/json": {"schema": {"type": "object", "required": ["openapi", "paths"]}}},
            },
            **_AS_BEFORE,
        },
    ),
)
def get_openapi(if_none_match: IfNoneMatch = None) -> Response[str]:
    return _answer(_openapi(), "application/json", if_none_match)


@router.get(
    "/docs",
    **operation(
        "getDocs",
        "The page",
        description="This document as a page to read, and to try it out. It asks no other host for anything.",
        scopes=PUBLIC,
        answers={
            HTTPStatus.OK: {
                "description": "The page.",
                "content": {"text/html; charset=utf-8": {"schema": {"type": "string"}}},
            },
            **_AS_BEFORE,
        },
    ),
)
def get_docs(if_none_match: IfNoneMatch = None) -> Response[str]:
    policy = {"Content-Security-Policy": docs_page().policy}
    return _answer(_docs(), "text/html; charset=utf-8", if_none_match, policy)


def _answer(
    published: _Published, content_type: str, known: str | None, headers: dict[str, str] | None = None
) -> Response[str]:
    told: dict[str, Any] = {"ETag": published.etag, "Cache-Control": _KEPT, **(headers or {})}
    if known is not None and (known.strip() == "*" or published.etag in _tags(known)):
        return Response(HTTPStatus.NOT_MODIFIED.value, body="", headers=told)
    return Response(HTTPStatus.OK.value, content_type, published.text, told)


def _tags(header: str) -> set[str]:
    """The entity tags of an If-None-Match, which compares them weakly (RFC 9110, section 13.1.2)."""
    return {tag.strip().removeprefix("W/") for tag in header.split(",")}


@cache
def _openapi() -> _Published:
    return _Published.of(PATH.read_text(encoding="utf-8"))


@cache
def _docs() -> _Published:
    return _Published.of(docs_page().html)
