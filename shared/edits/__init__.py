"""Single writes of records: by a key, which pays for them, and by a person, for whom they are free."""

from shared.edits.attributes import AttributeRefused, kept
from shared.edits.commands import Edited, EditingRoom, EditOutcome, edit_record
from shared.edits.model import (
    ANY_VERSION,
    Change,
    Decision,
    Edit,
    Expectation,
    Merge,
    NoSuchRecord,
    NotAsExpected,
    Remove,
    Replace,
    TooLarge,
)

__all__ = [
    "ANY_VERSION",
    "AttributeRefused",
    "Change",
    "Decision",
    "Edit",
    "EditOutcome",
    "Edited",
    "EditingRoom",
    "Expectation",
    "Merge",
    "NoSuchRecord",
    "NotAsExpected",
    "Remove",
    "Replace",
    "TooLarge",
    "edit_record",
    "kept",
]
