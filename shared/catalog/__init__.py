"""The catalogue: its records, what a write would change, and the store that reads them."""

from shared.catalog.differences import differs, merged
from shared.catalog.records import Record, record_size, to_record
from shared.catalog.store import READ_BATCH, CatalogStore, RecordPage, put_record

__all__ = [
    "READ_BATCH",
    "CatalogStore",
    "Record",
    "RecordPage",
    "differs",
    "merged",
    "put_record",
    "record_size",
    "to_record",
]
