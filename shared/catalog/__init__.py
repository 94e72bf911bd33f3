"""The catalogue: its records, what a write would change, and the store that reads them."""

from shared.catalog.differences import differs, merged, same
from shared.catalog.records import Mark, Record, RecordName, record_size, to_record
from shared.catalog.store import (
    MAX_KEY_BYTES,
    READ_BATCH,
    CatalogStore,
    LastWrite,
    RecordFilter,
    RecordPage,
    cursor_behind,
    delete_record,
    put_record,
)

__all__ = [
    "MAX_KEY_BYTES",
    "READ_BATCH",
    "CatalogStore",
    "LastWrite",
    "Mark",
    "Record",
    "RecordFilter",
    "RecordName",
    "RecordPage",
    "cursor_behind",
    "delete_record",
    "differs",
    "merged",
    "put_record",
    "record_size",
    "same",
    "to_record",
]
