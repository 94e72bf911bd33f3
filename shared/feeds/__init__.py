"""Feeds: definitions, presets, readers, mapping and folding. Files in, files out; nothing here knows of AWS.

`shared.feeds.preparing` is imported by itself: the API needs definitions alone, and would load the readers of all
formats along with it.
"""

from shared.feeds.definition import (
    FeedDefinition,
    PresetDescription,
    Problem,
    ResolvedDefinition,
    describe_presets,
    preset_definition,
    preset_names,
    problems,
    resolve,
)
from shared.feeds.errors import FeedUnreadable
from shared.feeds.limits import DEFAULT_LIMITS, Limits

__all__ = [
    "DEFAULT_LIMITS",
    "FeedDefinition",
    "FeedUnreadable",
    "Limits",
    "PresetDescription",
    "Problem",
    "ResolvedDefinition",
    "describe_presets",
    "preset_definition",
    "preset_names",
    "problems",
    "resolve",
]
