"""How work comes in. A module of its own, since who recognises callers needs nothing else of the account."""

from enum import StrEnum


class Channel(StrEnum):
    """How work came in (design section 3)."""

    PERSON = "person"
    API = "api"
    SCHEDULE = "schedule"
    RULE = "rule"
    IMPORT = "import"
