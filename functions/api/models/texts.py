"""What the texts and numbers of answers look like: told to whoever reads the document, and not checked again when an
answer is written, where nobody could mend it.
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field

from shared.feeds.fields import ENTITY_PATTERN
from shared.ids import pattern_of
from shared.schedules.scheduler import MAX_SCHEDULE_ID

NAME_PATTERN = "^[a-z0-9][a-z0-9_-]{0,63}$"
"""What an owner calls a feed or a rule."""

SCHEDULE_NAME_PATTERN = f"^[a-z0-9][a-z0-9_-]{{0,{MAX_SCHEDULE_ID - 1}}}$"
"""What an owner calls a schedule: a part of a name of EventBridge Scheduler."""


def told(example: Any, **schema: Any) -> Any:
    """A field of an answer: an example of it, and what else JSON Schema says of it, instead of what its type says."""
    # Even None would take the place of what the type says.
    return Field(examples=[example], json_schema_extra=schema) if schema else Field(examples=[example])


def one_of(kinds: Iterable[StrEnum], example: StrEnum) -> Any:
    """A field that is one of a few words."""
    return told(example.value, enum=[kind.value for kind in kinds])


def identifier(prefix: str, ulid: str) -> Any:
    """A field that names a thing of ours."""
    return told(f"{prefix}_{ulid}", pattern=pattern_of(prefix))


WorkspaceId = Annotated[str, identifier("ws", "01KAMZ5Q000000000000000001")]
KeyId = Annotated[str, identifier("key", "01KAMZ5Q00APVWEYWXCMJ7D3FR")]
RunId = Annotated[str, identifier("run", "01KAMZC8V6Q2N4T7X9Z1B3D5F8")]
UploadId = Annotated[str, identifier("up", "01KAMZB1R5P3M7S9V2X4Z6A8C0")]
GrantId = Annotated[str, identifier("gr", "01KAMZ5Q00E5K7N9R1T3W5Y7A9")]
OperationId = Annotated[str, identifier("op", "01KAMZDXS6G8J0M2P4R6T8V0X2")]
AuditId = Annotated[str, identifier("audit", "01KAN2QJ9V3X5Z7B1D4F6H8K0M")]

Name = Annotated[str, told("main", pattern=NAME_PATTERN)]
ScheduleName = Annotated[str, told("nightly", pattern=SCHEDULE_NAME_PATTERN)]
EntityText = Annotated[str, told("product", pattern=ENTITY_PATTERN)]
RecordKeyText = Annotated[str, told("M8/40", minLength=1, maxLength=1024)]
Time = Annotated[str, told("2026-11-22T08:00:00.123Z", format="date-time")]
RequestId = Annotated[str, told("0b9d4a52-6c1e-4e57-9d0e-3f1a2b4c5d6e")]
DecimalText = Annotated[str, told("0.008", pattern=r"^[0-9]+(\.[0-9]+)?$")]
"""A decimal that is not negative, as text: all its digits, and no exponent."""

CurrencyText = Annotated[str, told("EUR", pattern="^[A-Z]{3}$")]
Count = Annotated[int, told(0, minimum=0)]
Version = Annotated[int, told(1, minimum=1)]
