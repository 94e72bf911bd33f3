"""Feeds: definitions, presets, readers, mapping and folding. Files in, files out; nothing here knows of AWS."""

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
from shared.feeds.preparing import EntityCounts, PreparedFeed, prepare

__all__ = [
    "DEFAULT_LIMITS",
    "EntityCounts",
    "FeedDefinition",
    "FeedUnreadable",
    "Limits",
    "PreparedFeed",
    "PresetDescription",
    "Problem",
    "ResolvedDefinition",
    "describe_presets",
    "prepare",
    "preset_definition",
    "preset_names",
    "problems",
    "resolve",
]
