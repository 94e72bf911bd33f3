"""Functions as Lambda calls them: with an event from `events/` and a context."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

EVENTS = Path(__file__).resolve().parents[2] / "events"


@dataclass
class Context:
    """What Lambda says of an invocation."""

    remaining_milliseconds: int = 120_000
    function_name: str = "function"
    memory_limit_in_mb: int = 256
    invoked_function_arn: str = "arn:aws:lambda:eu-central-1:123456789012:function:function"
    aws_request_id: str = "6f0c4a0e"

    def get_remaining_time_in_millis(self) -> int:
        return self.remaining_milliseconds


def sample(name: str) -> dict[str, Any]:
    """One of the sample events."""
    document: dict[str, Any] = json.loads((EVENTS / f"{name}.json").read_text(encoding="utf-8"))
    return document


def failed(report: Any) -> list[str]:
    """The identifiers that a function reports as failed."""
    return [str(failure["itemIdentifier"]) for failure in report["batchItemFailures"]]
