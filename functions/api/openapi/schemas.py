"""Schemas as readers want them: without what the generator adds for itself, and with examples made of their parts."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

Json = dict[str, Any]

PREFIX = "#/components/schemas/"

_PAGE = re.compile(r"Page_(\w+)_")
_OF_SCHEMAS = ("properties", "patternProperties", "$defs", "dependentSchemas")
_LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")
_SCHEMAS = ("items", "additionalProperties", "propertyNames", "not", "if", "then", "else", "contains")


def tidied(schema: Json) -> Json:
    """The schema without the titles that repeat the names of fields, with whole numbers written as such."""
    kept = {name: value for name, value in schema.items() if name != "title"}
    for name in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"):
        if isinstance(kept.get(name), float) and kept[name].is_integer():
            kept[name] = int(kept[name])
    if "description" in kept:
        kept["description"] = " ".join(kept["description"].split())
    return _inside(kept, tidied)


def public_name(name: str) -> str:
    """What a model is called in the document: `Page_FeedView_` is `FeedPage`, `FeedView` is `Feed`."""
    page = _PAGE.fullmatch(name)
    if page:
        return f"{public_name(page[1])}Page"
    return name.removesuffix("View") or name


def renamed(value: Any) -> Any:
    """Any part of the document, with references that go by the public names."""
    if isinstance(value, dict):
        return {
            key: PREFIX + public_name(each.removeprefix(PREFIX))
            if key == "$ref" and isinstance(each, str) and each.startswith(PREFIX)
            else renamed(each)
            for key, each in value.items()
        }
    return [renamed(each) for each in value] if isinstance(value, list) else value


def references(value: Any) -> Iterator[str]:
    """The names of the schemas that any part of the document refers to."""
    if isinstance(value, dict):
        for key, each in value.items():
            if key == "$ref" and isinstance(each, str) and each.startswith(PREFIX):
                yield each.removeprefix(PREFIX)
            else:
                yield from references(each)
    elif isinstance(value, list):
        for each in value:
            yield from references(each)


def without_null(schema: Json) -> Json:
    """The schema of a parameter, which is a text or is not there at all: nothing on the way could be null."""
    branches = [branch for branch in schema.get("anyOf", ()) if branch != {"type": "null"}]
    if len(branches) != 1:
        return schema
    return {**branches[0], **{name: value for name, value in schema.items() if name != "anyOf"}}


def example_of(schema: Mapping[str, Any], components: Mapping[str, Json]) -> Any:
    """An example of what the schema describes: the one that it gives, or one made of those of its parts."""
    if schema.get("examples"):
        return schema["examples"][0]
    if "$ref" in schema:
        return example_of(components[schema["$ref"].removeprefix(PREFIX)], components)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    for union in ("anyOf", "oneOf"):
        if union in schema:
            return example_of(schema[union][0], components)
    return _example_of_type(schema, components)


def _example_of_type(schema: Mapping[str, Any], components: Mapping[str, Json]) -> Any:
    match schema.get("type"):
        case "object":
            return {name: example_of(each, components) for name, each in schema.get("properties", {}).items()}
        case "array":
            return [example_of(schema["items"], components)]
        case "boolean":
            return schema.get("default", False)
        case "integer" | "number":
            return schema.get("minimum", 0)
        case "null":
            return None
        case kind:
            raise ValueError(f"a {kind} needs an example: {dict(schema)}")


def _inside(schema: Json, change: Callable[[Json], Json]) -> Json:
    """The schema with its parts changed. Examples and defaults are values and no schemas: they stay as they are."""

    def changed(name: str, value: Any) -> Any:
        if name in _OF_SCHEMAS:
            return {key: change(each) for key, each in value.items()}
        if name in _LISTS:
            return [change(each) for each in value]
        return change(value) if name in _SCHEMAS and isinstance(value, dict) else value

    return {name: changed(name, value) for name, value in schema.items()}
