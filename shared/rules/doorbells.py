"""The doorbells by which rules call their worker, beside those of runs (`shared.runs.store.Doorbell`) and schedules.

In a file of their own: who answers them needs nothing else of rules, and starts the quicker.
"""

from __future__ import annotations

from enum import StrEnum


class RuleDoorbell(StrEnum):
    """What has to be done now: changes that wait are to be looked at, a pass is to go on, or it is to be told that a
    rule fires no more.
    """

    BACKLOG = "backlog"
    PASS = "rule_pass"  # noqa: S105  # no password
    SUSPENDED = "rule_suspended"
