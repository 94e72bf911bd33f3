"""Which methods a path takes, for whoever came with another: as the API's own document says."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from functions.api.openapi import PATH

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
"""Those that any path takes, in the order that they are named in."""


def allowed_methods(path: str) -> tuple[str, ...]:
    """The methods of a path below `/v1`, as it was sent; none for a path that does not exist.

    A path may be several: `/records/product/batch` is a batch, and the record with that key.
    """
    found = {method for pattern, methods in _paths() if pattern.fullmatch(path) for method in methods}
    return (*(method for method in METHODS if method in found), "OPTIONS") if found else ()


@cache
def _paths() -> tuple[tuple[re.Pattern[str], tuple[str, ...]], ...]:
    """Read for the first who needs it: hardly a call does."""
    return patterns(json.loads(PATH.read_text(encoding="utf-8"))["paths"])


def patterns(paths: Mapping[str, Any]) -> tuple[tuple[re.Pattern[str], tuple[str, ...]], ...]:
    """The paths of an OpenAPI document as expressions, each with its methods."""
    return tuple(
        (re.compile(_expression(path)), tuple(each for each in METHODS if each.lower() in item))
        for path, item in paths.items()
    )


def _expression(path: str) -> str:
    """A record's key may be sent with its slashes as they are; every other name is one segment."""
    parts = re.split(r"\{(\w+)\}", path)
    return "".join(
        (".+" if part == "key" else "[^/]+") if number % 2 else re.escape(part) for number, part in enumerate(parts)
    )
