"""Real suppliers' files, which are no part of the repository: a test that wants one is skipped where it is absent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.feeds import real_feeds


def real_feed(name: str) -> Path:
    file = real_feeds() / name
    if not file.exists():
        pytest.skip(f"the real feeds are not here ({file})")
    return file


def drugs(key: str) -> dict[str, Any]:
    """The French drug register: Windows-1252, tabs, no header."""
    return {
        "format": {"type": "csv", "delimiter": "\t", "encoding": "windows-1252", "header": False},
        "entities": [{"entity": "product", "key": key, "attributes": "*"}],
        "skip_unchanged": True,
    }
