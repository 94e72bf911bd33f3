"""The catalogue: its records, what a write would change, and the store that reads them."""

from shared.catalog.differences import differs, merged, same
from shared.catalog.records import Record, record_size, to_record
from shared.catalog.store import READ_BATCH, CatalogStore, RecordPage, delete_record, put_record

__all__ = [
    "READ_BATCH",
    "CatalogStore",
    "Record",
    "RecordPage",
    "delete_record",
    "differs",
    "merged",
    "put_record",
    "record_size",
    "same",
    "to_record",
]
