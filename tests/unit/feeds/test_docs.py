"""docs/feeds.md is true: its examples are definitions, and it names every field, code and preset."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from shared.feeds import FeedDefinition, preset_names
from shared.feeds.entities import (
    AttributeDefinition,
    CodesDefinition,
    Condition,
    EntityDefinition,
    FirstOfKey,
    JoinedKey,
    PathDefinition,
    PrefixedColumn,
)
from shared.feeds.formats import FormatDefinition
from shared.feeds.sources import HttpSource, S3Source, UploadSource
from tests.support.feeds import ROOT
from tests.unit.feeds.test_bad_files import CASES

PAGE = (ROOT / "docs" / "feeds.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_an_example_is_a_definition(example: str) -> None:
    definition = json.loads(example)
    assert FeedDefinition.model_validate(definition).to_json() == definition


@pytest.mark.parametrize(
    "model",
    [
        FeedDefinition,
        FormatDefinition,
        EntityDefinition,
        AttributeDefinition,
        PathDefinition,
        CodesDefinition,
        Condition,
        JoinedKey,
        FirstOfKey,
        PrefixedColumn,
        UploadSource,
        S3Source,
        HttpSource,
    ],
)
def test_every_field_is_named(model: type) -> None:
    for name, field in model.model_fields.items():  # type: ignore[attr-defined]
        assert re.search(rf"[`\"]{field.alias or name}[`\"]", PAGE), f"{model.__name__}.{name}"


def test_every_code_is_named() -> None:
    raised = set()
    for module in (ROOT / "shared" / "feeds").rglob("*.py"):
        raised |= set(re.findall(r'FeedUnreadable\(\s*"(\w+)"', Path(module).read_text(encoding="utf-8")))
    named = set(re.findall(r"^\| `(\w+)` \|", PAGE.partition("## Files that cannot be read")[2], re.MULTILINE))
    assert raised == named == {case.code for case in CASES.values()}


def test_every_preset_is_named() -> None:
    assert all(f"| `{name}` |" in PAGE for name in preset_names())
