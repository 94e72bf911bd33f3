"""What comes of giving credits, once per `grant_id`."""

from __future__ import annotations

from dataclasses import dataclass, replace

from shared.credits import account
from shared.credits.model import Grant
from shared.keys import Item


@dataclass(frozen=True, slots=True)
class Granted:
    """The credits are there; `settled` of them paid a debt at once."""

    grant: Grant
    settled: int


@dataclass(frozen=True, slots=True)
class GrantReplayed:
    """This grant was given before; nothing was added now. `grant` is as it was given then."""

    grant: Grant


@dataclass(frozen=True, slots=True)
class GrantReferenceReused:
    """The same reference, but for another grant. Nothing was added."""

    grant: Grant


def replay_of_grant(asked: Grant, item: Item) -> GrantReplayed | GrantReferenceReused:
    """What a grant is answered that was given before, and stands in `item`."""
    given = account.to_grant(item)
    same_terms = replace(given, granted_at=asked.granted_at) == asked
    return GrantReplayed(given) if same_terms else GrantReferenceReused(given)
