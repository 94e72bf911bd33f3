"""What is announced of a workspace's credits: automation that waits or goes on, and a balance that runs low."""

from __future__ import annotations

from datetime import datetime

from shared.announcing import Announcement, AnnouncementKind
from shared.automation.store import Automation, AutomationState
from shared.credits import Balance
from shared.times import to_rfc3339


def of_automation(automation: Automation, balance: Balance) -> Announcement:
    """Automation waits for credits, or goes on."""
    is_paused = automation.state is AutomationState.PAUSED
    return Announcement(
        announcement_id=f"{automation.workspace_id}.automation.{automation.sequence}",
        workspace_id=automation.workspace_id,
        kind=AnnouncementKind.PAUSED if is_paused else AnnouncementKind.RESUMED,
        at=automation.since,
        detail={
            "since": to_rfc3339(automation.since),
            "reason": automation.reason.value,
            "available": balance.available,
            "owed": balance.owed,
        },
    )


def running_low(balance: Balance, threshold: int, at: datetime) -> Announcement:
    """The balance has fallen under `threshold` percent of the last grant; `balance` is as it was then.

    The identifier names this one crossing: between two grants a balance only falls, so it crosses each once.
    """
    return Announcement(
        announcement_id=f"{balance.workspace_id}.level.{balance.revision}-{threshold}",
        workspace_id=balance.workspace_id,
        kind=AnnouncementKind.LOW,
        at=at,
        detail={
            "threshold": threshold,
            "base": balance.base,
            "available": balance.available,
            "owed": balance.owed,
        },
    )
