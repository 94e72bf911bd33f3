"""What schedules run cannot be deleted: first they are, or are told to run something else."""

from __future__ import annotations

from collections.abc import Sequence

from functions.api.problems import Refusal, conflict
from functions.api.services import services
from shared.schedules.model import Schedule

_NAMED_SCHEDULES = 10
"""Schedules that are named where something is in use."""


def refuse_pulled_feed(workspace_id: str, feed_id: str) -> None:
    """Raises Refusal (409) where schedules pull the feed."""
    users = [each for each in services().schedules.all(workspace_id) if each.definition.feed_id == feed_id]
    if users:
        raise Refusal(conflict("feed-in-use", f"Schedules pull it: {_named(users)}. Delete them first."))


def refuse_scheduled_rule(workspace_id: str, rule_id: str) -> None:
    """Raises Refusal (409) where schedules run the rule."""
    users = [each for each in services().schedules.all(workspace_id) if each.definition.rule_id == rule_id]
    if users:
        raise Refusal(conflict("rule-in-use", f"Schedules run it: {_named(users)}. Delete them first."))


def _named(users: Sequence[Schedule]) -> str:
    named = ", ".join(each.schedule_id for each in users[:_NAMED_SCHEDULES])
    return f"{named} and {len(users) - _NAMED_SCHEDULES} more" if len(users) > _NAMED_SCHEDULES else named
