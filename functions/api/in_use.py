"""What schedules run cannot be deleted: first they are, or are told to run something else."""

from __future__ import annotations

from functions.api.problems import Refusal, feed_in_use, rule_in_use
from functions.api.services import services


def refuse_pulled_feed(workspace_id: str, feed_id: str) -> None:
    """Raises Refusal (409) where schedules pull the feed."""
    schedules = services().schedules.all(workspace_id)
    users = [each.schedule_id for each in schedules if each.definition.feed_id == feed_id]
    if users:
        raise Refusal(feed_in_use(users))


def refuse_scheduled_rule(workspace_id: str, rule_id: str) -> None:
    """Raises Refusal (409) where schedules run the rule."""
    schedules = services().schedules.all(workspace_id)
    users = [each.schedule_id for each in schedules if each.definition.rule_id == rule_id]
    if users:
        raise Refusal(rule_in_use(users))
