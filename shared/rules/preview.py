"""What a rule would do to today's records, before anybody lets it: read, computed and counted; nothing is written and
nothing is paid for.

The rule is taken as if every record of its entity had just changed in the way that it listens to: its trigger, whether
it is enabled, and what it has marked on records before are left out of account. So of a scheduled rule it is what its
next pass would do, and of any other the most that it would do at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, assert_never

from shared.catalog import READ_BATCH, CatalogStore, Record, RecordName, cursor_behind, same
from shared.credits import Action, PriceList
from shared.dynamo.values import value_size
from shared.feeds.json_values import canonical
from shared.rules.evaluation import compile_rule
from shared.rules.model import Creation, Effect, Failed, NoChange, NoMatch, Rule
from shared.rules.planning import Firing, firing_of, written_size

MAX_RECORDS = 5_000
"""Records that one call examines at most."""

MAX_PLACES = 5_000
"""Creations that one call remembers before it stops: each is counted once, so each has to be kept in mind."""

_PAGE = 250
"""Records that are read at once; fewer when they are large (see `CatalogStore.page`)."""

_EXAMPLES = 3
_MAX_REASON = 300
_VALUE_BYTES = 2_000
_EXAMPLE_BYTES = 100_000
_ABSENT = object()


@dataclass(frozen=True, slots=True)
class Example:
    """A record that the rule would fire on: the attributes that would change, and only those. One that is not there
    before or afterwards is left out on that side. Long values are cut, and then `shortened`.
    """

    key: str
    before: Mapping[str, Any]
    after: Mapping[str, Any]
    creates: tuple[Creation, ...]
    shortened: bool


@dataclass(frozen=True, slots=True)
class FailedExample:
    """A record that the rule cannot be computed for, and why."""

    key: str
    reason: str


@dataclass(slots=True, kw_only=True)
class Preview:
    """What the rule comes to on the records that were examined. With a `cursor` there are more records.

    `matched` are those on which the condition holds and the actions can be computed: `would_fire` and `unchanged`
    together. `would_update` and `would_create` count records, and `credits` is what the firings cost with them. A
    record that several firings would create is counted once in one call; where the preview goes on by its cursor, it
    may be counted once in each, so that the sum is the most that it would cost.
    """

    examined: int = 0
    would_fire: int = 0
    would_update: int = 0
    would_create: int = 0
    unchanged: int = 0
    failed: int = 0
    credits: int = 0
    examples: list[Example] = field(default_factory=list)
    failures: list[FailedExample] = field(default_factory=list)
    cursor: str | None = None

    @property
    def matched(self) -> int:
        return self.would_fire + self.unchanged


@dataclass(frozen=True, slots=True)
class PreviewRoom:
    """What it takes to preview a rule. `catalog` is only read."""

    catalog: CatalogStore
    prices: PriceList


def preview(
    room: PreviewRoom,
    workspace_id: str,
    rule: Rule,
    cursor: str | None = None,
    out_of_time: Callable[[], bool] = lambda: False,
) -> Preview:
    """Examines today's records from `cursor` on: up to `MAX_RECORDS` of them, or until it is `out_of_time`, which is
    asked after each; but one in any case, so that every call gets on.

    Requests: one for each page, one for each of the 16 shards, and one for each MB; one for each 100 creations whose
    places have to be looked up. So 40 for 5,000 small records of a rule that creates none. Held in memory: a page
    (2 MB), 100 effects, and the places of the creations. Raises ValueError for a cursor that no preview gave,
    StoreUnavailable and botocore's errors.
    """
    look = _Look(room, rule)
    while True:
        page = room.catalog.page(workspace_id, rule.definition.entity, _PAGE, cursor)
        cursor = page.cursor
        is_late = False
        for number, record in enumerate(page.records, 1):
            look.at(record)
            if is_late := out_of_time():
                if number < len(page.records):
                    cursor = cursor_behind(record.key)
                break
        look.settle()
        enough = look.found.examined + _PAGE > MAX_RECORDS or look.places >= MAX_PLACES
        if cursor is None or enough or is_late:
            look.found.cursor = cursor
            return look.found


class _Look:
    """The preview under way. Effects that create wait in `_waiting` until there are enough to ask for their places."""

    def __init__(self, room: PreviewRoom, rule: Rule) -> None:
        self._room = room
        self._rule = rule
        self._examine = compile_rule(rule).examine
        self._waiting: list[tuple[Record, Effect]] = []
        self._asked: set[RecordName] = set()
        self._taken: set[RecordName] = set()
        self._unasked: set[RecordName] = set()
        self.found = Preview()

    @property
    def places(self) -> int:
        """Places of creations that are remembered."""
        return len(self._asked)

    def at(self, record: Record) -> None:
        """Examines the record."""
        self.found.examined += 1
        examined = self._examine(record)
        match examined:
            case Effect(creations=()):
                self._count(record, examined)
            case Effect():
                self._waiting.append((record, examined))
                self._unasked.update({(each.entity, each.key) for each in examined.creations} - self._asked)
                if len(self._unasked) >= READ_BATCH or len(self._waiting) >= READ_BATCH:
                    self.settle()
            case NoChange():
                self.found.unchanged += 1
            case Failed(reason):
                self._fail(record, reason)
            case NoMatch():
                pass
            case _:
                assert_never(examined)

    def settle(self) -> None:
        """Looks up which places of creations are taken, and counts the effects that waited for it."""
        unasked = sorted(self._unasked)
        for first in range(0, len(unasked), READ_BATCH):
            some = unasked[first : first + READ_BATCH]
            self._taken |= self._room.catalog.existing(self._rule.workspace_id, some)
        self._asked |= self._unasked
        self._unasked.clear()
        waiting, self._waiting = self._waiting, []
        for record, effect in waiting:
            self._count(record, effect)

    def _count(self, record: Record, effect: Effect) -> None:
        firing = firing_of(record, effect, self._taken, depth=1, trigger="")
        if firing is None:
            self.found.unchanged += 1
        elif isinstance(size := written_size(self._rule, firing), Failed):
            self._fail(record, size.reason)
        else:
            self._fire(firing)

    def _fire(self, firing: Firing) -> None:
        # The first that creates a record takes its place, as it is when the rule fires.
        self._taken.update((each.entity, each.key) for each in firing.creations)
        actions = firing.actions
        self.found.would_fire += 1
        self.found.would_update += actions.get(Action.RECORD_UPDATED, 0)
        self.found.would_create += actions.get(Action.RECORD_CREATED, 0)
        self.found.credits += self._room.prices.cost(actions)
        if len(self.found.examples) < _EXAMPLES:
            self.found.examples.append(_example(firing))

    def _fail(self, record: Record, reason: str) -> None:
        self.found.failed += 1
        if len(self.found.failures) < _EXAMPLES:
            self.found.failures.append(FailedExample(record.key, reason[:_MAX_REASON]))


def _example(firing: Firing) -> Example:
    before = firing.record.attributes
    after = before if firing.attributes is None else firing.attributes
    changed = [
        name
        for name in dict.fromkeys([*before, *after])
        if not same(before.get(name, _ABSENT), after.get(name, _ABSENT))
    ]
    cut = _Cut()
    return Example(
        key=firing.record.key,
        before=cut.some(before, changed),
        after=cut.some(after, changed),
        creates=tuple(
            Creation(each.entity, each.key, cut.some(each.attributes, list(each.attributes)))
            for each in firing.creations
        ),
        shortened=cut.shortened,
    )


class _Cut:
    """Keeps an example small: an answer has room for 6 MB, and a single value may have 400 KB."""

    def __init__(self) -> None:
        self._left = _EXAMPLE_BYTES
        self.shortened = False

    def some(self, attributes: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
        """Those of the named attributes that are there, as far as there is room for them."""
        kept: dict[str, Any] = {}
        for name in names:
            if name not in attributes:
                continue
            value = self._cut(attributes[name])
            self._left -= len(name.encode()) + value_size(value)
            if self._left < 0:
                self.shortened = True
                break
            kept[name] = value
        return kept

    def _cut(self, value: Any) -> Any:
        if value_size(value) <= _VALUE_BYTES:
            return value
        self.shortened = True
        text = value if isinstance(value, str) else canonical(value)
        # No character takes more than four bytes.
        return text[: _VALUE_BYTES // 4] + "…"
