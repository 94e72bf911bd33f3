"""docs/feeds.md names every way in which a source fails."""

from __future__ import annotations

import re

from tests.support.feeds import ROOT

PAGE = (ROOT / "docs" / "feeds.md").read_text(encoding="utf-8")


def test_every_code_is_named() -> None:
    raised = set()
    for module in (ROOT / "shared" / "sources").rglob("*.py"):
        raised |= set(re.findall(r'SourceFailed\(\s*"(\w+)"', module.read_text(encoding="utf-8")))
    assert raised == set(re.findall(r"^\| `(source_\w+)` \|", PAGE, re.MULTILINE))
