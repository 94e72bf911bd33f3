"""What the operation log adds up to: figures by day, job, kind, actor and entity, each operation counted once."""

from shared.usage.counting import Counted, UsageCounter
from shared.usage.quiet import quiet_days
from shared.usage.report import (
    MOST_DAYS,
    MOST_FIGURES,
    MOST_GROUPS,
    Group,
    Grouping,
    Period,
    TooMuchUsage,
    UnknownGrant,
    UsageReport,
    UsageRoom,
    usage_of,
    usage_report,
)
from shared.usage.store import SoFar, UsageStore
from shared.usage.tally import Dimension, Figures, tally

__all__ = [
    "MOST_DAYS",
    "MOST_FIGURES",
    "MOST_GROUPS",
    "Counted",
    "Dimension",
    "Figures",
    "Group",
    "Grouping",
    "Period",
    "SoFar",
    "TooMuchUsage",
    "UnknownGrant",
    "UsageCounter",
    "UsageReport",
    "UsageRoom",
    "UsageStore",
    "quiet_days",
    "tally",
    "usage_of",
    "usage_report",
]
