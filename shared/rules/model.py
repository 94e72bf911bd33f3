"""The words of rules: a rule, a change that rules listen to, and what becomes of a rule on one record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from shared.rules.definition import RuleDefinition

MAX_RULES = 100
"""Rules of one workspace: all of them are read for each batch of changes, and every record remembers those that fired
on it.
"""

MAX_ALL_TEXT = 100_000
"""Characters of all expressions in the rules of one workspace: a batch of changes may have to read them all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A rule as it was last put. `version` grows with every change of the definition, also over a deletion. While
    `suspended_at` is set it fires no more, because it fired too often, until its owner puts it anew.
    """

    workspace_id: str
    rule_id: str
    definition: RuleDefinition
    version: int
    created_at: datetime
    updated_at: datetime
    suspended_at: datetime | None = None

    @property
    def fires(self) -> bool:
        """Whether it is to be looked at at all."""
        return self.definition.enabled and self.suspended_at is None


ANY_ATTRIBUTE = ""
"""Takes the place of names in a change; no attribute is without a name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What has happened to one record, in one write or in several: what rules listen to.

    `created_at` tells the record from one of the same key that was deleted before it was made; `version` is the highest
    that is covered. A write has a depth: how many rules, each set off by the one before, led to it. `appeared` is that
    of the record's creation, None if it was there before. `changed` has each attribute that was set to another value,
    or cleared, and for each depth the last version at which it was; an attribute that the record was created with is
    not in it. `ANY_ATTRIBUTE` stands in it for those that were too many to be named.
    """

    workspace_id: str
    entity: str
    key: str
    created_at: datetime
    version: int
    appeared: int | None
    changed: Mapping[str, Mapping[int, int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Creation:
    """A record that a rule creates where there is none of that key."""

    entity: str
    key: str
    attributes: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Effect:
    """The condition holds, and this is what the actions come to: `attributes` are those of the record afterwards, None
    when they stay as they are. Whether a creation finds its place taken is not known yet. Never empty: there are other
    attributes, or creations.
    """

    attributes: Mapping[str, Any] | None
    creations: tuple[Creation, ...] = ()


@dataclass(frozen=True, slots=True)
class NoMatch:
    """The condition does not hold."""


@dataclass(frozen=True, slots=True)
class NoChange:
    """The condition holds, and the actions would change nothing: nothing fires."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The condition or an action cannot be computed for this record, for a reason that its owner can read."""

    reason: str


Examined = Effect | NoMatch | NoChange | Failed
