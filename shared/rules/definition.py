"""Rule definitions: what a user says about a rule, checked as far as that goes without knowing the catalogue.

docs/rules.md is the reference of every field. What depends on an entity's attributes is checked in checking.py, what a
definition means is compiled in evaluation.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from functools import cached_property
from typing import Annotated, Any, Literal, Self

import simplejson
from pydantic import AfterValidator, BaseModel, Discriminator, Field, Tag, field_validator, model_validator
from pydantic_core import PydanticCustomError

from shared.catalog import MAX_KEY_BYTES
from shared.edits.attributes import AttributeRefused, kept
from shared.feeds.fields import EntityName, Part
from shared.feeds.limits import DEFAULT_LIMITS
from shared.rules.expressions import MAX_CHARACTERS, names_in

MAX_ACTIONS = 20
MAX_TABLE = 1_000
MAX_DEFINITION_BYTES = 32 * 1024
"""Of the definition as JSON: a batch of changes reads all rules of its workspace."""

MAX_TEXT = 4_000
"""Characters of all expressions of a definition. Each takes its time to be read, and room in memory from then on."""

MAX_DECIMALS = 20
KEY = "key"
"""The name of a record's key in expressions. An attribute of that name can be read, as attributes["key"], and never be
set. All other names, such as `entity` and `version`, are those of attributes and nothing else.
"""


def _attribute_name(name: str) -> str:
    if name.isspace():
        raise ValueError("an attribute has a name that is not blank")
    return name


def _literal(value: Any) -> Any:
    if _holds_float(value):
        raise ValueError("numbers are exact here: int or Decimal, never float")
    try:
        return kept({"value": value})["value"]
    except AttributeRefused as refused:
        # `place` begins with the name that the value was given here.
        inside = ".".join(refused.place[1:])
        where = f" (at {inside})" if inside else ""
        raise ValueError(f"{refused.reason}{where}") from refused


def _holds_float(value: Any) -> bool:
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, float):
            return True
        if isinstance(one, Mapping):
            waiting.extend(one.values())
        elif isinstance(one, list | tuple):
            waiting.extend(one)
    return False


def _by_field(*names: str) -> Discriminator:
    """Chooses a union's member by the one field that only it has, so that an error is about that member alone."""

    def tag(value: Any) -> str | None:
        fields = value if isinstance(value, dict) else vars(value) if isinstance(value, BaseModel) else {}
        present = [name for name in names if name in fields]
        return f"<{present[0]}>" if len(present) == 1 else None

    listed = ", ".join(names[:-1])
    message = f"Input should be an object with exactly one of {listed} or {names[-1]}"
    return Discriminator(tag, custom_error_type="wrong_kind", custom_error_message=message)


AttributeName = Annotated[
    str, Field(min_length=1, max_length=DEFAULT_LIMITS.max_column_name), AfterValidator(_attribute_name)
]
ExpressionText = Annotated[str, Field(min_length=1, max_length=MAX_CHARACTERS)]
TableName = Annotated[str, Field(max_length=MAX_KEY_BYTES)]
JsonLiteral = Annotated[Any, AfterValidator(_literal)]


class LiteralValue(Part):
    """A value as it stands here. null clears an attribute."""

    value: JsonLiteral


class AttributeValue(Part):
    """What another attribute of the record has."""

    attribute: AttributeName

    @field_validator("attribute")
    @classmethod
    def _is_no_key(cls, name: str) -> str:
        if name == KEY:
            raise ValueError('the record\'s key is no attribute: write {"expression": "key"}')
        return name


class ExpressionValue(Part):
    """What an expression comes to; with `decimals`, a number rounded to as many places, halves away from zero."""

    expression: ExpressionText
    decimals: int | None = Field(default=None, ge=0, le=MAX_DECIMALS, strict=True)


class Lookup(Part):
    """A table: what it has for the text (or number) that `of` comes to, else the default, else null."""

    of: ExpressionText
    table: Annotated[dict[TableName, JsonLiteral], Field(min_length=1, max_length=MAX_TABLE)]
    default: JsonLiteral = None


class LookupValue(Part):
    """What a table has, such as the category of a brand."""

    lookup: Lookup


AnyValue = LiteralValue | AttributeValue | ExpressionValue | LookupValue
Value = Annotated[
    Annotated[LiteralValue, Tag("<value>")]
    | Annotated[AttributeValue, Tag("<attribute>")]
    | Annotated[ExpressionValue, Tag("<expression>")]
    | Annotated[LookupValue, Tag("<lookup>")],
    _by_field("value", "attribute", "expression", "lookup"),
]


class SetAction(Part):
    """Sets an attribute; to null: clears it."""

    set: AttributeName
    to: Value

    @field_validator("set")
    @classmethod
    def _is_no_key(cls, name: str) -> str:
        return _not_the_key(name, "set")


class ClearAction(Part):
    """Takes an attribute away."""

    clear: AttributeName

    @field_validator("clear")
    @classmethod
    def _is_no_key(cls, name: str) -> str:
        return _not_the_key(name, "cleared")


class NewRecord(Part):
    """A record that is created where there is none of that key. An attribute that comes to null is left out."""

    entity: EntityName
    key: Value
    attributes: dict[AttributeName, Value] = Field(default_factory=dict, max_length=100)

    @field_validator("key")
    @classmethod
    def _can_be_a_key(cls, key: AnyValue) -> AnyValue:
        if not isinstance(key, LiteralValue):
            return key
        if isinstance(key.value, bool) or not isinstance(key.value, str | int | Decimal):
            raise ValueError("a key is a text or a number")
        if isinstance(key.value, str) and not 0 < len(key.value.encode()) <= MAX_KEY_BYTES:
            raise ValueError(f"a key has 1 to {MAX_KEY_BYTES:,} bytes")
        return key

    @field_validator("attributes")
    @classmethod
    def _name_no_key(cls, attributes: dict[str, Any]) -> dict[str, Any]:
        if KEY in attributes:
            raise ValueError("the key of the new record stands beside its attributes, not among them")
        return attributes


class CreateAction(Part):
    """Creates a record of another entity."""

    create: NewRecord


Action = Annotated[
    Annotated[SetAction, Tag("<set>")]
    | Annotated[ClearAction, Tag("<clear>")]
    | Annotated[CreateAction, Tag("<create>")],
    _by_field("set", "clear", "create"),
]


class Trigger(Part):
    """What sets a rule off: records that are created or updated, by whomever; or schedules, and nothing else."""

    on: Annotated[list[Literal["created", "updated", "schedule"]], Field(min_length=1, max_length=3)]
    attributes: Annotated[list[AttributeName], Field(min_length=1, max_length=100)] | None = None

    @property
    def is_scheduled(self) -> bool:
        """Whether only schedules run the rule."""
        return "schedule" in self.on

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if len(set(self.on)) < len(self.on):
            raise _problem("on", "each is named once only")
        if self.is_scheduled and set(self.on) != {"schedule"}:
            raise _problem("on", "a rule is either run by schedules, or set off by created and updated records")
        if self.attributes is not None and "updated" not in self.on:
            raise _problem("attributes", 'only "updated" records have attributes whose change matters; add it to on')
        if self.attributes is not None and KEY in self.attributes:
            raise _problem("attributes", "a record's key never changes")
        return self


class RuleDefinition(Part):
    """What a user sends: what the rule listens to, when it holds, and what it does then."""

    entity: EntityName
    trigger: Trigger
    condition: ExpressionText = "true"
    actions: Annotated[list[Action], Field(min_length=1, max_length=MAX_ACTIONS)]
    enabled: bool = Field(default=True, strict=True)
    description: str = Field(default="", max_length=1000)
    max_firings_per_hour: int | None = Field(default=None, ge=1, strict=True)

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        places: dict[str, int] = {}
        for number, action in enumerate(self.actions):
            if isinstance(action, CreateAction):
                if action.create.entity == self.entity:
                    reason = f"a rule on {self.entity!r} creates records of other entities, not of its own"
                    raise _problem(f"actions.{number}.create.entity", reason)
                continue
            field, name = ("set", action.set) if isinstance(action, SetAction) else ("clear", action.clear)
            first = places.setdefault(name, number)
            if first != number:
                reason = f"{name!r} is set or cleared by actions.{first} already; all actions are carried out at once"
                raise _problem(f"actions.{number}.{field}", reason)
        if self.text_size > MAX_TEXT:
            reason = f"all expressions together have {self.text_size:,} characters; a rule has at most {MAX_TEXT:,}"
            raise _problem("actions", reason)
        size = len(simplejson.dumps(self.to_json(), use_decimal=True, ensure_ascii=False).encode())
        if size > MAX_DEFINITION_BYTES:
            reason = f"has {size:,} bytes as JSON; a rule has at most {MAX_DEFINITION_BYTES:,}"
            raise PydanticCustomError("too_large", "{reason}", {"reason": reason})
        return self

    @cached_property
    def reads(self) -> frozenset[str]:
        """The attributes that the condition and the actions read, whether or not a record has them."""
        copied = {value.attribute for _, value in self.values() if isinstance(value, AttributeValue)}
        return frozenset(copied.union(*map(names_in, self.expressions())))

    @cached_property
    def writes(self) -> frozenset[str]:
        """The attributes that are set or cleared on the record itself."""
        set_ = {action.set for action in self.actions if isinstance(action, SetAction)}
        return frozenset(set_ | {action.clear for action in self.actions if isinstance(action, ClearAction)})

    @cached_property
    def creates(self) -> frozenset[str]:
        """The entities of the records that are created."""
        return frozenset(action.create.entity for action in self.actions if isinstance(action, CreateAction))

    @cached_property
    def text_size(self) -> int:
        """Characters of all expressions."""
        return sum(map(len, self.expressions()))

    def listens_to(self, name: str) -> bool:
        """Whether a change of this attribute, on a record that was there, sets the rule off."""
        trigger = self.trigger
        return "updated" in trigger.on and (trigger.attributes is None or name in trigger.attributes)

    def to_json(self) -> dict[str, Any]:
        """The definition as it was sent, to be stored and shown: `model_validate(d.to_json()) == d`.

        Numbers in it are int and Decimal, as they came.
        """
        return self.model_dump(exclude_unset=True)

    def values(self) -> Iterator[tuple[str, AnyValue]]:
        """The values of all actions, each with the path of the field that it stands in: `actions.0.to`."""
        for number, action in enumerate(self.actions):
            if isinstance(action, SetAction):
                yield f"actions.{number}.to", action.to
            elif isinstance(action, CreateAction):
                yield f"actions.{number}.create.key", action.create.key
                for name, value in action.create.attributes.items():
                    yield f"actions.{number}.create.attributes.{name}", value

    def expressions(self) -> Iterator[str]:
        """The texts of all expressions, the condition first."""
        yield self.condition
        for _, value in self.values():
            if isinstance(value, ExpressionValue):
                yield value.expression
            elif isinstance(value, LookupValue):
                yield value.lookup.of


def _not_the_key(name: str, what: str) -> str:
    if name == KEY:
        raise ValueError(f"a record's key never changes: {KEY!r} cannot be {what}")
    return name


def _problem(field: str, message: str) -> PydanticCustomError:
    return PydanticCustomError("definition", "{field}: {message}", {"field": field, "message": message})
