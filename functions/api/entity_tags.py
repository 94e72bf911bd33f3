"""Versions of records as HTTP speaks of them: ETag, If-Match and If-None-Match (RFC 9110, section 13.1)."""

from __future__ import annotations

import re

from functions.api.problems import FieldError, Refusal, invalid
from shared.catalog import Record
from shared.edits import ANY_VERSION, Expectation, RecordVersion
from shared.edits.model import Versions

_TAG = r'(W/)?"[!#-~]{0,64}"'
TAGS_PATTERN = rf"^(\*|{_TAG}([ \t]*,[ \t]*{_TAG}){{0,9}})$"
"""What the two headers may be: `*`, or up to ten entity tags. Ours have 20 characters at most."""

_VERSION = re.compile(r'"([1-9][0-9]{0,17})(?:-([0-9a-f]{1,12}))?"')
"""As `etag_of` says it; or the version alone, whenever its record was made."""


def etag_of(record: Record) -> dict[str, str]:
    """The header that names the record's version, and which record of this key it is."""
    return {"ETag": f'"{RecordVersion.of(record)}"'}


def expectation(if_match: str | None, if_none_match: str | None) -> Expectation:
    """What the two headers ask for. Raises Refusal for text that is neither `*` nor a list of entity tags."""
    return Expectation(_versions("if-match", if_match), _versions("if-none-match", if_none_match))


def _versions(header: str, value: str | None) -> Versions | None:
    if value is None:
        return None
    given = value.strip()
    if re.fullmatch(TAGS_PATTERN, given) is None:
        raise Refusal(
            invalid([FieldError(header, 'Input should be * or the ETag of an answer, such as "3-19aba5a8c7b"')])
        )
    if given == "*":
        return ANY_VERSION
    # A tag that is well-formed and none of ours, or a weak one, is no version's: it matches nothing.
    tags = (match[0] for match in re.finditer(_TAG, given))
    return frozenset(_version(match) for tag in tags if (match := _VERSION.fullmatch(tag)))


def _version(tag: re.Match[str]) -> RecordVersion:
    return RecordVersion(int(tag[1]), None if tag[2] is None else int(tag[2], 16))
