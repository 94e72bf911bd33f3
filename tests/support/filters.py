"""The filters of template.yaml's stream mappings, by the rules of EventBridge's patterns that it uses."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from samtranslator.yaml_helper import yaml_parse

TEMPLATE = Path(__file__).resolve().parents[2] / "template.yaml"


@cache
def filters_of(function: str, event: str) -> tuple[dict[str, Any], ...]:
    """What the mapping of a function's event lets through."""
    template = yaml_parse(TEMPLATE.read_text(encoding="utf-8"))
    mapping = template["Resources"][function]["Properties"]["Events"][event]["Properties"]
    return tuple(json.loads(one["Pattern"]) for one in mapping["FilterCriteria"]["Filters"])


def matches(pattern: Any, value: Any) -> bool:
    """Whether a record, or a part of one, is what the pattern asks for."""
    if isinstance(pattern, dict):
        return isinstance(value, dict) and all(
            name in value and matches(wanted, value[name]) for name, wanted in pattern.items()
        )
    return any(_passes(wanted, value) for wanted in pattern)


def _passes(wanted: Any, value: Any) -> bool:
    match wanted:
        case {"anything-but": [*unwanted]}:
            return value not in unwanted
        case {"suffix": str(suffix)}:
            return isinstance(value, str) and value.endswith(suffix)
        case {"prefix": str(prefix)}:
            return isinstance(value, str) and value.startswith(prefix)
        case {"exists": True}:
            return True
        case _:
            return bool(value == wanted)
