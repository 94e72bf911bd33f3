"""From a file and its format to the reader that fits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from shared.feeds.formats import FormatDefinition
from shared.feeds.limits import Limits
from shared.feeds.readers.base import Beat, Reader, silent
from shared.feeds.readers.sniffing import choose_type


@contextmanager
def open_reader(source: Path, layout: FormatDefinition, limits: Limits, beat: Beat = silent) -> Iterator[Reader]:
    """A reader for the file, closed at the end; it calls `beat` for each block of the file. Raises FeedUnreadable.

    The readers' modules are imported where they are needed: openpyxl alone takes a third of a cold start.
    """
    kind = choose_type(source, layout.types, layout.encoding)
    match kind:
        case "csv" | "tsv":
            from shared.feeds.readers.delimited import DelimitedReader  # noqa: PLC0415

            with DelimitedReader(source, kind, layout, limits, beat) as delimited:
                yield delimited
        case "json":
            from shared.feeds.readers.json_items import JsonReader  # noqa: PLC0415

            with JsonReader(source, layout, limits, beat) as document:
                yield document
        case "jsonl":
            from shared.feeds.readers.json_lines import JsonLinesReader  # noqa: PLC0415

            with JsonLinesReader(source, layout, limits, beat) as json_lines:
                yield json_lines
        case "xml":
            from shared.feeds.readers.xml_items import XmlReader  # noqa: PLC0415

            with XmlReader(source, layout, limits, beat) as xml:
                yield xml
        case "xlsx":
            from shared.feeds.readers.xlsx import XlsxReader  # noqa: PLC0415

            with XlsxReader(source, layout, limits, beat) as workbook:
                yield workbook
