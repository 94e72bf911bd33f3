"""How a file is read: its type, its encoding, and what its type needs to be told."""

from __future__ import annotations

import codecs
from typing import Annotated, Literal

from pydantic import Field, Tag, field_validator

from shared.feeds.fields import ColumnName, OneOrMoreTexts, Part, one_of

FileType = Literal["csv", "tsv", "json", "jsonl", "xml", "xlsx"]
DELIMITED: frozenset[str] = frozenset({"csv", "tsv"})
TABLES: frozenset[str] = frozenset({"csv", "tsv", "xlsx"})
"""Types whose columns are known before the first row."""

ENCODINGS = frozenset(
    codecs.lookup(name).name
    for name in (
        *("utf-8", "utf-16", "utf-16-le", "utf-16-be", "ascii"),
        *(f"windows-{page}" for page in range(1250, 1259)),
        *(f"iso-8859-{part}" for part in (*range(1, 12), *range(13, 17))),
        *("koi8-r", "koi8-u", "mac-roman", "cp437", "cp850", "cp852", "cp866"),
        *("shift_jis", "cp932", "euc-jp", "euc-kr", "cp949", "gbk", "gb18030", "big5"),
    )
)
"""Codecs of text, by Python's own names; others (rot13, base64, idna) are no encodings of a feed."""


class FormatDefinition(Part):
    """How the file is read. Only the fields that its type knows may be given."""

    type: (
        Annotated[
            Annotated[FileType, Tag("<text>")]
            | Annotated[list[FileType], Field(min_length=1, max_length=6), Tag("<list>")],
            one_of((str, "<text>"), (list, "<list>")),
        ]
        | None
    ) = None
    encoding: str | None = None
    delimiter: str = "auto"
    quote: str | None = '"'
    header: Annotated[
        Annotated[bool, Tag("<flag>")]
        | Annotated[list[ColumnName], Field(min_length=1, max_length=2000), Tag("<list>")],
        one_of((bool, "<flag>"), (list, "<list>")),
    ] = True
    sheet: (
        Annotated[
            Annotated[int, Field(ge=1), Tag("<number>")] | Annotated[str, Tag("<text>")],
            one_of((int, "<number>"), (str, "<text>")),
        ]
        | None
    ) = None
    items: OneOrMoreTexts | None = None
    trim: bool = True
    column_names: Literal["as_written", "snake_case"] = "as_written"
    rename: dict[ColumnName, ColumnName] = Field(default_factory=dict, max_length=500)

    @property
    def types(self) -> tuple[FileType, ...]:
        """The types that are accepted: with several, the file's content decides."""
        if self.type is None:
            return ()
        return tuple(self.type) if isinstance(self.type, list) else (self.type,)

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, name: str | None) -> str | None:
        if name is None:
            return None
        try:
            canonical = codecs.lookup(name).name
        except LookupError:
            canonical = ""
        if canonical not in ENCODINGS:
            raise ValueError(
                f"unknown encoding {name!r}; known are for example utf-8, utf-16, windows-1252, iso-8859-1"
            )
        return name

    @field_validator("delimiter")
    @classmethod
    def _one_character_or_auto(cls, delimiter: str) -> str:
        if delimiter != "auto" and (len(delimiter) != 1 or delimiter in '\r\n"'):
            raise ValueError('the delimiter is one character (such as ";" or "\\t") or "auto"')
        return delimiter

    @field_validator("quote")
    @classmethod
    def _one_character_or_null(cls, quote: str | None) -> str | None:
        if quote is not None and (len(quote) != 1 or quote in "\r\n "):
            raise ValueError("the quote is one character, or null when the file does not quote")
        return quote

    @field_validator("header")
    @classmethod
    def _names_differ(cls, header: bool | list[str]) -> bool | list[str]:
        if isinstance(header, list):
            twice = {name for name in header if header.count(name) > 1}
            if twice:
                raise ValueError(f"names that stand twice: {', '.join(sorted(twice))}")
        return header
