"""Feed definitions: what a user says about a feed, checked, and merged with the preset that it names.

docs/feeds.md is the reference of every field. A definition is data: what it means is compiled in mapping.py, how a file
is read is in readers/.
"""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError, field_validator, model_validator
from pydantic_core import PydanticCustomError

from shared.feeds.presets import PRESETS

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

ColumnName = Annotated[str, Field(min_length=1, max_length=1024)]
ColumnNames = Annotated[list[ColumnName], Field(min_length=1, max_length=100)]
EntityName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")]


_KINDS = {
    "<text>": "text",
    "<number>": "a whole number",
    "<flag>": "true or false",
    "<list>": "a list",
    "<object>": "an object",
}


def _one_of(*tags: tuple[type, str]) -> Discriminator:
    """Chooses a union's member by its JSON type, so that an error is about that member alone."""

    def tag(value: Any) -> str | None:
        return next((name for kind, name in tags if isinstance(value, kind)), None)

    expected = " or ".join(dict.fromkeys(_KINDS[name] for _, name in tags))
    return Discriminator(
        tag, custom_error_type="wrong_kind", custom_error_message=f"Input should be {expected}"
    )


OneOrMoreColumns = Annotated[
    Annotated[ColumnName, Tag("<text>")] | Annotated[ColumnNames, Tag("<list>")],
    _one_of((str, "<text>"), (list, "<list>")),
]
OneOrMoreTexts = Annotated[
    Annotated[str, Tag("<text>")]
    | Annotated[list[str], Field(min_length=1, max_length=100), Tag("<list>")],
    _one_of((str, "<text>"), (list, "<list>")),
]
Constant = Annotated[
    Annotated[bool, Tag("<flag>")] | Annotated[int, Tag("<number>")] | Annotated[str, Tag("<text>")],
    _one_of((bool, "<flag>"), (int, "<number>"), (str, "<text>")),
]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class FormatDefinition(_Part):
    """How the file is read. Only the fields that its type knows may be given."""

    type: (
        Annotated[
            Annotated[FileType, Tag("<text>")]
            | Annotated[list[FileType], Field(min_length=1, max_length=6), Tag("<list>")],
            _one_of((str, "<text>"), (list, "<list>")),
        ]
        | None
    ) = None
    encoding: str | None = None
    delimiter: str = "auto"
    quote: str | None = '"'
    header: Annotated[
        Annotated[bool, Tag("<flag>")]
        | Annotated[list[ColumnName], Field(min_length=1, max_length=2000), Tag("<list>")],
        _one_of((bool, "<flag>"), (list, "<list>")),
    ] = True
    sheet: (
        Annotated[
            Annotated[int, Field(ge=1), Tag("<number>")] | Annotated[str, Tag("<text>")],
            _one_of((int, "<number>"), (str, "<text>")),
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
            raise ValueError(f"unknown encoding {name!r}; known are for example utf-8, utf-16, windows-1252, iso-8859-1")
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


class PrefixedColumn(_Part):
    """A column whose value becomes a key behind a prefix: `id:741`."""

    column: ColumnName
    prefix: str = Field(max_length=64)


class JoinedKey(_Part):
    """A key of several columns. A blank one of `optional` is left out at the end, an empty place in the middle."""

    columns: ColumnNames
    separator: str = Field(default="|", min_length=1, max_length=1)
    optional: list[ColumnName] = Field(default_factory=list)

    @model_validator(mode="after")
    def _optional_columns_are_columns(self) -> Self:
        stray = [name for name in self.optional if name not in self.columns]
        if stray:
            raise ValueError(f"optional names columns that are not in columns: {', '.join(stray)}")
        if set(self.columns) == set(self.optional):
            raise ValueError("at least one column of a key is not optional")
        return self


def _kind_of_alternative(value: Any) -> str | None:
    if isinstance(value, str):
        return "<text>"
    names = value if isinstance(value, dict) else vars(value) if isinstance(value, BaseModel) else {}
    return "<joined>" if "columns" in names else "<prefixed>" if names else None


KeyAlternative = Annotated[
    Annotated[ColumnName, Tag("<text>")]
    | Annotated[PrefixedColumn, Tag("<prefixed>")]
    | Annotated[JoinedKey, Tag("<joined>")],
    Discriminator(
        _kind_of_alternative,
        custom_error_type="wrong_kind",
        custom_error_message='Input should be a column\'s name, {"column": …, "prefix": …} or {"columns": …}',
    ),
]


class FirstOfKey(_Part):
    """The first of several keys that is not blank in the row."""

    first_of: Annotated[list[KeyAlternative], Field(min_length=1, max_length=10)]


def _kind_of_key(value: Any) -> str | None:
    if isinstance(value, str):
        return "<text>"
    if isinstance(value, list):
        return "<list>"
    names = value if isinstance(value, dict) else vars(value) if isinstance(value, BaseModel) else None
    return None if names is None else "<first_of>" if "first_of" in names else "<joined>"


KeyDefinition = Annotated[
    Annotated[ColumnName, Tag("<text>")]
    | Annotated[ColumnNames, Tag("<list>")]
    | Annotated[JoinedKey, Tag("<joined>")]
    | Annotated[FirstOfKey, Tag("<first_of>")],
    Discriminator(
        _kind_of_key,
        custom_error_type="wrong_kind",
        custom_error_message='Input should be a column\'s name, a list of names, "*", {"columns": …} or {"first_of": …}',
    ),
]


class PathDefinition(_Part):
    """Category paths: one record for each node on the way, each with its parent."""

    source: OneOrMoreColumns = Field(alias="from")
    separator: str | None = Field(default=">", min_length=1, max_length=8)
    multiple: str | None = Field(default=None, min_length=1, max_length=8)
    list_holds: Literal["parts", "paths"] = "parts"

    @model_validator(mode="after")
    def _separators_differ(self) -> Self:
        if self.separator is not None and self.separator == self.multiple:
            raise ValueError("separator and multiple are the same")
        return self


class CodesDefinition(_Part):
    """Flat codes: one record for each code that a cell lists."""

    source: OneOrMoreColumns = Field(alias="from")
    separator: str = Field(default=",", min_length=1, max_length=8)


class Condition(_Part):
    """Something that holds of a row or does not. Texts are compared without regard to case."""

    column: OneOrMoreColumns
    present: bool | None = None
    equals: OneOrMoreTexts | None = None
    not_equals: OneOrMoreTexts | None = None
    contains: OneOrMoreTexts | None = None
    not_contains: OneOrMoreTexts | None = None
    in_file: bool | None = None

    @model_validator(mode="after")
    def _one_test(self) -> Self:
        tests = ("present", "equals", "not_equals", "contains", "not_contains", "in_file")
        if sum(getattr(self, name) is not None for name in tests) != 1:
            raise ValueError(f"a condition has exactly one of {', '.join(tests)}")
        return self


AttributeType = Literal["text", "integer", "decimal", "boolean", "list", "json"]


class AttributeDefinition(_Part):
    """Where an attribute's value comes from and what it is."""

    source: OneOrMoreColumns | None = Field(default=None, alias="from")
    type: AttributeType | None = None
    separator: str | None = Field(default=None, min_length=1, max_length=8)
    decimal_mark: Literal[".", ","] | None = None
    default: Constant | None = None
    collect: bool = False
    fields: dict[Annotated[str, Field(min_length=1)], ColumnName] | None = Field(default=None, min_length=1)
    keys_of: EntityName | None = None
    optional: bool = False

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        sources = sum(source is not None for source in (self.source, self.fields, self.keys_of))
        if sources > 1 or (sources == 0 and self.default is None):
            raise ValueError("an attribute has exactly one of from, fields, keys_of, or only a default (a constant)")
        if self.source is None and (self.type or self.separator or self.decimal_mark):
            raise ValueError("type, separator and decimal_mark go with from")
        if self.separator is not None and self.type != "list":
            raise ValueError('separator goes with "type": "list"')
        if self.decimal_mark is not None and self.type not in {"decimal", "integer"}:
            raise ValueError('decimal_mark goes with "type": "decimal" or "integer"')
        if self.collect and (self.type == "list" or (self.source is None and self.fields is None)):
            raise ValueError("collect gathers one value of each row: it goes with from or fields, and not with a list")
        return self


AttributeSource = Annotated[
    Annotated[ColumnName, Tag("<text>")] | Annotated[AttributeDefinition, Tag("<object>")],
    _one_of((str, "<text>"), (dict, "<object>"), (AttributeDefinition, "<object>")),
]
EVERYTHING = "*"


class EntityDefinition(_Part):
    """The records of one entity that a row yields: a keyed record, or the nodes of a path, or flat codes."""

    entity: EntityName
    key: KeyDefinition | None = None
    path: PathDefinition | None = None
    codes: CodesDefinition | None = None
    attributes: Annotated[
        Annotated[Literal["*"], Tag("<text>")]
        | Annotated[dict[ColumnName, AttributeSource], Field(min_length=1, max_length=2000), Tag("<object>")],
        _one_of((str, "<text>"), (dict, "<object>")),
    ] = EVERYTHING
    include: list[ColumnName] = Field(default_factory=lambda: [EVERYTHING])
    exclude: list[ColumnName] = Field(default_factory=list)
    owns: list[ColumnName] = Field(default_factory=list, max_length=2000)
    when: list[Condition] = Field(default_factory=list, max_length=20)
    spans_rows: bool = False
    missing_columns: Literal["refuse", "ignore"] = "refuse"

    @property
    def takes_everything(self) -> bool:
        """Whether columns that are not named become attributes under their own names."""
        return self.attributes == EVERYTHING or EVERYTHING in self.attributes

    @property
    def named_attributes(self) -> dict[str, AttributeDefinition]:
        """The attributes that are named one by one."""
        if isinstance(self.attributes, str):
            return {}
        return {
            name: AttributeDefinition(source=given) if isinstance(given, str) else given
            for name, given in self.attributes.items()
            if name != EVERYTHING
        }

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if sum(kind is not None for kind in (self.key, self.path, self.codes)) != 1:
            raise ValueError("an entity has exactly one of key, path, codes")
        given = self.model_fields_set & {"attributes", "include", "exclude", "owns", "spans_rows"}
        if self.key is None and given:
            raise ValueError(f"{', '.join(sorted(given))}: only an entity with a key has it")
        if isinstance(self.attributes, dict) and self.attributes.get(EVERYTHING, EVERYTHING) != EVERYTHING:
            raise ValueError('attributes: "*" (all other columns) is written {"*": "*"}')
        if not self.takes_everything and given & {"include", "exclude"}:
            raise ValueError('include and exclude choose among the columns that "*" takes, and attributes has no "*"')
        return self


class FeedDefinition(_Part):
    """What a user sends: a preset, with or without changes, or a format and entities of their own."""

    preset: str | None = None
    format: FormatDefinition | None = None
    entities: Annotated[list[EntityDefinition], Field(min_length=1, max_length=8)] | None = None
    skip_unchanged: bool = True
    description: str | None = Field(default=None, max_length=1000)

    @field_validator("preset")
    @classmethod
    def _known_preset(cls, name: str | None) -> str | None:
        if name is not None and name not in PRESETS:
            raise ValueError(f"unknown preset {name!r}; known are {', '.join(sorted(PRESETS))}")
        return name

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        resolve(self)
        return self

    def to_json(self) -> dict[str, Any]:
        """The definition as it was sent, to be stored and shown: `from_json(d.to_json()) == d`."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)


@dataclass(frozen=True, slots=True)
class ResolvedDefinition:
    """A definition with its preset merged in: all that preparing needs."""

    format: FormatDefinition
    entities: tuple[EntityDefinition, ...]
    skip_unchanged: bool
    preset: str | None = None


def resolve(definition: FeedDefinition) -> ResolvedDefinition:
    """Merges the preset in: fields of `format` one by one, `entities` as a whole.

    Raises PydanticCustomError, with the field in its context, for what only shows once all is together.
    """
    preset_format, preset_entities = _of_preset(definition.preset)
    parts = [part for part in (preset_format, definition.format) if part is not None]
    fields: dict[str, Any] = {}
    for part in parts:
        fields |= part.model_dump(exclude_unset=True)
    merged = FormatDefinition.model_validate(fields)
    entities = tuple(definition.entities or preset_entities)
    if not parts:
        raise _problem("format", "a definition without a preset says how the file is read")
    if not entities:
        raise _problem("entities", "a definition without a preset says what its rows become")
    _check_format(merged, definition.format.model_fields_set if definition.format else set())
    _check_entities(entities, merged)
    return ResolvedDefinition(merged, entities, definition.skip_unchanged, definition.preset)


@cache
def _of_preset(name: str | None) -> tuple[FormatDefinition | None, tuple[EntityDefinition, ...]]:
    if name is None:
        return None, ()
    data = PRESETS[name].definition
    entities = tuple(EntityDefinition.model_validate(entity) for entity in data["entities"])
    return FormatDefinition.model_validate(data["format"]), entities


_FIELDS_OF_TYPES: dict[str, frozenset[str]] = {
    "delimiter": DELIMITED,
    "quote": DELIMITED,
    "encoding": frozenset({"csv", "tsv", "json", "jsonl", "xml"}),
    "header": TABLES,
    "sheet": frozenset({"xlsx"}),
    "items": frozenset({"json", "xml"}),
    "column_names": TABLES,
    "rename": TABLES,
}


def _check_format(merged: FormatDefinition, given: set[str]) -> None:
    if not merged.types:
        raise _problem("format.type", "say what the file is: csv, tsv, json, jsonl, xml or xlsx")
    for name in sorted(given & _FIELDS_OF_TYPES.keys()):
        if not _FIELDS_OF_TYPES[name].intersection(merged.types):
            known = ", ".join(sorted(_FIELDS_OF_TYPES[name]))
            raise _problem(f"format.{name}", f"{name} is known for {known}, not for {', '.join(merged.types)}")
    if "xml" in merged.types and not merged.items:
        raise _problem("format.items", 'say which element is an item, such as "product" or "rss/channel/item"')


def _check_entities(entities: Sequence[EntityDefinition], merged: FormatDefinition) -> None:
    keyed = [entity.entity for entity in entities if entity.key is not None]
    derived = {entity.entity for entity in entities if entity.key is None}
    for number, entity in enumerate(entities):
        field = f"entities.{number}"
        if entity.key is not None and keyed.count(entity.entity) > 1:
            raise _problem(f"{field}.entity", f"two entities with a key are called {entity.entity!r}")
        if entity.key is not None and entity.entity in derived:
            raise _problem(f"{field}.entity", f"{entity.entity!r} has a key here and comes from a path or codes elsewhere")
        for name, attribute in entity.named_attributes.items():
            if attribute.keys_of is not None and attribute.keys_of not in derived:
                known = ", ".join(sorted(derived)) or "none"
                raise _problem(
                    f"{field}.attributes.{name}.keys_of",
                    f"no entity {attribute.keys_of!r} with a path or codes (known: {known})",
                )
        for place, condition in enumerate(entity.when):
            if condition.in_file is not None and not TABLES.issuperset(merged.types):
                raise _problem(f"{field}.when.{place}.in_file", "only tables (csv, tsv, xlsx) have columns of a file")


def _problem(field: str, message: str) -> PydanticCustomError:
    return PydanticCustomError("definition", "{field}: {message}", {"field": field, "message": message})


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a definition, named by its field: `entities.0.key`."""

    field: str
    message: str


def problems(error: ValidationError) -> list[Problem]:
    """What a ValidationError of these models found, in the words of the definition."""
    found = []
    for item in error.errors(include_url=False):
        place = ".".join(str(part) for part in item["loc"] if not str(part).startswith("<"))
        context = item.get("ctx", {})
        if item["type"] == "definition":
            found.append(Problem(str(context["field"]), str(context["message"])))
        else:
            found.append(Problem(place, item["msg"].removeprefix("Value error, ")))
    return found


@dataclass(frozen=True, slots=True)
class PresetDescription:
    """A preset as a listing shows it."""

    name: str
    description: str
    formats: tuple[str, ...]
    entities: tuple[str, ...]


def preset_names() -> list[str]:
    """The names that `preset` knows."""
    return sorted(PRESETS)


def describe_presets() -> list[PresetDescription]:
    """Every preset: its name, what it is for, the file types it reads and the entities it makes."""
    described = []
    for name in preset_names():
        resolved = resolve(FeedDefinition(preset=name))
        entities = tuple(dict.fromkeys(entity.entity for entity in resolved.entities))
        described.append(PresetDescription(name, PRESETS[name].description, resolved.format.types, entities))
    return described


def preset_definition(name: str) -> dict[str, Any]:
    """A preset in full, as a definition that could be sent. Raises KeyError for a name that is not known."""
    return FeedDefinition.model_validate(PRESETS[name].definition).to_json()
