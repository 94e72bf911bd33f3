"""What a function was called with, where a call that failed is given back to it as it lies among the dead letters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def as_called(event: Any) -> Any:
    """The event; or, of Lambda's record of an asynchronous call that failed, the event that is in it (AWS Lambda,
    "Capturing records of Lambda asynchronous invocations"). Whoever gives such a record back need not take it apart.
    """
    is_record = isinstance(event, Mapping) and "requestContext" in event and "requestPayload" in event
    return event["requestPayload"] if is_record else event
