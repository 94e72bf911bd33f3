"""What is put into the guard's queue: where it has to look."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class GuardMessage:
    """The guard has to look at a workspace; or only at the copy of one of its schedules, when that is named.

    With `state` and `after` it goes on where another invocation ran out of time (see `shared.automation.guard`).
    """

    workspace_id: str
    schedule_id: str | None = None
    state: str | None = None
    after: str | None = None

    def to_json(self) -> str:
        return json.dumps({name: value for name, value in asdict(self).items() if value is not None})

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """Reads a message. Raises KeyError when it names no workspace."""
        return cls(values["workspace_id"], values.get("schedule_id"), values.get("state"), values.get("after"))
