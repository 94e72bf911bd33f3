"""The page on schedules: what it shows works."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

from shared.schedules.expressions import check_that_it_fires, parse
from shared.schedules.zones import zone_named


def test_every_expression_in_the_documentation_fires(project: Path) -> None:
    found = set()
    for page in ("schedules.md", "api.md", "cli.md"):
        text = (project / "docs" / page).read_text(encoding="utf-8")
        found |= set(re.findall(r"[`\"]((?:rate|cron|at)\([^()…]+\))[`\"]", text))
    assert len(found) >= 10
    for text in found:
        check_that_it_fires(parse(text), zone_named("Europe/Berlin"), datetime(2026, 11, 22, tzinfo=UTC))
        assert str(parse(text)) == text
