"""Rows to records: a definition is compiled once, for the columns that the file has, into functions that do little work
per row."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from shared.dynamo.values import item_size
from shared.feeds.conditions import Holds, holds, settled
from shared.feeds.entities import EVERYTHING, AttributeDefinition, EntityDefinition
from shared.feeds.errors import FeedUnreadable, RowRejected, abridged
from shared.feeds.json_values import canonical
from shared.feeds.limits import Limits
from shared.feeds.nodes import CODE_ATTRIBUTES, NOTHING, PATH_ATTRIBUTES, NodesOfCell, NodeSource
from shared.feeds.reading_values import Values, column, converter, first_of, names_of
from shared.feeds.row_keys import KeyOf, columns_of_key, key_of

_LONGEST_NEAR = 100
"""Characters of a name that another one may be mistaken for."""


class Collected(dict[str, Any]):
    """Values gathered from the rows of a record, each once, in the order of their first appearance: by their canonical
    text. They become a list when the record is written."""


class Emission(NamedTuple):
    """A record that a row yields: which definition it comes from (by its place), its key and its attributes."""

    place: int
    key: str
    attributes: dict[str, Any]


ReferencedKeys = Mapping[str, list[str]]
_ValueOf = Callable[[Values, ReferencedKeys], Any]
_NOTHING_REFERENCED: ReferencedKeys = {}


@dataclass(frozen=True, slots=True)
class _KeyedPlan:
    place: int
    entity: str
    conditions: tuple[Holds, ...]
    key_of: KeyOf
    attributes_of: Callable[[Values, ReferencedKeys], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class _NodePlan:
    place: int
    entity: str
    conditions: tuple[Holds, ...]
    source: NodeSource


class RowMapper:
    """Turns rows into records. Nodes come before the records that refer to them."""

    def __init__(self, entities: Sequence[EntityDefinition], columns: tuple[str, ...] | None, limits: Limits) -> None:
        self._limits = limits
        self._columns = columns
        self._nodes: list[_NodePlan] = []
        self._keyed: list[_KeyedPlan] = []
        self._mapped: dict[str, set[str]] = {entity.entity: set() for entity in entities}
        self._met: dict[str, _NamesMet] = {}
        self._pending: list[NodesOfCell] = []
        active = [(place, entity) for place, entity in enumerate(entities) if self._may_apply(place, entity)]
        for place, entity in active:
            if entity.key is None:
                self._compile_nodes(place, entity)
        for place, entity in active:
            if entity.key is not None:
                self._compile_keyed(place, entity, entity.key)

    def map(self, values: Values, size: int) -> list[Emission]:
        """The records of a row of about `size` characters. Raises RowRejected, and then no record of the row counts.

        Call `accept` once the records are taken.
        """
        emissions: list[Emission] = []
        referenced = self._map_nodes(values, emissions) if self._nodes else _NOTHING_REFERENCED
        for plan in self._keyed:
            key: str | None = None
            try:
                if plan.conditions and not all(condition(values) for condition in plan.conditions):
                    continue
                key = plan.key_of(values)
                emissions.append(Emission(plan.place, key, plan.attributes_of(values, referenced)))
            except RowRejected as problem:
                raise self._named(problem, plan.entity, key) from problem
        # Far below the limit nothing is measured: no character takes more than four bytes.
        if size * 4 > self._limits.max_record_bytes:
            self._check_sizes(emissions)
        return emissions

    def accept(self) -> None:
        """The records of the last row were taken: its nodes need not be given again."""
        for cell in self._pending:
            cell.written = True

    def mapped(self) -> dict[str, tuple[str, ...]]:
        """For each entity the names of the attributes that the feed maps, once all rows have been read."""
        for entity, names in self._met.items():
            self._mapped[entity].update(names.kept())
        return {entity: tuple(sorted(names)) for entity, names in self._mapped.items()}

    def _map_nodes(self, values: Values, emissions: list[Emission]) -> dict[str, list[str]]:
        referenced: dict[str, list[str]] = {}
        self._pending.clear()
        for plan in self._nodes:
            cell = NOTHING
            if all(condition(values) for condition in plan.conditions):
                try:
                    cell = plan.source.of(values)
                except RowRejected as problem:
                    raise self._named(problem, plan.entity, None) from problem
            if cell.keys:
                before = referenced.get(plan.entity)
                referenced[plan.entity] = cell.keys if before is None else list(dict.fromkeys(before + cell.keys))
            if not cell.written:
                self._pending.append(cell)
                emissions.extend(Emission(plan.place, key, attributes) for key, attributes in cell.nodes)
        return referenced

    def _check_sizes(self, emissions: Iterable[Emission]) -> None:
        for emission in emissions:
            size = item_size(emission.attributes)
            if size > self._limits.max_record_bytes:
                entity = next(plan.entity for plan in self._plans() if plan.place == emission.place)
                raise self._named(RowRejected(too_large(size, self._limits)), entity, emission.key)

    def _plans(self) -> list[_KeyedPlan | _NodePlan]:
        return [*self._keyed, *self._nodes]

    @staticmethod
    def _named(problem: RowRejected, entity: str, key: str | None) -> RowRejected:
        problem.entity = entity
        problem.key = key
        return problem

    # Compiling

    def _may_apply(self, place: int, entity: EntityDefinition) -> bool:
        """Whether any row of this file can yield the entity; refuses a file that lacks columns it needs."""
        answers = [settled(condition, self._columns) for condition in entity.when]
        needed = [names_of(condition.column) for condition in entity.when if condition.in_file is None]
        source = entity.path or entity.codes
        if source is not None:
            needed.append(names_of(source.source))
        if entity.missing_columns == "refuse" and not any(
            answer is False and condition.in_file is not None
            for answer, condition in zip(answers, entity.when, strict=True)
        ):
            for names in needed:
                self._require(names, f"entities.{place}")
        if any(answer is False for answer in answers):
            return False
        if source is not None:
            return self._has_any(names_of(source.source))
        return True

    def _has_any(self, names: Iterable[str]) -> bool:
        return self._columns is None or any(name in self._columns for name in names)

    def _require(self, names: Sequence[str], field: str) -> None:
        if not self._has_any(names):
            raise self._missing(" or ".join(map(repr, names)), names, field)

    def _missing(self, wanted: str, names: Sequence[str], field: str) -> FeedUnreadable:
        columns = self._columns or ()
        near = [close for name in names for close in _near(name, columns)]
        found = abridged(", ".join(map(abridged, columns)), 500)
        hint = f" Did you mean {' or '.join(map(repr, dict.fromkeys(near)))}?" if near else ""
        detail = f"no column {wanted}, which {field} of the definition needs.{hint} The file has: {found}"
        return FeedUnreadable("missing_column", detail, 1, names[0] if names else None)

    def _compile_nodes(self, place: int, entity: EntityDefinition) -> None:
        definition = entity.path or entity.codes
        if definition is None:
            raise AssertionError("an entity without a key has a path or codes: its model sees to it")
        conditions = self._conditions(entity)
        self._nodes.append(_NodePlan(place, entity.entity, conditions, NodeSource(definition, self._limits)))
        self._mapped[entity.entity].update(PATH_ATTRIBUTES if entity.path else CODE_ATTRIBUTES)

    def _conditions(self, entity: EntityDefinition) -> tuple[Holds, ...]:
        return tuple(holds(condition) for condition in entity.when if settled(condition, self._columns) is None)

    def _compile_keyed(self, place: int, entity: EntityDefinition, key: Any) -> None:
        if self._columns is not None:
            alternatives = columns_of_key(key)
            if not any(set(names) <= set(self._columns) for names in alternatives):
                wanted = " or ".join(" with ".join(map(repr, names)) for names in alternatives)
                missing = [name for names in alternatives for name in names if name not in self._columns]
                raise self._missing(wanted, missing, f"entities.{place}.key")
        attributes_of = self._compile_attributes(place, entity)
        key_function = key_of(key, self._limits.max_key_bytes)
        self._keyed.append(_KeyedPlan(place, entity.entity, self._conditions(entity), key_function, attributes_of))

    def _compile_attributes(
        self, place: int, entity: EntityDefinition
    ) -> Callable[[Values, ReferencedKeys], dict[str, Any]]:
        named: list[tuple[str, _ValueOf]] = []
        plain: list[tuple[str, str]] = []
        taken: set[str] = set()
        for name, attribute in entity.named_attributes.items():
            sources = _sources(attribute)
            taken.update(sources)
            taken.add(name)
            if not self._is_there(attribute, sources):
                if entity.missing_columns == "refuse" and not attribute.optional and attribute.keys_of is None:
                    self._require(sources, f"entities.{place}.attributes.{name}")
                continue
            self._mapped[entity.entity].add(name)
            if _is_plain(attribute) and (self._columns is not None or "." not in sources[0]):
                plain.append((name, sources[0]))
            else:
                named.append((name, self._value_of(name, attribute)))
        rest = self._rest_of(entity, taken) if entity.takes_everything else None
        return _attributes_function(rest, plain, named)

    def _is_there(self, attribute: AttributeDefinition, sources: Sequence[str]) -> bool:
        if attribute.keys_of is not None:
            return any(plan.entity == attribute.keys_of for plan in self._nodes)
        return attribute.default is not None or self._has_any(sources)

    def _rest_of(self, entity: EntityDefinition, taken: set[str]) -> Callable[[Values], dict[str, Any]]:
        """The columns that "*" takes: all but those that stand elsewhere, as `include` and `exclude` choose."""

        def wanted(name: str) -> bool:
            return (
                name not in taken
                and any(fnmatchcase(name, pattern) for pattern in entity.include)
                and not any(fnmatchcase(name, pattern) for pattern in entity.exclude)
            )

        if self._columns is not None:
            kept = frozenset(filter(wanted, self._columns))
            self._mapped[entity.entity].update(kept)
            if len(kept) == len(self._columns):
                return dict
            return lambda values: {name: value for name, value in values.items() if name in kept}
        names = self._met[entity.entity] = _NamesMet(wanted, self._limits.max_columns)
        self._mapped[entity.entity].update(entity.owns)
        return names.choose

    def _value_of(self, name: str, attribute: AttributeDefinition) -> _ValueOf:
        if attribute.keys_of is not None:
            return self._reference(attribute.keys_of)
        if attribute.fields is not None:
            value_of = _fields(attribute.fields)
        elif attribute.source is not None:
            value_of = _converted(name, attribute)
        else:
            value_of = _nothing
        default = attribute.default

        def value(values: Values, _referenced: ReferencedKeys) -> Any:
            found = value_of(values)
            if found is None:
                return default
            return Collected({canonical(found): found}) if attribute.collect else found

        return value

    def _reference(self, entity: str) -> _ValueOf:
        sources = [plan.source for plan in self._nodes if plan.entity == entity]
        if len(sources) > 1 or any(source.is_list for source in sources):
            return lambda _values, referenced: referenced.get(entity)
        return lambda _values, referenced: keys[0] if (keys := referenced.get(entity)) else None


def too_large(size: int, limits: Limits) -> str:
    """The reason for which a record of so many bytes is rejected."""
    return f"the record takes {size:,} bytes, and at most {limits.max_record_bytes:,} can be stored"


class _NamesMet:
    """The attribute names that the items of a file have, where no header tells them."""

    def __init__(self, wanted: Callable[[str], bool], limit: int) -> None:
        self._wanted = wanted
        self._limit = limit
        self._decided: dict[str, bool] = {}
        self._drops = False

    def choose(self, values: Values) -> dict[str, Any]:
        decided = self._decided
        if not decided.keys() >= values.keys():
            for name in values:
                if name not in decided:
                    self._decide(name)
        if not self._drops:
            return dict(values)
        return {name: value for name, value in values.items() if decided[name]}

    def kept(self) -> list[str]:
        return [name for name, keep in self._decided.items() if keep]

    def _decide(self, name: str) -> None:
        if len(self._decided) >= self._limit:
            detail = f"the items have more than {self._limit:,} different names"
            hint = 'list the attributes that are wanted instead of taking "*"'
            raise FeedUnreadable("too_many_columns", f"{detail} (the next is {name[:60]!r}); {hint}")
        self._decided[name] = self._wanted(name)
        self._drops = self._drops or not self._decided[name]


def _attributes_function(
    rest: Callable[[Values], dict[str, Any]] | None, plain: list[tuple[str, str]], named: list[tuple[str, _ValueOf]]
) -> Callable[[Values, ReferencedKeys], dict[str, Any]]:
    if rest is not None and not plain and not named:
        only_rest = rest
        return lambda values, _referenced: only_rest(values)

    def attributes(values: Values, referenced: ReferencedKeys) -> dict[str, Any]:
        found = {} if rest is None else rest(values)
        for name, source in plain:
            value = values.get(source)
            if value is not None:
                found[name] = value
        for name, value_of in named:
            value = value_of(values, referenced)
            if value is not None:
                found[name] = value
        return found

    return attributes


def _sources(attribute: AttributeDefinition) -> list[str]:
    if attribute.fields is not None:
        return list(attribute.fields.values())
    return [] if attribute.source is None else names_of(attribute.source)


def _is_plain(attribute: AttributeDefinition) -> bool:
    return (
        isinstance(attribute.source, str)
        and attribute.type is None
        and attribute.default is None
        and not attribute.collect
    )


def _converted(name: str, attribute: AttributeDefinition) -> Callable[[Values], Any]:
    sources = names_of(attribute.source or EVERYTHING)
    value_of = first_of(sources)
    convert = converter(attribute)

    def converted(values: Values) -> Any:
        found = value_of(values)
        if found is None:
            return None
        try:
            return convert(found)
        except RowRejected as problem:
            source = next((source for source in sources if column(source)(values) is not None), sources[0])
            raise RowRejected(f"{name}: {problem.reason}", source) from problem

    return converted


def _fields(fields: Mapping[str, str]) -> Callable[[Values], Any]:
    """A map of several columns; nothing where the first of them is blank."""
    getters = [(name, column(source)) for name, source in fields.items()]
    _, leading = getters[0]

    def gathered(values: Values) -> Any:
        if leading(values) is None:
            return None
        return {name: value for name, getter in getters if (value := getter(values)) is not None}

    return gathered


def _nothing(_values: Values) -> None:
    return None


def _near(name: str, columns: Sequence[str]) -> list[str]:
    """Columns that may have been meant: the same without regard to case, or nearly the same."""
    # Comparing takes time with the square of the length, and nobody mistypes a name of many lines.
    folded = {column_name.casefold(): column_name for column_name in columns if len(column_name) <= _LONGEST_NEAR}
    if len(name) > _LONGEST_NEAR:
        return []
    return [folded[close] for close in difflib.get_close_matches(name.casefold(), folded, n=1, cutoff=0.75)]
