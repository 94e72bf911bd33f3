"""Who calls, and on whose account."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from shared.channels import Channel


class Scope(StrEnum):
    """What a key allows. Each stands alone: `write` does not include `read`."""

    READ = "read"
    WRITE = "write"
    CONFIGURE = "configure"
    FINANCE = "finance"
    OPERATOR = "operator"


WORKSPACE_SCOPES = (Scope.READ, Scope.WRITE, Scope.CONFIGURE, Scope.FINANCE)
"""What the first key of a workspace allows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """A customer's account: its catalogue, its automation, its credits."""

    workspace_id: str
    name: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Principal:
    """Who calls, and how. An operator's key belongs to no workspace: its `workspace_id` is None."""

    workspace_id: str | None
    key_id: str
    scopes: frozenset[Scope]
    channel: Channel
