"""Feed definitions: what a user says about a feed, checked, and merged with the preset that it names.

docs/feeds.md is the reference of every field. A definition is data: what it means is compiled in mapping.py, how a file
is read is in readers/.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Self

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_core import PydanticCustomError

from shared.feeds.entities import EntityDefinition
from shared.feeds.fields import Part
from shared.feeds.formats import DELIMITED, TABLES, FormatDefinition
from shared.feeds.presets import PRESETS
from shared.feeds.sources import PulledSource, Source, UploadSource


class FeedDefinition(Part):
    """What a user sends: a preset, with or without changes, or a format and entities of their own."""

    preset: str | None = None
    format: FormatDefinition | None = None
    entities: Annotated[list[EntityDefinition], Field(min_length=1, max_length=8)] | None = None
    skip_unchanged: bool = True
    source: Source | None = None
    description: str | None = Field(default=None, max_length=1000)

    @property
    def pulled(self) -> PulledSource | None:
        """The source that a run can fetch by itself; None where files are uploaded."""
        return None if isinstance(self.source, UploadSource) else self.source

    @property
    def pulls(self) -> bool:
        """Whether a run can fetch its file by itself."""
        return self.pulled is not None

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
            raise _problem(
                f"{field}.entity", f"{entity.entity!r} has a key here and comes from a path or codes elsewhere"
            )
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
