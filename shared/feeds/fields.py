"""What the fields of definitions are made of: names of columns, and unions whose errors speak of one member only."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

ColumnName = Annotated[str, Field(min_length=1, max_length=1024)]
ColumnNames = Annotated[list[ColumnName], Field(min_length=1, max_length=100)]
ENTITY_PATTERN = "^[a-z][a-z0-9_]{0,31}$"
"""What a kind of record may be called, wherever it is named."""

EntityName = Annotated[str, Field(pattern=ENTITY_PATTERN)]


_KINDS = {
    "<text>": "text",
    "<number>": "a whole number",
    "<flag>": "true or false",
    "<list>": "a list",
    "<object>": "an object",
}


def one_of(*tags: tuple[type, str]) -> Discriminator:
    """Chooses a union's member by its JSON type, so that an error is about that member alone."""

    def tag(value: Any) -> str | None:
        return next((name for kind, name in tags if isinstance(value, kind)), None)

    expected = " or ".join(dict.fromkeys(_KINDS[name] for _, name in tags))
    return Discriminator(tag, custom_error_type="wrong_kind", custom_error_message=f"Input should be {expected}")


OneOrMoreColumns = Annotated[
    Annotated[ColumnName, Tag("<text>")] | Annotated[ColumnNames, Tag("<list>")],
    one_of((str, "<text>"), (list, "<list>")),
]
OneOrMoreTexts = Annotated[
    Annotated[str, Tag("<text>")] | Annotated[list[str], Field(min_length=1, max_length=100), Tag("<list>")],
    one_of((str, "<text>"), (list, "<list>")),
]
Constant = Annotated[
    Annotated[bool, Tag("<flag>")] | Annotated[int, Tag("<number>")] | Annotated[str, Tag("<text>")],
    one_of((bool, "<flag>"), (int, "<number>"), (str, "<text>")),
]


class Part(BaseModel):
    """A part of a definition: immutable, and strict about names it does not know."""

    # Built when it is first needed: few functions, and few calls, need every part.
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, defer_build=True)
