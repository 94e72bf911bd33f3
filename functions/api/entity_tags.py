"""Versions of records as HTTP speaks of them: ETag, If-Match and If-None-Match (RFC 9110, section 13.1)."""

from __future__ import annotations

import re

from functions.api.problems import FieldError, Refusal, invalid
from shared.catalog import Record
from shared.edits import ANY_VERSION, Expectation
from shared.edits.model import Versions

_TAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"')
_VERSION = re.compile(r'"([1-9][0-9]{0,17})"')


def etag_of(record: Record) -> dict[str, str]:
    """The header that names the record's version."""
    return {"ETag": f'"{record.version}"'}


def expectation(if_match: str | None, if_none_match: str | None) -> Expectation:
    """What the two headers ask for. Raises Refusal for text that is neither `*` nor a list of entity tags."""
    return Expectation(_versions("if-match", if_match), _versions("if-none-match", if_none_match))


def _versions(header: str, value: str | None) -> Versions | None:
    if value is None:
        return None
    if value.strip() == "*":
        return ANY_VERSION
    tags = [tag.strip() for tag in value.split(",")]
    if not all(_TAG.fullmatch(tag) for tag in tags):
        raise Refusal(invalid([FieldError(header, 'Input should be * or the ETag of an answer, such as "3"')]))
    # A tag that is well-formed and none of ours, or a weak one, is no version's: it matches nothing.
    return frozenset(int(match[1]) for tag in tags if (match := _VERSION.fullmatch(tag)))
