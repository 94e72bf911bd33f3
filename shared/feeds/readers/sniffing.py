"""What a file is, by its first bytes: one of the types that a definition accepts, or refused with a helpful word."""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from pathlib import Path

from shared.feeds.errors import FeedUnreadable
from shared.feeds.formats import DELIMITED, FileType

HEAD_BYTES = 4096

_COMPRESSED = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "zstandard",
    b"7z\xbc\xaf\x27\x1c": "7-Zip",
    b"Rar!\x1a\x07": "RAR",
}
_ZIP = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")
_BINARY = {
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": "an old Excel workbook (.xls); save it as .xlsx or CSV",
    b"%PDF": "a PDF",
    b"\x89PNG": "an image",
    b"\xff\xd8\xff": "an image",
    b"SQLite format 3": "a database",
    b"PAR1": "a Parquet file",
}
_BOMS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
_NAMES = {
    "csv": "delimited text (CSV)",
    "tsv": "delimited text (TSV)",
    "json": "JSON",
    "jsonl": "JSON Lines",
    "xml": "XML",
    "xlsx": "an Excel workbook (XLSX)",
}


def byte_order_mark(head: bytes) -> tuple[str, int] | None:
    """The encoding that a byte order mark states, and the mark's length."""
    for mark, encoding in _BOMS.items():
        if head.startswith(mark):
            return encoding, len(mark)
    return None


def choose_type(source: Path, accepted: Sequence[FileType], encoding: str | None) -> FileType:
    """The one of the accepted types that the file's beginning looks like.

    Raises FeedUnreadable: empty_file, compressed_file, wrong_format, wrong_encoding.
    """
    with source.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if not head:
        raise FeedUnreadable("empty_file", "the file is empty (0 bytes)")
    _refuse_binary(head, accepted)
    text = _leading_text(head, encoding)
    if not text.strip() and len(head) < HEAD_BYTES and not head.startswith(_ZIP):
        raise FeedUnreadable("empty_file", "the file holds nothing but blanks")
    looks = _looks_like(head, text)
    for kind in accepted:
        if looks == kind or (looks == "json" and kind == "jsonl" and text.lstrip().startswith("{")):
            return kind
        if looks == "text" and kind in DELIMITED:
            return kind
    raise FeedUnreadable("wrong_format", _mismatch(looks, text, accepted), row=1)


def _refuse_binary(head: bytes, accepted: Sequence[FileType]) -> None:
    for magic, name in _COMPRESSED.items():
        if head.startswith(magic):
            raise FeedUnreadable("compressed_file", f"the file is compressed ({name}); unpack it before uploading it")
    if head.startswith(_ZIP) and "xlsx" not in accepted:
        hint = "unpack it, or, if it is an Excel workbook, set format.type to 'xlsx'"
        raise FeedUnreadable("compressed_file", f"the file is a zip archive; {hint}")
    for magic, name in _BINARY.items():
        if head.startswith(magic):
            raise FeedUnreadable("wrong_format", f"the file is {name}, and {_expected(accepted)} was expected")


def _leading_text(head: bytes, encoding: str | None) -> str:
    mark = byte_order_mark(head)
    if mark is not None:
        return head[mark[1] :].decode(mark[0], errors="replace")
    return head.decode(encoding or "utf-8", errors="replace")


def _looks_like(head: bytes, text: str) -> str:
    if head.startswith(_ZIP):
        return "xlsx"
    if "\x00" in text:
        if head[1:2] == b"\x00" or head[:1] == b"\x00":
            detail = "the file has a zero byte beside each letter, as UTF-16 does, and no byte order mark"
            raise FeedUnreadable(
                "wrong_encoding", f"{detail}; set format.encoding to 'utf-16-le' or 'utf-16-be'", row=1
            )
        return "binary"
    start = text.lstrip()[:1]
    return {"<": "xml", "{": "json", "[": "json"}.get(start, "text")


def _mismatch(looks: str, text: str, accepted: Sequence[FileType]) -> str:
    if text.lstrip()[:15].lower().startswith(("<!doctype html", "<html")):
        found = "is a web page (HTML): perhaps what the address answered instead of the feed"
    elif looks == "binary":
        found = "holds zero bytes, as binary files do"
    elif looks == "text":
        found = f"begins with {text.lstrip()[:20]!r}"
    else:
        found = f"looks like {_NAMES[looks]}"
    return f"the file {found}, and {_expected(accepted)} was expected; check format.type"


def _expected(accepted: Sequence[FileType]) -> str:
    return " or ".join(dict.fromkeys(_NAMES[kind] for kind in accepted))
