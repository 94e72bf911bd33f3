"""The bounds that keep a hostile or broken file from taking memory, and a record inside what DynamoDB takes."""

from __future__ import annotations

from dataclasses import dataclass

MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """What one feed may hold. Characters are counted in text that is decoded, bytes in what is stored or read."""

    max_columns: int = 2_000
    # In characters, and of an attribute anywhere in a record: far below the 64 KB that DynamoDB takes for a name.
    max_column_name: int = 1_024
    # Different names of elements and attributes in one XML document: its parser remembers each of them.
    max_xml_names: int = 100_000
    # A longer row ends the reading: it is a quote that was never closed, or not a table at all. Far above a record's
    # limit, so that a row that is merely too big for one record is rejected by itself.
    max_row_characters: int = 8 * MEBIBYTE
    # Values (and elements) inside one JSON or XML item.
    max_item_values: int = 200_000
    max_depth: int = 30
    # DynamoDB allows a sort key of 1,024 bytes; the stores put their own words before it.
    max_key_bytes: int = 900
    # DynamoDB's 400 KB for an item, less 2 KB for the key and for what the catalogue keeps beside the attributes.
    max_record_bytes: int = 400 * 1024 - 2 * 1024
    # Nodes that one row may name: a cell of separators may not become a million records.
    max_nodes_per_row: int = 1_000
    # An XLSX file is a zip: what its directory says that it holds is checked before anything is unpacked.
    max_xlsx_sheet_bytes: int = 2_048 * MEBIBYTE
    max_xlsx_strings_bytes: int = 96 * MEBIBYTE
    max_xlsx_part_bytes: int = 16 * MEBIBYTE
    max_xlsx_ratio: int = 400
    # The list of files that the zip ends with, which is read as a whole.
    max_xlsx_directory_bytes: int = 4 * MEBIBYTE
    # Shared strings are held in memory, with about 200 bytes each beside their text.
    max_xlsx_strings: int = 2_000_000
    # All that is unpacked: openpyxl may read a sheet that states no size twice.
    max_xlsx_unpacked_bytes: int = 6_144 * MEBIBYTE
    # Folding: how much waits in memory before it is written, and the cache of its index on disk.
    batch_records: int = 4_096
    batch_characters: int = 8 * MEBIBYTE
    index_cache_bytes: int = 96 * MEBIBYTE
    # What is written: a small file of long column names could fill any disk. The preparing function has 4 GiB.
    max_prepared_bytes: int = 3 * 1_024 * MEBIBYTE
    # Rejections that are kept to be shown; those after them are counted.
    max_rejections: int = 10_000
    max_rejections_bytes: int = 50 * MEBIBYTE


DEFAULT_LIMITS = Limits()
