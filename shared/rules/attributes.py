"""Which attributes an entity has, and what kind each is: what a rule is checked against when it is saved.

Nobody declares them. They are put together from what feeds say that they map, from what records have, and from what
rules set. A kind is known where all who speak of it agree; a contradiction, or silence, is `Kind.UNKNOWN`, which every
expression takes. Rules are computed on what a record really has, so this only decides what is refused, or warned of.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, assert_never

from shared.catalog import CatalogStore, Record
from shared.feeds.definition import FeedDefinition, ResolvedDefinition, resolve
from shared.feeds.entities import AttributeDefinition, EntityDefinition
from shared.feeds.formats import DELIMITED
from shared.feeds.nodes import CODE_ATTRIBUTES
from shared.feeds.store import FeedStore, StoredFeed
from shared.rules.definition import (
    AnyValue,
    AttributeValue,
    CreateAction,
    ExpressionValue,
    LiteralValue,
    LookupValue,
    RuleDefinition,
    SetAction,
)
from shared.rules.expressions import ExpressionRefused, Kind, names_in, parse
from shared.rules.model import Rule
from shared.rules.store import RuleStore

SAMPLE = 200
"""Records that are looked at: one page of a listing. Their keys say nothing of their attributes, so they are as good as
any others.
"""

_KINDS_OF_TYPES: Mapping[str, Kind] = {
    "text": Kind.TEXT,
    "integer": Kind.NUMBER,
    "decimal": Kind.NUMBER,
    "boolean": Kind.BOOLEAN,
    "list": Kind.LIST,
    "json": Kind.UNKNOWN,
}
_OF_PATHS: Mapping[str, Kind] = {
    "name": Kind.TEXT,
    "path": Kind.LIST,
    "level": Kind.NUMBER,
    "parent": Kind.TEXT,
}
_OF_CODES: Mapping[str, Kind] = dict.fromkeys(CODE_ATTRIBUTES, Kind.TEXT)

_GUESSES = (Kind.NUMBER, Kind.TEXT, Kind.BOOLEAN, Kind.LIST, Kind.MAP)
_MAX_GUESSES = 200
"""Checks of expressions to find out what an attribute may be."""

_SHORT = 120
"""Characters of an expression that is checked against kinds here: it is read again for every other set of kinds, which
takes some microseconds a character, and the rules of a workspace may have some millions.
"""

OutOfTime = Callable[[], bool]
"""Whether the time that there is for finding out kinds is over. What is not known by then is `Kind.UNKNOWN`."""

Claim = tuple[str, Kind]
"""What somebody says of an attribute: its name and its kind, `Kind.UNKNOWN` where they only know the name."""


@dataclass(frozen=True, slots=True)
class KnownEntity:
    """What is known of an entity: the kinds of its attributes, some of its records, and all rules of the workspace."""

    kinds: Mapping[str, Kind]
    records: tuple[Record, ...]
    rules: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class AttributeSource:
    """Loads what it takes to know an entity's attributes."""

    feeds: FeedStore
    rules: RuleStore
    catalog: CatalogStore

    def of(
        self,
        workspace_id: str,
        entity: str,
        *,
        beside: str | None = None,
        asked: Collection[str] | None = None,
        out_of_time: OutOfTime = lambda: False,
    ) -> KnownEntity:
        """What is known of the entity; what the rule `beside` sets, which is about to be put, is left out of account.
        `asked` are the attributes that matter (see `known_attributes`).

        One request for the feeds and one for the rules, one more for each further MB of either; for the records one for
        each shard until there are `SAMPLE` of them, and one more for each MB: so 18 where the catalogue is small, and 3
        where it is large. All are consistent. Raises botocore's errors.
        """
        feeds = self.feeds.all(workspace_id)
        rules = tuple(self.rules.all(workspace_id))
        records = self.catalog.page(workspace_id, entity, SAMPLE).records
        others = [rule for rule in rules if rule.rule_id != beside]
        return KnownEntity(known_attributes(entity, feeds, records, others, asked, out_of_time), records, rules)


def known_attributes(
    entity: str,
    feeds: Iterable[StoredFeed],
    records: Iterable[Record],
    rules: Iterable[Rule],
    asked: Collection[str] | None = None,
    out_of_time: OutOfTime = lambda: False,
) -> dict[str, Kind]:
    """The attributes that records of the entity have or may have, by name, in the order of their names.

    Of which kind it is what rules compute takes reading their expressions, so that is only done for the attributes that
    are `asked` for, or for all. Where time ends before, their kinds are not known, whatever feeds and records say.
    """
    claims: dict[str, set[Kind]] = {}
    for feed in feeds:
        _note(claims, _of_feed(entity, resolve(FeedDefinition.model_validate_json(feed.definition))))
    for record in records:
        _note(claims, ((name, kind_of(value)) for name, value in record.attributes.items()))
    # What a rule sets may be of the kind of what it reads: feeds and records are asked first.
    seen = _agreed(claims)
    untold: set[str] = set()
    for rule in rules:
        _note(claims, _of_rule(entity, rule.definition, seen, _Asked(asked, out_of_time, untold)))
    return _agreed(claims) | dict.fromkeys(sorted(untold), Kind.UNKNOWN)


def kind_of(value: Any) -> Kind:
    """The kind of a value as it is stored; null is of none that is known."""
    match value:
        case bool():
            return Kind.BOOLEAN
        case int() | Decimal():
            return Kind.NUMBER
        case str():
            return Kind.TEXT
        case list() | tuple():
            return Kind.LIST
        case Mapping():
            return Kind.MAP
        case _:
            return Kind.UNKNOWN


def plausible_kinds(
    rules: Sequence[Rule], kinds: Mapping[str, Kind], out_of_time: OutOfTime = lambda: False
) -> dict[str, Kind]:
    """A kind for every attribute that these rules of one entity read or write: as it is known, as they set it, or the
    first that all their expressions take. What nothing is known of stays `Kind.UNKNOWN`; and so does what was to be
    found out when time ended, and attributes of rules that were not read by then are left out.
    """
    read: list[Rule] = []
    names: set[str] = set()
    for rule in rules:
        # What it reads is in its expressions, which are parsed for it.
        if not out_of_time():
            read.append(rule)
            names |= rule.definition.reads | rule.definition.writes
    likely = {name: kinds.get(name, Kind.UNKNOWN) for name in sorted(names)}
    _fill_in(likely, _set_by(read, likely, out_of_time))
    naming: dict[str, list[str]] = {name: [] for name in likely}
    texts = dict.fromkeys(text for rule in read for text in rule.definition.expressions())
    for text in texts:
        if len(text) <= _SHORT and not out_of_time():
            for name in names_in(text):
                naming[name].append(text)
    left = _MAX_GUESSES
    # First what leaves no choice; what the others are set to may then be known.
    for most in (1, len(_GUESSES)):
        for name, concerned in naming.items():
            tries = len(concerned) * len(_GUESSES)
            if concerned and likely[name] is Kind.UNKNOWN and tries <= left and not out_of_time():
                left -= tries
                fitting = [kind for kind in _GUESSES if _all_take(concerned, likely | {name: kind})]
                likely[name] = fitting[0] if 1 <= len(fitting) <= most else Kind.UNKNOWN
        _fill_in(likely, _set_by(read, likely, out_of_time))
    return likely


def _set_by(rules: Iterable[Rule], kinds: Mapping[str, Kind], out_of_time: OutOfTime) -> dict[str, Kind]:
    """The kinds of what the rules set, as far as there is time to find them out."""
    claims: dict[str, set[Kind]] = {}
    asked = _Asked(kinds, out_of_time, set())
    for rule in rules:
        _note(claims, _of_rule(rule.definition.entity, rule.definition, kinds, asked))
    return _agreed(claims)


def _fill_in(likely: dict[str, Kind], found: Mapping[str, Kind]) -> None:
    for name, kind in found.items():
        if likely[name] is Kind.UNKNOWN:
            likely[name] = kind


def _note(claims: dict[str, set[Kind]], said: Iterable[Claim]) -> None:
    for name, kind in said:
        claims.setdefault(name, set()).add(kind)


def _agreed(claims: Mapping[str, set[Kind]]) -> dict[str, Kind]:
    """Who only knows the name does not contradict who knows the kind."""
    agreed: dict[str, Kind] = {}
    for name, kinds in sorted(claims.items()):
        definite = kinds - {Kind.UNKNOWN}
        agreed[name] = next(iter(definite)) if len(definite) == 1 else Kind.UNKNOWN
    return agreed


# Feeds


def _of_feed(entity: str, feed: ResolvedDefinition) -> Iterator[Claim]:
    plain = Kind.TEXT if DELIMITED.issuperset(feed.format.types) else Kind.UNKNOWN
    for definition in feed.entities:
        if definition.entity != entity:
            continue
        if definition.path is not None:
            yield from _OF_PATHS.items()
        elif definition.codes is not None:
            yield from _OF_CODES.items()
        # What the feed owns has been written by one that mapped it; nothing here says as what.
        yield from ((name, Kind.UNKNOWN) for name in definition.owns)
        for name, attribute in definition.named_attributes.items():
            yield from ((name, kind) for kind in _of_attribute(attribute, feed.entities, plain))


def _of_attribute(attribute: AttributeDefinition, entities: Sequence[EntityDefinition], plain: Kind) -> Iterator[Kind]:
    """The kinds that a mapped attribute may have; `plain` is that of a column as the file has it."""
    if attribute.default is not None:
        yield kind_of(attribute.default)
    if attribute.collect:
        yield Kind.LIST
    elif attribute.fields is not None:
        yield Kind.MAP
    elif attribute.keys_of is not None:
        yield _of_reference([each for each in entities if each.entity == attribute.keys_of])
    elif attribute.source is not None:
        yield plain if attribute.type is None else _KINDS_OF_TYPES[attribute.type]


def _of_reference(nodes: Sequence[EntityDefinition]) -> Kind:
    """A reference to nodes: a list where a row may name several. Which definitions apply may depend on the file."""
    paths = [each.path for each in nodes if each.path is not None]
    if len(nodes) != 1:
        return Kind.UNKNOWN
    single = paths and paths[0].multiple is None and paths[0].list_holds == "parts"
    return Kind.TEXT if single else Kind.LIST


# Rules


@dataclass(frozen=True, slots=True)
class _Asked:
    """Of which attributes expressions are read, all if `names` is None, while there is time; those that come afterwards
    are noted in `untold`.
    """

    names: Collection[str] | None
    out_of_time: OutOfTime
    untold: set[str]

    def about(self, name: str) -> bool:
        """Whether an expression that sets this attribute is to be read."""
        if self.names is not None and name not in self.names:
            return False
        if self.out_of_time():
            self.untold.add(name)
            return False
        return True


def _of_rule(entity: str, rule: RuleDefinition, kinds: Mapping[str, Kind], asked: _Asked) -> Iterator[Claim]:
    """What the rule sets on records of the entity, or creates them with. `kinds` are those of the entity."""
    read = kinds if rule.entity == entity else {}
    for action in rule.actions:
        if isinstance(action, SetAction) and rule.entity == entity:
            yield from _of_setting(action.set, action.to, read, asked)
        elif isinstance(action, CreateAction) and action.create.entity == entity:
            for name, value in action.create.attributes.items():
                yield from _of_setting(name, value, read, asked)


def _of_setting(name: str, value: AnyValue, kinds: Mapping[str, Kind], asked: _Asked) -> Iterator[Claim]:
    if isinstance(value, ExpressionValue) and value.decimals is None and not asked.about(name):
        yield name, Kind.UNKNOWN
    else:
        yield from ((name, kind) for kind in _of_value(value, kinds))


def _of_value(value: AnyValue, kinds: Mapping[str, Kind]) -> Iterator[Kind]:
    """The kinds that a value may come to; null is none."""
    match value:
        case LiteralValue():
            yield kind_of(value.value)
        case AttributeValue():
            yield kinds.get(value.attribute, Kind.UNKNOWN)
        case ExpressionValue():
            yield Kind.NUMBER if value.decimals is not None else _of_expression(value.expression, kinds)
        case LookupValue():
            yield from {kind_of(each) for each in (*value.lookup.table.values(), value.lookup.default)}
        case _:
            assert_never(value)


def _of_expression(text: str, kinds: Mapping[str, Kind]) -> Kind:
    try:
        return parse(text, kinds if len(text) <= _SHORT else None).kind
    except ExpressionRefused:
        # It was checked when its rule was saved; since then the attributes have become others.
        return Kind.UNKNOWN


def _all_take(texts: Iterable[str], kinds: Mapping[str, Kind]) -> bool:
    try:
        for text in texts:
            parse(text, kinds)
    except ExpressionRefused:
        return False
    return True
