"""The pages of the documentation lead to each other: every link has a file, and every anchor a heading."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from tests.support.feeds import ROOT

PAGES = sorted([ROOT / "README.md", *ROOT.glob("docs/*.md"), *ROOT.glob("shared/**/*.md"), *ROOT.glob("tests/**/*.md")])
_CODE = re.compile(r"^```.*?^```$|`[^`\n]*`", re.DOTALL | re.MULTILINE)


def links(page: Path) -> list[str]:
    """Where the page leads to within the project."""
    text = _CODE.sub("", page.read_text(encoding="utf-8"))
    found = re.findall(r"\]\(([^()\s]+)\)", text)
    return [target for target in found if not re.match(r"[a-z]+:", target)]


def anchors(page: Path) -> set[str]:
    """What a browser of repositories makes of the headings: small letters, no punctuation, hyphens for spaces; the
    second of the same name gets a number.
    """
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    seen: Counter[str] = Counter()
    made = set()
    for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE):
        name = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        made.add(f"{name}-{seen[name]}" if seen[name] else name)
        seen[name] += 1
    return made


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), link


def test_links_are_found() -> None:
    assert sum(len(links(page)) for page in PAGES) > 50


def test_every_page_of_docs_is_linked_from_the_front_page_or_one_that_is() -> None:
    front = ROOT / "README.md"
    reached = {front}
    waiting = [front]
    while waiting:
        page = waiting.pop()
        for link in links(page):
            target = (page.parent / link.partition("#")[0]).resolve()
            if target.suffix == ".md" and target not in reached:
                reached.add(target)
                waiting.append(target)
    assert set(ROOT.glob("docs/*.md")) <= reached
