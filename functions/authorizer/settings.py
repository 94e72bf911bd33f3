"""What the authorizer reads of its environment: no more than it needs, since it is asked at every call."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shared.workspaces import ApiKey

SETTLING = timedelta(minutes=5)
"""How long API Gateway is given to make a new usage key known to all that answer calls. A call that names one which is
not known there is refused; until then a key shares one with other new keys.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizerSettings:
    """Where keys are kept, and the values of the usage keys that the template makes: for operators' keys without one of
    their own, for such keys of workspaces, for people, and for what everybody may ask. API Gateway counts together what
    carries the same one.
    """

    work_table: str
    operators: str
    shared: str
    people: str
    documents: str
    preflight: str

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> AuthorizerSettings:
        """Raises KeyError for what is missing: such a function must not start."""
        return cls(
            work_table=environment["WORK_TABLE"],
            operators=environment["OPERATORS_USAGE_KEY"],
            shared=environment["SHARED_USAGE_KEY"],
            people=environment["PEOPLE_USAGE_KEY"],
            documents=environment["DOCUMENTS_USAGE_KEY"],
            preflight=environment["PREFLIGHT_USAGE_KEY"],
        )

    def usage_of(self, key: ApiKey, now: datetime) -> str:
        """By what the calls of an API key are counted. Operators share with no customer, who could slow them down."""
        is_settled = now - key.created_at >= SETTLING
        if key.usage is not None and is_settled:
            return key.usage.identifier
        return self.operators if key.workspace_id is None else self.shared
