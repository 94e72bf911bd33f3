"""What rows become: the entities of a definition, their keys, their attributes, and the rows that they come from."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, Discriminator, Field, Tag, model_validator

from shared.feeds.fields import (
    ColumnName,
    ColumnNames,
    Constant,
    EntityName,
    OneOrMoreColumns,
    OneOrMoreTexts,
    Part,
    one_of,
)


class PrefixedColumn(Part):
    """A column whose value becomes a key behind a prefix: `id:741`."""

    column: ColumnName
    prefix: str = Field(max_length=64)


class JoinedKey(Part):
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


class FirstOfKey(Part):
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
        custom_error_message='Input should be a column, a list of columns, "*", {"columns": …} or {"first_of": …}',
    ),
]


class PathDefinition(Part):
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


class CodesDefinition(Part):
    """Flat codes: one record for each code that a cell lists."""

    source: OneOrMoreColumns = Field(alias="from")
    separator: str = Field(default=",", min_length=1, max_length=8)


class Condition(Part):
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


class AttributeDefinition(Part):
    """Where an attribute's value comes from and what it is."""

    source: OneOrMoreColumns | None = Field(default=None, alias="from")
    type: AttributeType | None = None
    separator: str | None = Field(default=None, min_length=1, max_length=8)
    decimal_mark: Literal[".", ","] | None = None
    default: Constant | None = None
    collect: bool = False
    fields: dict[ColumnName, ColumnName] | None = Field(default=None, min_length=1)
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
    one_of((str, "<text>"), (dict, "<object>"), (AttributeDefinition, "<object>")),
]
EVERYTHING = "*"


class EntityDefinition(Part):
    """The records of one entity that a row yields: a keyed record, or the nodes of a path, or flat codes."""

    entity: EntityName
    key: KeyDefinition | None = None
    path: PathDefinition | None = None
    codes: CodesDefinition | None = None
    attributes: Annotated[
        Annotated[Literal["*"], Tag("<text>")]
        | Annotated[dict[ColumnName, AttributeSource], Field(min_length=1, max_length=2000), Tag("<object>")],
        one_of((str, "<text>"), (dict, "<object>")),
    ] = "*"
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
            name: AttributeDefinition.model_validate({"from": given}) if isinstance(given, str) else given
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
